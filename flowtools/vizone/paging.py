"""Reads a feed page by page, and misses no entry although the feed changes meanwhile.

A page leads to the next one by a `next` link or, without one, by the number of its first entry (the
query parameter `start`, counted from 1).

If entries are added before the position that has been reached, some entries are seen twice, which
does no harm. If entries are deleted there, later entries move forward, and a page that begins where
the previous one ended would miss them. So each page begins one entry earlier: with the last entry
of the previous page. If the new page shows none of the previous one's entries, more of them were
deleted, and the reader goes further back, by 2, 4, 8 ... entries, until the pages overlap.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flowtools.core.errors import ProtocolError
from flowtools.vizone.atom import Feed
from flowtools.vizone.document import integer

Read = Callable[[str], Feed]
"""A function that reads the page at an address."""


def walk(read: Read, url: str) -> Iterator[Feed]:
    """Yield the pages of the feed at `url`; a page is read when it is asked for.

    If the pages have a `start` number, every entry that is in the feed all the time is yielded,
    however the feed changes meanwhile. Some entries may be yielded twice.
    """
    pages = _Overlapping(read)
    # Addresses that have been read: a server whose links lead in a circle must not keep the reader
    # going forever.
    known: set[str] = set()
    before: _Shown | None = None
    here: str | None = url
    while here is not None and here not in known:
        known.add(here)
        if before is None:
            page = read(here)
        else:
            page, here, is_back = pages.read_on(before, here)
            # After going back the following addresses are read a second time.
            if is_back:
                known.clear()
        shown = _Shown.by(page)
        if before is not None and shown.is_same(before):
            return
        following = next_page(page, here, len(page.entries))
        yield page if before is None else _without(page, before)
        before, here = shown, following if shown.names else None


@dataclass(frozen=True)
class _Shown:
    """What a page shows.

    Attributes:
        start: Position of the page's first entry, from 1; 0 if it is not known.
        names: The id and the time of each entry, and then of each tombstone.
    """

    start: int
    names: tuple[tuple[str | None, str | None], ...]

    @classmethod
    def by(cls, page: Feed) -> "_Shown":
        entries = [(each.id, each.updated) for each in page.entries]
        tombstones = [(each.ref, each.when) for each in page.tombstones]
        return cls(page.start or 0, (*entries, *tombstones))

    @property
    def ids(self) -> set[str]:
        return {id for id, _ in self.names if id is not None}

    def is_same(self, before: "_Shown") -> bool:
        """Return whether this is the page `before` again: the server ignores the position.

        A page with a higher start is not the same, although it shows the same entries: as many
        entries as a page holds may have been added before them.
        """
        same = [id for id, _ in self.names] == [id for id, _ in before.names]
        return bool(self.names) and same and self.start <= before.start


class _Overlapping:
    """Reads each page so that it overlaps with the previous one.

    Some servers may only accept the start of a whole page. After the first attempt such a server is
    read without overlap.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._possible = True

    def read_on(self, before: _Shown, following: str) -> tuple[Feed, str, bool]:
        """Return the page after `before`, the address it was read from, and whether it is far back.

        Args:
            before: The previous page.
            following: Address of the next page, if nothing has changed.

        The third value is true if the page begins more than one entry before `following`.
        """
        start = integer(dict(parse_qsl(urlsplit(following).query)).get("start"))
        # A page with a single entry would overlap completely, and look like the same page again.
        if start is not None and len(before.ids) > 1 and self._possible:
            found = self._connected(before, following, start)
            if found is not None:
                return found
            self._possible = False
        return self._read(following), following, False

    def _connected(
        self, before: _Shown, following: str, start: int
    ) -> tuple[Feed, str, bool] | None:
        """Return a page that overlaps with `before`, as `read_on`; None if the server has none."""
        back = 1
        while True:
            place = max(1, start - back)
            address = with_query(following, {"start": str(place)})
            try:
                page = self._read(address)
            except ProtocolError:
                if back > 1:
                    raise
                # The server may refuse a start that is not that of a whole page.
                return None
            shown = _Shown.by(page)
            if shown.is_same(before):
                return None
            if place == 1 or not before.ids.isdisjoint(shown.ids):
                return page, address, back > 1
            back *= 2


def _without(page: Feed, before: _Shown) -> Feed:
    """Return `page` without the entries that `before` has shown in the same state."""
    for entry in page.entries:
        if entry.id is not None and (entry.id, entry.updated) in before.names:
            page.element.remove(entry.element)
    return page


def next_page(page: Feed, here: str, entries: int) -> str | None:
    """Return the address of the page after `page`, which came from `here`; None at the end."""
    following = page.link("next")
    if following is not None:
        return following
    total, per_page = page.total, page.per_page
    after = (_start(page, here) or 1) + (per_page or entries)
    if total is None or after > total:
        return None
    return with_query(here, {"start": str(after)})


def with_query(url: str, query: dict[str, str]) -> str:
    """Return `url` with the parameters of `query` added to its own, or in their place."""
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit(parts._replace(query=urlencode(given | query)))


def _start(page: Feed, here: str) -> int | None:
    """Return the position of the first entry of `page`, from 1, by the page or by its address."""
    return page.start or integer(dict(parse_qsl(urlsplit(here).query)).get("start"))
