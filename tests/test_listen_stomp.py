"""flow-listen-stomp: messages in, lines out, and when messages are acknowledged."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from coilmq.util.frames import Frame

from flowtools.ack.sender import AckSender
from flowtools.core.lines import LineWriter
from flowtools.stomp.caution import Caution
from tests.running import SECONDS, freeze, until
from tests.stomp_servers import Lines

pytest_plugins = ["tests.stomp_fixtures"]


def put(coil, *bodies, destination="/queue/a", **headers):
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    for body in bodies:
        frame = Frame("SEND", {"destination": destination} | given, body)
        coil.server.queue_manager.send(frame)


def events(out):
    return [json.loads(line) for line in out.splitlines()]


def bodies(out):
    return [event["data"]["body"] for event in events(out)]


def listen(start, server, *options, **popen):
    return start("flow-listen-stomp", *options, server.url(), **popen)


# With CoilMQ, a whole broker.


def test_messages_are_printed_in_order_and_acknowledged(coil, run):
    put(coil, *[b"%d" % n for n in range(20)])
    status, out, err = run("flow-listen-stomp", "--count", 20, coil.url())
    assert (status, err) == (0, "")
    assert bodies(out) == [str(n) for n in range(20)]
    assert coil.store.size("/queue/a") == 0


def test_messages_beyond_the_count_stay_with_the_broker(coil, run):
    put(coil, b"1", b"2", b"3")
    assert bodies(run("flow-listen-stomp", "--count", 2, coil.url())[1]) == ["1", "2"]
    until(lambda: coil.store.size("/queue/a") == 1)


def test_idle_ends_the_listener_once_the_queue_is_empty(coil, run):
    put(coil, b"1", b"2", b"3")
    status, out, err = run("flow-listen-stomp", "--idle", 0.5, coil.url())
    assert (status, bodies(out), err) == (0, ["1", "2", "3"], "")
    assert coil.store.size("/queue/a") == 0


def test_a_message_becomes_an_event_with_its_headers(coil, run):
    put(coil, b"<x/>", kind="a", content_type="application/xml")
    _, out, _ = run("flow-listen-stomp", "--count", 1, coil.url())
    (event,) = events(out)
    assert event["type"] == "flow.stomp.message"
    assert event["source"] == coil.url()
    assert event["subject"] == "/queue/a"
    assert event["data"]["body"] == "<x/>"
    assert event["data"]["headers"]["kind"] == "a"


def test_messages_of_a_topic_are_received(coil, start):
    process = start("flow-listen-stomp", "--count", 1, coil.url("/topic/t"))
    lines = Lines(process.stdout)
    until(lambda: coil.server.topic_manager._subscriptions.subscriber_count("/topic/t"))
    coil.server.topic_manager.send(Frame("SEND", {"destination": "/topic/t"}, b"now"))
    assert json.loads(lines.next())["data"]["body"] == "now"
    assert process.wait(SECONDS) == 0


def test_with_ack_worker_the_next_message_follows_the_acknowledgement(coil, start):
    put(coil, b"1", b"2")
    process = listen(start, coil, "--ack", "worker", "--count", 2)
    lines = Lines(process.stdout)
    sender = AckSender()
    first = json.loads(lines.next())
    assert coil.store.size("/queue/a") == 1  # CoilMQ keeps one in flight
    sender.ack(first["ackto"])
    second = json.loads(lines.next())
    sender.ack(second["ackto"])
    sender.close(SECONDS)
    assert process.wait(SECONDS) == 0
    assert [first["data"]["body"], second["data"]["body"]] == ["1", "2"]
    assert coil.store.size("/queue/a") == 0


def test_a_rejected_message_goes_to_the_dead_letter_destination(coil, start, run):
    put(coil, b"bad", b"good", kind="k")
    process = listen(start, coil, "--ack", "worker", "--count", 2)
    lines = Lines(process.stdout)
    sender = AckSender()
    sender.nack(json.loads(lines.next())["ackto"])
    sender.ack(json.loads(lines.next())["ackto"])
    sender.close(SECONDS)
    assert process.wait(SECONDS) == 0
    _, out, _ = run("flow-listen-stomp", "--count", 1, coil.url("/queue/a.failed"))
    (event,) = events(out)
    assert event["data"]["body"] == "bad"
    assert event["data"]["headers"]["kind"] == "k"
    assert event["data"]["headers"]["flow-refused-from"] == "/queue/a"
    assert coil.store.size("/queue/a") == 0


def test_the_dead_letter_destination_cannot_be_the_subscribed_one(run):
    for destination, dead_letter in ("/queue/a", "/queue/a"), ("/queue/a.>", "/queue/a.failed"):
        url = f"stomp://localhost/?destination={destination}"
        status, _, err = run("flow-listen-stomp", "--dead-letter", dead_letter, url)
        assert (status, err.count("\n")) == (2, 1)
        assert (
            f"'{dead_letter}' and be delivered again by '{destination}': give --dead-letter" in err
        )


def test_the_shell_loop_of_the_manual_works(coil, shell):
    put(coil, b"1", b"2", b"3")
    status, out, err = shell(
        f"flow-listen-stomp --ack worker --count 3 '{coil.url()}' | while read -r line; do "
        "printf '%s\\n' \"$line\" | jq -r .data.body && printf '%s\\n' \"$line\" | flow-ack; done"
    )
    assert (status, out, err) == (0, b"1\n2\n3\n", "")
    assert coil.store.size("/queue/a") == 0


def test_an_event_line_passes_the_broker_unchanged(coil, run):
    line = (
        b'{"specversion":"1.0","id":"7","source":"elsewhere","type":"mine","subject":"s",'
        b'"data":{"a":[1,2.5,null,"\xc3\xa9"]}}\n'
    )
    assert run("flow-send", coil.url(), input=line) == (0, b"", "")
    assert run("flow-listen-stomp", "--count", 1, coil.url()) == (0, line, "")


# With a scripted server, for features that CoilMQ lacks.


def test_one_acknowledgement_covers_a_written_batch(script, start):
    process = listen(start, script, "--count", 3)
    peer = script.accept()
    assert peer.subscribed().headers == {
        "destination": "/queue/a",
        "id": "flow",
        "ack": "client",
        "receipt": "subscribe",
        "prefetch-count": "1",
    }
    peer.socket.sendall(
        b"".join(
            b"MESSAGE\nmessage-id:%d\nack:a%d\nsubscription:flow\n\n%d\0" % (n, n, n)
            for n in range(3)
        )
    )
    acked = [frame.headers["id"] for frame in peer.goodbye() if frame.command == "ACK"]
    assert peer.more.headers["prefetch-count"] == "2"
    assert acked[-1] == "a2"
    assert bodies(process.communicate(timeout=SECONDS)[0]) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("version", "server", "expected"),
    [
        ("1.2", "ActiveMQ/5.17.2", [{"id": "a1"}]),
        ("1.1", "ActiveMQ/5.17.2", [{"message-id": "m1", "subscription": "flow"}]),
        ("1.0", "", [{"message-id": "m1"}]),
        (None, "", [{"message-id": "m1"}]),
    ],
)
def test_the_stomp_version_decides_the_form_of_an_acknowledgement(
    script, start, version, server, expected
):
    listen(start, script, "--count", 1)
    peer = script.accept()
    peer.subscribed(version=version, server=server)
    peer.message(1, b"x")
    assert [frame.headers for frame in peer.goodbye() if frame.command == "ACK"] == expected


@pytest.mark.parametrize(
    ("server", "headers"),
    [
        ("RabbitMQ/3.10.8", {"prefetch-count": "7", "durable": "true", "auto-delete": "false"}),
        ("ActiveMQ/5.17.2", {"activemq.prefetchSize": "7", "activemq.subscriptionName": "me"}),
        (
            "ActiveMQ-Artemis/2.31.2 ActiveMQ Artemis Messaging Engine",
            {
                "consumer-window-size": "7168",
                "durable-subscription-name": "me",
                "subscription-type": "MULTICAST",
            },
        ),
        (
            "Other/1",
            {
                "prefetch-count": "7",
                "durable": "true",
                "auto-delete": "false",
                "activemq.prefetchSize": "7",
                "activemq.subscriptionName": "me",
                "consumer-window-size": "7168",
                "durable-subscription-name": "me",
            },
        ),
    ],
)
def test_each_broker_gets_its_own_headers(script, start, server, headers):
    url = script.url("/topic/t") + "&lastKnownId=-1"
    options = ["--prefetch", 7, "--durable", "me", "--selector", "a = 'b'", "--header", "x=y=z"]
    start("flow-listen-stomp", *options, url)
    peer = script.accept()
    connect = peer.login(server=server)
    assert connect.headers["client-id"] == "me"
    fixed = {"destination": "/topic/t", "id": "me", "ack": "client", "receipt": "subscribe"}
    more = {"lastKnownId": "-1", "selector": "a = 'b'", "x": "y=z"}
    assert peer.read("SUBSCRIBE").headers == fixed | headers | more


def worker(start, script, *options):
    process = listen(start, script, "--ack", "worker", *options)
    peer = script.accept()
    assert peer.subscribed().headers["ack"] == "client-individual"
    return process, Lines(process.stdout), peer


def test_acknowledgements_reach_the_broker_in_the_order_of_completion(script, start):
    _, lines, peer = worker(start, script)
    for number in range(3):
        peer.message(number)
    tokens = [json.loads(lines.next())["ackto"] for _ in range(3)]
    sender = AckSender()
    for number in (2, 0):
        sender.ack(tokens[number])
        assert peer.read("ACK").headers == {"id": f"a{number}"}
    sender.close()


def test_an_unacknowledged_event_prevents_idle(script, start):
    process, lines, peer = worker(start, script, "--idle", 0.2)
    peer.message(1)
    first = json.loads(lines.next())["ackto"]
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)  # Five times as long as it would have waited.
    peer.message(2)
    second = json.loads(lines.next())["ackto"]
    sender = AckSender()
    sender.ack(first)
    sender.ack(second)
    sender.close(SECONDS)
    assert [f.headers["id"] for f in peer.goodbye() if f.command == "ACK"] == ["a1", "a2"]
    assert process.wait(SECONDS) == 0


def test_an_unreachable_broker_does_not_count_as_idle(script, start):
    process = listen(start, script, "--idle", 0.3)
    peer = script.accept()
    peer.subscribed()
    peer.close()
    again = script.accept()
    again.subscribed()
    again.message(1, b"x")
    again.goodbye()
    assert process.wait(SECONDS) == 0
    assert bodies(process.stdout.read()) == ["x"]


def test_repeated_stale_and_foreign_acknowledgements_are_dropped(script, start):
    process, lines, peer = worker(start, script, "--count", 2, "-v")
    said = Lines(process.stderr)
    peer.message(1)
    peer.message(2)
    first, second = (json.loads(lines.next())["ackto"] for _ in range(2))
    sender = AckSender()
    path, _, token = first.partition("#")
    for ackto in (first, first, f"{path}#other.1", f"{path}#{token.split('.')[0]}.99", second):
        sender.ack(ackto)
    sender.close(SECONDS)
    frames = peer.goodbye()
    assert [(frame.command, frame.headers["id"]) for frame in frames] == [
        ("ACK", "a1"),
        ("ACK", "a2"),
    ]
    assert b"3 acknowledgements came for events" in said.until(b"acknowledgements")
    assert process.wait(SECONDS) == 0


def test_an_acknowledgement_of_a_lost_connection_is_dropped(script, start):
    process, lines, peer = worker(start, script, "--count", 1)
    peer.message(1)
    old = json.loads(lines.next())["ackto"]
    peer.close()
    process_is_over = process.wait(SECONDS)
    assert process_is_over == 0  # the count is reached; the broker has the message again
    sender = AckSender()
    sender.ack(old)
    sender.close(SECONDS)
    assert sender.lost == 1


def test_the_epoch_changes_with_every_connection(script, start):
    process, lines, peer = worker(start, script)
    peer.message(1)
    first = json.loads(lines.next())
    peer.close()
    again = script.accept()
    again.subscribed()
    again.message(1, redelivered="true")
    second = json.loads(lines.next())
    assert first["ackto"].split("#")[0] == second["ackto"].split("#")[0]
    assert first["ackto"].split("#")[1] != second["ackto"].split("#")[1]
    assert second["redelivered"] is True
    assert second["id"] == first["id"]
    sender = AckSender()
    sender.ack(first["ackto"])
    sender.ack(second["ackto"])
    sender.close(SECONDS)
    process.send_signal(signal.SIGTERM)
    assert [frame.headers for frame in again.goodbye()] == [{"id": "a1"}]


def test_a_closed_reader_ends_the_listener_without_acknowledging_unread_events(script, start):
    process = listen(start, script, "--ack", "worker")
    peer = script.accept()
    peer.subscribed()
    peer.message(1)
    sender = AckSender()
    sender.ack(json.loads(process.stdout.readline())["ackto"])
    assert peer.read("ACK").headers == {"id": "a1"}
    peer.message(2)
    process.stdout.readline()
    process.stdout.close()
    assert peer.goodbye() == []
    assert process.wait(SECONDS) == -signal.SIGPIPE
    sender.close()


def test_sigterm_waits_for_missing_acknowledgements(script, start):
    process, lines, peer = worker(start, script)
    peer.message(1)
    ackto = json.loads(lines.next())["ackto"]
    process.send_signal(signal.SIGTERM)
    peer.message(2)  # arrives too late, and is given back
    sender = AckSender()
    sender.ack(ackto)
    sender.close(SECONDS)
    frames = peer.goodbye()
    assert [frame.headers for frame in frames if frame.command == "ACK"] == [{"id": "a1"}]
    assert [frame.headers["id"] for frame in frames if frame.command == "NACK"] in ([], ["a2"])
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert lines.next() is None
    assert not Path(ackto.partition(":")[2].partition("#")[0]).parent.exists()


def test_sigterm_waits_no_longer_than_the_drain(script, start):
    process, lines, peer = worker(start, script, "--drain", "0.1")
    peer.message(1)
    lines.next()
    process.send_signal(signal.SIGTERM)
    peer.goodbye()
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert b"1 event has not been acknowledged" in process.stderr.read()


UNSUBSCRIBED = ["UNSUBSCRIBE", "UNSUBSCRIBE"]
"""The frames that end both subscriptions of a listener."""

BY_NACK = ["BEGIN", "NACK", "NACK", *UNSUBSCRIBED, "COMMIT"]


def commands(frames):
    return [frame.command for frame in frames]


@pytest.mark.parametrize(
    ("server", "kinds"),
    [
        ("RabbitMQ/4.3.6", BY_NACK),
        # These count a NACK, too, and 3.10 may put the message behind all others.
        ("RabbitMQ/4.2.9", []),
        ("RabbitMQ/3.10.8", []),
        ("RabbitMQ", []),
        ("ActiveMQ-Artemis/2.56.0 ActiveMQ Artemis Messaging Engine", UNSUBSCRIBED),
        ("ActiveMQ/6.3.1", []),  # To which a NACK is a reason to move the message away.
        ("", []),
    ],
)
def test_a_stop_gives_the_messages_back_where_that_is_not_counted(script, start, server, kinds):
    process = listen(start, script, "--ack", "worker", "--drain", "0.1")
    peer, lines = script.accept(), Lines(process.stdout)
    peer.subscribed(server=server)
    for number in (1, 2):
        peer.message(number)
        lines.next()
    process.send_signal(signal.SIGTERM)
    given_back = peer.goodbye()
    wide = server.startswith(("RabbitMQ", "ActiveMQ-Artemis"))
    assert commands(given_back) == (kinds if wide else [])
    nacks = [frame.headers for frame in given_back if frame.command == "NACK"]
    wanted = [{"id": f"a{n}", "requeue": "true", "transaction": "back"} for n in (1, 2)]
    assert nacks == (wanted if "NACK" in kinds else [])
    assert process.wait(SECONDS) == -signal.SIGTERM


def test_unwritten_messages_are_given_back_by_a_single_nack(script, start):
    process = listen(start, script, "--drain", "0.1")
    peer = script.accept()
    assert peer.subscribed(server="RabbitMQ/4.3.6").headers["ack"] == "client"
    for number in range(200):  # More than the pipe takes.
        peer.message(number, b"x" * 1000)
    until(lambda: unread(process) > 30000)
    process.send_signal(signal.SIGTERM)
    given_back = [frame for frame in peer.goodbye() if frame.command != "ACK"]
    assert commands(given_back) == ["BEGIN", "NACK", *UNSUBSCRIBED, "COMMIT"]
    assert given_back[1].headers["id"] == "a199"
    assert process.wait(SECONDS) == -signal.SIGTERM


@pytest.mark.parametrize("stopped", [True, False])
def test_a_reader_that_goes_after_a_stop_is_not_held_against_its_messages(script, start, stopped):
    process = listen(start, script, "--ack", "worker")
    peer = script.accept()
    peer.subscribed(server="RabbitMQ/4.3.6")
    for number in (1, 2):
        peer.message(number)
        process.stdout.readline()
    if stopped:
        process.send_signal(signal.SIGTERM)
    process.stdout.close()
    assert commands(peer.goodbye()) == (BY_NACK if stopped else [])
    process.wait(SECONDS)


def test_acknowledgements_are_sent_while_the_reader_is_stalled(script, start):
    process = listen(start, script, "--ack", "worker", "--heart-beat", "0.2,10")
    peer = script.accept()
    peer.subscribed(heart_beat="10000,200")
    body = b"x" * 1000
    peer.message(1, body)
    ackto = json.loads(process.stdout.readline())["ackto"]
    for number in range(2, 200):  # far more than the pipe takes
        peer.message(number, body)
    sender = AckSender()
    sender.ack(ackto)
    assert peer.read("ACK").headers == {"id": "a1"}
    peer.frames.clear()
    for _ in range(3):  # and heart-beats are sent all the time
        assert peer.socket.recv(100).strip(b"\n") == b""
    sender.close()


def test_sigterm_ends_a_listener_whose_reader_is_stalled(script, start):
    process = listen(start, script, "--drain", "0.1")
    peer = script.accept()
    peer.subscribed()
    for number in range(200):
        peer.message(number, b"x" * 1000)
    until(lambda: unread(process) > 30000)
    process.send_signal(signal.SIGTERM)
    peer.goodbye()
    assert process.wait(SECONDS) == -signal.SIGTERM


def test_a_message_is_acknowledged_only_after_its_line_is_in_the_pipe(script, start):
    process = listen(start, script, "--prefetch", 32)
    peer = script.accept()
    peer.subscribed()
    body = b"x" * 1000
    for number in range(200):  # far more than the pipe takes
        peer.message(number, body)
    seen = []
    for _ in range(3):
        number = int(peer.read("ACK").headers["id"].removeprefix("a"))
        seen.append((number, unread(process)))
    lines = [process.stdout.readline() for _ in range(seen[-1][0] + 1)]
    for number, there in seen:
        assert sum(map(len, lines[: number + 1])) <= there
    process.stdout.close()


def test_losing_the_connection_while_the_reader_is_stalled_loses_no_line(script, start):
    process = listen(start, script, "--count", 300)
    peer = script.accept()
    peer.subscribed()
    body = b"x" * 5000  # a line is longer than what one write to a pipe may be
    for number in range(100):
        peer.message(number, body)
    until(lambda: unread(process) > 30000)
    peer.close()
    lines = Lines(process.stdout)
    again = script.accept()
    again.subscribed()
    for number in range(100, 400):
        again.message(number, b"y")
    acked = [int(frame.headers["id"][1:]) for frame in again.goodbye() if frame.command == "ACK"]
    got = [json.loads(line)["data"] for line in iter(lines.next, None)]
    numbers = [int(data["headers"]["message-id"][1:]) for data in got]
    old = [number for number in numbers if number < 100]
    assert len(numbers) == 300
    assert old == list(range(len(old)))
    assert len(old) > 5
    assert numbers[len(old) :] == list(range(100, 400 - len(old)))
    assert {data["body"] for data in got[: len(old)]} == {body.decode()}
    # Messages of the lost connection are not acknowledged.
    assert 100 <= acked[0] <= acked[-1] == numbers[-1]


def unread(process):
    return LineWriter(process.stdout.fileno()).unread()


def test_an_error_frame_is_reported_and_the_listener_reconnects(script, start):
    process = listen(start, script, "--count", 1)
    said = Lines(process.stderr)
    peer = script.accept()
    peer.subscribed()
    peer.write("ERROR", {"message": "no more memory"}, b"details\n")
    peer.close()
    assert b"the broker says: no more memory: details" in said.next()
    again = script.accept()
    again.subscribed()
    assert b"connected to" in said.next()
    again.message(1)
    again.goodbye()
    assert process.wait(SECONDS) == 0


def test_a_refused_subscription_ends_the_listener(script, start):
    process = listen(start, script)
    peer = script.accept()
    peer.login()
    peer.read("SUBSCRIBE")
    peer.write("ERROR", {"message": "access denied"})
    assert process.wait(SECONDS) == 77
    assert b"refuses the subscription to '/queue/a': access denied" in process.stderr.read()


def in_trouble(script):
    peer = script.accept()
    peer.login()
    peer.read("SUBSCRIBE")
    peer.write("ERROR", {"message": "Processing error"}, b"Processing error")
    peer.close()


def test_an_internal_error_of_the_broker_is_not_a_refused_subscription(script, start):
    process = listen(start, script, "--count", 1)
    in_trouble(script)
    in_trouble(script)
    peer = script.accept()
    peer.subscribed()
    peer.message(1, b"at last")
    assert b"at last" in Lines(process.stdout).next()
    peer.goodbye()
    assert process.wait(SECONDS) == 0


def test_a_lasting_internal_error_of_the_broker_counts_as_a_refusal(monkeypatch):
    caution = Caution()
    assert not caution.may_pass("access denied")
    assert caution.may_pass("Processing error")
    monkeypatch.setattr("flowtools.stomp.caution.TROUBLED_FOR", -1.0)
    assert not caution.may_pass("Processing error")


def test_garbage_is_a_protocol_error(script, start):
    process = listen(start, script)
    peer = script.accept()
    peer.socket.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert process.wait(SECONDS) == 76
    assert b"is not STOMP: it begins with 'HTTP/1.1 400 Bad Request'" in process.stderr.read()


def test_a_url_without_a_destination_is_a_usage_error(run):
    status, _, err = run("flow-listen-stomp", "stomp://localhost")
    assert (status, err.count("\n")) == (2, 1)
    assert "names no ?destination=" in err


def test_the_password_is_never_shown(script, start, tmp_path):
    (tmp_path / "pw").write_text("s3cret\n")
    process = listen(start, script, "-vv", "--user", "me", "--password-file", "pw", "--count", 1)
    peer = script.accept()
    connect = peer.read("CONNECT")
    assert (connect.headers["login"], connect.headers["passcode"]) == ("me", "s3cret")
    peer.write("ERROR", {"message": "no"})
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 77
    assert b"s3cret" not in out + err


def test_a_frozen_listener_loses_no_message(script, start):
    process = listen(start, script, "--count", 2)
    peer = script.accept()
    peer.subscribed()
    peer.message(1, b"1")
    lines = Lines(process.stdout)
    lines.next()
    freeze(process)
    peer.socket.sendall(b"\n\n")  # two heart-beats, and then a message
    peer.message(2, b"2")
    process.send_signal(signal.SIGCONT)
    assert json.loads(lines.next())["data"]["body"] == "2"
    peer.goodbye()
    assert process.wait(SECONDS) == 0


def test_a_broker_without_prefetch_cannot_fill_the_memory(script, start):
    process = listen(start, script, "--prefetch", 10, "--ack", "worker")
    peer = script.accept()
    peer.subscribed(server="Other/1")
    peer.socket.settimeout(1)
    body = b"x" * 10000
    sent = 0
    with pytest.raises(TimeoutError):  # the listener stops reading and stays alive
        for sent in range(20000):
            peer.message(sent, body)
    assert sent * len(body) < 100_000_000
    assert process.poll() is None
    rss = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    assert int(rss) * 4096 < 200_000_000


def dead_letters(script, **login):
    """Accept the connection over which rejected messages are moved; it is logged in."""
    peer = script.accept()
    peer.login(**login)
    return peer


def test_a_message_is_acknowledged_only_after_its_dead_letter_is_confirmed(script, start):
    process, lines, peer = worker(start, script, "--count", 1)
    peer.message(1, b"x")
    sender = AckSender()
    sender.nack(json.loads(lines.next())["ackto"])
    letters = dead_letters(script)
    send = letters.read()
    assert (send.command, send.headers["destination"]) == ("SEND", "/queue/a.failed")
    nothing_comes(peer)
    letters.write("RECEIPT", {"receipt-id": send.headers["receipt"]})
    assert letters.read().command == "DISCONNECT"
    assert [(f.command, f.headers["id"]) for f in peer.goodbye()] == [("ACK", "a1")]
    sender.close(SECONDS)
    assert process.wait(SECONDS) == 0


def test_delivery_headers_of_the_sender_do_not_apply_to_the_dead_letter(script, start):
    _, lines, peer = worker(start, script)
    theirs = {"expiration": "100", "x-expires": "100", "auto-delete": "true", "x-mine": "1"}
    peer.message(1, b"x", **theirs)
    sender = AckSender()
    sender.nack(json.loads(lines.next())["ackto"])
    headers = dead_letters(script).read("SEND").headers
    assert headers.keys() & theirs.keys() == {"x-mine"}
    assert headers["flow-refused-expiration"] == "100"
    sender.close(SECONDS)


def nothing_comes(peer):
    peer.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        peer.read()
    peer.socket.settimeout(SECONDS)


def test_a_refused_dead_letter_delays_only_its_own_message(script, start):
    process, lines, peer = worker(start, script, "--dead-letter", "/nonsense")
    said = Lines(process.stderr)
    peer.message(1, b"x")
    peer.message(2, b"y")
    sender = AckSender()
    sender.nack(json.loads(lines.next())["ackto"])
    letters = dead_letters(script)
    letters.read("SEND")
    letters.write("ERROR", {"message": "unknown destination"})
    assert [frame.command for frame in letters.ended()] == []
    assert b"'/nonsense' (see --dead-letter): the broker says: unknown destination" in said.until(
        b"cannot move"
    )
    sender.ack(json.loads(lines.next())["ackto"])
    assert peer.read("ACK").headers == {"id": "a2"}
    again = dead_letters(script)
    again.write("RECEIPT", {"receipt-id": again.read("SEND").headers["receipt"]})
    assert peer.read("ACK").headers == {"id": "a1"}
    assert said.until(b"takes messages again")
    sender.close(SECONDS)
    process.send_signal(signal.SIGTERM)
    assert peer.goodbye() == []


def test_the_window_starts_at_one_and_opens_at_the_first_ordinary_message(script, start):
    _, lines, peer = worker(start, script, "--prefetch", 5)
    sender = AckSender()
    for number in (1, 2):
        peer.message(number, redelivered="true", **{"x-delivery-count": "3"})
        sender.ack(json.loads(lines.next())["ackto"])
        assert peer.read("ACK").headers == {"id": f"a{number}"}
        assert peer.more is None
    peer.message(3, redelivered="true", **{"x-delivery-count": "2"})
    sender.ack(json.loads(lines.next())["ackto"])
    assert peer.read("ACK").headers == {"id": "a3"}
    assert peer.more.headers["id"] == "flow-more"
    assert peer.more.headers["prefetch-count"] == "4"
    sender.close(SECONDS)


def test_a_message_that_failed_often_is_processed_alone(script, start):
    _, lines, peer = worker(start, script)
    sender = AckSender()
    peer.message(1, b"1")
    peer.message(2, b"2", redelivered="true", **{"x-delivery-count": "3"})
    peer.message(3, b"3")
    first = json.loads(lines.next())
    nothing_comes(peer)  # For a while.
    assert lines._lines.empty()
    for body in "1", "2", "3":
        assert first["data"]["body"] == body
        sender.ack(first["ackto"])
        assert peer.read("ACK").headers == {"id": f"a{body}"}
        if body != "3":
            first = json.loads(lines.next())
    sender.close(SECONDS)


def test_a_message_delivered_too_often_becomes_a_dead_letter_with_the_reason(script, start):
    _, _, peer = worker(
        start, script, "--max-deliveries", 4, "--dead-letter-header", "x-queue-type=quorum"
    )
    peer.message(1, b"x", redelivered="true", **{"x-delivery-count": "4"})
    letters = dead_letters(script)
    send = letters.read("SEND")
    assert send.headers["flow-error"] == "delivered 4 times without being settled"
    assert send.headers["x-queue-type"] == "quorum"
    letters.write("RECEIPT", {"receipt-id": send.headers["receipt"]})
    assert peer.read("ACK").headers == {"id": "a1"}


def test_the_listener_counts_deliveries_if_the_broker_does_not(script, start):
    process = listen(start, script, "--ack", "worker", "--max-deliveries", 2)
    lines = Lines(process.stdout)
    for redelivered in ("false", "true"):
        peer = script.accept()
        peer.subscribed(server="ActiveMQ/5.17.2")
        peer.message(1, b"x", redelivered=redelivered)
        peer.message(1, b"x", redelivered=redelivered)  # The same id twice counts as one delivery.
        assert lines.next()
        assert lines.next()
        peer.close()
    peer = script.accept()
    peer.subscribed(server="ActiveMQ/5.17.2")
    peer.message(1, b"x", redelivered="true")
    send = dead_letters(script).read("SEND")
    assert send.headers["flow-error"] == "delivered 2 times without being settled"


def test_a_queue_with_a_single_active_consumer_gets_the_full_window(script, start):
    _, lines, peer = worker(start, script, "--prefetch", 5)
    sender = AckSender()
    for number in range(17):
        peer.message(number, subscription="flow")
        sender.ack(json.loads(lines.next())["ackto"])
        if peer.read("ACK").headers == {"id": "a15"}:
            break
    peer.message(17, subscription="flow")
    again = script.accept()
    assert again.subscribed().headers["prefetch-count"] == "5"
    sender.close(SECONDS)


def test_of_several_dead_letters_only_the_refused_one_waits(script, start):
    process, lines, peer = worker(start, script, "--count", 3)
    sender = AckSender()
    for number in (1, 2, 3):
        peer.message(number, b"%d" % number)
    first = json.loads(lines.next())["ackto"]
    sender.nack(first)
    letters = dead_letters(script)
    one = letters.read("SEND")
    for _ in range(2):
        sender.nack(json.loads(lines.next())["ackto"])
    letters.write("RECEIPT", {"receipt-id": one.headers["receipt"]})
    assert peer.read("ACK").headers == {"id": "a1"}
    taken = {}
    together = dead_letters(script)
    together.read("SEND")
    together.write("ERROR", {"message": "full"})
    for _ in range(3):
        alone = dead_letters(script)
        send = alone.read("SEND")
        if send.body == b"2" and not taken:
            taken["refused"] = True
            alone.write("ERROR", {"message": "full"})
        else:
            alone.write("RECEIPT", {"receipt-id": send.headers["receipt"]})
    acks = {frame.headers["id"] for frame in peer.goodbye()}
    assert acks == {"a2", "a3"}
    sender.close(SECONDS)
    assert process.wait(SECONDS) == 0


def test_messages_received_during_a_move_are_acknowledged_afterwards(script, start):
    process = listen(start, script, "--count", 3)
    peer = script.accept()
    assert peer.subscribed().headers["ack"] == "client"
    peer.message(1, b"one")
    assert peer.read().headers == {"id": "a1"}
    peer.message(2, b"\1" * (3 * 1024 * 1024), content_type="text/plain")  # 18 MiB in JSON
    letters = dead_letters(script)
    answer = letters.read("SEND")
    peer.message(3, b"three")
    peer.message(4, b"four")
    nothing_comes(peer)  # An ACK for these would include the second message.
    letters.write("RECEIPT", {"receipt-id": answer.headers["receipt"]})
    frames = peer.goodbye()
    assert [(f.command, f.headers["id"]) for f in frames] == [("ACK", "a4")]
    assert bodies(process.communicate(timeout=SECONDS)[0]) == ["one", "three", "four"]
