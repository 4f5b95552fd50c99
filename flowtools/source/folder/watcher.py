"""The watcher of a folder: combines all parts that look, and returns reports.

A change passes through these steps. The `Lookout` decides when to look, and the `Tree` looks and
tells `Files` what it sees. When a file has settled, `Files` yields a finding. A `Grouping` makes
reports of findings: of each alone, or of several together. With --verify a report then waits for
its verdict. `reports` returns what is ready.

All of it runs in the source's thread. Only checksums and moves have threads (background.py).
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from flowtools.core.kind import Kind
from flowtools.core.log import get_log
from flowtools.source.folder import mounts
from flowtools.source.folder.checksums import Checksums
from flowtools.source.folder.clearing import Clearing
from flowtools.source.folder.files import Files
from flowtools.source.folder.lookout import Lookout
from flowtools.source.folder.names import text_of
from flowtools.source.folder.report import Grouping, Report, Singles
from flowtools.source.folder.rules import Rules
from flowtools.source.folder.sidecars import Sidecars
from flowtools.source.folder.space import FreeSpace
from flowtools.source.folder.state import State
from flowtools.source.folder.tree import Tree
from flowtools.source.folder.units import Units
from flowtools.source.folder.wanted import SettleTimes
from flowtools.source.folder.writers import Writers
from flowtools.source.settings import Watching

STATE_ENDINGS = ("", "-wal", "-shm", "-journal")
"""Endings of the names of the files that SQLite makes."""

log = get_log("flowtools.source.watch")


class Watcher:
    """Finds out what to report about a folder; for one thread.

    Its file descriptors become readable when there may be a reason to look.

    Attributes:
        refused: Number of files that did not match their checksum.
    """

    def __init__(
        self, path: str, rules: Rules, state: State | None, monotonic: Callable[[], float]
    ) -> None:
        """Prepare to watch the folder `path`, an absolute path.

        Raises:
            UsageError: The rules contradict each other.
            ConfigurationError: A package that `verify` needs is missing, or the state is damaged.
        """
        kind = mounts.kind_of(path)
        is_remote = mounts.is_remote(kind)
        settle = rules.settle_times(is_remote=is_remote)
        poll = rules.poll
        if is_remote and poll is None:
            poll = Watching.remote_poll
            log.warning(
                "'%s' is on a network mount (%s), where changes give no notice: looking every %g"
                " s; a file counts as whole when it has not changed for %g s",
                path,
                kind,
                poll,
                settle.seconds,
            )
        self.refused = 0
        self._path = path
        self._state = state
        self._places = rules.places()
        self._leaving: set[str] = set()
        self._wanted = wanted = rules.wanted(_inside(path, rules))
        writers = Writers(monotonic)
        # `Files` looks through the tree, which is made below, as it needs `Files`.
        self._files = Files(
            look=lambda name: self._tree.look(name),
            has_writers=lambda name: writers.has_any(f"{path}/{name}"),
            is_temporary=wanted.may_become,
            settle=settle,
            stalled=rules.stalled,
            trusts_closing=poll is None,
            adjust=state.adjust if state is not None else lambda name, mark: None,
            monotonic=monotonic,
        )
        if state is not None:
            for name, mark in state.load():
                self._files.take_for_known(name, mark)
        lasting = not is_remote or kind in mounts.LASTING
        self._tree = Tree(path, wanted, self._files, lasting=lasting)
        self._lookout = Lookout(self._tree, self._files.due, poll=poll, monotonic=monotonic)
        self._space = FreeSpace(path, rules.min_free, monotonic)
        self._grouping = self._grouping_of(rules, settle, monotonic)
        self._checksums = Checksums(rules.verify, path) if rules.verify is not None else None
        self._existing = rules.begins_with_existing()
        self._has_begun = False
        self._ready: deque[Report] = deque()

    def _grouping_of(
        self, rules: Rules, settle: SettleTimes, monotonic: Callable[[], float]
    ) -> Grouping:
        if rules.unit is not None:
            return Units(rules.unit, settle, self._files.unsettled, monotonic)
        templates = rules.templates()
        if not templates:
            return Singles()
        return Sidecars(templates, self._files.whole, stalled=rules.stalled, monotonic=monotonic)

    def start(self) -> None:
        """Begin to watch.

        Raises:
            ConfigurationError: There is no such folder, or it cannot be read.
        """
        is_first = self._state is None or self._state.is_new
        self._lookout.start(old=is_first and not self._existing)

    def reports(self, limit: int) -> list[Report]:
        """Look where there is a reason to, and return up to `limit` reports."""
        self._space.look()
        # While the folder is away, all that was in it would count as deleted.
        if self._lookout.look() and self._begin():
            # A finding that is not taken now stays: a full window slows the watcher down.
            findings = self._files.findings()
            while len(self._ready) < limit and (finding := next(findings, None)) is not None:
                is_leaving = finding.name in self._leaving
                if is_leaving and finding.kind is Kind.DELETED:
                    continue
                if is_leaving and finding.kind is Kind.MODIFIED:
                    # Perhaps another file, in the place of the one that is being moved away.
                    finding = replace(finding, kind=Kind.CREATED)
                log.debug("'%s' is %s", text_of(finding.name), finding.kind)
                self._add(self._grouping.take(finding))
            self._add(self._grouping.ripe())
        if self._checksums is not None:
            self._fetch(self._checksums)
        return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]

    def due(self) -> float:
        """Return the seconds after which to ask for reports again, at the latest."""
        if self._ready:
            return 0.0
        due = self._grouping.due()
        if due is None or self._lookout.is_away:
            return self._lookout.due()
        return min(due, self._lookout.due())

    def filenos(self) -> list[int]:
        """Return the descriptors that become readable when there may be reports earlier."""
        checksums = self._checksums
        return [self._lookout.fileno()] + ([checksums.fileno()] if checksums is not None else [])

    def clearing(self) -> Clearing:
        """Return the thread that leaves, moves or removes files once their event is settled."""
        counts = self._wanted.counts
        return Clearing(self._path, self._places, self._tree.look, counts)

    def leaving(self, report: Report) -> None:
        """Note that the files of `report` are being moved or removed, which is not reported."""
        self._leaving.update(name for name, _ in report.members)

    def left(self, report: Report, is_gone: bool) -> None:
        """Note that this has ended; `is_gone` says whether the files were moved or removed."""
        for name, _ in report.members:
            self._leaving.discard(name)
            if is_gone:
                self._files.forget(name)
        if is_gone:
            self._grouping.forget(report)

    def close(self) -> None:
        """Stop watching, and end the threads."""
        self._lookout.close()
        if self._checksums is not None:
            self._checksums.close()
            self._checksums.release()

    def _begin(self) -> bool:
        """Return whether the old files are known, so that new ones can be reported."""
        # Before everything has been looked at once, an old file could not be told from a new one.
        if not self._has_begun and self._lookout.is_complete:
            self._has_begun = True
            self._grouping.begin(self._files.known())
            if self._state is not None and self._state.is_new:
                self._state.begin(self._files.known())
        return self._has_begun

    def _add(self, reports: Iterable[Report]) -> None:
        for report in reports:
            if self._checksums is not None and report.kind in (Kind.CREATED, Kind.MODIFIED):
                self._checksums.put(report)
            else:
                self._ready.append(report)

    def _fetch(self, checksums: Checksums) -> None:
        for report, error in checksums.fetch():
            if any(self._files.whole(name) != mark for name, mark in report.members):
                continue  # It has changed meanwhile, and will be found again.
            if error is None:
                self._ready.append(report)
                continue
            self.refused += 1
            log.error("'%s' is refused: %s", text_of(f"{self._path}/{report.name}"), error)
            self._ready.append(replace(report, kind=None, reason=error))


def _inside(path: str, rules: Rules) -> frozenset[str]:
    """Return the paths, below the watched folder, of files and folders that are flow-watch's."""
    ours = [rules.done, rules.failed]
    if rules.state is not None:
        ours += [f"{rules.state}{ending}" for ending in STATE_ENDINGS]
    # Path would resolve links.
    return frozenset(
        os.path.relpath(os.path.abspath(name), path)  # noqa: PTH100
        for name in ours
        if name is not None
    )
