"""The stand-in's message broker: CoilMQ's server with its own protocol and queues.

CoilMQ contributes the listening socket, a thread for each connection, and version negotiation.
Its protocol classes and queues are replaced (session.py, delivery.py): they know neither
client-individual acknowledgement nor several messages in flight.

Threads: `start` starts the thread that accepts connections; `close` ends and joins it. Each
connection has two threads of its own (connection.py), which end with it.
"""

from threading import Thread

from coilmq.server.socket_server import ThreadedStompServer
from coilmq.util.frames import Frame

from flowtools.core.threads import start_thread
from flowtools.sim.connection import Handler
from flowtools.sim.delivery import Delivery, message_of
from flowtools.sim.faults import Faults
from flowtools.sim.guests import CONNECTIONS, Limited
from flowtools.sim.people import People


class _Server(Limited, ThreadedStompServer):  # type: ignore[misc]
    # A client that hangs must not keep the process from ending.
    daemon_threads = True
    request_queue_size = 128
    refusal = b"ERROR\nmessage:too many connections\n\n\0"


class Broker:
    """A STOMP broker in this process: versions 1.0 to 1.2, queues and topics, all in memory.

    Attributes:
        port: Port on which it listens.
    """

    def __init__(
        self,
        host: str,
        port: int,
        people: People,
        faults: Faults | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        """Open the port; `start` begins to accept connections.

        Args:
            host: Address to listen on.
            port: Port to listen on; 0 takes a free one.
            people: Users who may log in.
            faults: Simulated faults, which may cut connections.
            connections: Maximum number of connections at a time.

        Raises:
            OSError: The port cannot be opened.
        """
        self._delivery = Delivery()
        self._faults = faults
        self._server = _Server(
            (host, port),
            Handler,
            authenticator=people,
            queue_manager=self._delivery,
            topic_manager=self._delivery,
        )
        self._server.most = connections
        self.port: int = self._server.server_address[1]
        # 0.02: seconds between looks whether to stop, thus the longest that `close` waits here.
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.02,), name="sim-stomp", daemon=True
        )

    def start(self) -> None:
        """Begin to accept connections."""
        start_thread(self._thread)

    def close(self) -> None:
        """Stop accepting connections; open ones end within 0.2 seconds."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def publish(self, destination: str, headers: dict[str, str], body: bytes) -> None:
        """Publish a message; never waits for a subscriber."""
        frame = Frame("SEND", {"destination": destination, **headers}, body)
        self._delivery.send(message_of(frame))
        if self._faults is not None and self._faults.drops():
            # The message was queued for these clients, and is lost with the connection: that is
            # what a listener has to cope with.
            self._delivery.cut(destination)

    def has_subscriber(self, destination: str, seconds: float) -> bool:
        """Wait up to `seconds` for a subscriber of `destination`; return whether there is one."""
        return self._delivery.has_subscriber(destination, seconds)
