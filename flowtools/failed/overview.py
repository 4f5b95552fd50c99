"""The summary of a job log, as tables with bars or as one JSON object."""

from array import array

from flowtools.core.event import rfc3339
from flowtools.core.times import short_duration
from flowtools.failed.joblog import Summary, percentile
from flowtools.failed.show import Screen, local_time

BAR = 40
"""Cells of the longest bar."""

SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("longest", 1.0))


def show_tables(summary: Summary, screen: Screen) -> None:
    """Print what the job log says, for people."""
    total = summary.outcomes.total()
    share = [
        (name, str(count), f"{100 * count / total:.1f} %")
        for name, count in summary.outcomes.most_common()
    ]
    share.append(("all events", str(total), ""))
    if summary.retries:
        share.append(("attempts retried", str(summary.retries), ""))
    screen.table("Outcomes", ("outcome", "events", "share"), share)
    screen.table("Seconds", ("", *(name for name, _ in SHARES)), _durations(summary))
    most = max((counts.total() for counts in summary.hours.values()), default=1)
    screen.table("By hour", ("hour", "events", "not done", ""), _hours(summary, most))
    slow = [(f"{ran:.3f}", *rest) for ran, *rest in summary.slowest]
    screen.table("Slowest attempts", ("seconds", "id", "subject", "outcome"), slow)
    often = [(str(number), *rest) for number, *rest in summary.retried]
    screen.table("Most often retried", ("attempts", "id", "subject", "outcome"), often)


def as_json(summary: Summary) -> dict[str, object]:
    """Return the same as a JSON object; times in seconds."""
    return {
        "events": summary.outcomes.total(),
        "outcomes": dict(summary.outcomes),
        "retries": summary.retries,
        "ran": _quantiles(summary.ran),
        "queued": _quantiles(summary.queued),
        "hours": {rfc3339(hour): dict(of) for hour, of in sorted(summary.hours.items())},
        "slowest": [_named("ran", each) for each in summary.slowest],
        "retried": [_named("attempts", each) for each in summary.retried],
        "unreadable": summary.unreadable,
    }


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


def _hours(summary: Summary, most: int) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for hour, counts in sorted(summary.hours.items()):
        good = counts["done"] + counts["skipped"]
        bad = counts.total() - good
        bar = "█" * round(BAR * good / most) + "▒" * round(BAR * bad / most)
        rows.append((local_time(hour, "%Y-%m-%d %H:00"), str(counts.total()), str(bad or "-"), bar))
    return rows
