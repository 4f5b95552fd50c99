"""Draw the live table: everything that is on the terminal at one moment."""

from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.table import Table
from rich.text import Text

from flowtools.core.kind import Kind
from flowtools.view.columns import GAP, LEAST, NO_EVENT, Row, age, clock_text, with_room
from flowtools.view.history import History
from flowtools.view.rates import SPAN, Rates, Track, sparkline

MAX_BARS = 60
"""Bars of a sparkline: of two seconds each."""

TYPES_SHOWN = 6

TYPE_WIDTH = 40
"""Cells of the longest type on top of the table; a longer one keeps its end."""

COUNTS = 28
"""Cells around a type: how many have come, and how many a second."""

TOTAL = 10
"""Cells around a type where there is only room for how many have come."""

NARROWEST = LEAST + COUNTS
"""Width in cells below which only the counts are shown beside the type."""

NARROW = 80
"""Cells below which the table leaves out a column that nobody asked for."""

HELP = "/ search   space pause   c clear   q quit"
HELP_PAUSED = "space go on   up, down, page-up, page-down look back   q quit"

_STYLES = {kind.value: kind.colour for kind in Kind} | {NO_EVENT: "bold red"}


@dataclass
class State:
    """The state of the viewer, from which alone the screen is drawn.

    Attributes:
        names: Names of the columns.
        spare: The column that a narrow terminal does without; empty: none.
        history: The rows.
        rates: The counts.
        now: The wall clock, in seconds.
        elapsed: Seconds since the beginning.
        typing: What is being typed into the search; None: nothing.
        paused: Rows that have come since the table was paused; None: it is not.
        back: How many rows the table has been moved back while paused.
        ended: The input has ended.
        note: A message at the foot of the table.
        has_keys: Whether keys can be pressed.
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
    """Draws a State into the space there is: types on top, the last rows, a line of help."""

    def __init__(self, state: State, *, final: bool = False) -> None:
        """Draw `state`; `final`: for people to keep, without help, as high as it needs."""
        self._state = state
        self._final = final

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        width, height = options.max_width, options.height or options.size.height
        head = self._head(width, height)
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
        name = Text(kind)
        _keep_end(name, widest)
        line = Text(f"  {name.plain}{' ' * (widest - name.cell_len)}", _style(kind))
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
        widths = _shared([heads, *texts], width, rest)
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
        for head, room in zip(heads, widths, strict=True):
            table.add_column(head, no_wrap=True, overflow="ellipsis", width=room)
        for cells in texts:
            for name, cell, room in zip(names, cells, widths, strict=True):
                if name in ("type", "subject"):
                    _keep_end(cell, room)
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
            # Searched without a regular expression, because the text is not a pattern.
            _mark(text, self._state.history.search)
        return text

    def _foot(self) -> Text:
        state = self._state
        if state.typing is not None:
            return Text.assemble(
                ("/", "bold cyan"),
                state.typing,
                ("█", "blink"),
                ("   Enter keeps it, Escape ends the search", "dim"),
            )
        if state.note:
            return Text(state.note, "bold yellow")
        if not state.has_keys:
            return Text("Control-C ends it", "dim")
        return Text(HELP if state.paused is None else HELP_PAUSED, "dim")


def _shared(rows: list[list[Text]], width: int, rest: int) -> list[int]:
    """Share `width` cells among columns: what each needs, and the one at `rest` the rest.

    Where that leaves it less than a quarter, the widest of the others give.
    """
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    room = width - GAP * (len(widths) - 1)
    others = [place for place in range(len(widths)) if place != rest]
    while others and sum(widths[each] for each in others) > max(
        room - max(width // 4, 8), len(others)
    ):
        widths[max(others, key=lambda place: widths[place])] -= 1
    widths[rest] = max(room - sum(widths[each] for each in others), 1)
    return widths


def _keep_end(text: Text, width: int) -> None:
    """Cut the beginning: it is the end of a type, a path or an id that differs."""
    plain = text.plain
    if cell_len(plain) > width:
        kept = plain[-width:]
        while cell_len(kept) > width - 1:
            kept = kept[1:]
        text.plain = "…" + kept


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
