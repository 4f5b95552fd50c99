"""Leave, move or remove the files whose event is done or rejected.

Copying to another disk takes long, so one thread does it. `Clearing` starts the thread, and `close`
joins it after it has finished the copy that it has begun. The queue is no longer than the window of
the source.

Before a set of several files is moved, a *note* is written: a file in the target folder that names
all of them. It is removed when all have been moved. After a crash the next start finishes the move;
otherwise a file would wait for ever for a sidecar that has been moved already.
"""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import Condition, Event, Thread
from typing import NamedTuple

import orjson

from flowtools.core.kind import Kind
from flowtools.core.log import get_log
from flowtools.core.tracing import start_thread
from flowtools.core.wait import Wake
from flowtools.source.folder.mark import Mark
from flowtools.source.folder.moving import HIDDEN, clean_up, move_file, move_folder, remove_folder
from flowtools.source.folder.names import text_of
from flowtools.source.folder.report import Report

PAUSES = (1.0, 5.0)
"""Seconds before a move that failed is tried again."""

_NOTE = ".moving"

log = get_log("flowtools.source.watch")


@dataclass(frozen=True)
class Places:
    """What to do with files.

    Attributes:
        done: Folder for the files whose event is done; None: leave them where they are.
        failed: Folder for the files whose event was rejected; None: leave them.
        remove: Whether files whose event is done are removed.
    """

    done: str | None = None
    failed: str | None = None
    remove: bool = False


class Cleared(NamedTuple):
    """The result of clearing the files of a report.

    Attributes:
        report: The report.
        is_gone: Whether the files have been moved or removed.
        is_settled: Whether the files must not be reported again.
    """

    report: Report
    is_gone: bool
    is_settled: bool


class Clearing:
    """A thread that leaves, moves or removes files once their event is settled.

    Its file descriptor becomes readable when there is something to fetch.
    """

    def __init__(
        self,
        path: str,
        places: Places,
        look: Callable[[str], Mark | None],
        counts: Callable[[str], bool],
    ) -> None:
        """Finish moves that a crash interrupted, and start the thread.

        Args:
            path: The watched folder.
            places: What to do with the files.
            look: Returns the state of a file now, by its path below the folder; called in
                another thread.
            counts: Returns whether a file of that name would be reported, or may come to be.
        """
        self._path = Path(path)
        self._places = places
        self._look = look
        self._counts = counts
        self._waiting: deque[tuple[Report, bool]] = deque()
        self._cleared: deque[Cleared] = deque()
        self._change = Condition()
        self._ending = False
        self._hurry = Event()
        self._wake = Wake()
        for place in filter(None, (places.done, places.failed)):
            self._finish(Path(place))
        clean_up(self._path)
        self._thread = Thread(target=self._run, name="clearing", daemon=True)
        start_thread(self._thread)

    def fileno(self) -> int:
        """Return what becomes readable when there is something to fetch."""
        return self._wake.fileno()

    def put(self, report: Report, *, done: bool) -> None:
        """Leave, move or remove the files of `report`, which is done or rejected."""
        with self._change:
            self._waiting.append((report, done))
            self._change.notify()

    def fetch(self) -> list[Cleared]:
        """Return what has been done."""
        self._wake.clear()
        with self._change:
            found = list(self._cleared)
            self._cleared.clear()
        return found

    def close(self) -> None:
        """Finish the queue, trying each move only once, and end the thread."""
        self._hurry.set()
        with self._change:
            self._ending = True
            self._change.notify()
        self._thread.join()

    def release(self) -> None:
        """Release the descriptor; `fetch` must not be called after this."""
        self._wake.close()

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._ending:
                    self._change.wait()
                if not self._waiting:
                    return
                report, done = self._waiting.popleft()
            cleared = self._clear(report, done)
            with self._change:
                self._cleared.append(cleared)
            self._wake.ring()

    def _clear(self, report: Report, done: bool) -> Cleared:
        place = self._places.done if done else self._places.failed
        remove = done and self._places.remove
        if report.kind is Kind.DELETED or (place is None and not remove):
            # A rejected file that is left is reported again at the next start.
            return Cleared(report, False, done)
        for pause in (*PAUSES, None):
            if not self._is_as_reported(report):
                # The file has been written since, which is another event.
                return Cleared(report, False, False)
            try:
                self._remove(report) if place is None else self._move(report, Path(place))
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                verb = "remove" if place is None else "move"
                log.error(
                    "cannot %s '%s': %s%s",
                    verb,
                    text_of(f"{self._path}/{report.name}"),
                    reason,
                    "" if pause is None else "; trying again",
                )
                if pause is None or self._hurry.wait(pause):
                    return Cleared(report, False, False)
            else:
                return Cleared(report, True, True)
        raise AssertionError("the last pause ends it")

    def _is_as_reported(self, report: Report) -> bool:
        """Return whether the files of `report` are unchanged, with none added."""
        for name, mark in report.members:
            present = self._look(name)
            if mark is not None and present is not None and not present.looks_like(mark):
                return False
        if report.folder is None:
            return True
        names = {name for name, _ in report.members}
        for folder, _, files in os.walk(self._path / report.folder):
            for file in files:
                name = os.path.relpath(f"{folder}/{file}", self._path)
                if name not in names and self._counts(name):
                    return False
        return True

    def _move(self, report: Report, place: Path) -> None:
        if report.folder is not None:
            if (self._path / report.folder).exists():
                move_folder(self._path / report.folder, place / report.folder)
            return
        names = [name for name, mark in report.members if mark is not None]
        if len(names) == 1:
            self._move_all(names, place)
            return
        note = _note(place, names)
        self._move_all(names, place)
        note.unlink(missing_ok=True)

    def _move_all(self, names: list[str], place: Path) -> None:
        for name in names:
            try:
                move_file(self._path / name, place / name)
            except FileNotFoundError:
                if os.path.lexists(self._path / name):
                    raise  # It is the place that is not there.

    def _remove(self, report: Report) -> None:
        if report.folder is not None:
            if (self._path / report.folder).exists():
                remove_folder(self._path / report.folder)
            return
        for name, mark in report.members:
            if mark is not None:
                (self._path / name).unlink(missing_ok=True)

    def _finish(self, place: Path) -> None:
        """Move what notes in `place` say was being moved when the process died."""
        for note in sorted(place.glob(f"{HIDDEN}*{_NOTE}")):
            try:
                names = [
                    os.fsdecode(bytes.fromhex(each)) for each in orjson.loads(note.read_bytes())
                ]
                self._move_all(names, place)
                note.unlink()
            except (OSError, ValueError, TypeError) as error:
                log.error("cannot finish what '%s' says was being moved: %s", note, error)


def _note(place: Path, names: list[str]) -> Path:
    """Write a note of the files that are going to be moved; return its path."""
    place.mkdir(parents=True, exist_ok=True)
    encoded = [os.fsencode(name) for name in names]
    digest = blake2b(b"\0".join(encoded), digest_size=8).hexdigest()
    note = place / f"{HIDDEN}{digest}{_NOTE}"
    new = note.with_suffix(".new")
    with new.open("wb") as file:
        file.write(orjson.dumps([each.hex() for each in encoded]))
        file.flush()
        os.fsync(file.fileno())
    new.replace(note)
    return note
