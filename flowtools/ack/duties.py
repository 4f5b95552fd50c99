"""Which parts an event has been split into, and what its source is to hear once all are settled.

`Duties` is the relay's book-keeping, without a socket or a thread: see relay.py.
"""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import NamedTuple

from flowtools.ack.records import Ack, Reason


class Verdict(NamedTuple):
    """What the source of an event is to hear.

    Attributes:
        ackto: Where, and of which event.
        done: True for ack, False for nack.
        reason: Why it was rejected.
    """

    ackto: str
    done: bool
    reason: Reason | None = None


class _Duty:
    __slots__ = ("ackto", "left", "reason", "rejected")

    def __init__(self, ackto: str, parts: int) -> None:
        self.ackto = ackto
        self.left = parts
        self.rejected = False
        self.reason: Reason | None = None


class Duties:
    """The events that have been split, and their parts, each with a number. One caller at a time.

    Attributes:
        epoch: The epoch of the parts; what is settled in another one counts for nothing.
    """

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self._numbers = count(1)
        self._parts: dict[int, _Duty] = {}

    @property
    def parts(self) -> Mapping[int, object]:
        """The parts that are not settled, by number."""
        return self._parts

    @property
    def outstanding(self) -> int:
        """How many parts are not settled."""
        return len(self._parts)

    def split(self, ackto: str, parts: int) -> list[int]:
        """Split the event of `ackto` into `parts`, at least one; return their numbers."""
        duty = _Duty(ackto, parts)
        numbers = [next(self._numbers) for _ in range(parts)]
        self._parts.update(dict.fromkeys(numbers, duty))
        return numbers

    def settle(self, acks: Iterable[Ack]) -> list[Verdict]:
        """Note what became of parts; return the verdicts on events of which that was the last.

        One rejected part rejects its event, for the first reason that was given.
        """
        verdicts = []
        for ack in acks:
            duty = self._parts.pop(ack.number, None) if ack.epoch == self.epoch else None
            if duty is None:
                continue  # Settled before, or of an earlier epoch.
            duty.left -= 1
            if not ack.done:
                duty.rejected = True
                duty.reason = duty.reason or ack.reason
            if not duty.left:
                verdicts.append(Verdict(duty.ackto, not duty.rejected, duty.reason))
        return verdicts

    def forget(self, epoch: str) -> int:
        """Forget all parts, and begin `epoch`; return how many were outstanding."""
        forgotten = len(self._parts)
        self._parts.clear()
        self.epoch = epoch
        return forgotten
