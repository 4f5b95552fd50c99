"""The state of the stand-in: assets with their metadata, and import storages with files.

One lock guards the assets. Watchers are called while it is held, so that they see the changes
in the order in which they were made; a watcher must not wait (publishing only puts a message
into a queue). The storages have a lock of their own. Nothing is written to disk.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import RLock

from flowtools.sim.asset import Asset, Permission
from flowtools.sim.searching import found_by, in_order
from flowtools.sim.storages import File, Storages
from flowtools.sim.vocabulary import Deletions, GoneError, Kind, Order, StaleError, TakenError, now

FIRST_NUMBER = 210161124000000021
"""Number of the first asset. Larger than 2**53, as real ones are: a client that reads an id as a
JSON number damages it, and notices here."""

MOST_TOMBSTONES = 1000
"""Number of deletions that are remembered; the oldest is forgotten first."""


@dataclass
class Watchers:
    """Functions that are called after each change; by default they do nothing."""

    assets: Callable[[Kind, Asset], None] = lambda kind, asset: None
    files: Callable[[Kind, File], None] = lambda kind, file: None


@dataclass
class Catalogue:
    """All assets and files. Thread-safe.

    Attributes:
        make_payload: Returns the metadata of a new asset, as an XML document.
        echo: Whether a change of metadata also counts as a change of the asset, and is published.
        locations: Handles of the import storages.
        deletions: How a deletion shows. With "status" the asset stays and is marked as deleted;
            with "gone" a request for it is answered with 410 instead of 404.
        watchers: Functions that are called after each change.
        order: How a sorted search is ordered.
        now: Returns the present time as Viz One writes it.
        storages: The import storages.
        tombstones: The last deleted assets, oldest first.
    """

    make_payload: Callable[[Asset], bytes]
    echo: bool = False
    locations: tuple[str, ...] = ("xmlimport", "ftpimport")
    deletions: Deletions = "tombstone"
    watchers: Watchers = field(default_factory=Watchers)
    order: Order = "sorted"
    now: Callable[[], str] = now

    def __post_init__(self) -> None:
        # Reentrant: `retitle` and `change` call `update` while they hold it.
        self._lock = RLock()
        self._assets: dict[str, Asset] = {}
        self._numbers: dict[str, str] = {}
        self._made = 0
        self.tombstones: deque[Asset] = deque(maxlen=MOST_TOMBSTONES)
        # A lambda, since the watchers may be replaced while the stand-in runs.
        self.storages = Storages(
            self.locations, lambda kind, file: self.watchers.files(kind, file), self.now
        )

    def assets(self, query: str = "", *, sort: str = "", media: str = "") -> list[Asset]:
        """Return the assets that match, oldest first or in the order of `sort`.

        Args:
            query: Search text; see searching.py.
            sort: Sort order that the request asks for; see searching.py.
            media: Kind of media; empty for any.
        """
        # The search parses XML: without the lock, or it would hold up every change.
        with self._lock:
            every = list(self._assets.values())
        found = [each for each in every if not media or each.media == media]
        if self.order == "oldest":
            sort = sort.removeprefix("-")
        return in_order(found_by(query, found), "" if self.order == "none" else sort)

    def asset(self, number: str) -> Asset:
        """Return the asset with this number.

        Raises:
            GoneError: There is no such asset.
        """
        with self._lock:
            if number in self._assets:
                return self._assets[number]
            was = any(each.number == number for each in self.tombstones)
            status = 410 if was and self.deletions == "gone" else 404
            raise GoneError(f"there is no asset {number}", status)

    def create(
        self,
        title: str,
        identifier: str | None = None,
        keywords: tuple[tuple[str, str], ...] = (),
        *,
        status: str = "empty",
        media: str = "placeholder",
        permissions: tuple[Permission, ...] = (),
    ) -> Asset:
        """Create an asset, by default a placeholder.

        Raises:
            TakenError: Another asset has this identifier.
        """
        with self._lock:
            if identifier is not None and identifier in self._numbers:
                raise TakenError(f"there is an asset '{identifier}' already")
            number = str(FIRST_NUMBER + 100 * self._made)
            self._made += 1
            moment = self.now()
            asset = Asset(number, title, moment, moment, identifier, status, media, keywords)
            asset = replace(asset, permissions=permissions)
            asset = replace(asset, payload=self.make_payload(asset), payload_revision=1)
            self._assets[number] = asset
            if identifier is not None:
                self._numbers[identifier] = number
            self.watchers.assets("create", asset)
            return asset

    def update(self, number: str, etag: str | None = None, **changes: object) -> Asset:
        """Change attributes of an asset.

        Args:
            number: Number of the asset.
            etag: Etag that the asset must have; None for any.
            changes: New values of attributes of Asset, by name.

        Raises:
            GoneError: There is no such asset.
            StaleError: The asset has another etag.
            TakenError: Another asset has the new identifier.
        """
        with self._lock:
            asset = self.asset(number)
            _check(etag, asset.etag)
            self._rename(asset, changes.get("identifier", asset.identifier))
            asset = replace(asset, **changes, updated=self.now(), revision=asset.revision + 1)  # type: ignore[arg-type]
            self._assets[number] = asset
            self.watchers.assets("update", asset)
            return asset

    def _rename(self, asset: Asset, identifier: object) -> None:
        if identifier == asset.identifier:
            return
        if identifier in self._numbers:
            raise TakenError(f"there is an asset '{identifier}' already")
        self._numbers.pop(asset.identifier or "", None)
        if identifier is not None:
            self._numbers[str(identifier)] = asset.number

    def retitle(self, number: str, title: str, change: Callable[[bytes], bytes]) -> Asset:
        """Change an asset's title, and its metadata with `change`; publish both as one update.

        Raises:
            GoneError: There is no such asset.
        """
        with self._lock:
            asset = self.asset(number)
            payload = change(asset.payload)
            after = asset.payload_revision + 1
            return self.update(number, title=title, payload=payload, payload_revision=after)

    def put_payload(self, number: str, payload: bytes, etag: str | None = None) -> Asset:
        """Replace an asset's metadata; publish that only if `echo` is set.

        Raises:
            GoneError: There is no such asset.
            StaleError: The metadata has another etag.
        """
        with self._lock:
            asset = self.asset(number)
            _check(etag, asset.payload_etag)
            changed = replace(asset, payload=payload, payload_revision=asset.payload_revision + 1)
            self._assets[number] = changed
            return self.update(number) if self.echo else changed

    def delete(self, number: str, etag: str | None = None) -> None:
        """Delete an asset.

        Raises:
            GoneError: There is no such asset.
            StaleError: The asset has another etag.
        """
        with self._lock:
            asset = self.asset(number)
            _check(etag, asset.etag)
            asset = replace(
                asset, status="deleted", updated=self.now(), revision=asset.revision + 1
            )
            self.tombstones.append(asset)
            if self.deletions == "status":
                self._assets[number] = asset
            else:
                del self._assets[number]
            # The identifier is free again, even if the asset is still shown as deleted. When it is
            # deleted a second time, another asset may have the identifier.
            if self._numbers.get(asset.identifier or "") == number:
                del self._numbers[asset.identifier or ""]
            self.watchers.assets("delete", asset)

    def change(self, number: str, step: Callable[[Asset], dict[str, object]]) -> Asset:
        """Change an asset by the attributes that `step` returns for its present state.

        `step` runs while the lock is held, so that it may check and change in one go.

        Raises:
            GoneError: There is no such asset.
        """
        with self._lock:
            return self.update(number, None, **step(self.asset(number)))

    def put_file(self, location: str, name: str, content: bytes) -> File:
        """Let a file arrive: first empty and then whole, as a growing file shows on a Viz One.

        Raises:
            GoneError: There is no such import storage.
        """
        file = self.storages.write(location, name, b"")
        return self.storages.write(location, name, content) if content else file

    def delete_file(self, location: str, name: str) -> None:
        """Delete a file.

        Raises:
            GoneError: There is no such file.
        """
        self.storages.delete(location, name)


def _check(given: str | None, present: str) -> None:
    if given is not None and given not in (present, "*"):
        raise StaleError(f"the etag is {present} now")
