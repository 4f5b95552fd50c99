"""Errors for the answers of Viz One that a caller may want to handle.

An answer with a status of 400 or more is raised as an `HTTPError`. Each of its subclasses is also
one of the general errors, so that a command ends with the right exit status.
"""

from flowtools.core.errors import FlowError, ProtocolError, RefusedError, UnreachableError


class HTTPError(FlowError):
    """The server answered with a status of 400 or more.

    Attributes:
        http_status: The HTTP status (RFC 9110, section 15); None if the error was found without an
            answer. (`status` is the exit status of a command that ends with this error.)
        reason: The status in words and the server's explanation, in one short line.
        retry_after: Seconds from the arrival of the answer that the server asks to wait before the
            next request (RFC 9110, section 10.2.3); None if it does not ask.
    """

    http_status: int | None = None
    reason: str | None = None
    retry_after: float | None = None


class InvalidRequestError(HTTPError, ProtocolError):
    """The server does not accept this request: 400, 413, 415, 422 and most others below 500."""


class NotFoundError(HTTPError, ProtocolError):
    """There is no such resource, or no longer: 404 or 410."""


class ConflictError(HTTPError, ProtocolError):
    """Someone else has changed the resource since it was read: 409, 412 or 428."""


class NotAllowedError(HTTPError, RefusedError):
    """The login is wrong, or the user lacks the permission: 401 or 403."""


class BusyError(HTTPError, UnreachableError):
    """The server cannot answer now, but perhaps later: 429, or any status from 500."""
