"""What Viz One may answer that a caller can act on, beside the errors of every command."""

from flowtools.core.errors import ProtocolError


class NotFoundError(ProtocolError):
    """There is no such resource, or no longer: 404 or 410."""


class ConflictError(ProtocolError):
    """Someone else has changed the resource since it was read: 409, 412 or 428."""
