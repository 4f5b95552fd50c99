"""Keep fields of metadata in step: each mapping of the profile is a field and an expression.

    flow-run examples/metadata_mapper/metadata_mapper.ini -j 4

Expressions are those of simpleeval: a part of Python's, with no way to anything that is not
given to them. Here that is `metadata` (the fields), `asset` (what the event says of it) and
a few functions.
"""

from types import SimpleNamespace

from simpleeval import EvalWithCompoundTypes

from flowtools.source.asset import AssetEntryListener
from flowtools.vizone import NotFoundError, retry_on_conflict
from flowtools.worker import Reject

FUNCTIONS = {"str": str, "int": int, "float": float, "len": len, "min": min, "max": max}


class MetadataMapper:
    """Sets fields of each asset that comes to be or changes, where they differ."""

    SOURCE = AssetEntryListener
    NEEDS = ("client",)

    def configure(self, config):
        self.mappings = {}
        for field, expression in config.items("Mappings"):
            try:
                self.mappings[field] = EvalWithCompoundTypes.parse(expression), expression
            except Exception as error:
                raise ValueError(f"[Mappings] {field} = {expression}: {error}") from error

    def start(self, event):
        if event.type == "flow.asset.deleted":
            return
        try:
            self.map(event["links"]["describedby"], SimpleNamespace(**event.data))
        except NotFoundError:
            return  # It has no metadata (yet, or any more).

    @retry_on_conflict
    def map(self, url, asset):
        metadata = self.client.metadata(url)
        changed = [
            metadata.set(field, self.value(field, metadata, asset)) for field in self.mappings
        ]
        # Without a difference nothing is written, else each write would be the next event.
        if any(changed):
            self.client.put_metadata(metadata)

    def value(self, field, metadata, asset):
        """Return what the expression of `field` says now."""
        parsed, expression = self.mappings[field]
        names = {"metadata": {name: metadata[name] for name in metadata}, "asset": asset}
        try:
            value = EvalWithCompoundTypes(names=names, functions=FUNCTIONS).eval(
                expression, previously_parsed=parsed
            )
        except Exception as error:  # Whatever an expression may come to.
            raise Reject(f"[Mappings] {field} = {expression}: {error}") from error
        return None if value is None else str(value)
