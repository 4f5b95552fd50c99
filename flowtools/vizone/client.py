"""The client: one Viz One, its service document, and whatever its links lead to."""

import functools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import ParamSpec, Self, TypeVar
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from flowtools.errors import ProtocolError
from flowtools.vizone.account import Account
from flowtools.vizone.assets import Assets
from flowtools.vizone.atom import (
    APP,
    ATOM,
    ENTRY_TYPE,
    FEED_TYPE,
    VDF,
    Entry,
    Feed,
    as_entry,
    as_feed,
)
from flowtools.vizone.document import Element, parse, serialise
from flowtools.vizone.errors import ConflictError, NotFoundError
from flowtools.vizone.files import Files
from flowtools.vizone.metadata import PAYLOAD_TYPE, Payload
from flowtools.vizone.transport import PAUSES, SECONDS, Answer, Transport

P = ParamSpec("P")
T = TypeVar("T")

TRIES = 3
"""How often a change is applied before a conflict is an error."""


@dataclass(frozen=True)
class Collection:
    """A collection of the service document: its address, and its keywords in lower case."""

    href: str
    keywords: frozenset[str]


class Client:
    """A Viz One; one client serves all threads.

    Attributes:
        account: Where it is, and the login.
    """

    def __init__(
        self,
        account: Account,
        *,
        seconds: float = SECONDS,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            account: Where to log in, and as whom.
            seconds: How long an answer may take.
            pauses: Seconds before each further try of a request that may be repeated.

        Raises:
            ConfigurationError: The account's CA file cannot be used.
        """
        self.account = account
        self._transport = Transport(account, seconds=seconds, pauses=pauses)
        self._collections: list[Collection] | None = None
        self._asking = Lock()

    @classmethod
    def from_environment(cls) -> "Client":
        """Make a client for VIZONE_URL, VIZONE_USER and VIZONE_PASSWORD.

        Raises:
            ConfigurationError: One is missing or makes no sense.
        """
        return cls(Account.from_environment())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @cached_property
    def assets(self) -> Assets:
        """The assets."""
        return Assets(self)

    @cached_property
    def files(self) -> Files:
        """The unmanaged files of the import storages."""
        return Files(self)

    def collections(self) -> list[Collection]:
        """Return the collections of the service document, which is read once."""
        with self._asking:
            if self._collections is None:
                base = self.account.url.removesuffix("/thirdparty")
                root = self.get(f"{base}/thirdparty", accept="*/*")
                self._collections = list(_collections(root))
            return self._collections

    def collection(self, *keywords: str) -> str:
        """Return the address of the collection with the first of `keywords` that is known.

        Raises:
            ProtocolError: There is none.
        """
        found = self.collections()
        for keyword in keywords:
            for each in found:
                if keyword in each.keywords:
                    return each.href
        raise ProtocolError(
            f"cannot use '{self.account.url}': it has no '{keywords[0]}' collection"
        )

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        content_type: str | None = None,
        accept: str | None = None,
        etag: str | None = None,
    ) -> Answer:
        """Send any request; for the errors, see Transport.send.

        With an `etag` it is conditional: the resource must be the one that has it.
        """
        given = {"Content-Type": content_type, "Accept": accept, "If-Match": etag}
        headers = {name: value for name, value in given.items() if value is not None}
        return self._transport.send(method, url, body=body, headers=headers)

    def get(self, url: str, *, accept: str) -> Element:
        """Return the root of the XML document at `url`."""
        answer = self.request("GET", url, accept=accept)
        return parse(answer.content, name=answer.url)

    def feed(self, url: str) -> Feed:
        """Return the feed at `url`: one page of it."""
        return as_feed(self.get(url, accept=FEED_TYPE), url)

    def pages(self, url: str) -> Iterator[Feed]:
        """Yield the pages of the feed at `url`, each read when it is asked for."""
        seen: set[str] = set()
        first_ids: set[str | None] = set()
        here: str | None = url
        while here is not None and here not in seen:
            seen.add(here)
            page = self.feed(here)
            entries = page.entries
            # A server that ignores `start` gives its first page for ever.
            if entries and entries[0].id is not None and entries[0].id in first_ids:
                return
            yield page
            if not entries:
                return
            first_ids.add(entries[0].id)
            here = _next_page(page, here, len(entries))

    def entry(self, url: str) -> Entry:
        """Return the entry at `url`, with its etag."""
        answer = self.request("GET", url, accept=ENTRY_TYPE)
        return self._entry(answer)

    def create(self, url: str, entry: Entry) -> Entry:
        """Post `entry` to a collection; return the entry that was made."""
        body = serialise(entry.element)
        return self._entry(self.request("POST", url, body=body, content_type=ENTRY_TYPE))

    def update(self, entry: Entry) -> Entry:
        """Put `entry` where it is edited, if nobody has changed it since; return what is stored.

        Raises:
            ConflictError: It has changed.
        """
        url = entry.follow("edit", "self")
        body = serialise(entry.element)
        answer = self.request("PUT", url, body=body, content_type=ENTRY_TYPE, etag=entry.etag)
        return self._entry(answer) if answer.content.strip() else self.entry(url)

    def delete(self, entry: Entry) -> None:
        """Delete what `entry` stands for; it is no error if it is gone already."""
        try:
            self.request("DELETE", entry.follow("delete", "edit", "self"))
        except NotFoundError:
            return  # What was wanted; a repeated request finds it so, too.

    def metadata(self, url: str) -> Payload:
        """Return the metadata at `url`, the `describedby` link of an entry.

        Raises:
            NotFoundError: There is none (yet, or any more).
        """
        answer = self.request("GET", url, accept=PAYLOAD_TYPE)
        return self._payload(answer, url)

    def put_metadata(self, payload: Payload) -> Payload:
        """Put `payload` back, if nobody has changed it since; return what is stored.

        Raises:
            ConflictError: It has changed; see retry_on_conflict.
        """
        if payload.url is None:
            raise ValueError("this payload has no address")
        answer = self.request(
            "PUT",
            payload.url,
            body=serialise(payload.element),
            content_type=PAYLOAD_TYPE,
            etag=payload.etag,
        )
        if not answer.content.strip():
            return self.metadata(payload.url)
        return self._payload(answer, payload.url)

    def _entry(self, answer: Answer) -> Entry:
        root = parse(answer.content, name=answer.url)
        return as_entry(root, answer.url, answer.etag)

    def _payload(self, answer: Answer, url: str) -> Payload:
        root = parse(answer.content, name=answer.url)
        return Payload(root, url, answer.etag)


def retry_on_conflict(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that reads, changes and writes: a conflict calls it again.

    It is called up to TRIES times, so it has to read afresh each time.
    """

    @functools.wraps(function)
    def patient(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(1, TRIES):
            try:
                return function(*args, **kwargs)
            except ConflictError:
                # Those who collided come back apart.
                time.sleep(random.uniform(0, 0.05 * attempt))  # noqa: S311  no secret
        return function(*args, **kwargs)

    return patient


def _collections(service: Element) -> Iterator[Collection]:
    if service.tag != f"{{{APP}}}service":
        raise ProtocolError(f"cannot read '{service.base}': it is no service document")
    for each in service.iter(f"{{{APP}}}collection"):
        terms = {
            category.get("term", "").lower()
            for category in each.iter(f"{{{ATOM}}}category")
            if category.get("scheme") == VDF
        }
        href = each.get("href", "").strip()
        if href:
            yield Collection(urljoin(each.base or "", href), frozenset(terms))


def _next_page(page: Feed, here: str, entries: int) -> str | None:
    following = page.link("next")
    if following is not None:
        return following
    total, per_page = page.total, page.per_page
    parts = urlsplit(here)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    start = page.start or (int(query["start"]) if query.get("start", "").isdecimal() else 1)
    after = start + (per_page or entries)
    if total is None or after > total:
        return None
    query["start"] = str(after)
    return urlunsplit(parts._replace(query=urlencode(query)))
