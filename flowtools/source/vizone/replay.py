"""Replay: events for the changes during an absence, read from a feed, oldest first.

A feed lists the latest change first, but the mark of progress.py can only move forward in time. So
the feed is written to an unnamed file, which is then read from its end. In this way memory does not
grow with the length of the absence. The feed is read once more a while later, because its index may
have lacked changes made just before the subscription.

Messages arrive while the feed is read, about the same changes perhaps. Every event has a key, and a
change that has begun or is done is known by it: the second of a message and a replayed event is
dropped, whichever comes first.

One thread reads the feed. `Replay.start` starts it, `end` tells it to end (which it does after its
current request), and `close` releases everything. A thread of an earlier session may still be in a
request when the next begins. Each thread has a flag of its own, so what it then finds is dropped.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic, time

from flowtools.core.errors import FlowError, InternalError, UnreachableError
from flowtools.core.event import Event
from flowtools.core.log import get_log
from flowtools.core.reminder import Reminder
from flowtools.core.text import counted
from flowtools.core.threads import start_thread
from flowtools.core.wait import Wake
from flowtools.source.vizone.entries import key_of
from flowtools.source.vizone.progress import MARGIN, Progress
from flowtools.source.vizone.shown import Sight, is_descending
from flowtools.source.vizone.spool import Spool
from flowtools.vizone.atom import Feed

LONGEST_PAUSE = 30.0
"""Maximum pause before a feed that could not be read is tried again, in seconds."""

LAG = 20.0
"""Seconds after which the feed is read again, because a search index may lag by that much."""

_RECENT = 5000
"""Number of changes that are remembered while a feed is read, in case a page repeats them."""

_log = get_log("flowtools.source.vizone.replay")


class Replay:
    """Reads the missed changes from a feed each time that a subscription begins.

    Its file descriptor becomes readable when there may be something to `take`.
    """

    def __init__(
        self,
        progress: Progress,
        pages: Callable[[], Iterable[Feed]],
        look: Callable[[Feed], Sequence[Sight]],
        when: Callable[[Event], float | None],
        *,
        ordered: bool = True,
        lag: float = LAG,
        retry_for: float | None = None,
    ) -> None:
        """Prepare.

        Args:
            progress: The record of the changes that are done.
            pages: Reads the pages of the feed, latest change first.
            look: Returns the changes that a page shows.
            when: Returns when the resource of a live event was modified; None if unknown.
            ordered: Whether the feed lists the latest change first. Otherwise all of it is read,
                and every change that is not known is replayed, however old.
            lag: Seconds after which the feed is read again.
            retry_for: Seconds after which a feed that cannot be read is given up; None: never.
        """
        self._progress = progress
        self._pages = pages
        self._look = look
        self._when = when
        self._ordered = ordered
        self._lag = lag
        self._retry_for = retry_for
        self._wake = Wake()
        self._lock = Lock()
        self._spools: deque[Spool] = deque()
        self._error: FlowError | None = None
        self._ending = Flag()
        self._taken = 0

    def fileno(self) -> int:
        """Return the file descriptor to poll for reading."""
        return self._wake.fileno()

    def start(self) -> None:
        """Read the changes since the mark; call it once the subscription has been accepted."""
        since = self._progress.expect()
        self._ending = Flag()
        args = (since - MARGIN, self._ending)
        start_thread(Thread(target=self._read, args=args, name="replay", daemon=True))

    def end(self) -> None:
        """Stop reading, because the subscription has ended; the next one asks for the rest."""
        self._ending.set()
        with self._lock:
            self._drop_spools()
        self._progress.expect()

    def close(self) -> None:
        """End; no method may be called after this."""
        self._ending.set()
        with self._lock:
            self._drop_spools()

    def take(self, most: int) -> list[tuple[Event, int]]:
        """Return up to `most` events that can be written now.

        Raises:
            UnreachableError: The feed could not be read within the time for retries.
            InternalError: Reading the feed raised an unexpected exception.
        """
        self._wake.clear()
        # An error is raised once: after it, the feed is tried anew.
        error, self._error = self._error, None
        if error is not None:
            raise error
        events: list[tuple[Event, int]] = []
        while self._spools and len(events) < most:
            taken = self._spools[0].take()
            if taken is None:
                self._finish()
                continue
            event, oldest = taken
            if not self._progress.is_known(key_of(event)):
                event.attributes["replayed"] = True
                events.append((event, self.begin(event)))
                self._taken += 1
            # Only after `begin`: from here on the mark may move past all that has not begun.
            self._progress.reach(oldest)
        if self._spools and most > 0:
            self._wake.ring()
        return events

    def begin(self, event: Event) -> int:
        """Note that `event` is to be done; return its number, for `done`."""
        replayed = event.attributes.get("replayed") is True
        return self._progress.begin(key_of(event), self._when(event), replayed=replayed)

    def is_repeated(self, event: Event) -> bool:
        """Return whether a live event has been replayed already."""
        return self._progress.is_known(key_of(event), replayed=True)

    def done(self, numbers: Sequence[int]) -> None:
        """Note that the events with these numbers are done; any thread may call."""
        self._progress.done(numbers)
        # The window of replayed events may have room again: `take` is called at the next wake-up.
        self._wake.ring()

    def forget(self, number: int) -> None:
        """Discard the event with this number, which is not wanted."""
        self._progress.forget(number)

    def _finish(self) -> None:
        with self._lock:
            self._spools.popleft().close()
            if self._spools:
                self._progress.reach(self._spools[0].oldest)
            else:
                self._progress.fulfil()
        _log.info("%s been replayed", counted(self._taken, "event", "has", "have"))
        self._taken = 0

    def _drop_spools(self) -> None:
        while self._spools:
            self._spools.popleft().close()

    def _read(self, since: float, ending: Flag) -> None:
        newest = self._try_to_read(since, ending)
        if newest is not None and not ending.wait(self._lag):
            again = max(since, newest - MARGIN, self._progress.mark - MARGIN)
            self._try_to_read(again, ending)

    def _try_to_read(self, since: float, ending: Flag) -> float | None:
        """Read the feed and offer its changes; return the latest time in it, or None on failure.

        The listener has logged in before, so every error now may be temporary: a login is refused
        while users are moved, a feed is not found while an index is rebuilt, and a proxy shows an
        HTML page.
        """
        pause = 0.5
        began, said, still = monotonic(), "", Reminder()
        while not ending.is_set():
            try:
                newest = self._read_once(since, ending)
            except FlowError as error:
                reason = str(error)
            except OSError as error:
                reason = f"no temporary file: {error.strerror}; TMPDIR says where that is"
            except Exception as error:  # noqa: BLE001  it is raised in the other thread
                _log.exception("an internal error in the reading of a feed")
                self._fail(InternalError(f"cannot read the missed changes: {error}"))
                return None
            else:
                if said:
                    away = monotonic() - began
                    _log.warning("the missed changes can be read again, after %.1f s", away)
                self._wake.ring()
                return newest
            if self._retry_for is not None and monotonic() - began >= self._retry_for:
                away = monotonic() - began
                reason = f"cannot read the missed changes: {reason}; gives up after {away:.0f} s"
                self._fail(UnreachableError(reason))
                return None
            still.begin()
            is_new = reason != said or still.due() is not None
            level = logging.WARNING if is_new else logging.INFO
            _log.log(level, "cannot read the missed changes: %s; trying again", reason)
            said = reason
            ending.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return None

    def _read_once(self, since: float, ending: Flag) -> float:
        """Read the feed once and offer its changes; return the latest time in it."""
        spool = Spool()
        try:
            newest = self._fill(spool, since, ending)
        except BaseException:
            spool.close()
            raise
        self._offer(spool, ending)
        return newest

    def _fail(self, error: FlowError) -> None:
        self._error = error
        self._wake.ring()

    def _offer(self, spool: Spool, ending: Flag) -> None:
        with self._lock:
            # Under the lock: after `end` has dropped the spools, nobody would close this one.
            if ending.is_set():
                spool.close()
                return
            if not self._spools:
                self._progress.reach(spool.oldest)
            self._spools.append(spool)

    def _fill(self, spool: Spool, since: float, ending: Flag) -> float:
        """Put the changes that the feed shows into `spool`; return the latest time in it."""
        recent: dict[str, None] = {}
        started = monotonic()
        count = 0
        newest = since
        known = self._progress.seen()
        for sights in self._since(since if self._ordered else float("-inf")):
            if ending.is_set():
                break
            for event, when, _ in sights:
                # A server's clock may be ahead: the next reading must not begin in the future.
                newest = max(newest, min(when or since, time()))
                if event is None:
                    continue
                key = key_of(event)
                known.discard(key)
                if key in recent or self._progress.is_known(key):
                    continue
                recent[key] = None
                if len(recent) > _RECENT:
                    del recent[next(iter(recent))]
                spool.put(event, since if when is None else when)
                count += 1
        else:
            # All of the feed has been read, so what it does not show does not exist any more.
            if not self._ordered:
                self._progress.drop(known)
        spool.finish()
        _log.info("%s found in %.1f s", counted(count, "change"), monotonic() - started)
        return newest

    def _since(self, since: float) -> Iterator[list[Sight]]:
        """Yield the changes since `since`, page by page; all, if the feed is not in order."""
        # Not the mark: it may come from --since, when no change need have that time.
        last = self._progress.last_seen
        order = _Order(last) if self._ordered else None
        for number, page in enumerate(self._pages()):
            if number == 0 and self._ordered:
                since -= self._gone_back(page, last)
            sights = self._look(page)
            yield [each for each in sights if each.when is None or each.when >= since]
            if order is not None:
                times = [each.when for each in sights if each.in_order and each.when is not None]
                if order.is_kept_by(times) and times and max(times) < since:
                    return

    def _gone_back(self, page: Feed, last: float | None) -> float:
        """Return the seconds by which the server's clock has gone back; 0 if it has not.

        Changes made since then have a time before the mark, so they would count as done. `last` is
        an earlier time of the server.
        """
        if page.served is None:
            return 0.0
        seconds = self._progress.clock_back(page.served - time())
        if last is not None:
            seconds = max(seconds, min(last, time()) - page.served)
        if seconds <= MARGIN:
            return 0.0
        _log.warning(
            "the server's clock has gone back by %.0f s: reading all changes since then; some of"
            " them may come twice",
            seconds,
        )
        return seconds


class _Order:
    """Checks, page by page, whether a feed shows the latest change first.

    Only then may the reading end at the first page that is too old.
    """

    def __init__(self, known: float | None) -> None:
        """Prepare; `known` is the time of a change that was seen before, if there was one."""
        self._known = known
        self._last: float | None = None
        self._is_kept = True

    def is_kept_by(self, times: list[float]) -> bool:
        """Return whether the pages so far are in order, including one more with these times."""
        if not self._is_kept or not times:
            return self._is_kept
        is_first = self._last is None and self._known is not None
        # A page may repeat entries of the page before, if changes were added in front meanwhile.
        goes_back = self._last is not None and max(times) > self._last + MARGIN
        if goes_back or not is_descending(times):
            _log.warning("the feed is not in the order of modification: reading all of it")
            self._is_kept = False
        elif is_first and max(times) < min(self._known or 0.0, time()) - MARGIN:
            # That change is on a later page, or it was deleted.
            _log.warning(
                "the latest change in the feed is older than one that was seen before: reading all"
                " of it"
            )
            self._is_kept = False
        self._last = times[-1]
        return self._is_kept
