"""Imports and uploads of the stand-in: how a placeholder gets its media, step by step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import RLock

from flowtools.sim.asset import Asset
from flowtools.sim.catalogue import Catalogue
from flowtools.sim.later import Later
from flowtools.sim.vocabulary import GoneError, TakenError

STEPS = 4
"""In how many steps the media comes."""


@dataclass(frozen=True)
class Import:
    """An import as it is at one time.

    Attributes:
        id: Its number.
        number: The asset's.
        name: What is imported.
        state: pending, active, finished or error.
        done: How many percent; None before it has begun.
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
    """All imports; any thread may call."""

    def __init__(
        self,
        catalogue: Catalogue,
        later: Later,
        seconds: float,
        tell: Callable[[Import], None],
    ) -> None:
        """Make media come within `seconds`; `tell` is told of each step."""
        self._catalogue = catalogue
        self._later = later
        self._seconds = seconds
        self._tell = tell
        self._lock = RLock()
        self._tasks: dict[str, Import] = {}
        self._made = 0

    def start(self, number: str, name: str, content: bytes) -> Import:
        """Begin to bring `content` into the placeholder `number`.

        Raises:
            GoneError: There is no such asset.
            TakenError: It is no placeholder, or something is coming already.
        """
        with self._lock:
            self._made += 1
            task = Import(str(self._made), number, name, self._catalogue.now())

            def occupy(asset: Asset) -> dict[str, object]:
                if asset.media != "placeholder" or asset.status == "importing":
                    raise TakenError(f"asset {number} is no placeholder")
                return {"status": "importing", "upload_task": task.id}

            self._catalogue.change(number, occupy)
            self._tasks[task.id] = task
        self._later.after(self._seconds / STEPS, lambda: self._step(task.id, content))
        return task

    def get(self, id: str) -> Import:
        """Return an import.

        Raises:
            GoneError: There is none.
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
        """Change an import, and tell of it.

        Raises:
            GoneError: There is none.
        """
        with self._lock:
            task = self.get(id)
            moment = self._catalogue.now()
            task = replace(task, **changes, updated=moment, revision=task.revision + 1)  # type: ignore[arg-type]
            self._tasks[id] = task
            self._tell(task)
            return task

    def delete(self, id: str) -> None:
        """Forget an import.

        Raises:
            GoneError: There is none.
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
            self._catalogue.change(task.number, lambda asset: media)
            self.change(id, state="finished", done=100)
        except GoneError as error:
            self._fail(id, str(error))

    def _fail(self, id: str, reason: str) -> None:
        with self._lock:
            if id in self._tasks:
                self.change(id, state="error", error=reason)
