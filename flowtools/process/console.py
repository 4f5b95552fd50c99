"""What a command says to people: lines on stderr, one a message, as text or JSON.

Library code logs to the standard `logging` module under the name "flowtools"; only a
command calls `configure`. Nothing here writes to stdout.
"""

import json
import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import Literal, NamedTuple

LogFormat = Literal["text", "json"]

# The last two ranges turn the direction of writing, so that a line reads as another.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

# sd-daemon(3): the severities of syslog(3).
_PRIORITIES = {logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


class Form(NamedTuple):
    """How messages are given; the arguments of `configure`."""

    command: str
    verbosity: int
    log_format: LogFormat


_form = Form("flowtools", 0, "text")


def form() -> Form:
    """Return what `configure` was called with, for a process of our own to do the same."""
    return _form


def shows_tracebacks() -> bool:
    """Return whether a message comes with the traceback of its error (`-v`)."""
    return _form.verbosity > 0


def configure(command: str, verbosity: int, log_format: LogFormat) -> None:
    """Send the messages of `flowtools` loggers to stderr, in `command`'s name.

    Args:
        command: Stands in front of each message.
        verbosity: -1 errors; 0 warnings too; 1 what happens; 2 details for debugging.
        log_format: "text" for people, "json" for one object a line.
    """
    global _form
    _form = Form(command, verbosity, log_format)
    logger = logging.getLogger("flowtools")
    levels = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}
    logger.setLevel(levels.get(verbosity, logging.DEBUG))
    handler = logging.StreamHandler(sys.stderr)
    make = JsonFormatter if log_format == "json" else TextFormatter
    formatter = make(command, tracebacks=verbosity > 0)
    handler.setFormatter(JournalFormatter(formatter) if _is_journal(2) else formatter)
    logger.handlers = [handler]
    logger.propagate = False
    # stomp.py reports each failure to the console besides raising it; it is ours to say.
    logging.getLogger("stomp.py").setLevel(logging.CRITICAL)


def say(text: str, *, printed: bool = False) -> None:
    """Write a line that was asked for, in the form of a message, whatever -q says.

    `printed`: a Worker has printed it, and its control characters are the Worker's own.
    """
    record = logging.makeLogRecord({"msg": text, "levelno": logging.INFO, "levelname": "INFO"})
    record.printed = printed
    for handler in logging.getLogger("flowtools").handlers:
        handler.handle(record)


def _is_journal(fd: int) -> bool:
    """Return whether the file descriptor leads to the journal: systemd.exec(5), JOURNAL_STREAM."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def one_line(text: str) -> str:
    """Return `text` with control characters made visible, so that it is one safe line."""
    return _CONTROL.sub(lambda found: repr(found.group())[1:-1], text)


def _traceback(record: logging.LogRecord, formatter: logging.Formatter) -> str | None:
    """Return the traceback of a message, which may come as text: the pool makes it early."""
    if record.exc_info:
        return formatter.formatException(record.exc_info)
    text: str | None = getattr(record, "traceback", None)
    return text


class TextFormatter(logging.Formatter):
    """`flow-x: message`; a warning and a debugging detail say that they are."""

    def __init__(self, command: str, *, tracebacks: bool) -> None:
        super().__init__()
        self._command = command
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it where one is wanted."""
        label = {logging.WARNING: "warning: ", logging.DEBUG: "debug: "}.get(record.levelno, "")
        text = record.getMessage()
        text = text if getattr(record, "printed", False) else one_line(text)
        line = f"{self._command}: {label}{text}"
        if self._tracebacks and (traceback := _traceback(record, self)):
            line += "\n" + traceback
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a message: time, level, command, message, and traceback if wanted."""

    def __init__(self, command: str, *, tracebacks: bool) -> None:
        super().__init__()
        self._command = command
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Return the object as one line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        said = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "command": self._command,
            "message": record.getMessage(),
        }
        if self._tracebacks and (traceback := _traceback(record, self)):
            said["traceback"] = traceback
        return json.dumps(said)


class JournalFormatter(logging.Formatter):
    """What another formatter says, each line with the priority that the journal reads."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines, each with its <N> in front (sd-daemon(3))."""
        mark = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(mark + line for line in self._inner.format(record).split("\n"))
