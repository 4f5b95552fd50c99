"""--halt: its words, and when it is enough."""

import threading

import pytest

from flowtools.errors import UsageError
from flowtools.pool.limits import Halt
from flowtools.pool.outcome import Attempt, Outcome


def attempt(outcome, final=True):
    return Attempt(None, b"", 1, Outcome(outcome), 1, final, 0.0, 0.0, 0.0, None)


def verdicts(text, outcomes):
    """What Halt says, event by event; d and f are short for done and failed."""
    halt = Halt.parse(text)
    words = {"d": "done", "f": "failed"}
    return [halt.record(attempt(words.get(each, each))) for each in outcomes]


@pytest.mark.parametrize(
    ("text", "outcomes", "expected"),
    [
        ("never", "fff", [None, None, None]),
        ("soon,fail=2", "fdf", [None, None, "soon"]),
        ("now,fail=1", "df", [None, "now"]),
        ("now,fail=1", "ff", ["now", "now"]),
        ("soon,success=2", "dfd", [None, None, "soon"]),
        ("soon,success=1", "fd", [None, "soon"]),
        ("now,done=3", "dfd", [None, None, "now"]),
        ("0", "f", [None]),
        ("1", "f", ["soon"]),
        ("2", "f", ["now"]),
        ("-1", "fd", [None, "soon"]),
        ("-2", "d", ["now"]),
    ],
)
def test_a_number_of_events_halts_as_in_gnu_parallel(text, outcomes, expected):
    assert verdicts(text, outcomes) == expected


@pytest.mark.parametrize(
    ("text", "outcomes", "halted"),
    [
        ("soon,fail=50%", "ff", None),
        ("soon,fail=50%", "fff", "soon"),
        ("50%", "fff", "soon"),
        ("now,fail=50%", "ddddfff", None),
        ("now,fail=50%", "dddfff", "now"),
        ("now,fail=100%", "dffff", None),
        ("now,success=75%", "dfdd", "now"),
    ],
)
def test_a_percentage_is_of_the_events_that_have_ended_once_three_count(text, outcomes, halted):
    assert verdicts(text, outcomes)[-1] == halted


def test_no_verdict_comes_from_an_event_of_the_other_kind():
    assert verdicts("now,fail=10%", "fffd") == [None, None, "now", None]


@pytest.mark.parametrize("outcome", ["failed", "timeout", "rejected", "invalid"])
def test_every_way_to_fail_for_good_counts_as_a_failure(outcome):
    assert verdicts("now,fail=1", [outcome]) == ["now"]


@pytest.mark.parametrize("outcome", ["skipped", "cancelled"])
def test_what_was_not_run_counts_nowhere(outcome):
    assert verdicts("now,done=1", [outcome, outcome, "d"]) == [None, None, "now"]


def test_an_attempt_that_is_tried_again_does_not_count():
    halt = Halt.parse("now,fail=1")
    assert halt.record(attempt("failed", final=False)) is None
    assert halt.record(attempt("failed")) == "now"


def test_it_counts_across_threads():
    halt = Halt.parse("soon,fail=4000")
    found = []

    def fail():
        found.extend([halt.record(attempt("failed")) for _ in range(500)])

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count("soon") == 1


@pytest.mark.parametrize(
    "text",
    ["", "soon", "now", "never,fail=1", "soon,fail", "soon,fail=", "soon,fail=x", "now,fail=-1",
     "later,fail=1", "soon,failed=1", "soon fail=1", "soon,fail=1.5", "soon,fail=3 "],
)  # fmt: skip
def test_nonsense_is_refused_with_what_to_type(text):
    with pytest.raises(UsageError, match=r"does not say when to halt: write never, soon,fail=N"):
        Halt.parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soon,fail=0", "at least 1"),
        ("soon,fail=0%", "from 1 to 100"),
        ("now,fail=101%", "from 1 to 100"),
        ("now,done=10%", "write done=N"),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused(text, why):
    with pytest.raises(UsageError, match=why):
        Halt.parse(text)
