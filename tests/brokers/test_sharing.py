"""flow-doctor reports the queues of a real RabbitMQ and changes nothing there."""

import subprocess

import pytest

from tests.conftest import environment
from tests.test_doctor import findings


@pytest.fixture
def doctor(broker):
    """The findings of flow-doctor about a queue: verdict, text and hint, by name of the check."""
    if broker.family != "rabbitmq":
        pytest.skip(f"{broker.name} does not tell what a queue is")

    def visit(queue):
        command = ["flow-doctor", broker.url(queue)]
        done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, timeout=120)
        return findings(done.stdout)

    return visit


def test_a_missing_queue_is_reported_and_not_created(broker, queue, doctor):
    found = doctor(queue)
    text = f"'{queue}' does not exist yet: the first command that uses it creates it"
    assert found["queue"][:2] == ["hint", text]
    assert found["dead letters"][0] == "hint"
    assert broker.depth(queue) == 0
    names = broker._ctl("list_queues", "name").split()
    assert queue.removeprefix("/queue/") not in names


@pytest.mark.parametrize(
    ("kind", "verdict", "said"),
    [("quorum", "ok", "is a quorum queue"), ("classic", "hint", "is a classic queue")],
)
def test_the_type_of_a_queue_is_reported_and_its_messages_stay(
    broker, queue, doctor, kind, verdict, said
):
    with broker.connect() as wire:
        for name in (queue, f"{queue}.failed"):
            wire.publish(name, [b"a", b"b"], **{"x-queue-type": kind})
    found = doctor(queue)
    for check in ("queue", "dead letters"):
        assert found[check][0] == verdict
        assert said in found[check][1]
    assert broker.depth(queue) == 2
    with broker.connect() as wire:
        wire.subscribe(queue, **{"x-queue-type": kind})
        assert wire.expect("MESSAGE")[0]["redelivered"] == "false"
