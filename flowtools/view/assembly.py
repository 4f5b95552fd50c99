"""A run of flow-view: chooses the display, a live table or lines, and starts the viewer."""

import os
import sys
from typing import TextIO

from flowtools.core.log import get_log
from flowtools.core.substitutes import suiting
from flowtools.process.service import speaking
from flowtools.process.signals import stopped_by_signals
from flowtools.process.vitals import vitals
from flowtools.view.columns import DEFAULT, KNOWN, TABLE_DEFAULT, Columns
from flowtools.view.keys import Keys
from flowtools.view.live import Live
from flowtools.view.printer import Printer
from flowtools.view.settings import Choice, When
from flowtools.view.viewer import Viewer

STDIN, STDOUT = 0, 1

log = get_log("flowtools.view")


def run(choice: Choice) -> None:
    """Show the events of standard input on standard output, or with --tee on standard error.

    Raises:
        FlowError: Input or output fails, or some lines were not events (see Viewer.run).
        ReaderGone: The reader of standard output, or the terminal, has gone.
        Signalled: A signal asked for the end.
    """
    stream = sys.stderr if choice.tee else sys.stdout
    able = stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb")
    is_table = able and not choice.follow
    columns = choice.fields or Columns.parse(TABLE_DEFAULT if is_table else DEFAULT)
    columns.suits = suiting(stream.encoding)
    strange = ", ".join(f"'{name}'" for name in columns.strange)
    if strange:
        strange = f"no event of flowtools has {strange}; the fields are {', '.join(KNOWN)}"
        log.warning("%s, extensions of others, and JSON Pointers such as /size", strange)
    log.debug(
        "showing %s on %s, in %s, with the columns %s",
        *("a table" if is_table else "lines", stream.name, stream.encoding),
        ", ".join(columns.names),
    )
    with stopped_by_signals() as stop, speaking("flow-view"):
        viewer = Viewer(
            columns,
            _table(choice, stream, columns) if is_table else _lines(choice, stream, columns),
            passes_to=STDOUT if choice.tee else None,
            holds=choice.hold,
            max_line=choice.max_line,
        )
        if is_table and (strange or os.isatty(STDIN)):
            viewer.note(strange or "waits for event lines from the terminal; Ctrl-D ends them")
        with vitals.providing(events_in=lambda: viewer.lines, moment=lambda: viewer.read_at):
            viewer.run(STDIN, stop)


def _table(choice: Choice, stream: TextIO, columns: Columns) -> Live:
    try:
        keys = Keys()
    except OSError:
        keys = None  # Without a keyboard the table can still be shown.
    colour = _has_colour(choice.color, stream)
    # The user's own choice of columns is not reduced before it must be.
    spare = "" if choice.fields else "age"
    return Live(stream, columns, colour=colour, search=choice.search, keys=keys, spare=spare)


def _lines(choice: Choice, stream: TextIO, columns: Columns) -> Printer:
    colour = _has_colour(choice.color, stream)
    return Printer(stream, columns, colour=colour, search=choice.search)


def _has_colour(when: When, stream: TextIO) -> bool:
    if when != "auto":
        return when == "always"
    # https://no-color.org: any value counts, unless it is empty.
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
