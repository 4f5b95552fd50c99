"""Options of one listener each, which flow-run has for the listener that it runs."""

import click

from flowtools.cli.binding import Decorator, Duration, option
from flowtools.source.settings import Importing

everything = click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Ask first for all assets, the one changed longest ago first. With a state file: "
    "only if it is not there yet.",
)

media = click.option(
    "--media",
    multiple=True,
    metavar="KIND",
    help="Only assets with this kind of media, such as video; may be repeated.",
)

status = click.option(
    "--status",
    "statuses",
    multiple=True,
    metavar="STATE",
    help="Only assets whose media is in this state, such as online; may be repeated.",
)

resolve = click.option(
    "--resolve",
    is_flag=True,
    help="Ask Viz One about each change whose message does not say what happened.",
)

metadata = click.option("--metadata", is_flag=True, help="Read the metadata of each asset, too.")

xml = click.option("--xml", is_flag=True, help="Let each event have the entry's XML.")

skip_empty = click.option(
    "--skip-empty", is_flag=True, help="Say nothing of a file while its size is 0."
)


def settle(default: float | None = Importing.settle) -> Decorator:
    """Return the option --settle; with a default of None the source's own counts."""
    return option(
        "--settle",
        of=Importing,
        type=Duration(min=0),
        default=default,
        show_default=False,
        metavar="SECONDS",
        help="Tell of a file once its size has been still for so long. Default: at once.",
    )


def existing(name: str = "everything") -> Decorator:
    """Return the option --existing, whose value comes as `name`."""
    return click.option(
        "--existing",
        name,
        is_flag=True,
        help="Ask first for the files that are there already. With a state file: only if it is "
        "not there yet.",
    )


durable = click.option(
    "--durable",
    metavar="NAME",
    help="Subscribe to a topic under NAME, so that what comes while nobody listens is kept.",
)

selector = click.option(
    "--selector",
    metavar="CONDITION",
    help="Take only messages whose headers meet this SQL-like condition "
    "(ActiveMQ, Artemis; RabbitMQ ignores it).",
)

idle = click.option(
    "--idle",
    type=Duration(min=0, min_open=True),
    metavar="SECONDS",
    help="End when no message has come for so long, and none is still to be acknowledged. "
    "Default: go on until stopped.",
)
