"""Reports: the content of events, each about one file or a group of files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from flowtools.core.kind import Kind
from flowtools.source.folder.files import Finding
from flowtools.source.folder.mark import Mark


@dataclass(frozen=True, slots=True)
class Report:
    """The content of one event.

    Attributes:
        kind: One of OF_FILES, or STALLED; None: there is no event, the files are only remembered.
        name: The subject: a path below the folder.
        mark: The state of the file, or of the first file of a group.
        members: The files that it is about, each with its state (None: it has gone). They are
            remembered, and moved when the event is done.
        moved_from: The former name of a file that was renamed; else None.
        reason: Why the file is held back or refused; None if it is neither.
        more: Further members of the event's data.
        group: A digest of the state of a folder or sequence; "" for other reports.
        folder: The folder that is moved as a whole when the event is done; None: each member is.
    """

    kind: Kind | None
    name: str
    mark: Mark
    members: tuple[tuple[str, Mark | None], ...]
    moved_from: str | None = None
    reason: str | None = None
    more: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    folder: str | None = None


def report_of(finding: Finding) -> Report:
    """Return the report of a file that is by itself."""
    mark = None if finding.kind is Kind.DELETED else finding.mark
    members = () if finding.kind is Kind.STALLED else ((finding.name, mark),)
    return Report(
        finding.kind, finding.name, finding.mark, members, finding.moved_from, finding.reason
    )


class Grouping(Protocol):
    """Makes reports of findings; for one thread."""

    def begin(self, known: Iterable[tuple[str, Mark]]) -> None:
        """Note that these files have been reported, or existed at the first start."""

    def take(self, finding: Finding) -> Iterator[Report]:
        """Yield the reports that `finding` causes."""

    def ripe(self) -> Iterator[Report]:
        """Yield the reports that are due because time has passed."""

    def due(self) -> float | None:
        """Return the seconds after which `ripe` may have a report; None: never."""

    def forget(self, report: Report) -> None:
        """Forget the files of `report`, which were moved or removed, without a report of that."""


class Singles:
    """Each file is reported by itself."""

    def begin(self, known: Iterable[tuple[str, Mark]]) -> None:
        """Do nothing."""

    def take(self, finding: Finding) -> Iterator[Report]:
        """Yield the report of `finding`."""
        yield report_of(finding)

    def ripe(self) -> Iterator[Report]:
        """Yield nothing."""
        yield from ()

    def due(self) -> float | None:
        """Return None."""
        return None

    def forget(self, report: Report) -> None:
        """Do nothing."""


Look = Callable[[str], Mark | None]
"""Returns the state of a file that is whole; None: it is not, or it does not exist."""
