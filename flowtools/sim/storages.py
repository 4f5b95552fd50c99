"""The import storages of the stand-in, with the files in them, and how those grow."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import RLock

from flowtools.sim.vocabulary import GoneError, Kind, now


@dataclass(frozen=True)
class File:
    """A file in an import storage."""

    location: str
    name: str
    updated: str
    content: bytes = b""


class Storages:
    """All files; any thread may call. Changes are told within the lock, in their order."""

    def __init__(
        self,
        locations: tuple[str, ...],
        tell: Callable[[Kind, File], None],
        now: Callable[[], str] = now,
    ) -> None:
        """Make empty storages with the handles `locations`; `tell` is told of changes."""
        self._now = now
        self.locations = locations
        self._tell = tell
        self._lock = RLock()
        self._files: dict[tuple[str, str], File] = {}

    def files(self, location: str) -> list[File]:
        """Return the files in an import storage, by name.

        Raises:
            GoneError: There is no such import storage.
        """
        with self._lock:
            self._check(location)
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

    def write(self, location: str, name: str, content: bytes) -> File:
        """Let a file have this content now, and tell of it.

        Raises:
            GoneError: There is no such import storage.
        """
        with self._lock:
            self._check(location)
            kind: Kind = "update" if (location, name) in self._files else "create"
            file = self._files[location, name] = File(location, name, self._now(), content)
            self._tell(kind, file)
            return file

    def delete(self, location: str, name: str) -> None:
        """Delete a file.

        Raises:
            GoneError: There is none.
        """
        with self._lock:
            file = self.file(location, name)
            del self._files[location, name]
            self._tell("delete", replace(file, updated=self._now()))

    def _check(self, location: str) -> None:
        if location not in self.locations:
            raise GoneError(f"there is no import storage {location}")
