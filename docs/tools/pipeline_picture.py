"""Draw the picture of a pipeline in the README: prints an SVG.

It stands on a ground of its own, so that it reads the same on a light page and on a dark one.
"""

from html import escape

WIDTH, HEIGHT = 880, 300
GROUND, BOX, EDGE, TEXT, FAINT = "#1b2431", "#2b3a4f", "#5b7188", "#f2f5f8", "#b4c2d0"
DONE, BAD = "#7fd1a0", "#f0a58f"
COMMAND = "$ flow-listen-assets --state state --ack worker | flow-work mymod:Tag -j 16 | jq .data"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def text(x, y, words, *, size=14, colour=TEXT, anchor="middle", weight="normal", family=MONO):
    """Return one line of text whose base line is at `y`."""
    return (
        f'<text x="{x}" y="{y}" font-family="{family}" font-size="{size}" fill="{colour}" '
        f'text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'
    )


def said(x, y, words, **style):
    """Return a remark."""
    return text(x, y, words, **{"size": 13, "colour": FAINT, "family": "sans-serif"} | style)


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
        text(24, 36, COMMAND, size=15, anchor="start"),
        # Where events come from.
        box(24, 96, 124, 72),
        text(86, 128, "Viz One", weight="bold", family="sans-serif"),
        said(86, 149, "or any broker"),
        arrow("M148 120H206"),
        said(177, 110, "STOMP", size=12),
        # The source.
        box(210, 96, 176, 72),
        text(298, 128, "flow-listen-assets", weight="bold"),
        said(298, 149, "one event, one line"),
        arrow("M386 120H476"),
        said(431, 110, '{"id":…}', size=12, family=MONO),
        # The pool.
        box(480, 72, 220, 120),
        text(590, 96, "flow-work -j 16", weight="bold"),
        *(
            worker(498 + column * 63, 110 + row * 36, row == column == 1)
            for row in range(2)
            for column in range(3)
        ),
        arrow("M700 120H782"),
        said(741, 110, "result", size=12),
        box(786, 96, 70, 72),
        text(821, 137, "jq", weight="bold"),
        # The way back.
        arrow("M590 192V232H298V172", colour=DONE, dashes="6 4"),
        arrow("M206 148H152", colour=DONE, dashes="6 4"),
        said(444, 224, "done: acknowledged only now", colour=DONE),
        # What has failed.
        arrow("M664 192V240", colour=BAD),
        said(664, 260, "failed permanently: kept in a file,", colour=BAD),
        said(664, 278, "or moved to the dead-letter queue", colour=BAD),
        said(24, 260, "With --ack worker: whatever dies on the way, an event", anchor="start"),
        said(24, 278, "that was not processed is delivered again.", anchor="start"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def worker(x, y, stuck):
    """Return one Worker thread; a stuck one is replaced."""
    colour = BAD if stuck else EDGE
    words = "timeout" if stuck else "start()"
    return (
        f'<rect x="{x}" y="{y}" width="58" height="28" rx="5" fill="{GROUND}" stroke="{colour}"/>'
        + text(x + 29, y + 18, words, size=11, colour=BAD if stuck else FAINT)
    )


if __name__ == "__main__":
    print(picture(), end="")
