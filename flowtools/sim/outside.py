"""A real broker behind the stand-in: what changes is published there, and links lead there.

One thread sends; `start` starts it, `close` ends and joins it. As a topic does, it keeps nothing:
what was on its way when the connection was lost is not sent again.
"""

import queue
from threading import Thread

from flowtools.core.errors import FlowError
from flowtools.core.log import get_log
from flowtools.core.wait import Stop
from flowtools.sim.people import ADMIN
from flowtools.stomp.broker import Broker
from flowtools.stomp.session import Session
from flowtools.stomp.settings import Settings
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.url import BrokerURL

MOST = 100_000
"""Messages that may wait to be sent; one more is dropped."""

_log = get_log("flowtools.sim")


class Outside:
    """A broker that runs elsewhere, where this stand-in's users may log in.

    Attributes:
        port: Its port.
    """

    def __init__(self, host: str, port: int, password: str) -> None:
        """Prepare to publish at `host` and `port`, as the user who may do everything."""
        self.port = port
        settings = Settings(user=ADMIN, password=password, heart_beat=(0.0, 0.0))
        self._broker = Broker(BrokerURL(((host, port),)), settings)
        self._waiting: queue.Queue[tuple[str, dict[str, str], bytes]] = queue.Queue(MOST)
        self._stop = Stop()
        self._thread = Thread(target=self._run, name="sim-outside", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def close(self) -> None:
        """End; what still waits is not sent."""
        self._stop.set()
        self._thread.join()
        self._stop.close()

    def publish(self, destination: str, headers: dict[str, str], body: bytes) -> None:
        """Send a message to whoever listens; never waits."""
        try:
            self._waiting.put_nowait((destination, headers, body))
        except queue.Full:
            _log.warning("the broker does not keep up: a message is dropped")

    def has_subscriber(self, destination: str, seconds: float) -> bool:
        """Return True: only the broker knows, and does not say."""
        return True

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                session = self._broker.connect(self._stop)
            except FlowError as error:
                _log.error("cannot publish: %s", error)
                self._stop.wait(1.0)
                continue
            if session is None:
                return
            try:
                while not self._stop.is_set():
                    self._send(session)
                    session.take()
            except (ConnectionLost, FlowError) as error:
                self._broker.note_lost(session, str(error))
            finally:
                session.abort()

    def _send(self, session: Session) -> None:
        try:
            destination, headers, body = self._waiting.get(timeout=0.2)
        except queue.Empty:
            return
        session.send_frame("SEND", {"destination": destination, **headers}, body)
