"""The stand-in's message broker: CoilMQ's server with its protocol and queues replaced.

Threads: `start` starts the one that accepts connections, `close` ends and joins it; each
connection has two more (session.py), which end with it.
"""

from threading import Thread

from coilmq.server.socket_server import ThreadedStompServer
from coilmq.util.frames import Frame

from flowtools.sim.connection import Handler
from flowtools.sim.delivery import Delivery, message_of
from flowtools.sim.faults import Faults
from flowtools.sim.guests import CONNECTIONS, Limited
from flowtools.sim.people import People


class _Server(Limited, ThreadedStompServer):  # type: ignore[misc]
    daemon_threads = True
    request_queue_size = 128
    refusal = b"ERROR\nmessage:too many connections\n\n\0"


class Broker:
    """A STOMP broker in this process: versions 1.0 to 1.2, queues and topics, in memory."""

    def __init__(
        self,
        host: str,
        port: int,
        people: People,
        faults: Faults | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        """Listen on `host` and `port` (0: a free one); `faults` may cut connections.

        Raises:
            OSError: The address cannot be had.
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
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.02,), name="sim-stomp", daemon=True
        )

    def start(self) -> None:
        """Accept connections."""
        self._thread.start()

    def close(self) -> None:
        """Stop; connections end within a fifth of a second."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def publish(self, destination: str, headers: dict[str, str], body: bytes) -> None:
        """Send a message to whoever listens; never waits for any of them."""
        frame = Frame("SEND", {"destination": destination, **headers}, body)
        self._delivery.send(message_of(frame))
        if self._faults is not None and self._faults.drops():
            self._delivery.cut(destination)

    def has_subscriber(self, destination: str, seconds: float) -> bool:
        """Wait up to `seconds` until someone listens to `destination`; return whether."""
        return self._delivery.has_subscriber(destination, seconds)
