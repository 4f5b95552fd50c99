"""The relay: an event is acknowledged once all lines made from it are, and never before."""

import json
import queue
import subprocess

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flowtools.ack.duties import Duties, Verdict
from flowtools.ack.receiver import AckSocket
from flowtools.ack.records import Ack, AckError, Reason, with_ackto
from flowtools.ack.relay import Relay
from flowtools.ack.sender import AckSender
from flowtools.core.event import decode
from flowtools.core.wait import Stop
from flowtools.event import Event
from flowtools.source.delivery import Delivery, MessageDuty
from tests.acks import Receiver
from tests.running import SECONDS, until
from tests.stomp_servers import Lines


class Broker:
    """A subscription without a connection: records the verdict on each message."""

    def __init__(self):
        self.settled = []

    def acknowledge(self, number):
        self.settled.append((number, True))

    def reject(self, number, moved=None, reason=None):
        self.settled.append((number, False))

    def flush(self):
        pass


class Pipe:
    """Keeps the lines that a source has written."""

    def __init__(self):
        self.lines = []

    def put(self, event):
        self.lines.append(dict(event.attributes))


class Inlet:
    """Gives `ackto`; the test passes settled events to the Delivery."""

    def ackto(self, epoch):
        return f"unix:/source#{epoch}."


class Pipeline(RuleBasedStateMachine):
    """A broker, a source's window, a relay and the reader of its lines, checked against a model.

    Each message has one event, which the relay splits into some lines. Lines are settled in any
    order, more than once, or never. Sessions end and begin; readers of the relay vanish.
    """

    def __init__(self):
        super().__init__()
        self.relay = Duties("r0")
        self.epochs = 0
        self.lines = []  # (relay epoch, number, event), whether settled or not
        self.verdicts = {}  # event -> verdicts of its lines in the relay's present epoch
        self.split = {}  # event -> numbers of its lines, in the relay's present epoch
        self.settled = []  # (session, message, done) in all sessions
        self.begin_session()

    def begin_session(self):
        if hasattr(self, "delivery"):
            self.delivery.close()
        self.broker, self.pipe = Broker(), Pipe()
        self.delivery = Delivery(self.broker, self.pipe, Inlet())
        self.number = 0
        self.session = self.session + 1 if hasattr(self, "session") else 0
        self.of_ackto = {}

    def teardown(self):
        self.delivery.close()

    @rule(parts=st.integers(1, 4))
    def deliver(self, parts):
        self.number += 1
        event = Event("t", self.number, source="s")
        self.delivery.write(event, MessageDuty(self.broker, self.number, 1))
        ackto = self.pipe.lines[-1]["ackto"]
        self.of_ackto[ackto] = (self.session, self.number)
        numbers = self.relay.split(ackto, parts)
        assert len(set(numbers)) == parts
        self.split[ackto] = dict.fromkeys(numbers)
        self.lines += [(self.relay.epoch, number, ackto) for number in numbers]

    @precondition(lambda self: self.lines)
    @rule(data=st.data(), done=st.booleans(), copies=st.integers(1, 3))
    def settle(self, data, done, copies):
        epoch, number, ackto = data.draw(st.sampled_from(self.lines))
        self.hear([Ack(epoch, number, done)] * copies)
        if epoch == self.relay.epoch and self.split[ackto][number] is None:
            self.split[ackto][number] = done  # The first verdict counts.

    @rule(number=st.integers(0, 50), done=st.booleans())
    def forge(self, number, done):
        self.hear([Ack("nobody", number, done)])

    def hear(self, acks):
        for verdict in self.relay.settle(acks):
            token = verdict.ackto.rpartition("#")[2]
            epoch, _, number = token.rpartition(".")
            self.verdicts.setdefault(verdict.ackto, []).append(verdict.done)
            self.delivery.settle([Ack(epoch, int(number), verdict.done)])

    @rule()
    def lose_the_connection_to_the_broker(self):
        self.settled += [(self.session, *each) for each in self.broker.settled]
        self.begin_session()

    @rule()
    def lose_the_reader_of_the_relay(self):
        self.epochs += 1
        self.relay.forget(f"r{self.epochs}")
        self.split = {}
        assert self.relay.outstanding == 0

    @invariant()
    def an_event_is_settled_once_after_all_its_lines(self):
        for ackto, lines in self.split.items():
            settled = None not in lines.values()
            assert (ackto in self.verdicts) == settled, (ackto, lines)
            if settled:
                assert self.verdicts[ackto] == [all(lines.values())]
        assert all(len(each) == 1 for each in self.verdicts.values())

    @invariant()
    def the_broker_gets_the_verdicts_of_the_current_session(self):
        expected = {
            number: self.verdicts[ackto][0]
            for ackto, (session, number) in self.of_ackto.items()
            if ackto in self.verdicts and session == self.session
        }
        assert len(self.broker.settled) == len(expected)
        assert dict(self.broker.settled) == expected
        assert self.delivery.outstanding == self.number - len(expected)


TestPipeline = Pipeline.TestCase
TestPipeline.settings = settings(stateful_step_count=60)


# The relay itself, over real sockets


@pytest.fixture
def source(monkeypatch):
    """The inlet of a source: the acknowledgements it receives, and the losses it reports."""
    monkeypatch.setattr("flowtools.ack.receiver.GRACE", 0.05)
    inlet = AckSocket()
    inlet.heard, inlet.losses = queue.Queue(), queue.Queue()
    inlet.base = inlet.ackto("e")
    inlet.start(lambda acks: [inlet.heard.put(each) for each in acks], lost=inlet.losses.put)
    yield inlet
    inlet.close()


@pytest.fixture
def relay():
    upstream = AckSender()
    made = Relay(upstream)
    made.upstream = upstream
    yield made
    if made._settled.fileno() >= 0:
        made._inlet and made._inlet.close()
        upstream.close(0)


def settle(*acktos, refuse=(), bye=True):
    sender = AckSender()
    for each in acktos:
        if each in refuse:
            sender.nack(each, Reason("not this one", 2))
        else:
            sender.ack(each)
    sender.close(bye=bye)


def test_without_lines_an_event_is_done_and_a_single_line_keeps_the_ackto(source, relay):
    assert relay.carry(source.base + "1", 0) == []
    assert source.heard.get(timeout=SECONDS) == Ack("e", 1, True)
    assert relay.carry(source.base + "2", 1) == [source.base + "2"]
    relay.close(bye=True)
    assert source.heard.empty()


def test_an_event_with_several_lines_is_done_after_all_of_them(source, relay):
    one, two, three = relay.carry(source.base + "1", 3)
    settle(one, three)
    until(lambda: relay.outstanding == 1)
    assert source.heard.empty()
    settle(two)
    assert source.heard.get(timeout=SECONDS) == Ack("e", 1, True)
    relay.close(bye=True)


def test_a_rejected_line_rejects_its_event_once_all_lines_are_settled(source, relay):
    one, two = relay.carry(source.base + "1", 2)
    settle(one, refuse=[one])
    until(lambda: relay.outstanding == 1)
    assert source.heard.empty()
    settle(two)
    ack = source.heard.get(timeout=SECONDS)
    assert (ack.number, ack.done, ack.reason.error) == (1, False, "not this one")
    relay.close(bye=True)


def test_a_vanished_reader_of_the_relay_causes_redelivery(source, relay, monkeypatch, caplog):
    relay.upstream.see(b'{"ackto":"%s1"}' % source.base.encode())
    one, two = relay.carry(source.base + "1", 2)
    settle(one, bye=False)
    assert "ended before it had settled" in source.losses.get(timeout=SECONDS)
    assert (relay.outstanding, relay.is_forsaken) == (0, True)
    settle(two)  # Acknowledgements of the previous epoch.
    three, four = relay.carry(source.base + "2", 2)
    assert three.rpartition(".")[0] != one.rpartition(".")[0]
    settle(three, four)
    assert source.heard.get(timeout=SECONDS) == Ack("e", 2, True)
    relay.close(bye=True)
    assert "1 line counts as not done" in caplog.text


def test_the_relay_waits_until_every_line_is_settled(source, relay):
    stop = Stop()
    lines = relay.carry(source.base + "1", 2)
    settle(*lines)
    relay.wait_until_settled(stop, 0.0)
    assert relay.outstanding == 0
    relay.carry(source.base + "2", 2)
    stop.set()
    relay.wait_until_settled(stop, 0.1)
    assert relay.outstanding == 2
    relay.close(bye=True)
    stop.close()
    assert source.heard.get(timeout=SECONDS) == Ack("e", 1, True)


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_malformed_ackto_is_an_error_of_its_event(relay, lines):
    with pytest.raises(AckError):
        relay.carry("nonsense", lines)
    relay.close(bye=True)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"  "])
def test_an_ackto_is_the_last_member_of_its_line(end):
    event = Event("t", {"a": 1}, source="s")
    line = event.encode().strip() + end
    made = with_ackto(line, 'unix:/a"\\b#e.1')
    assert made.endswith(b"}\n")
    assert decode(made).attributes == event.attributes | {"ackto": 'unix:/a"\\b#e.1'}


def test_an_event_is_rejected_even_without_a_reason():
    duties = Duties("e")
    one, two = duties.split("x", 2)
    assert duties.settle([Ack("e", one, False), Ack("e", one, True)]) == []
    assert duties.settle([Ack("e", two, True)]) == [Verdict("x", False, None)]


# flow-work --relay and --no-ack, as processes

WORKERS = """
class Split:
    def start(self, event):
        if event.data == "bad":
            raise ValueError("no")
        yield from range(event.data)
"""


@pytest.fixture
def lines_of(start, tmp_path):
    """Start flow-work with options on events with that data: the process, and its lines."""
    (tmp_path / "mine.py").write_text(WORKERS)

    def begin(receiver, *options, data=(0, 1, 3), reads=True):
        process = start("flow-work", *options, "mine:Split", stdin=subprocess.PIPE)
        for number, each in enumerate(data, 1):
            event = Event("t", each, source="s", ackto=receiver.ackto(f"e.{number}"))
            process.stdin.write(event.encode())
        process.stdin.close()
        return (process, Lines(process.stdout)) if reads else process

    return begin


def test_flow_work_passes_the_duty_to_its_results(lines_of, tmp_path):
    with Receiver(tmp_path / "s") as receiver:
        process, lines = lines_of(receiver, "--relay")
        assert receiver.lines(1) == ["e.1 ack"]  # The event had no results.
        one, *three = [json.loads(lines.next())["ackto"] for _ in range(4)]
        assert one == receiver.ackto("e.2")
        assert len(set(three)) == 3
        settle(*three[:2])
        receiver.settimeout(0.2)
        with pytest.raises(TimeoutError):
            receiver.recv()
        receiver.settimeout(SECONDS)
        settle(three[2])
        assert receiver.lines(1) == ["e.3 ack"]
        assert process.wait(SECONDS) == 0
        receiver.until_gone()
        assert receiver.byes == 1


def test_flow_work_rejects_an_event_that_fails_here_or_downstream(lines_of, tmp_path):
    with Receiver(tmp_path / "s") as receiver:
        process, lines = lines_of(receiver, "--relay", data=("bad", 2))
        (first,) = receiver.lines(1)
        assert first.startswith('e.1 nack {"error":"ValueError: no')
        one, two = [json.loads(lines.next())["ackto"] for _ in range(2)]
        settle(one, two, refuse=[two])
        (second,) = receiver.lines(1)
        assert second.startswith('e.2 nack {"error":"not this one"')
        assert process.wait(SECONDS) == 1


def test_a_relay_with_a_closed_reader_sends_no_bye(lines_of, tmp_path):
    with Receiver(tmp_path / "s") as receiver:
        process = lines_of(receiver, "--relay", data=(2,), reads=False)
        process.stdout.readline()
        process.stdout.close()
        process.wait(SECONDS)
        assert (receiver.until_gone(), receiver.byes) == ([], 0)


def test_no_ack_acknowledges_nothing(lines_of, tmp_path):
    with Receiver(tmp_path / "s") as receiver:
        process, lines = lines_of(receiver, "--no-ack", data=(1, "bad"))
        assert "ackto" not in json.loads(lines.next())
        assert process.wait(SECONDS) == 1
        receiver.settimeout(0)
        with pytest.raises(TimeoutError):
            receiver.recv()
        assert (receiver.connections, receiver.byes) == ([], 0)


def test_a_malformed_ackto_is_one_warning_of_flow_work_with_relay(run, tmp_path):
    (tmp_path / "two.py").write_text("class Two:\n    def start(self, event): yield 1; yield 2\n")
    line = Event("t", 1, source="s", id="1", ackto="nonsense").encode()
    status, out, err = run("flow-work", "--relay", "two:Two", input=line)
    assert (status, out.count(b"\n"), err.count("\n")) == (0, 2, 1)
    assert "line 1: cannot acknowledge 'nonsense'" in err


@pytest.mark.parametrize("options", [("--pass", "--relay"), ("--no-ack", "--pass")])
def test_contradictory_options_are_refused(run, options):
    status, _, err = run("flow-work", *options, "mine:Split")
    assert (status, "leave out" in err or "exclude each other" in err) == (2, True)
