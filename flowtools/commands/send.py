"""flow-send: publish lines to a STOMP destination."""

from typing import TYPE_CHECKING

import click

from flowtools.cli import options
from flowtools.cli.binding import option
from flowtools.cli.command import Command, standard_input, working
from flowtools.stomp.settings import Sending

if TYPE_CHECKING:
    from flowtools.stomp.settings import Settings


@click.command("flow-send", cls=Command)
@click.argument("url")
@click.option(
    "--destination",
    metavar="NAME",
    help="Destination of the messages. Default: the one in the URL.",
)
@option(
    "--window",
    of=Sending,
    type=click.IntRange(min=1, max=1000000),
    metavar="N",
    help="Maximum number of messages that wait for the broker's receipt.",
)
@click.option(
    "--group-key",
    metavar="EXPR",
    help="Message group: name of an attribute, or a JSON Pointer into the data (/x). The broker "
    "gives the messages of a group to one consumer, in order (ActiveMQ, Artemis).",
)
@click.option(
    "--unique",
    is_flag=True,
    help="Let the broker drop an event that it has received before (Artemis).",
)
@option(
    "--persistent/--no-persistent",
    of=Sending,
    show_default=False,
    help="Whether messages survive a restart of the broker. Default: yes.",
)
@click.option(
    "--raw",
    is_flag=True,
    help="Send only the data of an event, or the text of a line, not the whole event.",
)
@options.header
@options.broker_settings
@options.metrics
def main(
    url: str,
    destination: str | None,
    window: int,
    group_key: str | None,
    unique: bool,
    persistent: bool,
    raw: bool,
    headers: tuple[str, ...],
    settings: "Settings",
) -> None:
    """Send a message for each line of standard input, and wait for the broker's receipt.

    An event is sent unchanged, so that flow-listen-stomp restores it on the other side.
    The event is acknowledged to its source once the broker has confirmed the message.

    \b
    Examples:
      flow-listen-assets --ack worker |
          flow-send 'stomp://mq/?destination=/queue/assets'
      flow-interval 60 | flow-send --raw --destination /topic/ticks stomp://mq
    """
    from flowtools.core.key import Key, WatchedKey
    from flowtools.stomp.send import Publisher
    from flowtools.stomp.settings import parse_headers
    from flowtools.stomp.url import parse_url

    publisher = Publisher(
        parse_url(url),
        settings,
        destination=destination,
        headers=parse_headers(headers),
        window=window,
        group_key=None if group_key is None else WatchedKey(Key.parse(group_key), "--group-key"),
        unique=unique,
        persistent=persistent,
        raw=raw,
    )
    with working() as stop:
        publisher.run(standard_input(), stop)


if __name__ == "__main__":
    main()
