"""A three-node RabbitMQ cluster: nothing is lost, whatever dies, freezes or is cut off.

FLOWTOOLS_ROUNDS is the number of times that each kind of fault happens (default: once).
"""

import subprocess
import time

import orjson
import pytest

from tests.brokers.cluster import Cluster, Node
from tests.brokers.cluster_ordeal import NODE_KINDS, PROCESS_KINDS, ROUNDS, survive
from tests.brokers.conftest import missing
from tests.brokers.network import NoNetwork
from tests.brokers.server import BrokerMissing
from tests.brokers.servers import chosen
from tests.brokers.tally import wait_for
from tests.conftest import environment

TOTAL = 10_000

DOWN_SECONDS = 12
"""How long the only node of a classic queue is down."""


@pytest.fixture(scope="module")
def _cluster(tmp_path_factory):
    if Node.name not in chosen(everything=True):
        pytest.skip(f"BROKERS does not name {Node.name}")
    try:
        cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    except (BrokerMissing, NoNetwork) as error:
        missing(error)
    try:
        yield cluster.start()
    finally:
        cluster.close()


@pytest.fixture
def cluster(_cluster):
    """The cluster with all nodes up; nodes that a test takes away are brought back."""
    yield _cluster
    _cluster.heal()


@pytest.fixture
def send(tmp_path):
    """Start flow-send; its standard input is a pipe."""
    started = []

    def start(*words):
        with (tmp_path / "send.log").open("wb") as log:
            process = subprocess.Popen(
                ["flow-send", *words], env=environment(), stdin=subprocess.PIPE, stderr=log
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()


def feed(process, numbers, pause=0.0):
    """Give flow-send a line for each number."""
    for number in numbers:
        process.stdin.write(b'{"n": %d}\n' % number)
        process.stdin.flush()
        time.sleep(pause)


def ended(process, seconds=90):
    """Close flow-send's input and return its exit status."""
    process.stdin.close()
    return process.wait(seconds)


def numbers_in(node, queue, **headers):
    """Return the numbers of all messages in the queue."""
    held = node.depth(queue)
    with node.connect() as wire:
        wire.subscribe(queue, **headers)
        return [orjson.loads(wire.expect("MESSAGE")[1])["data"]["n"] for _ in range(held)]


@pytest.mark.timeout(400 + 400 * ROUNDS)
def test_every_event_is_processed_despite_faults_of_nodes_and_processes(
    cluster, queue, tmp_path, show
):
    kinds = [*NODE_KINDS, *PROCESS_KINDS]
    survive(cluster, queue, tmp_path, kinds, least=TOTAL, show=show)


@pytest.mark.timeout(240)
def test_flow_send_waits_for_the_home_node_of_a_classic_queue(cluster, queue, send, tmp_path):
    home, *others = cluster.nodes
    classic = {"x-queue-type": "classic"}
    with home.connect() as wire:
        wire.publish(queue, [b'{"data": {"n": -1}}'], **classic)
    cluster.hurt(home, "killed")
    process = send(cluster.url(queue, first=1, x_queue_type="classic"))
    down = time.monotonic()
    feed(process, range(50))
    log = tmp_path / "send.log"
    wait_for(
        # RabbitMQ 3 says NOT_FOUND "home node is down"; 4.3 closes the connection silently.
        lambda: log.read_text().count("lost the connection") >= 2,
        60,
        tend=lambda: None,
        what="flow-send is turned away by two nodes",
    )
    feed(process, range(50, 100), DOWN_SECONDS / 50)
    assert time.monotonic() - down >= DOWN_SECONDS
    assert process.poll() is None, log.read_text()
    cluster.heal()
    feed(process, range(100, 150))
    assert ended(process) == 0, log.read_text()
    assert set(numbers_in(others[0], queue, **classic)) == set(range(-1, 150))


@pytest.mark.timeout(240)
def test_flow_send_survives_the_closing_of_idle_connections(cluster, queue, send, tmp_path):
    process = send(cluster.url(queue))
    log = tmp_path / "send.log"
    for times in range(1, 4):
        feed(process, [times])
        wait_for(
            lambda: cluster.depth(queue) == times,  # noqa: B023
            60,
            tend=lambda: None,
            what="the message is there, and so flow-send is idle",
            every=0.5,
        )
        for node in cluster.nodes:
            node.ask("close_all_connections", "--vhost", "/", "maintenance")
        wait_for(
            lambda: log.read_text().count("lost the connection") >= times,  # noqa: B023
            60,
            tend=lambda: None,
            what="flow-send has noticed",
        )
    feed(process, [4])
    assert ended(process) == 0, log.read_text()
    assert sorted(set(numbers_in(cluster.nodes[0], queue))) == [1, 2, 3, 4]


@pytest.mark.timeout(300)
def test_flow_send_survives_a_restart_of_the_whole_cluster(cluster, queue, send, tmp_path):
    process = send(cluster.url(queue))
    log = tmp_path / "send.log"
    feed(process, range(100))
    for node in cluster.nodes:
        cluster.hurt(node, "killed")
    feed(process, range(100, 150))
    for node in cluster.nodes:
        node.launch()
    # Lines keep coming while the nodes start, answer, and do not have the queue yet.
    feed(process, range(150, 350), 0.05)
    cluster.away.clear()
    for node in cluster.nodes:
        node.wait_until_up()
    feed(process, range(350, 400))
    assert ended(process) == 0, log.read_text()
    cluster.wait_until_whole(queue)
    assert set(numbers_in(cluster.nodes[0], queue)) == set(range(400))
