"""The options that the two Viz One sources share."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from flowtools.ack.receiver import AckInlet, AckSocket
from flowtools.core.errors import UsageError
from flowtools.core.kind import OF_VIZ_ONE, Kind, chosen
from flowtools.core.times import instant
from flowtools.source.settings import Taking
from flowtools.source.vizone.stored import checked_name, name_in_store
from flowtools.stomp.settings import Settings
from flowtools.stomp.url import parse_url
from flowtools.vizone.account import Account


@dataclass(frozen=True)
class Listening:
    """The options of a listener; GenericStompListener explains those that are not listed here.

    Attributes:
        kinds: Kinds of change that become events; messages of other kinds are only acknowledged.
        broker: Host and port of the broker, instead of those in the monitor link.
        hosts: Further hosts, each HOST or HOST:PORT, that may be asked if a link leads there.
        settings: How to connect to the broker; the login is that of Viz One.
        state: Path of the file that keeps the listener's progress, or store:NAME for a value in Viz
            One's store for programs.
        standby: Name of the lease: one of the listeners with this name works, the others wait.
        since: Time from which to replay changes first, in seconds since the epoch; 0: all. None:
            begin at the position of the state, or else now.
        inlet: Makes the receiver of acknowledgements.
    """

    kinds: frozenset[Kind] = frozenset(OF_VIZ_ONE)
    ack: Literal["pipe", "worker"] = Taking.ack
    prefetch: int = Taking.prefetch
    count: int | None = None
    dead_letter: str | None = None
    drain: float = Taking.drain
    broker: tuple[str, int] | None = None
    hosts: frozenset[str] = frozenset()
    settings: Settings = field(default_factory=Settings)
    state: str | None = None
    since: float | None = None
    standby: str | None = None
    inlet: Callable[[], AckInlet] = AckSocket

    def wants_replayed(self, kind: Kind | None) -> bool:
        """Return whether a change from a feed is wanted."""
        # A feed shows creations and updates alike, as changes.
        return kind in self.kinds or (
            kind is Kind.CHANGED and not self.kinds.isdisjoint((Kind.CREATED, Kind.UPDATED))
        )


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
    heart_beat: tuple[float, float],
    connect_timeout: float,
    retry_for: float | None,
    state: str | None = None,
    since: str | None = None,
    everything: bool = False,
    allow_hosts: Sequence[str] = (),
    standby: str | None = None,
) -> Listening:
    """Return how to listen, from the values of the options.

    Raises:
        UsageError: No kind of change is left, two options contradict each other, or the value of
            an option is malformed.
    """
    kinds = chosen(OF_VIZ_ONE, include, exclude)
    if since is not None and everything:
        raise UsageError("--since and --all (or --existing) exclude each other")
    in_store = name_in_store(state)
    if standby is not None:
        checked_name("--standby", standby)
        if in_store is None:
            raise UsageError(
                "--standby needs --state store:NAME, so that another listener can go on from the"
                " position of this one"
            )
    settings = Settings(
        heart_beat=heart_beat,
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
        hosts=frozenset(each.lower() for each in allow_hosts),
        settings=settings,
        state=state,
        standby=standby,
        # 0 is the epoch, and so before every change: the replay brings all there is.
        since=0.0 if everything else parse_since(since) if since is not None else None,
    )


def with_login(settings: Settings, account: Account) -> Settings:
    """Return `settings` with the login and trusted certificates of `account`."""
    return replace(
        settings,
        user=account.user,
        password=account.password,
        password_file=Path(account.password_file) if account.password_file else None,
        ca_file=Path(account.ca_file) if account.ca_file else settings.ca_file,
        insecure=account.insecure or settings.insecure,
    )


def parse_since(text: str) -> float:
    """Return the time (seconds since the epoch) of an RFC 3339 text, or of a duration before now.

    Raises:
        UsageError: The text is neither.
    """
    ago = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)(s|m|h|d)", text.strip())
    if ago:
        seconds = float(ago[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[ago[2]]
        return max(0.0, time.time() - seconds)
    moment = instant(text)
    if moment is None:
        raise UsageError(
            f"cannot start from '{text}': expected a time such as"
            " 2026-01-31T12:00:00Z, or a duration before now such as 90s, 30m, 2h, 7d"
        )
    return moment
