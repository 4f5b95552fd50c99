"""Store: small values that an application keeps on the server, for itself or for an asset.

Viz One calls this the client configuration. So a program can keep state without a database of its
own.
"""

from typing import TYPE_CHECKING, Any

import orjson

from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.atom import Resource
from flowtools.vizone.errors import NotFoundError

if TYPE_CHECKING:
    from flowtools.vizone.atompub import AtomPub

GENERAL, PER_ASSET = "client-config", "client-asset-config"
"""Ids of the resolve templates; the first is also the collection's keyword."""

VALUE_TYPE = "application/octet-stream"


class Store(Described):
    """The values of one application and one user. Any thread may call any method.

    A value is anything that JSON can hold. Viz One keeps the values of each user and application
    apart. Writers of the same key overwrite one another: there is no etag.

    Attributes:
        application: Name of the application.
    """

    FACTS = ("application", "_client")

    def __init__(self, client: "AtomPub", application: str) -> None:
        """Make the store of `application`, a name of your choice; nothing is sent yet."""
        self._client = client
        self.application = application

    def get(self, key: str, asset: Resource | None = None, default: Any = None) -> Any:
        """Return the value of `key` (of `asset`, if given); `default` if it is not set.

        Raises:
            ProtocolError: The stored value is not JSON.
            ValueError: The key is empty, or the asset has no id.
        """
        url = self._address(key, asset)
        try:
            content = self._client.request("GET", url, accept="*/*").content
        except NotFoundError:
            return default
        # Public clients take an empty answer for a value that is not set.
        if not content.strip():
            return default
        try:
            return orjson.loads(content)
        except ValueError:
            raise ProtocolError(f"cannot read '{url}': the stored value is not JSON") from None

    def put(self, key: str, value: Any, asset: Resource | None = None) -> None:
        """Set the value of `key` (of `asset`, if given).

        Raises:
            TypeError: The value cannot be written as JSON.
            ValueError: The key is empty, or the asset has no id.
        """
        url = self._address(key, asset)
        self._client.request("PUT", url, body=orjson.dumps(value), content_type=VALUE_TYPE)

    def delete(self, key: str, asset: Resource | None = None) -> None:
        """Remove `key` (of `asset`, if given); no error if it is not set."""
        try:
            self._client.request("DELETE", self._address(key, asset))
        # A DELETE whose answer was lost is sent again, and then finds nothing.
        except NotFoundError:
            return

    def _address(self, key: str, asset: Resource | None) -> str:
        if not key:
            raise ValueError("the key is empty")
        values = {"vizid:application": self.application}
        if asset is not None:
            if asset.id is None:
                raise ValueError("this asset has no id")
            values["vizid:atom-id"] = asset.id
        template = self._client.template(GENERAL, PER_ASSET if asset is not None else GENERAL)
        return template.fill(values, main=key)
