"""The present session of a STOMP listener, as the receiver of acknowledgements sees it.

The receiver's thread lives as long as the source runs, while sessions come and go with their
connections. So the thread calls this object, which passes everything on to the session that is
there at the moment. Between two sessions nothing is in flight: the broker delivers again what the
last session left, and an acknowledgement that comes then is stale.
"""

from collections.abc import Mapping

from flowtools.ack.receiver import AckInlet
from flowtools.ack.records import Ack
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.source.serving import Serving

_log = get_log("flowtools.source")


class Current:
    """The present session, if there is one. The source's thread sets it, another one uses it."""

    def __init__(self) -> None:
        self._stale = 0
        self._session: Serving | None = None

    def receive_from(self, inlet: AckInlet) -> None:
        """Start to take the acknowledgements that `inlet` receives."""
        inlet.start(self._settle, lost=self._lose, held=self._held, in_flight=self._waiting)

    def begin(self, session: Serving) -> None:
        """Pass everything on to `session` from now on."""
        self._session = session

    def end(self, session: Serving) -> None:
        """Note that `session` has been closed."""
        self._stale += session.delivery.stale
        self._session = None

    def report_stale(self) -> None:
        """Say how many acknowledgements came for events that were not waiting for one."""
        if self._stale:
            _log.info(
                "%s came for events not waiting any more", counted(self._stale, "acknowledgement")
            )

    # Each of these reads `_session` once: the other thread may end the session at any moment.

    def _settle(self, acks: list[Ack]) -> None:
        if (session := self._session) is not None:
            session.delivery.settle(acks)
        else:
            self._stale += len(acks)

    def _lose(self, reason: str) -> None:
        if (session := self._session) is not None:
            session.forsake(reason)

    def _held(self) -> int:
        return session.held if (session := self._session) is not None else 0

    def _waiting(self) -> Mapping[int, object]:
        return session.delivery.waiting if (session := self._session) is not None else {}
