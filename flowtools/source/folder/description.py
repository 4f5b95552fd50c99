"""Events made of findings: the address of a file, its name as text, its id."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flowtools.core.event import Event, digest, rfc3339
from flowtools.core.kind import Kind
from flowtools.source.folder.files import Finding
from flowtools.source.folder.mark import Mark


class Description:
    """Makes events of the files in the folder `path`.

    Attributes:
        source: The folder's file: URI, the source of the events.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.source = url_of(path)

    def event(self, finding: Finding, seconds: float) -> Event:
        """Return the event of `finding`, at the wall clock's `seconds`."""
        name = text_of(finding.name)
        data = self.data(finding.name, finding.mark)
        data["moved_from"] = None if finding.moved_from is None else text_of(finding.moved_from)
        if finding.reason is not None:
            data["reason"] = finding.reason
        return Event(
            f"flow.path.{finding.kind}",
            data,
            source=self.source,
            id=self._id(finding),
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

    def _id(self, finding: Finding) -> str:
        """Return the same id for the same file in the same state, whenever that is found."""
        mark = finding.mark
        # The time of change, too: content may be replaced with its size and time kept.
        state = f"{mark.inode} {mark.size} {mark.modified} {mark.changed}"
        verb = "" if finding.kind in (Kind.CREATED, Kind.MODIFIED) else finding.kind
        return digest(url_of(f"{self._path}/{finding.name}"), verb, state)


def text_of(name: str) -> str:
    """Return a file name as text: bytes that are not UTF-8 are shown as in `\\\\xe6`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def url_of(path: str) -> str:
    """Return the file: URI of `path` (RFC 8089), whatever bytes it has."""
    return f"file://{quote(os.fsencode(Path(path)))}"
