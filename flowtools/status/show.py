"""Show running commands: as a table, as a table that is drawn again and again, or as JSON lines."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial

from flowtools.core.errors import EventsFailed
from flowtools.core.text import counted
from flowtools.core.times import short_duration
from flowtools.core.wait import Stop
from flowtools.process.screen import Screen
from flowtools.status.asking import State
from flowtools.status.check import Limits, trouble_of
from flowtools.status.pipelines import name_of, pipelines

HEADS = (
    *("pipeline", "pid", "up", "rate", "in flight", "oldest", "lag", "failed", "last event"),
    "state",
)
RIGHT = ("pid", "rate", "in flight", "oldest", "lag", "failed")

SPARE = ("up", "last event", "rate", "lag", "oldest", "in flight", "failed", "pid")
"""Columns that a narrow terminal leaves out, in this order."""

EVERY = 2.0
"""Seconds after which a live table is drawn again."""


def show(states: list[State], limits: Limits, *, as_json: bool) -> None:
    """Print `states` as a table or as JSON lines.

    Raises:
        ReaderGone: The reader of standard output has closed the pipe.
        FlowError: Standard output cannot be written.
    """
    screen = Screen()
    chains = pipelines(states)
    if not as_json:
        _draw(screen, chains, limits)
    else:
        for chain in chains:
            for state in chain:
                screen.json(
                    {"command": state.command, "pid": state.pid}
                    | asdict(state)
                    | {"pipeline": name_of(chain), "trouble": trouble_of(state, limits)}
                )


def watch(ask: Callable[[], list[State]], limits: Limits, stop: Stop) -> None:
    """Show a table on the terminal and draw it again every EVERY seconds, until `stop` is set.

    Raises:
        ReaderGone: The terminal has gone.
        FlowError: The terminal cannot be written to.
    """
    screen = Screen()
    with screen.whole():
        while True:
            chains = pipelines(ask())
            foot = "(Control-C to quit)"
            if not screen.page(partial(_draw, screen, chains, limits), foot):
                # What is in trouble must not be below the edge of the terminal.
                chains.sort(key=lambda chain: not any(trouble_of(each, limits) for each in chain))
                screen.page(partial(_draw, screen, chains, limits), foot)
            if stop.wait(EVERY):
                return


def check(states: list[State], limits: Limits) -> None:
    """Print one line for each command that is not healthy.

    Raises:
        EventsFailed: A command is not healthy, or no command is running.
    """
    screen = Screen()
    troubles = 0
    for chain in pipelines(states):
        for state in chain:
            trouble = trouble_of(state, limits)
            if trouble:
                troubles += 1
                screen.line(f"{name_of(chain)}: {state.command} (pid {state.pid}): {trouble}")
    if troubles:
        verb = "is" if troubles == 1 else "are"
        commands = counted(len(states), "command")
        raise EventsFailed(f"{troubles} of {commands} {verb} not healthy")
    # A service that has ended must not look healthy to a monitoring system.
    if not states:
        raise EventsFailed("no command of flowtools is running")


def _draw(screen: Screen, chains: list[list[State]], limits: Limits) -> None:
    if not chains:
        screen.line("no command of flowtools is running")
        return
    rows = (row for chain in chains for row in _rows(chain, limits))
    screen.table(HEADS, rows, right=RIGHT, spare=SPARE, most_lines=3)


def _rows(chain: list[State], limits: Limits) -> Iterable[tuple[str, ...]]:
    unit = chain[0].unit
    for place, state in enumerate(chain):
        label = f"{'  | ' if place else ''}{state.command}"
        if state.about:
            label += f" {state.about}"
        if place == 0 and unit:
            label = f"{unit}: {label}"
        figures = state.figures
        # flow-work counts events that failed permanently, a source those that its readers rejected.
        failed = figures.get("failed", figures.get("rejected"))
        yield (
            label,
            str(state.pid),
            short_duration(state.up),
            f"{state.rate:.1f}/s" if state.answers else "-",
            _number(figures.get("in_flight")),
            _duration(figures.get("oldest_seconds")),
            _duration(figures.get("lag_seconds")),
            _number(failed),
            "-" if state.last_event is None else f"{short_duration(state.last_event)} ago",
            _state(state, limits),
        )


def _state(state: State, limits: Limits) -> str:
    trouble = trouble_of(state, limits)
    place = state.connection
    connection = f"connected to {place}" if state.figures.get("connected") and place else place
    words = trouble or connection or "well"
    if state.last_error:
        words += f"; last message {short_duration(state.last_error_age or 0)} ago: "
        words += state.last_error
    return words


def _duration(seconds: float | None) -> str:
    return short_duration(seconds) if seconds else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
