"""flow-watch: write the files that arrive in a folder as event lines."""

import click

from flowtools.cli import options
from flowtools.cli.binding import option
from flowtools.cli.command import Command, run_source
from flowtools.core.kind import OF_FILES
from flowtools.source.settings import Watching

KIND = click.Choice([kind.value for kind in OF_FILES])


@click.command("flow-watch", cls=Command)
@click.argument("directory", metavar="DIR", type=options.PATH)
@click.option(
    "--match",
    multiple=True,
    metavar="PATTERN",
    help="Only files whose name fits, such as '*.mxf'; may be repeated. Default: all but "
    "those that begin with a dot.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="PATTERN",
    help="No files whose name fits, such as '*.part'; may be repeated.",
)
@click.option("-r", "--recursive", is_flag=True, help="Look into sub-folders, too.")
@click.option("--existing", is_flag=True, help="Begin with the files that are there already.")
@click.option("--skip-empty", is_flag=True, help="Say nothing of a file while its size is 0.")
@option(
    "--settle",
    of=Watching,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="A file counts as whole when it has not changed for so long.",
)
@click.option(
    "--poll",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Look at everything every so often: for network shares, which give no notice of "
    "what other machines do.",
)
@click.option(
    "--include", type=KIND, multiple=True, help="Only changes of this kind; may be repeated."
)
@click.option(
    "--exclude", type=KIND, multiple=True, help="No changes of this kind; may be repeated."
)
@options.count
def main(
    directory: str,
    match: tuple[str, ...],
    ignore: tuple[str, ...],
    recursive: bool,
    existing: bool,
    skip_empty: bool,
    settle: float,
    poll: float | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    count: int | None,
) -> None:
    """Write an event line for each file in DIR that has arrived whole, changed, or gone.

    DIR may go away and come back. A folder whose files the Worker moves away or deletes,
    watched with --existing, loses nothing whatever dies.

    \b
    Examples:
      flow-watch /media/in --existing --match '*.mxf' | flow-work mymod:Ingest -j 4
      flow-watch /mnt/share --poll 10 -r --include created | flow-work mymod:Ingest
      flow-watch . --include deleted | jq -r .subject
    """
    from flowtools.source.watch import HotFolder

    run_source(
        HotFolder(
            directory,
            match=match,
            ignore=ignore,
            recursive=recursive,
            existing=existing,
            skip_empty=skip_empty,
            settle=settle,
            poll=poll,
            include=include,
            exclude=exclude,
            count=count,
        )
    )


if __name__ == "__main__":
    main()
