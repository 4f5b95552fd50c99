"""The failed file: the lines of events that failed permanently, ready to be run again.

Each line that --failed appends is one JSON object. `flow-work ... < FILE` runs them again: the
Worker gets the same event as the first time, with the same id and data.

- For an event, the line is its input line, byte for byte, with three members added: `flowerror`,
  one line of text; `flowattempts`, the number of attempts; `flowfailedat`, the time of the failure
  (RFC 3339, UTC). If it fails again, these are replaced. `ackto` is removed: the event has been
  settled with that source.
- Any other JSON value becomes the event that the Worker got for it, with the value's own bytes as
  `data`: the id of that event depends on the line's place in the input, which another run would
  not repeat.
- A line that could not be read has no event to repeat. As text it would make this file unreadable
  for JSON tools, and it has no place for the error. It becomes an object that is not a valid event,
  with `flowerror` and the text as `flowline` (or `flowline64`, in Base64, if it is not UTF-8). Of a
  line beyond --max-line, this is the beginning, and `flowlinefile` names the file with the whole
  line. Another run refuses it again and keeps the first error. To repair such lines and run them:
  `jq -r '.flowline // empty' FILE | sed ... | flow-work ...`

A line is in the file and on the disk before the event is acknowledged, since afterwards there is no
other copy. It is one write (see appendfile.py). flow-failed removes events by replacing this file
with another one; a lock keeps it from doing so while a line is written.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import orjson

from flowtools.core.cloudevents import clean
from flowtools.core.errors import FlowError
from flowtools.core.event import bare, rfc3339
from flowtools.core.toolong import TooLong
from flowtools.pool.appendfile import AppendFile
from flowtools.pool.outcome import Attempt

ERROR = "flowerror"
ATTEMPTS = "flowattempts"
FAILED_AT = "flowfailedat"
LINE = "flowline"
LINE_BASE64 = "flowline64"
LINE_FILE = "flowlinefile"

_OURS = frozenset({ERROR, ATTEMPTS, FAILED_AT, "ackto"})
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


class FailedFileError(FlowError):
    """The failed file cannot be written."""


class FailedFile(AppendFile):
    """Appends the lines of failed events to `path`; safe from any thread.

    Raises:
        ConfigurationError: The file cannot be opened.
    """

    WHAT = "failed file"
    ERROR = FailedFileError
    IS_REWRITTEN = True

    def write(self, attempt: Attempt) -> None:
        """Append the line for `attempt`; on return it is on the disk.

        Raises:
            FailedFileError: The line could not be written; the file holds no part of it.
        """
        self.append(replayable(attempt), sync=True)


def replayable(attempt: Attempt) -> bytes:
    """Return the line, with its newline, that runs the event of `attempt` again."""
    line = bare(attempt.line)
    error = clean(attempt.error or attempt.outcome)
    added = {ERROR: error, ATTEMPTS: attempt.attempt, FAILED_AT: rfc3339(attempt.finished)}
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _refused(attempt.line, added)
    if isinstance(value, dict) and "specversion" in value:
        if attempt.event is None and (LINE in value or LINE_BASE64 in value):
            return line + b"\n"  # A line of a failed file, read again without a repair.
        return _annotated(line, value, added)
    if attempt.event is None:
        return _refused(attempt.line, added)
    made = {k: v for k, v in attempt.event.attributes.items() if k not in ("data", "ackto")}
    return orjson.dumps(made | added)[:-1] + b',"data":' + line + b"}\n"


def _annotated(line: bytes, value: dict[str, Any], members: dict[str, Any]) -> bytes:
    added = orjson.dumps(members)[1:]
    if _OURS.isdisjoint(value):
        return line[:-1] + b"," + added + b"\n"
    # Cut out of the bytes: encoding the value anew would change the form of its numbers.
    kept = [text for name, text in _members(line) if name not in _OURS]
    return b"{" + b",".join([*kept, added]) + b"\n"


def _members(line: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes (name, colon, value) of each member of a JSON object."""
    depth = 0
    start = 0
    name: bytes | None = None
    for token in _TOKEN.finditer(line):
        text = token.group()
        if text in (b"{", b"["):
            depth += 1
            if depth == 1:
                start = token.end()
        elif text in (b"}", b"]"):
            depth -= 1
        if depth == 1 and text.startswith(b'"') and name is None:
            name = text
        elif name is not None and (depth == 0 or (depth == 1 and text == b",")):
            yield orjson.loads(name), line[start : token.start()]
            start, name = token.end(), None


def kept_line(line: bytes, members: dict[str, Any]) -> dict[str, Any]:
    """Return the object in which a line that is not an event is kept, with these members."""
    try:
        text = {LINE: line.decode()}
    except UnicodeDecodeError:
        text = {LINE_BASE64: b64encode(line).decode()}
    if isinstance(line, TooLong) and line.path is not None:
        text[LINE_FILE] = line.path
    # With a specversion but without the required attributes: an invalid event, which no Worker
    # ever gets.
    return {"specversion": "1.0"} | members | text


def _refused(line: bytes, members: dict[str, Any]) -> bytes:
    return orjson.dumps(kept_line(line, members)) + b"\n"
