"""Publishes the stand-in's changes to a real broker instead of its own (flow-sim --broker).

One thread connects and sends; `start` starts it, `close` ends and joins it. Other threads only
put messages into its queue. The destinations are topics, which keep nothing for a listener that
is away; so nothing is kept here either: messages that were on their way when the connection was
lost are not sent again.
"""

import queue
from threading import Thread

from flowtools.core.errors import FlowError
from flowtools.core.log import get_log
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop
from flowtools.sim.people import ADMIN
from flowtools.stomp.broker import Broker
from flowtools.stomp.session import Session
from flowtools.stomp.settings import Settings
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.url import BrokerURL

MOST = 100_000
"""Maximum number of messages that wait to be sent; further ones are dropped."""

_log = get_log("flowtools.sim")


class Outside:
    """A broker that runs elsewhere; the stand-in's users must be able to log in there.

    Attributes:
        port: Port of the broker.
    """

    def __init__(self, host: str, port: int, password: str) -> None:
        """Prepare to publish at `host` and `port` as the user admin."""
        self.port = port
        settings = Settings(user=ADMIN, password=password, heart_beat=(0.0, 0.0))
        self._broker = Broker(BrokerURL(((host, port),)), settings)
        self._waiting: queue.Queue[tuple[str, dict[str, str], bytes]] = queue.Queue(MOST)
        self._stop = Stop()
        self._thread = Thread(target=self._run, name="sim-outside", daemon=True)

    def start(self) -> None:
        """Start the thread that sends."""
        start_thread(self._thread)

    def close(self) -> None:
        """End the thread; messages that still wait are not sent."""
        self._stop.set()
        self._thread.join()
        self._stop.close()

    def publish(self, destination: str, headers: dict[str, str], body: bytes) -> None:
        """Queue a message to be published; never waits."""
        try:
            self._waiting.put_nowait((destination, headers, body))
        except queue.Full:
            _log.warning("the broker is too slow: dropping a message")

    def has_subscriber(self, destination: str, seconds: float) -> bool:
        """Return True, as STOMP has no way to ask a broker for its subscribers."""
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
                    # Nothing is subscribed to; this notices an ERROR or the end of the connection.
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
