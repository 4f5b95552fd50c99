"""The job log: one JSON line for each attempt, and the reading of it for --resume.

A line is written, in one write, when its attempt has ended and its results are written. So a job
log has every completed attempt, however the process ended. Several processes may share one.
"""

import re
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from flowtools.core.errors import ConfigurationError, FlowError
from flowtools.core.event import Event, now, rfc3339
from flowtools.core.seen import Seen, mark
from flowtools.pool.appendfile import AppendFile
from flowtools.pool.outcome import Attempt, Outcome

_NOTHING: dict[str, Any] = {}
_NEWLINE = orjson.OPT_APPEND_NEWLINE
_dumps = orjson.dumps

_START = b'{"id":'
_SOURCE = b',"source":'
_OUTCOMES = tuple(outcome for outcome in Outcome if outcome.is_done)
_IS_DONE = tuple(f'"outcome":"{outcome}"'.encode() for outcome in _OUTCOMES)
_TEXT = rb'"[^"\\\x00-\x1f]*"'
_ORDINARY = re.compile(
    rb'\{"id":(%b,"source":%b),"subject":(?:%b|null),"type":%b,"outcome":"done",'
    rb'"attempt":[0-9]+,"final":true,[^\\]*"error":null\}\n' % ((_TEXT,) * 4)
).fullmatch


class JobLogError(FlowError):
    """The job log cannot be written or read."""


class JobLog(AppendFile):
    """Appends a line for each attempt to `path`; safe from any thread.

    A line is an object with these members: id, source, subject and type of the event (null for a
    line that is not an event); outcome; attempt (from 1); final (whether no further attempt
    follows); queued and ran (seconds, to the microsecond); finished (RFC 3339, UTC); worker
    (MODULE:CLASS; not in job logs of earlier versions); error (null if there was none). The events
    that --resume skipped are one line at the end, whose member `events` is their number.

    Raises:
        ConfigurationError: The file cannot be opened.
    """

    WHAT = "job log"
    ERROR = JobLogError

    def __init__(self, path: Path, worker: str = "") -> None:
        super().__init__(path)
        self._worker = worker
        # The text of the current millisecond, and the time span in which it is right. One tuple,
        # replaced as a whole: any thread may read it at any time.
        self._clock = (0.0, 0.0, "")
        self._skipped = 0
        self._counting = Lock()

    def record(self, attempt: Attempt) -> None:
        """Append the line for `attempt`; on return it is in the file.

        Raises:
            JobLogError: The line could not be written; the file holds no part of it.
        """
        # Called for every event, so each step is the fastest of several that were measured:
        # dividing rounds faster than round(), and the text of a time is kept for a millisecond.
        event, _, _, outcome, number, final, queued, ran, finished, error = attempt
        if outcome is Outcome.SKIPPED:
            with self._counting:
                self._skipped += 1
            return
        begin, end, clock = self._clock
        if not begin <= finished < end:
            milliseconds = int(finished * 1000)
            clock = rfc3339(milliseconds / 1000)
            self._clock = (milliseconds / 1000, (milliseconds + 1) / 1000, clock)
        get = event.attributes.get if event is not None else _NOTHING.get
        fields = {
            "id": get("id"),
            "source": get("source"),
            "subject": get("subject"),
            "type": get("type"),
            "outcome": outcome,
            "attempt": number,
            "final": final,
            "queued": int(queued * 1e6) / 1e6,
            "ran": int(ran * 1e6) / 1e6,
            "finished": clock,
            "worker": self._worker,
            "error": error,
        }
        try:
            line = _dumps(fields, None, _NEWLINE)
        except TypeError:
            line = _forced(fields)
        self.append(line)

    def close(self) -> None:
        """Write the number of skipped events, if there are any, and close the file.

        Raises:
            JobLogError: The line could not be written.
        """
        skipped, self._skipped = self._skipped, 0
        try:
            if skipped:
                nothing = dict.fromkeys(("id", "source", "subject", "type"))
                times = {"attempt": 0, "final": True, "queued": 0.0, "ran": 0.0}
                fields = nothing | {"outcome": Outcome.SKIPPED} | times
                fields |= {"finished": now(), "worker": self._worker, "error": None}
                fields["events"] = skipped
                self.append(_dumps(fields, None, _NEWLINE))
        finally:
            super().close()


class Done:
    """The events that are done according to a job log; use it as `event in done`.

    An event is identified by its source and its id. A job log of an earlier version has only ids:
    an event with such an id counts as done, whatever its source. Each event takes some 20 bytes.

    An event that was done once stays done, even if a later run without --resume failed with it.
    """

    def __init__(self) -> None:
        self._seen = Seen()

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, event: object) -> bool:
        if not isinstance(event, Event):
            return False
        identity, source = _text(event.id), _text(event.source)
        return mark(identity + _SOURCE + source) in self._seen or mark(identity) in self._seen

    @classmethod
    def read(cls, path: Path) -> "Done":
        """Return the events that are done in the job log `path`; none if it does not exist.

        Lines that are not JSON objects are ignored: a loss of power may have torn one.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        done = cls()
        put = done._seen.put
        try:
            with path.open("rb") as lines:
                for line in lines:
                    # Fast path for nearly every line: id and source are taken without parsing.
                    if (found := _ORDINARY(line)) is not None:
                        put(mark(found[1]))
                    elif any(each in line for each in _IS_DONE):
                        done._add(line)
        except FileNotFoundError:
            return done
        except OSError as error:
            raise ConfigurationError(str(JobLog.failure("read", path, error))) from None
        return done

    def _add(self, line: bytes) -> None:
        # A torn line may precede the record. Inside a text these quotes would be escaped, so
        # that the last occurrence is the beginning of the record.
        try:
            fields = orjson.loads(line[max(0, line.rfind(_START)) :])
        except orjson.JSONDecodeError:
            return
        if isinstance(fields, dict) and fields.get("outcome") in _OUTCOMES:
            identity, source = fields.get("id"), fields.get("source")
            if isinstance(identity, str) and isinstance(source, str):
                self._seen.put(mark(_text(identity) + _SOURCE + _text(source)))
            elif isinstance(identity, str):
                self._seen.put(mark(_text(identity)))


def _text(value: str) -> bytes:
    """Return `value` as JSON, as `JobLog.record` writes it."""
    try:
        return _dumps(value)
    except TypeError:
        return _dumps(value.encode("utf-8", "replace").decode())


def _forced(fields: dict[str, Any]) -> bytes:
    """Encode fields that orjson refuses: text that is not Unicode, such as a strange file name."""
    safe = {
        name: str(value).encode("utf-8", "replace").decode()
        if value is not None and not isinstance(value, int | float)
        else value
        for name, value in fields.items()
    }
    return orjson.dumps(safe, option=orjson.OPT_APPEND_NEWLINE)
