"""How careful to be with messages that were delivered before and never settled.

RabbitMQ's quorum queues and Artemis count the deliveries of a message, and drop it or move it
away after so many (RabbitMQ 4: 20; Artemis: 10). A consumer that dies counts for every message
in its window, not only for the one that killed it. So a subscription begins with a window of
one, which shows what the queue has at its head (what was delivered before comes first), and
opens the window once that is an ordinary message (see subscription.py). A message that has
been delivered in vain several times is suspect: it is handled while nothing else is in flight,
so that a further death counts for it alone.

Where the broker tells only that a message was delivered before, and not how often, the
deliveries that this process has seen are counted, one a session, until the message is settled.
"""

from collections import OrderedDict
from time import monotonic

from flowtools.stomp.dialect import TROUBLE, Dialect
from flowtools.stomp.frames import Frame

SUSPECT = 3
"""Deliveries in vain from which on a message is handled alone."""

PROBATION = 8
"""Messages that are handled one by one where the broker does not tell how often the first of
them has been delivered before (Artemis)."""

TROUBLED_FOR = 30.0
"""Seconds for which a broker may answer a subscription with trouble of its own."""

MOST = 10_000
"""Messages whose deliveries are counted here."""


class Caution:
    """What is known of earlier deliveries; it outlives a session.

    Attributes:
        one_consumer: Whether the queue serves one subscription at a time.
    """

    def __init__(self) -> None:
        self.one_consumer = False
        self._seen: OrderedDict[str, tuple[int, object]] = OrderedDict()
        self._trouble_since: float | None = None

    def may_pass(self, said: str) -> bool:
        """Return whether the answer `said` to a subscription is worth another attempt.

        So it is for a while where the broker tells of trouble of its own.
        """
        if TROUBLE not in said:
            return False
        now = monotonic()
        self._trouble_since = self._trouble_since or now
        return now - self._trouble_since <= TROUBLED_FOR

    def failed(self, message: Frame, dialect: Dialect, session: object) -> int:
        """Return how often `message` is known to have been delivered in vain.

        `session` is the one that delivers it now.
        """
        told = dialect.failed_deliveries(message)
        if told is not None:
            return told
        name = dialect.event_id(message)
        number, last = self._seen.pop(name, (0, None))
        # Several messages of one id, one delivery: the same session counts once.
        self._seen[name] = (number if last is session else number + 1), session
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)
        return self._seen[name][0]

    @property
    def counts(self) -> bool:
        """Whether deliveries of any message have been counted here."""
        return bool(self._seen)

    def forget(self, message: Frame, dialect: Dialect) -> None:
        """Note that `message` is settled."""
        self._seen.pop(dialect.event_id(message), None)
