"""RabbitMQ as the tests run it: Debian's own, and the newest of Debian sid in a chroot."""

import json
import os
import random
import re
import subprocess
from pathlib import Path

from tests.brokers.server import (
    CACHE,
    PASSWORD,
    USER,
    BrokerMissing,
    Server,
    free_ports,
    until_open,
)

_DEPTH = """case rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"NAME">>)) of
  {ok, Q} -> case amqqueue:get_type(Q) of
    rabbit_quorum_queue ->
      Total = {rabbit_fifo, query_messages_total, []},
      {ok, N, _} = ra:consistent_query(amqqueue:get_pid(Q), Total), N;
    _ -> proplists:get_value(messages, rabbit_amqqueue:info(Q, [messages])) end;
  _ -> 0 end."""
"""Erlang code for the current length of a queue: list_queues reports quorum queues with a delay."""


class RabbitMQ(Server):
    """RabbitMQ with its STOMP plugin, and an epmd of its own."""

    name = family = "rabbitmq"
    vhost = "/"
    prefetch_header = "prefetch-count"
    root = Path("/")
    settings = ""
    syncing = "mnesia:sync_log()."

    def __init__(self, folder, journal=64):
        """Prepare; see Server.

        Args:
            folder: Of this broker alone.
            journal: Entries of a queue's journal that RabbitMQ keeps in memory, and forgets
                when it is killed (3: queue_index_max_journal_entries; 4: a segment,
                classic_queue_index_v2_segment_entry_count); None: its own 32,768, or 4,096,
                by which it delivers as many acknowledged messages again.

        Raises:
            BrokerMissing: RabbitMQ is not installed.
        """
        found = sorted(self.root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"))
        if not found:
            raise BrokerMissing(
                f"RabbitMQ is not installed in {self.root}; see contrib/install-brokers.sh"
            )
        self._sbin = Path("/") / found[-1].relative_to(self.root)
        super().__init__(folder)
        self._amqp, self._dist, self._epmd_port = free_ports(3)
        self._epmd = None
        self._node = f"tests{self.port}@localhost"
        # Acknowledgements still inside the broker come on top of the journal.
        self.forgets = 2 * (journal or 32_768)
        limits = ("queue_index_max_journal_entries", "classic_queue_index_v2_segment_entry_count")
        journal_setting = ",".join(f"{{{limit},{journal}}}" for limit in limits if journal)
        (self.folder / "advanced.config").write_text(f"[{{rabbit,[{journal_setting}]}}].\n")
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text("".join(random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=20)))
        cookie.chmod(0o400)
        (self.folder / "enabled_plugins").write_text("[rabbitmq_stomp].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self._amqp}\n"
            f"stomp.listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"stomp.listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
            f"stomp.default_user = {USER}\nstomp.default_pass = {PASSWORD}\n"
            f"ssl_options.cacertfile = {self.folder}/ca.pem\n"
            f"ssl_options.certfile = {self.folder}/server.pem\n"
            f"ssl_options.keyfile = {self.folder}/server.key\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = false\n"
            "loopback_users = none\ndisk_free_limit.absolute = 200MB\n"
            f"{self.settings}"
        )

    def _environment(self):
        folder = str(self.folder)
        return os.environ | {
            "HOME": folder,
            "PATH": f"{self._sbin}:{os.environ['PATH']}",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none.conf",
            "RABBITMQ_DIST_PORT": str(self._dist),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # Lets the script exec the Erlang machine instead of supervising it.
            "RUNNING_UNDER_SYSTEMD": "1",
        }

    def _command(self):
        return self._inside([self._sbin / "rabbitmq-server"])

    def _inside(self, command):
        """Return the command as it runs in the chroot, with this broker's folder in it.

        The mounts are in a namespace of the process's own, and go with it.
        """
        if self.root == Path("/"):
            return command
        inner = f"{self.root}{self.folder}"
        Path(inner).mkdir(parents=True, exist_ok=True)
        mounts = (
            f"mount --rbind /proc {self.root}/proc && mount --rbind /dev {self.root}/dev"
            f' && mount --bind {self.folder} {inner} && exec chroot {self.root} "$@"'
        )
        unshare = ["unshare", "--mount", "--propagation", "private"]
        return [*unshare, "sh", "-c", mounts, "sh", *command]

    def launch(self):
        """Start its process, and before that its epmd; see Server."""
        if self._epmd is None:
            # An epmd that Erlang starts by itself would be a daemon that outlives the tests.
            self._epmd = self._spawn(self._inside(["epmd"]), self._environment())
            until_open(self._epmd_port, self.host)
        super().launch()

    def close(self):
        """End it and its epmd."""
        super().close()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    def settle(self):
        """Return once every queue is on disk, which lags behind by a second or so.

        RabbitMQ 3 keeps its queues in Mnesia's log, 4 the names of its quorum queues in a
        DETS table. A queue that was not yet in there is empty after a kill, with all that was
        confirmed of it.
        """
        self._ctl("eval", self.syncing)

    def depth(self, destination):
        """Return how many messages the queue holds; see Server."""
        name = destination.rsplit("/", 1)[1]
        return int(self._ctl("eval", _DEPTH.replace("NAME", name)))

    def limit(self, destination, most):
        """Let the queue hold at most so many messages, and reject others (reject-publish)."""
        name = destination.rsplit("/", 1)[1]
        self._policy(name, {"max-length": most, "overflow": "reject-publish"})

    def retry(self, destination, seconds):
        """Let rejected messages return to the queue after a while, through another queue.

        A dead-letter exchange and a time to live, as RabbitMQ's users build a retry. Returns
        the other queue.
        """
        name = destination.rsplit("/", 1)[1]
        there = {"dead-letter-exchange": "", "dead-letter-routing-key": f"{name}.retry"}
        back = {"dead-letter-exchange": "", "dead-letter-routing-key": name}
        self._policy(name, there)
        self._policy(f"{name}.retry", back | {"message-ttl": int(seconds * 1000)})
        return f"{destination}.retry"

    def purge(self, destination):
        """Remove all messages from the queue."""
        self._ctl("purge_queue", destination.rsplit("/", 1)[1])

    def delete(self, destination):
        """Delete the queue with all that is in it."""
        self._ctl("delete_queue", destination.rsplit("/", 1)[1])

    def _policy(self, name, definition):
        where = ("--apply-to", "queues", name, f"^{re.escape(name)}$")
        self._ctl("set_policy", *where, json.dumps(definition))

    def _ctl(self, *words):
        return subprocess.run(
            self._inside([self._sbin / "rabbitmqctl", "-q", "-n", self._node, *words]),
            env=self._environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout


class RabbitMQ4(RabbitMQ):
    """The newest RabbitMQ that Debian has, with classic queues."""

    name = "rabbitmq4"
    root = CACHE / "rabbitmq"
    syncing = "[dets:sync(Table) || Table <- dets:all()]."


class RabbitMQQuorum(RabbitMQ4):
    """The same with quorum queues, which every durable queue is by default here."""

    name = "rabbitmq4-quorum"
    settings = "default_queue_type = quorum\n"
    tells = True
