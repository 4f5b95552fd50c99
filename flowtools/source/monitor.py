"""What the two Viz One sources share: find the monitor link over HTTP, listen over STOMP.

The link is looked up in a thread of its own, so that a signal ends the command even while
a server does not answer; that thread is left behind then, and ends with the process.
"""

import os
import re
import select
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from flowtools.acksocket import AckInlet, AckSocket
from flowtools.broker import BrokerURL, Message, Settings, parse_url
from flowtools.connection import parse_heart_beat
from flowtools.errors import ProtocolError, RefusedError, UsageError
from flowtools.event import Event, digest, rfc3339
from flowtools.source import Outlet
from flowtools.source.replay import Replay, key_of
from flowtools.source.state import MARGIN, Progress, StateFile
from flowtools.source.stomp import DRAIN, PREFETCH, GenericStompListener
from flowtools.stop import Stop
from flowtools.vizone.account import Account
from flowtools.vizone.atom import Feed
from flowtools.vizone.changes import KINDS, Change, changes_in
from flowtools.vizone.client import Client
from flowtools.vizone.document import serialise
from flowtools.vizone.transport import without_user

T = TypeVar("T")


@dataclass(frozen=True)
class Listening:
    """How a source listens; see GenericStompListener for what is not said here.

    Attributes:
        kinds: Which kinds of change become events; messages of others are acknowledged.
        broker: Host and port of the broker, instead of what the monitor link says.
        settings: How to connect to the broker; the login is Viz One's own.
        state: The file that keeps how far the listener has come.
        since: Ask first for what has changed since (seconds since the epoch; 0: all).
        inlet: Makes what receives acknowledgements.
    """

    kinds: frozenset[str] = frozenset(KINDS)
    ack: Literal["pipe", "worker"] = "pipe"
    prefetch: int = PREFETCH
    count: int | None = None
    dead_letter: str | None = None
    drain: float = DRAIN
    broker: tuple[str, int] | None = None
    settings: Settings = field(default_factory=Settings)
    state: str | None = None
    since: float | None = None
    inlet: Callable[[], AckInlet] = AckSocket

    def wants_replayed(self, kind: str) -> bool:
        """Return whether a change that a feed shows is wanted: it does not tell all kinds."""
        return kind in self.kinds or (
            kind == "changed" and not self.kinds.isdisjoint(("created", "updated"))
        )


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


def listening_from(
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    ack: Literal["pipe", "worker"],
    prefetch: int,
    count: int | None,
    dead_letter: str | None,
    drain: float,
    broker: str | None,
    heart_beat: str,
    connect_timeout: float,
    retry_for: float | None,
    state: str | None = None,
    since: str | None = None,
    everything: bool = False,
) -> Listening:
    """Return how to listen for the values of the options.

    Raises:
        UsageError: No kind of change is left, or an option has another form.
    """
    kinds = frozenset(include or KINDS) - frozenset(exclude)
    if not kinds:
        raise UsageError("--include and --exclude leave nothing")
    if since is not None and everything:
        raise UsageError("--since and the option for all that is there exclude each other")
    settings = Settings(
        heart_beat=parse_heart_beat(heart_beat),
        connect_timeout=connect_timeout,
        retry_for=retry_for,
    )
    return Listening(
        kinds=kinds,
        ack=ack,
        prefetch=prefetch,
        count=count,
        dead_letter=dead_letter,
        drain=drain,
        broker=parse_url(f"stomp://{broker}").hosts[0] if broker else None,
        settings=settings,
        state=state,
        since=0.0 if everything else parse_since(since) if since is not None else None,
    )


def parse_since(text: str) -> float:
    """Return the moment (seconds since the epoch) of an RFC 3339 time, or of so long ago.

    Raises:
        UsageError: It is neither.
    """
    ago = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)(s|m|h|d)", text.strip())
    if ago:
        return time.time() - float(ago[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[ago[2]]
    moment = _instant(text)
    if moment is None:
        raise UsageError(
            f"cannot start from '{text}': expected a time such as"
            " 2026-01-31T12:00:00Z, or so long ago such as 90s, 30m, 2h, 7d"
        )
    return moment


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


def event_id(change: Change, message: Message) -> str:
    """Return an id that a redelivery of the message has, too, and a feed's entry of it.

    That takes a version that both carry: the time of the change. Where there is none, the
    message itself counts.
    """
    name = change.identity or change.location or "unknown"
    if change.when:
        return f"{name}#{digest('deleted' if change.kind == 'deleted' else '', change.when)}"
    version = message.headers.get("etag") or ""
    if not version and not message.body:
        # Only the broker can tell two such messages apart.
        version = message.headers.get("message-id", "")
    return f"{name}#{digest(change.kind, version, message.body)}"


def event_time(change: Change) -> str | None:
    """Return when the change happened, as RFC 3339 in UTC; None where it does not say."""
    moment = _instant(change.when)
    return None if moment is None else rfc3339(moment)


def modified(event: Event) -> float | None:
    """Return when the resource of `event` was modified, as its entry says."""
    updated: Any = event.get("updated")
    return _instant(updated)


def _instant(text: str | None) -> float | None:
    try:
        moment = datetime.fromisoformat((text or "").strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def links_of(change: Change) -> dict[str, str]:
    """Return the addresses of the entry's links by relation; the first of each counts."""
    found: dict[str, str] = {}
    for link in change.entry.links if change.entry else ():
        found.setdefault(link.rel, without_user(link.href))
    if change.location:
        found.setdefault("self", without_user(change.location))
    return found


def public_headers(message: Message) -> Mapping[str, str]:
    """Return the headers of the message but for those that only serve its delivery."""
    delivery = {"ack", "subscription", "content-length", "receipt"}
    return {name: value for name, value in message.headers.items() if name not in delivery}


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
