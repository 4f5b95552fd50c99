"""The run of both Viz One sources: find the monitor link over HTTP, then listen over STOMP.

The order of the steps matters. With --standby the listener waits for the lease first. It reads its
position before it subscribes, so that no change lies between the two: messages bring what comes
later, and a replay, which begins once the broker has accepted the subscription, what came earlier.
Changes that both bring are recognised by their keys.

The link is looked up in a thread of its own, so that a signal ends the command even while the
server does not answer. In that case the thread is abandoned, and ends with the process.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from threading import Thread
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from flowtools.core.errors import (
    FlowError,
    ProtocolError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from flowtools.core.event import Event
from flowtools.core.lines import LineWriter
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.reminder import Reminder
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop, Wake, wait
from flowtools.process.vitals import vitals
from flowtools.source.again import of_viz_one
from flowtools.source.stomp import GenericStompListener
from flowtools.source.vizone.entries import modified
from flowtools.source.vizone.lease import Held, Lease, LeaseLost, guarded
from flowtools.source.vizone.listening import Listening, with_login
from flowtools.source.vizone.passage import Passage, Stage
from flowtools.source.vizone.progress import MARGIN, Progress
from flowtools.source.vizone.replay import Replay
from flowtools.source.vizone.shown import Shown
from flowtools.source.vizone.state import Kept, Position, StateFile
from flowtools.source.vizone.stored import StoredState, name_in_store
from flowtools.stomp.message import Message
from flowtools.stomp.url import BrokerURL, parse_url
from flowtools.vizone.account import Account
from flowtools.vizone.client import Client

T = TypeVar("T")

AGAIN = 3.0
"""Seconds that a listener which could not work waits before it tries to take the lease again."""

ASKING = 10.0
"""Time-out of a request for the monitor link before a reconnect, in seconds."""

_log = get_log("flowtools.source.stomp")


class RunningStage(Stage, Protocol):
    """A stage that has threads."""

    def start(self) -> None:
        """Start the threads."""

    def close(self) -> None:
        """Tell the threads to end, without waiting for them."""


def listen(
    account: Account,
    listening: Listening,
    find: Callable[[Client], str],
    to_events: Callable[[Message], Sequence[Event]],
    shown: Shown,
    make_stage: Callable[[], RunningStage | None] = lambda: None,
    *,
    outlet: Outlet,
    stop: Stop,
) -> None:
    """Find the monitor link with `find`, and write the events of its messages to `outlet`.

    The events pass the stage that `make_stage` returns, if any. With a lease, the listener waits
    for it first, and again after it has been lost.

    Raises:
        FlowError: As Client, BrokerURL and GenericStompListener.run.
        ReaderGone: Nobody reads any more.
    """

    def work(lease: Lease | None, outlet: Outlet, stop: Stop) -> None:
        found = _in_thread(lambda: _look_up(account, listening, find, shown, lease), stop)
        if found is not None:
            _work(account, listening, find, to_events, shown, make_stage(), found, outlet, stop)

    if listening.standby is None:
        work(None, outlet, stop)
        return
    lease = Lease(account, listening.standby)
    own = guarded(outlet, lease)
    with ExitStack() as ending:
        ending.callback(lease.close)
        ending.enter_context(vitals.providing(is_holder=lambda: float(lease.is_held)))
        if isinstance(own, LineWriter):
            vitals.provide("events_out", lambda: own.emitted)
            vitals.provide_moment(lambda: own.written_at)
        _take_turns(lease, lambda term: work(lease, own, term), own, stop)


def _take_turns(lease: Lease, work: Callable[[Stop], None], own: Outlet, stop: Stop) -> None:
    """Run `work`, with a stop of its own, whenever `lease` is held, until it ends by itself."""
    while lease.acquire(stop):
        held = Held(lease, stop)
        passing: FlowError | None = None
        try:
            work(held.stop)
        except LeaseLost as error:
            _log.info("%s", error)
        except (UnreachableError, ProtocolError, RefusedError) as error:
            # A listener that could take the lease has a valid login, so this error may be
            # temporary; and another listener may be able to work meanwhile.
            passing = error
        finally:
            held.close()
        if isinstance(own, LineWriter):
            own.drop()  # Events of a term that is over: the next holder asks for them again.
        if passing is None and lease.is_held:
            return
        lease.release()
        if passing is not None:
            _log.warning("cannot work: %s; another listener may take over", passing)
            stop.wait(AGAIN)


def _work(
    account: Account,
    listening: Listening,
    find: Callable[[Client], str],
    to_events: Callable[[Message], Sequence[Event]],
    shown: Shown,
    stage: RunningStage | None,
    found: "Found",
    outlet: Outlet,
    stop: Stop,
) -> None:
    """Listen, from where `found` says."""
    monitor, file, begun = found
    with ExitStack() as ending:
        replay = None
        if begun is not None:
            mark, seen, clock = begun
            progress = Progress(mark, seen, file, by_time=shown.ordered, clock=clock)
            replay = Replay(
                progress,
                lambda: shown.read(account),
                shown.look,
                modified,
                ordered=shown.ordered,
                retry_for=listening.settings.retry_for,
            )
            ending.callback(replay.close)
            progress.open()
            ending.callback(progress.close)
        if stage is not None:
            stage.start()
            ending.callback(stage.close)
        monitors = _Monitors(account, listening, find)
        _source(account, listening, monitor, to_events, replay, stage, monitors).run(outlet, stop)


Found = tuple[str, Kept | None, Position | None]
"""The monitor link, the keeper of the position (if any), and the position to start from."""


def _look_up(
    account: Account,
    listening: Listening,
    find: Callable[[Client], str],
    shown: Shown,
    lease: Lease | None,
) -> Found:
    file: StateFile | StoredState | None = None
    in_store = name_in_store(listening.state)
    if in_store is not None:
        may_write = (lambda: True) if lease is None else (lambda: lease.is_held)
        file = StoredState(account, in_store, shown.of, may_write)
    elif listening.state:
        file = StateFile(listening.state, shown.of, account.url)
    begun = file.load() if file is not None else None
    with Client(account) as client:
        monitor = find(client)
        if begun is None and listening.since is not None:
            # A replay begins MARGIN before the mark, so this one begins at `since`.
            begun = listening.since + MARGIN, shown.before(client, listening.since), None
        elif begun is None and file is not None:
            begun = (*shown.present(client), None)
    return monitor, file, begun


def _source(
    account: Account,
    listening: Listening,
    monitor: str,
    to_events: Callable[[Message], Sequence[Event]],
    replay: Replay | None,
    stage: Stage | None,
    monitors: "_Monitors",
) -> GenericStompListener:
    def fresh(message: Message) -> Sequence[Event]:
        events = to_events(message)
        if replay is None:
            return events
        return [each for each in events if not replay.is_repeated(each)]

    return GenericStompListener(
        broker_url(monitor, account, listening.broker),
        with_login(listening.settings, account),
        ack=listening.ack,
        prefetch=listening.prefetch,
        count=listening.count,
        dead_letter=listening.dead_letter,
        drain=listening.drain,
        to_events=fresh,
        inlet=listening.inlet,
        detour=Passage(stage, replay, listening.prefetch) if stage or replay else None,
        again=of_viz_one(replays=replay is not None, has_state=listening.state is not None),
        relocate=monitors.now,
    )


class _Monitors:
    """Looks up the monitor link again: a server may have moved its broker or its destination."""

    def __init__(
        self, account: Account, listening: Listening, find: Callable[[Client], str]
    ) -> None:
        self._account = account
        self._broker = listening.broker
        self._find = find
        self._said = ""
        self._still = Reminder()

    def now(self, stop: Stop) -> BrokerURL | None:
        """Return the present address of the broker; None if it cannot be found out.

        A failure is reported when it begins, and again at growing intervals.
        """
        try:
            url = _in_thread(self._ask, stop)
        except FlowError as error:
            self._still.begin()
            if str(error) != self._said or self._still.due() is not None:
                self._said = str(error)
                _log.warning(
                    "cannot refresh the monitor link: %s; keeping the current broker", error
                )
            return None
        self._said = ""
        self._still.end()
        return url

    def _ask(self) -> BrokerURL:
        # One short try only: if nothing has changed, the broker may be back already.
        with Client(self._account, seconds=ASKING, pauses=()) as client:
            return broker_url(self._find(client), self._account, self._broker)


def broker_url(monitor: str, account: Account, override: tuple[str, int] | None) -> BrokerURL:
    """Return the address of the broker that the link `monitor` leads to.

    Raises:
        ProtocolError: The link is not the address of a broker.
        RefusedError: It leads to another host than Viz One's, and there is no `override`.
    """
    try:
        url = replace(parse_url(monitor), user=None)
    except UsageError as error:
        raise ProtocolError(f"cannot use the monitor link: {error}") from None
    if override is not None:
        return replace(url, hosts=(override,))
    # The login is Viz One's own. A link that somebody has changed must not send it elsewhere.
    home = urlsplit(account.url).hostname
    for host, port in url.hosts:
        if host.lower() != home:
            raise RefusedError(
                f"cannot send the login to the broker at '{host}:{port}', where the monitor"
                f" link leads: it is another host than '{account.url}'; if it is yours, give"
                f" --broker {host}:{port}"
            )
    return url


def _in_thread(work: Callable[[], T], stop: Stop) -> T | None:
    """Return what `work` returns, or raise what it raises; None once `stop` is set."""
    results: list[T] = []
    errors: list[BaseException] = []
    done = Wake()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  it is raised in the other thread
            errors.append(error)
        done.ring()

    thread = Thread(target=run, name="find-monitor", daemon=True)
    start_thread(thread)
    wait(done, stop)
    if not results and not errors:
        return None  # Stopped; `done` stays open for the thread.
    thread.join()
    done.close()
    if errors:
        raise errors[0]
    return results[0]
