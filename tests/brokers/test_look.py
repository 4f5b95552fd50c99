"""Browsing takes no message, keeps the order, and on some brokers does not count as a delivery."""

import json
import subprocess

import pytest

from tests.conftest import environment

TOTAL = 500
LOOKS = 22
"""More unsuccessful deliveries than RabbitMQ 4 (20) and Artemis (10) allow for a message."""


@pytest.fixture
def shell(broker, tmp_path):
    """Run a line in a shell that has the broker's login; return the completed process."""

    def run_line(line):
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=tmp_path,
            env=environment(FLOW_USER=broker.user, FLOW_PASSWORD=broker.password),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run_line


@pytest.fixture
def filled(broker, queue):
    """A queue of dead letters, with their numbers as bodies."""
    with broker.connect() as wire:
        for number in range(TOTAL):
            why = {"flow-error": f"LookupError: asset {number} not found"}
            if number % 100 == 7:
                why = {"flow-error": "OSError: HTTP 503"}
            wire.publish(
                queue,
                [json.dumps({"n": number}).encode()],
                **{"content-type": "application/json", "flow-attempts": "3"},
                **why,
            )
    return queue


def patiently(shell, line, is_whole):
    """Run `line` with a longer --idle while a busy broker pauses in the middle of its queue.

    RabbitMQ and Artemis do not tell the end of a queue, so a pause of --idle counts as the end.
    """
    for seconds in (1, 5, 20):
        done = shell(line.format(idle=f"--idle {seconds}"))
        if is_whole(done):
            break
    return done


def events(out):
    return [json.loads(line) for line in out.splitlines()]


def numbers(out):
    return [each["data"]["body"]["n"] for each in events(out)]


@pytest.mark.timeout(900)
def test_browsing_repeatedly_takes_nothing_from_the_queue(broker, filled, shell):
    url, ids = broker.url(filled), None
    for _ in range(LOOKS):
        done = patiently(
            shell,
            f"flow-listen-stomp --browse {{idle}} '{url}'",
            lambda done: len(numbers(done.stdout)) == TOTAL,
        )
        assert (done.returncode, numbers(done.stdout)) == (0, list(range(TOTAL))), done.stderr
        found = [each["id"] for each in events(done.stdout)]
        assert ids in (None, found)
        ids = found
    assert broker.depth(filled) == TOTAL
    last = events(done.stdout)
    if broker.name == "rabbitmq4-quorum":
        counts = {each["data"]["headers"].get("x-delivery-count") for each in last}
        assert counts == {None}
    if broker.family in ("artemis", "activemq"):
        assert not any(each.get("redelivered") for each in last)


def test_browsing_recognises_an_empty_queue(broker, queue, shell):
    with broker.connect() as wire:
        wire.publish(queue, [b"a"])
        wire.subscribe(queue, ack="client-individual")
        headers, _ = wire.expect("MESSAGE")
        wire.write("ACK", {"id": headers["ack"], "receipt": "done"})
        wire.expect("RECEIPT")
        wire.write("DISCONNECT", {"receipt": "bye"})
        wire.expect("RECEIPT")
    done = shell(f"flow-listen-stomp --browse '{broker.url(queue)}'")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    table = shell(f"flow-failed '{broker.url(queue)}'")
    assert (table.returncode, table.stdout) == (0, "no failed events\n"), table.stderr


@pytest.mark.timeout(900)
def test_a_dead_letter_queue_is_counted_replayed_and_dropped(broker, filled, shell):
    url = broker.url(filled)
    # Longer than a broker pauses on a busy machine.
    patient = "--idle 5"
    table = shell(f"flow-failed {patient} --json '{url}'")
    assert [(each["count"], each["error"]) for each in events(table.stdout)] == [
        (TOTAL - TOTAL // 100, "LookupError: asset N not found"),
        (TOTAL // 100, "OSError: HTTP 503"),
    ], table.stderr
    some = list(range(7, TOTAL, 100))
    replay = f"flow-failed {patient} --replay --error 'HTTP 503' '{url}' | tee copy | flow-ack"
    done = shell(f"{replay} && cat copy")
    assert (done.returncode, numbers(done.stdout)) == (0, some), done.stderr
    left = [number for number in range(TOTAL) if number not in some]
    looked = shell(f"flow-failed {patient} --list --json '{url}'")
    assert numbers(looked.stdout) == left, looked.stderr
    refused = shell(f"flow-failed {patient} --replay --limit 3 '{url}' | flow-ack --nack")
    assert refused.returncode == 1, refused.stderr
    assert "3 events were rejected" in refused.stderr
    dropped = shell(f"flow-failed {patient} --drop --yes --limit 90 '{url}'")
    assert dropped.returncode == 0, dropped.stderr
    looked = shell(f"flow-listen-stomp --browse {patient} '{url}'")
    assert numbers(looked.stdout) == left[90:], looked.stderr
    assert broker.depth(filled) == len(left) - 90


@pytest.mark.timeout(900)
def test_many_replays_do_not_use_up_the_deliveries_of_the_remaining_messages(broker, filled, shell):
    """Each replay holds the whole queue and removes one message."""
    url = broker.url(filled)
    for number in range(LOOKS):
        done = patiently(
            shell,
            f"flow-failed --replay {{idle}} --error 'asset 4{number:02} ' '{url}'"
            " | tee copy | flow-ack && cat copy",
            lambda done, wanted=number != 7: len(numbers(done.stdout)) == wanted,
        )
        assert done.returncode == 0, done.stderr
    left = [n for n in range(TOTAL) if not (400 <= n < 400 + LOOKS and n != 407)]
    looked = shell(f"flow-listen-stomp --browse --idle 5 '{url}'")
    assert numbers(looked.stdout) == left, looked.stderr
    if broker.name == "rabbitmq4-quorum":
        counts = [e["data"]["headers"].get("x-delivery-count") for e in events(looked.stdout)]
        assert counts.count(None) == len(left)


@pytest.mark.timeout(900)
def test_the_table_says_why_the_broker_moved_messages_itself(broker, queue, shell):
    """RabbitMQ 4 states the queue and the reason; the other brokers do not, over STOMP."""
    if broker.name != "rabbitmq4-quorum":
        pytest.skip("only a quorum queue has a limit of deliveries")
    dead = f"{queue}.dead"
    more = {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead.removeprefix("/queue/"),
        "x-queue-type": "quorum",
    }
    with broker.connect() as wire:
        wire.subscribe(dead)
    with broker.connect() as wire:
        wire.publish(queue, [b"a"], **more)
        wire.subscribe(queue, ack="client-individual", **more)
        headers, _ = wire.expect("MESSAGE")
        wire.write("NACK", {"id": headers["ack"], "requeue": "false"})
        wire.write("DISCONNECT", {"receipt": "bye"})
        wire.expect("RECEIPT")
    table = shell(f"flow-failed --json '{broker.url(dead)}'")
    (group,) = events(table.stdout)
    assert group["example"] == f"moved by RabbitMQ from queue '{queue[7:]}': rejected"
