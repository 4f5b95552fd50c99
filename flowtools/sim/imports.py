"""Imports and uploads: how a placeholder gets its media, step by step.

`start` marks the asset as importing; the thread of `Later` then advances the import STEPS times,
publishes each step, and puts the media into the asset at the last one. If the asset does not
exist any more then, the import ends in error.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import RLock

from flowtools.sim.asset import Asset
from flowtools.sim.catalogue import Catalogue
from flowtools.sim.later import Later
from flowtools.sim.vocabulary import GoneError, TakenError

STEPS = 4
"""Number of steps in which the media arrives."""


@dataclass(frozen=True)
class Import:
    """One state of an import. Immutable: a change makes a new object.

    Attributes:
        id: Number of the import, and of its transfer request.
        number: Number of the asset.
        name: Name of the file that is imported.
        updated: Time of the last change, as Viz One writes it.
        state: pending, active, finished or error.
        done: Percentage that has arrived; None before the first step.
        priority: low, medium or high; without effect.
        error: Reason of the failure, for people.
        revision: Counts the changes.
    """

    id: str
    number: str
    name: str
    updated: str
    state: str = "pending"
    done: int | None = None
    priority: str = "medium"
    error: str = ""
    revision: int = 1


class Imports:
    """All imports. Thread-safe."""

    def __init__(
        self,
        catalogue: Catalogue,
        later: Later,
        seconds: float,
        tell: Callable[[Import], None],
    ) -> None:
        """Let each import take `seconds`; call `tell` after each of its changes."""
        self._catalogue = catalogue
        self._later = later
        self._seconds = seconds
        self._tell = tell
        self._lock = RLock()
        self._tasks: dict[str, Import] = {}
        self._made = 0

    def start(self, number: str, name: str, content: bytes) -> Import:
        """Begin to import `content` into the placeholder with this number.

        Raises:
            GoneError: There is no such asset.
            TakenError: The asset is not a placeholder, or an import into it is under way.
        """
        with self._lock:
            self._made += 1
            task = Import(str(self._made), number, name, self._catalogue.now())

            # Run by the catalogue under its lock: of two imports at once, one gets a TakenError.
            def occupy(asset: Asset) -> dict[str, object]:
                if asset.media != "placeholder" or asset.status == "importing":
                    raise TakenError(f"asset {number} is not a placeholder, or has an import")
                return {"status": "importing", "upload_task": task.id}

            self._catalogue.change(number, occupy)
            self._tasks[task.id] = task
        self._later.after(self._seconds / STEPS, lambda: self._step(task.id, content))
        return task

    def get(self, id: str) -> Import:
        """Return the import with this id.

        Raises:
            GoneError: There is no such import.
        """
        with self._lock:
            if id not in self._tasks:
                raise GoneError(f"there is no import {id}")
            return self._tasks[id]

    def all(self) -> list[Import]:
        """Return all imports, the oldest first."""
        with self._lock:
            return list(self._tasks.values())

    def change(self, id: str, **changes: object) -> Import:
        """Change attributes of an import, and publish the change.

        Raises:
            GoneError: There is no such import.
        """
        with self._lock:
            task = self.get(id)
            moment = self._catalogue.now()
            task = replace(task, **changes, updated=moment, revision=task.revision + 1)  # type: ignore[arg-type]
            self._tasks[id] = task
            self._tell(task)
            return task

    def delete(self, id: str) -> None:
        """Delete an import; one that is under way ends without media.

        Raises:
            GoneError: There is no such import.
        """
        with self._lock:
            self.get(id)
            del self._tasks[id]

    def _step(self, id: str, content: bytes) -> None:
        try:
            task = self.get(id)
            done = (task.done or 0) + 100 // STEPS
            if done < 100:
                self.change(id, state="active", done=done)
                self._later.after(self._seconds / STEPS, lambda: self._step(id, content))
                return
            media: dict[str, object] = {"status": "online", "media": "video", "content": content}
            # The asset before the import: who hears "finished" finds the media there.
            self._catalogue.change(task.number, lambda asset: media)
            self.change(id, state="finished", done=100)
        except GoneError as error:
            self._fail(id, str(error))

    def _fail(self, id: str, reason: str) -> None:
        with self._lock:
            if id in self._tasks:
                self.change(id, state="error", error=reason)
