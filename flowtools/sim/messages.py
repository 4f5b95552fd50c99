"""What the stand-in publishes when something changes, and how it marks a deletion.

No message of a real Viz One is public. So a deletion can be marked in each of the ways
that are thinkable: "tombstone" (an at:deleted-entry), "header" (an `action` header),
"status" (mam:mediastatus is deleted), "empty" (a message without a body), "gone" (a message
like any other: only who asks the server finds it gone).
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
"""Where changes of assets are told."""

FILES = "/topic/vizone.unmanaged"
"""Where changes of files are told; the storage's handle follows after a dot."""

TRANSFERS = "/topic/vizone.transfers"
"""Where changes of transfer requests are told, of all of them."""

Publish = Callable[[str, dict[str, str], bytes], None]


class Messages:
    """Tells of changes; never waits."""

    def __init__(
        self, base: str, broker: str, publish: Publish, *, deletions: Deletions, tells_action: bool
    ) -> None:
        """Publish with `publish`.

        Args:
            base: The address that links start with.
            broker: The STOMP URL that monitor links start with.
            publish: Takes a destination, headers and a body.
            deletions: How a deletion is marked.
            tells_action: Whether the `action` header says what happened.
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
        """Tell that an asset has changed."""
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
        """Tell that a file has changed."""
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
        """Tell that a transfer request has changed."""
        entry = transfer_documents.transfer_entry(task, self._base, self.monitor(TRANSFERS))
        location = f"{self._base}{transfer_documents.TRANSFERS_PATH}/{task.id}"
        urn = transfer_documents.transfer_urn(task)
        headers = self._headers("update", urn, location, ENTRY_TYPE)
        self._publish(TRANSFERS, headers, serialise(entry))

    def _headers(self, kind: Kind, identity: str, location: str, type_: str) -> dict[str, str]:
        headers = {"identity": identity, "location": location, "content-type": type_}
        if kind == "delete":
            # With the other marks the header would give it away.
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
