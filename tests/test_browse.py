"""flow-listen-stomp --browse: showing a queue without taking messages."""

import json
import signal
import time

import pytest
from coilmq.util.frames import Frame

from tests.queues import LOGIN, Queue
from tests.running import SECONDS, until

pytest_plugins = ["tests.stomp_fixtures"]


@pytest.fixture
def queue():
    queue = Queue("/queue/jobs")
    yield queue
    queue.close()


def bodies(out):
    return [json.loads(line)["data"]["body"] for line in out.splitlines()]


def browse(run, queue, *options, **more):
    return run("flow-listen-stomp", "--browse", "--idle", "0.3", *options, queue.url, **more)


def test_browse_shows_all_messages_in_order_and_takes_none(queue, run):
    for number in range(300):
        queue.put(b"%d" % number)
    for _ in range(2):
        status, out, err = browse(run, queue, env=LOGIN)
        assert (status, err, bodies(out)) == (0, "", [str(n) for n in range(300)])
        assert queue.waiting() == [str(n) for n in range(300)]


def test_browse_ends_at_its_count(queue, run):
    for body in (b"a", b"b", b"c"):
        queue.put(body)
    status, out, _ = browse(run, queue, "--count", 2, "--idle", "60", env=LOGIN)
    assert (status, bodies(out), queue.waiting()) == (0, ["a", "b"], ["a", "b", "c"])


def test_an_empty_queue_is_recognised_immediately(queue, run):
    assert browse(run, queue, env=LOGIN) == (0, b"", "")


def test_browsed_messages_are_returned_before_a_slow_reader_has_them(queue, start):
    """The lines do not fit into the pipe, and its reader does not read."""
    for number in range(300):
        queue.put(b"%d" % number + b"x" * 1000)
    process = start("flow-listen-stomp", "--browse", "--idle", "0.3", queue.url, env=LOGIN)
    until(lambda: not queue.waiting())
    until(lambda: len(queue.waiting()) == 300)
    assert process.poll() is None
    assert process.communicate(timeout=SECONDS)[0].count(b"\n") == 300


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_returns_all_messages_to_the_queue(queue, start, signum):
    for number in range(5):
        queue.put(b"%d" % number)
    process = start("flow-listen-stomp", "--browse", "--idle", "60", queue.url, env=LOGIN)
    until(lambda: not queue.waiting())
    process.send_signal(signum)
    assert process.wait(SECONDS) == -signum
    assert queue.waiting() == list("01234")


def test_a_closed_reader_returns_all_messages_to_the_queue(queue, start):
    queue.put(b"a")
    process = start("flow-listen-stomp", "--browse", "--idle", "60", queue.url, env=LOGIN)
    until(lambda: not queue.waiting())
    process.stdout.close()
    assert process.wait(SECONDS) == -signal.SIGPIPE
    assert queue.waiting() == ["a"]


def test_browsing_a_topic_ends_at_the_count(queue, start):
    url = queue.at("/topic/news")
    process = start("flow-listen-stomp", "--browse", "--count", "2", url, env=LOGIN)
    assert queue.broker.has_subscriber("/topic/news", 30)
    queue.put(b"a", "/topic/news")
    assert bodies(process.stdout.readline()) == ["a"]
    queue.put(b"b", "/topic/news")
    assert (process.wait(SECONDS), bodies(process.stdout.read())) == (0, ["b"])


@pytest.mark.parametrize(
    "options",
    [
        ["--ack", "worker"],
        ["--prefetch", "5"],
        ["--durable", "me"],
        ["--dead-letter", "/queue/x"],
        ["--dead-letter-header", "a=b"],
        ["--max-deliveries", "3"],
        ["--drain", "1"],
    ],
)
def test_options_for_taking_messages_are_refused_with_browse(run, options):
    status, _, err = run(
        "flow-listen-stomp", "--browse", *options, "stomp://a/?destination=/queue/a"
    )
    assert status == 2
    assert f"{options[0]} cannot be combined with --browse, which takes no messages" in err


def test_browsing_activemq_ends_with_the_brokers_end_message(script, start):
    process = start("flow-listen-stomp", "--browse", "--idle", "60", script.url())
    peer = script.accept()
    peer.login(server="ActiveMQ/5.17.2")
    asked = peer.read("SUBSCRIBE").headers
    assert (asked["browser"], asked["ack"]) == ("true", "auto")
    peer.message(1, b"a")
    peer.write("MESSAGE", {"message-id": "e", "subscription": "flow", "browser": "end"})
    assert peer.goodbye() == []
    out, _ = process.communicate(timeout=SECONDS)
    assert (process.returncode, bodies(out)) == (0, ["a"])


RABBIT = ["BEGIN", "NACK a2", "UNSUBSCRIBE", "COMMIT"]
"""In ack mode client, returning the last message returns all; if the subscription still
existed, they would be delivered again."""


@pytest.mark.parametrize(
    ("server", "frames", "window"),
    [
        ("RabbitMQ/4.3.6", RABBIT, ("prefetch-count", "65535")),
        (
            "ActiveMQ-Artemis/2.56.0 ActiveMQ Artemis Messaging Engine",
            ["UNSUBSCRIBE"],
            ("consumer-window-size", "-1"),
        ),
    ],
)
def test_messages_are_returned_in_the_way_of_each_broker(script, start, server, frames, window):
    process = start("flow-listen-stomp", "--browse", "--idle", "0.3", "--count", "1", script.url())
    peer = script.accept()
    asked = peer.subscribed(server=server).headers
    assert (asked["ack"], asked[window[0]]) == ("client", window[1])
    for number in (1, 2):
        peer.message(number, b"%d" % number)
    given = peer.goodbye()
    said = [f"{each.command} {each.headers.get('id', '')}".removesuffix(" flow") for each in given]
    assert [each.strip() for each in said] == frames
    assert all(each.headers["requeue"] == "true" for each in given if each.command == "NACK")
    out, _ = process.communicate(timeout=SECONDS)
    assert (process.returncode, bodies(out)) == (0, ["1"])


def test_dropped_messages_are_acknowledged_and_the_others_returned_singly(script, start):
    process = start(
        *("flow-failed", "--drop", "--yes", "--idle", "0.3", "--limit", "1", script.url())
    )
    peer = script.accept()
    assert peer.subscribed(server="RabbitMQ/4.3.6").headers["ack"] == "client-individual"
    for number in (1, 2, 3):
        peer.message(number, b"%d" % number)
    said = [f"{each.command} {each.headers.get('id', '')}".strip() for each in peer.goodbye()]
    assert said == ["ACK a1", "BEGIN", "NACK a2", "NACK a3", "UNSUBSCRIBE flow", "COMMIT"]
    assert process.wait(SECONDS) == 0


def test_a_browser_finds_the_end_of_the_queue_before_messages_are_taken(script, start):
    """ActiveMQ may pause in the middle of a queue for longer than --idle."""
    process = start("flow-failed", "--drop", "--yes", "--idle", "0.1", script.url())
    peer = script.accept()
    peer.login(server="ActiveMQ/5.17.2")
    assert peer.read("SUBSCRIBE").headers["browser"] == "true"
    for number in (1, 2):
        peer.message(number, b"%d" % number)
    peer.write("MESSAGE", {"message-id": "e", "subscription": "flow-count", "browser": "end"})
    assert peer.read().command == "UNSUBSCRIBE"
    asked = peer.read("SUBSCRIBE").headers
    assert ("browser" in asked, asked["ack"]) == (False, "client-individual")
    peer.message(1, b"1")
    time.sleep(0.5)  # Longer than --idle: this pause must not end the browsing.
    peer.message(2, b"2")
    said = [f"{each.command} {each.headers['id']}" for each in peer.goodbye()]
    assert (said, process.wait(SECONDS)) == (["ACK a1", "ACK a2"], 0)


def test_a_broker_that_delivers_one_message_at_a_time_shows_the_first_and_a_hint(coil, run):
    for body in (b"a", b"b"):
        frame = Frame("SEND", {"destination": "/queue/a"}, body)
        coil.server.queue_manager.send(frame)
    status, out, err = run("flow-listen-stomp", "--browse", "--idle", "0.3", coil.url())
    assert (status, bodies(out)) == (0, ["a"])
    assert "delivers one message at a time: the first of '/queue/a' is all" in err
    taken = run("flow-listen-stomp", "--count", "2", coil.url())[1]
    assert sorted(bodies(taken)) == ["a", "b"]


def test_a_connection_lost_during_browsing_is_reported_and_prints_nothing(script, start):
    process = start("flow-listen-stomp", "--browse", script.url())
    peer = script.accept()
    peer.subscribed()
    peer.message(1, b"a")
    peer.socket.close()
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (69, b"")
    assert b"during the look" in err
    assert b"is in the queue as before" in err


def test_a_refused_browse_is_reported(script, start):
    process = start("flow-listen-stomp", "--browse", script.url())
    peer = script.accept()
    peer.login()
    peer.read("SUBSCRIBE")
    peer.write("ERROR", {"message": "not for you"})
    err = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 77
    assert b"refuses the subscription to '/queue/a': not for you" in err
