"""The client by its old methods: GET, PUT, POST and DELETE of a link or an address."""

from types import SimpleNamespace
from typing import Any

from flowtools.core.errors import FlowError, ProtocolError, RefusedError, UnreachableError
from flowtools.vizone.client import Client as VizOne
from flowtools.vizone.errors import ConflictError, NotFoundError

_STATUS: tuple[tuple[type[FlowError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (RefusedError, 403),
    (UnreachableError, 503),
)


class Response:
    """An answer.

    Attributes:
        status_code: Its status; 409 for every conflict.
        content: Its body.
        headers: Its headers, whose names count without case.
        url: Where it came from.
    """

    def __init__(self, status_code: int, content: bytes, headers: Any, url: str) -> None:
        self.status_code = status_code
        self.content = content
        self.headers = headers
        self.url = url

    @property
    def etag(self) -> str | None:
        """Its etag."""
        found: str | None = self.headers.get("ETag")
        return found


class HTTPClientError(ProtocolError):
    """The server says that the request cannot be done: 4xx; `response.status_code` has it."""

    def __init__(self, response: Any, said: str = "") -> None:
        super().__init__(said or f"status {response.status_code}")
        self.response = response


class HTTPServerError(UnreachableError):
    """The server, or the way to it, has failed: 5xx."""

    def __init__(self, response: Any, said: str = "") -> None:
        super().__init__(said or f"status {response.status_code}")
        self.response = response


class Client:
    """A Viz One, as applications of the older Flow call it.

    Attributes:
        one: The same as flowtools has it.
        session: Something that holds what used to be set there; it has no effect.
    """

    def __init__(self, one: VizOne) -> None:
        self.one = one
        self.session = SimpleNamespace(auth=None)

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
        """Return the answer to a PUT; with an etag it is conditional."""
        return self._send("PUT", link, headers, body, etag, check_status=check_status)

    def POST(  # noqa: N802
        self, link: Any, body: Any = None, headers: Any = None, check_status: bool = True
    ) -> Response:
        """Return the answer to a POST."""
        return self._send("POST", link, headers, body, check_status=check_status)

    def DELETE(self, link: Any, headers: Any = None, check_status: bool = True) -> Response:  # noqa: N802
        """Return the answer to a DELETE."""
        return self._send("DELETE", link, headers, check_status=check_status)

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
        url = getattr(link, "href", link)
        if not isinstance(url, str):
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
            status = next((n for kind, n in _STATUS if isinstance(error, kind)), 400)
            response = Response(status, b"", {}, url)
            if not check_status:
                return response
            kind = HTTPServerError if status >= 500 else HTTPClientError
            raise kind(response, str(error)) from error
        return Response(answer.status, answer.content, answer.headers, answer.url)


def _content(body: Any) -> tuple[bytes | None, str | None]:
    if body is None:
        return None, None
    if isinstance(body, str | bytes):
        return (body.encode() if isinstance(body, str) else body), None
    return body.generate(), body.content_type
