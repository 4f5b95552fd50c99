"""Caution with messages that were delivered before and never settled.

RabbitMQ's quorum queues and Artemis count the deliveries of a message, and drop it or move it
away after a number of them (RabbitMQ 4: 20; Artemis: 10). When a consumer dies, the broker counts
a delivery for every message in its window, not only for the one that killed it. So a subscription
begins with a window of one. That shows the head of the queue, where redelivered messages come
first. Once an ordinary message comes, the window is opened (see subscription.py). A message that
had several unsuccessful deliveries is suspect: it is processed while nothing else is in
flight, so that a further crash counts for this message alone.

Some brokers tell only that a message was delivered before, and not how often. Then the deliveries
that this process has seen are counted, one per session, until the message is settled.
"""

from collections import OrderedDict
from time import monotonic

from flowtools.stomp.dialect import Dialect
from flowtools.stomp.frames import Frame
from flowtools.stomp.saying import TROUBLE

SUSPECT = 3
"""Number of unsuccessful deliveries from which a message is processed alone."""

PROBATION = 8
"""Number of messages that are processed one by one after the first redelivered message, if the
broker does not tell how often that was delivered before (Artemis)."""

TROUBLED_FOR = 30.0
"""Seconds for which a broker may answer a subscription with an internal error of its own."""

MOST = 10_000
"""Maximum number of messages whose deliveries are counted here."""


class Caution:
    """The memory of earlier deliveries; it outlives the sessions.

    Attributes:
        one_consumer: Whether the queue serves only one subscription at a time.
    """

    def __init__(self) -> None:
        self.one_consumer = False
        self._seen: OrderedDict[str, tuple[int, object]] = OrderedDict()
        self._trouble_since: float | None = None

    def may_pass(self, said: str) -> bool:
        """Return whether to try again after the broker's ERROR `said` to a subscription.

        True for TROUBLED_FOR seconds if the broker reports an internal error of its own.
        """
        if TROUBLE not in said:
            return False
        now = monotonic()
        self._trouble_since = self._trouble_since or now
        return now - self._trouble_since <= TROUBLED_FOR

    def failed(self, message: Frame, dialect: Dialect, session: object) -> int:
        """Return the number of unsuccessful deliveries of `message` that are known.

        `session` is the session that delivers it now.
        """
        told = dialect.failed_deliveries(message)
        if told is not None:
            return told
        name = dialect.event_id(message)
        number, last = self._seen.pop(name, (0, None))
        # Several messages may have one id. So a session counts an id at most once.
        self._seen[name] = (number if last is session else number + 1), session
        if len(self._seen) > MOST:
            # The one that was delivered longest ago: `pop` above moves a message to the end.
            self._seen.popitem(last=False)
        return self._seen[name][0]

    @property
    def counts(self) -> bool:
        """Whether deliveries of any message have been counted here."""
        return bool(self._seen)

    def forget(self, message: Frame, dialect: Dialect) -> None:
        """Note that `message` is settled."""
        self._seen.pop(dialect.event_id(message), None)
