"""The job log: one JSON line for each attempt, and what --resume learns from it.

A line is written, in one write, when its attempt has ended and its results are out, so a
job log knows every completed attempt, however the process ended. Several processes may
share one.
"""

from pathlib import Path
from typing import Any

import orjson

from flowtools.core.errors import ConfigurationError, FlowError
from flowtools.core.event import rfc3339
from flowtools.pool.appendfile import AppendFile
from flowtools.pool.outcome import Attempt, Outcome

_NOTHING: dict[str, Any] = {}
_NEWLINE = orjson.OPT_APPEND_NEWLINE
_dumps = orjson.dumps

_START = b'{"id":'
_DONE = tuple(outcome for outcome in Outcome if outcome.is_done)
_IS_DONE = tuple(f'"outcome":"{outcome}"'.encode() for outcome in _DONE)


class JobLogError(FlowError):
    """The job log cannot be written or read."""


class JobLog(AppendFile):
    """Appends a line for each attempt to `path`; safe from any thread.

    A line is an object with id, subject and type of the event (null for a line that is no
    event), outcome, attempt (1 for the first try), final (whether no further attempt
    follows), queued and ran (seconds, to the microsecond), finished (RFC 3339, UTC) and
    error (null where nothing went wrong).

    Raises:
        ConfigurationError: The file cannot be opened.
    """

    WHAT = "job log"
    ERROR = JobLogError

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        # The text of the time in use, and from when until when it is that.
        self._clock = (0.0, 0.0, "")

    def record(self, attempt: Attempt) -> None:
        """Append the line of `attempt`; on return it is in the file.

        Raises:
            JobLogError: It could not be written; the file holds no part of it.
        """
        # Called for every event, so each step is the quickest of those that were timed:
        # to divide rounds faster than round(), and a time's text serves a millisecond.
        event, _, _, outcome, number, final, queued, ran, finished, error = attempt
        begin, end, clock = self._clock
        if not begin <= finished < end:
            milliseconds = int(finished * 1000)
            clock = rfc3339(milliseconds / 1000)
            self._clock = (milliseconds / 1000, (milliseconds + 1) / 1000, clock)
        get = event.attributes.get if event is not None else _NOTHING.get
        fields = {
            "id": get("id"),
            "subject": get("subject"),
            "type": get("type"),
            "outcome": outcome,
            "attempt": number,
            "final": final,
            "queued": int(queued * 1e6) / 1e6,
            "ran": int(ran * 1e6) / 1e6,
            "finished": clock,
            "error": error,
        }
        try:
            line = _dumps(fields, None, _NEWLINE)
        except TypeError:
            line = _forced(fields)
        self.append(line)


def done_ids(path: Path) -> set[str]:
    """Return the ids that the job log `path` has as done; none where it does not exist.

    Done once is done: what a later run without --resume made of the same id does not
    count. Lines that are no JSON objects are passed over: one may be torn where a machine
    lost power. Takes about 150 bytes of memory an id (measured with ids of 36
    characters), and the time to read the file once.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    ids: set[str] = set()
    try:
        with path.open("rb") as lines:
            for line in lines:
                # Most of a log that has grown over many failures is not worth decoding.
                if any(each in line for each in _IS_DONE):
                    _add_if_done(line, ids)
    except FileNotFoundError:
        return ids
    except OSError as error:
        raise ConfigurationError(str(JobLog.failure("read", path, error))) from None
    return ids


def _add_if_done(line: bytes, ids: set[str]) -> None:
    # In text the quotes would be escaped, so this is where a record begins.
    try:
        fields = orjson.loads(line[max(0, line.rfind(_START)) :])
    except orjson.JSONDecodeError:
        return
    if isinstance(fields, dict) and fields.get("outcome") in _DONE:
        identity = fields.get("id")
        if isinstance(identity, str):
            ids.add(identity)


def _forced(fields: dict[str, Any]) -> bytes:
    """Encode what orjson will not: text that is not Unicode, such as a strange file name."""
    safe = {
        name: str(value).encode("utf-8", "replace").decode()
        if value is not None and not isinstance(value, int | float)
        else value
        for name, value in fields.items()
    }
    return orjson.dumps(safe, option=orjson.OPT_APPEND_NEWLINE)
