"""The pages of a feed: each page's successor is its `next` link, or a number to count on from.

A feed may change while it is read. What is put before the place that has been reached
shows entries again; what is taken away there lets others slide past it, unseen. So each
page is asked for from the last entry of the page before it, and where it shows nothing of
that page, from further before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flowtools.core.errors import ProtocolError
from flowtools.vizone.atom import Feed
from flowtools.vizone.document import integer

Read = Callable[[str], Feed]
"""Reads the page at an address."""


def walk(read: Read, url: str) -> Iterator[Feed]:
    """Yield the pages of the feed at `url`, each read when it is asked for.

    What is there all the time is shown, however the feed changes meanwhile, provided that
    its pages are asked for by a `start` number; some of it may be shown twice.
    """
    pages = _Overlapping(read)
    known: set[str] = set()
    before: _Shown | None = None
    here: str | None = url
    while here is not None and here not in known:
        known.add(here)
        if before is None:
            page = read(here)
        else:
            page, here, is_back = pages.read_on(before, here)
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
    """What a page shows: its start, the id of each entry and tombstone with its time."""

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
        """Return whether this is the page `before`: the server ignores what was asked.

        A page that says it is further on may show the same again, where as much has been
        put before it.
        """
        same = [id for id, _ in self.names] == [id for id, _ in before.names]
        return bool(self.names) and same and self.start <= before.start


class _Overlapping:
    """Reads each page so that it shows something of the page before it."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._possible = True

    def read_on(self, before: _Shown, following: str) -> tuple[Feed, str, bool]:
        """Return the page after `before`, where it was read, and whether that lies further back.

        Where nothing has happened meanwhile it is the page at `following`.
        """
        start = integer(dict(parse_qsl(urlsplit(following).query)).get("start"))
        if start is not None and len(before.ids) > 1 and self._possible:
            found = self._connected(before, following, start)
            if found is not None:
                return found
            self._possible = False
        return self._read(following), following, False

    def _connected(
        self, before: _Shown, following: str, start: int
    ) -> tuple[Feed, str, bool] | None:
        """Return a page that goes on where `before` ends; None if the server gives none."""
        back = 1
        while True:
            place = max(1, start - back)
            address = with_query(following, {"start": str(place)})
            try:
                page = self._read(address)
            except ProtocolError:
                if back > 1:
                    raise
                return None  # It may take the start of a whole page only.
            shown = _Shown.by(page)
            if shown.is_same(before):
                return None
            if place == 1 or not before.ids.isdisjoint(shown.ids):
                return page, address, back > 1
            back *= 2


def _without(page: Feed, before: _Shown) -> Feed:
    """Return `page` without the entries that `before` has shown as they are."""
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
    """Return `url` with `query` added to, or instead of, what its query says."""
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit(parts._replace(query=urlencode(given | query)))


def _start(page: Feed, here: str) -> int | None:
    """Return the place of the first entry of `page`, from 1, where anything says it."""
    return page.start or integer(dict(parse_qsl(urlsplit(here).query)).get("start"))
