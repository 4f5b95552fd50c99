"""Acknowledgement through a pipe: the sending side, the receiving side, flow-ack."""

import socket
import time

import pytest

from flowtools.ack import MAX_DATAGRAM, AckError, AckSender


@pytest.fixture
def receiver(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inlet:
        inlet.bind(str(tmp_path / "s"))
        inlet.settimeout(30)
        yield inlet


@pytest.fixture
def sender():
    one = AckSender()
    yield one
    one.close(0)


def ackto(receiver, token):
    return f"unix:{receiver.getsockname()}#{token}"


def take_lines(receiver, number):
    lines = []
    while len(lines) < number:
        datagram = receiver.recv(65536)
        assert len(datagram) <= MAX_DATAGRAM
        lines += datagram.decode().splitlines()
    return lines


def test_an_acknowledgement_and_a_refusal_arrive_as_lines(receiver, sender):
    sender.ack(ackto(receiver, "e1.7"))
    sender.nack(ackto(receiver, "e1.8"))
    assert take_lines(receiver, 2) == ["e1.7 ack", "e1.8 nack"]


def test_an_acknowledgement_that_comes_while_the_thread_sleeps_is_sent(receiver, sender):
    for number in range(50):
        sender.ack(ackto(receiver, f"e.{number}"))
        assert take_lines(receiver, 1) == [f"e.{number} ack"]


def test_many_acknowledgements_share_datagrams_and_keep_their_order(receiver, sender):
    for number in range(5000):
        sender.ack(ackto(receiver, f"e.{number}"))
    assert take_lines(receiver, 5000) == [f"e.{number} ack" for number in range(5000)]


def test_a_frozen_source_holds_up_nobody_and_gets_everything_later(receiver, sender, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(tmp_path / "other"))
        other.settimeout(30)
        for number in range(20000):  # more than the queue of a socket takes
            sender.ack(ackto(receiver, f"e.{number}"))
        sender.ack(ackto(other, "o.1"))
        assert take_lines(other, 1) == ["o.1 ack"]
    assert take_lines(receiver, 20000) == [f"e.{number} ack" for number in range(20000)]


def test_close_sends_what_is_left(receiver):
    sender = AckSender()
    for number in range(300):
        sender.ack(ackto(receiver, f"e.{number}"))
    sender.close(30)
    receiver.setblocking(False)
    assert len(take_lines(receiver, 300)) == 300


def test_close_gives_up_on_a_frozen_source_when_its_time_is_up(receiver, caplog):
    sender = AckSender()
    for number in range(20000):
        sender.ack(ackto(receiver, f"e.{number}"))
    sender.close(0.2)
    assert sender.lost > 0
    assert f"gave up on {sender.lost} acknowledgements" in caplog.text


def test_close_before_the_first_acknowledgement_has_nothing_to_do():
    started = time.monotonic()
    AckSender().close(60)
    assert time.monotonic() - started < 30


def test_an_acknowledgement_to_a_source_that_is_gone_is_counted_with_one_warning(tmp_path, caplog):
    sender = AckSender()
    for number in range(10):
        sender.ack(f"unix:{tmp_path}/gone#e.{number}")
    sender.close(30)
    assert sender.lost == 10
    assert caplog.text.count("deliver those events again") == 1


def test_a_source_that_ends_while_it_is_frozen_is_given_up(receiver, caplog):
    sender = AckSender()
    for number in range(20000):
        sender.ack(ackto(receiver, f"e.{number}"))
    receiver.recv(65536)  # the thread is at work
    receiver.close()
    sender.close(60)
    assert sender.lost > 0
    assert "deliver those events again" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    ["", "unix:", "unix:rel#e.1", "unix:/x", "unix:/x#e", "unix:/x#e.1\n", "http:/x#e.1", 7],
)
def test_a_malformed_ackto_is_an_error_of_that_event(sender, wrong):
    with pytest.raises(AckError, match=r"unix:PATH#EPOCH\.N"):
        sender.ack(wrong)
