"""flow-sim: a stand-in Viz One for development: HTTP and STOMP, in memory."""

from typing import TYPE_CHECKING

import click

from flowtools.cli import options
from flowtools.cli.binding import Duration, FiniteRange, Parsed, option
from flowtools.cli.command import Command
from flowtools.sim.settings import Plan

if TYPE_CHECKING:
    from flowtools.sim.faults import Rates
    from flowtools.sim.vocabulary import Deletions, Order


def _address(text: str) -> tuple[str, int]:
    """Read HOST:PORT, or [HOST]:PORT for an IPv6 address.

    Raises:
        ValueError: `text` has another form, or the port is above 65535.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"expected HOST:PORT such as 127.0.0.1:8080, not '{text}'")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _rates(text: str) -> "Rates":
    """Read KIND=RATE,... as the faults of the stand-in."""
    from flowtools.sim.faults import Rates

    return Rates.parse(text)


@click.command(
    "flow-sim",
    cls=Command,
    # The options of COMMAND are its own, even without the -- before it.
    context_settings={"help_option_names": ["-h", "--help"], "allow_interspersed_args": False},
)
@option(
    "--assets",
    of=Plan,
    type=click.IntRange(min=0),
    show_default=False,
    metavar="N",
    help="Make N changes of assets: creations, updates and deletions.",
)
@option(
    "--files",
    of=Plan,
    type=click.IntRange(min=0),
    show_default=False,
    metavar="N",
    help="Make N files arrive in the import storage xmlimport.",
)
@option(
    "--rate",
    of=Plan,
    type=FiniteRange(min=0, min_open=True),
    metavar="R",
    help="Changes per second.",
)
@option(
    "--seed",
    of=Plan,
    type=int,
    metavar="S",
    help="The same seed makes the same sequence of changes.",
)
@click.option(
    "--echo", is_flag=True, help="Also publish an update when a client writes metadata over HTTP."
)
@click.option(
    "--no-action",
    is_flag=True,
    help="Leave out the header of a message that says what happened to the asset or file.",
)
@option(
    "--deletions",
    of=Plan,
    type=click.Choice(["tombstone", "header", "status", "empty", "gone"]),
    help="How a message marks a deletion.",
)
@click.option(
    "--faults",
    type=Parsed(_rates),
    metavar="KIND=RATE,...",
    help=(
        "Simulate faults: 5xx, 401, 403, 404, html, gzip, slow, slow-body, drop, conflict; rates"
        " from 0 to 1. clock=SECONDS sets the server's clock ahead or back."
    ),
)
@option(
    "--order",
    of=Plan,
    type=click.Choice(["sorted", "none", "oldest"]),
    help="Order of the asset feed: as the request asks, unsorted, or the oldest first.",
)
@click.option(
    "--session",
    type=Duration(min=0, min_open=True),
    help="Let a session cookie expire after SECONDS. Default: never.",
)
@option(
    "--connections",
    of=Plan,
    type=click.IntRange(min=1),
    metavar="N",
    help="Accept N HTTP connections and N STOMP connections at a time.",
)
@click.option(
    "--broker",
    type=Parsed(_address),
    metavar="HOST:PORT",
    help="Publish at this STOMP broker, as user admin with the password of --password-file. "
    "Default: a broker of its own.",
)
@click.option(
    "--alias",
    multiple=True,
    metavar="HOST",
    help="Also accept requests with this name as Host. May be repeated.",
)
@option(
    "--import-time",
    "import_seconds",
    of=Plan,
    type=Duration(min=0),
    help="How long an import or upload takes.",
)
@click.option(
    "--http",
    type=Parsed(_address),
    metavar="HOST:PORT",
    help="Where to serve HTTP. Default: a free port of 127.0.0.1.",
)
@click.option(
    "--stomp",
    type=Parsed(_address),
    metavar="HOST:PORT",
    help="Where to serve STOMP. Default: a free port of 127.0.0.1.",
)
@click.option(
    "--password-file",
    type=options.PATH,
    metavar="FILE",
    help="File whose first line is the password. Default: a generated password.",
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
    broker: tuple[str, int] | None,
    alias: tuple[str, ...],
    import_seconds: float,
    http: tuple[str, int] | None,
    stomp: tuple[str, int] | None,
    password_file: str | None,
    command: tuple[str, ...],
) -> int:
    """Imitate a Viz One for development: run COMMAND with it, or serve until stopped.

    It is built from public facts about Viz One's interfaces; none of it comes from Vizrt.
    COMMAND gets its address and login in VIZONE_URL, VIZONE_USER and VIZONE_PASSWORD;
    without COMMAND these are printed for a shell to read.

    \b
    Examples:
      flow-sim --assets 40 -- sh -c \\
          'flow-listen-assets --count 40 | flow-work examples.tag:Tag'
      flow-sim --assets 500 --faults 5xx=0.05,drop=0.01 -- ./pipeline.sh
      flow-sim --http 127.0.0.1:8080 --stomp 127.0.0.1:61613
    """
    from flowtools.process.password import read_password
    from flowtools.sim.faults import Rates
    from flowtools.sim.serve import serve
    from flowtools.sim.standin import FREE, StandIn

    plan = Plan(
        assets,
        files,
        rate,
        seed,
        echo,
        tells_action=not no_action,
        deletions=deletions,
        faults=faults or Rates(),
        import_seconds=import_seconds,
        order=order,
        session=session,
        connections=connections,
        broker=broker,
        names=alias,
    )
    password = read_password(password_file) if password_file else None
    return serve(StandIn(plan, http=http or FREE, stomp=stomp or FREE, password=password), command)


if __name__ == "__main__":
    main()
