"""A listener on two servers: each a network namespace, with RabbitMQ behind the stand-in.

The active server is killed, frozen or cut off and brought back ten times, while 2,000 assets
change. Every last state must have been done; the number of duplicates and the duration of each
takeover are printed.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import threading
import time
from contextlib import suppress

import pytest

from flowtools.errors import FlowError
from flowtools.sim.settings import Plan
from flowtools.sim.standin import StandIn
from flowtools.vizone import Account, Client
from tests.brokers.conftest import missing
from tests.brokers.network import Network, NoNetwork
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.server import BrokerMissing, free_ports
from tests.brokers.servers import chosen
from tests.conftest import environment
from tests.running import until

CHANGES = 2000
ROUNDS = ("kill", "freeze", "cut", "kill", "freeze", "cut", "kill", "freeze", "cut", "kill")
HOME = "10.77.0.1"

WORKER = """
import json, os

class Note:
    def start(self, event):
        line = json.dumps([os.environ["SERVER"], event.subject, event.data["title"]]) + chr(10)
        fd = os.open("done", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, line.encode())
        os.close(fd)
"""


@pytest.fixture
def network():
    """A bridge with the address HOME, to which namespaces can be added."""
    if RabbitMQ.name not in chosen():
        pytest.skip(f"BROKERS does not name {RabbitMQ.name}")
    try:
        network = Network(HOME.rpartition(".")[0])
    except NoNetwork as error:
        missing(error)
    yield network
    network.close()


@pytest.fixture
def vizone(network, tmp_path):
    """A stand-in at HOME, with a RabbitMQ of its own behind it."""
    (port,) = free_ports(1)
    kind = type("Reachable", (RabbitMQ,), {"settings": f"stomp.listeners.tcp.2 = {HOME}:{port}\n"})
    try:
        broker = kind(tmp_path / "rabbitmq")
    except BrokerMissing as error:
        missing(error)
    try:
        broker.start()
        broker._ctl("add_user", "admin", "secret-of-admin")
        broker._ctl("set_permissions", "admin", ".*", ".*", ".*")
        plan = Plan(broker=(HOME, port))
        server = StandIn(plan, http=(HOME, 0), password="secret-of-admin")
        server.start()
        try:
            yield server
        finally:
            server.close()
    finally:
        broker.close()


class Server:
    """A server: the pipeline in a namespace of its own."""

    def __init__(self, number, network, vizone, folder):
        self.number = number
        self.space, _ = network.add(number)
        self._network, self._vizone, self._folder = network, vizone, folder
        self.process = None

    def start(self):
        line = (
            "flow-listen-assets --state store:s --standby n --ack worker --heart-beat 2,4"
            " | flow-work mine:Note -j 4"
        )
        env = environment(**self._vizone.environment(), SERVER=str(self.number))
        with (self._folder / f"said.{self.number}").open("ab") as said:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.space, "bash", "-o", "pipefail", "-c", line],
                env=env,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )

    def signal(self, signum):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signum)

    def end(self):
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self.process.wait()

    def hurt(self, how):
        if how == "cut":
            self._network.cut(self.space)
        else:
            self.signal(signal.SIGKILL if how == "kill" else signal.SIGSTOP)
            if how == "kill":
                self.process.wait()

    def bring_back(self, how):
        if how == "cut":
            self._network.join(self.space)
        elif how == "freeze":
            self.signal(signal.SIGCONT)
        else:
            self.start()


class Lease:
    """The holder of the lease, read from the store."""

    def __init__(self, vizone):
        self._client = Client(Account(vizone.url, vizone.user, vizone.password))
        self._store = self._client.store("flowtools")

    def close(self):
        self._client.close()

    def has_position(self):
        """Whether the first holder has stored its starting position."""
        return self._store.get("state.s") is not None

    def holder(self, servers):
        """The server whose listener holds the lease; None: no server."""
        try:
            value = self._store.get("lease.n") or {"holder": ""}
        except FlowError:
            return None
        pid = value["holder"].split(":")[1:2]
        for server in servers if pid else ():
            with suppress(ProcessLookupError):
                if os.getsid(int(pid[0])) == server.process.pid:
                    return server
        return None


class Changer:
    """Changes assets until it has done CHANGES and is told to end; knows each one's last state."""

    def __init__(self, catalogue, pause):
        self.last, self.count = {}, 0
        self._catalogue, self._pause = catalogue, pause
        self._dice = random.Random(23)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        numbers = []
        while self.count < CHANGES or not self._ending.is_set():
            title = f"state {self.count}"
            if not numbers or self._dice.random() < 0.7:
                asset = self._catalogue.create(title, status="online", media="video")
                numbers.append(asset.number)
            else:
                asset = self._catalogue.update(self._dice.choice(numbers), title=title)
            self.last[asset.urn] = title
            self.count += 1
            self._ending.wait(0.0 if self._ending.is_set() else self._pause)

    def end(self):
        self._ending.set()
        self._thread.join(120)


def done_in(folder):
    path = folder / "done"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("servers", [2, 3])
def test_the_last_state_of_every_asset_is_processed_whatever_happens_to_the_active_server(
    servers, network, vizone, tmp_path, show
):
    (tmp_path / "mine.py").write_text(WORKER)
    rounds = ROUNDS if servers == 2 else ROUNDS[:3]
    all_of_them = [Server(number, network, vizone, tmp_path) for number in range(2, 2 + servers)]
    lease, took = Lease(vizone), []
    changer = None
    try:
        for each in all_of_them:
            each.start()
        # The first run starts from now: earlier changes are not reported.
        until(lease.has_position)
        changer = Changer(vizone.catalogue, 25 * len(rounds) / CHANGES)
        for how in rounds:
            holder = until(lambda: lease.holder(all_of_them))
            time.sleep(random.uniform(2, 7))
            began = time.monotonic()
            holder.hurt(how)
            other = until(lambda h=holder: (found := lease.holder(all_of_them)) != h and found)
            took.append((how, time.monotonic() - began))
            time.sleep(2)
            holder.bring_back(how)
            assert other is not holder
        changer.end()
        wanted = set(changer.last.items())
        until(lambda: wanted <= {(urn, title) for _, urn, title in done_in(tmp_path)}, seconds=120)
    finally:
        if changer is not None:
            changer.end()
        for each in all_of_them:
            each.end()
        lease.close()
    done = done_in(tmp_path)
    distinct = {(urn, title) for _, urn, title in done}
    median = statistics.median(seconds for _, seconds in took)
    show(
        f"{servers} servers, {changer.count} changes of {len(changer.last)} assets, all done;\n"
        f"{len(done)} done in all, {len(done) - len(distinct)} of them a second time\n"
        f"takeover after: {', '.join(f'{how} {seconds:.1f} s' for how, seconds in took)}\n"
        f"median {median:.1f} s"
    )
    assert median < 20
