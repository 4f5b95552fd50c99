"""Repeatable streams of changes: the same seed gives the same sequence.

A stream waits until somebody listens, and then makes one change after the other at a steady
rate, whether or not the listener keeps up. Each stream has a thread: `Stream.start` starts it,
`close` ends and joins it. Changes are made up one at a time, when they are due: what a stream keeps
depends on the assets that exist, not on the number of changes to come.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from threading import Event as Flag
from threading import Thread

from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.threads import start_thread
from flowtools.sim.catalogue import Catalogue
from flowtools.sim.vocabulary import GoneError, Kind
from flowtools.vizone.document import parse, serialise
from flowtools.vizone.metadata import Payload

_SUBJECTS = ("Harbour", "Election", "Marathon", "Budget", "Storm", "Festival", "Derby", "Strike")
_FORMS = ("interview", "report", "press conference", "drone shots", "studio talk", "archive")
_PLACES = ("Bergen", "Lisbon", "Utrecht", "Gdansk", "Toronto", "Osaka", "Nairobi", "Cardiff")

_File = tuple[str, int] | None  # A name and a size in bytes.

_log = get_log("flowtools.sim")


@dataclass(frozen=True)
class Change:
    """One change: its kind, the asset (counted from 0 within the stream), and the new title."""

    kind: Kind
    index: int
    title: str


def changes(count: int, seed: int) -> Iterator[Change]:
    """Yield `count` changes: half of them creations, the rest updates and some deletions."""
    dice = random.Random(seed)  # noqa: S311  repeatable, and no secret
    alive: list[int] = []
    made = 0
    for _ in range(count):
        kind: Kind = dice.choices(("create", "update", "delete"), (5, 4, 1))[0]
        title = f"{dice.choice(_SUBJECTS)}, {dice.choice(_FORMS)}, {dice.choice(_PLACES)}"
        if kind == "create" or not alive:
            alive.append(made)
            yield Change("create", made, title)
            made += 1
        elif kind == "update":
            yield Change("update", dice.choice(alive), title)
        else:
            yield Change("delete", alive.pop(dice.randrange(len(alive))), title)


class Stream:
    """Makes changes at a steady rate once there is a listener.

    Attributes:
        done: Number of changes that have been made.
    """

    def __init__(
        self,
        steps: Iterable[Callable[[], None]],
        rate: float,
        has_listener: Callable[[float], bool],
    ) -> None:
        """Prepare the stream.

        Args:
            steps: Functions that make one change each, in order.
            rate: Changes per second.
            has_listener: Waits up to that many seconds; returns whether there is a listener.
        """
        self._steps = steps
        self._pause = 1 / rate
        self._has_listener = has_listener
        self.done = 0
        self._ending = Flag()
        self._thread = Thread(target=self._run, name="sim-stream", daemon=True)

    def start(self) -> None:
        """Start the thread, which waits for a listener first."""
        start_thread(self._thread)

    def close(self) -> None:
        """End the thread, even if changes remain."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._has_listener(0.2):
            if self._ending.is_set():
                return
        due = time.monotonic()
        for step in self._steps:
            if self._ending.wait(max(0.0, due - time.monotonic())):
                return
            step()
            self.done += 1
            # From the last due time, not from now: a late change must not lower the rate.
            due += self._pause
        _log.info("the stream has made %s", counted(self.done, "change"))


def asset_steps(catalogue: Catalogue, count: int, seed: int) -> Iterator[Callable[[], None]]:
    """Yield `count` steps that create, update and delete assets of `catalogue`."""
    numbers: dict[int, str] = {}

    def step(change: Change) -> None:
        if change.kind == "create":
            made = catalogue.create(change.title, status="online", media="video")
            numbers[change.index] = made.number
            return
        number = numbers[change.index]
        try:
            if change.kind == "delete":
                del numbers[change.index]
                catalogue.delete(number)
            else:
                _retitle(catalogue, number, change.title)
        except GoneError:
            # A client of the stand-in may delete an asset that the stream still wants to change.
            _log.warning("asset %s has been deleted: skipping a change of the stream", number)

    return (partial(step, change) for change in changes(count, seed))


def file_steps(
    catalogue: Catalogue, location: str, count: int, seed: int
) -> Iterator[Callable[[], None]]:
    """Yield functions that let `count` files arrive in an import storage.

    Each call makes three changes, so that several files grow at a time: a new file appears,
    empty; the file before it grows to half its size, and the one before that is completed.
    """
    dice = random.Random(seed)  # noqa: S311  repeatable, and no secret

    def write(file: _File, part: float) -> None:
        if file is not None:
            name, size = file
            catalogue.storages.write(location, name, bytes(int(size * part)))

    def step(new: _File, growing: _File, whole: _File) -> None:
        write(whole, 1)
        write(growing, 0.5)
        write(new, 0)

    growing: _File = None
    whole: _File = None
    # Two more steps than files, to complete the last two.
    for index in range(count + 2 if count else 0):
        name = f"{dice.choice(_SUBJECTS).lower()}-{index:04}.mxf"
        new = (name, dice.randrange(2, 4096)) if index < count else None
        yield partial(step, new, growing, whole)
        growing, whole = new, growing


def _retitle(catalogue: Catalogue, number: str, title: str) -> None:
    """Change the title of the asset and in its metadata; keep the other fields."""

    def change(stored: bytes) -> bytes:
        payload = Payload(parse(stored, name="the metadata"))
        payload["asset.title"] = title
        return serialise(payload.element)

    catalogue.retitle(number, title, change)
