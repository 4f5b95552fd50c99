"""Behaviour of real brokers: ids, redelivery, durable topics, TLS, refusals, transactions."""

import json
import signal
import subprocess

import pytest

from flowtools.ack.sender import AckSender
from tests.brokers.server import READER
from tests.running import SECONDS, until
from tests.stomp_servers import Lines


@pytest.fixture
def login(broker):
    return {"FLOW_USER": broker.user, "FLOW_PASSWORD": broker.password}


@pytest.fixture
def publish(broker):
    def send(destination, *bodies, **headers):
        with broker.connect() as wire:
            wire.publish(destination, bodies, **headers)

    return send


def events(out):
    return [json.loads(line) for line in out.splitlines()]


def test_an_id_is_the_same_when_the_message_is_delivered_again(
    broker, queue, login, start, run, publish
):
    publish(queue, b"one", kind="a:b\\c")
    url = broker.url(queue)
    process = start("flow-listen-stomp", "--ack", "worker", url, env=login)
    first = json.loads(Lines(process.stdout).next())
    process.kill()
    process.wait()
    _, out, _ = run("flow-listen-stomp", "--count", 1, url, env=login)
    (again,) = events(out)
    assert again["id"] == first["id"]
    assert again["data"]["headers"]["kind"] == "a:b\\c"
    assert again["data"]["body"] == "one"
    assert "redelivered" not in first


def test_a_rejected_message_is_moved_and_an_acknowledged_one_is_removed(
    broker, queue, login, start, run, publish
):
    publish(queue, b"good", b"bad\0", b"good")
    url = broker.url(queue)
    process = start("flow-listen-stomp", "--ack", "worker", "--count", 3, url, env=login)
    lines = Lines(process.stdout)
    sender = AckSender()
    for _ in range(3):
        event = json.loads(lines.next())
        (sender.ack if event["data"]["body"] == "good" else sender.nack)(event["ackto"])
    sender.close(SECONDS)
    assert process.wait(SECONDS) == 0
    _, out, _ = run("flow-listen-stomp", "--count", 1, broker.url(f"{queue}.failed"), env=login)
    (moved,) = events(out)
    assert moved["data"]["body"] == "bad\0"
    assert moved["data"]["headers"]["flow-refused-from"] == queue
    until(lambda: broker.depth(queue) == 0)


@pytest.fixture
def forbidden(broker, queue):
    """A user, a destination that is refused to it, and the broker's message."""
    if broker.family == "artemis":
        pytest.skip("everybody may write everywhere there")
    return {
        "rabbitmq": (broker.user, "/nonsense", b"Unknown destination"),
        "activemq": (READER, f"{queue}.failed", b"not authorized to write"),
    }[broker.family]


def test_a_message_stays_in_its_queue_if_the_broker_refuses_the_dead_letter(
    broker, queue, login, start, publish, forbidden
):
    user, dead_letter, said = forbidden
    publish(queue, b"bad")
    process = start(
        *("flow-listen-stomp", "--ack", "worker", "--user", user, "--dead-letter", dead_letter),
        broker.url(queue),
        env=login,
    )
    lines, messages = Lines(process.stdout), Lines(process.stderr)
    sender = AckSender()
    sender.nack(json.loads(lines.next())["ackto"])
    text = messages.until(b"cannot move a rejected message")
    assert said in text
    assert f"to '{dead_letter}' (see --dead-letter)".encode() in text
    sender.close(SECONDS)
    process.kill()
    process.wait()
    assert broker.depth(queue) == 1


@pytest.mark.parametrize("ack", ["pipe", "worker"])
def test_idle_empties_the_queue_and_then_ends(broker, queue, login, shell, publish, ack):
    publish(queue, *(b"%d" % n for n in range(1000)))
    line = f"flow-listen-stomp --ack {ack} --idle 2 '{broker.url(queue)}' | flow-ack"
    line = line if ack == "worker" else line.partition(" |")[0]
    shown = b""
    # A broker on a busy machine may pause for longer than --idle; the next run takes the rest.
    for _ in range(5):
        status, out, err = shell(line, **login)
        assert (status, err) == (0, "")
        shown += out
        if broker.depth(queue) == 0:
            break
    assert len(shown.splitlines()) == (1000 if ack == "pipe" else 0)
    until(lambda: broker.depth(queue) == 0)


def test_a_durable_subscription_keeps_messages_while_nobody_listens(
    broker, topic, name, login, start, publish
):
    arguments = ["--durable", name, broker.url(topic)]
    process = start("flow-listen-stomp", *arguments, env=login)
    lines = Lines(process.stdout)
    attempts = iter(range(10000))

    def heard():
        publish(topic, b"are you there? %d" % next(attempts))
        return not lines._lines.empty()

    until(heard)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    publish(topic, b"kept")
    again = Lines(start("flow-listen-stomp", *arguments, env=login).stdout)
    assert b'"kept"' in again.until(b"kept")


def test_events_pass_through_tls_and_the_broker_unchanged(broker, queue, login, run):
    line = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":"\xc3\xa9:\\n"}}\n'
    url = broker.url(queue, tls=True)
    ca = ["--ca-file", broker.ca_file]
    assert run("flow-send", *ca, url, input=line * 50, env=login) == (0, b"", "")
    assert run("flow-listen-stomp", *ca, "--count", 50, url, env=login) == (0, line * 50, "")
    status, _, err = run("flow-listen-stomp", url, env=login)
    assert status == 77
    assert "signed by an unknown authority" in err


def test_a_wrong_password_is_refused_at_once(broker, queue, run):
    if not broker.checks_logins:
        pytest.skip(f"{broker.name} takes a wrong password for none")
    login = {"FLOW_USER": "guest", "FLOW_PASSWORD": "wrong"}
    status, _, err = run("flow-listen-stomp", broker.url(queue), env=login)
    assert (status, err.count("\n")) == (77, 1)
    assert "refuses the login" in err


def test_listener_and_sender_reconnect_to_a_killed_broker(broker, queue, login, start):
    url = broker.url(queue)
    listener = start("flow-listen-stomp", url, env=login)
    sender = start("flow-send", url, env=login, stdin=subprocess.PIPE)
    lines = Lines(listener.stdout)
    sender.stdin.write(b"1\n")
    sender.stdin.flush()
    assert json.loads(lines.next())["data"] == 1
    broker.kill()
    sender.stdin.write(b"2\n")
    sender.stdin.flush()
    broker.start()
    assert b'"data":2' in lines.until(b'"data":2')


def test_a_frozen_broker_is_given_up_after_its_heart_beats(broker, queue, login, start):
    url = broker.url(queue)
    listener = start("flow-listen-stomp", "--heart-beat", "1,1", url, env=login)
    with broker.connect() as wire:
        wire.publish(queue, [b"1"])
    Lines(listener.stdout).next()
    broker.freeze()
    assert b"no heart-beat from the broker" in Lines(listener.stderr).next()
