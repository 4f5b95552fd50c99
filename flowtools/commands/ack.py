"""flow-ack: acknowledge the events on standard input."""

import click

from flowtools.cli import options
from flowtools.cli.command import Command, standard_input, working


@click.command("flow-ack", cls=Command)
@click.option(
    "--nack",
    is_flag=True,
    help="Reject the events: a listener of a broker moves their messages to the dead-letter "
    "destination.",
)
@click.option(
    "--reason", metavar="TEXT", help="With --nack: the reason, which the dead letter carries."
)
@options.metrics
def main(nack: bool, reason: str | None) -> None:
    """Acknowledge the events on standard input to their sources.

    Put it last in a pipeline of other programs behind a source with --ack worker. Lines
    of different sources may be mixed.

    \b
    Examples:
      flow-listen-stomp --ack worker "$URL" | while IFS= read -r line; do
        if process "$line" </dev/null; then word=; else word=--nack; fi
        printf '%s\\n' "$line" | flow-ack $word
      done
      flow-listen-stomp --ack worker "$URL" | tee -a log | flow-ack
    """
    from flowtools.ack.ack import acknowledge
    from flowtools.ack.sender import AckSender
    from flowtools.core.errors import UsageError
    from flowtools.core.lines import LineReader
    from flowtools.process.vitals import vitals

    if reason is not None and not nack:
        raise UsageError("--reason says why events are rejected: give --nack, too")
    sender = AckSender()
    with working() as stop:
        # `see` connects to a source at its first line, so that it notices if this process dies.
        lines = LineReader(standard_input(), stop, tee=sender.see)
        vitals.provide_moment(lambda: lines.read_at)
        acknowledge(lines, refuse=nack, error=reason, sender=sender, stop=stop)


if __name__ == "__main__":
    main()
