"""The failed file: its events are read one by one, and removed together.

flow-work may append to the file at any moment. To remove events, a new file without them is written
in the same directory and renamed over the old one, under a lock (flock(2)). flow-work writes each
line under that lock, to the file that is at the path then (`pool/appendfile.py`). A process that is
killed leaves the old file or the new one, never a mixture.

Events to remove are recognised by their bytes, not by their position, so it does not matter whether
another flow-failed has rewritten the file meanwhile.
"""

import fcntl
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Self

from flowtools.core.errors import FlowError
from flowtools.core.wait import HasFileno, Stop
from flowtools.failed.record import Record, read_record


class FailedLines:
    """The events of the failed file at `path`: a `Store` (store.py)."""

    take_out_every = 60.0
    """A whole file is rewritten each time, so it is not done for each event."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.path)

    @contextmanager
    def opened(self, stop: Stop | None = None, *, most: int | None = None) -> Iterator[Self]:
        """Yield this object: a file needs no connection."""
        yield self

    def descriptors(self) -> Sequence[HasFileno]:
        """Return no descriptors: a file needs no attention while it is open."""
        return ()

    def tend(self) -> None:
        """Do nothing; see `descriptors`."""

    def key_of(self, record: Record) -> bytes:
        """Return the key of a line: a digest of its bytes (see the function `key_of`)."""
        return key_of(record)

    def records(self) -> Iterator[Record]:
        """Yield every event that is in the file now, the oldest first.

        Events that are appended meanwhile are not yielded. Otherwise a replay whose events fail
        again into the same file would never end.

        Raises:
            FlowError: The file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                left = os.fstat(file.fileno()).st_size
                for line in file:
                    left -= len(line)
                    # A line that was half written when the size was read is a later one, too.
                    if left < 0:
                        return
                    record = read_record(line)
                    if record is not None:
                        yield record
        except OSError as error:
            raise self._failure("read", error) from None

    def take_out(self, unwanted: Counter[bytes]) -> int:
        """Remove lines from the file; on return the new file has been written to the disk.

        Args:
            unwanted: The keys of the lines (see `key_of`), each with the number of lines to remove:
                equal lines have equal keys.

        Returns:
            The number of lines that were removed.

        Raises:
            FlowError: The file cannot be rewritten; it is unchanged then.
        """
        if not unwanted.total():
            return 0
        # Replace the target of a symbolic link, not the link.
        path = Path(os.path.realpath(self.path))
        try:
            with _locked(path) as old:
                return _rewrite(path, old, Counter(unwanted))
        except OSError as error:
            raise self._failure("rewrite", error) from None

    def _failure(self, verb: str, error: OSError) -> FlowError:
        return FlowError(f"cannot {verb} failed file '{self.path}': {error.strerror or error}")


def key_of(record: Record) -> bytes:
    """Return the key of a line of the file: a digest of its bytes, 16 bytes long."""
    return _digest(record.line)


def _digest(line: bytes) -> bytes:
    # A replay may have thousands of events in flight; the lines themselves would take megabytes.
    return blake2b(line, digest_size=16).digest()


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open and lock the file at `path`, so that nobody appends to it while the block runs."""
    while True:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            there = path.stat()
            ours = os.fstat(file.fileno())
            # Another flow-failed may have replaced the file while this one waited for its lock.
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                yield file
                return


def _keep_late_lines(old: BinaryIO, path: Path) -> None:
    """Append to the new file at `path` what has come to the `old` one since it was copied.

    flow-work waits for the lock, and then notices the new file. A shell's `>>` does neither.
    """
    if late := old.read():
        with path.open("ab", buffering=0) as new:
            new.write(late)
            os.fsync(new.fileno())


def _rewrite(path: Path, old: BinaryIO, unwanted: Counter[bytes]) -> int:
    removed = 0
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as new:
            status = os.fstat(old.fileno())
            os.fchmod(fd, status.st_mode & 0o7777)
            # Only root may give a file away. The new file must still be one that flow-work, which
            # may run as another user, can append to.
            with suppress(PermissionError):
                os.fchown(fd, status.st_uid, status.st_gid)
            for line in old:
                key = _digest(line.rstrip(b"\r\n"))
                if unwanted[key] > 0:
                    unwanted[key] -= 1
                    removed += 1
                else:
                    new.write(line)
            new.flush()
            os.fsync(fd)
        Path(name).replace(path)
        _keep_late_lines(old, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    # The rename is safe against a loss of power only once the directory is on the disk.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return removed
