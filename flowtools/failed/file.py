"""The failed file: its events are read one by one, and taken out together.

flow-work may append to the file at any moment. To take events out, a file without them is
written beside it and put in its place while a lock is held (flock(2)); flow-work writes each
line under that lock, to whatever file is at the path then (`pool/appendfile.py`). A process
that is killed in between leaves the old file or the new one, never a part.

Events to take out are recognised by their bytes, not by their place, so it does not matter
whether another flow-failed has rewritten the file meanwhile.
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

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.path)

    @contextmanager
    def opened(self, stop: Stop | None = None, *, most: int | None = None) -> Iterator[Self]:
        """Yield this object: a file need not be opened to be looked at."""
        yield self

    def descriptors(self) -> Sequence[HasFileno]:
        """Return no descriptors: a file needs no attention while it is open."""
        return ()

    def tend(self) -> None:
        """Do nothing; see `descriptors`."""

    def key_of(self, record: Record) -> bytes:
        """Return what a line is recognised by: 16 bytes made of all that it holds."""
        return key_of(record)

    def records(self) -> Iterator[Record]:
        """Yield every event that is in the file now, the oldest first.

        Events that are appended meanwhile are not yielded: a replay whose events fail again
        into the same file would never end.

        Raises:
            FlowError: The file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                left = os.fstat(file.fileno()).st_size
                for line in file:
                    left -= len(line)
                    if left < 0:
                        return
                    record = read_record(line)
                    if record is not None:
                        yield record
        except OSError as error:
            raise self._failure("read", error) from None

    def take_out(self, unwanted: Counter[bytes]) -> int:
        """Remove the lines with these keys (see `key_of`), each as often as it is counted.

        On return the new file is on the disk.

        Returns:
            How many lines were removed.

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
    """Return what a line of the file is recognised by: 16 bytes made of all that it holds."""
    return blake2b(record.line, digest_size=16).digest()


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open the file that is at `path`, and keep everyone from appending to it."""
    while True:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            there = path.stat()
            ours = os.fstat(file.fileno())
            # Another flow-failed may have put a new one there while this one waited.
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                yield file
                return


def _rewrite(path: Path, old: BinaryIO, unwanted: Counter[bytes]) -> int:
    removed = 0
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as new:
            status = os.fstat(old.fileno())
            os.fchmod(fd, status.st_mode & 0o7777)
            with suppress(PermissionError):
                os.fchown(fd, status.st_uid, status.st_gid)
            for line in old:
                key = blake2b(line.rstrip(b"\r\n"), digest_size=16).digest()
                if unwanted[key] > 0:
                    unwanted[key] -= 1
                    removed += 1
                else:
                    new.write(line)
            new.flush()
            os.fsync(fd)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return removed
