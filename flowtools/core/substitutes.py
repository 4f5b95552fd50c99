"""Substitutes for characters that the encoding of a terminal or file lacks.

In a Latin-1 locale a stream raises UnicodeEncodeError for such a character, which would end the
command. Text of events is escaped, so that nothing is lost. Our own signs, such as the bars of a
chart, get a plain character of the same width, so that the layout stays.
"""

from collections.abc import Callable


def suiting(encoding: str | None) -> Callable[[str], str]:
    """Return a function that escapes the characters which `encoding` lacks; None: ASCII."""
    name = encoding or "ascii"
    if name.lower().replace("-", "").startswith("utf"):
        return str
    return lambda text: text.encode(name, "backslashreplace").decode(name)


def drawn_in(encoding: str | None) -> dict[int, str]:
    """Return a table for str.translate that replaces our own signs which `encoding` lacks."""
    pairs = zip("▁▂▃▄▅▆▇█▒…", "___---##-~", strict=True)
    return {ord(sign): plain for sign, plain in pairs if suiting(encoding)(sign) != sign}
