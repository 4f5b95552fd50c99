"""What the stand-in knows: its assets with their metadata, its import storages with files.

One lock guards the assets; whoever wants to know of changes is told within it, in their
order. Nothing is kept on disk.
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
"""The number of the first asset; ids are long, and text."""

MOST_TOMBSTONES = 1000
"""Deletions that are remembered, the last ones."""


@dataclass
class Watchers:
    """Who is told of changes."""

    assets: Callable[[Kind, Asset], None] = lambda kind, asset: None
    files: Callable[[Kind, File], None] = lambda kind, file: None


@dataclass
class Catalogue:
    """All assets and files; any thread may call.

    Attributes:
        make_payload: Gives the metadata that a new asset has.
        echo: Tell of metadata that is written, too.
        locations: The handles of the import storages.
        deletions: How a deletion shows: with "status" the asset stays, marked; with
            "gone" it answers 410 for ever.
        order: How a sorted search is ordered.
        now: Tells the time.
    """

    make_payload: Callable[[Asset], bytes]
    echo: bool = False
    locations: tuple[str, ...] = ("xmlimport", "ftpimport")
    deletions: Deletions = "tombstone"
    watchers: Watchers = field(default_factory=Watchers)
    order: Order = "sorted"
    now: Callable[[], str] = now

    def __post_init__(self) -> None:
        self._lock = RLock()
        self._assets: dict[str, Asset] = {}
        self._numbers: dict[str, str] = {}
        self._made = 0
        self.tombstones: deque[Asset] = deque(maxlen=MOST_TOMBSTONES)
        # Whoever watches may change while we run.
        self.storages = Storages(
            self.locations, lambda kind, file: self.watchers.files(kind, file), self.now
        )

    def assets(self, query: str = "", *, sort: str = "", media: str = "") -> list[Asset]:
        """Return the assets that `query` finds, the oldest first or as `sort` says."""
        with self._lock:
            every = list(self._assets.values())
        found = [each for each in every if not media or each.media == media]
        if self.order == "oldest":
            sort = sort.removeprefix("-")
        return in_order(found_by(query, found), "" if self.order == "none" else sort)

    def asset(self, number: str) -> Asset:
        """Return an asset.

        Raises:
            GoneError: There is none.
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
        """Make an asset; by default a placeholder, as a user does.

        Raises:
            TakenError: Another asset has that identifier.
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
        """Change what an entry shows.

        Raises:
            GoneError: There is no such asset.
            StaleError: `etag` is given and not the present one.
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
        """Change an asset's title, and with `change` its metadata; one message tells of both.

        Raises:
            GoneError: There is no such asset.
        """
        with self._lock:
            asset = self.asset(number)
            payload = change(asset.payload)
            after = asset.payload_revision + 1
            return self.update(number, title=title, payload=payload, payload_revision=after)

    def put_payload(self, number: str, payload: bytes, etag: str | None = None) -> Asset:
        """Change an asset's metadata.

        Raises:
            GoneError: There is no such asset.
            StaleError: `etag` is given and not the present one.
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
            StaleError: `etag` is given and not the present one.
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
            self._numbers.pop(asset.identifier or "", None)
            self.watchers.assets("delete", asset)

    def change(self, number: str, step: Callable[[Asset], dict[str, object]]) -> Asset:
        """Change what an entry shows by what `step` makes of it, within the lock.

        Raises:
            GoneError: There is no such asset.
        """
        with self._lock:
            return self.update(number, None, **step(self.asset(number)))

    def put_file(self, location: str, name: str, content: bytes) -> File:
        """Let a file arrive: it shows empty first, and then whole.

        Raises:
            GoneError: There is no such import storage.
        """
        file = self.storages.write(location, name, b"")
        return self.storages.write(location, name, content) if content else file

    def delete_file(self, location: str, name: str) -> None:
        """Delete a file.

        Raises:
            GoneError: There is none.
        """
        self.storages.delete(location, name)


def _check(given: str | None, present: str) -> None:
    if given is not None and given not in (present, "*"):
        raise StaleError(f"the etag is {present} now")
