"""Lines that are kept for later: in memory, and on disk once they are many."""

from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile

IN_MEMORY = 16 * 1024 * 1024
"""Bytes that are kept in memory; more go into a temporary file that has no name."""


class Spool:
    """Lines, all of which were there before the first of them is read."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        """Take all `lines`, each with its newline.

        Raises:
            OSError: The temporary file cannot be written.
        """
        self._file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  `close` does it
        self._file.writelines(lines)

    def __iter__(self) -> Iterator[bytes]:
        """Yield every line, from the first one on."""
        self._file.seek(0)
        yield from self._file

    def close(self) -> None:
        """Forget the lines."""
        self._file.close()
