"""flow-failed on a dead-letter queue: shown without taking, replayed and dropped one by one."""

import json
import os
import pty
import signal

import pytest

from flowtools.failed.queue import FailedQueue
from flowtools.stomp.dialect import death_of
from tests.conftest import KILLS
from tests.queues import LOGIN, Queue
from tests.running import SECONDS, until

IDLE = ["--idle", "0.3"]


@pytest.fixture
def queue():
    queue = Queue()
    for number in range(5):
        queue.fail(number, f"LookupError: asset {4710 + number} not found", number)
    queue.fail(5, "OSError: HTTP 503 from 'http://x/5'", 50)
    queue.fail(6, "OSError: HTTP 404 from 'http://x/6'", 51)
    yield queue
    queue.close()


def numbers(waiting):
    return [json.loads(each)["n"] for each in waiting]


def failed(run, queue, *options, **more):
    return run("flow-failed", *IDLE, queue.url, *options, env=LOGIN, **more)


def test_the_table_has_a_row_for_each_reason_and_takes_nothing(queue, run):
    status, out, err = failed(run, queue)
    rows = out.decode().splitlines()
    assert (status, err, len(rows)) == (0, "", 4)
    assert rows[1].split()[0] == "5"
    assert rows[1].rstrip().endswith("LookupError: asset 4714 not found")
    assert numbers(queue.waiting()) == list(range(7))


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--error", "HTTP"], [5, 6]),
        (["--since", "2023-11-14T22:50:00Z"], [5, 6]),
        (["--until", "2023-11-14T22:02:00Z"], [0, 1]),
        (["--limit", "2"], [0, 1]),
        (["--error", "not found", "--limit", "1"], [0]),
        (["--type", "flow.file.*"], []),
    ],
)
def test_options_select_events(queue, run, options, found):
    out = failed(run, queue, "--list", "--json", *options)[1]
    assert [json.loads(each)["data"]["body"]["n"] for each in out.splitlines()] == found
    assert numbers(queue.waiting()) == list(range(7))


def test_show_prints_one_whole_event(queue, run):
    listed = failed(run, queue, "--list", "--json", "--error", "503")[1]
    status, out, _ = failed(run, queue, "--show", json.loads(listed)["id"])
    assert status == 0
    assert out.decode().startswith("error      OSError: HTTP 503 from 'http://x/5'\nattempts   3\n")


def test_processed_events_leave_the_queue_and_the_rest_stays_in_order(queue, shell):
    status, out, err = shell(
        f"flow-failed {' '.join(IDLE)} --replay --error 'HTTP|4712' '{queue.url}'"
        " | flow-work tests.workers:Echo",
        **LOGIN,
    )
    assert status == 0, err
    assert {json.loads(each)["data"]["body"]["n"] for each in out.splitlines()} == {2, 5, 6}
    assert numbers(queue.waiting()) == [0, 1, 3, 4]


def test_flow_send_returns_replayed_events_to_their_queue(queue, shell):
    back = queue.at("/queue/jobs")
    status, _, err = shell(
        f"flow-failed {' '.join(IDLE)} --replay '{queue.url}' | flow-send '{back}'", **LOGIN
    )
    assert (status, queue.waiting()) == (0, []), err
    events = [json.loads(each) for each in queue.waiting("/queue/jobs")]
    assert [each["data"]["body"]["n"] for each in events] == list(range(7))


def test_rejected_events_stay(queue, shell):
    status, _, err = shell(
        f"flow-failed {' '.join(IDLE)} --replay '{queue.url}' | flow-ack --nack", **LOGIN
    )
    assert (status, numbers(queue.waiting())) == (1, list(range(7)))
    assert "flow-failed: 7 events were rejected and 0 not settled; they stay in" in err


def test_an_event_that_arrives_during_a_replay_is_left_alone(queue, start, run):
    """Otherwise a replay whose events fail again into the same queue would never end."""
    process = start("flow-failed", *IDLE, "--replay", "--prefetch", "1", queue.url, env=LOGIN)
    first = process.stdout.readline()
    queue.fail(7)
    worker = start("flow-ack", stdin=process.stdout)
    assert run("flow-ack", input=first)[0] == 0
    assert (worker.wait(SECONDS), process.wait(SECONDS)) == (0, 0)
    assert numbers(queue.waiting()) == [7]


def test_a_closed_reader_returns_unfinished_events_to_the_queue(queue, shell):
    status, out, _ = shell(
        f"flow-failed {' '.join(IDLE)} --replay --prefetch 2 '{queue.url}' | head -n 1", **LOGIN
    )
    assert (status, out.count(b"\n"), numbers(queue.waiting())) == (141, 1, list(range(7)))


def test_a_stop_returns_unfinished_events_to_the_queue(queue, start):
    process = start("flow-failed", *IDLE, "--replay", "--drain", "0.2", queue.url, env=LOGIN)
    assert process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert numbers(queue.waiting()) == list(range(7))


def test_a_replay_killed_at_any_moment_loses_nothing(start, tmp_path):
    """Every event is done or still in the queue."""
    queue, done = Queue(), tmp_path / "done"
    (tmp_path / "notes.py").write_text(
        "class W:\n    def start(self, event):\n"
        f"        with open({str(done)!r}, 'a') as file:\n"
        "            file.write(f\"{event['body']['n']}\\n\")\n"
    )
    for number in range(300):
        queue.fail(number)
    done.touch()
    for enough in range(40, 40 * KILLS + 1, 40):
        options = [*IDLE, "--replay", "--prefetch", "8"]
        process = start("flow-failed", *options, queue.url, env=LOGIN)
        worker = start("flow-work", "notes:W", stdin=process.stdout)
        until(lambda: done.read_text().count("\n") > enough)  # noqa: B023
        process.kill()
        process.wait()
        worker.wait()
        until(lambda: queue.waiting())
    left = set(numbers(queue.waiting()))
    queue.close()
    assert left | {int(each) for each in done.read_text().split()} == set(range(300))


def test_drop_removes_only_the_selected_events(queue, run):
    assert failed(run, queue, "--drop", "--yes", "--error", "HTTP")[0] == 0
    assert numbers(queue.waiting()) == [0, 1, 2, 3, 4]


def test_drop_without_a_terminal_needs_yes(queue, run):
    status, _, err = failed(run, queue, "--drop")
    assert (status, numbers(queue.waiting())) == (2, list(range(7)))
    assert "--drop would remove 7 events: add --yes" in err


@pytest.mark.parametrize(("answer", "left"), [(b"y\n", [0, 1, 2, 3, 4]), (b"\n", list(range(7)))])
def test_drop_asks_for_confirmation_on_a_terminal(queue, start, answer, left):
    main, terminal = pty.openpty()
    options = [*IDLE, "--drop", "--error", "HTTP", queue.url]
    process = start("flow-failed", *options, env=LOGIN, stdin=terminal)
    while b"?" not in process.stderr.read(1):
        pass
    assert queue.waiting() == []  # The messages are held during the question.
    os.write(main, answer)
    assert process.wait(SECONDS) == 0
    assert numbers(queue.waiting()) == left
    os.close(main)
    os.close(terminal)


def test_control_c_at_the_confirmation_drops_nothing(queue, start):
    main, terminal = pty.openpty()
    process = start("flow-failed", *IDLE, "--drop", queue.url, env=LOGIN, stdin=terminal)
    while b"?" not in process.stderr.read(1):
        pass
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == -signal.SIGINT
    assert numbers(queue.waiting()) == list(range(7))
    os.close(main)
    os.close(terminal)


@pytest.mark.parametrize("option", [["--idle", "3"], ["--user", "x"], ["--header", "a=b"]])
def test_options_for_a_queue_are_refused_with_a_file(run, option):
    status, _, err = run("flow-failed", *option, "failed.jsonl")
    assert status == 2
    assert f"{option[0]} is for a queue; 'failed.jsonl' is a file" in err


@pytest.mark.parametrize("action", ["--replay", "--drop"])
def test_replay_and_drop_are_refused_on_a_topic(queue, run, action):
    status, _, err = run("flow-failed", action, queue.at("/topic/a"), env=LOGIN)
    assert status == 2
    assert "'/topic/a' is a topic, which keeps no messages: give a queue" in err


def test_a_broker_without_single_acknowledgements_is_reported(run):
    from tests.stomp_servers import Coil

    coil = Coil()
    status, _, err = run("flow-failed", "--replay", coil.url())
    coil.stop()
    assert status == 77
    assert "takes acknowledgements only in order, so single messages cannot be removed" in err


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, ""),
        (
            {"x-last-death-reason": "delivery_limit", "x-last-death-queue": "jobs"},
            "moved by RabbitMQ from queue 'jobs': delivery_limit",
        ),
        (
            {"x-first-death-reason": "expired", "x-first-death-queue": "jobs"},
            "moved by RabbitMQ from queue 'jobs': expired",
        ),
        ({"dlqDeliveryFailureCause": "why"}, "moved by ActiveMQ: why"),
    ],
)
def test_messages_moved_by_the_broker_itself_have_a_reason(headers, reason):
    assert death_of(headers) == reason


def test_a_message_without_a_reason_is_shown_as_unknown(queue, run):
    other = Queue("/queue/other")
    other.put(b"{}", flow_refused_at="2023-11-14T22:13:20Z")
    out = run("flow-failed", *IDLE, other.url, env=LOGIN | {"TZ": "UTC"})[1].decode()
    other.close()
    assert "unknown: the event does not say why it failed" in out
    assert "2023-11-14 22:13" in out


def test_a_stop_before_the_whole_queue_was_read_yields_no_records():
    from flowtools.core.wait import Stop
    from flowtools.stomp.settings import Settings
    from flowtools.stomp.url import parse_url

    stop = Stop()
    stop.set()
    with FailedQueue(parse_url("stomp://a/?destination=/queue/a"), Settings()).opened(stop) as none:
        assert none is None
    stop.close()
