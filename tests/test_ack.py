"""Acknowledgement through a pipe: the sending side, the receiving side, flow-ack."""

import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowtools.ack import place, stall
from flowtools.ack import sender as sender_module
from flowtools.ack.ack import acknowledge
from flowtools.ack.receiver import AckSocket, new_epoch
from flowtools.ack.records import MAX_PACKET, MAX_REASON, Ack, AckError, Reason, read_packet
from flowtools.ack.sender import BARE_BLOCKS, AckSender
from flowtools.core.toolong import LongLine
from flowtools.errors import ConfigurationError, EventsFailed
from flowtools.process.vitals import vitals
from tests.acks import Receiver
from tests.running import SECONDS, until


@pytest.fixture
def receiver(tmp_path):
    with Receiver(tmp_path / "s") as inlet:
        yield inlet


@pytest.fixture
def sender():
    one = AckSender()
    yield one
    one.close(0)


def ackto(receiver, token):
    return receiver.ackto(token)


def take_lines(receiver, number):
    lines = []
    while len(lines) < number:
        packet = receiver.recv()
        assert len(packet) <= MAX_PACKET
        lines += packet.decode().splitlines()
    return lines


def test_acknowledgements_and_rejections_arrive_as_lines(receiver, sender):
    sender.ack(ackto(receiver, "e1.7"))
    sender.nack(ackto(receiver, "e1.8"))
    assert take_lines(receiver, 2) == ["e1.7 ack", "e1.8 nack"]


def test_an_acknowledgement_wakes_the_sleeping_sender_thread(receiver, sender):
    for number in range(50):
        sender.ack(ackto(receiver, f"e.{number}"))
        assert take_lines(receiver, 1) == [f"e.{number} ack"]


def test_many_acknowledgements_share_packets_and_keep_their_order(receiver, sender):
    for number in range(5000):
        sender.ack(ackto(receiver, f"e.{number}"))
    assert take_lines(receiver, 5000) == [f"e.{number} ack" for number in range(5000)]


def test_a_frozen_source_delays_no_other_and_gets_everything_later(receiver, sender, tmp_path):
    with Receiver(tmp_path / "other") as other:
        for number in range(100000):  # more than the queue of a socket takes
            sender.ack(ackto(receiver, f"e.{number}"))
        sender.ack(ackto(other, "o.1"))
        assert take_lines(other, 1) == ["o.1 ack"]
    assert take_lines(receiver, 100000) == [f"e.{number} ack" for number in range(100000)]


def test_acknowledgements_survive_a_thread_that_cannot_be_started(receiver, monkeypatch, caplog):
    def cannot(thread):
        raise RuntimeError("can't start new thread")

    start_thread = sender_module.start_thread
    monkeypatch.setattr(sender_module, "start_thread", cannot)
    never, later = AckSender(), AckSender()
    for number in range(3):
        never.ack(ackto(receiver, f"n.{number}"))
    later.ack(ackto(receiver, "l.0"))
    never.close()
    assert take_lines(receiver, 3) == [f"n.{number} ack" for number in range(3)]
    monkeypatch.setattr(sender_module, "start_thread", start_thread)
    later.ack(ackto(receiver, "l.1"))
    assert take_lines(receiver, 2) == ["l.0 ack", "l.1 ack"]
    later.close()
    assert caplog.messages == ["cannot acknowledge: can't start new thread; trying again"] * 2


def test_close_sends_what_is_left(receiver):
    sender = AckSender()
    for number in range(300):
        sender.ack(ackto(receiver, f"e.{number}"))
    with ThreadPoolExecutor(1) as reader:
        taken = reader.submit(take_lines, receiver, 300)
        sender.close(30)
        assert len(taken.result(SECONDS)) == 300
    assert sender.lost == 0


def test_close_abandons_a_frozen_source_at_its_deadline(receiver, caplog):
    sender = AckSender()
    for number in range(200000):
        sender.ack(ackto(receiver, f"e.{number}"))
    sender.close(0.2)
    assert sender.lost > 0
    assert caplog.messages == [
        f"gave up on {sender.lost} acknowledgements: the source does not take more"
    ]


def test_close_without_any_acknowledgement_returns_immediately():
    started = time.monotonic()
    AckSender().close(60)
    assert time.monotonic() - started < 30


def test_acknowledgements_to_an_ended_source_are_counted_and_warned_of_once(tmp_path, caplog):
    sender = AckSender()
    for number in range(10):
        sender.ack(f"unix:{tmp_path}/gone#e.{number}")
    sender.close(30)
    assert sender.lost == 10
    assert caplog.messages == [
        (
            f"cannot acknowledge to '{tmp_path}/gone': No such file or directory;"
            " those events count as not done"
        ),
        "10 acknowledgements were not delivered: their source has ended",
    ]


def test_later_acknowledgements_to_an_ended_source_are_counted_too(tmp_path, caplog):
    sender = AckSender()
    sender.ack(f"unix:{tmp_path}/gone#e.1")
    until(lambda: sender.lost == 1)
    sender.ack(f"unix:{tmp_path}/gone#e.2")
    sender.close(30)
    assert sender.lost == 2
    assert caplog.messages[1:] == ["2 acknowledgements were not delivered: their source has ended"]


def test_a_single_lost_acknowledgement_causes_a_single_message(tmp_path, caplog):
    sender = AckSender()
    sender.nack(f"unix:{tmp_path}/gone#e.1")
    sender.close(30)
    assert len(caplog.messages) == 1


def test_threads_of_both_sides_are_daemons(acks):
    inlet, received = acks()
    sender = AckSender()
    sender.ack(inlet.ackto("e") + "1")
    received.get(timeout=SECONDS)
    threads = {each.name: each.daemon for each in threading.enumerate()}
    assert (threads["ack-socket"], threads["ack-sender"]) == (True, True)
    sender.close(30)


def test_close_gives_up_on_a_source_that_ended_while_frozen(receiver, caplog):
    sender = AckSender()
    for number in range(200000):
        sender.ack(ackto(receiver, f"e.{number}"))
    receiver.recv()  # the sender thread is writing
    receiver.close()
    sender.close(60)
    assert sender.lost > 0
    assert "those events count as not done" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    ["", "unix:", "unix:rel#e.1", "unix:/x", "unix:/x#e", "unix:/x#e.1\n", "http:/x#e.1", 7],
)
def test_a_malformed_ackto_is_an_error_of_that_event(sender, wrong):
    with pytest.raises(AckError, match=r"unix:PATH#EPOCH\.N"):
        sender.ack(wrong)


def event_line(**attributes):
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"} | attributes
    return json.dumps(event).encode() + b"\n"


@pytest.mark.parametrize(("option", "verdict"), [((), "ack"), (("--nack",), "nack")])
def test_flow_ack_acknowledges_or_rejects_every_event(run, receiver, option, verdict):
    lines = b"".join(event_line(ackto=ackto(receiver, f"e.{n}")) for n in range(3))
    assert run("flow-ack", *option, input=lines) == (0, b"", "")
    assert take_lines(receiver, 3) == [f"e.{n} {verdict}" for n in range(3)]


def test_flow_ack_names_lines_that_it_cannot_acknowledge_and_continues(run, receiver):
    good = event_line(ackto=ackto(receiver, "e.1"))
    lines = event_line() + b"no json\n" + event_line(ackto="x") + good
    status, out, err = run("flow-ack", input=lines)
    assert (status, out) == (1, b"")
    assert [line.split(": ")[1:3] for line in err.splitlines()] == [
        ["line 1", "it has no ackto; does its source run with --ack worker?"],
        ["line 2", "not JSON"],
        ["line 3", "cannot acknowledge 'x'"],
        ["3 of 4 events were not acknowledged"],
    ]
    assert take_lines(receiver, 1) == ["e.1 ack"]


class Blocks:
    """Lines given in advance, in blocks."""

    def __init__(self, *blocks):
        self._blocks = list(blocks)

    def read(self):
        return self._blocks.pop(0) if self._blocks else None


@pytest.mark.parametrize(("refuse", "verdict"), [(False, "ack"), (True, "nack")])
def test_every_line_with_an_ackto_is_settled_and_the_others_are_counted(
    receiver, caplog, refuse, verdict
):
    ending = b',"ackto":"%s"}' % ackto(receiver, "e.3").encode()
    long = LongLine([b"{" * 300, ending], None).end()
    lost = LongLine([b"{" * 300, b"}"], None).end()
    lines = [event_line(ackto=ackto(receiver, f"e.{n}")) for n in range(3)]
    with pytest.raises(EventsFailed, match=r"^3 of 7 events were not acknowledged$"):
        acknowledge(
            Blocks(lines[:2], [lost, lines[2], b"no json"], [event_line(), long]), refuse=refuse
        )
    assert take_lines(receiver, 4) == [f"e.{n} {verdict}" for n in range(4)]
    assert [message.partition(":")[0] for message in caplog.messages] == [
        *("line 3", "line 5", "line 6")
    ]
    assert caplog.messages[0] == "line 3: it is longer than a line may be"
    assert caplog.messages[2].endswith("it has no ackto; does its source run with --ack worker?")


def test_acknowledging_every_line_causes_no_message(receiver, caplog):
    acknowledge(Blocks([event_line(ackto=ackto(receiver, "e.1"))]), refuse=False)
    assert take_lines(receiver, 1) == ["e.1 ack"]
    assert caplog.messages == []


def test_an_event_whose_source_is_gone_is_counted(tmp_path):
    line = event_line(ackto=f"unix:{tmp_path}/gone#e.1")
    with pytest.raises(EventsFailed, match=r"^1 of 1 event was not acknowledged$"):
        acknowledge(Blocks([line]), refuse=False)


def test_epochs_are_unique():
    epochs = {new_epoch() for _ in range(1000)}
    assert len(epochs) == 1000
    assert all(re.fullmatch("[A-Za-z0-9_-]{12}", each) for each in epochs)


def test_flow_ack_fails_if_the_source_has_ended(run, tmp_path):
    status, _, err = run("flow-ack", input=event_line(ackto=f"unix:{tmp_path}/gone#e.1"))
    assert status == 1
    assert "those events count as not done" in err


def test_flow_ack_acknowledges_before_the_end_of_its_input(start, receiver):
    process = start("flow-ack", stdin=subprocess.PIPE)
    process.stdin.write(event_line(ackto=ackto(receiver, "e.1")))
    process.stdin.flush()
    assert take_lines(receiver, 1) == ["e.1 ack"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM


@pytest.fixture
def acks():
    """An AckSocket that puts the batches it receives on a queue."""
    opened = []

    def open_socket():
        received = queue.Queue()
        made = AckSocket()
        opened.append(made)
        made.start(received.put)
        return made, received

    yield open_socket
    for each in opened:
        each.close()


def send(path, *packets):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as outlet:
        outlet.connect(path)
        for packet in packets:
            outlet.send(packet)


def test_malformed_records_are_counted_and_harm_nothing(acks):
    inlet, received = acks()
    send(
        inlet.path,
        b"\xff\xfe\n\n",
        b"e.1\n",
        b"e.1 done\n",
        b"e.-1 ack\n",
        b"e.99999999999999999999 ack\n",
        "e.\u00b2 ack\n".encode(),
        b"x" * 60000,
        b"e.1 ack\nrubbish\ne.2 nack\ne.3 nack no reason\n",
    )
    found = []
    while len(found) < 2:
        found += received.get(timeout=SECONDS)
    assert found == [Ack("e", 1, True), Ack("e", 2, False)]
    assert inlet.malformed == 9


def test_the_socket_is_private_and_removed_on_close(acks, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    inlet, _ = acks()
    folder = Path(inlet.path).parent
    assert folder.parent == tmp_path
    assert (folder.stat().st_mode & 0o777, Path(inlet.path).stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )
    inlet.close()
    assert not folder.exists()


def test_close_still_delivers_received_acknowledgements(acks):
    inlet, received = acks()
    sender = AckSender()
    for number in range(2000):
        sender.ack(inlet.ackto("e") + str(number))
    sender.close(30)
    inlet.close()
    found = [ack.number for batch in list(received.queue) for ack in batch]
    assert found == list(range(2000))


def test_a_path_too_long_for_a_socket_is_a_configuration_error(tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(ConfigurationError, match="at most 107 bytes; set XDG_RUNTIME_DIR"):
        AckSocket()
    assert list(deep.iterdir()) == []


def test_a_socket_path_of_the_maximum_length_works(tmp_path, monkeypatch):
    own = len("/flow-12345678/ack")
    deep = tmp_path / ("x" * (107 - own - len(str(tmp_path)) - 1))
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    inlet = AckSocket()
    inlet.close()
    assert len(inlet.path) == 107


def test_a_failure_to_create_the_socket_directory_is_reported(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with pytest.raises(ConfigurationError) as raised:
        AckSocket()
    assert str(raised.value) == (
        f"cannot make a directory for the acknowledgement socket in '{tmp_path}/file':"
        " Not a directory"
    )


def test_without_a_runtime_directory_the_socket_is_in_the_temporary_directory(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for relative in ("", "run"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", relative)
        inlet = AckSocket()
        inlet.close()
        assert Path(inlet.path).parent.parent == tmp_path
        assert Path(inlet.path).parent.name.startswith("flow-")


def test_malformed_records_are_reported_at_the_end(acks, caplog):
    inlet, received = acks()
    send(inlet.path, b"x\ny z\n", b"e 1.5 ack\n", b"a.b.7 ack\n")
    assert received.get(timeout=SECONDS) == [Ack("a.b", 7, True)]
    inlet.close()
    inlet.close()
    assert caplog.messages == ["3 lines came that the acknowledgement socket does not understand"]


def test_a_callback_that_raises_still_receives_later_acknowledgements(caplog):
    received = queue.Queue()

    def receive(batch):
        received.put(batch)
        if len(batch) == 1 and not batch[0].done:
            raise RuntimeError("not today")

    inlet = AckSocket()
    inlet.start(receive)
    sender = AckSender()
    sender.nack(inlet.ackto("e") + "1")
    assert received.get(timeout=SECONDS) == [Ack("e", 1, False)]
    sender.ack(inlet.ackto("e") + "2")
    assert received.get(timeout=SECONDS) == [Ack("e", 2, True)]
    sender.close(30)
    inlet.close()
    assert caplog.messages == ["internal error while acknowledging"]


# Connections that end


@pytest.fixture
def source(monkeypatch):
    """An AckSocket with an epoch: the acknowledgements it receives, and the losses it reports."""
    monkeypatch.setattr("flowtools.ack.receiver.GRACE", 0.05)
    inlet = AckSocket()
    inlet.received, inlet.losses = queue.Queue(), queue.Queue()
    inlet.base = inlet.ackto("e")
    inlet.start(inlet.received.put, lost=inlet.losses.put)
    yield inlet
    inlet.close()


def test_a_connection_that_ends_without_bye_is_reported_as_a_loss(source):
    sender = AckSender()
    sender.see(b'{"specversion":"1.0","ackto":"%s1"}\n{"speci' % source.base.encode())
    until(lambda: source._connections)
    sender.close(bye=False)
    assert "ended before it had settled all it took" in source.losses.get(timeout=SECONDS)
    assert source.received.empty()


def test_after_many_blocks_without_ackto_the_end_of_a_block_still_connects(source):
    sender = AckSender()
    bare = event_line() * 100
    for _ in range(2 * BARE_BLOCKS):
        sender.see(bare)
    assert sender._thread is None
    sender.see(bare + event_line(ackto=source.base + "1"))
    until(lambda: source._connections)
    sender.close(bye=False)
    assert source.losses.get(timeout=SECONDS)


@pytest.mark.parametrize("options", [(), ("-j", "4", "--key", "subject")])
def test_a_killed_flow_work_is_noticed_after_many_lines_without_ackto(
    source, start, tmp_path, options
):
    (tmp_path / "waits.py").write_text(
        "import time\n"
        "class Waits:\n"
        "    def start(self, event):\n"
        "        while 'ackto' in event.attributes:\n"
        "            time.sleep(0.05)\n"
    )
    process = start("flow-work", "waits:Waits", *options, stdin=subprocess.PIPE, real=True)
    bare = event_line(id="x" * 200) * 40  # A third of a block.
    process.stdin.write(bare * (6 * BARE_BLOCKS))
    # Not near the end of a block; the pipe can hold it, since a single thread reads no further.
    process.stdin.write(event_line(ackto=source.base + "1") + bare)
    process.stdin.flush()
    until(lambda: source._connections)
    process.kill()
    assert "ended before it had settled all it took" in source.losses.get(timeout=SECONDS)


def test_a_missed_process_and_the_end_of_its_connection_are_one_loss(source, monkeypatch):
    monkeypatch.setattr("flowtools.ack.receiver.GRACE", 0.5)
    sender = AckSender()
    sender.see(event_line(ackto=source.base + "1"))
    until(lambda: source._connections)
    source.miss("its reader has gone")
    sender.close(bye=False)
    until(lambda: not source._connections)
    assert source.losses.get(timeout=SECONDS) == "its reader has gone"
    assert (source.losses.empty(), source._vanished) == (True, None)


def test_connections_that_keep_ending_do_not_delay_the_report_of_a_loss(source, monkeypatch):
    monkeypatch.setattr("flowtools.ack.receiver.GRACE", 0.5)
    path, ends_at = source.base.partition("#")[0].removeprefix("unix:"), time.monotonic() + SECONDS
    while source.losses.empty() and time.monotonic() < ends_at:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(path)
        time.sleep(0.05)
    assert "ended before it had settled" in source.losses.get(block=False)


def test_a_connection_that_ends_with_bye_is_not_a_loss(source):
    sender = AckSender()
    sender.ack(source.base + "1")
    source.received.get(timeout=SECONDS)
    sender.close()
    until(lambda: not source._connections)
    time.sleep(0.2)
    assert source.losses.empty()


def test_a_killed_process_that_had_settled_nothing_is_noticed(source, start):
    process = start("flow-ack", stdin=subprocess.PIPE, real=True)
    # Without a line end: the process has read part of the event and settled nothing.
    process.stdin.write(event_line(ackto=source.base + "1").strip())
    process.stdin.flush()
    until(lambda: source._connections)
    process.kill()
    reason = source.losses.get(timeout=SECONDS)
    assert reason == f"flow-ack (process {process.pid}) ended before it had settled all it took"


def test_a_command_that_is_stopped_early_does_not_say_bye(source, start):
    process = start("flow-ack", stdin=subprocess.PIPE)
    process.stdin.write(event_line(ackto=source.base + "1"))
    process.stdin.flush()
    assert source.received.get(timeout=SECONDS) == [Ack("e", 1, True)]
    process.terminate()
    assert source.losses.get(timeout=SECONDS)


def test_one_flow_ack_process_per_event_causes_no_loss(source, shell):
    loop = 'for n in $(seq 1 10); do printf \'{%s"ackto":"%s%s"}\\n\' '
    loop += f"""'"specversion":"1.0","id":"i","source":"s","type":"t",' '{source.base}' $n"""
    assert shell(loop + " | flow-ack || exit; done") == (0, b"", "")
    found = []
    while len(found) < 10:
        found += source.received.get(timeout=SECONDS)
    assert found == [Ack("e", n, True) for n in range(1, 11)]
    time.sleep(0.2)
    assert source.losses.empty()


def test_lines_without_our_ackto_open_no_connection(source):
    sender = AckSender()
    for block in (
        b'{"ackto":"nonsense"}\n',
        b'{"data":"\\"ackto\\":\\"unix:%s#e.1\\""}\n' % source.path.encode(),
        b'{"ackto":"unix:%s' % source.path.encode(),
        b'{"ackto":"unix:/no\\u00f6#e.1"}\n',
    ):
        sender.see(block)
    assert sender._thread is None
    sender.see(b'{"ackto":"unix:/nowhere#e.1"}')
    sender.close(30)
    assert sender.lost == 0


# Reasons


def test_a_reason_arrives_with_the_rejection(source):
    sender = AckSender()
    reason = Reason.here("ValueError: no such file", 3, "mymod:Tag")
    sender.nack(source.base + "1", reason)
    sender.close()
    assert source.received.get(timeout=SECONDS) == [Ack("e", 1, False, reason)]
    assert (reason.attempts, bool(reason.host), reason.time[-1]) == (3, True, "Z")


@pytest.mark.parametrize(
    "text", ["x" * 10**6, "\x00\x1f" * 5000, "\u2028\U0001f600" * 3000, '"' * 9999]
)
def test_a_reason_is_always_bounded_and_printable(text):
    encoded = Reason(text, 10**30, text, text, text).encode()
    assert len(encoded) <= MAX_REASON
    again = Reason.decode(encoded)
    assert again.error
    assert all(field.isprintable() for field in (again.error, again.worker, again.host, again.time))
    ((ack,), malformed, bye) = read_packet(b"e.1 nack %b\n" % encoded)
    assert (ack.reason, malformed, bye) == (again, 0, False)


@pytest.mark.parametrize("text", [b"[]", b"no", b'"x"', b"{" + b" " * 5000 + b"}"])
def test_a_record_with_a_malformed_reason_is_malformed(text):
    assert read_packet(b"e.1 nack %b\n" % text) == ([], 1, False)


@pytest.mark.parametrize(
    "text", [b"{}", b'{"error":null,"attempts":true}', b'{"attempts":-1,"host":""}']
)
def test_every_member_of_a_reason_is_optional(text):
    assert Reason.decode(text) == Reason("")


def test_flow_ack_sends_the_given_reason(source, run):
    line = event_line(ackto=source.base + "1")
    assert run("flow-ack", "--nack", "--reason", "no such codec", input=line) == (0, b"", "")
    (ack,) = source.received.get(timeout=SECONDS)
    assert (ack.done, ack.reason.error, ack.reason.worker) == (False, "no such codec", "flow-ack")
    status, _, err = run("flow-ack", "--reason", "x", input=line)
    assert (status, "give --nack, too" in err) == (2, True)


# Copies


def test_an_event_settled_by_two_connections_is_counted_and_reported_once(source, caplog):
    one, two = AckSender(), AckSender()
    for number in (1, 2, 3):
        one.ack(f"{source.base}{number}")
    one.close()
    until(lambda: source.received.qsize())
    for number in (2, 3, 4):
        two.ack(f"{source.base}{number}")
    two.close()
    until(lambda: source.copied == 2)
    source.close()
    assert len(caplog.messages) == 2
    assert "settled twice" in caplog.messages[0]
    assert "flow-tee" in caplog.messages[0]
    assert caplog.messages[1] == "2 events were settled by two processes"


def test_repeats_by_one_connection_and_of_an_old_epoch_are_not_copies(source, caplog):
    old = source.base
    sender = AckSender()
    for _ in range(3):
        sender.ack(f"{old}1")
    sender.close()
    until(lambda: source.received.qsize())
    source.ackto("f")
    other = AckSender()
    other.ack(f"{old}1")
    other.close()
    until(lambda: source.received.qsize() >= 2 and not source._connections)
    assert (source.copied, caplog.messages) == (0, [])


# Stalls


def test_an_epoch_begun_while_old_ones_are_removed_is_kept(source, monkeypatch):
    monkeypatch.setattr("flowtools.ack.receiver.REMEMBERED", 3)

    def acks():
        yield from (Ack("e", number, True) for number in range(5))
        source.ackto("new")  # As the source's thread does, at any time.

    source._find_copies(acks(), object())
    assert source._settled == ("new", {})


def test_a_stall_is_reported_at_growing_intervals(caplog):
    watch = stall.Stall()
    told = []
    for second in range(0, 4 * 3600, 10):
        before = watch.warnings
        watch.look(256, float(second))
        if watch.warnings > before:
            told.append(second)
    assert told == [60, 300, 900, 3600, 7200, 10800]
    assert watch.held == 256
    assert "256 events are unacknowledged" in caplog.messages[0]
    assert "flow-jq" in caplog.messages[0]


def test_a_stall_ends_once_an_event_is_settled_or_there_is_room(caplog):
    watch = stall.Stall()
    watch.look(5, 0.0)
    watch.look(5, 59.0)
    watch.moved()
    watch.look(5, 61.0)
    watch.look(5, 120.0)
    assert caplog.messages == []
    watch.look(5, 121.0)
    assert (len(caplog.messages), watch.held) == (1, 5)
    watch.moved()
    assert (caplog.messages[1:], watch.held) == (["events are acknowledged again"], 0)
    watch.look(0, 122.0)
    watch.look(5, 130.0)
    watch.look(0, 189.0)
    watch.look(5, 190.0)
    watch.look(5, 191.0)
    assert watch.warnings == 1


def test_the_socket_adds_its_figures_to_those_of_the_command(source, monkeypatch):
    monkeypatch.setattr("flowtools.ack.receiver.LOOK_EVERY", 0.01)
    monkeypatch.setattr("flowtools.core.reminder.AGAIN_AFTER", (0.0, 3600.0))
    figures = vitals.snapshot().figures
    assert figures["copied"] == 0
    assert "stalled_seconds" not in figures  # It has no window, like the socket of a relay.
    inlet = AckSocket()
    inlet.start(lambda acks: None, held=lambda: 5, in_flight=lambda: dict.fromkeys(range(5)))
    until(lambda: vitals.snapshot().figures["stalled_seconds"] > 0)
    now = vitals.snapshot()
    assert (now.figures["in_flight"], now.trouble()[:7]) == (5.0, "stalled")
    inlet.close()
    assert "stalled_seconds" not in vitals.snapshot().figures


# The directory of the socket


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_sockets_left_by_killed_processes_are_removed(base):
    alive = AckSocket()
    dead = AckSocket()
    dead._listening.close()  # As when its process ends.
    theirs = base / "flow-data"
    theirs.mkdir(mode=0o700)
    (theirs / "file").touch()
    young, old = base / "flow-young", base / "flow-old"
    for each in (young, old):
        each.mkdir(mode=0o700)
    long_ago = time.time() - 2 * place.UNFINISHED
    os.utime(old, (long_ago, long_ago))
    AckSocket().close()
    left = {each.name for each in base.iterdir()}
    assert left == {Path(alive.path).parent.name, "flow-data", "flow-young"}
    until_quiet = queue.Queue()
    alive.start(lambda acks: None, lost=until_quiet.put)
    sender = AckSender()
    sender.ack(alive.ackto("e") + "1")
    sender.close()
    alive.close()
    assert until_quiet.empty()  # A connection that only checks for life is not a loss.


def test_the_socket_moves_if_its_directory_has_vanished(tmp_path, monkeypatch, caplog):
    runtime, temporary = tmp_path / "run", tmp_path / "tmp"
    for each in (runtime, temporary):
        each.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr("flowtools.ack.receiver.LOOK_EVERY", 0.02)
    inlet = AckSocket()
    received, losses = queue.Queue(), queue.Queue()
    inlet.start(received.put, lost=losses.put)
    old = inlet.ackto("e")
    sender = AckSender()
    sender.ack(old + "1")
    assert received.get(timeout=SECONDS)
    shutil.rmtree(runtime)
    assert losses.get(timeout=SECONDS) == "its acknowledgement socket had been removed"
    new = inlet.ackto("f")
    assert new.startswith(f"unix:{temporary}/flow-")
    sender.ack(old + "2")  # An open connection continues to work.
    assert received.get(timeout=SECONDS) == [Ack("e", 2, True)]
    sender.ack(new + "1")
    assert received.get(timeout=SECONDS) == [Ack("f", 1, True)]
    sender.close()
    inlet.close()
    assert [*temporary.iterdir()] == []
