"""Keep fields of metadata up to date: each mapping of the profile is a field and an expression.

    flow-run examples/metadata_mapper/metadata_mapper.ini -j 4

The package simpleeval evaluates the expressions. They are a subset of Python and can use only the
names that they are given: `metadata` (the fields), `asset` (the data of the event) and a few
functions.
"""

from types import SimpleNamespace

from simpleeval import EvalWithCompoundTypes

from flowtools.source.asset import AssetEntryListener
from flowtools.vizone import NotFoundError, retry_on_conflict
from flowtools.worker import Reject

FUNCTIONS = {"str": str, "int": int, "float": float, "len": len, "min": min, "max": max}


class MetadataMapper:
    """Sets the fields of each asset that is created or changed, if their values differ."""

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
            self.map(self.address(event["links"]), SimpleNamespace(**event.data))
        except NotFoundError:
            return  # The asset has no metadata, or has been deleted meanwhile.

    def address(self, links):
        # Some messages contain only the URL of the asset.
        return links.get("describedby") or self.client.assets.get(links["self"]).follow(
            "describedby"
        )

    @retry_on_conflict
    def map(self, url, asset):
        metadata = self.client.metadata(url)
        changed = [
            metadata.set(field, self.value(field, metadata, asset)) for field in self.mappings
        ]
        # Each write causes another event. Writing only differences ends the circle.
        if any(changed):
            self.client.put_metadata(metadata)

    def value(self, field, metadata, asset):
        """Return the value of the expression for `field`, as text or None."""
        parsed, expression = self.mappings[field]
        names = {"metadata": {name: metadata[name] for name in metadata}, "asset": asset}
        try:
            value = EvalWithCompoundTypes(names=names, functions=FUNCTIONS).eval(
                expression, previously_parsed=parsed
            )
        except Exception as error:  # An expression may raise anything.
            raise Reject(f"[Mappings] {field} = {expression}: {error}") from error
        return None if value is None else str(value)
