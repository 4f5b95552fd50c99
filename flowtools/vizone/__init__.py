"""Viz One over HTTP.

    from flowtools.vizone import Client

    client = Client.from_environment()
    for asset in client.assets.find():
        print(asset.id, asset.title)

A Worker uses the `client` and perhaps `locked` (one thread at a time for a key), `store` (small
values kept on the server), the `errors`, and `conflict` (tries a change again that collided with
another). A transfer plugin uses its `plugindata` and the `stepreport` of its step.

A GET passes through four modules: `atompub` (the protocol: reads collections, entries, feeds and
metadata at their addresses), `transport` (HTTP: the login of an `account`, what is tried again),
`wire` (connections and time-outs) and `answer` (a body of limited size, or the error that a status
stands for).

The answer is parsed as a `document` (XML without dangerous features; `namespaces` has the names).
`atom` reads entries and feeds, `service` reads what the server offers, `paging` reads a feed page
by page, and `changes` reads the messages of the broker. `client` adds the resources of Viz One:
`assets`, each an `asset` with `metadata`; `files` that are not imported yet; `groups` with their
members; each `transfer`; the `model` of a form and the `dictionary` of a field.

The wire format is what public traces of Viz One show. Names are matched by namespace and local
name. Links are followed and never built. Ids and etags are opaque text.
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
    # Imported on first use: flow-sim reads documents but needs no HTTP client, and starts 0.1 s
    # sooner without it.
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
