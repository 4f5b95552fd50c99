"""Draws the live table: the content of the whole terminal at one moment.

A Screen is made anew for each drawing, only from a State, and keeps nothing. So what is shown does
not depend on what was shown before, and a resized terminal needs no special care.
"""

from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.table import Table
from rich.text import Text

from flowtools.core.kind import Kind
from flowtools.view.columns import GAP, LEAST, NO_EVENT, Row, age, clock_text, end_of, with_room
from flowtools.view.history import History
from flowtools.view.rates import SPAN, Rates, Track, sparkline

MAX_BARS = 60
"""Maximum number of bars of a sparkline; each then stands for two seconds."""

TYPES_SHOWN = 6

TYPE_WIDTH = 40
"""Maximum width of a type above the table, in cells; a longer one keeps its end."""

COUNTS = 28
"""Cells beside a type that its total and its rate take."""

TOTAL = 10
"""Cells beside a type that its total alone takes."""

NARROWEST = LEAST + COUNTS
"""Width in cells below which only the total is shown beside a type."""

NARROW = 80
"""Width in cells below which the table leaves out the column State.spare."""

HELP = "/ search   space pause   c clear   q quit"
HELP_PAUSED = "space go on   up, down, page-up, page-down look back   q quit"

_STYLES = {kind.value: kind.colour for kind in Kind} | {NO_EVENT: "bold red"}


@dataclass
class State:
    """Everything that a drawing depends on, besides the size of the terminal.

    Attributes:
        names: Names of the columns.
        spare: Column that a narrow terminal leaves out; empty: none.
        history: The rows.
        rates: The counts by type.
        now: The wall clock, in seconds since the epoch.
        elapsed: Seconds since the beginning.
        typing: Search text that is being typed; None: the user is not typing.
        paused: Number of rows that have arrived since the table was paused; None: not paused.
        back: Number of rows that the table has been scrolled back while paused.
        ended: Whether the input has ended.
        note: Message at the foot of the table; empty: none.
        has_keys: Whether there is a keyboard.
    """

    names: tuple[str, ...]
    history: History
    rates: Rates
    now: float
    elapsed: float = 0.0
    typing: str | None = None
    paused: int | None = None
    back: int = 0
    ended: bool = False
    note: str = ""
    has_keys: bool = True
    spare: str = ""


class Screen:
    """A drawing of a State: the types on top, then the last rows, and a line of help."""

    def __init__(self, state: State, *, final: bool = False) -> None:
        """Prepare to draw `state`; `final`: for the last time, without help and empty lines."""
        self._state = state
        self._final = final

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        width, height = options.max_width, options.height or options.size.height
        head = self._head(width, height)
        # Two lines are for the names of the columns and the foot.
        room = max(height - len(head) - 2, 0)
        rows = self._state.history.last(room, self._state.back)
        yield from head
        if room:
            yield self._table(rows, width)
        if not self._final:
            for _ in range(room - len(rows)):
                yield Text()
            yield _fitted(self._foot(), width)

    def _head(self, width: int, height: int) -> list[Text]:
        state = self._state
        shown = state.rates.most(min(TYPES_SHOWN, max(height // 4, 1)))
        lines = [self._totals()]
        # On a very low terminal the rows matter more than the counts.
        if height > 8:
            widest = max((cell_len(kind) for kind, _ in shown), default=0)
            counts = COUNTS if width >= NARROWEST else TOTAL
            widest = min(widest, TYPE_WIDTH, max(width - counts, 1))
            lines += [self._track(kind, track, widest, width) for kind, track in shown]
        return [_fitted(line, width) for line in lines]

    def _totals(self) -> Text:
        state = self._state
        track = state.rates.all
        line = Text.assemble(
            (f"{track.total:,}", "bold"),
            (" events   ", "dim"),
            (f"{track.rate(state.elapsed):,.1f}/s", "bold"),
        )
        if state.history.search:
            line.append("   only with ", "dim").append(f"'{state.history.search}'", "bold cyan")
        if state.paused is not None:
            line.append(f"   paused, {state.paused:,} more", "bold yellow")
        if state.ended:
            line.append("   the input has ended", "bold yellow")
        return line

    def _track(self, kind: str, track: Track, widest: int, width: int) -> Text:
        name = end_of(kind, widest)
        line = Text(f"  {name}{' ' * (widest - cell_len(name))}", _style(kind))
        if width < NARROWEST:
            return line.append(f" {track.total:>{TOTAL - 3},}", "bold")
        line.append(f" {track.total:>11,}", "bold")
        line.append(f" {track.rate(self._state.elapsed):>9,.1f}/s  ", "dim")
        seconds = list(track.seconds)
        bars = max(min(MAX_BARS, width - line.cell_len - 8), 0)
        line.append(sparkline(seconds[-SPAN:], bars), _style(kind))
        if bars:
            line.append(" 2 min", "dim")
        return line

    def _table(self, rows: list[Row], width: int) -> Table:
        spare = self._state.spare if width < NARROW else ""
        named = [(place, name) for place, name in enumerate(self._state.names) if name != spare]
        texts = [[self._cell(name, row.cells[at], row) for at, name in named] for row in rows]
        heads = [Text(name.upper(), "bold underline") for _, name in named]
        needs = [
            max(cell.cell_len for cell in column) for column in zip(heads, *texts, strict=True)
        ]
        kept = with_room([name for _, name in named], needs, width)
        names = [named[place][1] for place in kept]
        heads = [heads[place] for place in kept]
        texts = [[cells[place] for place in kept] for cells in texts]
        rest = names.index("title") if "title" in names else len(names) - 1
        whole = names.index("time") if "time" in names else None
        widths = _shared([heads, *texts], width, rest, whole)
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
        for head, room in zip(heads, widths, strict=True):
            table.add_column(head, no_wrap=True, overflow="ellipsis", width=room)
        for cells in texts:
            for name, cell, room in zip(names, cells, widths, strict=True):
                if name in ("type", "subject") and cell.cell_len > room:
                    cell.plain = end_of(cell.plain, room)
            table.add_row(*cells)
        return table

    def _cell(self, name: str, cell: str, row: Row) -> Text:
        now = self._state.now
        if name == "age":
            return Text(
                "" if row.instant is None else age(now - row.instant), "dim", justify="left"
            )
        if name == "time" and row.instant is not None:
            return Text(clock_text(row.instant, now), "dim")
        text = Text(cell, _style(row.type) if name == "type" else "")
        if self._state.history.search:
            # Not by rich's own highlighting, which would take the text for a regular expression.
            _mark(text, self._state.history.search)
        return text

    def _foot(self) -> Text:
        state = self._state
        if state.typing is not None:
            return Text.assemble(
                ("/", "bold cyan"),
                state.typing,
                ("█", "blink"),
                ("   Enter keeps the search, Escape ends it", "dim"),
            )
        if state.note:
            return Text(state.note, "bold yellow")
        if not state.has_keys:
            return Text("Control-C to quit", "dim")
        return Text(HELP if state.paused is None else HELP_PAUSED, "dim")


def _shared(rows: list[list[Text]], width: int, rest: int, whole: int | None) -> list[int]:
    """Share `width` cells among columns: each gets what it needs, and the one at `rest` the rest.

    If less than a quarter is left for that one, the widest of the others get narrower: the one at
    `whole` only when the others have LEAST cells, because half a time is of no use.
    """
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    room = width - GAP * (len(widths) - 1)
    others = [place for place in range(len(widths)) if place != rest]
    # Cell by cell, always from the widest, so that narrow columns stay whole as long as possible.
    while others and sum(widths[each] for each in others) > max(
        room - max(width // 4, 8), len(others)
    ):
        wide = [each for each in others if widths[each] > LEAST and each != whole]
        widths[max(wide or others, key=lambda place: widths[place])] -= 1
    widths[rest] = max(room - sum(widths[each] for each in others), 1)
    return widths


def _mark(text: Text, searched: str) -> None:
    plain, wanted = text.plain.lower(), searched.lower()
    at = plain.find(wanted)
    while at >= 0:
        text.stylize("reverse", at, at + len(wanted))
        at = plain.find(wanted, at + len(wanted))


def _style(kind: str) -> Style | str:
    return _STYLES.get(kind.rpartition(".")[2], "cyan")


def _fitted(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line
