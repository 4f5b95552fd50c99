"""The messages of a command: lines on stderr, one per message, as text or JSON.

Our own code logs with core/log.py; only a command calls `configure`. Text that a Worker or Source
writes arrives through `hear`, with the event that it belongs to. Everything goes through one writer
thread (stderr.py), so that no thread waits for the reader of stderr. Nothing here writes to stdout.
"""

import logging
import os
from collections.abc import Callable
from typing import TextIO

from flowtools.core.log import About, Said, formatted, lead_to
from flowtools.core.text import counted
from flowtools.process.message import Form, LogFormat, one_line, shown
from flowtools.process.stderr import Stderr

FLUSH_SECONDS = 5.0
"""Default time, in seconds, for which an ending command waits for the reader of its messages."""

LEAST_FLUSH_SECONDS = 1.0
"""Minimum of that time, in seconds: the reader may just be slow."""

_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}


Whose = Callable[[], About | None]
"""Returns the attempt that the calling thread works for; None if that is unknown."""


class _State:
    """The state of this module: stderr belongs to the process, and so do its messages."""

    whose: Whose = staticmethod(lambda: None)
    form = Form("flowtools", 0, "text")
    is_journal = False
    flush_seconds = FLUSH_SECONDS
    writer: Stderr | None = None
    # Takes each message instead of the writer, in a child process that runs a Worker.
    relay: Callable[[Said], None] | None = None
    # Told of each warning and error of our own; flow-status shows the last one.
    note: Callable[[str], None] | None = None


def form() -> Form:
    """Return the arguments of `configure`, so that a child process can call it, too."""
    return _State.form


def shows_tracebacks() -> bool:
    """Return whether messages show the traceback of their error (`-v`)."""
    return _State.form.shows_tracebacks


def configure(
    command: str, verbosity: int, log_format: LogFormat, worker_level: str | None = None
) -> None:
    """Send messages to stderr, in the name of `command`.

    Args:
        command: The name at the beginning of each message.
        verbosity: -1 for errors only; 0 adds warnings; 1 what happens; 2 details for debugging.
        log_format: "text" for people, "json" for one object per line.
        worker_level: Minimum level of what user code logs with `logging`; None: by `verbosity`.
    """
    _State.form = Form(command, verbosity, log_format, worker_level)
    # A second call keeps the writer, whose thread may have lines left to write.
    if _State.writer is None:
        _State.writer = Stderr(2, _tell_dropped)
    _State.is_journal = _is_journal(_State.writer.fd)
    level = _LEVELS.get(verbosity, logging.DEBUG)
    lead_to(_take, level)
    _listen_to_logging()


def release() -> None:
    """Undo `configure`: messages go to the `logging` module again, as in any library."""
    flush()
    lead_to(None)
    root, own = logging.getLogger(), logging.getLogger("flowtools")
    root.handlers = [each for each in root.handlers if not isinstance(each, _Handler)]
    root.setLevel(logging.WARNING)
    own.handlers, own.propagate = [], True
    own.setLevel(logging.NOTSET)


def say(text: str) -> None:
    """Write a text that the user asked for as a message, even with -q."""
    _take(Said(logging.INFO, text))


def hear(said: Said) -> None:
    """Write a message of a Worker, a Source, their libraries or their programs."""
    _take(said)


def whose() -> About | None:
    """Return the attempt that the calling thread works for; None if that is unknown."""
    return _State.whose()


def attribute_to(whose: Whose) -> Whose:
    """Let `whose` tell which attempt a message comes from; return the function used before."""
    before = _State.whose
    _State.whose = staticmethod(whose)
    return before


def name_others(name: str) -> None:
    """Set the first word of messages of user code that belong to no attempt: worker, source."""
    _State.form = _State.form._replace(others=name)


def relay_to(take: Callable[[Said], None] | None) -> None:
    """Give every message of this process to `take`, which passes it to the command's process."""
    _State.relay = take


def note_with(note: Callable[[str], None] | None) -> None:
    """Call `note` with each warning and error of our own that is printed; None: no longer."""
    _State.note = note


def write_to(fd: int) -> int:
    """Write messages to `fd` from now on; return the descriptor used before."""
    writer = _writer()
    before, writer.fd = writer.fd, fd
    return before


def lead(write: Callable[[str], object] | None) -> None:
    """Let `write` show messages while something else is drawn on the terminal; None: no longer."""
    _writer().lead = write


def terminal() -> TextIO:
    """Return a stream for drawing on the terminal of the messages; the caller closes it."""
    return os.fdopen(os.dup(_writer().fd), "w", encoding="utf-8", errors="backslashreplace")


def is_terminal() -> bool:
    """Return whether messages go to a terminal."""
    return os.isatty(_writer().fd)


def bound_flush(seconds: float) -> None:
    """Set the default time of `flush`, within LEAST_FLUSH_SECONDS and FLUSH_SECONDS."""
    _State.flush_seconds = max(LEAST_FLUSH_SECONDS, min(FLUSH_SECONDS, seconds))


def flush(seconds: float | None = None) -> bool:
    """Wait at most `seconds` until all messages are written; return whether they are."""
    most = _State.flush_seconds if seconds is None else seconds
    return _State.writer is None or _State.writer.flush(most)


def rest() -> None:
    """Write all messages and end the writer's thread until the next message; before a fork."""
    if _State.writer is not None:
        _State.writer.stop(FLUSH_SECONDS)


def _writer() -> Stderr:
    if _State.writer is None:
        _State.writer = Stderr(2, _tell_dropped)
    return _State.writer


def _take(said: Said) -> None:
    if _State.relay is not None:
        _State.relay(said)
        return
    _writer().put(_line(said))
    if _State.note is not None and said.is_ours and said.level >= logging.WARNING:
        _State.note(one_line(said.text))


def _line(said: Said) -> bytes:
    return shown(said, _State.form, is_journal=_State.is_journal)


def _tell_dropped(count: int) -> bytes:
    return _line(
        Said(
            logging.WARNING,
            f"{counted(count, 'message', 'was', 'were')} dropped: nobody read stderr",
        )
    )


def _is_journal(fd: int) -> bool:
    """Return whether `fd` leads to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class _Handler(logging.Handler):
    """Passes log records on, with their level and the name of their logger.

    The logger "flowtools.app" belongs to classes of the older Flow: its records count as user code,
    like anything that such a class prints.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception as misfit:  # noqa: BLE001  the arguments are code of others
            text = f"{record.msg!r} with arguments that do not fit: {type(misfit).__name__}"
        error = record.exc_info[1] if record.exc_info else None
        traceback = formatted(error) if error is not None else None
        is_named_as_ours = record.name.partition(".")[0] == "flowtools"
        is_ours = is_named_as_ours and record.name != "flowtools.app"
        # A name of ours would look as if the command had written what user code did.
        name = None if is_named_as_ours else record.name
        about = whose()
        hear(Said(record.levelno, text, traceback, about, name, is_ours=is_ours))


_OF_OURS = ("httpx", "httpcore")
"""Libraries that our own code uses, too; they would log each of its requests."""


def _listen_to_logging() -> None:
    """Pass on log records; of other loggers only warnings, until `listen_to_users`."""
    handler = _Handler()
    root, own = logging.getLogger(), logging.getLogger("flowtools")
    root.handlers = [handler, *(each for each in root.handlers if not isinstance(each, _Handler))]
    root.setLevel(logging.WARNING)
    # User code may use a logger of the name "flowtools", too; the handler passes it on.
    own.handlers, own.propagate = [handler], False
    own.setLevel(_LEVELS.get(_State.form.verbosity, logging.DEBUG))
    # stomp.py logs each failure besides raising it. We report it ourselves.
    logging.getLogger("stomp.py").setLevel(logging.CRITICAL)


def listen_to_users() -> None:
    """Pass on log records of the chosen level, since user code runs in this process."""
    chosen = _State.form.worker_level
    if chosen is None:
        level = _LEVELS.get(_State.form.verbosity, logging.DEBUG)
        for name in _OF_OURS:
            logging.getLogger(name).setLevel(max(level, logging.WARNING))
    else:
        level = logging.getLevelNamesMapping()[chosen.upper()]
    logging.getLogger().setLevel(level)
