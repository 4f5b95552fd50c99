"""What the two Viz One sources share: find the monitor link over HTTP, listen over STOMP.

The link is looked up in a thread of its own, so that a signal ends the command even while
a server does not answer; that thread is left behind then, and ends with the process.
"""

import os
import select
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import TypeVar
from urllib.parse import urlsplit

from flowtools.broker import BrokerURL, Message, parse_url
from flowtools.errors import ProtocolError, RefusedError, UsageError
from flowtools.event import Event
from flowtools.source import Outlet
from flowtools.source.entries import modified
from flowtools.source.listening import Listening
from flowtools.source.progress import MARGIN, Progress
from flowtools.source.replay import Replay, key_of
from flowtools.source.state import StateFile
from flowtools.source.stomp import GenericStompListener
from flowtools.stop import Stop
from flowtools.vizone.account import Account
from flowtools.vizone.atom import Feed
from flowtools.vizone.changes import Change, changes_in
from flowtools.vizone.client import Client
from flowtools.vizone.document import serialise

T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """What the feed shows of the resources that are listened to.

    Attributes:
        of: What to call them in the state file.
        pages: Reads the feed.
        to_event: Makes the event of a change that it shows; None: not wanted.
        ordered: Whether the last change comes first.
    """

    of: str
    pages: Callable[[Client], Iterable[Feed]]
    to_event: Callable[[Change, Message], Event | None]
    ordered: bool = True

    def dated(self, feed: Feed) -> list[tuple[Event, float | None]]:
        """Return the events of one page, and when each resource was modified."""
        found = []
        for change in changes_in(feed):
            body = serialise(change.entry.element) if change.entry and not change.when else b""
            event = self.to_event(change, Message({}, body))
            if event is not None:
                found.append((event, modified(event)))
        return found


def listen(
    account: Account,
    listening: Listening,
    find: Callable[[Client], str],
    to_events: Callable[[Message], Sequence[Event]],
    shown: Shown,
    *,
    outlet: Outlet,
    stop: Stop,
) -> None:
    """Find the monitor link with `find`, and write the events of its messages to `outlet`.

    Raises:
        FlowError: As Client, BrokerURL and GenericStompListener.run.
        ReaderGone: Nobody reads any more.
    """
    file = StateFile(listening.state, shown.of, account.url) if listening.state else None
    kept = file.load() if file is not None else None
    if kept is None and listening.since is not None:
        # What is older than the mark by the margin is what is not asked for.
        kept = (listening.since + MARGIN, {})

    def look_up() -> tuple[str, tuple[float, dict[str, float]]]:
        with Client(account) as client:
            monitor = find(client)
            if kept is not None or file is None:
                return monitor, kept or (0.0, {})
            return monitor, _present(shown, client)

    found = _in_thread(look_up, stop)
    if found is None:
        return
    monitor, begun = found
    if file is None and kept is None:
        _listen(account, listening, monitor, to_events, None, outlet=outlet, stop=stop)
        return
    progress = Progress(*begun, file)
    replay = Replay(
        progress,
        lambda: _pages(account, shown),
        shown.dated,
        modified,
        ordered=shown.ordered,
    )
    progress.open()
    try:
        _listen(account, listening, monitor, to_events, replay, outlet=outlet, stop=stop)
    finally:
        progress.close()
        replay.close()


def _pages(account: Account, shown: Shown) -> Iterable[Feed]:
    with Client(account) as client:
        yield from shown.pages(client)


def _present(shown: Shown, client: Client) -> tuple[float, dict[str, float]]:
    """Return where a first run starts: at the last change there is now."""
    seen: dict[str, float] = {}
    newest = 0.0
    for page in shown.pages(client):
        dated = [(key_of(event), when) for event, when in shown.dated(page) if when is not None]
        newest = max([newest, *(when for _, when in dated)])
        seen |= dated
        if shown.ordered and any(when < newest - MARGIN for _, when in dated):
            break
    return newest, {key: when for key, when in seen.items() if when >= newest - MARGIN}


def _listen(
    account: Account,
    listening: Listening,
    monitor: str,
    to_events: Callable[[Message], Sequence[Event]],
    replay: Replay | None,
    *,
    outlet: Outlet,
    stop: Stop,
) -> None:
    def fresh(message: Message) -> Sequence[Event]:
        events = to_events(message)
        if replay is None:
            return events
        return [each for each in events if not replay.is_repeated(each)]

    ours = listening.settings
    source = GenericStompListener(
        _broker_url(monitor, account, listening.broker),
        replace(
            ours,
            user=account.user,
            password=account.password,
            ca_file=Path(account.ca_file) if account.ca_file else ours.ca_file,
            insecure=account.insecure,
        ),
        ack=listening.ack,
        prefetch=listening.prefetch,
        count=listening.count,
        dead_letter=listening.dead_letter,
        drain=listening.drain,
        to_events=fresh,
        keeper=replay,
        inlet=listening.inlet,
    )
    source.run(outlet, stop)


def _broker_url(monitor: str, account: Account, override: tuple[str, int] | None) -> BrokerURL:
    try:
        url = replace(parse_url(monitor), user=None)
    except UsageError as error:
        raise ProtocolError(f"cannot use the monitor link: {error}") from None
    if override is not None:
        return replace(url, hosts=(override,))
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
    done = os.eventfd(0, os.EFD_CLOEXEC)

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  it is raised in the other thread
            errors.append(error)
        os.eventfd_write(done, 1)

    thread = Thread(target=run, name="find-monitor", daemon=True)
    thread.start()
    poller = select.poll()
    poller.register(done, select.POLLIN)
    poller.register(stop.fileno(), select.POLLIN)
    poller.poll()
    if not results and not errors:
        return None  # Stopped; `done` stays open for the thread.
    thread.join()
    os.close(done)
    if errors:
        raise errors[0]
    return results[0]
