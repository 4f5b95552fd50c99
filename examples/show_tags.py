"""Show which assets in Viz One have the tag of tag.py, and summarise a file of events.

    flow-listen-assets --count 40 | tee events | flow-work examples.tag:Tag
    python3 -m examples.show_tags events

Exits with status 1 if an asset lacks the tag.
"""

import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from examples.tag import FIELD, WORD
from flowtools.event import decode
from flowtools.vizone import Client

SAMPLES = 5


def main(path):
    """Print the summary; return whether every asset has the tag."""
    events = [decode(line) for line in Path(path).read_bytes().splitlines()]
    with Client.from_environment() as client:
        rows = [
            (asset.identifiers["id"], asset.title, client.assets.metadata(asset)[FIELD] or "-")
            for asset in client.assets.find()
        ]
    tagged = sum(WORD in words.split() for _, _, words in rows)
    lines = [
        *(f"{number:5} events {kind}" for kind, number in sorted(kinds(events).items())),
        f"{len(events):5} events in all",
        f"{len(rows):5} assets now in Viz One, such as",
        *(
            f"        {number}  {title:38}  {FIELD}: {words}"
            for number, title, words in rows[:SAMPLES]
        ),
        f"{tagged:5} of {len(rows)} assets bear the tag '{WORD}'",
        f"{seconds_since(events):5.1f} seconds since the first change",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return tagged == len(rows)


def kinds(events):
    """Return the number of events of each type."""
    return Counter(event.type for event in events)


def seconds_since(events):
    """Return the seconds since the first of `events`."""
    if not events:
        return 0.0
    return (datetime.now(UTC) - datetime.fromisoformat(events[0].time)).total_seconds()


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1]))
