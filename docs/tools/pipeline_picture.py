"""Print the picture of a pipeline in the README, as SVG.

The picture has its own background, so that it looks the same on a light page and on a dark one. It
is narrow and its letters are large, so that it can be read on a phone.
"""

from html import escape

WIDTH, HEIGHT = 520, 478
GROUND, BOX, EDGE, TEXT, FAINT = "#1b2431", "#2b3a4f", "#5b7188", "#f2f5f8", "#b4c2d0"
DONE, BAD = "#7fd1a0", "#f0a58f"
COMMAND = (
    "$ flow-listen-assets --state state --ack worker |",
    "flow-work mymod:Tag -j 16 | jq .data",
)
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def text(x, y, words, *, size=14, colour=TEXT, anchor="middle", weight="normal", family=MONO):
    """Return one line of text whose base line is at `y`."""
    return (
        f'<text x="{x}" y="{y}" font-family="{family}" font-size="{size}" fill="{colour}" '
        f'text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'
    )


def said(x, y, words, **style):
    """Return a line of text in a smaller, fainter form, for labels and remarks."""
    return text(x, y, words, **{"size": 15, "colour": FAINT, "family": "sans-serif"} | style)


def box(x, y, width, height, *, edge=EDGE):
    """Return a box with round corners."""
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{BOX}" '
        f'stroke="{edge}" stroke-width="1.5"/>'
    )


def arrow(path, *, colour=FAINT, dashes=""):
    """Return a line with a head at its end."""
    head = "head-done" if colour == DONE else "head-bad" if colour == BAD else "head"
    more = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{more} '
        f'marker-end="url(#{head})"/>'
    )


def head(name, colour):
    """Return the head of an arrow."""
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" '
        f'fill="{colour}"/></marker>'
    )


def picture():
    """Return the SVG."""
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-labelledby="what">'
        ),
        (
            '<title id="what">A source writes a line for each event of Viz One or a broker into a '
            "pipe; flow-work runs a Worker on it in one of many threads, writes the result as a "
            "line, and tells the source, which tells the broker.</title>"
        ),
        f"<defs>{head('head', FAINT)}{head('head-done', DONE)}{head('head-bad', BAD)}</defs>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="{GROUND}"/>',
        *(
            text(24 + 36 * n, 36 + 24 * n, line, size=15, anchor="start")
            for n, line in enumerate(COMMAND)
        ),
        # Where events come from.
        box(24, 88, 146, 76),
        text(97, 121, "Viz One", size=17, weight="bold", family="sans-serif"),
        said(97, 146, "or any broker"),
        arrow("M170 114H250"),
        said(210, 104, "STOMP"),
        # The source.
        box(254, 88, 242, 76),
        text(375, 121, "flow-listen-assets", size=17, weight="bold"),
        said(375, 146, "one event, one line"),
        arrow("M410 164V226"),
        said(420, 200, '{"id":…}', anchor="start", family=MONO),
        # The pool.
        box(206, 230, 290, 130),
        text(351, 257, "flow-work -j 16", size=17, weight="bold"),
        *(
            worker(220 + column * 89, 270 + row * 41, row == column == 1)
            for row in range(2)
            for column in range(3)
        ),
        arrow("M206 295H138"),
        said(172, 285, "result"),
        box(24, 264, 110, 62),
        text(79, 300, "jq", size=17, weight="bold"),
        # The way back.
        arrow("M290 230V168", colour=DONE, dashes="6 4"),
        arrow("M250 142H174", colour=DONE, dashes="6 4"),
        said(280, 203, "done: acknowledged only now", colour=DONE, anchor="end"),
        # What has failed.
        arrow("M450 360V392", colour=BAD),
        said(
            496,
            410,
            "failed permanently: in a file, or in the dead-letter queue",
            colour=BAD,
            anchor="end",
        ),
        said(24, 440, "Whatever dies on the way: with --ack worker, an event", anchor="start"),
        said(24, 460, "that is not done is delivered again.", anchor="start"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def worker(x, y, stuck):
    """Return one Worker thread; a stuck one is replaced."""
    colour = BAD if stuck else EDGE
    words = "timeout" if stuck else "start()"
    return (
        f'<rect x="{x}" y="{y}" width="84" height="34" rx="5" fill="{GROUND}" stroke="{colour}"/>'
        + text(x + 42, y + 22, words, size=14, colour=BAD if stuck else FAINT)
    )


if __name__ == "__main__":
    print(picture(), end="")
