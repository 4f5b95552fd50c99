"""Notices of changes in folders from the system: inotify(7), through inotify_simple.

That library passes on everything that the system says: the bytes of a name (as str, PEP 383),
IN_Q_OVERFLOW, IN_UNMOUNT, and the error when a watch is refused. Other libraries hide one of these:
watchfiles (Rust's notify) decodes names as UTF-8, and reports neither the folder of a failed watch
nor that a file was closed; watchdog has its inotify in a module that is not public; asyncinotify is
as complete, but makes a Path of each name.

There is no thread: the owner polls `fileno`. Each folder has one watch, and files have none.
"""

import os
from contextlib import suppress
from typing import NamedTuple

from inotify_simple import INotify, flags

IS_FOLDER = int(flags.ISDIR)
CLOSED = int(flags.CLOSE_WRITE | flags.MOVED_TO)
GONE = int(flags.DELETE | flags.MOVED_FROM)
CREATED = int(flags.CREATE)
ATTRIBUTES = int(flags.ATTRIB)

# Without IN_MODIFY, which comes for every write(2): a file cannot be whole before it is closed.
_MASK = CLOSED | GONE | CREATED | ATTRIBUTES | int(flags.ONLYDIR | flags.EXCL_UNLINK)


class Notice(NamedTuple):
    """Something has changed about `name` in `folder` (a path below the watched one, or "").

    Attributes:
        folder: The folder.
        name: The name in it.
        mask: What has happened: constants of this module, combined with `|`.
    """

    folder: str
    name: str
    mask: int


class Reading(NamedTuple):
    """The result of one read.

    Attributes:
        notices: The notices, in the order in which things happened.
        unwatched: Folders whose watch has ended because their file system was unmounted.
        overflowed: Whether the system has dropped notices.
    """

    notices: list[Notice]
    unwatched: list[str]
    overflowed: bool


class Watches:
    """The watches on a folder and on folders below it."""

    def __init__(self, root: str) -> None:
        """Prepare to watch the folder `root` and folders below it; none is watched yet.

        Raises:
            OSError: The user has no inotify instances left (max_user_instances).
        """
        self._root = root
        self._inotify = INotify(nonblocking=True)
        self._folders: dict[int, str] = {}
        self._numbers: dict[str, int] = {}

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is a notice."""
        return int(self._inotify.fileno())

    def add(self, folder: str) -> None:
        """Watch `folder`; a second time does nothing.

        Raises:
            OSError: It does not exist, may not be read, or the user has no watches left (ENOSPC:
                max_user_watches).
        """
        if folder in self._numbers:
            return
        mask = _MASK
        path = self._root
        if folder:
            path = f"{self._root}/{folder}"
            mask |= int(flags.DONT_FOLLOW)
        number = self._inotify.add_watch(path, mask)
        # inotify has one watch for an inode. A folder that was moved still has its old name here.
        before = self._folders.get(number)
        if before is not None:
            self._numbers.pop(before, None)
        self._folders[number] = folder
        self._numbers[folder] = number

    def remove(self, folder: str) -> None:
        """Stop watching `folder`, whether or not it still exists."""
        number = self._numbers.pop(folder, None)
        if number is not None:
            del self._folders[number]
            with suppress(OSError):  # The system has ended it already.
                self._inotify.rm_watch(number)

    def __contains__(self, folder: str) -> bool:
        return folder in self._numbers

    def read(self) -> Reading:
        """Return the notices that have come."""
        notices: list[Notice] = []
        unwatched: list[str] = []
        overflowed = False
        for number, mask, _, name in self._inotify.read(timeout=0):
            if mask & flags.Q_OVERFLOW:
                overflowed = True
                continue
            folder = self._folders.get(number)
            if folder is None:
                continue  # `remove` was called while this notice was in the queue.
            if mask & (flags.IGNORED | flags.UNMOUNT):
                del self._folders[number]
                self._numbers.pop(folder, None)
                unwatched.append(folder)
            elif name:
                notices.append(Notice(folder, os.fsdecode(name), mask))
        return Reading(notices, unwatched, overflowed)

    def close(self) -> None:
        """End all watches."""
        self._inotify.close()
