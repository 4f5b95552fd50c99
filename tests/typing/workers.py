"""User code for mypy --strict. Lines with an error are marked: `# E: CODE`."""

from collections.abc import Iterator
from configparser import ConfigParser
from datetime import timedelta

from flowtools.event import AssetData, Event, EventError, PathData, StompData, TickData, decode
from flowtools.worker import Reject, Retry, Worker


class Tag:
    def configure(self, config: ConfigParser) -> None:
        self.shortest = config.getint("tag", "shortest", fallback=1)

    def start(self, event: Event) -> dict[str, str] | None:
        identity: str = event.id
        kind: str = event.type + event.source
        subject: str | None = event.subject
        when: str | None = event.time
        if event.subject is None:
            raise Reject("it has no subject")
        length = len(event.subject)
        if length < self.shortest:
            raise Retry("too short", after=timedelta(seconds=5))
        if event.cancelled():
            return None
        trace = event.attributes.get("traceparent")
        return {"id": identity, "type": kind, "trace": str(trace), "at": f"{subject} {when}"}

    def clean_up(self) -> None:
        pass


class Misspells:
    def start(self, event: Event) -> None:
        print(event.subjekt)  # E: attr-defined
        print(event.ID)  # E: attr-defined
        length: int = len(event.subject)  # E: arg-type
        number: int = event.id  # E: assignment
        event.subject = "x"  # E: misc
        event.cancel(1)  # E: call-arg
        print(length, number)


class Assets:
    def start(self, event: Event) -> Iterator[Event]:
        data: AssetData = event.data
        title: str | None = data["title"]
        print(data["titel"])  # E: typeddict-item
        upper = data["title"].upper()  # E: union-attr
        metadata = data.get("metadata")
        for keyword in data["keywords"]:
            term: str | None = keyword["term"]
            yield Event("mine", {"term": term}, source="mine", subject=title)
        yield Event("mine", [upper, metadata], source="mine", traceparent="00-1-1-01")
        yield Event("mine", sauce="mine")  # E: call-arg
        yield Event("mine", source=5)  # E: arg-type


def paths(event: Event) -> int:
    data: PathData = event.data
    size: str = data["size"]  # E: assignment
    return data["size"] + len(data["name"]) + len(size)


def ticks(event: Event) -> int:
    data: TickData = event.data
    return data["number"] + data["skipped"]


def bodies(event: Event) -> str:
    data: StompData = event.data
    return data["headers"]["destination"] + str(data.get("body"))


def lines(text: bytes) -> str:
    try:
        return decode(text).type
    except EventError as error:
        return str(error)


class Wrong:
    def start(self) -> None:
        pass


worker: Worker = Tag()
other: Worker = Wrong()  # E: assignment
