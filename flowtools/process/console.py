"""What a command says to people: lines on stderr, one a message, as text or JSON.

Our own code says it by way of core/log.py; only a command calls `configure`. What a Worker or
Source writes comes by `hear`, with the event that it belongs to. Everything goes through one
writer (stderr.py), so that nobody waits for whoever reads stderr. Nothing here writes to stdout.
"""

import logging
import os
from collections.abc import Callable
from typing import TextIO

from flowtools.core.log import About, Said, formatted, lead_to
from flowtools.process.message import Form, LogFormat, one_line, shown
from flowtools.process.stderr import Stderr

FLUSH_SECONDS = 5.0
"""How long a command that ends waits for who reads its messages, by default."""

LEAST_FLUSH_SECONDS = 1.0
"""How long it waits at least: who reads may only be slow."""

_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}


Whose = Callable[[], About | None]
"""Returns the attempt that the calling thread works for; None where that is unknown."""


class _State:
    whose: Whose = staticmethod(lambda: None)
    form = Form("flowtools", 0, "text")
    is_journal = False
    flush_seconds = FLUSH_SECONDS
    writer: Stderr | None = None
    # What takes each message in place of the writer: in a process that a Worker runs in.
    relay: Callable[[Said], None] | None = None
    note: Callable[[str], None] | None = None


def form() -> Form:
    """Return what `configure` was called with, for a process of our own to do the same."""
    return _State.form


def shows_tracebacks() -> bool:
    """Return whether a message comes with the traceback of its error (`-v`)."""
    return _State.form.shows_tracebacks


def configure(
    command: str, verbosity: int, log_format: LogFormat, worker_level: str | None = None
) -> None:
    """Send messages to stderr, in `command`'s name.

    Args:
        command: Stands in front of each message.
        verbosity: -1 errors; 0 warnings too; 1 what happens; 2 details for debugging.
        log_format: "text" for people, "json" for one object a line.
        worker_level: Least level of what others write by way of `logging`; None: as verbosity.
    """
    _State.form = Form(command, verbosity, log_format, worker_level)
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
    """Write what was asked for, in the form of a message, whatever -q says."""
    _take(Said(logging.INFO, text))


def hear(said: Said) -> None:
    """Write what a Worker, a Source, their libraries or programs have to say."""
    _take(said)


def whose() -> About | None:
    """Return the attempt that the calling thread works for; None where that is unknown."""
    return _State.whose()


def attribute_to(whose: Whose) -> Whose:
    """Let `whose` say which attempt a message comes from; return who did."""
    before = _State.whose
    _State.whose = staticmethod(whose)
    return before


def name_others(name: str) -> None:
    """Let a message that no attempt can be named for begin with `name`: worker, source."""
    _State.form = _State.form._replace(others=name)


def relay_to(take: Callable[[Said], None] | None) -> None:
    """Give every message of this process to `take`, which hands it to the command's."""
    _State.relay = take


def note_with(note: Callable[[str], None] | None) -> None:
    """Let `note` know each warning and error of our own that is printed; None: nobody."""
    _State.note = note


def write_to(fd: int) -> int:
    """Write messages to `fd` from now on; return where they went."""
    writer = _writer()
    before, writer.fd = writer.fd, fd
    return before


def lead(write: Callable[[str], object] | None) -> None:
    """Let `write` show messages, as long as something else is drawn on the terminal."""
    _writer().lead = write


def terminal() -> TextIO:
    """Return a stream for what is drawn where the messages go; its owner closes it."""
    return os.fdopen(os.dup(_writer().fd), "w", encoding="utf-8", errors="backslashreplace")


def is_terminal() -> bool:
    """Return whether messages go to a terminal."""
    return os.isatty(_writer().fd)


def bound_flush(seconds: float) -> None:
    """Let `flush` wait no longer than `seconds`, or LEAST, where the caller does not say."""
    _State.flush_seconds = max(LEAST_FLUSH_SECONDS, min(FLUSH_SECONDS, seconds))


def flush(seconds: float | None = None) -> bool:
    """Wait until all messages are written, at most `seconds`; return whether they are."""
    most = _State.flush_seconds if seconds is None else seconds
    return _State.writer is None or _State.writer.flush(most)


def rest() -> None:
    """Write all messages, and have no thread until there is another: before a fork."""
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
    return _line(Said(logging.WARNING, f"{count} messages were dropped: nobody read stderr"))


def _is_journal(fd: int) -> bool:
    """Return whether the file descriptor leads to the journal: systemd.exec(5), JOURNAL_STREAM."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class _Handler(logging.Handler):
    """Passes log records on, with their level and the name of their logger.

    What a class of the older Flow logs ("flowtools.app") belongs to its event as any print does.
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
        name = None if is_named_as_ours else record.name
        about = whose()
        hear(Said(record.levelno, text, traceback, about, name, is_ours=is_ours))


_OF_OURS = ("httpx", "httpcore")
"""Libraries that our own code uses, too: they speak of each request."""


def _listen_to_logging() -> None:
    """Pass on what is logged: by others, warnings only where no code of a user's runs."""
    handler = _Handler()
    root, own = logging.getLogger(), logging.getLogger("flowtools")
    root.handlers = [handler, *(each for each in root.handlers if not isinstance(each, _Handler))]
    root.setLevel(logging.WARNING)
    # A user's own logger may be named so, too.
    own.handlers, own.propagate = [handler], False
    own.setLevel(_LEVELS.get(_State.form.verbosity, logging.DEBUG))
    # stomp.py reports each failure to the console besides raising it; it is ours to say.
    logging.getLogger("stomp.py").setLevel(logging.CRITICAL)


def listen_to_users() -> None:
    """Pass on what is logged at the level that was chosen: code of a user's runs here."""
    chosen = _State.form.worker_level
    if chosen is None:
        level = _LEVELS.get(_State.form.verbosity, logging.DEBUG)
        for name in _OF_OURS:
            logging.getLogger(name).setLevel(max(level, logging.WARNING))
    else:
        level = logging.getLevelNamesMapping()[chosen.upper()]
    logging.getLogger().setLevel(level)
