"""A message that kills its Worker costs no other message."""

import json
import subprocess
import textwrap

import pytest

from tests.conftest import environment
from tests.stomp_servers import SECONDS, Lines

TOTAL = 300
POISON = (0, 50, 99, 150, 200, 298)
"""Messages on which the Worker kills its own process, each time."""

DELIVERIES = 10
"""The default of --max-deliveries."""

WORKER = """
    import os, signal
    class Deadly:
        def start(self, event):
            number = event["body"]["n"]
            if number in %r:
                with open("deaths", "a") as deaths:
                    deaths.write(f"{number}\\n")
                os.kill(os.getpid(), signal.SIGKILL)
            with open("done", "a") as done:
                done.write(f"{number}\\n")
"""


def numbers(file):
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def dead_letters(broker, *queues):
    """Take the messages that killed the Worker from these queues; return headers and body."""
    with broker.connect() as wire:
        for number, queue in enumerate(queues):
            # Without a receipt, since the receipt could come after the first messages.
            wire.write("SUBSCRIBE", {"id": str(number), "destination": queue, "ack": "auto"})
        return [wire.expect("MESSAGE") for _ in POISON]


STOPS = 12
"""More than --max-deliveries, and more than Artemis allows."""


def test_stopping_the_listener_is_no_unsuccessful_delivery(broker, queue, start):
    if not (broker.tells or broker.own_dead_letters):
        pytest.skip(f"{broker.name} delivers a message as often as it takes")
    with broker.connect() as wire:
        wire.publish(queue, [b"1", b"2", b"3"])
    login = {"FLOW_USER": broker.user, "FLOW_PASSWORD": broker.password}
    command = ("flow-listen-stomp", "--ack", "worker", "--drain", "0", broker.url(queue))
    for _ in range(STOPS):
        process = start(*command, env=login)
        lines = Lines(process.stdout)
        events = [json.loads(lines.next()) for _ in range(3)]
        process.terminate()
        process.wait(SECONDS)
    assert [event["data"]["body"] for event in events] == ["1", "2", "3"]
    assert not any("x-delivery-count" in event["data"]["headers"] for event in events)
    assert (broker.depth(queue), broker.depth(f"{queue}.failed")) == (3, 0)


@pytest.mark.timeout(1200)
def test_a_message_that_kills_its_worker_costs_no_other_message(broker, queue, tmp_path):
    if not (broker.tells or broker.own_dead_letters):
        pytest.skip(f"{broker.name} delivers a message as often as it takes")
    (tmp_path / "deadly.py").write_text(textwrap.dedent(WORKER % (POISON,)))
    with broker.connect() as wire:
        bodies = [json.dumps({"n": n}).encode() for n in range(TOTAL)]
        wire.publish(queue, bodies, **{"content-type": "application/json"})
    listen = f"flow-listen-stomp --ack worker --prefetch 256 --idle 3 '{broker.url(queue)}'"
    line = f"{listen} | flow-work deadly:Deadly"
    env = environment(FLOW_USER=broker.user, FLOW_PASSWORD=broker.password)
    # Artemis does not count each death: it took up to 16 until it moved a message.
    for _ in range(120):
        subprocess.run(["sh", "-c", line], cwd=tmp_path, env=env, timeout=120, capture_output=True)
        if broker.depth(queue) == 0:
            break
    deaths = numbers(tmp_path / "deaths")
    assert sorted(set(numbers(tmp_path / "done"))) == sorted(set(range(TOTAL)) - set(POISON))
    assert len(deaths) >= 40
    queues = [f"{queue}.failed", *filter(None, [broker.own_dead_letters])]
    letters = dead_letters(broker, *queues)
    assert sorted(json.loads(body)["n"] for _, body in letters) == sorted(POISON)
    if broker.tells:
        assert max(deaths.count(n) for n in POISON) <= DELIVERIES
        reasons = {headers["flow-error"] for headers, _ in letters}
        assert reasons == {f"delivered {DELIVERIES} times without being settled"}
