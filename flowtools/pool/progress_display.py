"""The live display of --progress, drawn below everything else that goes to stderr.

Each picture replaces the one before: the cursor moves up by the rows of the old picture and erases
them. If the terminal has become narrower, most terminals have wrapped the old lines. So their rows
are counted for the current width.
"""

import os
from threading import Lock
from typing import Self, TextIO

from rich.console import Console, ConsoleDimensions
from rich.text import Text

from flowtools.pool.tally import Figures, Share, Snapshot, duration
from flowtools.process import console
from flowtools.process.message import one_line

LONGEST_BAR = 60
"""Maximum width of the bar, in cells."""

SLOWEST = 5
"""Maximum number of running events that are shown, the longest-running first."""

Pair = tuple[str, str, str]
"""A label, its value, and the style of the value."""


class Display:
    """Rows at the bottom of a terminal. Only one thread at a time may call `draw`.

    While it is shown, messages of the process appear above it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = Console(file=stream, force_terminal=True, highlight=False)
        self._drawing = Lock()
        self._lines: list[Text] = []

    def __enter__(self) -> Self:
        console.lead(self._show)
        return self

    def __exit__(self, *error: object) -> None:
        console.lead(None)
        with self._drawing:
            self._write(self._erasure())
            self._lines = []

    def _show(self, text: str) -> None:
        """Print complete lines of messages above the rows."""
        with self._drawing:
            erasure = self._erasure()
            self._write(f"{erasure}{text.removesuffix(chr(10))}\n{self._picture()}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _erasure(self) -> str:
        """Return the escape sequences that erase the rows and put the cursor where they began."""
        if not self._lines:
            return ""
        width = _size(self._stream).width
        rows = sum(max(1, -(-line.cell_len // width)) for line in self._lines)
        # Row by row: clearing everything below the cursor would put each picture into the history
        # of tmux.
        return "\r\x1b[2K" + "\x1b[1A\x1b[2K" * (rows - 1)

    def _picture(self) -> str:
        with self._console.capture() as picture:
            self._console.print(Text("\n").join(self._lines), end="", no_wrap=True)
        return picture.get()

    def draw(self, figures: Figures, snapshot: Snapshot, share: Share | None = None) -> None:
        """Show these figures."""
        with self._drawing:
            erasure = self._erasure()
            self._lines = self._rows(figures, snapshot, share)
            self._write(erasure + self._picture())

    def _rows(self, figures: Figures, snapshot: Snapshot, share: Share | None) -> list[Text]:
        width, height = self._console.size = _size(self._stream)
        lines = _flowed(_pairs(figures, snapshot), width - 1)
        if share is not None:
            lines.append(_bar(share, width - 1))
        slowest = sorted(snapshot.running, key=lambda each: -each[1])
        for label, seconds in slowest[: max(0, min(SLOWEST, height - len(lines) - 1))]:
            lines.append(Text(f"{duration(seconds):>9}  {one_line(label)}"))
        for line in lines:
            # Cut by cells, since a subject may hold wide characters; a wrapped line would take
            # two rows.
            line.truncate(width - 1, overflow="ellipsis")
        return lines


def _size(stream: TextIO) -> ConsoleDimensions:
    # rich would use the size of any standard stream that is a terminal, not that of this one.
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


def _bar(share: Share, width: int) -> Text:
    """Return a bar with the share that is done and the time left."""
    left = "" if share.left is None else f"   {duration(share.left)} left"
    figure = f" {share.done:4.0%}{left}"
    room = max(0, min(LONGEST_BAR, width - len(figure)))
    full = round(room * share.done)
    return Text.assemble(("█" * full, "green"), ("░" * (room - full), "dim"), (figure, "bold"))


def _flowed(pairs: list[Pair], width: int) -> list[Text]:
    """Return the pairs in as many lines as they need, without breaking any pair."""
    lines = [Text()]
    for label, value, style in pairs:
        pair = Text.assemble((f"{label} ", "dim"), (value, style))
        if lines[-1] and lines[-1].cell_len + 3 + pair.cell_len > width:
            lines.append(Text())
        lines[-1].append("   " if lines[-1] else "").append_text(pair)
    return lines
