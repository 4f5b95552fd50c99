"""The client by its old methods: GET, PUT, POST and DELETE of a link or an address."""

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

_STATUS: tuple[tuple[type[FlowError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (RefusedError, 403),
    (UnreachableError, 503),
)


@dataclass(frozen=True)
class Raw:
    """A document that is ready to be sent."""

    document: bytes
    content_type: str

    def generate(self) -> bytes:
        """Return the document."""
        return self.document


class Response(Described):
    """An answer.

    Attributes:
        status_code: Its status; 409 for every conflict.
        content: Its body.
        headers: Its headers, whose names count without case.
        url: Where it came from.
    """

    FACTS = ("status_code", "url")

    def __init__(self, status_code: int, content: bytes, headers: Any, url: str) -> None:
        self.status_code = status_code
        self.content = content
        self.headers = headers
        self.url = url

    def __bool__(self) -> bool:
        """Return whether it went well, as requests has it."""
        return self.status_code < 400

    @property
    def text(self) -> str:
        """Its body as text, in UTF-8."""
        return self.content.decode("utf-8", "replace")

    @property
    def etag(self) -> str | None:
        """Its etag."""
        found: str | None = self.headers.get("ETag")
        return found


class HTTPClientError(ProtocolError):
    """The server says that the request cannot be done: 4xx; `response.status_code` has it."""

    def __init__(self, response: Response, said: str = "") -> None:
        super().__init__(said or f"status {response.status_code}")
        self.response = response


class HTTPServerError(UnreachableError):
    """The server, or the way to it, has failed: 5xx."""

    def __init__(self, response: Response, said: str = "") -> None:
        super().__init__(said or f"status {response.status_code}")
        self.response = response


class Session:
    """What code used to set on `client.session`: the login, and nothing else."""

    _client: "Client"

    def __init__(self, client: "Client") -> None:
        object.__setattr__(self, "_client", client)

    @property
    def auth(self) -> tuple[str, str]:
        """The user and the password; what is assigned counts from the next request on."""
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
    """A Viz One, as applications of the older Flow call it.

    Attributes:
        one: The same as flowtools has it.
        session: Stands for the session of requests that python-one had; see Session.
    """

    FACTS = ("one",)

    def __init__(self, one: VizOne, seconds: float = SECONDS) -> None:
        """Wrap `one`; a login of its own has `seconds` for each answer, too."""
        self.one = one
        self.session = Session(self)
        self._seconds = seconds
        self._given = one
        self._known = {one.account: one}
        self._logging_in = Lock()

    def log_in(self, user: str, password: str) -> None:
        """Send requests as another user from now on; other holders of `one` are not affected."""
        account = replace(self.one.account, user=user, password=password)
        with self._logging_in:
            if account not in self._known:
                self._known[account] = VizOne(account, seconds=self._seconds)
            self.one = self._known[account]

    def close(self) -> None:
        """Close the connections of its own logins."""
        for each in self._known.values():
            if each is not self._given:
                each.close()

    @property
    def servicedoc(self) -> ServiceDocument:
        """The collections of Viz One, found by their keywords; read once."""
        return ServiceDocument(self.one)

    def GET(self, link: Any, headers: Any = None, check_status: bool = True) -> Response:  # noqa: N802
        """Return the answer to a GET."""
        return self._send("GET", link, headers, check_status=check_status)

    def PUT(  # noqa: N802
        self,
        link: Any,
        body: Any = None,
        headers: Any = None,
        etag: str | None = None,
        check_status: bool = True,
    ) -> Response:
        """Return the answer to a PUT; with an etag it is conditional.

        Without one, what was read with an etag (an Item, a Payload) is put on that condition,
        and what a message carried is brought into what is stored: see `document`.
        """
        if isinstance(body, Document) and body.is_at(_url(link) or ""):
            if etag is None:
                return self._put_entry(link, body, headers, check_status=check_status)
            body = Raw(body.for_put(), body.content_type)
        if isinstance(body, Payload) and etag is None:
            etag = body.response_etag
        answer = self._send("PUT", link, headers, body, etag, check_status=check_status)
        if isinstance(body, Payload) and answer.status_code < 400:
            body.response_etag = answer.etag
        return answer

    def POST(  # noqa: N802
        self, link: Any, body: Any = None, headers: Any = None, check_status: bool = True
    ) -> Response:
        """Return the answer to a POST."""
        return self._send("POST", link, headers, body, check_status=check_status)

    def DELETE(self, link: Any, headers: Any = None, check_status: bool = True) -> Response:  # noqa: N802
        """Return the answer to a DELETE."""
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
                if (
                    error.response.status_code == 409
                    and changes is not None
                    and attempt < backoff.tries
                ):
                    entry.response_etag = None  # It is out of date: look at what is stored.
                    backoff.wait(attempt, time.monotonic() - begun)
                    continue
                if check_status:
                    raise
                return error.response
            except HTTPServerError as error:
                if check_status:
                    raise
                return error.response
            content = answer.content if answer.content.strip() else body
            entry.stored(parse(content, name=answer.url), answer.etag)
            return answer
        raise AssertionError("unreachable: the last try returns or raises")

    def _rebased(self, link: Any, base: Element, mine: Element) -> tuple[bytes, str | None]:
        now = self._send("GET", link, {"Accept": ENTRY_TYPE}, check_status=True)
        try:
            root = rebase(base, mine, parse(now.content, name=now.url))
        except Collision as part:
            raise HTTPClientError(
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
            # What has been deleted has no links; a caller who is ready for 404 is for that.
            missing = Response(404, b"", {}, "")
            if not check_status:
                return missing
            raise HTTPClientError(missing, f"cannot {method}: there is no link")
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
    """Return the answer that `error` stands for; an empty one where none has come."""
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
