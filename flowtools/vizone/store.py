"""Store: small values that an application keeps on the server, for itself or for an asset."""

from typing import TYPE_CHECKING, Any

import orjson

from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.atom import Resource
from flowtools.vizone.errors import NotFoundError

if TYPE_CHECKING:
    from flowtools.vizone.atompub import AtomPub

GENERAL, PER_ASSET = "client-config", "client-asset-config"
"""The ids of the resolve templates; the first is the collection's keyword, too."""

VALUE_TYPE = "application/octet-stream"


class Store(Described):
    """The values of one application and one user; any thread may call.

    A value is whatever JSON can say. Viz One keeps it for the user who is logged in and
    the application named; two who write the same key overwrite each other.
    """

    FACTS = ("application", "_client")

    def __init__(self, client: "AtomPub", application: str) -> None:
        """Keep values for `application`, a name of your own."""
        self._client = client
        self.application = application

    def get(self, key: str, asset: Resource | None = None, default: Any = None) -> Any:
        """Return the value of `key` (of `asset`, if given); `default` if it is not set.

        Raises:
            ProtocolError: What is stored is no JSON.
        """
        url = self._address(key, asset)
        try:
            content = self._client.request("GET", url, accept="*/*").content
        except NotFoundError:
            return default
        if not content.strip():
            return default
        try:
            return orjson.loads(content)
        except ValueError:
            raise ProtocolError(f"cannot read '{url}': the stored value is no JSON") from None

    def put(self, key: str, value: Any, asset: Resource | None = None) -> None:
        """Set the value of `key` (of `asset`, if given)."""
        url = self._address(key, asset)
        self._client.request("PUT", url, body=orjson.dumps(value), content_type=VALUE_TYPE)

    def delete(self, key: str, asset: Resource | None = None) -> None:
        """Forget `key` (of `asset`, if given); it is no error if it is not set."""
        try:
            self._client.request("DELETE", self._address(key, asset))
        except NotFoundError:
            return

    def _address(self, key: str, asset: Resource | None) -> str:
        if not key:
            raise ValueError("a key is needed")
        values = {"vizid:application": self.application}
        if asset is not None:
            if asset.id is None:
                raise ValueError("this asset has no id")
            values["vizid:atom-id"] = asset.id
        template = self._client.template(GENERAL, PER_ASSET if asset is not None else GENERAL)
        return template.fill(values, main=key)
