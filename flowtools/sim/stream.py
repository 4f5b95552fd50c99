"""A repeatable stream of changes: the same seed gives the same sequence.

`Stream.start` starts its thread, `close` ends and joins it.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from threading import Event as Flag
from threading import Thread

from flowtools.core.log import get_log
from flowtools.sim.catalogue import Catalogue
from flowtools.sim.vocabulary import GoneError, Kind
from flowtools.vizone.document import parse, serialise
from flowtools.vizone.metadata import Payload

_SUBJECTS = ("Harbour", "Election", "Marathon", "Budget", "Storm", "Festival", "Derby", "Strike")
_FORMS = ("interview", "report", "press conference", "drone shots", "studio talk", "archive")
_PLACES = ("Bergen", "Lisbon", "Utrecht", "Gdansk", "Toronto", "Osaka", "Nairobi", "Cardiff")

_log = get_log("flowtools.sim")


@dataclass(frozen=True)
class Change:
    """One step: what is done to which asset of the stream (counted from 0)."""

    kind: Kind
    index: int
    title: str


def changes(count: int, seed: int) -> Iterator[Change]:
    """Yield `count` changes: mostly creations, then updates, some deletions."""
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
    """Makes changes at a steady rate, once there is someone to hear of them.

    Attributes:
        done: How many are made.
    """

    def __init__(
        self, steps: list[Callable[[], None]], rate: float, has_listener: Callable[[float], bool]
    ) -> None:
        """Prepare the stream.

        Args:
            steps: What to do, in order.
            rate: How many steps a second.
            has_listener: Waits for so many seconds, and returns whether someone listens.
        """
        self._steps = steps
        self._pause = 1 / rate
        self._has_listener = has_listener
        self.done = 0
        self._ending = Flag()
        self._thread = Thread(target=self._run, name="sim-stream", daemon=True)

    def start(self) -> None:
        """Start, as soon as someone listens."""
        self._thread.start()

    def close(self) -> None:
        """End, done or not."""
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
            due += self._pause
        _log.info("the stream of %d changes is over", len(self._steps))


def asset_steps(catalogue: Catalogue, count: int, seed: int) -> list[Callable[[], None]]:
    """Return `count` steps that create, update and delete assets of `catalogue`."""
    numbers: dict[int, str] = {}

    def step(change: Change) -> None:
        if change.kind == "create":
            made = catalogue.create(change.title, status="online", media="video")
            numbers[change.index] = made.number
            return
        number = numbers[change.index]
        try:
            if change.kind == "delete":
                catalogue.delete(number)
            else:
                _retitle(catalogue, number, change.title)
        except GoneError:
            _log.warning("asset %s has been deleted: the stream passes over it", number)

    return [partial(step, change) for change in changes(count, seed)]


def file_steps(
    catalogue: Catalogue, location: str, count: int, seed: int
) -> list[Callable[[], None]]:
    """Return steps that let `count` files arrive in an import storage.

    At each step a file appears, empty; the one before it has grown, and the one before
    that is complete.
    """
    dice = random.Random(seed)  # noqa: S311  repeatable, and no secret
    names = [f"{dice.choice(_SUBJECTS).lower()}-{index:04}.mxf" for index in range(count)]
    sizes = [dice.randrange(2, 4096) for _ in names]

    def write(index: int, part: float) -> None:
        if 0 <= index < count:
            catalogue.storages.write(location, names[index], bytes(int(sizes[index] * part)))

    def step(index: int) -> None:
        write(index - 2, 1)
        write(index - 1, 0.5)
        write(index, 0)

    return [partial(step, index) for index in range(count + 2)] if count else []


def _retitle(catalogue: Catalogue, number: str, title: str) -> None:
    """Change the title, in the metadata too; what others have set there stays."""

    def change(stored: bytes) -> bytes:
        payload = Payload(parse(stored, name="the metadata"))
        payload["asset.title"] = title
        return serialise(payload.element)

    catalogue.retitle(number, title, change)
