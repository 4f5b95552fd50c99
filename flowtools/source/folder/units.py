"""Many files as one event: a folder with all that is in it, or the numbered frames of a sequence.

Units are for example camera cards, P2 and XDCAM folders, and DPX sequences. A unit is whole when
nothing in it has changed for its settle time, and no file in it is still arriving. Each file has
to settle first, like any file; the settle time of the unit begins with the last of them.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from flowtools.core.event import digest, rfc3339
from flowtools.core.kind import Kind
from flowtools.source.folder.files import Finding
from flowtools.source.folder.mark import Mark
from flowtools.source.folder.names import text_of
from flowtools.source.folder.report import Report, report_of
from flowtools.source.folder.wanted import SettleTimes

SHORT = 100
"""Maximum number of files of a unit whose names are in the event."""

RECHECK = 1.0
"""Seconds after which a unit is looked at again in which a file is still arriving."""

_NOTHING = Mark(0, 0, 0, 0)

_FRAME = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>\.[^./\d][^./]*)", re.DOTALL)


def folder_key(name: str) -> str | None:
    """Return the unit of the file `name`: the folder in the watched one that it is in."""
    folder, separator, _ = name.partition("/")
    return folder if separator else None


def sequence_key(name: str) -> str | None:
    """Return the unit of the frame `name`: its path with a `%` for the number."""
    found = _FRAME.fullmatch(name)
    return f"{found['before']}%{found['after']}" if found else None


@dataclass
class _Unit:
    files: dict[str, Mark] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    is_reported: bool = False
    ripe: float = 0.0
    last: Mark | None = None
    state: str = ""


class Units:
    """Reports files that have the same key together.

    A file without a key is reported by itself (a file that is not a frame), or never (a file that
    is in no folder, with unit "folder").
    """

    def __init__(
        self,
        unit: str,
        settle: SettleTimes,
        unsettled: Callable[[], Iterable[str]],
        monotonic: Callable[[], float],
    ) -> None:
        """Prepare.

        Args:
            unit: "folder" or "sequence".
            settle: The settle times.
            unsettled: Returns the names of the files that are arriving or disappearing.
            monotonic: A clock, in seconds.
        """
        self._is_folder = unit == "folder"
        self._key = folder_key if self._is_folder else sequence_key
        self._settle = settle
        self._unsettled = unsettled
        self._monotonic = monotonic
        self._units: dict[str, _Unit] = {}
        self._changed: dict[str, _Unit] = {}

    def begin(self, known: Iterable[tuple[str, Mark]]) -> None:
        """Note that these files have been reported."""
        for name, mark in known:
            key = self._key(name)
            if key is not None:
                unit = self._units.setdefault(key, _Unit(is_reported=True))
                unit.files[name] = mark

    def take(self, finding: Finding) -> Iterator[Report]:
        """Yield the report of a file that is in no unit; else note the change in its unit."""
        key = self._key(finding.name)
        if finding.kind is Kind.STALLED or (key is None and not self._is_folder):
            yield report_of(finding)
        if finding.kind is Kind.STALLED or key is None:
            return
        unit = self._units.setdefault(key, _Unit())
        if finding.kind is Kind.DELETED:
            unit.files.pop(finding.name, None)
            unit.gone.add(finding.name)
            unit.last = finding.mark
        else:
            unit.files[finding.name] = finding.mark
            unit.gone.discard(finding.name)
        unit.ripe = self._monotonic() + self._settle.of(key)
        self._changed[key] = unit

    def ripe(self) -> Iterator[Report]:
        """Yield the reports of units in which everything is whole."""
        now = self._monotonic()
        ready = [key for key, unit in self._changed.items() if unit.ripe <= now]
        # Looked for only if a unit may be whole: there may be thousands of unsettled files.
        busy = {self._key(name) for name in self._unsettled()} if ready else set()
        for key in ready:
            unit = self._changed[key]
            if key in busy:
                unit.ripe = now + RECHECK
                continue
            del self._changed[key]
            yield self._report(key, unit)
            unit.gone.clear()
            if not unit.files:
                del self._units[key]

    def due(self) -> float | None:
        """Return the seconds until a unit may be whole."""
        times = [unit.ripe for unit in self._changed.values()]
        return max(0.0, min(times) - self._monotonic()) if times else None

    def forget(self, report: Report) -> None:
        """Forget the files of `report`, which were moved or removed, without a report of that."""
        for name, _ in report.members:
            key = self._key(name)
            unit = self._units.get(key) if key is not None else None
            if key is None or unit is None:
                continue
            unit.files.pop(name, None)
            if not unit.files:
                del self._units[key]
                self._changed.pop(key, None)

    def _report(self, key: str, unit: _Unit) -> Report:
        files = sorted(unit.files.items())
        # Files that have gone are members, too, so that the state file forgets them.
        members = (*files, *((name, None) for name in sorted(unit.gone)))
        if not files:
            kind = Kind.DELETED if unit.is_reported else None
            name = key if self._is_folder else key.replace("%", "%d")
            more: dict[str, Any] = {"size": 0, "updated": None, "count": 0}
            # Its id is made of the last reported state, so each deletion has an id of its own.
            return Report(
                kind, name, unit.last or _NOTHING, members, more=more, group=unit.state or key
            )
        kind = Kind.MODIFIED if unit.is_reported else Kind.CREATED
        unit.is_reported = True
        unit.state = digest(*(f"{name} {mark[1:5]}" for name, mark in files))
        marks = [mark for _, mark in files]
        more = {
            "size": sum(mark.size for mark in marks),
            "updated": rfc3339(max(mark.modified for mark in marks) / 1e9),
            "count": len(files),
        }
        name = key
        if not self._is_folder:
            name, frames = _sequence(key, list(unit.files))
            more |= frames
        if len(files) <= SHORT:
            more["files"] = [text_of(each) for each, _ in files]
        whole = key if self._is_folder else None
        return Report(kind, name, marks[0], members, more=more, group=unit.state, folder=whole)


def _sequence(key: str, names: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the name of a sequence, and what an event says about its frames."""
    written = [found["number"] for name in names if (found := _FRAME.fullmatch(name))]
    numbers = sorted(map(int, written))
    # The shortest number gives the width: %03d is right for 998 and for 1001.
    width = min(map(len, written))
    place = f"%0{width}d" if width > 1 else "%d"
    before, _, after = key.rpartition("%")
    gaps = [[a + 1, b - 1] for a, b in pairwise(numbers) if b - a > 1]
    frames = {"first": numbers[0], "last": numbers[-1], "missing": gaps[:SHORT]}
    return f"{before}{place}{after}", frames
