"""The errors that a command reports in one line, one class for each exit status."""

from enum import IntEnum


class Status(IntEnum):
    """Exit statuses, as in the EXIT STATUS section of every manual page.

    The numbers 69 to 78 have their meaning from sysexits.h(3).
    """

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 69
    INTERNAL = 70
    PROTOCOL = 76
    REFUSED = 77
    CONFIGURATION = 78
    READER_GONE = 141


class FlowError(Exception):
    """An error that the user can act on: one line on stderr, without a traceback.

    The message names what failed with the input in single quotes, the reason, and, if possible,
    what to do.
    """

    status = Status.FAILED


class EventsFailed(FlowError):
    """The command ran to its end, and some events failed."""


STALLED = "stopped before the reader accepted the last lines"
CUT = ", the first of which is cut off"


class ReaderStalled(FlowError):
    """The command has been asked to end, and the reader of stdout accepts nothing.

    Attributes:
        lines: Number of complete lines that were not written.
    """

    def __init__(self, lines: int, *, is_cut: bool = False) -> None:
        super().__init__(f"{STALLED}{CUT if is_cut else ''}")
        self.lines = lines


class UsageError(FlowError):
    """An argument or option is malformed: a URL, an expression, a time."""

    status = Status.USAGE


class UnreachableError(FlowError):
    """A broker or server does not answer; the same command may work later."""

    status = Status.UNREACHABLE


class InternalError(FlowError):
    """The command cannot continue because of a fault of its own."""

    status = Status.INTERNAL


class ProtocolError(FlowError):
    """The other side's answer violates its protocol."""

    status = Status.PROTOCOL


class RefusedError(FlowError):
    """The other side refused a login, a permission or a certificate."""

    status = Status.REFUSED


class ConfigurationError(FlowError):
    """Settings are missing or wrong, or a Worker or Source cannot be loaded."""

    status = Status.CONFIGURATION


def error_of(status: int, text: str) -> FlowError:
    """Return the error with this exit status; for one that another process has reported."""
    kinds = (UnreachableError, ProtocolError, RefusedError, ConfigurationError, InternalError)
    return next((kind for kind in kinds if kind.status == status), FlowError)(text)


class ReaderGone(Exception):
    """The reader of standard output has closed the pipe, so that nothing is left to do.

    Not a FlowError: the command ends without a message, with status READER_GONE.
    """
