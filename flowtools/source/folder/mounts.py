"""The mounts below a folder, from /proc/self/mountinfo (proc_pid_mountinfo(5)).

inotify gives no notice when a file system is mounted inside a watched folder, so its files would be
missed. So the table of mounts is read once a second, which takes a tenth of a millisecond.
"""

import os
import re
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")

REMOTE = re.compile(
    r"nfs|nfs4|cifs|smb3|smbfs|ncpfs|afs|9p|virtiofs|ceph|gluster.*|lustre|fuse|fuse\..*|fuseblk|"
    r"davfs|beegfs|gpfs|gfs2|ocfs2|prl_fs|vboxsf|vmhgfs"
)
"""File systems that other machines may change without a notice on this one."""

LASTING = ("nfs", "nfs4", "ceph", "gfs2", "ocfs2", "gpfs", "lustre")
"""Those of REMOTE on which a file keeps its inode number and times; see `mark_of`."""


class Mounts:
    """The mounts below a folder."""

    def __init__(self, folder: str) -> None:
        """Look at the table, if there is one; `folder` is an absolute path."""
        self._folder = os.path.realpath(folder)
        self._below = self._read()

    def changed(self) -> set[str]:
        """Return the places below the folder that were mounted or unmounted since the last call."""
        before, self._below = self._below, self._read()
        return {path for path, _ in before.items() ^ self._below.items()}

    def _read(self) -> dict[str, str]:
        """Return the numbers of the mounts below the folder, by their paths there."""
        prefix = self._folder.rstrip("/") + "/"
        return {
            point.removeprefix(prefix): number
            for number, point, _ in _mounts()
            if point.startswith(prefix)
        }


def kind_of(folder: str) -> str:
    """Return the type of the file system that `folder` is on; "" if that is unknown."""
    path = os.path.realpath(folder)
    best, found = -1, ""
    for _, point, kind in _mounts():
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two mounts at the same place the later one is on top.
        if inside and len(point) >= best:
            best, found = len(point), kind
    return found


def is_remote(kind: str) -> bool:
    """Return whether other machines may change this type of file system without a notice here."""
    return REMOTE.fullmatch(kind) is not None


def _mounts() -> list[tuple[str, str, str]]:
    """Return the number, the place and the type of each mount."""
    try:
        lines = TABLE.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        # number parent major:minor root place options [optional ...] - type source options
        fields, _, rest = line.partition(b" - ")
        parts = fields.split(b" ")
        found.append((parts[0].decode(), _place(parts[4]), rest.split(b" ")[0].decode()))
    return found


def _place(written: bytes) -> str:
    # A space, a tab, a newline and a backslash are written as \040, \011, \012 and \134.
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), written))
