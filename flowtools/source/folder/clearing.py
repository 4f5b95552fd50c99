"""Leave, move or remove the files whose event is done or rejected.

Copying to another disk takes long, so one thread does it (background.py). `close` lets it finish
all jobs: their events are settled already, and a file that stayed would be reported again.

Before a set of several files is moved, a *note* is written: a file in the target folder that names
all of them. It is removed when all have been moved. After a crash the next start finishes the move;
otherwise a file would wait for ever for a sidecar that has been moved already.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import NamedTuple

import orjson

from flowtools.core.kind import Kind
from flowtools.core.log import get_log
from flowtools.source.folder.background import Background
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


class Clearing(Background[tuple[Report, bool], Cleared]):
    """Leaves, moves or removes the files of reports, each of which is done (True) or rejected."""

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
            counts: Returns whether a file of that name is wanted, or will be once it is renamed.
        """
        self._path = Path(path)
        self._places = places
        self._look = look
        self._counts = counts
        self._hurry = Event()
        # Before the thread starts: its first move could meet one that is still being finished.
        for place in filter(None, (places.done, places.failed)):
            self._finish(Path(place))
        clean_up(self._path)
        super().__init__("clearing", self._clear, finishes=True)

    def close(self) -> None:
        """Finish the queue, trying each move only once, and end the thread."""
        self._hurry.set()
        super().close()

    def _clear(self, job: tuple[Report, bool]) -> Cleared:
        report, done = job
        place = self._places.done if done else self._places.failed
        remove = done and self._places.remove
        if report.kind is Kind.DELETED or (place is None and not remove):
            # A rejected file that is left is reported again at the next start.
            return Cleared(report, False, done)
        for pause in (*PAUSES, None):
            if not self._is_as_reported(report):
                # It was written again: it must stay, and the watcher reports it once more.
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
            # A missing file is no obstacle: an earlier try may have moved it.
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
                    raise  # The target folder is missing, not the file.

    def _remove(self, report: Report) -> None:
        if report.folder is not None:
            if (self._path / report.folder).exists():
                remove_folder(self._path / report.folder)
            return
        for name, mark in report.members:
            if mark is not None:
                (self._path / name).unlink(missing_ok=True)

    def _finish(self, place: Path) -> None:
        """Finish the moves that the notes in `place` describe: the process died during them."""
        for note in sorted(place.glob(f"{HIDDEN}*{_NOTE}")):
            try:
                names = [
                    os.fsdecode(bytes.fromhex(each)) for each in orjson.loads(note.read_bytes())
                ]
                self._move_all(names, place)
                note.unlink()
            except (OSError, ValueError, TypeError) as error:
                log.error("cannot finish the move that '%s' describes: %s", note, error)


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
    # Renamed when it is complete: `_finish` never finds half a note.
    new.replace(note)
    return note
