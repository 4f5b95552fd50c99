"""Shows the summary of a job log, as tables with bars or as one JSON object."""

import sys
from array import array

from flowtools.core.event import rfc3339
from flowtools.core.substitutes import drawn_in
from flowtools.core.times import short_duration
from flowtools.joblog.summary import Summary, percentile
from flowtools.process.screen import Screen, local_time

BAR = 40
"""Length of the longest bar, in cells of the terminal."""

BESIDE = 40
"""Width of the other columns of the table with bars, in cells."""

RIGHT = ("events", "share", "not done", "seconds", "attempts", "p50", "p95", "p99", "longest")

SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("longest", 1.0))


def show(summary: Summary, *, as_json: bool) -> None:
    """Print the summary of a job log.

    Raises:
        ReaderGone: The reader of standard output has closed the pipe.
        FlowError: Standard output cannot be written.
    """
    screen = Screen()
    if as_json:
        screen.json(_as_object(summary))
        return
    tables = {
        "Outcomes": (("outcome", "events", "share"), _outcomes(summary)),
        "Workers": (("worker", "events"), _workers(summary)),
        "Seconds": (("", *(name for name, _ in SHARES)), _durations(summary)),
        "By hour": (("hour", "events", "not done", ""), _hours(summary, screen.width)),
        "Slowest attempts": (
            ("seconds", "id", "subject", "outcome"),
            [(f"{ran:.3f}", *rest) for ran, *rest in summary.slowest],
        ),
        "Most often retried": (
            ("attempts", "id", "subject", "outcome"),
            [(str(number), *rest) for number, *rest in summary.retried],
        ),
    }
    for title, (heads, rows) in tables.items():
        if rows:
            screen.title(title)
            screen.table(heads, rows, right=RIGHT)
            screen.line("")


def _as_object(summary: Summary) -> dict[str, object]:
    return {
        "events": summary.outcomes.total(),
        "outcomes": dict(summary.outcomes),
        "retries": summary.retries,
        "workers": dict(summary.workers),
        "ran": _quantiles(summary.ran),
        "queued": _quantiles(summary.queued),
        "hours": {rfc3339(hour): dict(of) for hour, of in sorted(summary.hours.items())},
        "slowest": [_named("ran", each) for each in summary.slowest],
        "retried": [_named("attempts", each) for each in summary.retried],
        "unreadable": summary.unreadable,
    }


def _outcomes(summary: Summary) -> list[tuple[str, ...]]:
    total = summary.outcomes.total()
    rows: list[tuple[str, ...]] = [
        (name, str(count), f"{100 * count / total:.1f} %")
        for name, count in summary.outcomes.most_common()
    ]
    rows.append(("all events", str(total), ""))
    if summary.retries:
        rows.append(("attempts retried", str(summary.retries), ""))
    if summary.unreadable:
        rows.append(("unreadable lines", str(summary.unreadable), ""))
    return rows


def _workers(summary: Summary) -> list[tuple[str, ...]]:
    """Return a row for each Worker; no rows if the whole job log is from a single Worker."""
    if len(summary.workers) < 2 and summary.workers.total() == summary.outcomes.total():
        return []
    rows: list[tuple[str, ...]] = [(name, str(n)) for name, n in summary.workers.most_common()]
    # A job log may go on from an earlier version, whose records do not name the Worker.
    unknown = summary.outcomes.total() - summary.workers.total()
    return [*rows, ("(not said)", str(unknown))] if unknown and rows else rows


def _named(first: str, entry: tuple[float, str, str, str]) -> dict[str, object]:
    return dict(zip((first, "id", "subject", "outcome"), entry, strict=True))


def _quantiles(values: "array[float]") -> dict[str, float]:
    ordered = array("d", sorted(values))
    return {name: percentile(ordered, share) for name, share in SHARES}


def _durations(summary: Summary) -> list[tuple[str, ...]]:
    return [
        (
            name,
            *(
                short_duration(each) if each >= 10 else f"{each:.3f}"
                for each in _quantiles(values).values()
            ),
        )
        for name, values in (("ran", summary.ran), ("waited", summary.queued))
        if values
    ]


def _hours(summary: Summary, width: int) -> list[tuple[str, ...]]:
    # A bar does not wrap: it would look like two.
    longest = max(0, min(BAR, width - BESIDE))
    most = max((counts.total() for counts in summary.hours.values()), default=1)
    rows: list[tuple[str, ...]] = []
    signs = drawn_in(sys.stdout.encoding)
    for hour, counts in sorted(summary.hours.items()):
        # --resume skips what is done already.
        good = counts["done"] + counts["skipped"]
        bad = counts.total() - good
        bar = "█" * round(longest * good / most) + "▒" * round(longest * bad / most)
        bar = bar.translate(signs)
        rows.append((local_time(hour, "%Y-%m-%d %H:00"), str(counts.total()), str(bad or "-"), bar))
    return rows
