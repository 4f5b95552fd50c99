"""Full and deleted queues: nothing is lost, and once there is room everything continues."""

import json
import subprocess
import time
from contextlib import contextmanager

import pytest

from flowtools.ack.sender import AckSender
from tests.brokers.tally import wait_for
from tests.running import SECONDS
from tests.stomp_servers import Lines


@pytest.fixture
def login(any_rabbitmq):
    return {"FLOW_USER": any_rabbitmq.user, "FLOW_PASSWORD": any_rabbitmq.password}


def filled(broker, queue, most):
    """Limit `queue` to `most` messages, rejecting others, and fill it."""
    if broker.tells:
        pytest.skip("a quorum queue takes some messages more than its limit")
    broker.limit(queue, most)
    with broker.connect() as wire:
        wire.publish(queue, [b"old"] * most)


@contextmanager
def unable_to_move(start, broker, queue, login):
    """Reject the message in `queue` while its dead letter cannot be moved, and process another.

    The block makes the move possible; after it the listener moves the message.
    """
    process = start("flow-listen-stomp", "--ack", "worker", broker.url(queue), env=login)
    lines, said = Lines(process.stdout), Lines(process.stderr)
    sender = AckSender()
    sender.nack(json.loads(lines.next())["ackto"])
    said.until(f"cannot move a rejected message to '{queue}.failed'".encode())
    # Other messages continue in the meantime.
    with broker.connect() as wire:
        wire.publish(queue, [b"good"])
    sender.ack(json.loads(lines.next())["ackto"])
    yield
    # The pause between two attempts may have grown to a minute while the broker was changed.
    said.until(b"takes messages again", 120)
    sender.close(SECONDS)
    process.terminate()
    process.wait(SECONDS)


def test_a_message_stays_in_its_queue_while_the_dead_letter_queue_is_full(
    any_rabbitmq, queue, login, start
):
    dead_letter = f"{queue}.failed"
    filled(any_rabbitmq, dead_letter, 1)
    with any_rabbitmq.connect() as wire:
        wire.publish(queue, [b"bad"])
    with unable_to_move(start, any_rabbitmq, queue, login):
        any_rabbitmq.limit(dead_letter, 2)
    assert (any_rabbitmq.depth(queue), any_rabbitmq.depth(dead_letter)) == (0, 2)


def test_a_message_stays_in_its_queue_if_the_dead_letter_queue_has_other_arguments(
    any_rabbitmq, queue, login, start
):
    dead_letter = f"{queue}.failed"
    with any_rabbitmq.connect() as wire:
        # A queue with an argument that the listener's does not have: PRECONDITION_FAILED.
        wire.publish(dead_letter, [b"old"], **{"x-max-length": "5"})
        wire.publish(queue, [b"bad"])
    with unable_to_move(start, any_rabbitmq, queue, login):
        any_rabbitmq.delete(dead_letter)
    assert (any_rabbitmq.depth(queue), any_rabbitmq.depth(dead_letter)) == (0, 1)


def test_a_deleted_dead_letter_queue_is_created_again(any_rabbitmq, queue, login, start):
    dead_letter = f"{queue}.failed"
    with any_rabbitmq.connect() as wire:
        wire.publish(queue, [b"1", b"2", b"3"])
    process = start("flow-listen-stomp", "--ack", "worker", any_rabbitmq.url(queue), env=login)
    lines = Lines(process.stdout)
    sender = AckSender()
    for _ in range(3):
        sender.nack(json.loads(lines.next())["ackto"])
        wait_for(lambda: any_rabbitmq.depth(dead_letter) == 1, 30, tend=lambda: None, what="it")
        any_rabbitmq.delete(dead_letter)
    sender.close(SECONDS)
    process.terminate()
    process.wait(SECONDS)
    assert any_rabbitmq.depth(queue) == 0


@pytest.mark.timeout(400)
def test_messages_for_a_full_queue_wait_until_there_is_room(any_rabbitmq, queue, login, start):
    filled(any_rabbitmq, queue, 4)
    process = start("flow-send", "--raw", any_rabbitmq.url(queue), env=login, stdin=subprocess.PIPE)
    said = Lines(process.stderr)
    process.stdin.write(b"1\n2\n3\n4\n5\n")
    process.stdin.close()
    for _ in range(2):
        said.until(b"lost the connection")
    deadline = time.monotonic() + 8 * SECONDS  # A purge takes seconds on a busy machine.
    while process.poll() is None:
        # There is never room for all: if all were sent again each time, it would never end.
        any_rabbitmq.purge(queue)
        assert time.monotonic() < deadline, "it does not get on"
    assert process.returncode == 0
