"""The brokers that the tests run: RabbitMQ and ActiveMQ Classic, alike in shape."""

import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

from tests.brokers import certificates
from tests.brokers.server import (
    PASSWORD,
    READER,
    USER,
    BrokerMissing,
    Server,
    free_ports,
    until_open,
)


class RabbitMQ(Server):
    """RabbitMQ with its STOMP plugin, and an epmd of its own."""

    name = "rabbitmq"
    vhost = "/"
    prefetch_header = "prefetch-count"

    def __init__(self, folder, journal=64):
        """Prepare; see Server.

        Args:
            folder: Of this broker alone.
            journal: Entries of a queue's journal (queue_index_max_journal_entries) that
                RabbitMQ keeps in memory, and forgets when it is killed; None: its own
                32,768, by which it delivers as many acknowledged messages again.

        Raises:
            BrokerMissing: RabbitMQ is not installed.
        """
        found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))
        if not found:
            raise BrokerMissing("RabbitMQ is not installed; see contrib/install-brokers.sh")
        self._sbin = found[-1]
        super().__init__(folder)
        self._amqp, self._dist, self._epmd_port = free_ports(3)
        self._epmd = None
        # What is on its way inside the broker comes on top of the journal.
        self.forgets = 2 * (journal or 32_768)
        journal_setting = f"{{queue_index_max_journal_entries,{journal}}}" if journal else ""
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
        )

    def _environment(self):
        folder = str(self.folder)
        return os.environ | {
            "HOME": folder,
            "PATH": f"{self._sbin}:{os.environ['PATH']}",
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
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
            # Makes the script become the Erlang machine instead of minding it.
            "RUNNING_UNDER_SYSTEMD": "1",
        }

    def _command(self):
        return [self._sbin / "rabbitmq-server"]

    def start(self):
        """Start; see Server. A first start takes about five seconds."""
        if self._epmd is None:
            # An epmd that Erlang starts by itself would be a daemon that nobody owns.
            self._epmd = self._spawn(["epmd"], self._environment())
            until_open(self._epmd_port)
        return super().start()

    def close(self):
        """End it and its epmd."""
        super().close()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    def settle(self):
        """Return once every queue is on disk: Mnesia's log lags behind by a second or so."""
        self._ctl("eval", "mnesia:sync_log().")

    def depth(self, destination):
        """Return how many messages the queue holds; see Server."""
        out = self._ctl("list_queues", "name", "messages", "--no-table-headers")
        depths = dict(line.split("\t") for line in out.splitlines() if "\t" in line)
        return int(depths.get(destination.rsplit("/", 1)[1], 0))

    def limit(self, destination, most):
        """Let the queue hold at most so many messages, and reject others (reject-publish)."""
        name = destination.rsplit("/", 1)[1]
        definition = json.dumps({"max-length": most, "overflow": "reject-publish"})
        self._ctl("set_policy", "--apply-to", "queues", name, f"^{re.escape(name)}$", definition)

    def purge(self, destination):
        """Throw away what the queue holds."""
        self._ctl("purge_queue", destination.rsplit("/", 1)[1])

    def delete(self, destination):
        """Delete the queue with all that is in it."""
        self._ctl("delete_queue", destination.rsplit("/", 1)[1])

    def _ctl(self, *words):
        return subprocess.run(
            [self._sbin / "rabbitmqctl", "-q", "-n", f"tests{self.port}@localhost", *words],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout


class ActiveMQ(Server):
    """ActiveMQ Classic.

    Attributes:
        mutual_tls_port: STOMP over TLS; a client certificate is required.
    """

    name = "activemq"
    prefetch_header = "activemq.prefetchSize"

    def __init__(self, folder):
        """Prepare; see Server.

        Raises:
            BrokerMissing: ActiveMQ or Java is not installed.
        """
        self._java = shutil.which("java")
        if not Path("/usr/share/activemq/bin/activemq.jar").exists() or self._java is None:
            raise BrokerMissing(
                "ActiveMQ or its JRE is not installed; see contrib/install-brokers.sh"
            )
        super().__init__(folder)
        (self.mutual_tls_port,) = free_ports(1)
        certificates.trust_store(self.folder)
        (self.folder / "tmp").mkdir(exist_ok=True)
        (self.folder / "activemq.xml").write_text(
            _ACTIVEMQ_XML.format(
                folder=self.folder,
                port=self.port,
                tls_port=self.tls_port,
                mutual_tls_port=self.mutual_tls_port,
                user=USER,
                reader=READER,
                password=PASSWORD,
            )
        )

    def _environment(self):
        return os.environ | {"HOME": str(self.folder)}

    def _command(self):
        folder = self.folder
        return [
            self._java,
            "-Xmx512M",
            "-Dactivemq.home=/usr/share/activemq",
            f"-Dactivemq.base={folder}",
            f"-Dactivemq.conf={folder}",
            f"-Dactivemq.data={folder}/data",
            f"-Djava.io.tmpdir={folder}/tmp",
            "-jar",
            "/usr/share/activemq/bin/activemq.jar",
            "start",
            f"xbean:file:{folder}/activemq.xml",
        ]

    def depth(self, destination):
        """Return how many messages the queue holds; see Server.

        Counted with a queue browser (header `browser`), which ends with an empty message.
        """
        with self.connect() as wire:
            wire.subscribe(destination, browser="true", **{"activemq.prefetchSize": "100000"})
            count = 0
            while wire.expect("MESSAGE")[0].get("browser") != "end":
                count += 1
            return count


_ACTIVEMQ_XML = """\
<beans xmlns="http://www.springframework.org/schema/beans"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="http://www.springframework.org/schema/beans
      http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
      http://activemq.apache.org/schema/core
      http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="tests" useJmx="false"
      persistent="true" dataDirectory="{folder}/data" schedulePeriodForDestinationPurge="0">
    <destinationPolicy><policyMap><policyEntries>
      <policyEntry queue="&gt;" maxBrowsePageSize="100000"/>
    </policyEntries></policyMap></destinationPolicy>
    <persistenceAdapter><kahaDB directory="{folder}/data/kahadb"/></persistenceAdapter>
    <plugins>
      <simpleAuthenticationPlugin anonymousAccessAllowed="true"><users>
        <authenticationUser username="{user}" password="{password}" groups="users"/>
        <authenticationUser username="{reader}" password="{password}" groups="readers"/>
      </users></simpleAuthenticationPlugin>
      <authorizationPlugin><map><authorizationMap><authorizationEntries>
        <authorizationEntry queue="&gt;" read="users,readers,anonymous"
          write="users,anonymous" admin="users,readers,anonymous"/>
        <authorizationEntry topic="&gt;" read="users,readers,anonymous"
          write="users,readers,anonymous" admin="users,readers,anonymous"/>
      </authorizationEntries></authorizationMap></map></authorizationPlugin>
    </plugins>
    <sslContext>
      <sslContext keyStore="file:{folder}/server.p12" keyStoreType="PKCS12"
        keyStorePassword="tests-only" trustStore="file:{folder}/trust.p12"
        trustStoreType="PKCS12" trustStorePassword="tests-only"/>
    </sslContext>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://127.0.0.1:{port}"/>
      <transportConnector name="tls"
        uri="stomp+ssl://127.0.0.1:{tls_port}?transport.wantClientAuth=true"/>
      <transportConnector name="mutual"
        uri="stomp+ssl://127.0.0.1:{mutual_tls_port}?transport.needClientAuth=true"/>
    </transportConnectors>
  </broker>
</beans>
"""
