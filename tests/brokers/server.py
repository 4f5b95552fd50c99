"""A real broker that belongs to the tests: its processes, its ports, starting and stopping.

Each runs in its own folder, on its own ports, as the user who runs the tests; the
system's service and its data are never touched. `kill` and `start` again keep ports and
data, so persistent messages survive. Every process is started with a parent-death signal:
if the tests are killed, the brokers die too. (Linux sends it when the *thread*
that started the process ends: start brokers from the main thread.)
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote, urlencode

from tests.brokers import certificates
from tests.brokers.wire import Wire, WireError

CACHE = Path(os.environ.get("FLOWTOOLS_BROKERS") or "/var/cache/flowtools-brokers")
"""Where contrib/install-brokers.sh keeps the brokers that are not Debian 12's own."""

START_SECONDS = 120
"""How long a broker may take to answer a CONNECT."""

USER = "guest"
PASSWORD = "guest"
READER = "reader"
"""A user who may read from ActiveMQ's queues and write to none; the password is the same."""


class BrokerMissing(Exception):
    """The broker is not installed."""


class Server:
    """A broker: what RabbitMQ and ActiveMQ have in common.

    Attributes:
        name: Of this class alone; BROKERS names it.
        family: "rabbitmq", "activemq" or "artemis".
        host: "127.0.0.1"; the certificate is good for it and for "localhost".
        port: STOMP.
        tls_port: STOMP over TLS; a client certificate is asked for, not required.
        user, password: A valid login. No login at all is accepted too; a wrong one is refused.
        vhost: The virtual host to name, or None.
        prefetch_header: The SUBSCRIBE header that bounds what is delivered unacknowledged.
        tells: Whether it tells the number of unsuccessful deliveries of a message.
        own_dead_letters: Where it moves a message itself after too many unsuccessful deliveries;
            "": nowhere.
        overdraws: How many times --prefetch it delivers of messages as small as the tests'.
        checks_logins: Whether it refuses a wrong password; Artemis treats it as no login.
        forgets: How many acknowledgements it had taken may be lost when it is killed.
        ca_file: The certificate authority (PEM) that signed the broker's certificate.
        client_cert, client_key: A client's certificate (PEM), signed by the same.
        pid: The broker's process while it runs.
    """

    name = ""
    family = ""
    vhost = None
    prefetch_header = ""
    forgets = 0
    tells = False
    own_dead_letters = ""
    overdraws = 1
    checks_logins = True
    host = "127.0.0.1"
    user = USER
    password = PASSWORD

    def __init__(self, folder):
        """Prepare a broker in `folder`, which is made; nothing is started."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.tls_port = free_ports(2)
        certificates.make(self.folder)
        self.ca_file = self.folder / "ca.pem"
        self.client_cert = self.folder / "client.pem"
        self.client_key = self.folder / "client.key"
        self._process = None
        self._log = self.folder / "output.log"

    @property
    def pid(self):
        """The broker's process id, or None."""
        return self._process.pid if self._process else None

    @property
    def running(self):
        """Whether the process exists, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def start(self):
        """Start it, on the ports and data it had; return once it answers a CONNECT."""
        self.launch()
        return self.wait_until_up()

    def launch(self):
        """Start its process without waiting."""
        assert not self.running, f"{self.name} runs already"
        self._process = self._spawn(self._command(), self._environment())

    def wait_until_up(self):
        """Return once it answers a CONNECT."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect(timeout=5).close()
            except (OSError, WireError) as error:
                if not self.running or time.monotonic() > deadline:
                    said = self.output()
                    self.kill()
                    raise RuntimeError(f"{self.name} did not start: {error}\n{said}") from error
                time.sleep(0.05)
            else:
                return self

    def stop(self):
        """End it in an orderly way, then kill whatever is left of it."""
        if self.running:
            self.thaw()
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
        self.kill()

    def kill(self):
        """End all its processes with SIGKILL, as a power cut would; data and ports stay."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self):
        """Stop all its processes with SIGSTOP: connections stay, nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self):
        """Let it continue (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def close(self):
        """End it and everything that was started for it."""
        self.kill()

    def connect(self, *, tls=False, timeout=30):
        """Return a logged-in bare connection (wire.Wire), for producers and checks."""
        context = None
        if tls:
            import ssl

            context = ssl.create_default_context(cafile=str(self.ca_file))
        return Wire(
            self.tls_port if tls else self.port,
            host=self.host,
            login=self.user,
            passcode=self.password,
            vhost=self.vhost,
            context=context,
            timeout=timeout,
        )

    def url(self, destination, *, tls=False, port=None, **query):
        """Return the STOMP URL of `destination`, with the virtual host where one is needed.

        Args:
            destination: As in STOMP: "/queue/NAME".
            tls: Whether to use TLS.
            port: Another port, as that of a proxy.
            query: More parameters; `_` in a name stands for `-`.
        """
        parts = {"destination": destination}
        if self.vhost is not None:
            parts["vhost"] = self.vhost
        parts |= {name.replace("_", "-"): str(text) for name, text in query.items()}
        scheme = "stomp+ssl" if tls else "stomp"
        port = port or (self.tls_port if tls else self.port)
        return f"{scheme}://{self.host}:{port}/?{urlencode(parts, quote_via=quote, safe='/')}"

    def settle(self):
        """Return once every existing queue will survive `kill`."""

    def depth(self, destination):
        """Return how many messages the queue holds, delivered or not.

        Costs a second or two; nobody else may be consuming with a large prefetch.
        """
        raise NotImplementedError

    def output(self):
        """Return the end of what the broker wrote to its terminal."""
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""

    def _command(self):
        raise NotImplementedError

    def _environment(self):
        raise NotImplementedError

    def _spawn(self, command, environment):
        with self._log.open("ab") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _signal(self, number):
        for pid in session_of(self._process.pid) if self._process else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def free_ports(number):
    """Return unused ports, outside the range of outgoing connections.

    Inside it, a client that tries again and again while the broker is down may be given
    the very port it connects to, and so talk to itself; the broker could not come back.
    """
    taken = []
    while len(taken) < number:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in taken:
            taken.append(port)
    return taken


def until_open(port, host="127.0.0.1", seconds=30):
    """Return once something listens on `port`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), 5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def session_of(leader):
    """Return the ids of the processes in the session that `leader` leads."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # The name, in parentheses, may hold anything; session is the fourth field after.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                found.append(int(folder.name))
    return found
