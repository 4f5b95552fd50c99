"""Each delivery of a message has the same event id, whatever caused the redelivery."""

import json

import pytest

from tests.brokers.tally import wait_for
from tests.running import SECONDS
from tests.stomp_servers import Lines


@pytest.fixture
def deliver(broker, queue, start):
    """Return the event that a listener writes for the queue's message; then kill the listener."""
    login = {"FLOW_USER": broker.user, "FLOW_PASSWORD": broker.password}

    def deliver():
        process = start("flow-listen-stomp", "--ack", "worker", broker.url(queue), env=login)
        event = json.loads(Lines(process.stdout).next())
        process.kill()
        process.wait(SECONDS)
        return event

    return deliver


def publish(broker, queue):
    with broker.connect() as wire:
        wire.publish(queue, [b"one \xc3\xa9"], kind="a:b\\c", **{"content-type": "text/plain"})


def reject(broker, queue):
    """Take the message and give it back, so that the broker counts an unsuccessful delivery."""
    with broker.connect() as wire:
        wire.subscribe(queue, ack="client-individual", **{broker.prefetch_header: "1"})
        headers, _ = wire.expect("MESSAGE")
        wire.write("NACK", {"id": headers["ack"], "requeue": "false", "receipt": "back"})
        wire.expect("RECEIPT", receipt_id="back")


def test_all_deliveries_of_a_message_have_the_same_event_id(broker, queue, deliver):
    publish(broker, queue)
    events = [deliver(), deliver()]
    # Another consumer takes it and disconnects in an orderly way.
    with broker.connect() as wire:
        wire.subscribe(queue, ack="client-individual", **{broker.prefetch_header: "1"})
        wire.expect("MESSAGE")
        wire.close()
    events.append(deliver())
    assert len({event["id"] for event in events}) == 1
    assert {event["data"]["body"] for event in events} == {"one \u00e9"}
    assert "redelivered" not in events[0]


def test_a_message_keeps_its_event_id_after_its_broker_was_killed(broker, queue, deliver):
    publish(broker, queue)
    first = deliver()
    broker.settle()
    broker.kill()
    broker.start()
    assert deliver()["id"] == first["id"]


def test_a_message_keeps_its_event_id_when_rabbitmq_retries_it_through_dead_letters(
    any_rabbitmq, queue, deliver
):
    broker = any_rabbitmq
    aside = broker.retry(queue, 0.2)
    with broker.connect() as wire:
        # Creates the queue: sending to a queue creates it, without a consumer.
        wire.publish(aside, [b"first"])
        wire.subscribe(queue)
        wire.expect("MESSAGE")
    publish(broker, queue)
    events = [deliver()]
    for _ in range(2):
        reject(broker, queue)
        wait_for(lambda: broker.depth(queue) == 1, 30, tend=lambda: None, what="it comes back")
        events.append(deliver())
    assert len({event["id"] for event in events}) == 1
    headers = [event["data"]["headers"] for event in events]
    assert ["x-first-death-reason" in each for each in headers] == [False, True, True]
    assert headers[0]["destination"] == headers[2]["destination"] == queue
