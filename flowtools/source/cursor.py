"""Cursor: up to where all events of a user's Source are done, remembered over an absence.

Events are done in any order, and a position is true only once all before it are done. So the events
wait here in the order in which they began, each with the position behind it; when the first of
them are done, the last position of these is the one that counts. A thread of a Keeper writes it.
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
    """An event that has begun, and the position behind it."""

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

    A position is any JSON value: a number, a page token, a time. Whatever dies, the file holds one
    that all was done before; what has been done behind it comes again after a restart, with the
    same id if the Source makes it of the item. A failed disk is told of, and the Source goes on.
    Any thread may call.
    """

    FACTS = ("_name", "position")

    def __init__(
        self, path: str | Path, start: Any = None, *, of: str = "", every: float = EVERY
    ) -> None:
        """Take the file `path` for this process, and read it.

        Args:
            path: The file; it is made at the first change of the position.
            start: The position where there is no file yet.
            of: What the positions are about, such as a URL: a file about something else is
                refused.
            every: Seconds from a change to the writing of the file; what is done in these is
                done again where the machine or the process dies.

        Raises:
            ConfigurationError: Another process has the file, it cannot be used or read, it is
                damaged, or it is about something else.
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
        """The position before which all is done: where to begin after a restart."""
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
        event.encode()  # One that could never be written would hold the position for ever.
        step = _Step(_checked(position), is_done=False)
        with self._lock:
            self._begun.append(step)
            self._waiting.setdefault((event.source, event.id), deque()).append(step)
        return event

    def reach(self, position: Any) -> None:
        """Note a position that no event stands for, such as the end of a page.

        Raises:
            ValueError: It has no JSON form.
        """
        with self._lock:
            self._begun.append(_Step(_checked(position), is_done=True))
            self._advance()

    def done(self, event: Event, ok: bool = True) -> None:
        """Note that `event` is decided, whether well or for good as failed (`ok`).

        One that failed for good is in the failed file or the dead letters, and is not to come
        again. An event that has not begun here is passed over.
        """
        key = (event.source, event.id)
        with self._lock:
            steps = self._waiting.get(key)
            if not steps:
                return
            steps.popleft().is_done = True
            if not steps:
                del self._waiting[key]
            self._advance()

    def close(self) -> None:
        """Write the file a last time, and let others have it; more calls do nothing."""
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
                f"cannot use {self._file.name}: it is damaged, or not a cursor's; repair it, or"
                " remove it to begin at the start"
            )
        if of != self._of:
            raise ConfigurationError(
                f"cannot use {self._file.name}: it is about '{of}', not '{self._of}'"
            )
        return position


def _checked(position: Any) -> Any:
    """Return `position` as it will be read again.

    Raises:
        ValueError: It has no JSON form.
    """
    try:
        return orjson.loads(orjson.dumps(position))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the position {position!r:.100} has no JSON form: {error}") from None
