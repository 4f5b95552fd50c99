"""The last line of an input that ends within an event, because its writer was stopped or killed.

A line of more than 4096 bytes goes into a pipe in pieces. If its writer ends in between, the reader
gets the beginning of an event, without a newline. Such a line is marked, so that it neither
acknowledges nor rejects an event: what looks like its `ackto` may belong to another event, which is
part of its data. Its source has not written the whole line, so the event is not done for it.
"""

import orjson


class Unfinished(bytes):
    """The beginning of a JSON object at the end of the input."""


def marked(line: bytes) -> bytes:
    """Return `line`, which ended without a newline; marked if it is the beginning of an object.

    Other text is returned unchanged: the last line of a file of text may lack a newline.
    """
    if not line.lstrip().startswith(b"{"):
        return line
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return Unfinished(line)
    return line
