"""The live table on a terminal: when it is drawn, what the keys do, how it starts and ends.

All of it runs in the viewer's thread. New rows do not cause a drawing by themselves: they mark the
table as new, and it is drawn at most every SOON seconds, so that a flood of events cannot use up
the processor. The table uses the terminal's alternate screen, so that the user's own screen comes
back. However the table ends, the terminal's settings are restored, and the last table stays
visible.

Control-Z and `fg` need care: the terminal must be given back before the process stops, and taken
again when it continues. The signal handlers only ring `suspended`; the viewer then calls `suspend`.

Messages of the command, such as the answer to SIGUSR1, would be drawn over. If they go to the same
terminal, their first line is shown at the foot, and all of them are printed below the last table.
"""

import os
import signal
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from time import monotonic, time
from types import FrameType
from typing import Self, TextIO

from rich.console import Console, ConsoleDimensions
from rich.segment import Segment

from flowtools.core.substitutes import drawn_in
from flowtools.core.wait import Wake
from flowtools.process import console
from flowtools.view.columns import Columns, Row
from flowtools.view.history import History
from flowtools.view.keys import Keys
from flowtools.view.rates import Rates
from flowtools.view.screen import Screen, State

SOON = 0.25
"""Minimum number of seconds between two drawings while there is something new."""

LATER = 1.0
"""Seconds between two drawings while only the ages change."""

MOST_MESSAGES = 1000
"""Maximum number of messages that are kept for the end of the table; the oldest are dropped."""


class Live:
    """A table of rows that is drawn again and again.

    Attributes:
        stream: The terminal it is drawn on.
        keys: The keyboard; None without one.
        suspended: Set when the terminal asks the process to stop (Control-Z); see `suspend`.
        quits: Whether the user has asked to end.
    """

    def __init__(
        self,
        stream: TextIO,
        columns: Columns,
        *,
        colour: bool,
        search: str = "",
        keys: Keys | None = None,
        spare: str = "",
    ) -> None:
        """Prepare to draw; nothing is drawn yet.

        Args:
            stream: The terminal to draw on.
            columns: The columns.
            colour: Whether to use colours.
            search: Text that a row must contain to be shown; empty: any row.
            keys: The keyboard; None without one.
            spare: Column that a narrow terminal leaves out; empty: none.
        """
        self.keys = keys
        self.suspended = Wake()
        self.quits = False
        self.stream = stream
        self._console = Console(
            file=stream, force_terminal=True, highlight=False, no_color=not colour
        )
        self._state = State(columns.names, History(search), Rates(monotonic()), 0.0)
        self._state.has_keys = keys is not None
        self._encoding = stream.encoding or "ascii"
        self._plain = drawn_in(self._encoding)
        self._state.spare = spare
        self._drawn = 0.0
        self._is_new = True
        self._has_continued = False
        self._messages: deque[str] = deque(maxlen=MOST_MESSAGES)
        self._kept_at = -LATER
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for signum in (signal.SIGTSTP, signal.SIGCONT):
            self._stack.callback(signal.signal, signum, signal.signal(signum, self._on_job_control))
        if self.keys is not None:
            self._stack.enter_context(self.keys)
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        if console.is_terminal():
            console.flush()
            console.lead(self._keep)
        return self

    def __exit__(self, *error: object) -> None:
        with self._stack, suppress(OSError):  # The terminal may have gone.
            self._leave_screen()
            self._draw_last()
            console.flush()
            self.stream.writelines(f"{line}\n" for line in self._messages)
            self.stream.flush()
        console.lead(None)
        self.suspended.close()

    def _keep(self, text: str) -> None:
        """Keep messages; called in the thread that writes them."""
        lines = text.splitlines()
        self._messages.extend(lines)
        # The first of several messages says what they are about.
        if monotonic() - self._kept_at > LATER:
            self.note(f"{lines[0]} (all messages are printed when the table ends)")
        self._kept_at = monotonic()

    def note(self, text: str) -> None:
        """Show `text` at the foot of the table."""
        self._state.note = text
        self._is_new = True

    def ended(self) -> None:
        """Show that the input has ended."""
        self._state.ended = self._is_new = True

    def show(self, rows: Iterable[Row], now: float) -> None:
        """Add `rows`, which have just arrived; they are drawn later. `now` is the wall clock."""
        state = self._state
        kinds: Counter[str] = Counter()
        before = len(state.history)
        for row in rows:
            kinds[row.type] += 1
            state.history.add(row)
        state.rates.count(kinds, monotonic())
        if state.paused is not None:
            state.paused += kinds.total()
            # Keep the visible rows in place while new ones arrive.
            state.back += len(state.history) - before
        self._is_new = True

    def wait(self) -> float:
        """Return the seconds until the table is due to be drawn again."""
        due = self._drawn + (SOON if self._is_new else LATER)
        return max(0.0, due - monotonic())

    def draw(self, now: float) -> None:
        """Draw the table if it is due; `now` is the wall clock, in seconds since the epoch."""
        if self.wait() > 0:
            return
        self._update(now)
        width, height = self._console.size = _size(self.stream)
        lines = self._console.render_lines(Screen(self._state), pad=True)
        # Cut to the terminal's size: a wide character at the edge, or a terminal of two lines,
        # would otherwise give more than fits, and the screen would scroll.
        shaped = Segment.set_shape(lines, width, height)
        suited = [[Segment(self._suited(each.text), *each[1:]) for each in line] for line in shaped]
        self._console.update_screen_lines(suited)
        self._drawn = monotonic()
        self._is_new = False

    def _suited(self, text: str) -> str:
        """Return `text` with substitutes for what the terminal's encoding lacks.

        Cells are escaped when a row is made. This is for our own signs, and for names of columns
        and searches, which get "?" because the layout is fixed by now.
        """
        return text.translate(self._plain).encode(self._encoding, "replace").decode(self._encoding)

    def press(self) -> None:
        """Handle the keys that have been pressed."""
        assert self.keys is not None
        for key in self.keys.read():
            if self._state.typing is not None:
                self._type(key)
            else:
                self._command(key)
        self._is_new = True
        self._drawn = 0.0  # Draw at once: the user waits for the effect of the key.

    def suspend(self) -> None:
        """Give the terminal back and stop this process (Control-Z), until it is continued."""
        self.suspended.clear()
        self._leave_screen()
        if self.keys is not None:
            self.keys.give_back()
        # If the shell took the terminal over in the meantime, `give_back` has stopped this process
        # (SIGTTOU), and it has been continued since. To stop once more would surprise the user.
        if not self._has_continued:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, self._on_job_control)
        if self.keys is not None:
            self.keys.take()
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        self._is_new = True

    def _on_job_control(self, signum: int, frame: FrameType | None) -> None:
        self._has_continued = signum == signal.SIGCONT
        if signum == signal.SIGTSTP:
            self.suspended.ring()

    def _type(self, key: str) -> None:
        state = self._state
        text = state.typing or ""
        if key == "enter":
            state.typing = None
            return
        if key == "escape":
            state.typing = None
            text = ""
        elif key == "backspace":
            text = state.typing = text[:-1]
        elif key == "erase":
            text = state.typing = ""
        elif len(key) == 1:
            text = state.typing = text + key
        state.history.look_for(text)
        state.back = 0

    def _command(self, key: str) -> None:
        state = self._state
        if key == "q":
            self.quits = True
        elif key == "/":
            state.typing = state.history.search
        elif key == "escape":
            state.history.look_for("")
        elif key == "c":
            state.history.clear()
            state.back = 0
        elif key == " ":
            state.paused = 0 if state.paused is None else None
            state.back = 0
        else:
            self._move(key)

    def _move(self, key: str) -> None:
        state = self._state
        page = max(self._console.size.height - 10, 1)
        steps = {"up": 1, "k": 1, "down": -1, "j": -1, "page-up": page, "page-down": -page}
        steps |= {"home": len(state.history), "end": -len(state.history)}
        if key not in steps:
            return
        if state.paused is None:
            state.paused = 0  # Scrolling back also pauses the table.
        state.back = min(max(state.back + steps[key], 0), max(len(state.history) - 1, 0))

    def _leave_screen(self) -> None:
        self._console.show_cursor(True)
        self._console.set_alt_screen(False)

    def _draw_last(self) -> None:
        state = self._state
        state.paused, state.back, state.ended = None, 0, False
        self._update(time())
        _, height = self._console.size = _size(self.stream)
        with self._console.capture() as picture:
            self._console.print(Screen(state, final=True), height=max(height - 1, 3))
        self.stream.write(self._suited(picture.get()))
        self.stream.flush()

    def _update(self, now: float) -> None:
        state = self._state
        state.now = now
        state.rates.advance(monotonic())
        state.elapsed = state.rates.elapsed(monotonic())


def _size(stream: TextIO) -> ConsoleDimensions:
    # rich would take the size of whichever standard stream is a terminal, which may be another one.
    width, height = os.get_terminal_size(stream.fileno())
    return ConsoleDimensions(width or 80, height or 24)
