"""Marks: the state of a file, in a form that can be compared."""

import os
from typing import NamedTuple


class Mark(NamedTuple):
    """One state of a file, as stat(2) shows it.

    Attributes:
        device: Number of the file system; 0 where it is not known any more.
        inode: Number of the file there; 0 where the file system has no lasting ones.
        size: Bytes.
        modified: When its content was last changed: nanoseconds since the epoch.
        changed: When anything about it was last changed, its owner and its links included:
            nanoseconds since the epoch; 0 where the file system does not say.
        attributes: Tells one set of mode, owner and number of links from another.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int = 0
    attributes: int = 0

    def is_same_file(self, other: "Mark") -> bool:
        """Return whether `other` is the same file with the same content, by another name perhaps.

        Renaming a file changes `changed`, so that does not count here.
        """
        return bool(self.inode) and self.looks_like(other)

    def is_same_content(self, other: "Mark") -> bool:
        """Return whether the content has not been replaced between the two states.

        Somebody may write a file and set its time back: only `changed` tells. A new owner,
        mode or link changes that, too, and is recognised by `attributes`.
        """
        return self.looks_like(other) and (
            self.changed == other.changed or self.attributes != other.attributes
        )

    def looks_like(self, other: "Mark") -> bool:
        """Return whether the two states differ in their attributes at most."""
        return self[1:4] == other[1:4] and (
            self.device == other.device or 0 in (self.device, other.device)
        )


def mark_of(status: os.stat_result, *, lasting: bool = True) -> Mark:
    """Return the state that `status` shows.

    `lasting` is false on a file system that makes up inode numbers and times as it goes (SMB,
    FUSE): there only the size and the modification time count.
    """
    if not lasting:
        return Mark(0, 0, status.st_size, status.st_mtime_ns)
    return Mark(
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        hash((status.st_mode, status.st_uid, status.st_gid, status.st_nlink)),
    )
