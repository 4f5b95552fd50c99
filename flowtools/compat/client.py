"""The client with its old methods: GET, PUT, POST and DELETE of a link or an address.

The methods stand on flowtools.vizone.Client, which retries, keeps a session and never sends the
password to another host. Its errors become HTTPClientError and HTTPServerError, since old code
catches these and looks at `error.response.status_code`.

A PUT of an entry writes only what was changed (`_put_entry`): if the entry came in a message it is
first brought up to date (merge.py). The PUT carries the etag of the entry, and after a conflict
an entry from a message is read and merged again. A PUT of the whole entry as it was read would undo
what others have changed meanwhile.
"""

import time
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from flowtools.compat.document import Document, as_sent
from flowtools.compat.merge import Collision, rebase
from flowtools.compat.payload import Payload
from flowtools.compat.service import ServiceDocument
from flowtools.core.described import Described
from flowtools.core.errors import FlowError, ProtocolError, RefusedError, UnreachableError
from flowtools.vizone.answer import answer_of
from flowtools.vizone.atom import ENTRY_TYPE
from flowtools.vizone.client import Client as VizOne
from flowtools.vizone.conflict import Backoff
from flowtools.vizone.document import Element, parse
from flowtools.vizone.errors import ConflictError, NotFoundError
from flowtools.vizone.transport import SECONDS

# Statuses for errors that came without an answer of the server; the first kind that fits counts.
_STATUS: tuple[tuple[type[FlowError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (RefusedError, 403),
    (UnreachableError, 503),
)


@dataclass(frozen=True)
class Raw:
    """A document as it is sent: its bytes and their media type."""

    document: bytes
    content_type: str

    def generate(self) -> bytes:
        """Return the document."""
        return self.document


class Response(Described):
    """An answer of the server.

    Attributes:
        status_code: HTTP status; 409 for every conflict (also for 412 and 428).
        content: Body, in bytes.
        headers: Headers; the case of their names does not matter.
        url: Address that answered.
    """

    FACTS = ("status_code", "url")

    def __init__(self, status_code: int, content: bytes, headers: Any, url: str) -> None:
        self.status_code = status_code
        self.content = content
        self.headers = headers
        self.url = url

    def __bool__(self) -> bool:
        """Return whether the status is below 400, as in the library requests, which it replaces."""
        return self.status_code < 400

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.content.decode("utf-8", "replace")

    @property
    def etag(self) -> str | None:
        """The etag, if the answer has one."""
        found: str | None = self.headers.get("ETag")
        return found


class HTTPClientError(ProtocolError):
    """The server refuses the request (4xx); `response` is its answer."""

    def __init__(self, response: Response, said: str = "") -> None:
        super().__init__(said or f"status {response.status_code}")
        self.response = response


class HTTPServerError(UnreachableError):
    """The server failed (5xx), or could not be reached; `response` has the status, or 503."""

    def __init__(self, response: Response, said: str = "") -> None:
        super().__init__(said or f"status {response.status_code}")
        self.response = response


class _CollisionError(HTTPClientError):
    """Both sides have changed the same part: unlike other conflicts, a new try does not help."""


class Session:
    """Stands for the session of the library requests: old code sets its `auth`, the login."""

    _client: "Client"

    def __init__(self, client: "Client") -> None:
        object.__setattr__(self, "_client", client)

    @property
    def auth(self) -> tuple[str, str]:
        """User and password; a new value takes effect with the next request."""
        account = self._client.one.account
        return account.user, account.password

    @auth.setter
    def auth(self, login: tuple[str, str]) -> None:
        user, password = login
        self._client.log_in(user, password)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "auth":
            raise AttributeError(
                f"cannot set 'client.session.{name}': only 'auth' can be set; certificates,"
                " time-outs and the like are in the profile's section [Viz One]"
            )
        object.__setattr__(self, name, value)


class Client(Described):
    """A connection to Viz One with the methods that applications of the older Flow call.

    `link` is a Link or an address in all methods. Of `headers` only Content-Type, Accept, If-Match
    and X-Inline are sent. With `check_status=False` an error status does not raise an exception.

    Attributes:
        one: The client of flowtools.vizone that sends the requests.
        session: Stands for python-one's session; only its `auth` can be set.
    """

    FACTS = ("one",)

    def __init__(self, one: VizOne, seconds: float = SECONDS) -> None:
        """Wrap `one`; requests with another login (`log_in`) wait `seconds` for an answer, too."""
        self.one = one
        self.session = Session(self)
        self._seconds = seconds
        self._given = one
        self._known = {one.account: one}
        self._logging_in = Lock()

    def log_in(self, user: str, password: str) -> None:
        """Send requests as another user from now on; other holders of `one` are not affected."""
        account = replace(self.one.account, user=user, password=password)
        # Clients are kept: plugins set the login for each document, and each client has sockets.
        with self._logging_in:
            if account not in self._known:
                self._known[account] = VizOne(account, seconds=self._seconds)
            self.one = self._known[account]

    def close(self) -> None:
        """Close the connections of other logins; `one` belongs to whoever made it."""
        for each in self._known.values():
            if each is not self._given:
                each.close()

    @property
    def servicedoc(self) -> ServiceDocument:
        """The service document: collections by keyword. Read once and kept."""
        return ServiceDocument(self.one)

    def GET(self, link: Any, headers: Any = None, check_status: bool = True) -> Response:  # noqa: N802
        """Send a GET and return the answer.

        Raises:
            HTTPClientError: The server refuses the request, or there is no link (status 404).
            HTTPServerError: The server failed or could not be reached.
        """
        return self._send("GET", link, headers, check_status=check_status)

    def PUT(  # noqa: N802
        self,
        link: Any,
        body: Any = None,
        headers: Any = None,
        etag: str | None = None,
        check_status: bool = True,
    ) -> Response:
        """Send a PUT and return the answer.

        With `etag` the PUT is conditional on it. Without `etag`, an Item or Payload that was read
        with an etag is sent on that condition, and an entry that came in a message is merged into
        the stored entry first; see document.py.

        Raises:
            HTTPClientError: As for GET; status 409 for a conflict.
            HTTPServerError: As for GET.
        """
        if isinstance(body, Document) and body.is_at(_url(link) or ""):
            if etag is None:
                return self._put_entry(link, body, headers, check_status=check_status)
            # The caller knows the condition, so nothing is merged.
            body = Raw(body.for_put(), body.content_type)
        if isinstance(body, Payload) and etag is None:
            etag = body.response_etag
        answer = self._send("PUT", link, headers, body, etag, check_status=check_status)
        if isinstance(body, Payload) and answer.status_code < 400:
            # Old code may change the same payload and PUT it again.
            body.response_etag = answer.etag
        return answer

    def POST(  # noqa: N802
        self, link: Any, body: Any = None, headers: Any = None, check_status: bool = True
    ) -> Response:
        """Send a POST and return the answer; raises as GET."""
        return self._send("POST", link, headers, body, check_status=check_status)

    def DELETE(self, link: Any, headers: Any = None, check_status: bool = True) -> Response:  # noqa: N802
        """Send a DELETE and return the answer; raises as GET."""
        return self._send("DELETE", link, headers, check_status=check_status)

    def _put_entry(
        self, link: Any, entry: Document, headers: Any, *, check_status: bool
    ) -> Response:
        backoff = Backoff()
        for attempt in range(1, backoff.tries + 1):
            begun = time.monotonic()
            body, changes = entry.for_put(), entry.changes()
            etag = entry.response_etag
            try:
                if changes is not None and etag is None:
                    body, etag = self._rebased(link, *changes)
                sent = Raw(body, entry.content_type)
                answer = self._send("PUT", link, headers, sent, etag, check_status=True)
            except HTTPClientError as error:
                is_stale = error.response.status_code == 409 and changes is not None
                may_help = not isinstance(error, _CollisionError) and attempt < backoff.tries
                if is_stale and may_help:
                    entry.response_etag = None  # Outdated: the next try reads the stored entry.
                    backoff.wait(attempt, time.monotonic() - begun)
                    continue
                if check_status:
                    raise
                return error.response
            except HTTPServerError as error:
                if check_status:
                    raise
                return error.response
            # Some answers to a PUT are empty; then the entry is what was sent.
            content = answer.content if answer.content.strip() else body
            entry.stored(parse(content, name=answer.url), answer.etag)
            return answer
        raise AssertionError("unreachable: the last try returns or raises")

    def _rebased(self, link: Any, base: Element, mine: Element) -> tuple[bytes, str | None]:
        now = self._send("GET", link, {"Accept": ENTRY_TYPE}, check_status=True)
        try:
            root = rebase(base, mine, parse(now.content, name=now.url))
        except Collision as part:
            raise _CollisionError(
                Response(409, b"", {}, now.url),
                f"cannot PUT '{now.url}': somebody else has changed its '{part}', too; read it"
                " again and repeat the change",
            ) from None
        return as_sent(root), now.etag

    def _send(
        self,
        method: str,
        link: Any,
        headers: Any,
        body: Any = None,
        etag: str | None = None,
        *,
        check_status: bool,
    ) -> Response:
        url = _url(link)
        if url is None:
            # A deleted asset has no links. A caller who handles 404 handles this, too.
            missing = Response(404, b"", {}, "")
            if not check_status:
                return missing
            raise HTTPClientError(missing, f"cannot {method}: there is no link")
        # Only what `request` has an argument for; see the class.
        given = {str(name).lower(): str(said) for name, said in dict(headers or {}).items()}
        content, type = _content(body)
        try:
            answer = self.one.request(
                method,
                url,
                body=content,
                content_type=given.get("content-type", type),
                accept=given.get("accept", "*/*"),
                etag=etag or given.get("if-match"),
                inline=[each for each in given.get("x-inline", "").split(", ") if each],
            )
        except FlowError as error:
            response = _response_of(error, url)
            status = response.status_code
            if not check_status:
                return response
            kind = HTTPServerError if status >= 500 else HTTPClientError
            raise kind(response, str(error)) from error
        return Response(answer.status, answer.content, answer.headers, answer.url)


def _response_of(error: FlowError, url: str) -> Response:
    """Return the answer that caused `error`; an empty one if the server did not answer."""
    status = next((n for kind, n in _STATUS if isinstance(error, kind)), None)
    answer = answer_of(error)
    if answer is None:
        return Response(status or 400, b"", {}, url)
    if isinstance(error, ConflictError):
        return Response(409, answer.content, answer.headers, answer.url)
    return Response(answer.status, answer.content, answer.headers, answer.url)


def _url(link: Any) -> str | None:
    url = getattr(link, "href", link)
    return url if isinstance(url, str) else None


def _content(body: Any) -> tuple[bytes | None, str | None]:
    if body is None:
        return None, None
    if isinstance(body, str | bytes):
        return (body.encode() if isinstance(body, str) else body), None
    if not hasattr(body, "generate"):
        raise TypeError(
            f"cannot send {type(body).__name__}: expected bytes, text, or something with generate()"
        )
    return body.generate(), body.content_type
