"""Viz One over HTTP.

    from flowtools.vizone import Client

    client = Client.from_environment()
    for asset in client.assets.find():
        print(asset.id, asset.title)

The wire format is what public traces of Viz One show. Names are matched by namespace and
local name, links are followed and never built, ids and etags are opaque text.
"""

from flowtools.vizone.account import Account
from flowtools.vizone.asset import Asset, AtomCategory
from flowtools.vizone.client import Client
from flowtools.vizone.conflict import retry_on_conflict
from flowtools.vizone.errors import ConflictError, NotFoundError
from flowtools.vizone.locked import Locked
from flowtools.vizone.metadata import Payload
from flowtools.vizone.store import Store
from flowtools.vizone.transfer import TransferFailed

__all__ = [
    "Account",
    "Asset",
    "AtomCategory",
    "Client",
    "ConflictError",
    "Locked",
    "NotFoundError",
    "Payload",
    "Store",
    "TransferFailed",
    "retry_on_conflict",
]
