"""Replay: events for the changes during an absence, read from a feed, oldest first.

A feed lists the latest change first, but the mark of state.py can only move forward in time. So the
feed is written to an unnamed file, which is then read from its end. In this way memory does not
grow with the length of the absence. The feed is read once more a while later, because its index may
have lacked changes made just before the subscription.

One thread reads the feed. `Replay.start` starts it, `end` tells it to end (which it does after its
current request), and `close` releases everything.
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
from flowtools.core.tracing import start_thread
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
            when: Tells when the resource of a live event was modified.
            ordered: Whether the feed lists the latest change first. Otherwise all of it is read,
                and every change that is not known is replayed, however old.
            lag: Seconds after which the feed is read again.
            retry_for: Seconds for which a feed that cannot be read is tried; None: for ever.
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
        """Ask for what has changed since the mark: there is a subscription."""
        since = self._progress.expect()
        self._ending = Flag()
        args = (since - MARGIN, self._ending)
        start_thread(Thread(target=self._read, args=args, name="replay", daemon=True))

    def end(self) -> None:
        """Stop asking: the subscription has ended, what is outstanding is asked for later."""
        self._ending.set()
        with self._lock:
            self._drop_spools()
        self._progress.expect()

    def close(self) -> None:
        """End; nothing may be called any more."""
        self._ending.set()
        with self._lock:
            self._drop_spools()

    def take(self, most: int) -> list[tuple[Event, int]]:
        """Return up to `most` events that are to be written now.

        Raises:
            UnreachableError: The feed could not be read for as long as it may be tried.
            InternalError: There is a mistake in the reading.
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
        """Note that `event` is to be done; return its token for `done`."""
        replayed = event.attributes.get("replayed") is True
        return self._progress.begin(key_of(event), self._when(event), replayed=replayed)

    def is_repeated(self, event: Event) -> bool:
        """Return whether a live event has been replayed already."""
        return self._progress.is_known(key_of(event), replayed=True)

    def done(self, tokens: Sequence[int]) -> None:
        """Note that the events with these tokens are done; any thread may call."""
        self._progress.done(tokens)
        self._wake.ring()

    def forget(self, token: int) -> None:
        """Discard the event with this token, which is not wanted."""
        self._progress.forget(token)

    def _finish(self) -> None:
        with self._lock:
            self._spools.popleft().close()
            if self._spools:
                self._progress.reach(self._spools[0].oldest)
            else:
                self._progress.fulfil()
        _log.info("%d events were asked for and have been written", self._taken)
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
        """Offer what the feed shows; return the last time in it, None where that cannot be.

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
                self._fail(InternalError(f"cannot ask for what has changed: {error}"))
                return None
            else:
                if said:
                    away = monotonic() - began
                    _log.warning("what has changed can be asked for again, after %.1f s", away)
                self._wake.ring()
                return newest
            if self._retry_for is not None and monotonic() - began >= self._retry_for:
                away = monotonic() - began
                reason = f"cannot ask for what has changed: {reason}; gives up after {away:.0f} s"
                self._fail(UnreachableError(reason))
                return None
            still.begin()
            is_new = reason != said or still.due() is not None
            level = logging.WARNING if is_new else logging.INFO
            _log.log(level, "cannot ask for what has changed: %s; trying again", reason)
            said = reason
            ending.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return None

    def _read_once(self, since: float, ending: Flag) -> float:
        """Read the feed once and offer what it shows; return the last time in it."""
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
            if ending.is_set():
                spool.close()
                return
            if not self._spools:
                self._progress.reach(spool.oldest)
            self._spools.append(spool)

    def _fill(self, spool: Spool, since: float, ending: Flag) -> float:
        """Put what the feed shows into `spool`; return the last time in it."""
        recent: dict[str, None] = {}
        started = monotonic()
        count = 0
        newest = since
        known = self._progress.seen()
        for sights in self._since(since if self._ordered else float("-inf")):
            if ending.is_set():
                break
            for event, when, _ in sights:
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
            if not self._ordered:
                self._progress.drop(known)
        spool.finish()
        _log.info("%d changes found in %.1f s", count, monotonic() - started)
        return newest

    def _since(self, since: float) -> Iterator[list[Sight]]:
        """Yield what is not older than `since`; all, where the feed is in no order."""
        # Not the mark: where somebody has said with --since where to start, nothing need have
        # changed at that time.
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
        """Return the seconds by which the server's clock has gone back; mostly 0.

        Changes made then have a time before the mark, where all counts as done. `last` is an
        earlier time of the server.
        """
        if page.served is None:
            return 0.0
        seconds = self._progress.clock_back(page.served - time())
        if last is not None:
            seconds = max(seconds, min(last, time()) - page.served)
        if seconds <= MARGIN:
            return 0.0
        _log.warning(
            "the server's clock has gone back by %.0f s: what it says has changed since then is"
            " asked for; some of it may come twice",
            seconds,
        )
        return seconds


class _Order:
    """Whether a feed shows the last change first, page by page."""

    def __init__(self, known: float | None) -> None:
        """Nothing of it has been seen; something is known to have changed at `known`."""
        self._known = known
        self._last: float | None = None
        self._is_kept = True

    def is_kept_by(self, times: list[float]) -> bool:
        """Return whether the pages so far are in order, the times of one more among them."""
        if not self._is_kept or not times:
            return self._is_kept
        is_first = self._last is None and self._known is not None
        # A page may show again what the one before has shown, where much is changing meanwhile.
        goes_back = self._last is not None and max(times) > self._last + MARGIN
        if goes_back or not is_descending(times):
            _log.warning("the feed is not in the order of modification: all of it is read")
            self._is_kept = False
        elif is_first and max(times) < min(self._known or 0.0, time()) - MARGIN:
            # It has gone, or stands further on.
            _log.warning(
                "the last change in the feed is older than one that has been seen: all of it is"
                " read"
            )
            self._is_kept = False
        self._last = times[-1]
        return self._is_kept
