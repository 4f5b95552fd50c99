"""Cuts texts of user code that are too long to be stored, and counts things in words."""

MAX_TEXT = 16 * 1024
"""Maximum size in bytes (UTF-8) of a text of user code that is logged, recorded or sent."""


def cut(text: str, most: int = MAX_TEXT) -> str:
    """Return `text`, cut to `most` bytes with a note that says so if it is longer."""
    # A character has at most four bytes in UTF-8: a short text need not be encoded to measure it.
    if len(text) * 4 <= most:
        return text
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= most:
        return text
    mark = f" [cut: {len(raw)} bytes in all]"
    kept = raw[: max(0, most - len(mark))].decode("utf-8", "ignore")
    return kept + mark


def counted(number: int, noun: str, one: str = "", many: str = "") -> str:
    """Return a number with its noun, and with the verb that agrees with it.

    `counted(1, "event", "is", "are")` is "1 event is", and `counted(2, "thread")` "2 threads".
    """
    verb = one if number == 1 else many
    return f"{number} {noun if number == 1 else noun + 's'}" + (f" {verb}" if verb else "")
