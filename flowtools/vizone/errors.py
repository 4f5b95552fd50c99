"""What Viz One may answer that a caller can act on, beside the errors of every command.

An answer with a status of 400 or more is raised as an `HTTPError`. Each of its classes is one of
the general errors, too, so that a command ends with the exit status that fits.
"""

from flowtools.core.errors import FlowError, ProtocolError, RefusedError, UnreachableError


class HTTPError(FlowError):
    """The server answered with a status of 400 or more.

    Attributes:
        http_status: That status (RFC 9110, section 15); None where the error was found out
            without an answer. (`status` is the exit status of a command that ends of it.)
        reason: The status in words, and what the server says about it, in one short line.
        retry_after: Seconds that the server asks to wait before the next request (RFC 9110,
            section 10.2.3), from the arrival of the answer on; None where it does not ask.
    """

    http_status: int | None = None
    reason: str | None = None
    retry_after: float | None = None


class InvalidRequestError(HTTPError, ProtocolError):
    """The server does not take this request: 400, 413, 415, 422 and most others below 500."""


class NotFoundError(HTTPError, ProtocolError):
    """There is no such resource, or no longer: 404 or 410."""


class ConflictError(HTTPError, ProtocolError):
    """Someone else has changed the resource since it was read: 409, 412 or 428."""


class NotAllowedError(HTTPError, RefusedError):
    """The login is wrong, or it may not do this: 401 or 403."""


class BusyError(HTTPError, UnreachableError):
    """The server cannot answer now: 429, and all from 500 on. The same may work later."""
