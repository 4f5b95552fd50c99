"""Make events of reports: the address of a file, its name as text, its id."""

from typing import Any

from flowtools.core.event import Event, digest, rfc3339
from flowtools.core.kind import Kind
from flowtools.source.folder.mark import Mark
from flowtools.source.folder.names import text_of, url_of
from flowtools.source.folder.report import Report


class Description:
    """Makes events of the files in the folder `path`.

    Attributes:
        source: The folder's file: URI, the source of the events.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.source = url_of(path)

    def event(self, report: Report, seconds: float) -> Event:
        """Return the event of `report`, at the wall clock's `seconds`."""
        assert report.kind is not None
        name = text_of(report.name)
        data = self.data(report.name, report.mark)
        data["moved_from"] = None if report.moved_from is None else text_of(report.moved_from)
        if report.reason is not None:
            data["reason"] = report.reason
        if not report.group and len(report.members) > 1:
            sidecars = report.members[1:]
            data["sidecars"] = [self.data(name, mark) for name, mark in sidecars if mark]
        return Event(
            f"flow.path.{report.kind}",
            data | report.more,
            source=self.source,
            id=self._id(report),
            subject=name,
            time=rfc3339(seconds),
        )

    def data(self, name: str, mark: Mark) -> dict[str, Any]:
        """Return what an event says about the file `name`."""
        return {
            "path": text_of(f"{self._path}/{name}"),
            "name": text_of(name),
            "size": mark.size,
            "updated": rfc3339(mark.modified / 1e9),
            "url": url_of(f"{self._path}/{name}"),
        }

    def _id(self, report: Report) -> str:
        """Return the same id for the same files in the same state, whenever they are found."""
        marks = [mark for _, mark in report.members if mark is not None] or [report.mark]
        # The time of change, too: content may be replaced with its size and time kept.
        state = report.group or " ".join(
            f"{m.inode} {m.size} {m.modified} {m.changed}" for m in marks
        )
        verb = "" if report.kind in (Kind.CREATED, Kind.MODIFIED) else str(report.kind)
        return digest(url_of(f"{self._path}/{report.name}"), verb, state)
