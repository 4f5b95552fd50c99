"""A cluster of three RabbitMQ nodes, each as on a machine of its own.

A node has a network namespace with an address, a host name, an epmd and its own folder, so it
can be killed, frozen, or cut off from the other nodes and from its clients alike. They run the
newest RabbitMQ of Debian (rabbitmq.RabbitMQ4) from one chroot. One Erlang scheduler each: three
brokers, the clients and the tests share what is often a machine of two cores.
"""

import contextlib
import re
import subprocess
import time
from urllib.parse import quote, urlencode

from tests.brokers.network import Network
from tests.brokers.rabbitmq import RabbitMQQuorum

NODES = 3
STOMP_PORT = 61613
_EPMD_PORT = 4369

TICK_SECONDS = 10
"""Seconds until a silent node counts as down (RabbitMQ's own default: 60).

Until then messages sent to it as a queue's leader are not sent to the new leader.
"""

WHOLE_SECONDS = 120
"""Seconds that a returned node may take until each of its queues has caught up."""

_LEADER = """{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"NAME">>)),
  {ok, _, {_, Leader}} = ra:members(amqqueue:get_pid(Q)), Leader."""

_IS_WHOLE = """{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"NAME">>)),
  {Name, _} = amqqueue:get_pid(Q),
  Metrics = [ra:key_metrics({Name, N}, 2000) || N <- rabbit_nodes:list_running()],
  States = lists:sort([maps:get(state, M) || M <- Metrics]),
  Last = [maps:get(last_applied, M) || M <- Metrics],
  States == [follower, follower, leader] andalso lists:max(Last) - lists:min(Last) < 1000."""
"""Erlang: whether the queue has a leader and two followers that keep up with it."""


class Node(RabbitMQQuorum):
    """One node; see the module. It is not a broker for the matrix by itself."""

    name = "rabbitmq4-cluster"

    def __init__(self, folder, number, network):
        """Prepare node `number` (from 1) in `network`; nothing is started."""
        self._network = network
        self.space, self.host = network.add(10 + number)
        self._hostname = f"mq{number}"
        nodes = "".join(
            f"cluster_formation.classic_config.nodes.{each} = rabbit@mq{each}\n"
            for each in range(1, NODES + 1)
        )
        self.settings = (
            f"{RabbitMQQuorum.settings}net_ticktime = {TICK_SECONDS}\n"
            f"stomp.listeners.tcp.2 = {self.host}:{STOMP_PORT}\n"
            "cluster_formation.peer_discovery_backend = classic_config\n"
            f"{nodes}"
        )
        folder.mkdir(parents=True)
        (folder / ".erlang.cookie").write_text("ONEFORALLTHREEOFTHEM")
        super().__init__(folder)
        self.port = STOMP_PORT
        self._epmd_port = _EPMD_PORT
        self._node = f"rabbit@{self._hostname}"
        (self.folder / "hosts").write_text(
            "127.0.0.1 localhost\n"
            + "".join(f"{network.address(10 + each)} mq{each}\n" for each in range(1, NODES + 1))
        )

    def cut(self):
        """Cut it off from the other nodes and its clients, without closing any connection."""
        self._network.cut(self.space)

    def join(self):
        """Connect it again."""
        self._network.join(self.space)

    def ask(self, *words):
        """Run rabbitmqctl on it and return what it says.

        Raises:
            subprocess.SubprocessError: It failed, or the node does not answer within a minute.
        """
        return self._ctl(*words)

    def _environment(self):
        environment = super()._environment()
        del environment["ERL_EPMD_ADDRESS"]
        return environment | {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1"}

    def _inside(self, command):
        """Return the command as it runs on this node's machine, in the chroot."""
        machine = (
            f"hostname {self._hostname} && mount --bind {self.folder}/hosts {self.root}/etc/hosts"
            ' && exec "$@"'
        )
        unshare = ["unshare", "--uts", "--mount", "--propagation", "private"]
        space = ["ip", "netns", "exec", self.space]
        return [*space, *unshare, "sh", "-c", machine, "sh", *super()._inside(command)]


class Cluster:
    """Three nodes.

    Attributes:
        nodes: Each Node, in the order of their names.
        away: The nodes that a test has killed, frozen or cut off, and how.
        about: A short description of the broker.
    """

    about = f"RabbitMQ 4, {NODES} nodes, net_ticktime {TICK_SECONDS}, quorum queue"

    def __init__(self, folder):
        """Prepare in `folder`; nothing is started.

        Raises:
            BrokerMissing: RabbitMQ 4 is not installed.
            NoNetwork: No namespaces can be made here.
        """
        self._network = Network()
        self.away = {}
        try:
            numbers = range(1, NODES + 1)
            self.nodes = [Node(folder / f"mq{each}", each, self._network) for each in numbers]
        except BaseException:
            self._network.close()
            raise

    def start(self):
        """Start all nodes at once; return once each of them answers."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_until_up()
        self.nodes[0].ask("await_online_nodes", str(NODES))
        return self

    def close(self):
        """End all nodes."""
        for node in self.nodes:
            node.close()
        self._network.close()

    def url(self, destination, *, first=0, **query):
        """Return the URL with all hosts, beginning with that of node `first` (from 0)."""
        hosts = [f"{node.host}:{node.port}" for node in self.nodes]
        hosts = hosts[first:] + hosts[:first]
        parts = {"destination": destination, "vhost": "/"}
        parts |= {name.replace("_", "-"): str(text) for name, text in query.items()}
        return f"stomp://{','.join(hosts)}/?{urlencode(parts, quote_via=quote, safe='/')}"

    def leader(self, destination):
        """Return the node that leads the quorum queue; waits while it is being elected.

        Raises:
            subprocess.CalledProcessError: It has no leader for longer than WHOLE_SECONDS.
        """
        name = destination.rsplit("/", 1)[1]
        deadline = time.monotonic() + WHOLE_SECONDS
        while True:
            try:
                said = self._well.ask("eval", _LEADER.replace("NAME", name))
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return self.nodes[int(re.search(r"rabbit@mq(\d)", said)[1]) - 1]

    def hurt(self, node, how):
        """Take a node away: "killed", "frozen" or "cut off"."""
        self.away[node] = how
        {"killed": node.kill, "frozen": node.freeze, "cut off": node.cut}[how]()

    def heal(self):
        """Bring back the nodes that are away, and wait until each answers."""
        for node, how in self.away.items():
            {"killed": node.launch, "frozen": node.thaw, "cut off": node.join}[how]()
        for node in self.away:
            node.wait_until_up()
        self.away.clear()

    def is_whole(self, destination):
        """Whether all members of the quorum queue run and have caught up with the leader."""
        name = destination.rsplit("/", 1)[1]
        with contextlib.suppress(Exception):
            return self._well.ask("eval", _IS_WHOLE.replace("NAME", name)).strip() == "true"
        return False

    def wait_until_whole(self, destination, tend=lambda: None):
        """Return once `is_whole`; call `tend` meanwhile.

        Raises:
            TimeoutError: It takes longer than WHOLE_SECONDS.
        """
        deadline = time.monotonic() + WHOLE_SECONDS
        while not self.is_whole(destination):
            tend()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the queue is not whole after {WHOLE_SECONDS} s")
            time.sleep(0.2)

    def depth(self, destination):
        """Return how many messages the queue holds, delivered or not."""
        return self._well.depth(destination)

    @property
    def _well(self):
        return next(node for node in self.nodes if node not in self.away)
