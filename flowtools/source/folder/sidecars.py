"""Files that come with others: one event when all files of a set are whole.

A pattern such as `{stem}.xml` or `{name}.md5` gives the name of the file that comes with each file.
A file whose name has that form is a *sidecar*, and never has an event of its own. Any other file is
a *main* file, and waits for its sidecars, whichever of them comes first.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from flowtools.core.errors import UsageError
from flowtools.core.kind import Kind
from flowtools.source.folder.files import Finding
from flowtools.source.folder.mark import Mark
from flowtools.source.folder.report import Look, Report, report_of

_PLACE = re.compile(r"\{(stem|name)\}")


class Template:
    """The pattern of a sidecar's name."""

    def __init__(self, text: str, *, ignore_case: bool = False) -> None:
        """Read `{stem}.xml` or `{name}.md5`; with `ignore_case` the ending may also be `.XML`.

        Raises:
            UsageError: The text has no placeholder, or more than one.
        """
        parts = _PLACE.split(text)
        if len(parts) != 3 or "/" in text:
            raise UsageError(
                f"'{text}' is not the name of a sidecar: write '{{stem}}.xml' or '{{name}}.md5'"
            )
        self._before, self._place, self._after = parts
        self._endings = [self._after]
        if ignore_case:
            self._endings += [self._after.lower(), self._after.upper()]
        #: A shell pattern that matches the names.
        self.pattern = f"{self._before}*{self._after}"
        ends = "|".join(map(re.escape, dict.fromkeys(self._endings)))
        self._form = re.compile(f"{re.escape(self._before)}(.+)(?:{ends})", re.DOTALL)

    def names(self, main: str) -> list[str]:
        """Return the names that the sidecar of `main` may have (paths below the folder)."""
        folder, separator, base = main.rpartition("/")
        middle = stem_of(base) if self._place == "stem" else base
        return [f"{folder}{separator}{self._before}{middle}{end}" for end in self._endings]

    def main(self, sidecar: str) -> tuple[str, bool] | None:
        """Return the main file that `sidecar` belongs to: a path, and whether that is only a stem.

        Return None if the name does not have the form of the pattern.
        """
        folder, separator, base = sidecar.rpartition("/")
        found = self._form.fullmatch(base)
        return (f"{folder}{separator}{found[1]}", self._place == "stem") if found else None


def stem_of(base: str) -> str:
    """Return a file's name without its ending."""
    return base.rpartition(".")[0] or base


@dataclass
class _Waiting:
    kind: Kind
    since: float
    moved_from: str | None


class Sidecars:
    """Reports each main file with its sidecars, when all are whole."""

    def __init__(
        self,
        templates: Sequence[Template],
        look: Look,
        *,
        stalled: float,
        monotonic: Callable[[], float],
    ) -> None:
        """Prepare.

        Args:
            templates: The patterns of the sidecars; a main file needs one for each pattern.
            look: Returns the state of a file that is whole, else None.
            stalled: Seconds after which a file without its sidecars is reported; 0: never.
            monotonic: A clock, in seconds.
        """
        self._templates = templates
        self._look = look
        self._stalled = stalled
        self._monotonic = monotonic
        self._by_stem: dict[str, set[str]] = {}
        # Main files without all sidecars, in the order in which they came; and those of them that
        # were reported as late, so that this is done once.
        self._waiting: dict[str, _Waiting] = {}
        self._late: dict[str, _Waiting] = {}

    def begin(self, known: Iterable[tuple[str, Mark]]) -> None:
        """Note that these files have been reported, if all files of a set are among them."""
        mains = [name for name, _ in known if not self._is_sidecar(name)]
        for name in mains:
            self._add(name)
            if self._sidecars_of(name) is None:
                self._late[name] = _Waiting(Kind.CREATED, self._monotonic(), None)

    def take(self, finding: Finding) -> Iterator[Report]:
        """Yield the reports that `finding` causes."""
        if finding.kind is Kind.STALLED:
            yield report_of(finding)
        elif self._is_sidecar(finding.name):
            if finding.kind is Kind.DELETED:
                yield Report(None, finding.name, finding.mark, ((finding.name, None),))
                return
            # The sidecar may complete several sets: `{stem}.xml` belongs to a.mov and a.mxf.
            for main in self._mains_of(finding.name):
                yield from self._report(main)
        elif finding.kind is Kind.DELETED:
            self._remove(finding.name)
            was_waiting = self._take_out(finding.name)
            reported = report_of(finding)
            yield (
                reported
                if was_waiting is None
                else Report(None, finding.name, finding.mark, reported.members)
            )
        else:
            self._add(finding.name)
            before = self._take_out(finding.name)
            kind = before.kind if before is not None else finding.kind
            self._waiting[finding.name] = _Waiting(kind, self._monotonic(), finding.moved_from)
            yield from self._report(finding.name)

    def ripe(self) -> Iterator[Report]:
        """Yield a report of each file that has waited for too long."""
        now = self._monotonic()
        for name, waiting in list(self._waiting.items()) if self._is_late(now) else ():
            if now - waiting.since < self._stalled:
                break  # The rest came later.
            self._late[name] = self._waiting.pop(name)
            mark = self._look(name)
            if mark is None:
                continue
            missing = [names[0] for names in self._names(name) if not any(map(self._look, names))]
            reason = f"'{missing[0] if missing else name}' has not come"
            yield Report(Kind.STALLED, name, mark, (), reason=reason)

    def due(self) -> float | None:
        """Return the seconds until a file has waited for too long."""
        first = next(iter(self._waiting.values()), None)
        if first is None or not self._stalled:
            return None
        return max(0.0, first.since + self._stalled - self._monotonic())

    def _is_late(self, now: float) -> bool:
        first = next(iter(self._waiting.values()), None)
        return bool(self._stalled) and first is not None and now - first.since >= self._stalled

    def _take_out(self, name: str) -> _Waiting | None:
        return self._waiting.pop(name, None) or self._late.pop(name, None)

    def forget(self, report: Report) -> None:
        """Forget the files of `report`, which were moved or removed, without a report of that."""
        self._remove(report.name)
        self._take_out(report.name)

    def _report(self, main: str) -> Iterator[Report]:
        mark = self._look(main)
        sidecars = self._sidecars_of(main)
        if mark is None or sidecars is None:
            return
        waiting = self._take_out(main)
        yield Report(
            Kind.MODIFIED if waiting is None else waiting.kind,
            main,
            mark,
            ((main, mark), *sidecars),
            moved_from=None if waiting is None else waiting.moved_from,
        )

    def _sidecars_of(self, main: str) -> list[tuple[str, Mark]] | None:
        """Return the sidecars of a file, if all are whole."""
        found = []
        for names in self._names(main):
            there = [(name, mark) for name in names if (mark := self._look(name)) is not None]
            if not there:
                return None
            found.append(there[0])
        return found

    def _names(self, main: str) -> list[list[str]]:
        return [template.names(main) for template in self._templates]

    def _is_sidecar(self, name: str) -> bool:
        return any(template.main(name) is not None for template in self._templates)

    def _mains_of(self, sidecar: str) -> list[str]:
        mains: dict[str, None] = {}
        for template in self._templates:
            match template.main(sidecar):
                case path, True:
                    mains |= dict.fromkeys(sorted(self._by_stem.get(path, ())))
                case path, False:
                    mains[path] = None
        return list(mains)

    def _add(self, main: str) -> None:
        self._by_stem.setdefault(_stem_path(main), set()).add(main)

    def _remove(self, main: str) -> None:
        mains = self._by_stem.get(_stem_path(main), set())
        mains.discard(main)
        if not mains:
            self._by_stem.pop(_stem_path(main), None)


def _stem_path(name: str) -> str:
    folder, separator, base = name.rpartition("/")
    return f"{folder}{separator}{stem_of(base)}"
