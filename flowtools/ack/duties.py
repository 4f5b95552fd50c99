"""The parts of each split event, and the verdict for its source once all parts are settled.

`Duties` is the relay's bookkeeping. It uses no socket and no thread: see relay.py.
"""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import NamedTuple

from flowtools.ack.records import Ack, Reason


class Verdict(NamedTuple):
    """The message to an event's source: the event is done, or rejected.

    Attributes:
        ackto: The address of the source, with the event's acknowledgement token.
        done: True for ack, False for nack.
        reason: The reason for a rejection.
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
    """The split events and their numbered parts. Only one thread may call a method at a time.

    Attributes:
        epoch: The epoch of the parts. Acknowledgements of another epoch are ignored.
    """

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self._numbers = count(1)
        self._parts: dict[int, _Duty] = {}

    @property
    def parts(self) -> Mapping[int, object]:
        """The unsettled parts, by number."""
        return self._parts

    @property
    def outstanding(self) -> int:
        """Number of unsettled parts."""
        return len(self._parts)

    def split(self, ackto: str, parts: int) -> list[int]:
        """Split the event of `ackto` into `parts`, at least one; return their numbers."""
        duty = _Duty(ackto, parts)
        numbers = [next(self._numbers) for _ in range(parts)]
        self._parts.update(dict.fromkeys(numbers, duty))
        return numbers

    def settle(self, acks: Iterable[Ack]) -> list[Verdict]:
        """Settle parts; return the verdicts on those events whose last part was among them.

        One rejected part rejects its event, with the first reason that was given.
        """
        verdicts = []
        for ack in acks:
            duty = self._parts.pop(ack.number, None) if ack.epoch == self.epoch else None
            if duty is None:
                continue  # The part was settled before, or belongs to an earlier epoch.
            duty.left -= 1
            if not ack.done:
                # The source is told only with the last part: until then another one may still run.
                duty.rejected = True
                duty.reason = duty.reason or ack.reason
            if not duty.left:
                verdicts.append(Verdict(duty.ackto, not duty.rejected, duty.reason))
        return verdicts

    def forget(self, epoch: str) -> int:
        """Forget all parts and begin `epoch`; return how many parts were unsettled."""
        forgotten = len(self._parts)
        self._parts.clear()
        # Verdicts on the old lines may still arrive. Their epoch tells them apart.
        self.epoch = epoch
        return forgotten
