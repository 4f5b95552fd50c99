"""Viz One over HTTP.

    from flowtools.vizone import Client

    client = Client.from_environment()
    for asset in client.assets.find():
        print(asset.id, asset.title)

The wire format is what public traces of Viz One show. Names are matched by namespace and
local name, links are followed and never built, ids and etags are opaque text.
"""

from flowtools.vizone.account import Account
from flowtools.vizone.assets import Asset
from flowtools.vizone.client import Client, retry_on_conflict
from flowtools.vizone.errors import ConflictError, NotFoundError
from flowtools.vizone.metadata import Payload

__all__ = [
    "Account",
    "Asset",
    "Client",
    "ConflictError",
    "NotFoundError",
    "Payload",
    "retry_on_conflict",
]
