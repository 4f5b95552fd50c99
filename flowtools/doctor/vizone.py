"""Checks of a Viz One: settings, network, login, clock, monitor links, and the broker behind them.

The checks follow the path of a listener: it logs in by HTTP, reads the monitor link of a feed, and
connects to the broker that this link names, often under another host name. The first step that
fails is usually the cause of all later ones, which are skipped.
"""

import os
import stat
import time
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from flowtools.core.text import counted
from flowtools.core.wait import Stop
from flowtools.doctor.examination import Doubt, Examination
from flowtools.doctor.network import Way
from flowtools.doctor.settings import Examining
from flowtools.doctor.stomp import CHECKS, examine_broker
from flowtools.source.asset import AssetEntryListener
from flowtools.source.location import UnmanagedFilesListener
from flowtools.source.vizone.listening import with_login
from flowtools.source.vizone.monitor import broker_url
from flowtools.stomp.settings import Settings
from flowtools.stomp.url import BrokerURL, host_and_port, parse_url
from flowtools.vizone.account import Account, context_for
from flowtools.vizone.client import Client
from flowtools.vizone.transport import without_user

CLOCK = 5.0
"""Accepted difference between the two clocks, in seconds. Replays allow for 60 seconds, so the
warning comes in time."""

_PORTS = {"http": 80, "https": 443}
_BEHIND_LOGIN = ("clock", "monitor link", "broker name", "broker port", *CHECKS)
"""The checks that need a login."""


@dataclass(frozen=True)
class Patient:
    """The Viz One to be examined, and how to reach it.

    Attributes:
        url: Address of Viz One, as --url gives it; None: VIZONE_URL.
        user: Name of the user, as --user gives it; None: VIZONE_USER.
        password_file: File with the password, as --password-file gives it; None:
            VIZONE_PASSWORD.
        ca_file: PEM file of the authorities to trust instead of the system's.
        insecure: Whether any certificate is accepted.
        locations: Handles of the import storages to examine.
        broker: Host and port of the broker, as --broker gives them; None: as the monitor link says.
        settings: How to connect to the broker.
        expiry_days: Warn of a certificate that expires within this number of days.
    """

    url: str | None
    user: str | None
    password_file: str | None
    ca_file: str | None
    insecure: bool
    locations: tuple[str, ...]
    broker: str | None
    settings: Settings
    expiry_days: int = Examining.expiry_days


def examine_vizone(examination: Examination, patient: Patient, stop: Stop) -> None:
    """Make every check that can be made, and report the others as skipped."""
    account = examination.check(
        "settings",
        lambda: _settings(patient),
        "export VIZONE_URL=https://HOST VIZONE_USER=NAME, and VIZONE_PASSWORD or --password-file",
    )
    if account is None:
        examination.skip(
            ("password", "Viz One name", "Viz One port", "login", *_BEHIND_LOGIN),
            "the settings are incomplete",
        )
        return
    examination.check("password", lambda: _password(patient, account), "")
    parts = urlsplit(account.url)
    assert parts.hostname is not None
    context = context_for(account) if parts.scheme == "https" else None
    seconds = patient.settings.connect_timeout
    way = Way(examination, "Viz One", stop, seconds, "http://", patient.expiry_days)
    if not way.examine(parts.hostname, parts.port or _PORTS[parts.scheme], context):
        examination.skip(("login", *_BEHIND_LOGIN), "there is no connection to Viz One")
        return
    # Without further tries: a person waits, and a server that only answers sometimes is a finding.
    with Client(account, seconds=patient.settings.connect_timeout, pauses=()) as client:
        monitors = _examine_client(examination, client, patient)
    if not monitors:
        examination.skip(("broker name", "broker port", *CHECKS), "there is no monitor link")
    override = parse_url(f"stomp://{patient.broker}").hosts[0] if patient.broker else None
    settings = with_login(patient.settings, account)
    for monitor in monitors:
        url = examination.check(
            "broker address",
            partial(_address, monitor, account, override),
            "if that broker is yours, give --broker HOST:PORT here and to the listener",
        )
        if url is not None:
            examine_broker(examination, url, settings, stop, patient.expiry_days)


def _examine_client(examination: Examination, client: Client, patient: Patient) -> list[str]:
    """Check the login and everything that needs it; return the monitor links."""
    logged_in = examination.check(
        "login",
        lambda: (
            f"as '{client.account.user}'; {counted(len(client.collections()), 'collection')}",
            True,
        ),
        "check VIZONE_USER and the password in a browser at the same address, and that the"
        " address is Viz One's own, without a path",
    )
    if logged_in is None:
        examination.skip(("clock", "monitor link"), "there is no login")
        return []
    examination.check("clock", lambda: _clock(client), "")
    # The listeners' own code looks for the links, so that the check sees what they would see.
    assets = AssetEntryListener(client.account)
    found = [
        examination.check(
            "monitor link",
            lambda: _shown(assets.find_monitor(client)),
            "give the user the permission Asset/Admin",
        )
    ]
    for handle in patient.locations:
        files = UnmanagedFilesListener(client.account, handle)
        found.append(
            examination.check(
                f"location {handle}",
                partial(_link_of, files, client),
                "check the handle, and the user's permissions on the storage",
            )
        )
    return [monitor for monitor in found if monitor is not None]


def _link_of(files: UnmanagedFilesListener, client: Client) -> tuple[str, str]:
    return _shown(files.find_monitor(client))


def _shown(monitor: str) -> tuple[str, str]:
    return f"'{without_user(monitor)}'", monitor


def _address(
    monitor: str, account: Account, override: tuple[str, int] | None
) -> tuple[str, BrokerURL]:
    url = broker_url(monitor, account, override)
    hosts = ", ".join(host_and_port(*each) for each in url.hosts)
    return f"'{hosts}', '{url.destination}'", url


def _settings(patient: Patient) -> tuple[str, Account]:
    account = Account.from_settings(
        patient.url,
        patient.user,
        patient.password_file,
        ca_file=patient.ca_file,
        insecure=patient.insecure,
    )
    context_for(account)  # So that a CA file that cannot be read fails here, not at the login.
    return f"'{account.url}' as '{account.user}'", account


def _password(patient: Patient, account: Account) -> tuple[str, bool]:
    parts = urlsplit(account.url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise Doubt(
            "the password goes over the network unencrypted: the address is http",
            "use https, if Viz One supports it",
        )
    if patient.password_file is None:
        return "from the environment", True
    mode = stat.S_IMODE(os.stat(patient.password_file).st_mode)  # noqa: PTH116
    if mode & 0o077:
        raise Doubt(
            f"others may read '{patient.password_file}' (mode {mode:o})",
            f"chmod 600 '{patient.password_file}'",
        )
    return f"from '{patient.password_file}', which nobody else may read", True


def _clock(client: Client) -> tuple[str, bool]:
    before = time.time()
    answer = client.request("GET", client.service_url, accept="*/*")
    after = time.time()
    if answer.served is None:
        return "the server does not say its time", True
    # The Date header has whole seconds, so on average the server's clock is half a second later.
    # It is compared with the middle of the request, because either way may have been the slow one.
    off = answer.served + 0.5 - (before + after) / 2
    if abs(off) > CLOCK:
        raise Doubt(
            f"Viz One's clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} ours",
            "set both by NTP ('timedatectl set-ntp true'): --state and --since compare times",
        )
    return f"within {CLOCK:.0f} s of Viz One's", True
