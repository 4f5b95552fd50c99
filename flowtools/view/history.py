"""The rows that can still be looked at: the last ones, and those that a search finds."""

from collections import deque
from itertools import islice

from flowtools.view.columns import Row

KEPT = 10_000
"""Maximum number of rows that are kept, and again of rows that a search has found."""


class History:
    """Rows, oldest first; bounded.

    Attributes:
        search: What is searched for; empty: nothing.
    """

    def __init__(self, search: str = "", kept: int = KEPT) -> None:
        self.search = search
        self._kept = kept
        self._all: deque[Row] = deque(maxlen=kept)
        self._found: deque[Row] = deque(maxlen=kept)

    def add(self, row: Row) -> None:
        """Keep `row`."""
        self._all.append(row)
        # Kept separately, so that frequent rows do not push out the rare ones that were found.
        if self.search and row.holds(self.search.lower()):
            self._found.append(row)

    def look_for(self, text: str) -> None:
        """Show only rows that hold `text`, in whatever case; all if it is empty."""
        is_narrower = bool(self.search) and text.startswith(self.search)
        rows = self._found if is_narrower else self._all
        self.search = text
        wanted = text.lower()
        self._found = deque((row for row in rows if row.holds(wanted)), self._kept)

    def clear(self) -> None:
        """Forget all rows."""
        self._all.clear()
        self._found.clear()

    def __len__(self) -> int:
        return len(self._found if self.search else self._all)

    def last(self, number: int, skip: int = 0) -> list[Row]:
        """Return the last `number` rows before the `skip` very last ones, oldest first."""
        rows = self._found if self.search else self._all
        return list(islice(reversed(rows), skip, skip + number))[::-1]
