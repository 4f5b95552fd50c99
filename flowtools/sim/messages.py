"""The messages that the stand-in publishes after a change, and how they mark a deletion.

No message of a real Viz One is public. So a deletion can be marked in each way that is
considered possible: "tombstone" (an at:deleted-entry), "header" (an `action` header), "status"
(mam:mediastatus is "deleted"), "empty" (a message without a body), or "gone" (a message without
a mark: only a request to the server, answered with 410, shows the deletion).
"""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

from flowtools.sim import documents, file_documents, transfer_documents
from flowtools.sim.asset import Asset
from flowtools.sim.imports import Import
from flowtools.sim.storages import File
from flowtools.sim.vocabulary import Deletions, Kind
from flowtools.sim.xml import serialise
from flowtools.vizone.atom import ENTRY_TYPE, FEED_TYPE

ASSETS = "/topic/vizone.assets"
"""Destination for changes of assets."""

FILES = "/topic/vizone.unmanaged"
"""Destination for changes of files; a dot and the handle of the storage are appended."""

TRANSFERS = "/topic/vizone.transfers"
"""Destination for changes of all transfer requests, as one destination serves a whole class."""

Publish = Callable[[str, dict[str, str], bytes], None]
"""Sends a message: its destination, headers and body."""


class Messages:
    """Publishes changes. Never waits: the catalogue calls it while it holds its lock."""

    def __init__(
        self, base: str, broker: str, publish: Publish, *, deletions: Deletions, tells_action: bool
    ) -> None:
        """Prepare to publish.

        Args:
            base: URL that links start with.
            broker: STOMP URL that monitor links start with.
            publish: Sends a message.
            deletions: How a deletion is marked.
            tells_action: Whether messages have an `action` header that says what happened.
        """
        self._base = base
        self._broker = broker
        self._publish = publish
        self._deletions = deletions
        self._tells_action = tells_action

    def monitor(self, destination: str) -> str:
        """Return the STOMP URL of a destination."""
        return f"{self._broker}?destination={quote(destination, safe='/')}"

    def of_asset(self, kind: Kind, asset: Asset) -> None:
        """Publish a change of an asset."""
        location = f"{self._base}{documents.ASSETS_PATH}/{asset.number}"
        type_ = ENTRY_TYPE
        if kind == "delete" and self._deletions == "tombstone":
            body, type_ = documents.tombstone(asset.urn, asset.updated), "application/xml"
        elif kind == "delete" and self._deletions == "empty":
            body = b""
        else:
            body = serialise(documents.asset_entry(_shown(asset, self._deletions), self._base))
        self._publish(ASSETS, self._headers(kind, asset.urn, location, type_), body)

    def of_file(self, kind: Kind, file: File) -> None:
        """Publish a change of a file; the body is a feed, as on a Viz One."""
        destination = f"{FILES}.{file.location}"
        gone = kind == "delete"
        buried = gone and self._deletions == "tombstone"
        body = file_documents.file_feed(
            [] if buried else [file],
            file.location,
            self._base,
            self.monitor(destination),
            tombstones=[file] if buried else [],
            marked=gone and self._deletions == "status",
        )
        location = f"{self._base}{file_documents.file_path(file)}"
        headers = self._headers(kind, file_documents.file_urn(file), location, FEED_TYPE)
        is_empty = gone and self._deletions == "empty"
        self._publish(destination, headers, b"" if is_empty else body)

    def of_transfer(self, task: Import) -> None:
        """Publish a change of a transfer request."""
        entry = transfer_documents.transfer_entry(task, self._base, self.monitor(TRANSFERS))
        location = f"{self._base}{transfer_documents.TRANSFERS_PATH}/{task.id}"
        urn = transfer_documents.transfer_urn(task)
        headers = self._headers("update", urn, location, ENTRY_TYPE)
        self._publish(TRANSFERS, headers, serialise(entry))

    def _headers(self, kind: Kind, identity: str, location: str, type_: str) -> dict[str, str]:
        headers = {"identity": identity, "location": location, "content-type": type_}
        if kind == "delete":
            # With the other marks the header would give the deletion away, and a client that
            # relies on the header alone would seem to understand them.
            says = self._deletions == "header" or (
                self._tells_action and self._deletions == "tombstone"
            )
        else:
            says = self._tells_action
        return headers | ({"action": kind} if says else {})


def _shown(asset: Asset, deletions: Deletions) -> Asset:
    if asset.status == "deleted" and deletions != "status":
        return replace(asset, status="online")
    return asset
