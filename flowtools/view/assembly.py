"""flow-view put together: which display, for which reader."""

import os
import sys
from dataclasses import dataclass
from typing import Literal, TextIO

from flowtools.lines import MAX_LINE
from flowtools.stop import stopped_by_signals
from flowtools.view.columns import Columns
from flowtools.view.keys import Keys
from flowtools.view.live import Live
from flowtools.view.printer import Printer
from flowtools.view.viewer import Viewer

STDIN, STDOUT = 0, 1

When = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class Choice:
    """What was chosen on the command line of flow-view; its manual page explains each."""

    fields: Columns
    follow: bool = False
    tee: bool = False
    hold: bool = False
    search: str = ""
    color: When = "auto"
    max_line: int = MAX_LINE


def run(choice: Choice) -> None:
    """Show the events of standard input as chosen, on standard output, or error with --tee.

    Raises:
        FlowError: As Viewer.run.
        ReaderGone: Nobody reads any more.
        Signalled: A signal asked for the end.
    """
    stream = sys.stderr if choice.tee else sys.stdout
    with stopped_by_signals() as stop:
        viewer = Viewer(
            choice.fields,
            _display(choice, stream),
            passes_to=STDOUT if choice.tee else None,
            holds=choice.hold,
            max_line=choice.max_line,
        )
        viewer.run(STDIN, stop)


def _display(choice: Choice, stream: TextIO) -> Live | Printer:
    colour = _has_colour(choice.color, stream)
    able = stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb")
    if able and not choice.follow:
        try:
            keys = Keys()
        except OSError:
            keys = None  # No keyboard is no reason not to show anything.
        return Live(stream, choice.fields, colour=colour, search=choice.search, keys=keys)
    return Printer(stream, choice.fields, colour=colour, search=choice.search)


def _has_colour(when: When, stream: TextIO) -> bool:
    if when != "auto":
        return when == "always"
    # https://no-color.org: set and not empty, whatever it holds.
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
