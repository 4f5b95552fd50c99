"""The Atom Publishing Protocol (RFC 5023): a service document, and what its links lead to.

No address is built here: the service document leads to the collections, their feeds to the entries,
and the links of an entry to everything else. What a program reads keeps its etag, which is sent
back with a change, so that the server can refuse a change of something that is out of date.
"""

from collections.abc import Collection as Some
from collections.abc import Iterator
from threading import Lock
from typing import Self

from flowtools.core.errors import ProtocolError
from flowtools.vizone.account import Account
from flowtools.vizone.answer import Answer
from flowtools.vizone.atom import ENTRY_TYPE, FEED_TYPE, Entry, Feed, as_entry, as_feed
from flowtools.vizone.conflict import Backoff
from flowtools.vizone.document import Element, parse, serialise
from flowtools.vizone.errors import NotFoundError
from flowtools.vizone.metadata import PAYLOAD_TYPE, Payload
from flowtools.vizone.paging import walk
from flowtools.vizone.service import (
    DESCRIPTION_TYPE,
    Collection,
    Template,
    read_description,
    read_service,
)
from flowtools.vizone.transport import PAUSES, SECONDS, Body, Transport


class AtomPub:
    """Reads and writes a server's collections, entries and metadata. Any thread may call it.

    Attributes:
        account: The server and the login.
        backoff: How a change that collides with somebody else's change is tried again.
    """

    def __init__(
        self,
        account: Account,
        *,
        seconds: float = SECONDS,
        pauses: tuple[float, ...] = PAUSES,
        hosts: Some[str] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            account: The server and the login.
            seconds: Maximum duration of an answer, in seconds; see Transport, as for the next two.
            pauses: Seconds to wait before each further try of a request that has failed.
            hosts: Other hosts, each HOST or HOST:PORT, to which links may lead; None: any host.
            backoff: How a change that collides with another is tried again; None: the default.

        Raises:
            ConfigurationError: The account's CA file or password file cannot be used.
        """
        self.account = account
        self.backoff = backoff or Backoff()
        self._transport = Transport(account, seconds=seconds, pauses=pauses, hosts=hosts)
        self._collections: list[Collection] | None = None
        self._descriptions: dict[str, Template] = {}
        self._asking = Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of '{self.account.user}' at '{self.account.url}'>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def service_url(self) -> str:
        """Address of the service document, whether or not the account's URL has its last part."""
        return self.account.url.removesuffix("/thirdparty") + "/thirdparty"

    def collections(self) -> list[Collection]:
        """Return the collections of the service document, which is read once."""
        # The lock is held during the request, so that threads that start together send one.
        with self._asking:
            if self._collections is None:
                self._collections = read_service(self.get(self.service_url, accept="*/*"))
            return self._collections

    def collection(self, *keywords: str) -> str:
        """Return the address of a collection: the first of `keywords` that the server knows.

        Raises:
            ProtocolError: The server has no such collection.
        """
        found = self.collections()
        for keyword in keywords:
            for each in found:
                if keyword in each.keywords:
                    return each.href
        raise ProtocolError(
            f"cannot use '{self.account.url}': it has no '{keywords[0]}' collection"
        )

    def template(self, keyword: str, id: str) -> Template:
        """Return the resolve template `id` of the collection with `keyword`.

        Raises:
            ProtocolError: The server has no such template.
        """
        for each in self.collections():
            if keyword in each.keywords and id in each.templates:
                return each.templates[id]
        raise ProtocolError(
            f"cannot use '{self.account.url}': its '{keyword}' collection has no template '{id}'"
        )

    def search_template(self, keyword: str) -> Template | None:
        """Return the template for searching the collection with `keyword`, which is read once.

        None if the collection has no search link.
        """
        for each in self.collections():
            if keyword in each.keywords and each.search is not None:
                if each.search not in self._descriptions:
                    root = self.get(each.search, accept=DESCRIPTION_TYPE)
                    self._descriptions[each.search] = read_description(root)
                return self._descriptions[each.search]
        return None

    def request(
        self,
        method: str,
        url: str,
        *,
        body: Body = None,
        content_type: str | None = None,
        accept: str | None = None,
        etag: str | None = None,
        inline: Some[str] = (),
    ) -> Answer:
        """Send a request and return the answer.

        Args:
            method: The HTTP method.
            url: The address.
            body: The body; None: without one.
            content_type: Media type of the body.
            accept: Media type of the answer.
            etag: The server must refuse the request unless the resource still has this etag.
            inline: Relations of links whose documents the server should embed in its answer.

        Raises:
            FlowError: The errors of Transport.send.
        """
        given = {
            "Content-Type": content_type,
            "Accept": accept,
            "If-Match": etag,
            "X-Inline": ", ".join(inline) or None,
        }
        headers = {name: value for name, value in given.items() if value is not None}
        return self._transport.send(method, url, body=body, headers=headers)

    def get(self, url: str, *, accept: str) -> Element:
        """Return the root of the XML document at `url`."""
        return _parsed(self.request("GET", url, accept=accept))

    def feed(self, url: str) -> Feed:
        """Return the feed at `url`, which may be one page of several."""
        answer = self.request("GET", url, accept=FEED_TYPE)
        return as_feed(_parsed(answer), url, answer.served)

    def pages(self, url: str) -> Iterator[Feed]:
        """Yield the pages of the feed at `url`; a page is read when it is asked for.

        However the feed changes meanwhile, an entry that is in it all the time is yielded. Some
        entries may be yielded twice.
        """
        return walk(self.feed, url)

    def entry(self, url: str, inline: Some[str] = ()) -> Entry:
        """Return the entry at `url`, with its etag.

        The documents of the links `inline` are embedded if the server does that.
        """
        answer = self.request("GET", url, accept=ENTRY_TYPE, inline=inline)
        return self._entry(answer)

    def create(self, url: str, entry: Entry) -> Entry:
        """Post `entry` to the collection at `url`; return the entry that was created."""
        body = serialise(entry.element)
        return self._entry(self.request("POST", url, body=body, content_type=ENTRY_TYPE))

    def update(self, entry: Entry) -> Entry:
        """Send the changed `entry` to its edit link; return the entry that is stored now.

        Raises:
            ConflictError: Somebody has changed it since it was read.
        """
        url = entry.follow("edit", "self")
        body = serialise(entry.element)
        answer = self.request("PUT", url, body=body, content_type=ENTRY_TYPE, etag=entry.etag)
        # RFC 5023 lets a server answer without the entry.
        return self._entry(answer) if answer.content.strip() else self.entry(url)

    def delete(self, entry: Entry, *, missing_ok: bool = True) -> None:
        """Delete the resource that `entry` describes.

        Raises:
            NotFoundError: There is no such resource any more, and `missing_ok` is false.
        """
        try:
            self.request("DELETE", entry.follow("delete", "edit", "self"))
        except NotFoundError:
            # A DELETE whose answer was lost is sent again, and then finds nothing.
            if not missing_ok:
                raise

    def metadata(self, url: str) -> Payload:
        """Return the metadata at `url`, the `describedby` link of an entry.

        Raises:
            NotFoundError: There is no metadata (yet, or any more).
        """
        answer = self.request("GET", url, accept=PAYLOAD_TYPE)
        return self._payload(answer, url)

    def put_metadata(self, payload: Payload) -> Payload:
        """Send the changed `payload` back; return the metadata that is stored now.

        Raises:
            ConflictError: Somebody has changed it since it was read; see retry_on_conflict.
            ValueError: The payload has no address, because it was not read from one.
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
        return as_entry(_parsed(answer), answer.url, answer.etag)

    def _payload(self, answer: Answer, url: str) -> Payload:
        return Payload(_parsed(answer), url, answer.etag)


def _parsed(answer: Answer) -> Element:
    return parse(answer.content, name=answer.url, media_type=answer.headers.get("Content-Type"))
