"""What the two Viz One sources share: find the monitor link over HTTP, listen over STOMP.

The link is looked up in a thread of its own, so that a signal ends the command even while
a server does not answer; that thread is left behind then, and ends with the process.
"""

import os
import select
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from flowtools.broker import BrokerURL, Message, Settings, parse_url
from flowtools.connection import parse_heart_beat
from flowtools.errors import ProtocolError, RefusedError, UsageError
from flowtools.event import Event, digest, rfc3339
from flowtools.source import Outlet
from flowtools.source.stomp import DRAIN, PREFETCH, GenericStompListener
from flowtools.stop import Stop
from flowtools.vizone.account import Account
from flowtools.vizone.changes import KINDS, Change
from flowtools.vizone.client import Client
from flowtools.vizone.transport import without_user

T = TypeVar("T")


@dataclass(frozen=True)
class Listening:
    """How a source listens; see GenericStompListener for what is not said here.

    Attributes:
        kinds: Which kinds of change become events; messages of others are acknowledged.
        broker: Host and port of the broker, instead of what the monitor link says.
        settings: How to connect to the broker; the login is Viz One's own.
    """

    kinds: frozenset[str] = frozenset(KINDS)
    ack: Literal["pipe", "worker"] = "pipe"
    prefetch: int = PREFETCH
    count: int | None = None
    dead_letter: str | None = None
    drain: float = DRAIN
    broker: tuple[str, int] | None = None
    settings: Settings = field(default_factory=Settings)


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
) -> Listening:
    """Return how to listen for the values of the options.

    Raises:
        UsageError: No kind of change is left, or an option has another form.
    """
    kinds = frozenset(include or KINDS) - frozenset(exclude)
    if not kinds:
        raise UsageError("--include and --exclude leave nothing")
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
    )


def listen(
    account: Account,
    listening: Listening,
    find: Callable[[Client], str],
    to_events: Callable[[Message], Sequence[Event]],
    *,
    outlet: Outlet,
    stop: Stop,
) -> None:
    """Find the monitor link with `find`, and write the events of its messages to `outlet`.

    Raises:
        FlowError: As Client, BrokerURL and GenericStompListener.run.
        ReaderGone: Nobody reads any more.
    """

    def look_up() -> str:
        with Client(account) as client:
            return find(client)

    monitor = _in_thread(look_up, stop)
    if monitor is None:
        return
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
        to_events=to_events,
    )
    source.run(outlet, stop)


def event_id(change: Change, message: Message) -> str:
    """Return an id that a redelivery of the message has, too, and nothing else."""
    version = message.headers.get("etag") or change.when or ""
    if not version and not message.body:
        # Only the broker can tell two such messages apart.
        version = message.headers.get("message-id", "")
    happening = digest(change.kind, version, message.body)
    return f"{change.identity or change.location or 'unknown'}#{happening}"


def event_time(change: Change) -> str | None:
    """Return when the change happened, as RFC 3339 in UTC; None where it does not say."""
    try:
        moment = datetime.fromisoformat(change.when or "")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return rfc3339(moment.timestamp())
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
