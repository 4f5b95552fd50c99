"""Options of single listeners; flow-run offers them for the listener that it runs."""

import click

from flowtools.cli.binding import Decorator, Duration, option
from flowtools.source.settings import Importing, Watching

everything = click.option(
    "--all",
    "everything",
    is_flag=True,
    help="First report all assets, the one changed longest ago first. With --state: "
    "only if the state does not exist yet.",
)

media = click.option(
    "--media",
    multiple=True,
    metavar="KIND",
    help="Report only assets with this kind of media, such as video; may be repeated.",
)

status = click.option(
    "--status",
    "statuses",
    multiple=True,
    metavar="STATE",
    help="Report only assets whose media is in this state, such as online; may be repeated.",
)

resolve = click.option(
    "--resolve",
    is_flag=True,
    help="Ask Viz One about each change whose message does not say what happened.",
)

metadata = click.option("--metadata", is_flag=True, help="Add the metadata of each asset.")

xml = click.option("--xml", is_flag=True, help="Add the XML of the entry to each event.")

skip_empty = click.option(
    "--skip-empty", is_flag=True, help="Do not report a file while its size is 0."
)


def settle(default: float | None = Importing.settle) -> Decorator:
    """Return the option --settle; with a default of None the source's own default applies."""
    folder = f" HotFolder: {Watching.settle:g}; on a network mount {Watching.remote_settle:g}."
    return option(
        "--settle",
        of=Importing,
        type=Duration(min=0),
        default=default,
        show_default=False,
        help="Report a file once its size has not changed for SECONDS. Default: immediately."
        + (folder if default is None else ""),
    )


def existing(name: str = "everything") -> Decorator:
    """Return the option --existing, whose value is passed to the command as `name`."""
    return click.option(
        "--existing",
        name,
        is_flag=True,
        help="First report the files that exist already. With --state: only if the state does "
        "not exist yet.",
    )


durable = click.option(
    "--durable",
    metavar="NAME",
    help="Subscribe to a topic under NAME: the broker keeps messages that arrive while no "
    "listener runs.",
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
    help="End when no message has arrived for SECONDS and all are acknowledged. "
    "Default: run until stopped.",
)
