"""The logging functions by their old names; messages go where those of the command go.

A message names the event that it is about where the command does so for its own; a class
does nothing for that. Values are shown in a readable form: XML and JSON indented, other
objects as pprint has them, at debug level (`-g`, `-vv`, `[Logging] level = debug`).
"""

import logging
from pprint import pformat
from typing import Any, NoReturn

import orjson
from lxml import etree

from flowtools.process.message import one_line

_log = logging.getLogger("flowtools.app")

debug, info, warn, warning, error = (
    _log.debug,
    _log.info,
    _log.warning,
    _log.warning,
    _log.error,
)

LONGEST = 16 * 1024
"""Characters of a value that are shown."""

_LEVELS = {
    "error": logging.ERROR,
    "fail": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "ok": logging.INFO,
    "debug": logging.DEBUG,
}
_AS_IT_IS = {"printed": True}
_VALUES = ("pp", "xml", "json")


class DefaultLogger:
    """What get_default_logger returns: whether messages for debugging are shown.

    Attributes:
        debug: Set it to see them, or not; the command's own options say it at the start.
    """

    @property
    def debug(self) -> bool:
        """Whether messages for debugging are shown."""
        return _log.isEnabledFor(logging.DEBUG)

    @debug.setter
    def debug(self, shown: bool) -> None:
        _log.setLevel(logging.DEBUG if shown else logging.NOTSET)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "debug":
            raise AttributeError(
                f"cannot set '{name}' of the logger: how messages look is said by --log-format"
            )
        object.__setattr__(self, name, value)


_default = DefaultLogger()


def get_default_logger() -> DefaultLogger:
    """Return what tells whether messages for debugging are shown."""
    return _default


def set_logger(logger: Any) -> NoReturn:
    """Refuse another logger: messages go to standard error."""
    raise NotImplementedError(
        "set_logger is not supported: messages go to standard error, and from there to the"
        " journal or a file; --log-format json is for machines"
    )


def log(title: str, value: Any = None, kind: str = "info", debug: bool = True) -> None:
    """Log `title`, and `value` below it.

    Args:
        title: What to say.
        value: What to show with it: bytes and text as they are, or as `kind` says.
        kind: "pp" (any object), "xml" or "json", which are for debugging; or a level, such
            as "error", "warning", "info", "ok".
        debug: False: show "pp", "xml" and "json" at the level of information.
    """
    if kind in _VALUES:
        level = logging.DEBUG if debug else logging.INFO
    else:
        level = _LEVELS.get(kind, logging.INFO)
    if not _log.isEnabledFor(level):
        return
    if value is None:
        _log.log(level, "%s", title)
        return
    lines = [one_line(line) for line in pretty(value, kind).split("\n")]
    if len(lines) == 1:
        _log.log(level, "%s: %s", title, lines[0])
    else:
        # Its control characters are dealt with, and its line ends are to stay.
        shown = "".join(f"\n  {line}" for line in lines)
        _log.log(level, "%s:%s", one_line(title), shown, extra=_AS_IT_IS)


def pretty(value: Any, kind: str) -> str:
    """Return `value` in a readable form, of at most LONGEST characters.

    What is not XML or JSON although `kind` says so is shown as it is.
    """
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if kind == "xml":
        text = _xml(text)
    elif kind == "json":
        text = _json(text)
    elif kind == "pp" and not isinstance(text, str):
        text = pformat(text)
    shown = str(text).strip()
    if len(shown) > LONGEST:
        return f"{shown[:LONGEST]}... ({len(shown)} characters)"
    return shown


def _xml(value: Any) -> str:
    from flowtools.core.errors import ProtocolError
    from flowtools.vizone.document import parse

    content = value.generate() if hasattr(value, "generate") else str(value).encode()
    try:
        root = parse(content, name="a value")
    except ProtocolError:
        return str(value)
    etree.indent(root)
    return etree.tostring(root, encoding="unicode")


def _json(value: Any) -> str:
    try:
        found = orjson.loads(value) if isinstance(value, str) else value
        return orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, TypeError):
        return str(value)
