"""What is in a folder, and what has become of it: decided by looking, never by notices alone.

A file counts as whole when its size, its time and its inode have not changed for a while;
a file counts as deleted when it has been gone for as long, so that one which is replaced
is modified. Notices of the system only say where to look (inotify(7): "it is possible to
miss events").
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from flowtools.core.kind import Kind
from flowtools.core.log import get_log

log = get_log("flowtools.source.watch")


@dataclass(frozen=True, slots=True)
class Mark:
    """What tells one state of a file from another (stat(2))."""

    device: int
    inode: int
    size: int
    changed: int
    """Nanoseconds since the epoch: the modification time."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What has become of a file.

    Attributes:
        kind: One of OF_FILES.
        name: Its path below the folder.
        mark: Its state; of a deleted one, the last that was known.
        moved_from: The name that the same file had before; None where it had none.
    """

    kind: Kind
    name: str
    mark: Mark
    moved_from: str | None = None


@dataclass(frozen=True)
class Wanted:
    """Which files are of interest.

    A pattern with a slash is matched with the path below the folder, any other with the
    file's name. As in a shell, only a pattern that begins with a dot matches a name that
    does.
    """

    match: Sequence[str] = ()
    ignore: Sequence[str] = ()
    recursive: bool = False
    skip_empty: bool = False

    def __contains__(self, name: str) -> bool:
        base = name.rpartition("/")[2]
        patterns = self.match or ("*",)
        return any(_matches(name, base, each) for each in patterns) and not any(
            _matches(name, base, each) for each in self.ignore
        )

    def enters(self, name: str) -> bool:
        """Return whether the files in the sub-folder `name` are looked at."""
        return self.recursive and not name.rpartition("/")[2].startswith(".")


class Folder:
    """The files of one folder; one thread at a time.

    Memory: an entry of some 300 bytes for each file that is there.
    """

    def __init__(
        self,
        path: str,
        wanted: Wanted,
        settle: float,
        monotonic: Callable[[], float],
    ) -> None:
        """Look at the folder `path`; `settle`: seconds that nothing may change."""
        self.path = path
        self._wanted = wanted
        self._settle = settle
        self._monotonic = monotonic
        self._known: dict[str, Mark] = {}
        # In the order in which they are due, for each wait is as long.
        self._growing: dict[str, tuple[Mark, float]] = {}
        self._missing: dict[str, float] = {}
        self._folders: set[str] = set()
        self._complained: set[str] = set()

    def take_for_known(self) -> None:
        """Take what is there for old: nothing is said of it until it changes."""
        self._known = {name: mark for name, mark in self._walk("") if mark is not None}

    def is_empty(self) -> bool:
        """Return whether nothing at all is in the folder."""
        try:
            with os.scandir(self.path) as entries:
                return next(entries, None) is None
        except OSError:
            return True

    def scan(self) -> None:
        """Look at everything."""
        self._folders.clear()
        found = set()
        for name, mark in self._walk(""):
            if mark is not None:
                found.add(name)
                self._note(name, mark)
        for name in self._known.keys() - found:
            self._note_missing(name)
        for name in self._growing.keys() - found:
            del self._growing[name]

    def look(self, path: str) -> None:
        """Look at `path`, of which a notice has come."""
        name = os.path.relpath(path, self.path)
        if name.startswith(".."):
            return
        if name == "." or "\ufffd" in name or name in self._folders:
            self.scan()  # A name that is not Unicode comes mutilated.
            return
        if not self._is_entered(name.rpartition("/")[0]):
            return
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            self._growing.pop(name, None)
            if name in self._known:
                self._note_missing(name)
            return
        if stat.S_ISDIR(status.st_mode):
            if self._is_entered(name):
                for inside, mark in self._walk(name):
                    self._note(inside, mark)
        elif stat.S_ISREG(status.st_mode) and name in self._wanted:
            self._note(name, _mark(status))

    def _is_entered(self, folder: str) -> bool:
        """Return whether files directly in `folder` are looked at; notices follow links, too."""
        if not folder or folder in self._folders:
            return True
        above = folder.rpartition("/")[0]
        return (
            self._wanted.enters(folder)
            and self._is_entered(above)
            and not os.path.islink(os.path.join(self.path, folder))  # noqa: PTH114, PTH118
        )

    def due(self) -> float | None:
        """Return the seconds until a file may be whole or gone; None: nothing is waited for."""
        firsts = [since for _, since in list(self._growing.values())[:1]]
        firsts += list(self._missing.values())[:1]
        if not firsts:
            return None
        return max(0.0, min(firsts) + self._settle - self._monotonic())

    def findings(self) -> Iterator[Finding]:
        """Yield what has become certain by now; look again at each before it is told."""
        now = self._monotonic()
        for name, (mark, since) in list(self._growing.items()):
            if since + self._settle > now:
                break
            yield from self._grown(name, mark)
        for name, since in list(self._missing.items()):
            if since + self._settle > now:
                break
            yield from self._gone(name)

    def _grown(self, name: str, mark: Mark) -> Iterator[Finding]:
        del self._growing[name]
        present = self._stat(name)
        if present is None:
            if name in self._known:
                self._note_missing(name)
        elif present != mark:
            self._growing[name] = (present, self._monotonic())
        else:
            kind = Kind.MODIFIED if name in self._known else Kind.CREATED
            moved_from = self._former(mark) if kind is Kind.CREATED else None
            self._known[name] = mark
            yield Finding(kind, name, mark, moved_from)

    def _gone(self, name: str) -> Iterator[Finding]:
        del self._missing[name]
        present = self._stat(name)
        if present is not None:
            self._note(name, present)
        else:
            yield Finding(Kind.DELETED, name, self._known.pop(name))

    def _former(self, mark: Mark) -> str | None:
        """Return the name under which the same file was known, and is no more."""
        return next((name for name in self._missing if self._known[name] == mark), None)

    def _note(self, name: str, mark: Mark | None) -> None:
        if mark is None or (self._wanted.skip_empty and mark.size == 0):
            return
        self._missing.pop(name, None)
        if self._known.get(name) == mark:
            self._growing.pop(name, None)  # Changed, and changed back.
            return
        if name not in self._growing or self._growing[name][0] != mark:
            self._growing.pop(name, None)
            self._growing[name] = (mark, self._monotonic())

    def _note_missing(self, name: str) -> None:
        self._growing.pop(name, None)
        self._missing.setdefault(name, self._monotonic())

    def _stat(self, name: str) -> Mark | None:
        try:
            status = os.stat(os.path.join(self.path, name))  # noqa: PTH116, PTH118
        except OSError:
            return None
        return _mark(status) if stat.S_ISREG(status.st_mode) else None

    def _walk(self, below: str) -> Iterator[tuple[str, Mark | None]]:
        """Yield the wanted files in the folder `below`; None for one that has just gone."""
        pending = [below]
        while pending:
            folder = pending.pop()
            if folder:
                self._folders.add(folder)
            for entry in self._entries(folder):
                name = f"{folder}/{entry.name}" if folder else entry.name
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if self._wanted.enters(name):
                            pending.append(name)
                    elif name in self._wanted:
                        yield name, self._stat(name)
                except OSError:
                    continue  # Gone meanwhile; the next look tells.

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        path = os.path.join(self.path, folder) if folder else self.path  # noqa: PTH118
        try:
            with os.scandir(path) as entries:
                return list(entries)
        except FileNotFoundError:
            return []
        except OSError as error:
            if path not in self._complained:
                self._complained.add(path)
                log.warning("cannot look into '%s': %s", path, error.strerror)
            return []


def _mark(status: os.stat_result) -> Mark:
    return Mark(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _matches(name: str, base: str, pattern: str) -> bool:
    if "/" in pattern:
        return fnmatchcase(name, pattern)
    if base.startswith(".") and not pattern.startswith("."):
        return False
    return fnmatchcase(base, pattern)
