"""Outcome: everything that depends on how an event ended, tested for all members.

A new member needs no change here: it is tested everywhere like the existing ones.
"""

import math
import os
import pickle
import signal
import time
from collections import Counter
from datetime import timedelta

import orjson
import pytest

from flowtools.core.lines import LineWriter
from flowtools.errors import EventsFailed
from flowtools.event import Event
from flowtools.pool.backlog import Backlog
from flowtools.pool.control import Control
from flowtools.pool.joblog import Done, JobLog
from flowtools.pool.limits import Halt
from flowtools.pool.outcome import Answer, Attempt, Failure, Meaning, Outcome
from flowtools.pool.results import Results
from flowtools.pool.settings import RetryPolicy, Settings
from flowtools.pool.settlement import Settlement
from flowtools.pool.tally import Tally, summary
from flowtools.pool.work import check
from flowtools.worker import Retry, Unavailable
from tests.running import SECONDS

EVERY = pytest.mark.parametrize("outcome", Outcome)
EVENT = Event("t", source="s", id="1", ackto="unix:x#1.1")
LINE = EVENT.encode().rstrip(b"\n")


def attempt(outcome, final=True):
    return Attempt(EVENT, LINE, 1, outcome, 1, final, 0.0, 0.1, 0.0, None)


class Acks:
    def __init__(self):
        self.answers = []

    def ack(self, ackto):
        self.answers.append("ack")

    def nack(self, ackto, reason=None):
        self.answers.append("nack")


class Kept:
    def write(self, attempt):
        pass


def settle(outcome, settings=None, **parts):
    """Settle the event with `outcome`; return the answers to its source, and the output."""
    reader, writer = os.pipe()
    acks = Acks()
    results = Results(LineWriter(writer))
    settings = settings or Settings()
    settlement = Settlement(results, Backlog(), settings, Control(), acks=acks, **parts)
    settlement.finish(attempt(outcome), [])
    assert settlement.counts == {outcome: 1}
    os.close(writer)
    with os.fdopen(reader, "rb") as out:
        return acks.answers, out.read()


def test_an_incomplete_outcome_member_is_refused():
    with pytest.raises(TypeError, match="may_retry"):
        Meaning(ran=True, is_failure=False, is_done=False, answer=Answer.ACK)


@EVERY
def test_the_properties_of_an_outcome_are_consistent(outcome):
    assert not (outcome.is_failure and outcome.is_done)
    assert outcome.is_done == (outcome.answer is Answer.ACK)
    assert not (outcome.is_done and outcome.may_retry)
    assert outcome == outcome.value == str(outcome)
    assert Outcome(str(outcome)) is pickle.loads(pickle.dumps(outcome)) is outcome


@EVERY
def test_the_source_gets_the_answer_of_the_outcome(outcome):
    heard = {Answer.ACK: ["ack"], Answer.NACK: ["nack"], Answer.NOTHING: []}
    assert settle(outcome) == (heard[outcome.answer], b"")


@EVERY
def test_a_failure_kept_in_the_failed_file_is_acknowledged(outcome):
    answers, _ = settle(outcome, failures=Kept())
    assert answers == (["ack"] if outcome.is_failure or outcome.is_done else [])


@EVERY
def test_with_pass_only_done_events_are_forwarded_with_their_duty(outcome):
    answers, out = settle(outcome, Settings(pass_on=True))
    assert out == (LINE + b"\n" if outcome.is_done else b"")
    assert answers == (["nack"] if outcome.answer is Answer.NACK else [])


@EVERY
def test_the_job_log_records_the_outcome_and_resume_skips_done_events(outcome, tmp_path):
    with JobLog(tmp_path / "log") as log:
        log.record(attempt(outcome))
    assert orjson.loads((tmp_path / "log").read_bytes())["outcome"] == outcome
    done = Done.read(tmp_path / "log")
    # Skipped events are one line for all: the log already has them as done.
    assert len(done) == (outcome.is_done and outcome is not Outcome.SKIPPED)


@EVERY
def test_halt_counts_failures_and_successful_runs(outcome):
    def halts(text):
        return Halt.parse(text).record(attempt(outcome)) is not None

    assert halts("now,fail=1") == outcome.is_failure
    assert halts("now,success=1") == (outcome.is_done and outcome.ran)


@EVERY
def test_the_summary_shows_the_outcome(outcome):
    tally = Tally()
    tally.record(attempt(outcome))
    figures = tally.figures()
    assert f"1 {'failed' if outcome.is_failure else outcome}" in summary(figures)
    assert (figures.median is not None) == outcome.ran


@EVERY
def test_an_attempt_before_the_last_is_counted_as_retried(outcome):
    tally = Tally()
    tally.record(attempt(outcome, final=False))
    assert "1 retried" in summary(tally.figures())


@EVERY
def test_the_exit_status_shows_whether_there_was_a_failure(outcome):
    if outcome.is_failure:
        with pytest.raises(EventsFailed, match="1 of 1 event failed") as failed:
            check(Counter([outcome]))
        assert failed.value.status == outcome.status == 1
    else:
        check(Counter([outcome]))
        assert outcome.status == 0


@EVERY
def test_outcomes_that_may_improve_are_retried(outcome):
    delay = RetryPolicy(retries=1).delay(1, Failure(outcome, "x"))
    assert (delay is not None) == outcome.may_retry


@pytest.mark.parametrize("outcome", [each for each in Outcome if each.raised])
@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_the_exception_of_an_outcome_causes_it_in_threads_and_processes(
    outcome, isolation, start, tmp_path
):
    module, name = outcome.raised.__module__, outcome.raised.__name__
    (tmp_path / "raises.py").write_text(
        f"from {module} import {name}\n"
        f"class Sub({name}): pass\n"
        f"class Worker:\n    def start(self, event):\n        raise Sub('why')\n"
    )
    process = start(
        "flow-work", "raises:Worker", "--isolation", isolation, "--joblog", "jobs", stdin=-1
    )
    process.stdin.write(b"1\n")
    process.stdin.flush()
    if outcome.pauses:  # It is retried forever.
        process.stderr.readline()
        process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=SECONDS)
    row = orjson.loads((tmp_path / "jobs").read_bytes().splitlines()[0])
    assert (row["outcome"], row["error"], row["final"]) == (outcome, "Sub: why", not outcome.pauses)
    assert process.returncode == (-signal.SIGTERM if outcome.pauses else outcome.status), err


def test_any_other_exception_is_a_failure():
    assert Outcome.of(ValueError()) is Outcome.of(SystemExit()) is Outcome.FAILED
    assert Outcome.of(Retry()) is Outcome.FAILED


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        (30, 30.0),
        ("30", 30.0),
        (" 1.5 ", 1.5),
        (timedelta(minutes=2), 120.0),
        (-7, 0.0),
        (timedelta(-1), 0.0),
        (1e300, 1e300),
        (None, 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
    ],
)
def test_retry_takes_a_number_text_a_date_a_timedelta_or_nothing(after, seconds):
    assert Failure.of(Retry(after=after)).after == seconds


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%c"])
@pytest.mark.parametrize("kind", [Retry, Unavailable])
def test_the_wait_may_be_the_date_of_a_header_retry_after(kind, form):
    date = time.strftime(form, time.gmtime(time.time() + 3600))
    assert 3500 < kind("busy", date).after <= 3600


@pytest.mark.parametrize("kind", [Retry, Unavailable])
def test_the_wait_may_be_the_second_argument(kind):
    assert kind("busy", 5).after == 5.0
    assert str(kind("busy", 5)) == "busy"


@pytest.mark.parametrize(
    "after", ["soon", "", "Sun, 99 Nov 1994", math.inf, math.nan, "inf", [1], 10**400]
)
def test_an_invalid_wait_of_a_retry_is_an_error_that_names_it(after):
    with pytest.raises(ValueError, match=r"^invalid Retry\(after=.*\): expected seconds"):
        Retry(after=after)
