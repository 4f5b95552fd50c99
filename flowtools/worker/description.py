"""Description of an exception of a user's code, as one line of bounded length.

Asking an exception for its text runs foreign code: its `__str__` may raise, exit, return something
that is not text, hang, or make megabytes. These functions let only TimeLimit out, because the pool
uses it to end code that hangs.

A description also includes the causes (`raise ... from`), the notes, the members of an exception
group, and what a failed program wrote.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from functools import cache

import flowtools
from flowtools.core.text import MAX_TEXT, cut
from flowtools.worker.exceptions import TimeLimit

MAX_PART = MAX_TEXT // 4
"""Maximum size of one part of a description (a cause, a note, a member), in bytes."""

MAX_MEMBERS = 10
"""Maximum number of members, notes and causes in a description."""


def described(error: BaseException) -> str:
    """Return the description of `error` on one line, with its place in the user's code."""
    return _line(error, with_place=True)


def describe(error: BaseException) -> str:
    """Return the description of `error` on one line: its class, text, causes and notes."""
    return _line(error, with_place=False)


def _line(error: BaseException, *, with_place: bool) -> str:
    try:
        where = place(error) if with_place else ""
        head = _said(error) + (f" ({where})" if where else "")
        return cut("; ".join([head, *_details(error)]))
    except TimeLimit:
        raise
    except BaseException as other:  # noqa: BLE001  the exception's own code has raised it
        return f"{_name(error)}: its text cannot be made: {_name(other)}"


def _said(error: BaseException) -> str:
    """Return the class of `error` and its text."""
    try:
        # Without the line of a syntax error: `place` gives that.
        text = str(error.msg if isinstance(error, SyntaxError) else error)
    except TimeLimit:
        raise
    except BaseException as other:  # noqa: BLE001  whatever `__str__` raises
        return f"{_name(error)}: its text cannot be made: {_name(other)}"
    text = one_line(text)
    return f"{_name(error)}: {text}" if text else _name(error)


def one_line(text: str) -> str:
    """Return `text` on one line. It is cut first, because it may have millions of lines."""
    is_short = len(text) <= MAX_TEXT
    return " ".join(text.split()) if is_short else cut(" ".join(text[: 2 * MAX_TEXT].split()))


def _name(error: BaseException) -> str:
    return str(type.__getattribute__(type(error), "__name__"))


def _details(error: BaseException) -> Iterator[str]:
    yield from _written_by_a_program(error)
    for note in getattr(error, "__notes__", ())[:MAX_MEMBERS]:
        yield f"note: {cut(one_line(str(note)), MAX_PART)}"
    if isinstance(error, BaseExceptionGroup):
        yield from _members(error)
    causes = 0
    cause = error.__cause__
    while cause is not None and causes < MAX_MEMBERS:
        yield f"caused by {cut(_said(cause), MAX_PART)}"
        yield from _written_by_a_program(cause)
        causes += 1
        cause = cause.__cause__


def _members(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    for number, member in enumerate(group.exceptions[:MAX_MEMBERS], 1):
        text = "; ".join([_said(member), *_details(member)])
        yield f"{number}. {cut(text, MAX_PART)}"
    more = len(group.exceptions) - MAX_MEMBERS
    if more > 0:
        yield f"and {more} more"


def _written_by_a_program(error: BaseException) -> Iterator[str]:
    """Yield the end of what a failed program wrote, where `subprocess` captured it."""
    subprocess = sys.modules.get("subprocess")  # Not loaded: then it is not one of its errors.
    if not subprocess or not isinstance(error, subprocess.SubprocessError):
        return
    for name, output in (
        ("stderr", getattr(error, "stderr", None)),
        ("stdout", getattr(error, "stdout", None)),
    ):
        if isinstance(output, bytes):
            output = output[-MAX_PART:].decode("utf-8", "replace")
        if isinstance(output, str) and output.strip():
            text = output.strip()
            # The end says what went wrong.
            short = one_line(text[-MAX_PART // 4 :])
            yield f"{name}: {'[...] ' if len(text) > MAX_PART // 4 else ''}{short}"
            return


def place(error: BaseException) -> str:
    """Return "file, line N" for where `error` comes from in the user's code, or ""."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = (os.path.dirname(flowtools.__file__), os.path.dirname(importlib.__file__))  # noqa: PTH120
    theirs = [f for f in frames if not f.filename.startswith((*own, "<frozen"))]
    # What a library makes of their mistake is further inside, and of less use.
    theirs = [f for f in theirs if not f.filename.startswith(_libraries())] or theirs
    return f"{theirs[-1].filename}, line {theirs[-1].lineno}" if theirs else ""


@cache
def _libraries() -> tuple[str, ...]:
    import sysconfig  # Only a failure needs it.

    return tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib")})


def traceback_of(error: BaseException) -> str:
    """Return the traceback of `error` as Python shows it, bounded; nothing raises but TimeLimit."""
    try:
        # Its last lines say most.
        text = "".join(traceback.format_exception(error)).rstrip("\n")
    except TimeLimit:
        raise
    except BaseException as other:  # noqa: BLE001  the exception's own code has raised it
        return f"{_name(error)}: its traceback cannot be made: {_name(other)}"
    return text if len(text) <= 4 * MAX_TEXT else "[...]" + text[-4 * MAX_TEXT :]
