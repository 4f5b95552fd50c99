"""The import storages and the files in them.

One lock guards all files. `tell` is called while it is held, so that changes are published in the
order in which they were made; it must not wait.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import RLock

from flowtools.sim.vocabulary import GoneError, Kind, now


@dataclass(frozen=True)
class File:
    """One state of a file in an import storage: its storage, name, time of change and bytes."""

    location: str
    name: str
    updated: str
    content: bytes = b""


class Storages:
    """All files. Thread-safe."""

    def __init__(
        self,
        locations: tuple[str, ...],
        tell: Callable[[Kind, File], None],
        now: Callable[[], str] = now,
    ) -> None:
        """Begin with empty storages.

        Args:
            locations: Handles of the storages.
            tell: Called after each change.
            now: Returns the present time as Viz One writes it.
        """
        self._now = now
        self.locations = locations
        self._tell = tell
        self._lock = RLock()
        self._files: dict[tuple[str, str], File] = {}

    def files(self, location: str) -> list[File]:
        """Return the files in an import storage, sorted by name.

        Raises:
            GoneError: There is no such import storage.
        """
        with self._lock:
            self._check(location)
            return [self._files[key] for key in sorted(self._files) if key[0] == location]

    def file(self, location: str, name: str) -> File:
        """Return the file with this name.

        Raises:
            GoneError: There is no such file.
        """
        with self._lock:
            if (location, name) not in self._files:
                raise GoneError(f"there is no file {name} in {location}")
            return self._files[location, name]

    def write(self, location: str, name: str, content: bytes) -> File:
        """Create a file, or replace its content, and publish the change.

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
        """Delete a file, and publish the deletion.

        Raises:
            GoneError: There is no such file.
        """
        with self._lock:
            file = self.file(location, name)
            del self._files[location, name]
            self._tell("delete", replace(file, updated=self._now()))

    def _check(self, location: str) -> None:
        if location not in self.locations:
            raise GoneError(f"there is no import storage {location}")
