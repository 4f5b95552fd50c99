"""flow-watch: write the files that arrive in a folder as event lines."""

from typing import Any

import click

from flowtools.cli import options
from flowtools.cli.binding import Duration, Parsed
from flowtools.cli.command import Command, run_source
from flowtools.core.kind import OF_FILES, ON_DEMAND
from flowtools.source.settings import Watching

KIND = click.Choice([kind.value for kind in OF_FILES + ON_DEMAND])


def _bytes(text: str) -> Any:
    from flowtools.source.folder.amounts import bytes_of

    return bytes_of(text)


def _settle_for(text: str) -> Any:
    from flowtools.source.folder.amounts import settle_for

    return settle_for(text)


@click.command("flow-watch", cls=Command)
@click.argument("directory", metavar="DIR", type=options.PATH)
@click.option(
    "--match",
    multiple=True,
    metavar="PATTERN",
    help="Only report files whose name matches, such as '*.mxf'; may be repeated. Default: all but "
    "those that begin with a dot.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="PATTERN",
    help="Do not report files whose name matches; may be repeated.",
)
@click.option(
    "--ignore-case", is_flag=True, help="Ignore case in patterns: '*.mxf' matches CLIP.MXF."
)
@click.option(
    "--temporary",
    multiple=True,
    metavar="PATTERN",
    help="Names of transfers in progress: such a file is reported once it is renamed. May be "
    "repeated; adds to the default patterns ('*.part', '*.tmp' and others), which 'none' removes.",
)
@click.option("-r", "--recursive", is_flag=True, help="Watch sub-folders, too.")
@click.option("--existing", is_flag=True, help="Also report the files that are already there.")
@click.option("--skip-empty", is_flag=True, help="Do not report a file while its size is 0.")
@click.option(
    "--settle",
    type=Duration(min=0),
    help="Report a file once it has not changed for SECONDS and is closed. Default: "
    f"{Watching.settle:g}; on a network mount "
    f"{Watching.remote_settle:g}.",
)
@click.option(
    "--settle-for",
    multiple=True,
    type=Parsed(_settle_for),
    metavar="PATTERN=SECONDS",
    help="Settle time for files whose name matches, such as '*.mxf=30s'; may be repeated.",
)
@click.option(
    "--stalled",
    type=Duration(min=0),
    help="Warn of a file that has not changed for SECONDS and is not whole; 0: never. "
    f"Default: {Watching.stalled:g}.",
)
@click.option(
    "--poll",
    type=Duration(min=0.1),
    help="Scan everything every SECONDS. Default: only on network mounts, where the system does "
    "not notice changes by other machines.",
)
@click.option(
    "--sidecar",
    multiple=True,
    metavar="PATTERN",
    help="Each file comes with a second one, such as '{stem}.xml' or '{name}.md5'; write one event "
    "when both are whole. May be repeated.",
)
@click.option(
    "--verify",
    type=click.Choice(["md5", "xxh64"]),
    help="Compare each file with the checksum file that comes with it; refuse it if they differ.",
)
@click.option(
    "--unit",
    type=click.Choice(["folder", "sequence"]),
    help="Write one event for each folder, or for each sequence of frames whose names differ only "
    "in a number. Default: one event for each file.",
)
@click.option(
    "--state",
    type=options.PATH,
    metavar="FILE",
    help="Remember in FILE what has been reported. At the start, report what arrived, changed or "
    "disappeared meanwhile, and nothing twice.",
)
@options.ack
@options.prefetch
@options.drain
@click.option(
    "--done",
    type=options.PATH,
    metavar="DIR",
    help="With --ack worker: move a file here once its event is done.",
)
@click.option(
    "--failed",
    type=options.PATH,
    metavar="DIR",
    help="With --ack worker: move a file here if its event is rejected.",
)
@click.option("--remove", is_flag=True, help="With --ack worker: remove a file once it is done.")
@click.option(
    "--min-free",
    type=Parsed(_bytes),
    metavar="BYTES",
    help="Warn when less than this is free on the disk, such as 10G.",
)
@click.option(
    "--include",
    type=KIND,
    multiple=True,
    help="Only changes of this kind; may be repeated. Default: all but stalled.",
)
@click.option(
    "--exclude", type=KIND, multiple=True, help="No changes of this kind; may be repeated."
)
@options.count
@options.metrics
def main(directory: str, count: int | None, **given: Any) -> None:
    """Write an event line for each file in DIR that has arrived whole, changed, or gone.

    DIR may disappear and come back. With --ack worker and --done, --remove or --state, a file
    whose event was not done is reported again at the next start, whichever process dies.

    \b
    Examples:
      flow-watch /media/in --ack worker --done /media/done |
          flow-work mymod:Ingest -j 4
      flow-watch /media/in --settle-for '*.mxf=30s' --match '*.mxf' | jq .data
      flow-watch . --include deleted | jq -r .subject
    """
    from flowtools.source.folder.rules import Rules
    from flowtools.source.watch import HotFolder

    # An option that was not given is None: the default of the rule applies.
    rules = Rules(**{name: value for name, value in given.items() if value is not None})
    # No time after a stop: with --existing or --state the next start reports the files again.
    run_source(HotFolder(directory, rules, count=count), drain=0.0)


if __name__ == "__main__":
    main()
