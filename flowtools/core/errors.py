"""The errors a command reports in one line, one class for each exit status."""

from enum import IntEnum


class Status(IntEnum):
    """Exit statuses; the EXIT STATUS section of every man page quotes these.

    69 to 78 have the meaning that sysexits.h(3) gives them.
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
    """An error its reader can act on: one line on stderr, no traceback.

    The message names what failed, the subject in single quotes, the reason,
    and where there is one, what to do.
    """

    status = Status.FAILED


class EventsFailed(FlowError):
    """The command ran to its end, and some events failed."""


class ReaderStalled(FlowError):
    """The reader of stdout takes nothing, and the command has been asked to end.

    Attributes:
        lines: How many whole lines it has not been given.
    """

    def __init__(self, lines: int) -> None:
        super().__init__("stopped before the reader accepted the last lines")
        self.lines = lines


class UsageError(FlowError):
    """What was typed has a form that cannot be meant: a URL, an expression, a time."""

    status = Status.USAGE


class UnreachableError(FlowError):
    """A broker or server does not answer; the same command may work later."""

    status = Status.UNREACHABLE


class InternalError(FlowError):
    """The command itself cannot go on, by no fault of its input."""

    status = Status.INTERNAL


class ProtocolError(FlowError):
    """The other side answered with something that its protocol does not allow."""

    status = Status.PROTOCOL


class RefusedError(FlowError):
    """The other side understood and said no: login, permission, certificate."""

    status = Status.REFUSED


class ConfigurationError(FlowError):
    """Settings are missing or wrong, or a Worker or Source cannot be loaded."""

    status = Status.CONFIGURATION


class ReaderGone(Exception):
    """The reader of standard output has closed the pipe: there is no more to do."""
