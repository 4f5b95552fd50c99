"""Make pictures of terminals in which commands run on the stand-in, as SVG.

Each command really runs on a pseudo-terminal, and the screen is drawn once a condition on its text
holds. A new picture that differs from the stored one only in figures is not written, because times
and rates differ in each run.

Each word is drawn as a text of its own at its column. Some programs (librsvg) ignore textLength and
leading spaces; a line that is drawn as one text would fall apart there.
"""

import re
import sys
from collections.abc import Callable
from html import escape
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
sys.path.insert(0, str(ROOT))

from tests.terminals import Terminal  # noqa: E402

COLUMNS = 72
"""Width of the terminal: as narrow as the commands allow, for readers with a phone."""
SIZE, WIDTH, LINE, EDGE = 20, 12.04, 27, 16
"""In pixels: font size, width of a letter in the fonts below, height of a line, margin."""
GROUND, FRAME, TEXT = "#1b2431", "#5b7188", "#e2e8f0"
# The colours of the picture of a pipeline.
COLOURS = {
    "default": TEXT,
    "black": "#2b3a4f",
    "red": "#f08f7a",
    "green": "#7fd1a0",
    "brown": "#e8c772",  # pyte's name of the dark yellow.
    "yellow": "#e8c772",
    "blue": "#82aaff",
    "magenta": "#c792ea",
    "cyan": "#7ecddc",
    "white": TEXT,
}
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
    """Run `command` on the stand-in until `ready` accepts the screen's text, and draw the screen.

    The picture is written to docs/pictures/NAME.svg. `before` is a command that the shell runs
    first and that is not shown.
    """
    run = f"{stand_in} -- bash -c '{before}{command}'"
    terminal = Terminal(run, columns=columns, rows=rows, cwd=ROOT)
    try:
        terminal.wait_for(lambda: ready(terminal.text), 60)
        svg = drawn(terminal, command, name, columns)
    finally:
        terminal.close()
    # Otherwise each run would change every picture, and nobody would see what really changed.
    path = PICTURES / f"{name}.svg"
    if not path.exists() or FIGURES.sub("", path.read_text()) != FIGURES.sub("", svg):
        path.write_text(svg)


def drawn(terminal: Terminal, command: str, name: str, columns: int) -> str:
    """Return the screen as an SVG that needs no other file."""
    rows = [row.rstrip() for row in terminal.screen.display]
    while rows and not rows[-1]:
        rows.pop()
    typed = wrap(f"$ {command}", columns, subsequent_indent="    ", break_on_hyphens=False)
    top = 2 * EDGE + LINE * len(typed)
    width, height = round(columns * WIDTH) + 2 * EDGE, top + LINE * len(rows) + EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        f' width="{width}" height="{height}" role="img" aria-labelledby="{name}">',
        f'<title id="{name}">What {escape(command)} shows on a terminal.</title>',
        f'<rect width="{width}" height="{height}" rx="12" fill="{GROUND}"/>',
        f'<path d="M0 {top - EDGE / 2}H{width}" stroke="{FRAME}"/>',
        f'<g font-family="{FONT}" font-size="{SIZE}" fill="{TEXT}">',
    ]
    for number, line in enumerate(typed):
        parts += words(line, 0, EDGE + LINE * number, 'font-weight="bold"')
    for number in range(len(rows)):
        parts += row_of(terminal, number, top + LINE * number)
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def row_of(terminal: Terminal, row: int, top: float) -> list[str]:
    """Return the elements for one row of the screen, with its colours."""
    cells = (terminal.screen.buffer[row][column] for column in range(terminal.screen.columns))
    parts, column = [], 0
    for (front, back, bold, underlined), same in groupby(cells, style_of):
        text = "".join(cell.data for cell in same)
        if back != GROUND:
            parts.append(
                f'<rect x="{at(column)}" y="{top:g}" width="{len(text) * WIDTH:.1f}" '
                f'height="{LINE}" fill="{back}"/>'
            )
        style = f'fill="{front}"' if front != TEXT else ""
        style += ' font-weight="bold"' if bold else ""
        style += ' text-decoration="underline"' if underlined else ""
        parts += words(text, column, top, style.strip())
        column += len(text)
    return parts


def words(text: str, column: int, top: float, style: str) -> list[str]:
    """Return each word of `text`, which begins at `column`, as a text of its own."""
    return [
        f'<text x="{at(column + found.start())}" y="{top + SIZE:g}" '
        f'textLength="{len(found[0]) * WIDTH:.1f}" {style}'.rstrip()
        + f">{escape(found[0])}</text>"
        for found in re.finditer(r"\S+", text)
    ]


def at(column: int) -> str:
    """Return the left edge of a column, in pixels."""
    return f"{EDGE + column * WIDTH:.1f}"


def style_of(cell: Any) -> tuple[str, str, bool, bool]:
    """Return the style of a cell of pyte's screen: two colours, is it bold, is it underlined."""
    front = colour(cell.fg)
    back = GROUND if cell.bg == "default" else colour(cell.bg)
    return (*((back, front) if cell.reverse else (front, back)), cell.bold, cell.underscore)


def colour(name: str) -> str:
    """Return the SVG colour for pyte's colour `name`."""
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    # Terminals show bold text in bright colours; the picture has the weight, and one shade of each.
    return COLOURS[name.removeprefix("bright")]


PIPELINE = (
    "export XDG_RUNTIME_DIR=$(mktemp -d) TMPDIR=$(mktemp -d); "
    "flow-listen-assets --ack worker | flow-jq . | flow-tee /dev/null"
    " | flow-work examples.tag:Tag -j 8 --timeout 30 2>/dev/null & sleep 20; "
)
"""Starts a pipeline of four commands and lets it run for a while, for flow-status."""

FAILURES = (
    "export PYTHONPATH=$PWD/docs/tools; cd $(mktemp -d); "
    "flow-listen-assets --count 300 | flow-work breaking:Tag -j 8 --timeout 1 --grace 0.1"
    " --failed failed.jsonl >/dev/null 2>&1; "
)
"""Makes a failed file with several errors, for flow-failed."""


def main() -> None:
    """Make all pictures."""
    take(
        "status",
        "flow-sim --assets 10000 --rate 20 --faults slow=0.4",
        STATUS,
        8,
        # Only when nothing else runs on this host.
        lambda seen: len(re.findall("flow-[a-z]", seen)) == 4 and "Control-C" in seen,
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
        columns=80,
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
