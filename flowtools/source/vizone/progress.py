"""How far a source has come: the changes that have been begun, and those that are done.

The mark is the modification time before which every change is done. Changes are done in any order,
so the mark stays before the oldest one that is not done, and the keys of the done ones after it are
remembered: after a restart the feed shows those again, and they are skipped.

While a replay is expected or being read, the mark must not move past changes that it has yet to
bring. So `expect` holds the mark, `reach` lets it advance with the reading, and `fulfil` ends that.

`open` starts the thread that keeps the state file up to date, and `close` ends and joins it. Any
thread may call the other methods.
"""

import time
from collections.abc import Iterable
from threading import Lock

from flowtools.core.errors import ConfigurationError, UnreachableError
from flowtools.source.vizone.state import Kept
from flowtools.source.wholefile import Keeper

MARGIN = 60.0
"""Seconds before the mark at which a replay starts, because clocks and indexes lag."""

MOST_SEEN = 20_000
"""Maximum number of changes that are remembered as done; forgotten ones are reported twice."""

MOST_THERE = 100_000
"""The same limit where all existing resources are remembered."""


class Progress:
    """The changes that have begun, and those that are done, by modification time."""

    def __init__(
        self,
        mark: float,
        seen: dict[str, float],
        file: Kept | None = None,
        *,
        by_time: bool = True,
        clock: float | None = None,
    ) -> None:
        """Start at a position.

        Args:
            mark: The time before which everything is done, in seconds since the epoch.
            seen: The changes after it that are done: their times by their keys.
            file: Keeps the position; None: nothing does.
            by_time: Whether times tell when a resource appeared. If not, only the changes in
                `seen` are done, however old others are.
            clock: Seconds by which the server's clock was ahead of ours when the position was
                kept; None: unknown.
        """
        self._by_time = by_time
        self._clock = clock
        self._most = MOST_SEEN if by_time else MOST_THERE
        self._changed = Lock()
        self._file = file
        self._highest = mark
        self._pending: float | None = None
        self._numbers = 0
        self._outstanding: dict[int, tuple[float, str]] = {}
        self._known: dict[str, int] = {}
        self._replayed: dict[str, float] = {}
        self._seen = dict(seen)
        self._keeper: Keeper | None = None

    @property
    def mark(self) -> float:
        """The time before which nothing is left to do."""
        with self._changed:
            return self._low()

    def open(self) -> None:
        """Start to keep the file up to date; it is written at once.

        Raises:
            ConfigurationError: It cannot be written.
            UnreachableError: It is in a store that cannot be reached.
        """
        if self._file is None:
            return
        try:
            self._save()
        except OSError as error:
            reason = f"cannot write {self._file.name}: {error.strerror}"
            # An OSError without a number comes from the store, which may answer later.
            kind = ConfigurationError if error.errno else UnreachableError
            raise kind(reason) from None
        file = self._file
        keeper = Keeper(file.name, self._save, file.every, lambda: file.is_ours)
        keeper.open()
        self._keeper = keeper

    def close(self) -> None:
        """Write the file a last time."""
        if self._keeper is not None:
            self._keeper.close()
        if self._file is not None:
            self._file.close()

    def expect(self) -> float:
        """Forget the outstanding changes; return the time from which to ask for them again.

        Until `fulfil`, the mark does not move past changes that the feed has yet to bring.
        """
        with self._changed:
            self._highest = self._pending = self._low()
            self._outstanding.clear()
            self._known.clear()
            return self._highest

    def clock_back(self, ahead: float) -> float:
        """Return by how many seconds the server's clock has gone back, now that it is `ahead`.

        A jump of our own clock forward counts the same: only the difference of the two matters.
        """
        with self._changed:
            before, self._clock = self._clock, ahead
        return 0.0 if before is None else before - ahead

    def reach(self, when: float) -> None:
        """Note that the changes which the feed has yet to bring are not older than `when`."""
        with self._changed:
            self._pending = when

    def fulfil(self) -> None:
        """Note that everything expected has been begun."""
        with self._changed:
            self._pending = None
            self._touch()

    def is_known(self, key: str, *, replayed: bool = False) -> bool:
        """Return whether a change has begun or is done; with `replayed`, whether as a replay."""
        with self._changed:
            if replayed:
                return key in self._replayed
            return key in self._known or key in self._seen

    def begin(self, key: str, when: float | None, *, replayed: bool = False) -> int:
        """Note that a change is to be done; return its number, for `done` and `forget`."""
        with self._changed:
            low = self._highest if when is None else when
            # A server's clock that is ahead must not move the mark into the future.
            self._highest = max(self._highest, min(low, time.time()))
            self._numbers += 1
            self._outstanding[self._numbers] = low, key
            self._known[key] = self._known.get(key, 0) + 1
            if replayed and len(self._replayed) < MOST_SEEN:
                self._replayed[key] = low
            return self._numbers

    def done(self, numbers: Iterable[int]) -> None:
        """Note that changes are done; numbers of forgotten changes are ignored."""
        with self._changed:
            for number in numbers:
                when, key = self._outstanding.pop(number, (0.0, ""))
                if not key:
                    continue
                # The same change may be in flight twice, for example if two messages tell of it.
                left = self._known.pop(key) - 1
                if left:
                    self._known[key] = left
                elif len(self._seen) < self._most or key in self._seen:
                    self._seen[key] = when
            self._touch()

    def forget(self, number: int) -> None:
        """Discard a change that was superseded or filtered out; it counts as never begun.

        Either a later change of the same resource replaces it, or it is not wanted. It is not
        remembered as done: if the later change is lost, the feed may show this one again.
        """
        with self._changed:
            _, key = self._outstanding.pop(number, (0.0, ""))
            if not key:
                return
            left = self._known.pop(key) - 1
            if left:
                self._known[key] = left
            else:
                self._replayed.pop(key, None)
            self._touch()

    def seen(self) -> set[str]:
        """Return the keys of the changes that are remembered as done."""
        with self._changed:
            return set(self._seen)

    @property
    def last_seen(self) -> float | None:
        """The time of the latest change that is remembered as done; None: there is none."""
        with self._changed:
            return max(self._seen.values(), default=None)

    def drop(self, keys: Iterable[str]) -> None:
        """Forget these keys, whose resources do not exist any more."""
        with self._changed:
            for key in keys:
                self._seen.pop(key, None)
            self._touch()

    def _low(self) -> float:
        # Not past a change that has begun, nor past one that a replay has yet to bring.
        times = [when for when, _ in self._outstanding.values()]
        if self._pending is not None:
            times.append(self._pending)
        return min([self._highest, *times])

    def _touch(self) -> None:
        if self._keeper is not None:
            self._keeper.touch()
        # With a file, saving it forgets.
        if self._file is None and len(self._seen) >= self._most:
            self._forget(self._low() - MARGIN)

    def _forget(self, before: float) -> None:
        if not self._by_time and len(self._seen) < self._most:
            return
        self._seen = {key: when for key, when in self._seen.items() if when >= before}
        self._replayed = {key: when for key, when in self._replayed.items() if when >= before}

    def _save(self) -> None:
        assert self._file is not None
        with self._changed:
            mark = self._low()
            self._forget(mark - MARGIN)
            seen = dict(self._seen)
            clock = self._clock
        self._file.save(mark, seen, clock)
