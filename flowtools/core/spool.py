"""Keeps lines for later: in memory, and on disk once they are many."""

from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile

IN_MEMORY = 16 * 1024 * 1024
"""Maximum number of bytes kept in memory; more are kept in a temporary file without a name."""


class Spool:
    """A sequence of lines that is stored completely before the first line is read."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        """Store all `lines`, each with its newline.

        Raises:
            OSError: The temporary file cannot be written.
        """
        self._file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  `close` does it
        self._file.writelines(lines)

    def __iter__(self) -> Iterator[bytes]:
        """Yield all lines, beginning with the first."""
        self._file.seek(0)
        yield from self._file

    def close(self) -> None:
        """Forget the lines."""
        self._file.close()
