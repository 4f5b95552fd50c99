"""The rows that can still be shown: the last ones, and the last ones that a search has found."""

from collections import deque
from itertools import islice

from flowtools.view.columns import Row

KEPT = 10_000
"""Maximum number of rows that are kept, and separately of rows that a search has found."""


class History:
    """A limited number of rows, oldest first.

    Attributes:
        search: Text that is searched for; empty: no search, all rows are shown.
    """

    def __init__(self, search: str = "", kept: int = KEPT) -> None:
        self.search = search
        self._kept = kept
        self._all: deque[Row] = deque(maxlen=kept)
        self._found: deque[Row] = deque(maxlen=kept)

    def add(self, row: Row) -> None:
        """Add `row` as the newest one."""
        self._all.append(row)
        # Kept separately, so that frequent rows do not push out the rare ones that were found.
        if self.search and row.holds(self.search.lower()):
            self._found.append(row)

    def look_for(self, text: str) -> None:
        """Show only rows that contain `text`, in upper or lower case; all rows if it is empty."""
        # While a user types, each letter narrows the search. The rows found so far then suffice,
        # and they may be older than all those in `_all`.
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
        """Return `number` rows, oldest first, that come just before the `skip` newest ones."""
        rows = self._found if self.search else self._all
        return list(islice(reversed(rows), skip, skip + number))[::-1]
