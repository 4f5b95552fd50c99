"""What the stand-in knows: its assets with their metadata, its import storages with files.

One lock guards it; whoever wants to know of changes is told within it, in their order.
Nothing is kept on disk.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import RLock
from typing import Literal

Kind = Literal["create", "update", "delete"]

FIRST_NUMBER = 210161124000000021
"""The number of the first asset; ids are long, and text."""


class GoneError(Exception):
    """There is no such asset or file, or no longer."""


class StaleError(Exception):
    """The etag given is not the present one."""


@dataclass(frozen=True)
class Asset:
    """An asset as it is at one time; a change makes another."""

    number: str
    title: str
    published: str
    updated: str
    identifier: str | None = None
    status: str = "online"
    media: str = "video"
    keywords: tuple[tuple[str, str], ...] = ()
    revision: int = 1
    payload: bytes = b""
    payload_revision: int = 0

    @property
    def urn(self) -> str:
        """Its atom:id."""
        return f"urn:vme:default:asset:{self.number}"

    @property
    def etag(self) -> str:
        """The etag of its entry."""
        return f'"{self.number}-{self.revision}"'

    @property
    def payload_etag(self) -> str:
        """The etag of its metadata."""
        return f'"{self.number}-m{self.payload_revision}"'


@dataclass(frozen=True)
class File:
    """A file in an import storage."""

    location: str
    name: str
    updated: str
    content: bytes = b""


@dataclass
class Watchers:
    """Who is told of changes."""

    assets: Callable[[Kind, Asset], None] = lambda kind, asset: None
    files: Callable[[Kind, File], None] = lambda kind, file: None


def now() -> str:
    """Return the present as Viz One writes it, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass
class Catalogue:
    """All assets and files; any thread may call.

    Attributes:
        make_payload: Gives the metadata that a new asset has.
        echo: Tell of metadata that is written, too.
        locations: The handles of the import storages.
    """

    make_payload: Callable[[Asset], bytes]
    echo: bool = False
    locations: tuple[str, ...] = ("xmlimport", "ftpimport")
    watchers: Watchers = field(default_factory=Watchers)

    def __post_init__(self) -> None:
        self._lock = RLock()
        self._assets: dict[str, Asset] = {}
        self._files: dict[tuple[str, str], File] = {}
        self._made = 0

    def assets(self, query: str = "") -> list[Asset]:
        """Return the assets whose title has `query` in it, the oldest first."""
        with self._lock:
            wanted = query.casefold()
            return [each for each in self._assets.values() if wanted in each.title.casefold()]

    def asset(self, number: str) -> Asset:
        """Return an asset.

        Raises:
            GoneError: There is none.
        """
        with self._lock:
            if number not in self._assets:
                raise GoneError(f"there is no asset {number}")
            return self._assets[number]

    def create(
        self,
        title: str,
        identifier: str | None = None,
        keywords: tuple[tuple[str, str], ...] = (),
        *,
        status: str = "empty",
        media: str = "placeholder",
    ) -> Asset:
        """Make an asset; by default a placeholder, as a user does."""
        with self._lock:
            number = str(FIRST_NUMBER + 100 * self._made)
            self._made += 1
            moment = now()
            asset = Asset(number, title, moment, moment, identifier, status, media, keywords)
            asset = replace(asset, payload=self.make_payload(asset), payload_revision=1)
            self._assets[number] = asset
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
            asset = replace(asset, **changes, updated=now(), revision=asset.revision + 1)  # type: ignore[arg-type]
            self._assets[number] = asset
            self.watchers.assets("update", asset)
            return asset

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
            del self._assets[number]
            self.watchers.assets("delete", replace(asset, status="deleted", updated=now()))

    def files(self, location: str) -> list[File]:
        """Return the files in an import storage, by name.

        Raises:
            GoneError: There is no such import storage.
        """
        with self._lock:
            self._check_location(location)
            return [self._files[key] for key in sorted(self._files) if key[0] == location]

    def file(self, location: str, name: str) -> File:
        """Return a file.

        Raises:
            GoneError: There is none.
        """
        with self._lock:
            if (location, name) not in self._files:
                raise GoneError(f"there is no file {name} in {location}")
            return self._files[location, name]

    def put_file(self, location: str, name: str, content: bytes) -> File:
        """Let a file arrive: it shows empty first, and then whole.

        Raises:
            GoneError: There is no such import storage.
        """
        with self._lock:
            self._check_location(location)
            known = (location, name) in self._files
            self._keep_file("update" if known else "create", File(location, name, now()))
            file = File(location, name, now(), content)
            if content:
                self._keep_file("update", file)
            return file

    def delete_file(self, location: str, name: str) -> None:
        """Delete a file.

        Raises:
            GoneError: There is none.
        """
        with self._lock:
            file = self.file(location, name)
            del self._files[location, name]
            self.watchers.files("delete", replace(file, updated=now()))

    def _keep_file(self, kind: Kind, file: File) -> None:
        self._files[file.location, file.name] = file
        self.watchers.files(kind, file)

    def _check_location(self, location: str) -> None:
        if location not in self.locations:
            raise GoneError(f"there is no import storage {location}")


def _check(given: str | None, present: str) -> None:
    if given is not None and given not in (present, "*"):
        raise StaleError(f"the etag is {present} now")
