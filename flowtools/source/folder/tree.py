"""The tree of folders below the watched one: lists, scans and watches them.

A notice costs one look at what it names. A new folder costs a look at what is in it, and a
folder that goes costs what was in it. A scan works through a queue of folders in small steps,
so that its owner can hear a stop, and read notices, in between.

A folder is watched before it is listed. So later changes cause a notice, and files that arrive in
between are found twice, which does no harm.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator

from flowtools.core.log import get_log
from flowtools.source.folder.files import Files
from flowtools.source.folder.inotify import (
    ATTRIBUTES,
    CLOSED,
    CREATED,
    GONE,
    IS_FOLDER,
    Notice,
    Watches,
)
from flowtools.source.folder.mark import Mark, mark_of
from flowtools.source.folder.wanted import Wanted

STEP = 500
"""Entries of a folder that are looked at in one step of a scan."""

log = get_log("flowtools.source.watch")


class _Node:
    """One folder that is entered.

    Attributes:
        folders: The names of the folders in it that are entered.
        identity: Its device and inode; of a mount point, those of what is mounted there.
        listed: Its inode as the folder above shows it; None: not seen there yet.
    """

    __slots__ = ("folders", "identity", "listed")

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self.identity: tuple[int, int] | None = None
        self.listed: int | None = None


class Tree:
    """The folder `path` and what is below it; for one thread.

    Attributes:
        unwatched: Folders that could not be watched and need to be polled.
        links: Files that are symbolic links: no notice tells when their targets change.
    """

    def __init__(self, path: str, wanted: Wanted, files: Files, *, lasting: bool) -> None:
        """Prepare; nothing is known yet. `mark_of` explains `lasting`."""
        self.path = path
        self.unwatched: set[str] = set()
        self.links: set[str] = set()
        self._wanted = wanted
        self._files = files
        self._lasting = lasting
        self._watches: Watches | None = None
        self._nodes: dict[str, _Node] = {"": _Node()}
        self._queue: deque[str] = deque()
        # For each folder in the queue: whether to scan known sub-folders, whether files are old.
        self._how: dict[str, tuple[bool, bool]] = {}
        self._scan: Iterator[None] | None = None
        self._complained: dict[str, int] = {}
        for folder in files.folders():
            self._adopt(folder)

    def watch_with(self, watches: Watches | None) -> None:
        """Use `watches`, which is still empty, from now on; None: there are no notices."""
        self._watches = watches
        self.unwatched.clear()

    def scan(self, folder: str = "", *, deep: bool = False, old: bool = False) -> None:
        """Queue `folder` to be scanned.

        Args:
            folder: Its path below the watched one.
            deep: Whether known folders below it are scanned, too.
            old: Whether the files found are old: they count as known and are not reported.
        """
        # Once in the queue is enough, with the greater depth. A file that may be new is reported.
        if folder in self._how:
            before = self._how[folder]
            self._how[folder] = before[0] or deep, before[1] and old
            return
        self._how[folder] = deep, old
        self._queue.append(folder)

    def is_scanning(self) -> bool:
        """Return whether a scan is going on, or a folder is in the queue."""
        return self._scan is not None or bool(self._queue)

    def step(self) -> None:
        """Do one step of the scan, of at most STEP entries."""
        if self._scan is None and self._queue:
            folder = self._queue.popleft()
            self._scan = self._look_into(folder, *self._how.pop(folder))
        # A scan yields None; `self` is the default that `next` returns at its end.
        if self._scan is not None and next(self._scan, self) is self:
            self._scan = None

    def stop_scanning(self) -> None:
        """Clear the queue of folders to scan."""
        self._queue.clear()
        self._how.clear()
        self._scan = None

    def take(self, notices: list[Notice]) -> None:
        """Look at each file and folder that `notices` name; at a file only once."""
        files: dict[str, int] = {}
        for folder, base, mask in notices:
            name = f"{folder}/{base}" if folder else base
            if not mask & IS_FOLDER:
                seen = files.get(name, 0)
                if mask & (CREATED | CLOSED):
                    seen &= ~(CREATED | CLOSED)  # Of opening and closing, the last one counts.
                files[name] = seen | mask
            elif mask & GONE:
                self._drop(name)
            elif mask & (CREATED | CLOSED) and self._wanted.enters(name):
                self._enter(folder, base)
                self.scan(name)
        for name, mask in files.items():
            self._look_at(name, mask)

    def look(self, name: str) -> Mark | None:
        """Return the state of the file `name`; None: it does not exist, or is not a file."""
        try:
            status = os.stat(f"{self.path}/{name}")  # noqa: PTH116
        except OSError:
            return None
        return mark_of(status, lasting=self._lasting) if stat.S_ISREG(status.st_mode) else None

    def look_at_links(self) -> None:
        """Look at each file that is a symbolic link."""
        for name in list(self.links):
            self._look_at(name, 0)

    def _look_at(self, name: str, mask: int) -> None:
        if name not in self._wanted and not self._wanted.may_become(name):
            return
        path = f"{self.path}/{name}"
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                self.links.add(name)
                status = os.stat(path)  # noqa: PTH116
        except OSError:
            self._missing(name)
            return
        if not stat.S_ISREG(status.st_mode):
            self._missing(name)
        elif status.st_size or not self._wanted.skip_empty:
            opened = None
            if mask & (CREATED | CLOSED):
                # A link to a file that is there already is made without opening it.
                opened = not mask & CLOSED and status.st_nlink == 1 and name not in self.links
            mark = mark_of(status, lasting=self._lasting)
            attributes = mask & (ATTRIBUTES | CREATED | CLOSED | GONE) == ATTRIBUTES
            self._files.note(name, mark, opened=opened, only_attributes=attributes)

    def _missing(self, name: str) -> None:
        self.links.discard(name)
        self._files.note_missing(name)

    def _look_into(self, folder: str, deep: bool, old: bool) -> Iterator[None]:
        """Bring one folder up to date; yields between two steps."""
        # The folder may change between two steps. A notice, or the next scan, tells of that.
        node = self._nodes.get(folder)
        if node is None:
            return  # It has disappeared meanwhile.
        before = set(self._files.names_in(folder))
        entries = self._entries(folder, node, is_emptied=bool(before or node.folders))
        if entries is None:
            return
        found: set[str] = set()
        folders: set[str] = set()
        for number, entry in enumerate(entries):
            if number % STEP == STEP - 1:
                yield
            try:
                if entry.is_dir(follow_symlinks=False):
                    if self._wanted.enters(f"{folder}/{entry.name}" if folder else entry.name):
                        folders.add(entry.name)
                        self._see_folder(folder, entry, deep=deep, old=old)
                else:
                    found.add(entry.name)
                    self._see_file(f"{folder}/{entry.name}" if folder else entry.name, entry, old)
            except OSError:
                continue  # It has disappeared meanwhile; there is a notice of that.
        for base in before - found:
            self._missing(f"{folder}/{base}" if folder else base)
        for base in node.folders - folders:
            self._drop(f"{folder}/{base}" if folder else base)

    def _see_folder(self, folder: str, entry: os.DirEntry[str], *, deep: bool, old: bool) -> None:
        name = f"{folder}/{entry.name}" if folder else entry.name
        node = self._nodes.get(name)
        # Another inode: the folder was replaced, and the old watch is of no use.
        is_another = node is None or node.listed not in (None, entry.inode())
        if is_another and self._watches is not None:
            self._watches.remove(name)
        if is_another or deep:
            self._enter(folder, entry.name)
            self.scan(name, deep=deep or node is not None, old=old)
        self._nodes[name].listed = entry.inode()

    def _see_file(self, name: str, entry: os.DirEntry[str], old: bool) -> None:
        if name not in self._wanted:
            if not self._wanted.may_become(name):
                return
            old = False  # It gets another name when it is whole, and is then new.
        if entry.is_symlink():
            self.links.add(name)
        mark = self.look(name)
        if mark is None:
            self._missing(name)
        elif self._wanted.skip_empty and mark.size == 0:
            return
        elif old:
            self._files.take_for_known(name, mark)
        else:
            self._files.note(name, mark)

    def _entries(
        self, folder: str, node: _Node, *, is_emptied: bool
    ) -> "list[os.DirEntry[str]] | None":
        """Return the entries of a folder; None: nothing can be concluded from it."""
        path = f"{self.path}/{folder}" if folder else self.path
        before = node.identity
        try:
            status = os.stat(path)  # noqa: PTH116
            identity = status.st_dev, status.st_ino
            if before not in (None, identity) and self._watches is not None:
                self._watches.remove(folder)  # It watches the folder that was here before.
            self._watch(folder)  # Before it is listed: see the module.
            with os.scandir(path) as listed:
                entries = list(listed)
        except (FileNotFoundError, NotADirectoryError):
            if folder:
                # Only the folder above shows whether it was deleted, or is of another type now.
                self.scan(folder.rpartition("/")[0])
            return None
        except OSError as error:
            self._complain(folder, error)
            return None
        if before is not None and before[0] != identity[0] and not entries and is_emptied:
            # An empty folder on another device: the share was unmounted, no file was deleted.
            log.warning("'%s' has been unmounted; waiting for it to come back", path)
            return None
        node.identity = identity
        return entries

    def _watch(self, folder: str) -> None:
        """Watch `folder`; if that is impossible, note that it needs to be polled."""
        if self._watches is None or folder in self._watches:
            return
        try:
            self._watches.add(folder)
        except (FileNotFoundError, NotADirectoryError):
            return  # Its listing, which comes next, handles that.
        except OSError as error:
            self.unwatched.add(folder)
            self._complain(folder, error)
            return
        self.unwatched.discard(folder)

    def _complain(self, folder: str, error: OSError) -> None:
        """Report the error of a folder once; the limit of watches, once for all folders."""
        path = f"{self.path}/{folder}" if folder else self.path
        key = "" if error.errno == errno.ENOSPC else path
        if self._complained.get(key) == error.errno:
            return
        self._complained[key] = error.errno or 0
        if error.errno == errno.ENOSPC:
            log.warning(
                "cannot watch '%s': the system allows this user no more watches; scanning this"
                " folder, and others like it, at intervals instead"
                " (sysctl fs.inotify.max_user_watches allows more)",
                path,
            )
        else:
            log.warning("cannot look into '%s': %s", path, (error.strerror or "").lower())

    def _adopt(self, folder: str) -> None:
        """Make the nodes of a folder that has known files, and of the folders above it."""
        while folder:
            above, _, base = folder.rpartition("/")
            self._enter(above, base)
            folder = above

    def _enter(self, folder: str, base: str) -> None:
        name = f"{folder}/{base}" if folder else base
        self._nodes.setdefault(name, _Node())
        self._nodes.setdefault(folder, _Node()).folders.add(base)

    def _drop(self, folder: str) -> None:
        """Note that `folder` has gone, with everything below it."""
        node = self._nodes.pop(folder, None)
        if node is None:
            return
        above, _, base = folder.rpartition("/")
        if above in self._nodes:
            self._nodes[above].folders.discard(base)
        self.unwatched.discard(folder)
        if self._watches is not None:
            self._watches.remove(folder)
        for name in self._files.names_in(folder):
            self._missing(f"{folder}/{name}")
        for name in node.folders:
            self._drop(f"{folder}/{name}")
