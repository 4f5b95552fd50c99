"""Where the next page of a feed is: its `next` link, or a number to count on from.

A feed may change while it is read. What is put before the place that has been reached
shows entries again; what is taken away there lets others slide past it, unseen, and shows
in the total.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flowtools.vizone.atom import Feed
from flowtools.vizone.document import integer


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


def slid(page: Feed, before: Feed, here: str) -> str | None:
    """Return where to read again, if entries may have slid from `page` to before it.

    That is so where the feed has become shorter since the page `before` it. None, too,
    where the addresses of its pages have no number.
    """
    start = _start(page, here)
    if start is None or page.total is None or before.total is None or page.total >= before.total:
        return None
    return with_query(here, {"start": str(max(1, start - (before.total - page.total)))})


def is_same(page: Feed, before: Feed) -> bool:
    """Return whether `page` is the page `before` it: the server ignores what was asked.

    A page that says it is further on may show the same again, where as much has been put
    before it.
    """
    shown, shown_before = ([entry.id for entry in each.entries] for each in (page, before))
    return bool(shown) and shown == shown_before and (page.start or 0) <= (before.start or 0)


def with_query(url: str, query: dict[str, str]) -> str:
    """Return `url` with `query` added to, or instead of, what its query says."""
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit(parts._replace(query=urlencode(given | query)))


def _start(page: Feed, here: str) -> int | None:
    """Return the place of the first entry of `page`, from 1, where anything says it."""
    return page.start or integer(dict(parse_qsl(urlsplit(here).query)).get("start"))
