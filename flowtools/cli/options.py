"""Options that several commands share.

Each is a decorator for the function of a command. An option has the same name, default and help in
every command (tests/test_parity.py).
"""

from collections.abc import Callable
from typing import Any

import click

from flowtools.cli.binding import Decorator, Duration, Parsed, option, together
from flowtools.cli.command import keep
from flowtools.core.kind import OF_VIZ_ONE
from flowtools.core.settings import Ending, Given, Reading, default_of
from flowtools.source.settings import Taking
from flowtools.stomp.settings import Settings


def _completed_by(name: str) -> Callable[[click.Context, click.Parameter, str], Any]:
    """Return a function for click that completes a word with `name` of completion.py."""

    def complete(ctx: click.Context, param: click.Parameter, typed: str) -> Any:
        from flowtools.cli import completion  # Only while a shell completes a line.

        return getattr(completion, name)(ctx, param, typed)

    return complete


workers = _completed_by("workers")
"""Completes the name of a Worker in the shell."""

classes = _completed_by("classes")
"""Completes the name of any class in the shell."""

targets = _completed_by("targets")
"""Completes the name of any class, or of a file, in the shell."""


# The shell completes a path here. Click does not check the file: the code that opens it reports
# a missing and an unreadable file alike, where Click would report a usage error.
PATH = click.Path(readable=False)

count = click.option(
    "--count",
    type=click.IntRange(min=1),
    metavar="N",
    help="End after N events. Default: run until stopped.",
)

max_line = option(
    "--max-line",
    of=Reading,
    type=click.IntRange(min=1),
    metavar="BYTES",
    help="Maximum length of an input line; a longer line counts as a failure.",
)

user = option("--user", of=Settings, metavar="NAME", help="Login name.")

password_file = click.option(
    "--password-file",
    type=PATH,
    metavar="FILE",
    help="File whose first line is the password.",
)

ca_file = option(
    "--ca-file",
    of=Settings,
    type=PATH,
    metavar="FILE",
    help="File of trusted certificate authorities (PEM). Default: the system's.",
)

insecure = option(
    "--insecure",
    of=Settings,
    is_flag=True,
    help="Do not check the server's certificate. Anyone between this machine and the server can "
    "then read and change everything, the password included.",
)

client_certificate = option(
    "--client-certificate",
    of=Settings,
    type=PATH,
    metavar="FILE",
    help="The client's certificate (PEM), with its key unless --client-key names another file.",
)

client_key = option(
    "--client-key",
    of=Settings,
    type=PATH,
    metavar="FILE",
    help="The key of --client-certificate (PEM, without a passphrase).",
)


def _heart_beat(text: str) -> Any:
    from flowtools.stomp.settings import parse_heart_beat

    return parse_heart_beat(text)


def heart_beat_of(kind: type) -> Decorator:
    """Return the option --heart-beat, with the default of the settings class `kind`."""
    return option(
        "--heart-beat",
        of=kind,
        type=Parsed(_heart_beat),
        # As text, so that --help shows it in the form in which it is typed.
        default=",".join(f"{seconds:g}" for seconds in default_of(kind, "heart_beat")),
        metavar="OUT,IN",
        help="Seconds between heart-beats that the command sends, and between those that it "
        "expects; 0: none.",
    )


heart_beat = heart_beat_of(Settings)

connect_timeout = option(
    "--connect-timeout",
    of=Settings,
    type=Duration(min=0, min_open=True),
    help="How long connecting may take, and then how long logging in may take, before the next "
    "host is tried.",
)

retry_for = option(
    "--retry-for",
    of=Settings,
    type=Duration(min=0),
    help="Exit when the broker has been away for this long. Default: never give up.",
)

METRICS: Any = {
    "metavar": "HOST:PORT",
    "help": "Serve metrics for Prometheus at this address, or at unix:PATH; /healthz reports"
    " health.",
}
"""Form and help of --metrics. `working` serves the metrics of most commands, the pool its own."""

metrics = click.option("--metrics", expose_value=False, callback=keep, **METRICS)

header = click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="KEY=VALUE",
    help="Additional header for the broker; may be repeated.",
)

ack = option(
    "--ack",
    of=Taking,
    type=click.Choice(["pipe", "worker"]),
    help="When an event counts as done, so that its message is acknowledged to the broker. pipe: "
    "once its line is in the pipe; worker: once a Worker has processed it.",
)

prefetch = option(
    "--prefetch",
    of=Taking,
    type=click.IntRange(min=1, max=65535),
    metavar="N",
    help="Maximum number of unacknowledged messages or events. Up to this number may be in memory, "
    "and may be delivered again after a fault.",
)

dead_letter = click.option(
    "--dead-letter",
    metavar="NAME",
    help="Destination of rejected messages. Default: the destination's name and '.failed'.",
)

dead_letter_header = click.option(
    "--dead-letter-header",
    "dead_letter_headers",
    multiple=True,
    metavar="NAME=VALUE",
    help="Additional header of rejected messages, such as x-queue-type=quorum. May be repeated.",
)

max_deliveries = option(
    "--max-deliveries",
    of=Taking,
    type=click.IntRange(min=0),
    metavar="N",
    help="Reject a message that was delivered this many times without being settled; 0: no limit.",
)

drain = option(
    "--drain",
    of=Ending,
    type=Duration(min=0),
    help="Time after SIGTERM for running events to end and outstanding acknowledgements to arrive.",
)

grace = option(
    "--grace",
    of=Ending,
    type=Duration(min=0),
    help="How long a Worker or Source may continue after it is interrupted; then its thread is "
    "abandoned.",
)


# Functions such as this one make an object of several options (see `together`). They import its
# module when the command runs, because --help does not need it.


def _settings(given: Given) -> Any:
    from flowtools.stomp.settings import settings_from

    return given.make(settings_from)


broker_settings = together(
    "settings",
    _settings,
    user,
    password_file,
    ca_file,
    client_certificate,
    client_key,
    insecure,
    heart_beat,
    connect_timeout,
    retry_for,
)
"""The options of a connection to a broker, passed to the command as one `settings`."""

url = click.option(
    "--url",
    envvar="VIZONE_URL",
    metavar="URL",
    help="Address of Viz One. Default: VIZONE_URL.",
)

include = click.option(
    "--include",
    type=click.Choice([kind.value for kind in OF_VIZ_ONE]),
    multiple=True,
    help="Report only changes of this kind; may be repeated. Default: all.",
)

exclude = click.option(
    "--exclude",
    type=click.Choice([kind.value for kind in OF_VIZ_ONE]),
    multiple=True,
    help="Do not report changes of this kind; may be repeated.",
)

broker = click.option(
    "--broker",
    metavar="HOST:PORT",
    help="Use this broker instead of the one that the monitor link names. Needed if the link is "
    "wrong, or names another host than --url.",
)


state = click.option(
    "--state",
    type=PATH,
    metavar="FILE",
    help="File with the time up to which all changes are done. At the start, and after the broker "
    "was away, Viz One is asked for the changes since then. Without the file, listening "
    "begins now. store:NAME keeps it in Viz One.",
)

standby = click.option(
    "--standby",
    metavar="NAME",
    help="Run as one of several listeners with this NAME, on any number of servers: one works, the "
    "others wait to take over. Needs --state store:NAME.",
)

since = click.option(
    "--since",
    metavar="TIME",
    help="First report what has changed since TIME (2026-01-31T12:00:00Z), or in the last 90s, "
    "30m, 2h, 7d. With --state: only if the state does not exist yet.",
)


allow_hosts = click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Further host that may be asked when a message names it; may be repeated. "
    "Default: only Viz One's host.",
)


def _account(given: Given) -> Any:
    from flowtools.vizone.account import Account

    return given.make(Account.from_settings)


vizone_account = together("account", _account, url, user, password_file, ca_file, insecure)
"""The options of a login to Viz One, passed to the command as one `account`."""


def _listening(given: Given) -> Any:
    from flowtools.source.vizone.listening import listening_from

    return given.make(listening_from)


vizone_listening = together(
    "listening",
    _listening,
    state,
    standby,
    since,
    include,
    exclude,
    ack,
    prefetch,
    count,
    dead_letter,
    drain,
    broker,
    allow_hosts,
    heart_beat,
    connect_timeout,
    retry_for,
    also=("everything",),
)
"""The options of listening to Viz One, passed to the command as one `listening`."""
