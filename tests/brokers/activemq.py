"""ActiveMQ as the tests run it: Classic 5 of Debian, Classic 6 and Artemis of Maven Central."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.brokers import certificates
from tests.brokers.server import (
    CACHE,
    PASSWORD,
    READER,
    USER,
    BrokerMissing,
    Server,
    free_ports,
)


class ActiveMQ(Server):
    """ActiveMQ Classic.

    Attributes:
        mutual_tls_port: STOMP over TLS; a client certificate is required.
    """

    name = family = "activemq"
    jars = Path("/usr/share/activemq")
    prefetch_header = "activemq.prefetchSize"

    def __init__(self, folder, store=None):
        """Prepare; see Server.

        Args:
            folder: Of this broker alone.
            store: The folder of its messages, which two brokers may share; None: its own.

        Raises:
            BrokerMissing: ActiveMQ or Java is not installed.
        """
        self._java = shutil.which("java")
        if not self.jars.exists() or self._java is None:
            raise BrokerMissing(
                f"a JRE or {self.jars} is not installed; see contrib/install-brokers.sh"
            )
        super().__init__(folder)
        (self.mutual_tls_port,) = free_ports(1)
        certificates.trust_store(self.folder)
        (self.folder / "tmp").mkdir(exist_ok=True)
        (self.folder / "activemq.xml").write_text(
            _ACTIVEMQ_XML.format(
                folder=self.folder,
                store=store or self.folder / "data/kahadb",
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
            f"-Dactivemq.home={self.jars}",
            f"-Dactivemq.base={folder}",
            f"-Dactivemq.conf={folder}",
            f"-Dactivemq.data={folder}/data",
            f"-Djava.io.tmpdir={folder}/tmp",
            *self._program(),
            "start",
            f"xbean:file:{folder}/activemq.xml",
        ]

    def _program(self):
        return ["-jar", f"{self.jars}/bin/activemq.jar"]

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


class ActiveMQ6(ActiveMQ):
    """The newest ActiveMQ Classic 6."""

    name = "activemq6"
    jars = CACHE / "activemq"

    def _program(self):
        return ["-cp", f"{self.jars}/lib/*", "org.apache.activemq.console.Main"]


class Artemis(Server):
    """The newest ActiveMQ Artemis, with the prefixes `/queue/` and `/topic/`."""

    name = family = "artemis"
    checks_logins = False
    own_dead_letters = "/queue/DLQ"
    overdraws = 4  # Its window is in bytes, 1024 for each message of --prefetch.
    prefetch_header = "consumer-window-size"
    home = CACHE / "artemis"

    def __init__(self, folder, *options, core_port=None):
        """Prepare; see Server.

        Args:
            folder: Of this broker alone.
            options: More options of `artemis create`.
            core_port: Where brokers find each other; None: any.

        Raises:
            BrokerMissing: Artemis or Java is not installed.
        """
        if not (self.home / "bin/artemis").exists() or shutil.which("java") is None:
            raise BrokerMissing("Artemis is not installed; see contrib/install-brokers.sh")
        super().__init__(folder)
        certificates.trust_store(self.folder)
        self._broker = self.folder / "broker"
        subprocess.run(
            [
                *(self.home / "bin/artemis", "create", self._broker, "--silent"),
                *("--user", USER, "--password", PASSWORD, "--allow-anonymous"),
                *("--no-web", "--no-autotune", "--no-amqp-acceptor", "--no-mqtt-acceptor"),
                *("--no-hornetq-acceptor", "--no-stomp-acceptor", "--nio", "--relax-jolokia"),
                *("--java-options", "-Xmx512M", "--host", "127.0.0.1", "--force"),
                *("--default-port", str(core_port or free_ports(1)[0]), *options),
            ],
            check=True,
            capture_output=True,
        )
        file = self._broker / "etc/broker.xml"
        file.write_text(
            file.read_text().replace(
                "<acceptors>", _ARTEMIS_ACCEPTORS.format(folder=self.folder, server=self)
            )
        )

    def _environment(self):
        return os.environ | {"HOME": str(self.folder)}

    def _command(self):
        return [self._broker / "bin/artemis", "run"]

    def depth(self, destination):
        """Return how many messages the queue holds; see Server."""
        with self.connect() as wire:
            name = destination.removeprefix("/queue/")
            reply = {"reply-to": f"/queue/reply-{name}", "_AMQ_ResourceName": f"queue.{name}"}
            wire.subscribe(reply["reply-to"])
            wire.write(
                "SEND",
                {"destination": "activemq.management", "_AMQ_Attribute": "messageCount"} | reply,
            )
            answer = wire.expect("MESSAGE")[1]
            # For an address that was never used Artemis prints a message instead of a count.
            count = answer.strip(b"[]\0")
            return int(count) if count.isdigit() else 0


_ARTEMIS_ACCEPTORS = """<acceptors>
         <acceptor name="stomp">tcp://127.0.0.1:{server.port}?protocols=STOMP;\
anycastPrefix=/queue/;multicastPrefix=/topic/</acceptor>
         <acceptor name="tls">tcp://127.0.0.1:{server.tls_port}?protocols=STOMP;\
anycastPrefix=/queue/;multicastPrefix=/topic/;sslEnabled=true;\
keyStorePath={folder}/server.p12;keyStorePassword=tests-only;keyStoreType=PKCS12;\
trustStorePath={folder}/trust.p12;trustStorePassword=tests-only;trustStoreType=PKCS12;\
wantClientAuth=true</acceptor>
"""


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
    <persistenceAdapter><kahaDB directory="{store}"/></persistenceAdapter>
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
