"""Options that several commands share, each defined once."""

import functools
from collections.abc import Callable
from typing import Any

import click

from flowtools.core.kind import OF_VIZ_ONE


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

max_line = click.option(
    "--max-line",
    type=click.IntRange(min=1),
    default=16 * 1024 * 1024,
    show_default=True,
    metavar="BYTES",
    help="Length of an input line above which it is refused.",
)

xml = click.option("--xml", is_flag=True, help="Let each event have the entry's XML.")

user = click.option("--user", metavar="NAME", help="Login name.")

password_file = click.option(
    "--password-file",
    type=PATH,
    metavar="FILE",
    help="File whose first line is the password.",
)

ca_file = click.option(
    "--ca-file",
    type=PATH,
    metavar="FILE",
    help="Authorities that may have signed the server's certificate (PEM). Default: the system's.",
)

insecure = click.option(
    "--insecure",
    is_flag=True,
    help="Do not check the server's certificate: whoever is on the way can read and "
    "change everything, the password included.",
)

client_certificate = click.option(
    "--client-certificate",
    type=PATH,
    metavar="FILE",
    help="Our own certificate, and its key unless --client-key names it (PEM).",
)

client_key = click.option(
    "--client-key",
    type=PATH,
    metavar="FILE",
    help="The key of --client-certificate (PEM, without a passphrase).",
)

heart_beat = click.option(
    "--heart-beat",
    default="5,10",
    show_default=True,
    metavar="OUT,IN",
    help="Seconds after which we send a heart-beat, and expect one; 0: none.",
)

connect_timeout = click.option(
    "--connect-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Time to connect, and again to log in, before the next host is tried.",
)

retry_for = click.option(
    "--retry-for",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Give up a broker that has been away for so long. Default: never.",
)

header = click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="KEY=VALUE",
    help="One more header for the broker; may be repeated.",
)

ack = click.option(
    "--ack",
    type=click.Choice(["pipe", "worker"]),
    default="pipe",
    show_default=True,
    help="When a message is acknowledged to the broker: once its line is in the pipe, or "
    "once a worker has done its events.",
)

prefetch = click.option(
    "--prefetch",
    type=click.IntRange(min=1, max=65535),
    default=256,
    show_default=True,
    metavar="N",
    help="Messages that may be unacknowledged: the bound of what is held in memory, and "
    "of what comes twice after a fault.",
)

dead_letter = click.option(
    "--dead-letter",
    metavar="NAME",
    help="Destination of refused messages. Default: the destination's name and '.failed'.",
)

drain = click.option(
    "--drain",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for the acknowledgements still missing after SIGTERM.",
)


def broker_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a connection to a broker; they come as one `settings`."""

    @functools.wraps(function)
    def with_settings(**options: Any) -> Any:
        from flowtools.stomp.settings import settings_from

        given = {name: options.pop(name) for name in names}
        return function(settings=settings_from(**given), **options)

    added = (
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
    before = len(getattr(with_settings, "__click_params__", ()))
    for add in reversed(added):
        add(with_settings)
    names = [param.name for param in with_settings.__click_params__[before:]]  # type: ignore[attr-defined]
    return with_settings


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
    "One for what has changed since. The first time it starts from now.",
)

since = click.option(
    "--since",
    metavar="TIME",
    help="Ask first for what has changed since TIME (2026-01-31T12:00:00Z), or for so long "
    "(90s, 30m, 2h, 7d). With a state file: only if it is not there yet.",
)


def vizone_account(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a login to Viz One; they come as one `account`."""

    @functools.wraps(function)
    def with_account(**options: Any) -> Any:
        from flowtools.vizone.account import Account

        given = {name: options.pop(name) for name in _ACCOUNT}
        return function(account=Account.from_settings(**given), **options)

    for add in (insecure, ca_file, password_file, user, url):
        add(with_account)
    return with_account


_ACCOUNT = ("url", "user", "password_file", "ca_file", "insecure")


def vizone_listening(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of listening to Viz One; they come as one `listening`."""

    @functools.wraps(function)
    def with_listening(**options: Any) -> Any:
        from flowtools.source.vizone.listening import listening_from

        given = {name: options.pop(name) for name in _LISTENING}
        given["everything"] = options.pop("everything", False)
        return function(listening=listening_from(**given), **options)

    added = (
        state,
        since,
        include,
        exclude,
        ack,
        prefetch,
        count,
        dead_letter,
        drain,
        broker,
        heart_beat,
        connect_timeout,
        retry_for,
    )
    for add in reversed(added):
        add(with_listening)
    return with_listening


_LISTENING = (
    "state",
    "since",
    "include",
    "exclude",
    "ack",
    "prefetch",
    "count",
    "dead_letter",
    "drain",
    "broker",
    "heart_beat",
    "connect_timeout",
    "retry_for",
)
