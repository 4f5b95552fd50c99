"""Marks: the state of a file, in a form that can be compared."""

import os
from typing import NamedTuple


class Mark(NamedTuple):
    """One state of a file, as stat(2) shows it.

    Attributes:
        device: Number of the file system; 0 if it is not known any more.
        inode: Number of the file there; 0 if the file system does not keep such numbers.
        size: Size in bytes.
        modified: Time of the last change of the content, in nanoseconds since the epoch.
        changed: Time of the last change of anything, also of the owner and links, in nanoseconds
            since the epoch; 0 if the file system does not keep it.
        attributes: A hash of the mode, the owner and the number of links.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int = 0
    attributes: int = 0

    def is_same_file(self, other: "Mark") -> bool:
        """Return whether `other` is the same file with the same content, perhaps renamed.

        Renaming a file changes `changed`, so `changed` does not count here.
        """
        return bool(self.inode) and self.looks_like(other)

    def is_same_content(self, other: "Mark") -> bool:
        """Return whether the content has not been replaced between the two states.

        A program may write a file and set its time back: only `changed` shows that. A new owner,
        mode or link also changes `changed`; `attributes` tells these apart from new content.
        """
        return self.looks_like(other) and (
            self.changed == other.changed or self.attributes != other.attributes
        )

    def looks_like(self, other: "Mark") -> bool:
        """Return whether inode, size and modification time are equal, and the device if known."""
        return self[1:4] == other[1:4] and (
            self.device == other.device or 0 in (self.device, other.device)
        )


def mark_of(status: os.stat_result, *, lasting: bool = True) -> Mark:
    """Return the state that `status` shows.

    `lasting` is False on a file system that makes up inode numbers and times as it goes (SMB,
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
