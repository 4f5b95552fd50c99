"""Loggers for flowtools' own messages, which user code cannot silence.

In a program that uses flowtools as a library, messages go to the standard `logging` module, as
those of every library do. In a command, they go straight to its console (process/console.py). So a
Worker may configure `logging` as it likes, disable it, or replace its classes, without changing
the command's own messages.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple


class About(NamedTuple):
    """The attempt that a message is about or comes from.

    Attributes:
        event: The event's id.
        subject: The event's subject, if it has one.
        attempt: The number of the attempt, from 1.
    """

    event: str
    subject: str | None = None
    attempt: int = 1


class Said(NamedTuple):
    """One message.

    Attributes:
        level: The level, as a number of `logging`.
        text: The message; may have several lines.
        traceback: The traceback, which only `-v` shows; None if there is none.
        about: The attempt that the message is about.
        logger: The name of the logger, if the message comes from user code.
        is_ours: Whether the message is the command's own, and not from a Worker, its libraries or
            its programs.
    """

    level: int
    text: str
    traceback: str | None = None
    about: About | None = None
    logger: str | None = None
    is_ours: bool = True


class _Sink:
    """The receiver of a command's messages; `take` is None if no command runs."""

    take: Callable[[Said], None] | None = None
    level = logging.WARNING


class Log:
    """A named logger with those methods of `logging.Logger` that flowtools uses.

    `exc_info` is the exception that a message is about, or True for the one being handled.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._least = 0

    def debug(self, text: str, *args: object, **more: Any) -> None:
        """Log a detail."""
        self._say(logging.DEBUG, text, args, **more)

    def info(self, text: str, *args: object, **more: Any) -> None:
        """Log what happens."""
        self._say(logging.INFO, text, args, **more)

    def warning(self, text: str, *args: object, **more: Any) -> None:
        """Log that something is odd."""
        self._say(logging.WARNING, text, args, **more)

    def error(self, text: str, *args: object, **more: Any) -> None:
        """Log what went wrong."""
        self._say(logging.ERROR, text, args, **more)

    def exception(self, text: str, *args: object) -> None:
        """Log what went wrong, with the traceback of the exception that is being handled."""
        self._say(logging.ERROR, text, args, exc_info=True)

    def log(self, level: int, text: str, *args: object, **more: Any) -> None:
        """Log `text % args` at `level`."""
        self._say(level, text, args, **more)

    def is_enabled_for(self, level: int) -> bool:
        """Return whether a message of `level` would be shown."""
        if _Sink.take is None:
            return logging.getLogger(self._name).isEnabledFor(level)
        return level >= max(_Sink.level, self._least)

    def _say(
        self,
        level: int,
        text: str,
        args: tuple[object, ...],
        *,
        exc_info: BaseException | bool | None = None,
        traceback: str | None = None,
        about: About | None = None,
    ) -> None:
        if not self.is_enabled_for(level):
            return
        if _Sink.take is None:
            # The record must name the caller of `warning` or `error`, which is three frames up.
            logging.getLogger(self._name).log(level, text, *args, exc_info=exc_info, stacklevel=3)
            return
        error = sys.exc_info()[1] if exc_info is True else exc_info
        if isinstance(error, BaseException) and traceback is None:
            traceback = formatted(error)
        _Sink.take(Said(level, text % args if args else text, traceback, about))


def formatted(error: BaseException) -> str:
    """Return the traceback of `error` as Python shows it, without the last newline."""
    import traceback  # Imported late: `--help` and most runs show none.

    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except BaseException as other:  # noqa: BLE001  the texts are made by code of others
        return f"{type(error).__name__}, whose traceback raises {type(other).__name__}"


_logs: dict[str, Log] = {}


def get_log(name: str) -> Log:
    """Return the logger `name`, such as "flowtools.pool"; one object per name."""
    return _logs.setdefault(name, Log(name))


def quieten(name: str, level: int) -> None:
    """Suppress the messages of the logger `name` below `level`."""
    get_log(name)._least = level  # noqa: SLF001  of this module


def lead_to(take: Callable[[Said], None] | None, level: int = logging.WARNING) -> None:
    """Send messages of at least `level` to `take`; None: send all to the `logging` module."""
    _Sink.take, _Sink.level = take, level
