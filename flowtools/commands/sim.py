"""flow-sim: a stand-in Viz One for development: HTTP and STOMP, in memory."""

from typing import TYPE_CHECKING

import click

from flowtools.cli import options
from flowtools.cli.command import Command, parsed

if TYPE_CHECKING:
    from flowtools.sim.faults import Rates
    from flowtools.sim.vocabulary import Deletions, Order


def _address(text: str) -> tuple[str, int]:
    """Read HOST:PORT, or [HOST]:PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"expected HOST:PORT such as 127.0.0.1:8080, not '{text}'")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _rates(text: str) -> "Rates":
    """Read KIND=RATE,..."""
    from flowtools.sim.faults import Rates

    return Rates.parse(text)


@click.command(
    "flow-sim",
    cls=Command,
    context_settings={"help_option_names": ["-h", "--help"], "allow_interspersed_args": False},
)
@click.option(
    "--assets",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Make N changes of assets: creations, updates and deletions.",
)
@click.option(
    "--files",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Let N files arrive in the import storage xmlimport.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    metavar="R",
    help="Changes a second.",
)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    metavar="S",
    help="The same seed makes the same sequence of changes.",
)
@click.option(
    "--echo", is_flag=True, help="Tell of metadata that is written over HTTP as an update, too."
)
@click.option(
    "--no-action", is_flag=True, help="Leave out the header that says what a message is about."
)
@click.option(
    "--deletions",
    type=click.Choice(["tombstone", "header", "status", "empty", "gone"]),
    default="tombstone",
    show_default=True,
    help="How a message marks a deletion.",
)
@click.option(
    "--faults",
    callback=parsed(_rates),
    metavar="KIND=RATE,...",
    help=(
        "Let requests fail: 5xx, 401, 403, 404, html, gzip, slow, slow-body, drop, conflict; rates"
        " from 0 to 1. clock=SECONDS sets the server's clock ahead or back."
    ),
)
@click.option(
    "--order",
    type=click.Choice(["sorted", "none", "oldest"]),
    default="sorted",
    show_default=True,
    help="How the asset feed is ordered: as asked, not at all, or the oldest first.",
)
@click.option(
    "--session",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Let a session cookie expire after SECONDS. Default: never.",
)
@click.option(
    "--connections",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Take N connections at a time, of HTTP and of STOMP each.",
)
@click.option(
    "--alias",
    multiple=True,
    metavar="HOST",
    help="Another name that requests may have as Host. May be repeated.",
)
@click.option(
    "--import-time",
    type=click.FloatRange(min=0),
    default=0.4,
    show_default=True,
    metavar="SECONDS",
    help="How long an import or upload takes.",
)
@click.option(
    "--http",
    callback=parsed(_address),
    default="127.0.0.1:0",
    metavar="HOST:PORT",
    help="Where to serve HTTP. Default: a free port of 127.0.0.1.",
)
@click.option(
    "--stomp",
    callback=parsed(_address),
    default="127.0.0.1:0",
    metavar="HOST:PORT",
    help="Where to serve STOMP. Default: a free port of 127.0.0.1.",
)
@click.option(
    "--password-file",
    type=options.PATH,
    metavar="FILE",
    help="File whose first line is the password. Default: one is made up.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND ...]")
def main(
    assets: int,
    files: int,
    rate: float,
    seed: int,
    echo: bool,
    no_action: bool,
    deletions: "Deletions",
    faults: "Rates | None",
    order: "Order",
    session: float | None,
    connections: int,
    alias: tuple[str, ...],
    import_time: float,
    http: tuple[str, int],
    stomp: tuple[str, int],
    password_file: str | None,
    command: tuple[str, ...],
) -> int:
    """Stand in for a Viz One: run COMMAND against it, or serve until stopped.

    Built from public facts about Viz One's interfaces; nothing in it is Vizrt's. COMMAND
    finds it by VIZONE_URL, VIZONE_USER and VIZONE_PASSWORD; without COMMAND these are
    printed for a shell to read.

    \b
    Examples:
      flow-sim --assets 40 -- sh -c 'flow-listen-assets --count 40 | flow-work tag:Tag'
      flow-sim --assets 500 --faults 5xx=0.05,drop=0.01 -- ./pipeline.sh
      flow-sim --http 127.0.0.1:8080 --stomp 127.0.0.1:61613
    """
    from flowtools.process.password import read_password
    from flowtools.sim.faults import Rates
    from flowtools.sim.serve import serve
    from flowtools.sim.standin import Plan, StandIn

    plan = Plan(
        assets,
        files,
        rate,
        seed,
        echo,
        tells_action=not no_action,
        deletions=deletions,
        faults=faults or Rates(),
        import_seconds=import_time,
        order=order,
        session=session,
        connections=connections,
        names=alias,
    )
    password = read_password(password_file) if password_file else None
    return serve(StandIn(plan, http=http, stomp=stomp, password=password), command)


if __name__ == "__main__":
    main()
