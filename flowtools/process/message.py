"""Formats messages: as text for people or as JSON, safe to print, and of bounded length.

The text of a message may come from anywhere. Characters that would control a terminal are escaped,
and no line of a message can look like another message.
"""

import logging
import re
from datetime import UTC, datetime
from json import dumps  # By name: a Worker that replaces json.dumps must not silence us.
from typing import Literal, NamedTuple

from flowtools.core.log import Said
from flowtools.core.text import MAX_TEXT, cut

LogFormat = Literal["text", "json"]

# Control characters; characters that change the direction of writing, with which a line can look
# like another; characters without width; lone surrogates, which cannot be written.
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_CONTROL_BUT_TAB = re.compile(_CONTROL.pattern.replace(r"\x1f", r"\x08\x0a-\x1f", 1))

# sd-daemon(3): the severities of syslog(3).
_PRIORITIES = {logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}

_WORDS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}


class Form(NamedTuple):
    """The form of messages; the arguments of `console.configure`.

    `others` is the name for user code whose attempt is not known.
    """

    command: str
    verbosity: int
    log_format: LogFormat
    worker_level: str | None = None
    others: str = "worker"

    @property
    def shows_tracebacks(self) -> bool:
        """Whether our own messages show the traceback of their error (`-v`)."""
        return self.verbosity > 0


def shown(said: Said, form: Form, *, is_journal: bool) -> bytes:
    """Return a message as lines; in the journal each begins with its <N> (sd-daemon(3))."""
    make = _as_json if form.log_format == "json" else _as_text
    rows = make(bounded(said), form)
    if is_journal:
        mark = f"<{_PRIORITIES.get(_rounded(said.level), 6)}>"
        rows = [mark + row for row in rows]
    return "".join(f"{row}\n" for row in rows).encode("utf-8", "backslashreplace")


def bounded(said: Said) -> Said:
    """Return a message with its text and traceback cut to their maximum lengths.

    A message of ours may be twice as long: it may quote a text of user code, which is already cut.
    """
    traceback = cut(said.traceback, 4 * MAX_TEXT) if said.traceback else said.traceback
    most = 2 * MAX_TEXT if said.is_ours else MAX_TEXT
    return said._replace(text=cut(said.text, most), traceback=traceback)


def _as_text(said: Said, form: Form) -> list[str]:
    """Return `flow-x: message`, followed by the traceback if it is to be shown.

    Warnings and debugging details are labelled. Each line of user code's text begins with the
    command and the event, so that it cannot look like a message of ours.
    """
    level = _rounded(said.level)
    word = f"{_WORDS[level]}: " if level in (logging.DEBUG, logging.WARNING) else ""
    head = f"{form.command}: {word}"
    if said.is_ours:
        rows = [head + one_line(said.text)]
    else:
        head += f"{_origin(said, form.others)}: "
        rows = [head + _shown(row) for row in said.text.split("\n")]
    if said.traceback and (form.shows_tracebacks or not said.is_ours):
        rows += ["    " + _shown(row) for row in said.traceback.split("\n")]
    return rows


def _origin(said: Said, others: str) -> str:
    about = said.about
    if about is None:
        name = others
    else:
        more = [] if about.subject in (None, about.event) else [about.event]
        more += [f"attempt {about.attempt}"] if about.attempt > 1 else []
        name = one_line(about.subject or about.event)
        name += f" ({one_line(', '.join(more))})" if more else ""
    return f"{name}: {one_line(said.logger)}" if said.logger else name


def _as_json(said: Said, form: Form) -> list[str]:
    """Return one object: time, level, command, message, and whatever else is known."""
    moment = datetime.now(UTC)
    fields: dict[str, object] = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": _WORDS.get(_rounded(said.level), "error"),
        "command": form.command,
        "message": "\n".join(map(_shown, said.text.split("\n"))),
    }
    if said.about is not None:
        fields |= {"event": said.about.event, "attempt": said.about.attempt}
        if said.about.subject is not None:
            fields["subject"] = said.about.subject
    if said.logger is not None:
        fields["logger"] = said.logger
    if said.traceback and (form.shows_tracebacks or not said.is_ours):
        fields["traceback"] = "\n".join(map(_shown, said.traceback.split("\n")))
    return [dumps(fields)]


def _rounded(level: int) -> int:
    """Return the named level at or below `level`: user code may have levels of its own."""
    return max((named for named in _PRIORITIES if named <= level), default=logging.DEBUG)


def _escaped(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()


def one_line(text: str) -> str:
    """Return `text` with control characters escaped, so that it is one safe line."""
    return _CONTROL.sub(_escaped, text)


def _shown(text: str) -> str:
    """Return a line of user code as `one_line` does, but keep its tabs."""
    return _CONTROL_BUT_TAB.sub(_escaped, text)
