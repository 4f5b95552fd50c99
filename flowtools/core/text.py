"""Text of others, bounded: a Worker's error may say more than anybody can store or read."""

MAX_TEXT = 16 * 1024
"""Bytes (UTF-8) of a text of others that are logged, recorded or sent."""


def cut(text: str, most: int = MAX_TEXT) -> str:
    """Return `text`, cut to `most` bytes, and with a mark then that says that it was cut."""
    if len(text) * 4 <= most:
        return text
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= most:
        return text
    mark = f" [cut: {len(raw)} bytes in all]"
    kept = raw[: max(0, most - len(mark))].decode("utf-8", "ignore")
    return kept + mark
