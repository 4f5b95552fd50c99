"""The live display of --progress, drawn with rich below whatever else goes to stderr."""

import os
from typing import Self, TextIO

from rich.console import Console, ConsoleDimensions
from rich.live import Live
from rich.text import Text

from flowtools.pool.tally import Figures, Snapshot, duration
from flowtools.process import console
from flowtools.process.message import one_line

SLOWEST = 5
"""Running events that are shown, the one that has run longest first."""

Pair = tuple[str, str, str]
"""A label, its value, and the style of the value."""


class Display:
    """Rows at the bottom of a terminal. One thread at a time may draw.

    While it is shown, messages of the process appear above it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = Console(file=stream, force_terminal=True, highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        # rich hides the cursor; a process that a second signal kills would leave it so.
        self._console.show_cursor(True)
        console.lead(self._show)
        return self

    def __exit__(self, *error: object) -> None:
        console.lead(None)
        self._live.stop()

    def _show(self, text: str) -> None:
        """Print whole lines of messages above the rows."""
        self._console.print(Text(text.removesuffix("\n")), soft_wrap=True)

    def draw(self, figures: Figures, snapshot: Snapshot) -> None:
        """Show these figures."""
        width, height = self._console.size = _size(self._stream)
        lines = _flowed(_pairs(figures, snapshot), width - 1)
        slowest = sorted(snapshot.running, key=lambda each: -each[1])
        for label, seconds in slowest[: max(0, min(SLOWEST, height - len(lines) - 1))]:
            lines.append(Text(f"{duration(seconds):>9}  {one_line(label)}"))
        for line in lines:
            # A subject may hold wide characters: cut by cells, and never wrap.
            line.truncate(width - 1, overflow="ellipsis")
        self._live.update(Text("\n").join(lines), refresh=True)


def _size(stream: TextIO) -> ConsoleDimensions:
    # rich would ask whichever of the standard streams is a terminal, if any.
    width, height = os.get_terminal_size(stream.fileno())
    return ConsoleDimensions(width or 80, height or 24)


def _pairs(figures: Figures, snapshot: Snapshot) -> list[Pair]:
    pairs = [
        ("done", f"{figures.done:,}", "bold green"),
        ("failed", f"{figures.failed:,}", "bold red" if figures.failed else "bold"),
    ]
    pairs += [(label, f"{number:,}", "bold") for label, number in figures.others()]
    pairs += [
        ("running", f"{len(snapshot.running)}/{snapshot.threads}", "bold"),
        ("queued", f"{snapshot.queued:,}", "bold"),
    ]
    if snapshot.abandoned:
        pairs.append(("stuck", f"{snapshot.abandoned}", "bold red"))
    if snapshot.paused:
        pairs.append(("paused", duration(snapshot.paused), "bold red"))
    pairs.append(("rate", f"{figures.rate:.1f}/s", "bold"))
    if figures.median is not None and figures.high is not None:
        pairs.append(("p50", duration(figures.median), "bold"))
        pairs.append(("p95", duration(figures.high), "bold"))
    pairs.append(("time", duration(figures.seconds), "bold"))
    return pairs


def _flowed(pairs: list[Pair], width: int) -> list[Text]:
    """Return the pairs in as many lines as they need; none is broken in the middle."""
    lines = [Text()]
    for label, value, style in pairs:
        pair = Text.assemble((f"{label} ", "dim"), (value, style))
        if lines[-1] and lines[-1].cell_len + 3 + pair.cell_len > width:
            lines.append(Text())
        lines[-1].append("   " if lines[-1] else "").append_text(pair)
    return lines
