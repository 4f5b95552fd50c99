"""start_many: several events at once, in threads and in processes."""

import signal
import time
from collections import Counter
from subprocess import PIPE

import orjson
import pytest

from flowtools.event import Event
from flowtools.pool.settings import BATCH
from flowtools.worker import Events
from tests.acks import Receiver
from tests.hostile import Hostile
from tests.running import SECONDS, finish, lines, metrics_at, until

HEAD = """import os, subprocess, sys, threading, time
from pathlib import Path
from flowtools.event import Event
from flowtools.worker import Reject, Retry, Unavailable
def note(text):
    with open('notes', 'ab', buffering=0) as file:
        file.write(f'{text}\\n'.encode())
def noted(events):
    note(' '.join(str(event.data) for event in events))
class Noting:
    def start_many(self, events):
        noted(events)
        return self.do(events)
    def do(self, events):
        pass
"""


@pytest.fixture
def notes(tmp_path):
    """The batches that the Worker has noted, each a list of texts."""
    path = tmp_path / "notes"
    return lambda: [line.split() for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(params=["thread", "process"])
def work(request, start, tmp_path):
    """Start flow-work on a Worker W, in threads and in processes."""

    def run(code, *args, **options):
        (tmp_path / "mine.py").write_text(HEAD + code)
        options = {"stdin": PIPE} | options
        return start("flow-work", "mine:W", "--isolation", request.param, *args, **options)

    run.isolation = request.param
    return run


PLAIN = "class W(Noting): pass\n"


def rows(path):
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def give(process, *values):
    process.stdin.write(lines(*values))
    process.stdin.flush()


# The content of a batch


def test_batches_have_the_requested_size_and_the_last_has_the_rest(work, notes):
    assert finish(work(PLAIN, "--batch", 4), lines(*range(10))) == (0, [], "")
    assert notes() == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]


def test_without_options_the_default_batch_size_applies(work, notes):
    assert finish(work(PLAIN), lines(*range(2 * BATCH + 50)))[0] == 0
    assert [len(batch) for batch in notes()] == [BATCH, BATCH, 50]


def test_events_within_the_linger_form_one_batch(work, notes):
    process = work(PLAIN, "--batch", 3, "--linger", 600)
    for number in range(5):  # A batch of three, then two events, each read separately.
        give(process, number)
        time.sleep(0.02)
    until(lambda: notes() == [["0", "1", "2"]])
    assert finish(process, lines(5))[0] == 0
    assert notes()[1:] == [["3", "4", "5"]]


def test_a_batch_waits_no_longer_than_the_linger(work, notes):
    process = work(PLAIN, "--linger", 0.05)
    for number in range(3):
        give(process, number)
        until(lambda number=number: sum(map(len, notes())) == number + 1)
    assert finish(process)[0] == 0


def test_without_a_linger_a_batch_has_the_events_read_so_far(work, notes):
    assert finish(work(PLAIN, "--linger", 0), lines(*range(150)))[0] == 0
    assert [len(batch) for batch in notes()] == [100, 50]


def test_events_that_waited_for_a_free_thread_run_as_one_batch_immediately(work, notes, tmp_path):
    code = """class W(Noting):
    def do(self, events):
        while not Path('go').exists():
            time.sleep(0.01)
"""
    process = work(code, "--batch", 10, "--linger", 0.2)
    give(process, 0)
    until(lambda: notes() == [["0"]])
    for number in range(1, 5):
        give(process, number)
    time.sleep(0.4)
    (tmp_path / "go").touch()
    until(lambda: notes()[1:] == [["1", "2", "3", "4"]])
    assert finish(process)[0] == 0


def test_a_batch_is_bounded_in_bytes_too(work, notes):
    code = "class W:\n    def start_many(self, events): note(' '.join('x' for e in events))\n"
    text = "x" * (6 * 1024 * 1024)
    assert finish(work(code, "--linger", 60), lines(*[text] * 4))[0] == 0
    assert [len(batch) for batch in notes()] == [3, 1]


def test_invalid_lines_are_left_out_of_batches(work, notes):
    status, _, err = finish(work(PLAIN), b'1\nnonsense\n\n2\n{"specversion":"1.0"}\n3\n')
    assert (status, notes()) == (1, [["1", "2", "3"]])
    assert "2 of 5 events failed (2 invalid)" in err


def test_several_threads_share_the_events(work, notes):
    code = "class W(Noting):\n    def do(self, events): time.sleep(0.01)\n"
    assert finish(work(code, "-j", 4, "--batch", 7), lines(*range(500)))[0] == 0
    assert Counter(len(batch) for batch in notes()) == {7: 71, 3: 1}
    assert sorted(int(each) for batch in notes() for each in batch) == list(range(500))


# Results


def test_each_event_gets_its_own_result(work):
    code = """class W:
    def start_many(self, events):
        return [None if event.data == 1 else event.data * 10 for event in events]
"""
    status, out, _ = finish(work(code, "--batch", 3), lines(*range(5)))
    assert (status, [each["data"] for each in out]) == (0, [0, 20, 30, 40])
    single = "class W:\n    def start(self, event): return event.data * 10\n"
    _, alone, _ = finish(work(single), lines(*range(5)))
    ids = {each["data"]: each["id"] for each in alone}
    assert [each["id"] for each in out] == [ids[each["data"]] for each in out]


@pytest.mark.parametrize(
    "returned",
    [
        "tuple(event.data for event in events)",
        "(event.data for event in events)",
        "map(lambda event: event.data, events)",
        "[(each for each in [event.data]) for event in events]",
        "[Event('t', event.data, source='s') for event in events]",
    ],
)
def test_results_may_be_any_sequence(work, returned):
    code = f"class W:\n    def start_many(self, events): return {returned}\n"
    status, out, err = finish(work(code), lines(7, 8))
    assert (status, [each["data"] for each in out], err) == (0, [7, 8], "")


def test_an_exception_or_its_class_may_stand_in_place_of_a_result(work):
    code = """from flowtools.worker import Reject
class Odd(Exception):
    def __init__(self): raise OSError("cannot be made")
class W:
    def start_many(self, events): return [events[0].data, ValueError, KeyError("k"), Reject, Odd]
"""
    status, out, err = finish(work(code), lines(1, 2, 3, 4, 5))
    assert (status, [each["data"] for each in out]) == (1, [1])
    reasons = [line.split("): ", 1)[1] for line in err.splitlines()[:4]]
    assert [each.split(" (/")[0] for each in reasons] == [
        "failed: ValueError",
        "failed: KeyError: 'k'",
        "rejected: Reject",
        "failed: OSError: cannot be made",
    ]


def test_start_many_may_yield_its_results(work):
    code = """class W:
    def start_many(self, events):
        for event in events:
            yield event.data
"""
    status, out, _ = finish(work(code), lines(7, 8))
    assert (status, [each["data"] for each in out]) == (0, [7, 8])


@pytest.mark.parametrize(
    ("returned", "complaint"),
    [
        ("[1]", "returned 1 result for 2 events"),
        ("[1, 2, 3]", "returned more results for 2 events"),
        ("iter(int, 1)", "returned more results for 2 events"),
        ("'ab'", "returned str"),
        ("{1: 2, 3: 4}", "returned dict"),
        ("{1, 2}", "returned set"),
        ("events[0]", "returned ReadEvent"),
        ("5", "returned int"),
    ],
)
def test_a_wrong_number_of_results_rejects_the_whole_batch(work, tmp_path, returned, complaint):
    code = f"class W:\n    def start_many(self, events): return {returned}\n"
    process = work(code, "--retries", 3, "--joblog", "log")
    status, out, err = finish(process, lines(7, 8))
    assert (status, out) == (1, [])
    assert [(row["outcome"], row["attempt"]) for row in rows(tmp_path / "log")] == [
        ("rejected", 1)
    ] * 2
    assert complaint in err


def test_an_unwritable_result_fails_only_its_event(work, tmp_path):
    code = """class W:
    def start_many(self, events):
        return [1, object(), 'x' * 5000, ValueError('not this one'), 5]
"""
    process = work(code, "--joblog", "log", "--max-line", 4000)
    status, out, _ = finish(process, lines(*range(5)))
    assert (status, [each["data"] for each in out]) == (1, [1, 5])
    found = {row["outcome"] + " " + (row["error"] or "") for row in rows(tmp_path / "log")}
    assert {each.split(": ")[0] for each in found} >= {"done ", "failed ValueError"}
    assert sum(row["outcome"] == "done" for row in rows(tmp_path / "log")) == 2


# Failures


FAILS = """class W(Noting):
    def do(self, events):
        for event in events:
            error = dict(text='just so', error=ValueError('bad'), kind=KeyError,
                         reject=Reject('never'), retry=Retry('later', after=0.01)).get(event.data)
            if error is not None:
                events.fail(event, error)
        return [event.data for event in events]
"""


def test_only_failed_events_are_retried(work, notes, tmp_path):
    process = work(
        FAILS, "--retries", 1, "--backoff", 0.01, "--joblog", "log", "--failed", "failed"
    )
    ways = ["text", "error", "kind", "reject", "retry"]
    status, out, _ = finish(process, lines(1, *ways, 2))
    assert (status, [each["data"] for each in out]) == (1, [1, 2])
    assert notes()[0] == ["1", *ways, "2"]
    assert sorted(each for batch in notes()[1:] for each in batch) == [
        "error", "kind", "retry", "text",
    ]  # fmt: skip
    errors = {each["flowerror"].split(" (")[0] for each in rows(tmp_path / "failed")}
    assert errors == {"just so", "ValueError: bad", "KeyError", "Reject: never", "Retry: later"}
    final = [row for row in rows(tmp_path / "log") if row["final"]]
    assert Counter(row["outcome"] for row in final) == {"done": 2, "failed": 4, "rejected": 1}
    assert Counter(row["attempt"] for row in final) == {1: 3, 2: 4}
    replay = work(PLAIN)
    assert finish(replay, (tmp_path / "failed").read_bytes())[0] == 0
    assert sorted(notes()[-1]) == sorted(ways)


def test_events_of_a_failed_batch_are_retried_one_by_one(work, notes, tmp_path):
    code = """class W(Noting):
    def do(self, events):
        if any(event.data == 'bad' for event in events):
            raise ValueError('no')
"""
    process = work(code, "--retries", 1, "--backoff", 0.01, "--failed", "failed")
    status, _, err = finish(process, lines(1, "bad", 3))
    assert notes()[0] == ["1", "bad", "3"]
    assert sorted(notes()[1:]) == [["1"], ["3"], ["bad"]]
    (kept,) = rows(tmp_path / "failed")
    assert (kept["data"], kept["flowattempts"], status) == ("bad", 2, 1)
    assert "1 of 3 events failed" in err


def test_retry_of_a_whole_batch_keeps_it_together(work, notes):
    code = """class W(Noting):
    def do(self, events):
        if not Path('once').exists():
            Path('once').touch()
            raise Retry('the server is busy', after=0.01)
"""
    assert finish(work(code), lines(1, 2, 3))[0] == 0
    assert sorted(notes()[1]) == ["1", "2", "3"]


def test_reject_rejects_the_whole_batch(work, tmp_path):
    code = "class W:\n    def start_many(self, events): raise Reject('no')\n"
    process = work(code, "--retries", 3, "--joblog", "log")
    assert finish(process, lines(1, 2, 3))[0] == 1
    found = [(row["outcome"], row["error"]) for row in rows(tmp_path / "log")]
    assert found == [("rejected", "Reject: no (with a batch of 3 events)")] * 3


@pytest.mark.parametrize("body", ["while True: time.sleep(0.01)", "while True: pass"])
def test_the_timeout_applies_to_the_whole_batch(work, notes, tmp_path, body):
    code = f"""class W(Noting):
    def do(self, events):
        for event in events:
            if event.data == 'rejected':
                events.fail(event, Reject('known before'))
        if any(event.data == 'hang' for event in events):
            {body}
"""
    process = work(
        code, "--retries", 1, "--backoff", 0.01, "--timeout", 0.5, "--grace", 20,
        "--joblog", "log",
    )  # fmt: skip
    assert finish(process, lines(1, "hang", "rejected", 4))[0] == 1
    assert notes()[0] == ["1", "hang", "rejected", "4"]
    assert sorted(notes()[1:]) == [["1"], ["4"], ["hang"]]
    found = sorted((row["outcome"], row["attempt"], row["error"]) for row in rows(tmp_path / "log"))
    late = "not done within 0.5 s"
    assert found == [
        ("done", 2, None),
        ("done", 2, None),
        ("rejected", 1, "Reject: known before"),
        *[("timeout", 1, f"{late} (with a batch of 4 events)")] * 3,
        ("timeout", 2, late),
    ]


def test_a_stuck_thread_is_replaced_and_its_batch_is_settled(start, notes, tmp_path):
    code = """class W(Noting):
    def do(self, events):
        if len(events) > 1:
            time.sleep(3)
"""
    (tmp_path / "mine.py").write_text(HEAD + code)
    options = ("--timeout", 0.1, "--grace", 0.1, "--retries", 1, "--backoff", 0.01)
    process = start("flow-work", "mine:W", *options, stdin=PIPE)
    status, _, err = finish(process, lines(1, 2, 3))
    assert status == 0
    assert "a thread is stuck in event" in err
    assert "and 2 more' and has been replaced" in err
    assert sorted(notes()[1:]) == [["1"], ["2"], ["3"]]


def test_a_crash_costs_each_event_of_the_batch_one_attempt(start, notes, tmp_path):
    code = """class W(Noting):
    def do(self, events):
        for event in events:
            if event.data == 'told':
                events.fail(event, Reject('before the crash'))
        if any(event.data == 'crash' for event in events):
            os._exit(3)
"""
    (tmp_path / "mine.py").write_text(HEAD + code)
    options = ("--isolation", "process", "--retries", 1, "--backoff", 0.01, "--joblog", "log")
    process = start("flow-work", "mine:W", *options, stdin=PIPE)
    assert finish(process, lines(1, "crash", "told", 4))[0] == 1
    assert sorted(notes()[1:]) == [["1"], ["4"], ["crash"]]
    final = [row for row in rows(tmp_path / "log") if row["final"]]
    assert Counter(row["outcome"] for row in final) == {"done": 2, "failed": 1, "rejected": 1}


ANYTHING = """import random
class W:
    def start_many(self, events):
        chance = random.random()
        if chance < 0.05:
            raise ValueError('whole')
        if chance < 0.1:
            raise Retry('again', after=0.01)
        if chance < 0.12 and os.environ.get('CRASHES'):
            os._exit(1)
        if chance < 0.13:
            time.sleep(0.5)
        for event in events:
            chance = random.random()
            if chance < 0.02:
                events.fail(event, 'one')
            elif chance < 0.04:
                events.fail(event, Retry('one', after=0.005))
            elif chance < 0.06:
                events.fail(event, Reject('never'))
        return [event.data for event in events]
"""


@pytest.mark.parametrize(
    "options", [[], ["--key", "subject"], ["--keep-order", "--key", "subject", "--per-key", 2]]
)
def test_every_event_ends_exactly_once_whatever_happens_to_its_batches(work, tmp_path, options):
    env = {"CRASHES": "1"} if work.isolation == "process" else {}
    process = work(
        ANYTHING, "-j", 5, "--batch", 7, "--linger", 0.01, "--retries", 4, "--backoff", 0.005,
        "--timeout", 0.2, "--grace", 0.1, "--joblog", "log", "--failed", "failed", *options,
        env=env,
    )  # fmt: skip
    given = [event(n, subject=f"k{n % 40}") for n in range(1500)]
    status, out, err = finish(process, lines(*given))
    assert status == 1
    final = {row["id"]: row["outcome"] for row in rows(tmp_path / "log") if row["final"]}
    assert len(final) == sum(row["final"] for row in rows(tmp_path / "log")) == 1500
    done = [number for number, outcome in final.items() if outcome == "done"]
    assert sorted(each["data"] for each in out) == sorted(map(int, done))
    assert len(rows(tmp_path / "failed")) == 1500 - len(done)
    assert f"{1500 - len(done)} of 1500 events failed" in err
    if "--keep-order" in options:
        assert [each["data"] for each in out] == sorted(map(int, done))
    elif "--key" in options:
        for key in range(40):
            of_key = [each["data"] for each in out if each["data"] % 40 == key]
            assert of_key == sorted(of_key)


HURTS = {
    "str_raises": "StrRaises: its text cannot be made: KeyError",
    "str_exits": "StrExits: its text cannot be made: SystemExit",
    "evil_retry": "invalid Retry(after='soon')",
    "retry_junk": "invalid Retry(after=[30])",
    "interrupts_itself": "KeyboardInterrupt",
    "takes_everything": "ValueError: gone",
    "says_much": "ValueError: yyy",
    "exits": "SystemExit: 5",
    "takes_the_id_and_returns": "the event has no attribute",
    "returns_what_is_not_json": "",
    "yields_and_raises": "ValueError: later",
}


@pytest.mark.parametrize("how", ["fail", "result"])
def test_a_hostile_error_fails_only_its_event(work, tmp_path, how):
    assert all(hasattr(Hostile, way) for way in HURTS)
    code = """from tests.hostile import Hostile
class W(Hostile):
    def start_many(self, events):
        for event in events:
            try:
                yield self.start(event)
            except BaseException as error:
                """
    code += "events.fail(event, error); yield" if how == "fail" else "yield error"
    process = work(code, "--joblog", "log")
    given = [
        Event("t", way, source="s", id=f"{number}").attributes
        for number, way in enumerate(["ok", *HURTS, "ok"])
    ]
    status, out, _ = finish(process, lines(*given))
    assert status == 1
    assert [each["data"] for each in out] == ["ok", "ok"]
    found = {int(row["id"]): row for row in rows(tmp_path / "log")}
    for number, text in enumerate(HURTS.values(), 1):
        # A result without a JSON form is found only after the work: it is not repeated.
        has_no_form = [*HURTS][number - 1] == "returns_what_is_not_json"
        assert found[number]["outcome"] == ("rejected" if has_no_form else "failed")
        assert text in found[number]["error"]
        assert len(found[number]["error"]) < 17_000


def test_an_error_whose_text_hangs_counts_against_the_timeout_of_the_batch(work):
    code = """from tests.hostile import StrHangs
class W:
    def start_many(self, events):
        events.fail(events[0], StrHangs())
"""
    process = work(code, "--timeout", 0.3, "--grace", 20)
    status, _, err = finish(process, lines(1, 2))
    assert (status, err.count("timeout: not done within 0.3 s")) == (1, 2)


def test_events_behave_as_a_sequence_and_fail_accepts_only_their_own():
    told = []
    first, second = (Event("t", number, source="s", id="same") for number in range(2))
    events = Events([first, second], lambda place, error: told.append((place, error)), 7.0)
    assert (len(events), list(events), events[1] is second) == (2, [first, second], True)
    assert first.deadline == second.deadline == events.deadline == 7.0
    events.fail(second, "why")
    assert told == [(1, "why")]
    with pytest.raises(ValueError, match="not an event of this batch"):
        events.fail(Event.of(dict(first.attributes)), "why")
    with pytest.raises(TypeError, match="with an exception or with text, not with 5"):
        events.fail(first, 5)
    assert events.cancelled()
    events.cancel()
    assert first.cancelled()
    events.end()
    with pytest.raises(RuntimeError, match="has ended"):
        events.fail(first, "why")


@pytest.mark.parametrize(
    "body", ["raise Unavailable('down')", "events.fail(events[0], Unavailable('down'))"]
)
def test_during_an_outage_the_pool_pauses_and_probes_with_one_event(work, notes, tmp_path, body):
    code = f"""class W(Noting):
    def do(self, events):
        if not Path('up').exists():
            {body}
"""
    process = work(
        code, "-j", 2, "--batch", 5, "--backoff", 0.05, "--max-backoff", 0.05, "--linger", 0.05,
        "--joblog", "log",
    )  # fmt: skip
    give(process, *range(30))
    until(lambda: len(notes()) >= 6)
    # At the start of the pause each thread ran a batch. Afterwards single events are tried.
    assert all(len(batch) == 1 for batch in notes()[2:])
    (tmp_path / "up").touch()
    status, _, err = finish(process)
    assert status == 0, err
    final = [row for row in rows(tmp_path / "log") if row["final"]]
    assert [(row["outcome"], row["attempt"]) for row in final] == [("done", 1)] * 30
    assert err.count("paused: the server behind the Worker is down") == 1
    assert err.count("continuing after a pause") == 1


# Keys, order, rate


def test_a_batch_has_one_event_per_key_and_the_next_waits_for_it(work, tmp_path, notes):
    code = """class W(Noting):
    def do(self, events):
        for event in events:
            note('start ' + event.data)
            if event.data == 'a1' and not Path('once').exists():
                Path('once').touch()
                events.fail(event, 'not yet')
            else:
                note('done ' + event.data)
"""
    process = work(code, "-j", 2, "--key", "subject", "--retries", 1, "--backoff", 0.05,
                   "--linger", 0.01)  # fmt: skip
    given = [
        Event("t", f"{key}{number}", source="s", subject=key).attributes
        for number in range(1, 4)
        for key in "abc"
    ]
    assert finish(process, lines(*given))[0] == 0
    words = [batch for batch in notes() if batch[0] not in ("start", "done")]
    assert all(len({each[0] for each in batch}) == len(batch) for batch in words)
    for key in "abc":
        done = [what for word, what in (n for n in notes() if n[0] == "done") if what[0] == key]
        assert done == [f"{key}{number}" for number in range(1, 4)]
    # A single thread keeps keys apart, too.
    process = work(code, "--key", "subject", "--linger", 0.01)
    assert finish(process, lines(*given))[0] == 0
    words = [batch for batch in notes() if batch[0] not in ("start", "done")]
    assert all(len({each[0] for each in batch}) == len(batch) for batch in words)


def test_a_batch_has_at_most_per_key_events_of_a_key(work, notes):
    given = [event(f"{key}{n}", subject=key) for n in range(4) for key in "ab"]
    process = work(PLAIN, "--key", "subject", "--per-key", 2, "--linger", 0.01)
    assert finish(process, lines(*given))[0] == 0
    assert notes() == [["a0", "b0", "a1", "b1"], ["a2", "b2", "a3", "b3"]]


def test_a_process_is_recycled_between_two_batches(start, notes, tmp_path):
    (tmp_path / "mine.py").write_text(
        HEAD + "class W(Noting):\n    def do(self, events): note(f'by {os.getpid()}')\n"
    )
    options = ("--isolation", "process", "--recycle", 5, "--batch", 3)
    process = start("flow-work", "mine:W", *options, stdin=PIPE)
    assert finish(process, lines(*range(12)))[0] == 0
    by = [each[1] for each in notes() if each[0] == "by"]
    assert [len(each) for each in notes() if each[0] != "by"] == [3, 3, 3, 3]
    assert by[0] == by[1] != by[2] == by[3]


def test_keep_order_writes_batch_results_in_input_order(work):
    code = """class W:
    def start_many(self, events):
        time.sleep(0.05 if events[0].data % 2 else 0)
        return [event.data for event in events]
"""
    process = work(code, "-j", 4, "--batch", 3, "--keep-order")
    status, out, _ = finish(process, lines(*range(60)))
    assert (status, [each["data"] for each in out]) == (0, list(range(60)))


def test_batches_respect_the_rate_limit(work, notes, tmp_path):
    code = "class W(Noting):\n    def do(self, events): note(f'at {time.monotonic()}')\n"
    process = work(code, "--rate", "50/s", "--batch", 10, "--linger", 0.1)
    assert finish(process, lines(*range(60)))[0] == 0
    batches = [batch for batch in notes() if batch[0] != "at"]
    times = [float(batch[1]) for batch in notes() if batch[0] == "at"]
    assert sum(map(len, batches)) == 60
    assert max(len(batch) for batch in batches) < 10 + 1
    # With the credit of a tenth of a second.
    assert times[-1] - times[0] > (60 - len(batches[0])) / 50 - 0.2


# Acknowledgement and the end


def event(number, **more):
    return Event("t", number, source="s", id=f"{number}", **more).attributes


def test_each_event_of_a_batch_is_acknowledged_separately(work, tmp_path):
    code = """class W:
    def start_many(self, events):
        events.fail(events[1], Reject('no'))
        return [event.data for event in events]
"""
    with Receiver(tmp_path / "ack") as receiver:
        process = work(code)
        given = [event(n, ackto=receiver.ackto(f"1.{n}")) for n in range(3)]
        give(process, *given)
        process.stdin.close()
        process.stdin = None
        said = receiver.until_gone()
        out, _ = process.communicate(timeout=SECONDS)
    assert [line.split()[:2] for line in said] == [["1.0", "ack"], ["1.1", "nack"], ["1.2", "ack"]]
    assert "Reject: no" in said[1]
    assert [orjson.loads(line)["data"] for line in out.splitlines()] == [0, 2]
    assert receiver.byes == 1


def test_pass_and_relay_forward_the_duty_of_each_event(work, tmp_path):
    code = """class W:
    def start_many(self, events):
        return [event.data or None for event in events]
"""
    with Receiver(tmp_path / "ack") as receiver:
        given = [event(n, ackto=receiver.ackto(f"1.{n}")) for n in range(2)]
        status, out, _ = finish(work(code, "--pass"), lines(*given))
        assert status == 0
        assert [each.get("ackto") for each in out if each["type"] == "t"] == [
            receiver.ackto("1.0"), receiver.ackto("1.1"),
        ]  # fmt: skip
    with Receiver(tmp_path / "ack2") as receiver:
        given = [event(n, ackto=receiver.ackto(f"1.{n}")) for n in range(2)]
        process = work(code, "--relay")
        give(process, *given)
        assert receiver.lines(1) == ["1.0 ack"]
        (line,) = [orjson.loads(process.stdout.readline())]
        assert line["data"] == 1
        assert line["ackto"] == receiver.ackto("1.1")  # The single result carries the duty.
        process.terminate()
        process.communicate(timeout=SECONDS)


def test_resume_skips_finished_events_of_a_batch(work, notes, tmp_path):
    process = work(FAILS, "--joblog", "log")
    assert finish(process, lines(event(1), event("text"), event(3)))[0] == 1
    process = work(PLAIN, "--joblog", "log", "--resume")
    assert finish(process, lines(event(1), event("text"), event(3), event(4)))[0] == 0
    assert notes()[1:] == [["text", "4"]]


def test_a_signal_runs_a_batch_that_is_waiting_for_more_events(work, notes, tmp_path):
    process = work(PLAIN, "--linger", 600, "--joblog", "log", "--metrics", "unix:metrics")

    def queued():
        try:
            return metrics_at(tmp_path / "metrics").get("flowtools_queued")
        except OSError:
            return None  # The socket does not exist, or does not listen, yet.

    give(process, 1, 2, 3)
    until(lambda: queued() == 3)
    assert notes() == []
    process.terminate()
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == -signal.SIGTERM, err
    assert notes() == [["1", "2", "3"]]
    assert [row["outcome"] for row in rows(tmp_path / "log")] == ["done"] * 3


def test_a_batch_that_outlasts_the_drain_counts_as_not_tried(work, notes, tmp_path):
    code = """class W(Noting):
    def do(self, events):
        events.fail(events[0], Reject('known'))
        while not events.cancelled() and not events[1].cancelled():
            time.sleep(0.01)
"""
    process = work(code, "--drain", 0.1, "--linger", 0.05, "--joblog", "log", "--failed", "failed")
    give(process, 1, 2, 3)
    until(lambda: notes() == [["1", "2", "3"]])
    time.sleep(0.1)
    process.terminate()
    process.communicate(timeout=SECONDS)
    kept = {each["data"]: each["flowerror"] for each in rows(tmp_path / "failed")}
    assert kept == {
        1: "Reject: known", 2: "not tried: the pool ended", 3: "not tried: the pool ended",
    }  # fmt: skip


def test_halt_starts_no_further_batch(work, notes, tmp_path):
    code = "class W(Noting):\n    def do(self, events): events.fail(events[0], 'no')\n"
    process = work(code, "--batch", 2, "--halt", "soon,fail=1", "--failed", "failed")
    assert finish(process, lines(*range(10)))[0] == 1
    assert notes() == [["0", "1"]]
    assert [each["data"] for each in rows(tmp_path / "failed")] == [0, *range(2, 10)]


# Messages and refusals


def test_messages_of_a_batch_name_its_first_event(work):
    code = "class W:\n    def start_many(self, events): print('hello')\n"
    process = work(code, "--batch", 2, "--log-format", "json")
    given = [event(n, subject=f"asset-{n}") for n in range(3)]
    _, _, err = finish(process, lines(*given))
    said = [orjson.loads(line) for line in err.splitlines()]
    assert [(each["subject"], each["event"], each["message"]) for each in said] == [
        ("asset-0 and 1 more", "0", "hello"),
        ("asset-2", "2", "hello"),
    ]


@pytest.mark.parametrize("option", ["--batch", "--linger"])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_batch_options_are_refused_without_start_many(work, option, dry):
    process = work("class W:\n    def start(self, event): pass\n", option, 5, *dry)
    status, out, err = finish(process, lines(1))
    assert (status, out) == (78, [])
    assert err == (
        f"flow-work: Worker 'mine:W' takes single events: leave {option} out,"
        " or give the Worker a start_many(events)\n"
    )


@pytest.mark.parametrize(
    ("method", "complaint"),
    [
        ("async def start_many(self, events): pass", "coroutine function"),
        ("def start_many(self): pass", "cannot be called with 1 argument"),
        ("def start_much(self, events): pass", "its class has no 'start'"),
    ],
)
def test_an_uncallable_start_many_is_refused_at_load_time(work, method, complaint):
    status, _, err = finish(work(f"class W:\n    {method}\n"), lines(1))
    assert (status, complaint in err) == (78, True)


@pytest.mark.parametrize(("option", "value"), [("--batch", "0"), ("--linger", "nan")])
def test_meaningless_values_of_batch_options_are_usage_errors(work, option, value):
    assert finish(work(PLAIN, option, value))[0] == 2


def test_start_many_takes_precedence_over_start(work, notes):
    code = "class W(Noting):\n    def start(self, event): note('alone')\n"
    assert finish(work(code), lines(1, 2))[0] == 0
    assert notes() == [["1", "2"]]


def test_flow_run_supports_batches(start, notes, tmp_path):
    code = """from flowtools.source.interval import Interval
class W(Noting):
    SOURCE = Interval(0.001, count=7)
    def do(self, events):
        note(' '.join(str(event["number"]) for event in events))
"""
    (tmp_path / "mine.py").write_text(HEAD + code.replace("return self.do", "self.do"))
    process = start("flow-run", "mine:W", "--batch", 3, "--linger", 60)
    assert finish(process)[0] == 0
    numbers = [batch for batch in notes() if all(each.isdigit() for each in batch)]
    assert [len(batch) for batch in numbers] == [3, 3, 1]
    flat = [int(each) for batch in numbers for each in batch]
    assert flat == list(range(flat[0], flat[0] + 7))
