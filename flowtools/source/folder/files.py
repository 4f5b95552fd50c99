"""Decide for each file whether it is whole, changed or gone, by looking again after a while.

The caller reports what it saw (`note`, `note_missing`). A file becomes a finding only after its
settle time, when it has been looked at again. All waiting files are in one heap, ordered by due
time, so that the cost of a change hardly depends on the number of files.

A file is *whole* when nothing about it has changed for its settle time and nobody has it open
for writing. It counts as *deleted* when it has been missing for as long, so that a file which is
replaced counts as modified.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from flowtools.core.kind import Kind
from flowtools.source.folder.mark import Mark
from flowtools.source.folder.wanted import SettleTimes

RECHECK = 2.0
"""Minimum time between two looks at a file that is held back, in seconds."""

LONGEST_RECHECK = 10.0
"""Maximum time between two looks at a file with a temporary name, in seconds."""

RENAMED = 0.05
"""Seconds by which the deletion of a file comes after its creation under another name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A change of a file that is certain by now.

    Attributes:
        kind: One of OF_FILES, or STALLED.
        name: The path of the file, below the folder.
        mark: The state of the file; of a deleted one, the last known state.
        moved_from: The former name of a file that was renamed; else None.
        reason: Why the file is held back; None if it is not.
    """

    kind: Kind
    name: str
    mark: Mark
    moved_from: str | None = None
    reason: str | None = None


class _Entry:
    """One file that exists, or did a moment ago."""

    __slots__ = ("first", "gone", "growing", "known", "name", "opened", "queued", "ripe", "since")

    def __init__(self, name: str) -> None:
        self.name = name
        self.known: Mark | None = None  # The state that has been reported.
        self.growing: Mark | None = None  # A newer state, which has not been reported yet.
        self.since = 0.0  # When `growing` was first seen.
        self.first = True  # Since then it has been neither reported as stalled nor postponed.
        self.opened: bool | None = None  # As the last notice says; None: there was none.
        self.gone = False
        self.ripe = 0.0  # When to look again.
        self.queued: float | None = None  # The time of its valid item in the heap.


class Files:
    """The files of a folder and of those below it; for one thread.

    Memory: some 600 bytes for each file.
    """

    def __init__(
        self,
        *,
        look: Callable[[str], Mark | None],
        has_writers: Callable[[str], bool | None],
        is_temporary: Callable[[str], bool],
        settle: SettleTimes,
        stalled: float,
        trusts_closing: bool,
        adjust: Callable[[str, Mark], None],
        monotonic: Callable[[], float],
    ) -> None:
        """Begin with no files.

        Args:
            look: Returns the state of a file, by its path below the folder; None: it is missing.
            has_writers: Returns whether a file is open for writing; None if that cannot be found
                out.
            is_temporary: Returns whether the name of a file says that it will be renamed.
            settle: The settle times.
            stalled: Seconds after which a file that is held back is reported; 0: never.
            trusts_closing: Whether an opened file is not whole before it is closed. False where
                some openings and closings cause no notice.
            adjust: Called when only the attributes of a reported file have changed.
            monotonic: A clock, in seconds.
        """
        self._look = look
        self._has_writers = has_writers
        self._is_temporary = is_temporary
        self._settle = settle
        self._stalled = stalled
        self._trusts_closing = trusts_closing
        self._adjust = adjust
        self._monotonic = monotonic
        self._folders: dict[str, dict[str, _Entry]] = {}
        self._heap: list[tuple[float, int, _Entry]] = []
        self._numbers = count()
        # By inode: files that have gone, and files that have come and wait.
        self._gone: dict[int, list[_Entry]] = {}
        self._coming: dict[int, _Entry] = {}
        self._unsettled: set[str] = set()

    def folders(self) -> list[str]:
        """Return the folders that have files."""
        return list(self._folders)

    def names_in(self, folder: str) -> list[str]:
        """Return the names of the files in `folder` that have not gone."""
        entries = self._folders.get(folder, {})
        return [name for name, entry in entries.items() if not entry.gone]

    def whole(self, name: str) -> Mark | None:
        """Return the state of a file that is whole; None: it is not, or it does not exist."""
        folder, _, base = name.rpartition("/")
        entry = self._folders.get(folder, {}).get(base)
        return entry.known if entry and not entry.gone and entry.growing is None else None

    def unsettled(self) -> list[str]:
        """Return the names of the files that are arriving or disappearing."""
        return list(self._unsettled)

    def known(self) -> Iterator[tuple[str, Mark]]:
        """Yield each file that has been reported or counts as known, and its state then."""
        for entries in self._folders.values():
            for entry in entries.values():
                if entry.known is not None:
                    yield entry.name, entry.known

    def take_for_known(self, name: str, mark: Mark) -> None:
        """Note that a file counts as reported: it causes a finding only when it changes."""
        self._entry(name).known = mark

    def note(
        self,
        name: str,
        mark: Mark,
        *,
        opened: bool | None = None,
        only_attributes: bool = False,
    ) -> None:
        """Note that the file `name` exists, in the state `mark`.

        Args:
            name: The path of the file, below the folder.
            mark: The state of the file.
            opened: Whether a notice says that it was opened or closed (False); None: neither.
            only_attributes: Whether a notice says that only attributes have changed.
        """
        entry = self._entry(name)
        self._set_gone(entry, gone=False)
        if opened is not None:
            entry.opened = opened
        now = self._monotonic()
        if entry.known is not None and _is_same(entry.known, mark, only_attributes):
            if entry.known[4:] != mark[4:]:
                self._adjust(name, mark)
            entry.known = mark
            self._set_growing(entry, None)  # Changed, and changed back.
        elif entry.growing is not None and _is_same(entry.growing, mark, only_attributes):
            self._set_growing(entry, mark)
            if opened is False:
                # It was held back while it was open, until some later look: look earlier now.
                self._wait(entry, entry.since + self._settle.of(name))
        else:
            self._set_growing(entry, mark)
            entry.since = now
            entry.first = True
            self._wait(entry, now + self._settle.of(name))

    def note_missing(self, name: str) -> None:
        """Note that the file `name` is missing."""
        folder, _, base = name.rpartition("/")
        entry = self._folders.get(folder, {}).get(base)
        if entry is None or entry.gone:
            return
        self._set_growing(entry, None)
        entry.opened = None
        if entry.known is None:
            self._forget(entry)  # It has never been reported, so neither is its deletion.
            return
        self._set_gone(entry, gone=True)
        entry.first = True
        self._wait(entry, self._monotonic() + self._settle.of(name))

    def forget(self, name: str) -> None:
        """Forget the file `name`, which was moved or removed, without a finding.

        A file that has taken its place meanwhile is a new file.
        """
        folder, _, base = name.rpartition("/")
        entry = self._folders.get(folder, {}).get(base)
        if entry is None:
            return
        self._set_gone(entry, gone=False)
        entry.known = None
        if entry.growing is None:
            self._forget(entry)

    def due(self) -> float | None:
        """Return the seconds until there may be findings; None if no file is waiting."""
        # Items that a later call of `_wait` has replaced are dropped here, not searched for there.
        while self._heap and self._heap[0][0] != self._heap[0][2].queued:
            heapq.heappop(self._heap)
        return max(0.0, self._heap[0][0] - self._monotonic()) if self._heap else None

    def findings(self) -> Iterator[Finding]:
        """Yield the findings that are certain by now; each file is looked at once more first."""
        now = self._monotonic()
        while self._heap and self._heap[0][0] <= now:
            when, _, entry = heapq.heappop(self._heap)
            if when != entry.queued:
                continue
            entry.queued = None
            if entry.ripe > now:
                self._wait(entry, entry.ripe)
            elif entry.gone:
                yield from self._ended(entry)
            elif entry.growing is not None:
                yield from self._grown(entry, entry.growing, now)

    def _grown(self, entry: _Entry, growing: Mark, now: float) -> Iterator[Finding]:
        present = self._look(entry.name)
        if present is None:
            self.note_missing(entry.name)
            return
        if not growing.is_same_content(present):
            self.note(entry.name, present)  # It has changed again, without a notice.
            return
        reason = self._held_back_by(entry)
        if reason is None:
            kind = Kind.MODIFIED if entry.known is not None else Kind.CREATED
            moved_from = self._former(present) if entry.known is None else None
            entry.known = present
            self._set_growing(entry, None)
            yield Finding(kind, entry.name, present, moved_from)
            return
        pause = max(RECHECK, min(self._settle.of(entry.name), LONGEST_RECHECK))
        self._wait(entry, now + pause)
        if self._stalled and entry.first and now - entry.since >= self._stalled:
            entry.first = False
            yield Finding(Kind.STALLED, entry.name, present, reason=reason)

    def _held_back_by(self, entry: _Entry) -> str | None:
        """Return the reason why a file that has settled is not whole; None if it is whole."""
        if self._is_temporary(entry.name):
            return "its name is that of a transfer in progress"
        has_writers = self._has_writers(entry.name)
        if has_writers is None:
            # The kernel did not tell: rely on the last notice, if every opening causes one.
            has_writers = self._trusts_closing and entry.opened is True
        return "it is still open for writing" if has_writers else None

    def _ended(self, entry: _Entry) -> Iterator[Finding]:
        present = self._look(entry.name)
        if present is not None:
            self.note(entry.name, present)
            return
        assert entry.known is not None
        other = self._coming.get(entry.known.inode)
        if other is not None and entry.first:
            # It was renamed: report it under its new name first, and this deletion afterwards.
            entry.first = False
            self._wait(entry, max(other.ripe, self._monotonic()) + RENAMED)
            return
        self._set_gone(entry, gone=False)
        self._forget(entry)
        yield Finding(Kind.DELETED, entry.name, entry.known)

    def _former(self, mark: Mark) -> str | None:
        """Return the name under which the same file was known until it disappeared."""
        for entry in self._gone.get(mark.inode, ()):
            if entry.known is not None and entry.known.is_same_file(mark):
                return entry.name
        return None

    def _entry(self, name: str) -> _Entry:
        folder, _, base = name.rpartition("/")
        entries = self._folders.setdefault(folder, {})
        if base not in entries:
            entries[base] = _Entry(name)
        return entries[base]

    def _forget(self, entry: _Entry) -> None:
        folder, _, base = entry.name.rpartition("/")
        entry.queued = None
        del self._folders[folder][base]
        if not self._folders[folder]:
            del self._folders[folder]

    def _set_gone(self, entry: _Entry, *, gone: bool) -> None:
        if entry.gone == gone or entry.known is None:
            return
        entry.gone = gone
        inode = entry.known.inode
        if gone:
            self._unsettled.add(entry.name)
            if inode:
                self._gone.setdefault(inode, []).append(entry)
        else:
            self._unsettled.discard(entry.name)
            if inode:
                self._gone[inode].remove(entry)
                if not self._gone[inode]:
                    del self._gone[inode]

    def _set_growing(self, entry: _Entry, mark: Mark | None) -> None:
        if entry.growing is not None:
            self._unsettled.discard(entry.name)
            if self._coming.get(entry.growing.inode) is entry:
                del self._coming[entry.growing.inode]
        entry.growing = mark
        if mark is not None:
            self._unsettled.add(entry.name)
            if mark.inode:
                self._coming[mark.inode] = entry

    def _wait(self, entry: _Entry, until: float) -> None:
        entry.ripe = until
        # An earlier item stays: `findings` puts it back when its turn comes. Else each write to a
        # file would add an item to the heap.
        if entry.queued is None or entry.queued > until:
            entry.queued = until
            heapq.heappush(self._heap, (until, next(self._numbers), entry))


def _is_same(before: Mark, mark: Mark, only_attributes: bool) -> bool:
    return before.looks_like(mark) if only_attributes else before.is_same_content(mark)
