"""The state of a command's connection to its broker: the log messages, and the figures shown.

The loss of a broker is logged when it goes, at growing intervals while it stays away, and when it
is back. `shown` gives the same facts to flow-status, metrics and SIGUSR1 (process/vitals.py).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic

from flowtools.core.log import get_log
from flowtools.core.reminder import Reminder
from flowtools.core.times import short_duration
from flowtools.process.certificates import certificates
from flowtools.process.vitals import vitals
from flowtools.stomp.session import Session

_log = get_log("flowtools.broker")


class Contact:
    """One command's contact with one broker, over all its sessions.

    One thread connects and takes messages. Any thread may read the attributes and call `reject`.

    Attributes:
        connections: Number of connections made so far.
        received: Number of messages that the broker has delivered.
        rejected: Number of messages, and of events made of them, that go to the dead letters.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.received = 0
        self.rejected = 0
        self._rejecting = Lock()
        self._session: Session | None = None
        self._away = Reminder()
        # Only the command's main connection is shown, and not that for the dead letters.
        self._is_shown = False

    @property
    def is_up(self) -> bool:
        """Whether there is a connection now."""
        session = self._session
        return session is not None and session.lost is None

    @contextmanager
    def shown(self, about: str, **figures: Callable[[], float]) -> Iterator[None]:
        """Show the connection in flow-status, metrics and SIGUSR1 while the block runs.

        Args:
            about: A description of what the command does; ignored if there is one already.
            figures: Further figures of the command. Without any, the figures of a listener
                are shown.
        """
        if not figures:
            figures = {"received": lambda: self.received, "rejected": lambda: self.rejected}
        vitals.about = vitals.about or about
        self._is_shown = True
        self._show("connecting")
        try:
            with vitals.providing(
                connected=lambda: float(self.is_up),
                reconnects=lambda: float(max(0, self.connections - 1)),
                **figures,
            ):
                yield
        finally:
            self._show("")
            self._is_shown = False

    def reject(self) -> None:
        """Count a rejected message."""
        with self._rejecting:
            self.rejected += 1

    def up(self, session: Session, away: float | None) -> None:
        """Note that `session` is logged in, after `away` seconds; None: at the first attempt."""
        self._session = session
        self.connections += 1
        # The connection for dead letters is closed after each batch, which is not reported. So the
        # next one is not reported as a return either.
        was_told = self._away.since is not None
        self._away.end()
        broker = session.dialect.broker
        self._show(f"'{session.name}'" + (f" ({broker})" if broker != "unknown" else ""))
        if self._is_shown:
            certificates.saw(session.name, session.certificate_ends)
        if away is not None and was_told:
            _log.warning("connected to '%s' after %.1f s", session.name, away)

    def lost(self, session: Session, reason: Exception | str) -> None:
        """Note that `session` has ended."""
        self._session = None
        self._away.begin()
        self._show(f"'{session.name}': {reason}")
        _log.warning("lost the connection to '%s': %s; connecting again", session.name, reason)

    def away(self, reason: Exception | str) -> None:
        """Note that no host could be connected to, because of `reason`."""
        self._show(str(reason))
        if self._away.since is None:
            self._away.begin()
            _log.warning("cannot reach the broker: %s; trying again", reason)
        elif (seconds := self._away.due(monotonic())) is not None:
            _log.warning(
                "the broker has been away for %s: %s; trying again",
                short_duration(seconds),
                reason,
            )

    def _show(self, text: str) -> None:
        if self._is_shown:
            vitals.connection = text
