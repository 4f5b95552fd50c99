"""Tables on terminals of any width: whole numbers, and the last column always there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import ConsoleDimensions

from flowtools.process.screen import LEAST, Screen, fitted
from flowtools.status.show import HEADS, RIGHT, SPARE

ROW = (
    *("flow-listen-stomp /queue/a-queue-with-a-long-name", "17029", "12m 7s", "123.4/s", "250"),
    *("1m 56s", "2m 6s", "128", "57s ago", "not connected: 'mq:61613': connection refused"),
)


@pytest.fixture
def terminal(monkeypatch):
    """Make a screen on a terminal of this size, without styles."""

    def make(columns, lines=50):
        screen = Screen()
        size = ConsoleDimensions(columns, lines)
        monkeypatch.setattr(type(screen._console), "size", size)
        return screen

    return make


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_a_narrow_table_leaves_out_whole_columns_and_keeps_the_last(terminal, capsys, columns):
    terminal(columns).table(HEADS, [ROW], right=RIGHT, spare=SPARE)
    out = capsys.readouterr().out.splitlines()
    assert all(len(line) <= columns for line in out)
    assert "state" in out[0]
    shown = " ".join(" ".join(out[1:]).split())
    assert "connection" in shown
    # A number that is shown is shown whole.
    for head, cell in zip(HEADS[1:-1], ROW[1:-1], strict=True):
        assert (head in out[0]) == (cell in shown), head
    assert ("pid" in out[0]) == (columns >= 80)


def test_the_text_of_the_last_column_is_cut_to_a_few_lines(terminal, capsys):
    terminal(40).table(("a", "b"), [("x", "word " * 70)], most_lines=3)
    out = capsys.readouterr().out.rstrip("\n").splitlines()
    assert len(out) <= 6
    assert "…" in out[-1]


def test_a_table_whose_last_column_is_empty_shows_the_others_whole(terminal, capsys):
    terminal(40).table(("hour", "number", ""), [("2026-01-01", "8951", "")])
    assert "8951" in capsys.readouterr().out


WORDS = st.lists(st.text("ab ü界", max_size=60), min_size=3, max_size=3)


@given(cells=st.lists(WORDS, max_size=4), width=st.integers(20, 300))
def test_a_table_never_gets_wider_than_the_terminal(cells, width):
    heads = ("first", "number", "last")
    widths, last = fitted(heads, cells, ("number",), width)
    assert sum(widths) + 2 * (sum(map(bool, widths)) - 1) <= width or width < LEAST
    assert (widths[-1], bool(widths[0])) == (last, True)
    assert last > 0


def test_a_page_has_at_most_the_lines_of_the_terminal(terminal, capsys):
    screen = terminal(40, 10)

    def draw():
        for number in range(20):
            screen.line(f"line {number}")

    assert not screen.page(draw, "(end)")
    text = capsys.readouterr().out
    assert "line 7\n… 12 more lines (end)" in text
    assert text.count("\n") == 8
    assert screen.page(lambda: screen.line("all"), "(end)")
    assert capsys.readouterr().out.endswith("all\n(end)")
