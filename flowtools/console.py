"""What a command says to people: lines on stderr, one a message, as text or JSON.

Library code logs to the standard `logging` module under the name "flowtools"; only a
command calls `configure`. Nothing here writes to stdout.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]

# The last two ranges turn the direction of writing, so that a line reads as another.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def configure(command: str, verbosity: int, log_format: LogFormat) -> None:
    """Send the messages of `flowtools` loggers to stderr, in `command`'s name.

    Args:
        command: Stands in front of each message.
        verbosity: -1 errors; 0 warnings too; 1 what happens; 2 details for debugging.
        log_format: "text" for people, "json" for one object a line.
    """
    logger = logging.getLogger("flowtools")
    levels = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}
    logger.setLevel(levels.get(verbosity, logging.DEBUG))
    handler = logging.StreamHandler(sys.stderr)
    make = JsonFormatter if log_format == "json" else TextFormatter
    handler.setFormatter(make(command, tracebacks=verbosity > 0))
    logger.handlers = [handler]
    logger.propagate = False
    # stomp.py reports each failure to the console besides raising it; it is ours to say.
    logging.getLogger("stomp.py").setLevel(logging.CRITICAL)


def one_line(text: str) -> str:
    """Return `text` with control characters made visible, so that it is one safe line."""
    return _CONTROL.sub(lambda found: repr(found.group())[1:-1], text)


class TextFormatter(logging.Formatter):
    """`flow-x: message`; a warning and a debugging detail say that they are."""

    def __init__(self, command: str, *, tracebacks: bool) -> None:
        super().__init__()
        self._command = command
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it where one is wanted."""
        label = {logging.WARNING: "warning: ", logging.DEBUG: "debug: "}.get(record.levelno, "")
        line = f"{self._command}: {label}{one_line(record.getMessage())}"
        if record.exc_info and self._tracebacks:
            line += "\n" + self.formatException(record.exc_info)
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
        if record.exc_info and self._tracebacks:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said)
