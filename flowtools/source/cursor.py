"""Cursor: the position before which all events of a user's Source are done, kept in a file.

Events are done in any order, but a position may be saved only once all events before it are done.
So the cursor keeps the events in the order in which they began, each with the position that follows
it. When the first events of this list are done, they leave it, and the position of the last of them
is saved. A Keeper's thread (wholefile.py) writes the file.
"""

from collections import deque
from pathlib import Path
from threading import Lock
from typing import Any, Self

import orjson

from flowtools.core.described import Described
from flowtools.core.errors import ConfigurationError
from flowtools.core.event import Event
from flowtools.source.wholefile import Keeper, WholeFile

EVERY = 1.0
"""Seconds from a change of the position to the writing of the file."""


class _Step:
    """An event that has begun, and the position that follows it."""

    def __init__(self, position: Any, *, is_done: bool) -> None:
        self.position = position
        self.is_done = is_done


class Cursor(Described):
    """Remembers a position in a file once all events before it are done.

        class Items:
            def configure(self, config):
                self.cursor = Cursor(config["items"]["state"])

            def __iter__(self):
                for item in items_after(self.cursor.position):
                    event = Event("item", item, source="items", id=item["id"])
                    yield self.cursor.begin(event, item["id"])

            def done(self, event, ok):
                self.cursor.done(event)

            def clean_up(self):
                self.cursor.close()

    A position is any JSON value: a number, a page token, a time. Even after a crash, all events
    before the position in the file are done. Events that were done after it are repeated after a
    restart, with the same id if the Source makes the id from the item. If the disk fails there is a
    warning, and the Source goes on. Any thread may call.
    """

    FACTS = ("_name", "position")

    def __init__(
        self, path: str | Path, start: Any = None, *, of: str = "", every: float = EVERY
    ) -> None:
        """Lock the file `path` for this process, and read it.

        Args:
            path: The file; it is created at the first change of the position.
            start: The position to start from if there is no file yet.
            of: What the positions belong to, such as a URL. A file that belongs to something else
                is refused.
            every: Seconds from a change to the writing of the file. Events that were done in these
                seconds are repeated if the machine or the process dies.

        Raises:
            ConfigurationError: Another process has the file, it cannot be used or read, it is
                damaged, or it belongs to something else.
        """
        self._file = WholeFile(path, "cursor")
        self._name = str(path)
        self._of = of
        try:
            self._position = self._read(start)
        except BaseException:
            self._file.close()
            raise
        self._saved: Any = self._position
        self._lock = Lock()
        self._begun: deque[_Step] = deque()
        self._waiting: dict[tuple[str, str], deque[_Step]] = {}
        self._is_open = True
        self._keeper = Keeper(self._file.name, self._save, every)
        self._keeper.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def position(self) -> Any:
        """The position before which all events are done: where to begin after a restart."""
        with self._lock:
            return self._position

    @property
    def in_flight(self) -> int:
        """How many events have begun and are not done."""
        with self._lock:
            return sum(len(steps) for steps in self._waiting.values())

    def begin(self, event: Event, position: Any) -> Event:
        """Note that `event` is about to be given, and return it.

        Args:
            event: The event. It is known again by its source and id.
            position: Where to go on once this event and all that began before it are done.

        Raises:
            ValueError: The position, or the event (as EventError), has no JSON form.
        """
        # An event that cannot be written would never be done, and the position would never move.
        event.encode()
        step = _Step(_checked(position), is_done=False)
        with self._lock:
            self._begun.append(step)
            self._waiting.setdefault((event.source, event.id), deque()).append(step)
        return event

    def reach(self, position: Any) -> None:
        """Note a position that does not belong to an event, such as the end of a page.

        Raises:
            ValueError: It has no JSON form.
        """
        with self._lock:
            self._begun.append(_Step(_checked(position), is_done=True))
            self._advance()

    def done(self, event: Event, ok: bool = True) -> None:
        """Note that `event` is settled: done (`ok`), or failed permanently.

        An event that failed permanently is in the failed file or the dead letters, so it must not
        be repeated. An event that has not begun here is ignored.
        """
        key = (event.source, event.id)
        with self._lock:
            # A Source may give the same event twice. The first to be done frees the earlier one.
            steps = self._waiting.get(key)
            if not steps:
                return
            steps.popleft().is_done = True
            if not steps:
                del self._waiting[key]
            self._advance()

    def close(self) -> None:
        """Write the file a last time and unlock it; further calls do nothing."""
        if self._is_open:
            self._is_open = False
            self._keeper.close()
            self._file.close()

    def _advance(self) -> None:
        before = self._position
        while self._begun and self._begun[0].is_done:
            self._position = self._begun.popleft().position
        if self._position is not before:
            self._keeper.touch()

    def _save(self) -> None:
        position = self.position
        # The same object has the same value. Another object may, too, which costs one write.
        if position is self._saved:
            return
        value = {"flow-cursor": 1, "of": self._of, "position": position}
        self._file.replace(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
        self._saved = position

    def _read(self, start: Any) -> Any:
        content = self._file.read()
        if content is None:
            return _checked(start)
        try:
            kept = orjson.loads(content)
            known = kept["flow-cursor"] == 1
            of, position = kept["of"], kept["position"]
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise ConfigurationError(
                f"cannot use {self._file.name}: it is damaged, or is not a cursor file; repair it,"
                " or remove it to begin at the start"
            )
        if of != self._of:
            raise ConfigurationError(
                f"cannot use {self._file.name}: it belongs to '{of}', not '{self._of}'"
            )
        return position


def _checked(position: Any) -> Any:
    """Return `position` as a later start will read it.

    Raises:
        ValueError: It has no JSON form.
    """
    try:
        return orjson.loads(orjson.dumps(position))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the position {position!r:.100} has no JSON form: {error}") from None
