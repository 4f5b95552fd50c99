"""File names, which are bytes, as text and as addresses."""

import os
from pathlib import Path
from urllib.parse import quote


def text_of(name: str) -> str:
    """Return a file name as text: bytes that are not UTF-8 are shown as in `\\\\xe6`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def url_of(path: str) -> str:
    """Return the file: URI of `path` (RFC 8089), whatever bytes it has."""
    return f"file://{quote(os.fsencode(Path(path)))}"
