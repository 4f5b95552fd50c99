"""--progress: the live display on a real (pseudo) terminal, and the summary elsewhere."""

import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from contextlib import suppress

import pytest

from flowtools.core.log import get_log
from flowtools.pool.outcome import RETRIED, Attempt, Outcome
from flowtools.pool.progress import Progress
from flowtools.pool.progress_display import Display
from flowtools.pool.tally import SAMPLE, Figures, Share, Snapshot, Tally, duration, share_of
from flowtools.process import console
from tests.running import SECONDS
from tests.terminals import Terminal as Screen

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def attempt(outcome="done", ran=0.01, final=True):
    return Attempt(None, b"", 1, Outcome(outcome), 1, final, 0.0, ran, 0.0, None)


def idle():
    return Snapshot([], 0, 4, 0)


class Terminal:
    """A pseudo terminal: `stream` is what a program writes to, `seen` what came out."""

    def __init__(self, columns, rows):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.stream = os.fdopen(slave, "w")
        self.seen = ""

    def wait_for(self, pattern):
        deadline = time.monotonic() + SECONDS
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, self.seen
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536).decode()

    @property
    def text(self):
        """The output without escape sequences for colour and movement."""
        return ESCAPE.sub("", self.seen)

    def hang_up(self):
        os.close(self.master)
        self.master = -1

    def close(self):
        if self.master >= 0:
            self.hang_up()
        with suppress(OSError):  # The terminal was hung up while output was waiting.
            self.stream.close()


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    opened = []

    def open_terminal(columns=80, rows=24):
        opened.append(Terminal(columns, rows))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


def teller(stream):
    return lambda text: print(f"flow-work: {text}", file=stream, flush=True)


@pytest.fixture
def shown():
    """Start a Progress that is stopped when the test ends."""
    running = []

    def show(snapshot, stream):
        shown = Progress(stream, teller(stream))
        running.append(shown)
        shown.start(snapshot)
        return shown

    yield show
    for each in running:
        each.stop()


@pytest.mark.parametrize("outcome", Outcome)
def test_the_display_shows_every_outcome(outcome, terminal, shown):
    screen = terminal(columns=120)
    shown(idle, screen.stream).record(attempt(outcome))
    screen.wait_for("failed 1" if outcome.is_failure else f"{outcome} 1")


def test_without_a_terminal_one_summary_line_is_printed_at_the_end():
    stream = io.StringIO()
    shown = Progress(stream, teller(stream))
    shown.start(idle)
    for each in (attempt(), attempt(), attempt("timeout", 2.0), attempt("invalid", 0.0)):
        shown.record(each)
    shown.record(attempt("failed", final=False))
    shown.record(attempt("skipped"))
    assert stream.getvalue() == ""
    shown.stop()
    found = re.fullmatch(
        r"flow-work: 2 done, 2 failed \(1 timeout, 1 invalid\), 1 skipped, 1 retried in \S+ \S+"
        r" \([0-9.]+/s\); half of the attempts took up to 10 ms, 95 % up to 2\.0 s\n",
        stream.getvalue(),
    )
    assert found, stream.getvalue()


def test_the_summary_of_no_events_has_no_durations():
    stream = io.StringIO()
    Progress(stream, teller(stream)).stop()
    assert stream.getvalue().startswith("flow-work: 0 done, 0 failed in ")
    assert "took" not in stream.getvalue()


@pytest.mark.parametrize("kind", ["dumb", ""])
def test_a_terminal_that_cannot_move_its_cursor_gets_the_summary_only(
    terminal, shown, monkeypatch, kind
):
    monkeypatch.setenv("TERM", kind)
    screen = terminal()
    shown(idle, screen.stream).stop()
    screen.wait_for("flow-work: 0 done.*\n")
    assert screen.seen == screen.text
    assert screen.text.count("done") == 1


def test_a_terminal_shows_all_figures(terminal, shown):
    screen = terminal()
    snapshot = Snapshot([("quick", 0.5), ("slow", 75.0)], 1234, 16, 3)
    display = shown(lambda: snapshot, screen.stream)
    for _ in range(20):
        display.record(attempt())
    display.record(attempt("failed", 0.02))
    display.record(attempt("failed", final=False))
    screen.wait_for(r"done 20   failed 1   retried 1   running 2/16   queued 1,234   stuck 3")
    screen.wait_for(r"rate [0-9.]+/s   p50 10 ms   p95 (10|20) ms")
    screen.wait_for(r"1:15 min  slow\s+500 ms  quick")
    display.stop()
    screen.wait_for("flow-work: 20 done, 1 failed, .*\n")


def test_the_five_longest_running_events_are_shown(terminal, shown):
    screen = terminal()
    shown(lambda: Snapshot([(f"event{n}", float(n)) for n in range(9)], 0, 9, 0), screen.stream)
    screen.wait_for("event8")
    screen.wait_for("event4")
    assert re.findall(r"event(\d)", screen.text)[:5] == ["8", "7", "6", "5", "4"]
    assert "event3" not in screen.text


def test_control_characters_and_markup_of_a_subject_do_not_reach_the_terminal(terminal, shown):
    screen = terminal()
    shown(lambda: Snapshot([("a\x1b[2J\x07\nb\u2028[bold]c", 1.0)], 0, 1, 0), screen.stream)
    screen.wait_for(re.escape(r"a\x1b[2J\x07\nb\u2028[bold]c"))
    assert "\x1b[2J" not in screen.seen.replace(r"\x1b[2J", "")
    assert "\x07" not in screen.seen


def test_rows_fit_a_narrow_terminal_and_label_and_value_stay_together(terminal, shown):
    screen = terminal(columns=30, rows=12)
    shown(lambda: Snapshot([("subject-" * 9, 1.0), ("日本語" * 20, 2.0)], 5, 4, 0), screen.stream)
    screen.wait_for("subject-")
    from rich.cells import cell_len

    rows = re.split(r"[\r\n]+", screen.text)
    assert max(cell_len(row) for row in rows) <= 29
    assert any(row.startswith("done 0   failed 0") for row in rows)
    assert any(re.search(r"queued 5$", row) for row in rows)


def test_a_low_terminal_keeps_the_figures_and_shows_fewer_events(terminal, shown):
    screen = terminal(rows=4)
    shown(lambda: Snapshot([(f"event{n}", float(n)) for n in range(9)], 0, 9, 0), screen.stream)
    screen.wait_for("event8")
    assert "done 0" in screen.text
    assert "event6" not in screen.text


def test_messages_appear_complete_above_the_display(terminal, shown):
    screen = terminal()
    console.configure("flow-work", 0, "text")
    before = console.write_to(screen.stream.fileno())
    try:
        display = shown(idle, screen.stream)
        screen.wait_for("running 0/4")
        get_log("flowtools").warning("the disk is nearly full")
        screen.wait_for("flow-work: warning: the disk is nearly full *\r?\n")
        display.stop()
        get_log("flowtools").warning("it is full")
        screen.wait_for("flow-work: warning: it is full *\r?\n")
    finally:
        console.flush()
        console.write_to(before)


def test_the_cursor_is_never_hidden(terminal, shown):
    screen = terminal()
    shown(idle, screen.stream)
    screen.wait_for("running 0/4")
    assert "\x1b[?25l" not in screen.seen


def test_a_narrowed_terminal_shows_no_remains_of_the_old_display(terminal):
    screen = terminal(columns=100, rows=24)
    figures, snapshot = Tally().figures(), Snapshot([("a" * 60, 1.0)], 0, 4, 0)
    display = Display(screen.stream)
    with display:
        display.draw(figures, snapshot)
        screen.wait_for("a{60}")
        size = struct.pack("HHHH", 24, 40, 0, 0)
        fcntl.ioctl(screen.stream.fileno(), termios.TIOCSWINSZ, size)
        before = len(screen.seen)
        display.draw(figures, snapshot)
        screen.wait_for("…")
        # Both lines had more than 40 cells, so the terminal has wrapped each into two rows.
        erasure = "\r\x1b[2K" + 3 * "\x1b[1A\x1b[2K"
        assert screen.seen[before:].startswith(erasure)
        assert not screen.seen[before:].startswith(f"{erasure}\x1b[1A")


def test_the_share_of_a_file_counts_lines_that_are_done():
    def figures(done, seconds=10.0):
        return Figures(Counter({Outcome.DONE: done, RETRIED: 3}), seconds, 0.0, None, None)

    assert share_of(figures(0), Snapshot([], 0, 4, 0), 0, 1000) is None
    assert share_of(figures(0), Snapshot([("a", 1.0)], 9, 4, 0), 500, 1000) == Share(0.0, None)
    # 25 of the 50 lines of the first half are done: a quarter of all.
    assert share_of(figures(25), Snapshot([("a", 1.0)], 24, 4, 0), 500, 1000) == Share(0.25, 30.0)
    assert share_of(figures(50), Snapshot([], 0, 4, 0), 1000, 1000) == Share(1.0, 0.0)
    # A file that grows while it is read.
    assert share_of(figures(50), Snapshot([], 0, 4, 0), 1200, 1000) == Share(1.0, 0.0)


@pytest.mark.parametrize("columns", [100, 30])
def test_a_bar_shows_the_share_and_the_remaining_time(terminal, columns):
    screen = terminal(columns=columns)
    with Display(screen.stream) as display:
        display.draw(Tally().figures(), idle(), Share(0.25, 90.0))
        screen.wait_for("█+░+  25%   1:30 min left")


def test_flow_work_shows_a_bar_for_a_file_but_not_for_a_pipe(tmp_path):
    (tmp_path / "mymod.py").write_text(
        "import time\nclass W:\n    def start(self, event):\n        time.sleep(0.05)\n"
    )
    (tmp_path / "list").write_text("".join(f"{n}\n" for n in range(100)))
    for command, has_bar in (("<list", True), ("< <(cat list)", False)):
        shown = Screen(f"flow-work mymod:W --progress {command}", cwd=tmp_path)
        try:
            # The screen may be read in the middle of a drawing, whose last line is the bar.
            shown.wait_for(
                lambda shown=shown, has_bar=has_bar: (
                    re.search(r"done [1-9][0-9]", shown.text)
                    and (" left" in shown.text and "░" in shown.text) == has_bar
                )
            )
            assert shown.end() == 0
            assert "░" not in shown.text
        finally:
            shown.close()


def test_a_closed_terminal_does_no_harm(terminal, shown):
    screen = terminal()
    display = shown(idle, screen.stream)
    screen.wait_for("running 0/4")
    screen.hang_up()
    display._thread.join(SECONDS)
    assert not display._thread.is_alive()
    display.stop()


def test_rich_is_imported_only_for_a_display():
    code = (
        "import io, sys; from flowtools.pool.progress import Progress;"
        "p = Progress(io.StringIO(), str); p.start(None); p.stop();"
        "print([m for m in sys.modules if m.startswith('rich')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert out == b"[]\n"


def test_the_sample_of_durations_is_bounded_and_representative():
    tally = Tally()
    for number in range(20 * SAMPLE):
        tally.record(attempt(ran=number / 1000))
    assert len(tally._sample) == SAMPLE
    figures = tally.figures()
    assert figures.median == pytest.approx(10, abs=2)
    assert figures.high == pytest.approx(19, abs=1)


def test_events_that_did_not_run_are_not_in_the_sample():
    tally = Tally()
    for outcome in ("invalid", "skipped", "cancelled"):
        tally.record(attempt(outcome))
    assert tally.figures().median is None


def test_the_rate_is_that_of_the_last_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("flowtools.pool.tally.monotonic", lambda: now[0])
    tally = Tally()
    for second in range(60):
        for _ in range(10 if second < 50 else 2):
            tally.record(attempt())
        now[0] += 1
        figures = tally.figures()
    assert figures.rate == pytest.approx(2.0)
    assert figures.seconds == 60
    assert len(tally._marks) < 10


def test_attempts_of_concurrent_threads_are_all_counted():
    tally = Tally()
    threads = [
        threading.Thread(target=lambda: [tally.record(attempt()) for _ in range(1000)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.figures().done == 8000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (0.0000851, "85 µs"),
        (0.0123, "12.3 ms"),
        (3.21, "3.2 s"),
        (245.7, "4:05 min"),
        (3845, "1:04:05 h"),
    ],
)
def test_durations_are_formatted_for_people(seconds, text):
    assert duration(seconds) == text
