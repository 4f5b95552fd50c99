"""Where the next page of a feed is: its `next` link, or a number to count on from."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flowtools.vizone.atom import Feed


def next_page(page: Feed, here: str, entries: int) -> str | None:
    """Return the address of the page after `page`, which came from `here`; None at the end."""
    following = page.link("next")
    if following is not None:
        return following
    total, per_page = page.total, page.per_page
    query = dict(parse_qsl(urlsplit(here).query, keep_blank_values=True))
    start = page.start or (int(query["start"]) if query.get("start", "").isdecimal() else 1)
    after = start + (per_page or entries)
    if total is None or after > total:
        return None
    return with_query(here, {"start": str(after)})


def with_query(url: str, query: dict[str, str]) -> str:
    """Return `url` with `query` added to, or instead of, what its query says."""
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit(parts._replace(query=urlencode(given | query)))
