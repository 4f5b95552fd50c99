"""The logging functions by their old names; they write to the logger `flowtools.app`.

So messages go to standard error in the form of the command's own messages, and name the event that
they are about; old code used to write the number of its worker into each. `log` shows a value in
readable form: XML and JSON indented, other objects by pprint. Such values are shown at debug level
(`-g`, `-vv`, or `[Logging] level = debug`).
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
"""Maximum number of characters of a value that are shown."""

_LEVELS = {
    "error": logging.ERROR,
    "fail": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "ok": logging.INFO,
    "debug": logging.DEBUG,
}
_VALUES = ("pp", "xml", "json")


class DefaultLogger:
    """The object that get_default_logger returns; old code sets its `debug`.

    Attributes:
        debug: Whether debug messages are shown; at first, what the command's options say.
    """

    @property
    def debug(self) -> bool:
        """Whether debug messages are shown."""
        return _log.isEnabledFor(logging.DEBUG)

    @debug.setter
    def debug(self, shown: bool) -> None:
        # NOTSET leaves the decision to the level of the command again.
        _log.setLevel(logging.DEBUG if shown else logging.NOTSET)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "debug":
            raise AttributeError(
                f"cannot set '{name}' of the logger: use --log-format for the form of messages"
            )
        object.__setattr__(self, name, value)


_default = DefaultLogger()


def get_default_logger() -> DefaultLogger:
    """Return the object whose `debug` decides whether debug messages are shown."""
    return _default


def set_logger(logger: Any) -> NoReturn:
    """Raise NotImplementedError: messages always go to standard error."""
    raise NotImplementedError(
        "set_logger is not supported: messages go to standard error, and from there to the"
        " journal or a file; for machines use --log-format json"
    )


def log(title: str, value: Any = None, kind: str = "info", debug: bool = True) -> None:
    """Log `title`, with `value` behind it or in the lines below it.

    Args:
        title: Text of the message.
        value: Value to show; None for none.
        kind: How to show the value at debug level: "pp" (any object), "xml" or "json"; or the
            level of the message, such as "error", "warning", "info" or "ok".
        debug: False shows "pp", "xml" and "json" at level info.
    """
    if kind in _VALUES:
        level = logging.DEBUG if debug else logging.INFO
    else:
        level = _LEVELS.get(kind, logging.INFO)
    # Before the value is formatted: most values are never shown, and may be large.
    if not _log.isEnabledFor(level):
        return
    if value is None:
        _log.log(level, "%s", title)
        return
    lines = [one_line(line) for line in pretty(value, kind).split("\n")]
    if len(lines) == 1:
        _log.log(level, "%s: %s", title, lines[0])
    else:
        # Each line is free of control characters already, and the line ends must stay.
        shown = "".join(f"\n  {line}" for line in lines)
        _log.log(level, "%s:%s", one_line(title), shown)


def pretty(value: Any, kind: str) -> str:
    """Return `value` in readable form, cut off after LONGEST characters.

    A value that is not XML or JSON although `kind` says so is shown as it is.
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
