"""Options that several commands share, each defined once."""

from typing import Any

import click

from flowtools.cli.binding import Decorator, Duration, option, together
from flowtools.cli.command import keep
from flowtools.core.kind import OF_VIZ_ONE
from flowtools.core.settings import Ending, Given, Reading, default_of
from flowtools.source.settings import Taking
from flowtools.stomp.settings import Settings


def workers(ctx: click.Context, param: click.Parameter, typed: str) -> Any:
    """Complete the name of a Worker."""
    from flowtools.cli.completion import workers

    return workers(ctx, param, typed)


def classes(ctx: click.Context, param: click.Parameter, typed: str) -> Any:
    """Complete the name of any class."""
    from flowtools.cli.completion import classes

    return classes(ctx, param, typed)


def targets(ctx: click.Context, param: click.Parameter, typed: str) -> Any:
    """Complete the name of any class, or of a file."""
    from flowtools.cli.completion import targets

    return targets(ctx, param, typed)


# Completed as a path, and otherwise a text: whoever opens it says what is wrong with it, the
# same whether it is not there or not readable. Click would refuse it with a usage error.
PATH = click.Path(readable=False)

count = click.option(
    "--count",
    type=click.IntRange(min=1),
    metavar="N",
    help="End after N events. Default: go on until stopped.",
)

max_line = option(
    "--max-line",
    of=Reading,
    type=click.IntRange(min=1),
    metavar="BYTES",
    help="Longest input line; a longer one is refused, which is a failure.",
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
    help="Authorities that may have signed the server's certificate (PEM). Default: the system's.",
)

insecure = option(
    "--insecure",
    of=Settings,
    is_flag=True,
    help="Do not check the server's certificate: whoever is on the way can read and "
    "change everything, the password included.",
)

client_certificate = option(
    "--client-certificate",
    of=Settings,
    type=PATH,
    metavar="FILE",
    help="Our own certificate, and its key unless --client-key names it (PEM).",
)

client_key = option(
    "--client-key",
    of=Settings,
    type=PATH,
    metavar="FILE",
    help="The key of --client-certificate (PEM, without a passphrase).",
)


class _HeartBeat(click.ParamType[Any]):
    name = "text"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        from flowtools.core.errors import UsageError
        from flowtools.stomp.settings import parse_heart_beat

        try:
            return parse_heart_beat(value) if isinstance(value, str) else value
        except UsageError as error:
            raise click.BadParameter(str(error), ctx, param) from None


def heart_beat_of(kind: type) -> Decorator:
    """Return the option --heart-beat, with the default of the settings class `kind`."""
    return option(
        "--heart-beat",
        of=kind,
        type=_HeartBeat(),
        default=",".join(f"{seconds:g}" for seconds in default_of(kind, "heart_beat")),
        metavar="OUT,IN",
        help="Seconds after which we send a heart-beat, and expect one; 0: none.",
    )


heart_beat = heart_beat_of(Settings)

connect_timeout = option(
    "--connect-timeout",
    of=Settings,
    type=Duration(min=0, min_open=True),
    metavar="SECONDS",
    help="Time to connect, and again to log in, before the next host is tried.",
)

retry_for = option(
    "--retry-for",
    of=Settings,
    type=Duration(min=0),
    metavar="SECONDS",
    help="Give up a broker that has been away for so long. Default: never.",
)

metrics = click.option(
    "--metrics",
    metavar="HOST:PORT",
    expose_value=False,
    callback=keep,
    help="Serve figures for Prometheus there, or at unix:PATH; /healthz says whether all is well.",
)

header = click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="KEY=VALUE",
    help="One more header for the broker; may be repeated.",
)

ack = option(
    "--ack",
    of=Taking,
    type=click.Choice(["pipe", "worker"]),
    help="When a message is acknowledged to the broker: once its line is in the pipe, or "
    "once a worker has done its events.",
)

prefetch = option(
    "--prefetch",
    of=Taking,
    type=click.IntRange(min=1, max=65535),
    metavar="N",
    help="Messages that may be unacknowledged: the bound of what is held in memory, and "
    "of what comes twice after a fault.",
)

dead_letter = click.option(
    "--dead-letter",
    metavar="NAME",
    help="Destination of refused messages. Default: the destination's name and '.failed'.",
)

dead_letter_header = click.option(
    "--dead-letter-header",
    "dead_letter_headers",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another header of the refused messages, such as x-queue-type=quorum. May be repeated.",
)

max_deliveries = option(
    "--max-deliveries",
    of=Taking,
    type=click.IntRange(min=0),
    metavar="N",
    help="A message that was delivered so often, and never settled, is refused; 0: no limit.",
)

drain = option(
    "--drain",
    of=Ending,
    type=Duration(min=0),
    metavar="SECONDS",
    help="Time after SIGTERM for what still runs, and for acknowledgements still missing.",
)

grace = option(
    "--grace",
    of=Ending,
    type=Duration(min=0),
    metavar="SECONDS",
    help="Time that a Worker or Source has to end once it is told to; then its thread is "
    "abandoned.",
)


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
"""The options of a connection to a broker; they come as one `settings`."""

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
    help="Only changes of this kind; may be repeated. Default: all.",
)

exclude = click.option(
    "--exclude",
    type=click.Choice([kind.value for kind in OF_VIZ_ONE]),
    multiple=True,
    help="No changes of this kind; may be repeated.",
)

broker = click.option(
    "--broker",
    metavar="HOST:PORT",
    help="The broker, where the monitor link is wrong or leads to another host than --url.",
)


state = click.option(
    "--state",
    type=PATH,
    metavar="FILE",
    help="Keep here how far it has come; at the start, and when the broker was away, ask Viz "
    "One for what has changed since. The first time it starts from now. store:NAME keeps it in "
    "Viz One.",
)

standby = click.option(
    "--standby",
    metavar="NAME",
    help="Of all listeners with this NAME, on any number of servers, let one work and the others "
    "wait. Needs --state store:NAME.",
)

since = click.option(
    "--since",
    metavar="TIME",
    help="Ask first for what has changed since TIME (2026-01-31T12:00:00Z), or for so long "
    "(90s, 30m, 2h, 7d). With a state file: only if it is not there yet.",
)


allow_hosts = click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Ask this host, too, where a message names it; may be repeated. Default: Viz One's alone.",
)


def _account(given: Given) -> Any:
    from flowtools.vizone.account import Account

    return given.make(Account.from_settings)


vizone_account = together("account", _account, url, user, password_file, ca_file, insecure)
"""The options of a login to Viz One; they come as one `account`."""


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
"""The options of listening to Viz One; they come as one `listening`."""
