"""Take pictures of commands at work on the stand-in, as SVG.

Each is a real run on a (pseudo) terminal, looked at when its condition holds. A picture that
differs from the one that is there in nothing but figures is left alone: times and rates are
others in each run.
"""

import io
import re
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
sys.path.insert(0, str(ROOT))

from tests.terminals import Terminal  # noqa: E402

COLUMNS = 100
# The ground and the colours of the picture of a pipeline.
THEME = TerminalTheme(
    (27, 36, 49),
    (226, 232, 240),
    [
        *((43, 58, 79), (240, 143, 122), (127, 209, 160), (232, 199, 114)),
        *((130, 170, 255), (199, 146, 234), (126, 205, 220), (226, 232, 240)),
    ],
)
NAMES = {"brown": "yellow", "default": None}
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
FIGURES = re.compile(r"[\d.,:]+|\b(?:now|m?s)\b|[▁-█]|\s|…|&#160;")

VIEW = "flow-listen-assets | flow-view"
STATUS = "flow-status"
FAILED = "flow-failed failed.jsonl"
WORK = "flow-listen-assets | flow-work examples.tag:Tag -j 8 --retries 2 --progress"


def take(
    name: str,
    stand_in: str,
    command: str,
    rows: int,
    ready: Callable[[str], object],
    *,
    before: str = "",
    columns: int = COLUMNS,
) -> None:
    """Run `command` on the stand-in until `ready(screen)`, and keep what is seen then.

    `before` is what the shell does first, unseen.
    """
    run = f"{stand_in} -- bash -c '{before}{command}'"
    terminal = Terminal(run, columns=columns, rows=rows, cwd=ROOT)
    try:
        terminal.wait_for(lambda: ready(terminal.text), 60)
        svg = drawn(terminal, command, name, columns)
    finally:
        terminal.close()
    path = PICTURES / f"{name}.svg"
    if not path.exists() or FIGURES.sub("", path.read_text()) != FIGURES.sub("", svg):
        path.write_text(svg)


def drawn(terminal: Terminal, command: str, name: str, columns: int) -> str:
    """Return the screen as an SVG that fetches nothing from elsewhere."""
    console = Console(width=columns, record=True, file=io.StringIO(), force_terminal=True)
    lines = [row_of(terminal, row) for row in range(terminal.screen.lines)]
    while lines and not lines[-1].plain.strip():
        lines.pop()
    for line in lines:
        console.print(line, no_wrap=True, crop=True, highlight=False)
    svg = console.export_svg(title=f"$ {command}", theme=THEME, unique_id=name)
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: (?:Fira Code|arial)[^;]*;", f"font-family: {FONT};", svg)
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE).rstrip() + "\n"


def row_of(terminal: Terminal, row: int) -> Text:
    """Return one row of the screen, with its colours."""
    cells = (terminal.screen.buffer[row][column] for column in range(terminal.screen.columns))
    text = Text()
    for style, same in groupby(cells, style_of):
        text.append("".join(cell.data for cell in same), style)
    return text


def style_of(cell: Any) -> Style:
    """Return the style of a cell of pyte's screen."""
    return Style(
        color=colour(cell.fg),
        bgcolor=colour(cell.bg),
        bold=cell.bold,
        underline=cell.underscore,
        reverse=cell.reverse,
    )


def colour(name: str) -> str | None:
    """Return what rich calls the colour that pyte calls `name`."""
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return NAMES.get(name, name.replace("bright", "bright_"))


PIPELINE = (
    "export XDG_RUNTIME_DIR=$(mktemp -d) TMPDIR=$(mktemp -d); "
    "flow-listen-assets --ack worker | flow-jq . | flow-tee /dev/null"
    " | flow-work examples.tag:Tag -j 8 --timeout 30 2>/dev/null & sleep 20; "
)
"""Four commands that have run for a while."""

FAILURES = (
    "export PYTHONPATH=$PWD/docs/tools; cd $(mktemp -d); "
    "flow-listen-assets --count 300 | flow-work breaking:Tag -j 8 --timeout 1 --grace 0.1"
    " --failed failed.jsonl >/dev/null 2>&1; "
)
"""A failed file of a bad day."""


def main() -> None:
    """Take all."""
    take(
        "status",
        "flow-sim --assets 10000 --rate 20 --faults slow=0.4",
        STATUS,
        8,
        lambda seen: "flow-work" in seen and "Control-C" in seen,
        before=PIPELINE,
        columns=132,
    )
    take(
        "failed",
        "flow-sim --assets 10000 --rate 40 --seed 1",
        FAILED,
        12,
        lambda seen: "attempts" in seen and seen.strip().count("\n") >= 3,
        before=FAILURES,
        columns=132,
    )
    take(
        "view",
        "flow-sim --assets 70 --rate 6",
        VIEW,
        21,
        lambda seen: re.match(r"70 events", seen),
    )
    take(
        "work",
        "flow-sim --assets 10000 --rate 30 --faults slow=0.4,conflict=0.1,5xx=0.02",
        WORK,
        8,
        lambda seen: re.search(r"done [2-9]\d\d ", seen) and seen.strip().count("\n") >= 5,
    )


if __name__ == "__main__":
    main()
