"""The logging functions by their old names; messages go where those of the command go."""

from typing import Any

from flowtools.core.log import get_log

_log = get_log("flowtools.app")

debug, info, warn, warning, error = (
    _log.debug,
    _log.info,
    _log.warning,
    _log.warning,
    _log.error,
)


def log(title: str, value: Any = None, kind: str = "info", **more: Any) -> None:
    """Log `title` and a value; whatever `kind` said of its display has no effect."""
    shown = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    _log.info("%s%s", title, "" if shown is None else f": {shown}")
