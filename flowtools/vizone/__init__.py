"""Viz One over HTTP.

    from flowtools.vizone import Client

    client = Client.from_environment()
    for asset in client.assets.find():
        print(asset.id, asset.title)

For a Worker, besides the `client`: `locked`, `store`, the `errors`, and `conflict`, which tries a
change again. For a transfer plugin: its `plugindata`, and the `stepreport` of its step.

A GET crosses three modules: `atompub` (the protocol: collections, entries, feeds, metadata by
their addresses), `transport` (HTTP: the login of an `account`, time-outs, what is tried again)
and `answer` (bytes within bounds, or the error that a status means).

What comes back is a `document` (XML as it may be trusted; `namespaces` are its names): `atom`
reads entries and feeds, `service` what the server offers, `paging` the pages of a feed,
`changes` what a message of the broker says. `client` adds what Viz One has: `assets`, each an
`asset` with `metadata`; `files`; `groups` with their members; each `transfer`; the `model` of a
form and the `dictionary` of a field.

The wire format is what public traces of Viz One show. Names are matched by namespace and
local name, links are followed and never built, ids and etags are opaque text.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtools.vizone.account import Account
    from flowtools.vizone.asset import Asset, AtomCategory
    from flowtools.vizone.client import Client
    from flowtools.vizone.conflict import Backoff, retry_on_conflict
    from flowtools.vizone.errors import (
        BusyError,
        ConflictError,
        HTTPError,
        InvalidRequestError,
        NotAllowedError,
        NotFoundError,
    )
    from flowtools.vizone.locked import Locked
    from flowtools.vizone.metadata import Payload
    from flowtools.vizone.store import Store
    from flowtools.vizone.transfer import TransferFailed

__all__ = [
    "Account",
    "Asset",
    "AtomCategory",
    "Backoff",
    "BusyError",
    "Client",
    "ConflictError",
    "HTTPError",
    "InvalidRequestError",
    "Locked",
    "NotAllowedError",
    "NotFoundError",
    "Payload",
    "Store",
    "TransferFailed",
    "retry_on_conflict",
]

_HOMES = {
    "Account": "account",
    "Asset": "asset",
    "AtomCategory": "asset",
    "Backoff": "conflict",
    "BusyError": "errors",
    "Client": "client",
    "ConflictError": "errors",
    "HTTPError": "errors",
    "InvalidRequestError": "errors",
    "Locked": "locked",
    "NotAllowedError": "errors",
    "NotFoundError": "errors",
    "Payload": "metadata",
    "Store": "store",
    "TransferFailed": "transfer",
    "retry_on_conflict": "conflict",
}


def __getattr__(name: str) -> object:
    # Who reads a document (flow-sim) does without the client, and starts quicker.
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
