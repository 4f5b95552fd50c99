"""flow-send: lines in, messages out, each confirmed."""

import contextlib
import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowtools.core.key import Key
from flowtools.core.seen import Wrapper
from flowtools.errors import RefusedError, UnreachableError, UsageError
from flowtools.event import EventError
from flowtools.process.signals import stopped_by_signals
from flowtools.stomp.outgoing import Outgoing, outgoing
from flowtools.stomp.send import Publisher
from flowtools.stomp.settings import Settings
from flowtools.stomp.url import parse_url
from tests.acks import Receiver
from tests.running import SECONDS
from tests.stomp_servers import Lines

pytest_plugins = ["tests.stomp_fixtures"]

EVENT = {"specversion": "1.0", "id": "7", "source": "s", "type": "t"}


def line(**attributes):
    return json.dumps(EVENT | attributes).encode() + b"\n"


def message(text, **options):
    """Return the message for `text`, the first line of an input."""
    settings = {"raw": False, "group_key": None, "wrapper": Wrapper("flow-send")} | options
    return outgoing(text, 1, **settings)


def confirm(peer, frame):
    peer.write("RECEIPT", {"receipt-id": frame.headers["receipt"]})


def sending(start, script, *options):
    process = start("flow-send", *options, script.url(), stdin=subprocess.PIPE)
    peer = script.accept()
    peer.login()
    return process, peer


def feed(process, *lines):
    process.stdin.write(b"".join(lines))
    process.stdin.flush()


def test_each_line_becomes_a_message_in_order(coil, run):
    assert run("flow-send", coil.url(), input=b'1\n2\n"three"\n') == (0, b"", "")
    _, out, _ = run("flow-listen-stomp", "--count", 3, coil.url())
    assert [json.loads(each)["data"] for each in out.splitlines()] == [1, 2, "three"]


def test_a_line_keeps_its_id_when_others_are_added_to_the_list(coil, run):
    def ids(*lines):
        assert run("flow-send", coil.url(), input=b"\n".join(lines)) == (0, b"", "")
        _, out, _ = run("flow-listen-stomp", "--count", len(lines), coil.url())
        return [json.loads(each)["id"] for each in out.splitlines()]

    before = ids(b'"a"', b'"b"', b'"a"')
    assert len(set(before)) == 3
    assert ids(b"0", b'"a"', b'"c"', b'"b"', b'"a"', b'"a"')[1:5] == [
        before[0],
        *ids(b'"c"'),
        *before[1:],
    ]


def test_a_message_is_the_whole_event_persistent_and_with_a_receipt(start, script):
    process, peer = sending(start, script, "--header", "x=y")
    feed(process, line(subject="é"))
    frame = peer.read("SEND")
    assert frame.body == line(subject="é").strip()
    assert frame.headers == {
        "destination": "/queue/a",
        "persistent": "true",
        "x": "y",
        "content-type": "application/cloudevents+json",
        "receipt": "1",
        "content-length": str(len(frame.body)),
    }
    confirm(peer, frame)
    process.stdin.close()
    peer.goodbye()
    assert process.wait(SECONDS) == 0


def test_activemq_gets_bodies_that_jms_clients_read_as_text(start, script):
    process = start("flow-send", "--no-persistent", script.url(), stdin=subprocess.PIPE)
    peer = script.accept()
    peer.login(server="ActiveMQ/5.17.2")
    feed(process, line())
    headers = peer.read("SEND").headers
    assert "content-length" not in headers
    assert "persistent" not in headers


def test_ackto_is_not_sent_and_is_acknowledged_after_the_receipt(start, script, tmp_path):
    with Receiver(tmp_path / "ack") as upstream:
        process, peer = sending(start, script)
        feed(process, line(ackto=f"unix:{tmp_path}/ack#e.1", redelivered=True))
        frame = peer.read("SEND")
        assert json.loads(frame.body) == EVENT
        upstream.settimeout(0.3)
        with pytest.raises(TimeoutError):
            upstream.recv(100)
        confirm(peer, frame)
        upstream.settimeout(SECONDS)
        assert upstream.recv(100) == b"e.1 ack\n"


def test_at_most_one_window_of_messages_is_unconfirmed(start, script):
    process, peer = sending(start, script, "--window", 2)
    feed(process, *[b"%d\n" % n for n in range(5)])
    process.stdin.close()
    sent = [peer.read("SEND"), peer.read("SEND")]
    peer.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        peer.read("SEND")
    peer.socket.settimeout(SECONDS)
    for frame in sent:
        confirm(peer, frame)
    for _ in range(3):
        confirm(peer, peer.read("SEND"))
    peer.goodbye()
    assert process.wait(SECONDS) == 0


def test_a_full_window_is_refilled_once_half_is_confirmed(start, script):
    process, peer = sending(start, script, "--window", 4)
    feed(process, *[b"%d\n" % n for n in range(8)])
    process.stdin.close()
    sent = [peer.read("SEND") for _ in range(4)]
    confirm(peer, sent[0])
    peer.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        peer.read()
    peer.socket.settimeout(SECONDS)
    confirm(peer, sent[1])
    sent += [peer.read("SEND") for _ in range(2)]
    for frame in sent[2:]:
        confirm(peer, frame)
    for _ in range(2):
        confirm(peer, peer.read("SEND"))
    peer.goodbye()
    assert process.wait(SECONDS) == 0


def test_unconfirmed_messages_are_sent_again_in_order(start, script):
    process, peer = sending(start, script)
    feed(process, b"1\n", b"2\n", b"3\n")
    process.stdin.close()
    frames = [peer.read("SEND") for _ in range(3)]
    confirm(peer, frames[1])
    said = Lines(process.stderr)
    peer.close()
    assert b"lost the connection" in said.next()
    again = script.accept()
    again.login()
    for lost in frames[0], frames[2]:
        repeated = again.read("SEND")
        assert repeated.body == lost.body
        confirm(again, repeated)
    again.goodbye()
    assert process.wait(SECONDS) == 0


def test_after_a_lost_connection_the_window_grows_from_one_with_each_receipt(start, script):
    process, peer = sending(start, script)
    feed(process, *[b"%d\n" % number for number in range(7)])
    process.stdin.close()
    for _ in range(7):
        peer.read("SEND")
    peer.close()
    again = script.accept()
    again.login()
    for size in 1, 2, 4:
        frames = [again.read("SEND") for _ in range(size)]
        again.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            again.read()
        again.socket.settimeout(SECONDS)
        for frame in frames:
            confirm(again, frame)
    again.goodbye()
    assert process.wait(SECONDS) == 0


def test_a_connection_lost_while_idle_is_restored(start, script):
    process, peer = sending(start, script)
    peer.close()
    again = script.accept()
    again.login()
    feed(process, b"1\n")
    assert json.loads(again.read("SEND").body)["data"] == 1


def test_sigterm_waits_for_the_receipts_and_reads_no_more(start, script):
    process, peer = sending(start, script)
    feed(process, b"1\n")
    frame = peer.read("SEND")
    process.send_signal(signal.SIGTERM)
    confirm(peer, frame)
    assert peer.goodbye() == []
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert process.stderr.read() == b""


def test_sigterm_ends_the_command_although_the_broker_accepts_no_data(start, script):
    process, peer = sending(start, script, "--heart-beat", "0,0", "--window", "1000000")
    feed(process, b'"' + b"x" * 10_000_000 + b'"\n')
    assert peer.socket.recv(1000)  # it is sending
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert b"has not confirmed 1 message\n" in process.stderr.read()


def test_a_line_that_is_not_json_fails_and_the_others_are_sent(coil, run):
    status, _, err = run("flow-send", coil.url(), input=b"1\nno json\n2\n")
    assert status == 1
    assert "line 2: not JSON" in err
    assert err.splitlines()[-1] == "flow-send: 1 of 3 lines were not sent"
    assert coil.store.size("/queue/a") == 2


@pytest.mark.parametrize("options", [(), ("--raw",)])
def test_an_event_nested_too_deep_fails_alone(coil, run, options):
    deep = b'{"specversion":"1.0","id":"i","source":"s","type":"t","ackto":"unix:/x#e.1","data":'
    lines = deep + b"[" * 300 + b"]" * 300 + b"}\n1\n"
    status, _, err = run("flow-send", *options, coil.url(), input=lines)
    assert status == 1
    assert "line 1: cannot be written as JSON: it is nested deeper than 254 levels" in err
    assert "1 of 2 lines were not sent" in err


def test_an_event_that_cannot_be_sent_is_rejected(coil, run, tmp_path):
    with Receiver(tmp_path / "s") as inlet:
        event = {"specversion": "1.0", "id": "i", "source": "s", "type": "t"}
        line = json.dumps(event | {"ackto": f"unix:{tmp_path}/s#e.1"}).encode() + b"\n"
        status, _, err = run("flow-send", "--raw", coil.url(), input=line)
        assert (status, "the event has no data to send" in err) == (1, True)
        assert inlet.recv().startswith(b'e.1 nack {"error":"the event has no data to send"')


def test_a_malformed_ackto_fails_only_its_line(coil, run):
    status, _, err = run("flow-send", coil.url(), input=line(ackto="nonsense") + line())
    assert status == 1
    assert "line 1: cannot acknowledge 'nonsense'" in err
    assert coil.store.size("/queue/a") == 1


def test_messages_refused_by_the_broker_end_the_command(start, script):
    process, peer = sending(start, script)
    feed(process, b"1\n")
    peer.read("SEND")
    peer.write("ERROR", {"message": "access denied"})
    assert process.wait(SECONDS) == 77
    assert b"refuses messages to '/queue/a': access denied" in process.stderr.read()


def test_a_single_message_refused_by_the_broker_is_rejected(start, script, tmp_path):
    with Receiver(tmp_path / "ack") as upstream:
        process, peer = sending(start, script)
        feed(process, *[line(ackto=f"unix:{tmp_path}/ack#e.{n}") for n in (1, 2, 3)])
        process.stdin.close()
        frames = [peer.read("SEND") for _ in range(3)]
        confirm(peer, frames[0])
        peer.write("ERROR", {"message": "too large", "receipt-id": "2"})
        again = script.accept()
        again.login()
        frame = again.read("SEND")
        assert frame.headers["receipt"] == "3"
        confirm(again, frame)
        again.goodbye()
        assert process.wait(SECONDS) == 1
        told = b""
        while told.count(b"\n") < 3:
            told += upstream.recv(1000)
    first, second, third = sorted(told.splitlines())
    assert (first, third) == (b"e.1 ack", b"e.3 ack")
    assert second.startswith(b'e.2 nack {"error":"too large","attempts":1,"worker":"flow-send"')
    assert b"line 2: the broker refuses it: too large" in process.stderr.read()


def test_activemq_gets_messages_read_together_in_one_transaction(start, script, tmp_path):
    with Receiver(tmp_path / "ack") as upstream:
        process = start("flow-send", script.url(), stdin=subprocess.PIPE)
        feed(process, *[line(ackto=f"unix:{tmp_path}/ack#e.{n}") for n in (1, 2, 3)])
        process.stdin.close()
        peer = script.accept()
        peer.login(server="ActiveMQ/5.17.2")
        begin, *sends, commit = [peer.read() for _ in range(5)]
        name = begin.headers["transaction"]
        assert [frame.command for frame in sends] == ["SEND"] * 3
        assert {frame.headers["transaction"] for frame in [*sends, commit]} == {name}
        assert [frame for frame in sends if "receipt" in frame.headers] == []
        confirm(peer, commit)
        peer.goodbye()
        assert process.wait(SECONDS) == 0
        told = b""
        while told.count(b"\n") < 3:
            told += upstream.recv(1000)
    assert sorted(told.splitlines()) == [b"e.1 ack", b"e.2 ack", b"e.3 ack"]


def test_a_transaction_is_at_most_half_a_window_and_two_are_open(start, script):
    process = start("flow-send", "--window", 6, script.url(), stdin=subprocess.PIPE)
    feed(process, *[line() for _ in range(10)])
    process.stdin.close()
    peer = script.accept()
    peer.login(server="ActiveMQ/5.17.2")
    first, second = transaction(peer, 3), transaction(peer, 3)
    peer.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        peer.read()
    peer.socket.settimeout(SECONDS)
    confirm(peer, first)
    third = transaction(peer, 3)
    confirm(peer, second)
    last = peer.read("SEND")
    confirm(peer, third)
    confirm(peer, last)
    peer.goodbye()
    assert process.wait(SECONDS) == 0


def test_lines_read_together_share_a_transaction_across_blocks(start, script):
    process = start("flow-send", script.url(), stdin=subprocess.PIPE)
    feed(process, *[line(data="x" * 1000) for _ in range(60)])  # what a pipe holds
    peer = script.accept()
    peer.login(server="ActiveMQ/5.17.2")
    confirm(peer, transaction(peer, 60))
    feed(process, line())
    confirm(peer, peer.read("SEND"))
    process.stdin.close()
    peer.goodbye()
    assert process.wait(SECONDS) == 0


def transaction(peer, size):
    """Read a transaction of `size` messages; return its COMMIT."""
    begin, *sends, commit = [peer.read() for _ in range(size + 2)]
    assert [frame.command for frame in [begin, *sends, commit]] == (
        ["BEGIN", *["SEND"] * size, "COMMIT"]
    )
    return commit


def test_a_failed_transaction_is_sent_again_message_by_message(start, script):
    process = start("flow-send", script.url(), stdin=subprocess.PIPE)
    feed(process, line(), line(), line())
    process.stdin.close()
    peer = script.accept()
    peer.login(server="ActiveMQ/5.17.2")
    peer.read("COMMIT")
    peer.write("ERROR", {"message": "too large"})
    again = script.accept()
    again.login(server="ActiveMQ/5.17.2")
    frame = again.read("SEND")
    assert frame.headers["receipt"] == "1"
    confirm(again, frame)
    assert again.read("SEND").headers["receipt"] == "2"
    again.write("ERROR", {"message": "too large", "receipt-id": "2"})
    last = script.accept()
    last.login(server="ActiveMQ/5.17.2")
    frame = last.read("SEND")
    assert frame.headers["receipt"] == "3"
    confirm(last, frame)
    last.goodbye()
    assert process.wait(SECONDS) == 1


def test_a_broker_without_room_is_not_blamed_on_the_message(start, script):
    process, peer = sending(start, script)
    feed(process, line())
    process.stdin.close()
    for _ in range(4):  # More often than an ERROR about the message itself would be tolerated.
        frame = peer.read("SEND")
        error = b"javax.jms.ResourceAllocationException: Usage Manager Memory Limit reached"
        headers = {"message": "limit reached", "receipt-id": frame.headers["receipt"]}
        peer.write("ERROR", headers, error)
        peer.close()
        peer = script.accept()
        peer.login()
    confirm(peer, peer.read("SEND"))
    peer.goodbye()
    assert process.wait(SECONDS) == 0
    assert b"refuses" not in process.stderr.read()


def published(script, broker, *lines, **settings):
    """Send lines in this process while the function `broker` plays the scripted server."""
    reader, writer = os.pipe()
    os.write(writer, b"".join(lines))
    os.close(writer)
    publisher = Publisher(parse_url(script.url()), Settings(**settings))
    try:
        with stopped_by_signals() as stop, ThreadPoolExecutor(1) as pool:
            done = pool.submit(broker)
            try:
                publisher.run(reader, stop)
            finally:
                done.result(SECONDS)
    finally:
        os.close(reader)


def refusing(script, said, times):
    """Log in and refuse the sent message, `times` times."""
    for _ in range(times):
        peer = script.accept()
        peer.login()
        peer.read("SEND")
        peer.write("ERROR", {"message": said})
        peer.close()


def test_a_message_refused_alone_for_too_long_is_named(script, monkeypatch):
    monkeypatch.setattr("flowtools.stomp.send.REFUSED_FOR", 0.0)

    def broker():
        peer = script.accept()
        peer.login()
        confirm(peer, peer.read("SEND"))
        peer.read("SEND")
        peer.write("ERROR", {"message": "frame too large"})
        peer.close()
        refusing(script, "frame too large", 1)

    with pytest.raises(RefusedError, match=r"\(line 2\): frame too large"):
        published(script, broker, line(), line())


@pytest.mark.parametrize(
    "said",
    [
        "NOT_FOUND - home node 'a@localhost' of durable queue 'q' is down or inaccessible",
        "AMQP channel died Reason: {shutdown,{connection_closing",
        "CONNECTION_FORCED - closed by somebody",
    ],
)
def test_temporary_broker_errors_are_not_refusals(script, monkeypatch, said):
    monkeypatch.setattr("flowtools.stomp.send.REFUSED_FOR", 0.0)

    def broker():
        refusing(script, said, 4)
        peer = script.accept()
        peer.login()
        confirm(peer, peer.read("SEND"))
        peer.goodbye()

    published(script, broker, line())


def test_a_closed_idle_connection_is_not_a_refusal(start, script):
    process, peer = sending(start, script)
    for _ in range(4):
        peer.write("ERROR", {"message": "closed by the administrator"})
        peer.close()
        peer = script.accept()
        peer.login()
    feed(process, line())
    confirm(peer, peer.read("SEND"))
    process.stdin.close()
    peer.goodbye()
    assert process.wait(SECONDS) == 0


@pytest.mark.parametrize("said", ["NOT_FOUND - no queue 'a' in vhost '/'", "Processing error"])
def test_a_missing_or_troubled_queue_is_tried_again(script, said):
    def broker():
        refusing(script, said, 2)
        peer = script.accept()
        peer.login()
        confirm(peer, peer.read("SEND"))
        peer.goodbye()

    published(script, broker, line())


@pytest.mark.parametrize("said", ["", "NOT_FOUND - no"])
def test_a_broker_that_accepts_only_the_login_is_abandoned_after_retry_for(script, said):
    def broker():
        with contextlib.suppress(OSError):
            while True:
                peer = script.accept()
                peer.login()
                peer.read("SEND")
                if said:
                    peer.write("ERROR", {"message": said})
                    peer.close()
                else:
                    peer.ended()

    script.listener.settimeout(5)
    with pytest.raises(UnreachableError, match=r"cannot reach the broker: '127.0.0.1:\d+': "):
        published(script, broker, line(), retry_for=1.0, connect_timeout=1.0)


@pytest.mark.parametrize("retry_for", [0.0, 0.1])
def test_a_broker_has_time_to_confirm_however_short_retry_for_is(script, retry_for):
    def broker():
        peer = script.accept()
        peer.login()
        frame = peer.read("SEND")
        time.sleep(0.3)  # Longer than --retry-for.
        confirm(peer, frame)
        peer.goodbye()

    published(script, broker, line(), retry_for=retry_for)


@pytest.mark.parametrize(
    ("retry_for", "hosts", "seconds"),
    [(None, 2, 60.0), (300.0, 2, 60.0), (60.0, 2, 30.0), (60.0, 1, 60.0), (5.0, 1, 10.0)],
)
def test_each_host_has_a_share_of_retry_for_to_answer(retry_for, hosts, seconds):
    settings = Settings(retry_for=retry_for, connect_timeout=10.0)
    assert settings.time_to_answer(60.0, hosts) == seconds


@pytest.mark.parametrize("settings", [{}, {"retry_for": 6.0, "connect_timeout": 1.0}])
def test_a_broker_that_confirms_nothing_is_left_for_the_next_host(script, monkeypatch, settings):
    if not settings:
        monkeypatch.setattr("flowtools.stomp.send.SILENT", 0.3)
    url = f"stomp://127.0.0.1:{script.port},127.0.0.1:{script.port}/?destination=/queue/a"
    monkeypatch.setattr(script, "url", lambda: url)

    def broker():
        silent = script.accept()
        silent.login()
        silent.read("SEND")
        peer = script.accept()
        peer.login()
        confirm(peer, peer.read("SEND"))
        peer.goodbye()

    published(script, broker, line(), **settings)


def test_waiting_for_a_broker_that_confirms_nothing_is_reported(script, monkeypatch, caplog):
    monkeypatch.setattr("flowtools.stomp.send.QUIET", 0.3)
    reader, writer = os.pipe()
    os.write(writer, b"1\n2\n")
    os.close(writer)
    publisher = Publisher(parse_url(script.url()), Settings())
    with stopped_by_signals() as stop, ThreadPoolExecutor(1) as pool:

        def broker():
            peer = script.accept()
            peer.login()
            frames = [peer.read("SEND"), peer.read("SEND")]
            while caplog.text.count("has not confirmed") < 2:  # After 0.3 and 0.6 s.
                peer.socket.sendall(b"\n")  # Its heart-beats continue.
                time.sleep(0.05)
            for frame in frames:
                confirm(peer, frame)
            peer.goodbye()

        done = pool.submit(broker)
        publisher.run(reader, stop)
        done.result(SECONDS)
    os.close(reader)
    assert caplog.text.count("has not confirmed a message") < 5


def test_the_refused_one_of_several_messages_is_found(script, monkeypatch):
    monkeypatch.setattr("flowtools.stomp.send.REFUSED_FOR", 0.0)

    def broker():
        refusing(script, "frame too large", 1)
        peer = script.accept()
        peer.login()
        confirm(peer, peer.read("SEND"))
        assert peer.read("SEND").headers["receipt"] == "2"
        peer.write("ERROR", {"message": "frame too large"})
        peer.close()
        refusing(script, "frame too large", 1)

    with pytest.raises(RefusedError, match=r"\(line 2\): frame too large"):
        published(script, broker, line(), line())


def test_a_url_without_a_destination_is_a_usage_error(run):
    status, _, err = run("flow-send", "stomp://localhost")
    assert (status, err.count("\n")) == (2, 1)
    assert "--destination" in err


@pytest.mark.parametrize(
    ("text", "body", "content_type"),
    [
        (b"plain text", b"plain text", "text/plain"),
        (b'{"a": 1.50}', b'{"a": 1.50}', "application/json"),
        (line(data={"a": 1}), b'{"a":1}', "application/json"),
        (line(data="text"), b"text", "text/plain"),
        (line(data_base64="/wA="), b"\xff\0", "application/octet-stream"),
        (line(data_base64="/w==", datacontenttype="image/png"), b"\xff", "image/png"),
        (line(type="flow.stdin.line", source="flow-stdin", data=5), b"5", "application/json"),
    ],
)
def test_raw_sends_the_data_or_the_line_itself(text, body, content_type):
    sent = message(text, raw=True)
    assert sent == Outgoing(1, body, content_type, None, None)


def test_raw_refuses_an_event_without_data():
    with pytest.raises(EventError, match="has no data"):
        message(line(), raw=True)


def test_the_message_group_is_the_value_of_the_key(start, script):
    process, peer = sending(start, script, "--group-key", "/k")
    feed(process, line(data={"k": "a:b"}), line(data={}))
    assert peer.read("SEND").headers["JMSXGroupID"] == "a:b"
    assert "JMSXGroupID" not in peer.read("SEND").headers
    assert message(line(subject="x"), group_key=Key.parse("subject")).group == "x"


def test_unique_gives_an_event_the_same_duplicate_id_each_time(start, script):
    process, peer = sending(start, script, "--unique")
    events = [line(id="1", source="a"), line(id="1", source="b"), line(id="1", source="a")]
    feed(process, *events)
    names = [peer.read("SEND").headers["_AMQ_DUPL_ID"] for _ in events]
    assert names[0] == names[2] != names[1]
    assert message(b"text", raw=True, unique=True).unique is None
    # If the same list is sent again tomorrow, its lines must not count as duplicates.
    assert message(b'{"a": 1}', unique=True).unique is None
    assert message(events[0]).unique is None


def test_a_malformed_group_key_is_a_usage_error(run):
    assert run("flow-send", "--group-key", "A b", "stomp://h/?destination=x")[0] == 2
    with pytest.raises(UsageError):
        Key.parse("A b")
