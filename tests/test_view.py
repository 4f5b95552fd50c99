"""flow-view: aligned text, coloured lines, the live table on a real terminal, and --tee."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from io import StringIO
from subprocess import PIPE

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from flowtools.core.substitutes import drawn_in, suiting
from flowtools.errors import UsageError
from flowtools.view.columns import (
    NO_EVENT,
    TABLE_DEFAULT,
    Columns,
    age,
    clock_text,
    end_of,
    with_room,
)
from flowtools.view.history import History
from flowtools.view.keys import Keys
from flowtools.view.rates import MAX_TYPES, OTHERS, SPAN, Rates, sparkline
from flowtools.view.screen import Screen, State
from tests.running import SECONDS
from tests.terminals import Terminal

HOSTILE = "a\x1b[2J\x07\x9b1m\r\n\u202e\u2066\u2028z"
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
SHOWN = r"a\x1b[2J\x07\x9b1m\r\n\u202e\u2066\u2028z"


def event(number=1, kind="flow.asset.updated", **more):
    given = {
        "specversion": "1.0",
        "id": f"id-{number}",
        "source": "https://one.example",
        "type": kind,
        "subject": f"asset:{number}",
        "time": "2026-11-24T04:58:24.300Z",
        "data": {"title": f"Title {number}", "size": number},
    }
    return json.dumps(given | more).encode() + b"\n"


def row(line, fields="time,type,subject,title"):
    return Columns.parse(fields).row(line.rstrip(b"\n"))


@pytest.fixture
def terminal():
    opened = []

    def open_terminal(command, **options):
        opened.append(Terminal(command, **options))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


# Rows


def test_the_cells_are_the_chosen_fields():
    fields = "id,/size,title,age,/none,flowerror"
    assert row(event(7), fields).cells == ("id-7", "7", "Title 7", "", "", "")


@pytest.mark.parametrize(
    ("data", "title"),
    [
        ({"title": "t", "name": "n"}, "t"),
        ({"title": None, "name": "n"}, "n"),
        ({"title": None, "x": 1}, '{"title":null,"x":1}'),
        ({"title": ""}, '{"title":""}'),
        ({"title": 5}, "5"),
        ({"title": "", "path": "/a"}, "/a"),
        ({"title": False}, "false"),
        ("", '""'),
        ({"body": "<xml/>"}, "<xml/>"),
        ({"x": [1, 2]}, '{"x":[1,2]}'),
        ("text", "text"),
        (3, "3"),
        (None, "null"),
    ],
)
def test_the_title_is_chosen_from_the_data(data, title):
    assert row(event(data=data), "title").cells == (title,)


@pytest.mark.parametrize("line", [b"nonsense", b'{"specversion":"1.0"}', b"\xff\xfe", b"[" * 2000])
def test_an_invalid_line_is_a_row_that_says_so(line):
    found = row(line)
    assert found.type == NO_EVENT
    assert found.cells[1] == NO_EVENT
    assert found.cells[2]


def test_an_invalid_line_says_so_with_any_fields():
    assert row(b"nonsense", "/x").cells[0].startswith("not an event: not JSON")


def test_any_other_json_value_is_an_event():
    assert row(b"[1]").cells[1:] == ("flow.stdin.line", "", "[1]")


ATTEMPT = {
    "id": "i7",
    "source": "s",
    "subject": "asset:7",
    "type": "flow.asset.created",
    "outcome": "failed",
    "attempt": 2,
    "final": True,
    "queued": 0.1,
    "ran": 0.2,
    "finished": "2026-11-28T08:00:00.000Z",
    "worker": "m:T",
    "error": "no such asset",
}


@pytest.mark.parametrize("without", ["", "worker", "source"])
def test_a_line_of_a_job_log_is_a_row_at_its_own_time(without):
    fields = {name: value for name, value in ATTEMPT.items() if name != without}
    found = row(json.dumps(fields).encode())
    assert found.cells == (
        "2026-11-28T08:00:00.000Z",
        "flow.asset.created",
        "asset:7",
        "failed, attempt 2: no such asset",
    )
    assert found.instant == 1795852800.0


def test_a_failed_event_is_a_row_at_the_time_of_its_failure():
    found = row(event(flowerror="boom", flowattempts=1, flowfailedat="2026-11-25T00:00:00Z"))
    assert found.cells[0] == "2026-11-25T00:00:00Z"
    assert found.instant == 1795564800.0


def test_characters_missing_in_the_encoding_are_escaped():
    columns = Columns.parse("title")
    columns.suits = suiting("latin-1")
    assert columns.row(event(data="é ☃").strip()).cells == ("é \\u2603",)


@pytest.mark.parametrize("fields", ["type,subject,title", "id"])
def test_characters_missing_in_the_encoding_are_escaped_in_a_reason_too(run, fields):
    line = event(**{"☃": "snow"})
    env = {"PYTHONIOENCODING": "latin-1"}
    status, out, err = run("flow-view", "--fields", fields, input=line, env=env, real=True)
    assert (status, err) == (1, "flow-view: 1 of 1 line was not an event\n")
    assert b"'\\u2603' is not a CloudEvents attribute name" in out
    assert suiting("UTF-8")("☃") == "☃"
    assert "▁█…".translate(drawn_in("latin-1")) == "_#~"
    assert drawn_in("utf-8") == {}


@pytest.mark.parametrize(
    ("width", "kept"),
    [
        (80, "time type subject title age"),
        (47, "time type subject title"),
        (30, "type subject title"),
        (20, "subject title"),
        (12, "title"),
        (1, "title"),
    ],
)
def test_columns_without_room_are_left_out(width, kept):
    names = ["time", "type", "subject", "title", "age"]
    places = with_room(names, [8, 18, 26, 30, 8], width)
    assert [names[place] for place in places] == kept.split()


def test_chosen_columns_are_left_out_from_the_back_except_the_last():
    assert with_room(["/a", "/b", "/c"], [20, 20, 20], 20) == [0, 2]


@given(st.binary(max_size=300))
def test_any_line_is_one_safe_row(raw):
    cells = row(raw.replace(b"\n", b"")).cells
    assert not UNSAFE.search("".join(cells))


JSON = st.recursive(
    st.none() | st.text() | st.integers(-99, 99),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=9,
)


@given(st.text(max_size=300), JSON)
def test_any_event_is_one_safe_row(text, data):
    kept = text.encode("utf-8", "replace").decode() or "x"
    line = event(id=kept, type=kept, subject=kept, time=kept, data=data)
    cells = row(line, "time,type,subject,title,id,/a,data").cells
    assert not UNSAFE.search("".join(cells))


@pytest.mark.parametrize("text", ["", "Type", "a b", "/~2", "time,,type"])
def test_a_malformed_field_is_refused(text):
    with pytest.raises(UsageError, match="is not a field"):
        Columns.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "now"), (-0.4, "now"), (12.9, "12s"), (300, "5m"), (-5, "-5s"), (7300, "2h"),
     (8 * 86400, "8d")],
)  # fmt: skip
def test_an_age_is_shown_in_one_unit(seconds, text):
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("then", "text"),
    [("2026-11-28T20:22:05", "20:22:05"), ("2026-11-27T20:22:05", "11-27 20:22:05"),
     ("2025-12-31T20:22:05", "2025-12-31 20:22:05"), ("2026-11-29T01:00:00", "11-29 01:00:00")],
)  # fmt: skip
def test_a_local_time_has_only_the_parts_of_the_date_that_are_needed(then, text):
    now = datetime.fromisoformat("2026-11-28T23:00:00").timestamp()
    assert clock_text(datetime.fromisoformat(then).timestamp(), now) == text


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_table_keeps_the_time_of_another_day_whole(width):
    then = datetime.fromisoformat("2026-11-24T20:22:05")
    columns = Columns.parse(TABLE_DEFAULT)
    line = event(
        1,
        "flow.asset.metadata.updated.by.somebody",
        subject="asset:" + "0123456789" * 6,
        time=then.astimezone(UTC).isoformat(),
        data={"title": "A long title of an asset " * 6},
    )
    history = History("", kept=10)
    history.add(columns.row(line))
    now = then.timestamp() + 4 * 86400
    drawn = StringIO()
    screen = Screen(State(columns.names, history, Rates(0.0), now, spare="age"))
    Console(file=drawn, width=width, height=12).print(screen)
    assert [line[:16] for line in drawn.getvalue().splitlines() if line.startswith("11-")] == [
        "11-24 20:22:05  "
    ]


# Rates and history


def test_rates_cover_the_last_five_whole_seconds():
    rates = Rates(100.0)
    rates.count(Counter({"a": 1000}), 100.5)
    for second in range(1, 11):
        rates.count(Counter({"a": 10, "b": 1}), 100.0 + second)
    ((kind, track), _) = rates.most(2)
    assert (kind, track.total, track.rate(10.0)) == ("a", 1100, 10.0)
    rates.advance(100.0 + 10 * SPAN)
    assert sum(track.seconds) == 0
    assert track.rate(1200.0) == 0


def test_types_beyond_a_limit_are_counted_together():
    rates = Rates(0.0)
    for number in range(MAX_TYPES + 7):
        rates.count(Counter({f"t{number:03d}": 1}), 0.0)
    assert rates.most(1) == [(OTHERS, rates.most(1)[0][1])]
    assert (rates.most(1)[0][1].total, rates.all.total) == (7, MAX_TYPES + 7)


@pytest.mark.parametrize(
    ("values", "width", "bars"),
    [
        ([0, 1, 4, 8], 4, " ▁▄█"),
        ([0, 0], 2, "  "),
        ([1, 1, 1, 3], 2, "▄█"),
        ([8, 1, 1], 2, "█▂"),
        ([1], 0, ""),
        ([], 5, ""),
        ([1000, 1], 9, "█▁"),
    ],
)
def test_a_sparkline_has_a_bar_for_each_value_or_group(values, width, bars):
    assert sparkline(values, width) == bars


def test_search_results_are_kept_while_other_events_arrive():
    history = History("needle", kept=10)
    history.add(row(event(1, subject="a Needle")))
    for number in range(50):
        history.add(row(event(number)))
    assert [each.cells[2] for each in history.last(5)] == ["a Needle"]
    history.look_for("needle x")
    assert history.last(5) == []
    history.look_for("")
    assert [each.cells[2] for each in history.last(2, skip=1)] == ["asset:47", "asset:48"]


# Text


def test_without_a_terminal_the_output_is_aligned_plain_text(run):
    lines = event(1) + event(22, "flow.x", subject="b") + b"{"
    status, out, err = run("flow-view", input=lines)
    assert out.decode().splitlines()[:2] == [
        "2026-11-24T04:58:24.300Z  flow.asset.updated    asset:1" + " " * 36 + "Title 1",
        "2026-11-24T04:58:24.300Z  flow.x                b" + " " * 42 + "Title 22",
    ]
    assert out.decode().splitlines()[2].split(None, 3)[:3] == ["not", "an", "event"]
    assert (status, err) == (1, "flow-view: 1 of 3 lines were not events\n")


def test_a_line_is_shown_before_the_next_one_is_read(start):
    process = start("flow-view", "--fields", "subject", stdin=PIPE)
    for number in range(3):
        process.stdin.write(event(number))
        process.stdin.flush()
        assert process.stdout.readline() == f"asset:{number}\n".encode()


def test_search_shows_only_lines_with_the_text(run):
    lines = b"".join(event(number) for number in range(30))
    _, out, _ = run("flow-view", "--search", "TITLE 2", "--fields", "/size,title", input=lines)
    assert [line.split()[0] for line in out.decode().splitlines()] == [
        "2",
        *map(str, range(20, 30)),
    ]


def test_colours_are_used_on_terminals_or_on_request(run):
    _, out, _ = run("flow-view", "--fields", "type", input=event())
    assert out == b"flow.asset.updated\n"
    _, out, _ = run("flow-view", "--fields", "type", "--color", "always", input=event())
    assert out == b"\x1b[33mflow.asset.updated\x1b[0m\n"


def test_control_characters_are_escaped(run):
    hostile = {"subject": HOSTILE, "type": HOSTILE, "id": HOSTILE, "data": {"title": HOSTILE}}
    _, out, err = run("flow-view", "--fields", "id,type,subject,title", input=event(**hostile))
    assert out.decode().split() == [SHOWN] * 4
    assert err == ""


def test_a_closed_reader_ends_the_command_quietly(shell):
    line = "yes '[1]' | flow-view | head -n 1; echo ${PIPESTATUS[1]}"
    status, out, err = shell(line)
    assert (status, out.splitlines()[1:], err) == (0, [b"141"], "")


def test_events_that_need_an_acknowledgement_are_warned_about_once(run):
    status, _, err = run("flow-view", input=event(ackto="unix:/x#1.1") * 3)
    assert status == 0
    assert err.count("the source waits for acknowledgements") == 1
    assert "flow-view --tee | flow-ack" in err


def test_an_unknown_field_is_warned_of_and_still_shown(run):
    text = event(1) + event(2, bogus="mine")
    status, out, err = run("flow-view", "--fields", "id,bogus", input=text)
    assert (status, out.split()) == (0, [b"id-1", b"id-2", b"mine"])
    assert err.startswith("flow-view: warning: no event of flowtools has 'bogus'; the fields are ")
    assert run("flow-view", "--fields", "id,flowerror,/size", input=text)[2] == ""


def test_characters_missing_in_the_locale_are_escaped(run):
    text = event(data={"title": "é ☃"})
    env = {"PYTHONIOENCODING": "latin-1"}
    status, out, err = run("flow-view", "--fields", "title", input=text, env=env, real=True)
    assert (status, out, err) == (0, "é \\u2603\n".encode("latin-1"), "")


def test_a_table_in_a_limited_locale_shows_any_column_name_and_search(terminal, tmp_path):
    (tmp_path / "in").write_bytes(event(1))
    options = "--hold --fields '/☃,title' --search t"
    shown = terminal(f"flow-view {options} <in", cwd=tmp_path, PYTHONIOENCODING="latin-1")
    shown.wait_for("Title 1")
    assert "/?" in shown.text
    shown.press("/")
    shown.press("☃")
    shown.wait_for("/t?")
    shown.press("\x1b")
    shown.press("q")
    assert shown.end() == 0


def test_a_table_in_a_limited_locale_uses_available_characters(terminal, tmp_path):
    lines = [event(n, data={"title": "☃" * 80}) for n in range(3)]
    (tmp_path / "in").write_bytes(b"".join(lines))
    shown = terminal("flow-view --hold <in", cwd=tmp_path, columns=60, PYTHONIOENCODING="latin-1")
    shown.wait_for("\\u2603")
    assert "…" not in shown.text
    assert "~" in shown.text
    shown.press("q")
    assert shown.end() == 0


@pytest.mark.parametrize("columns", [120, 60, 40, 20])
def test_a_long_type_is_shortened_at_its_beginning(terminal, tmp_path, columns):
    kind = "com.example.broadcast.playout.very.long.type.name.created.indeed"
    (tmp_path / "in").write_bytes(event(1, kind) * 7)
    shown = terminal("flow-view --hold <in", cwd=tmp_path, columns=columns)
    shown.wait_for(lambda: re.search(r"^  ….*indeed +7( |$)", shown.text, re.MULTILINE))
    shown.press("q")
    assert shown.end() == 0


@pytest.mark.parametrize("options", ["", "--follow"])
def test_a_terminal_of_20_cells_leaves_columns_out(terminal, tmp_path, options):
    (tmp_path / "in").write_bytes(event(1))
    shown = terminal(f"flow-view {options} --hold <in; sleep 5", cwd=tmp_path, columns=20)
    shown.wait_for("Title 1")
    assert "asset:1" in shown.text
    assert "04:58" not in shown.text


def test_a_line_with_wide_characters_does_not_run_over_the_edge(terminal, tmp_path):
    (tmp_path / "in").write_bytes(event(1, subject="news/" + "日本語" * 8 + ".mxf"))
    shown = terminal("flow-view --follow <in; sleep 5", cwd=tmp_path, columns=30)
    shown.wait_for("Title")
    (line,) = [each for each in shown.text.splitlines() if ".mxf" in each]
    assert "Title" in line


@pytest.mark.parametrize("text", ["a" * 40, "日本語" * 10, "a日" * 15, "e\u0301" * 30])
def test_the_end_of_a_text_fits_into_every_width(text):
    for width in range(1, 70):
        kept = end_of(text, width)
        assert cell_len(kept) <= width
        assert text.endswith(kept.removeprefix("…"))
        assert (kept == text) == (cell_len(text) <= width)


def test_an_unknown_field_is_a_usage_error(run):
    status, out, err = run("flow-view", "--fields", "time,Size")
    assert (status, out) == (2, b"")
    assert "'Size' is not a field" in err


# --tee


def test_tee_forwards_every_byte_and_shows_on_stderr(run):
    lines = event(1) + b"{nonsense\r\n\n\xff" + event(2) + b"x" * 100000 + b"\nno end"
    status, out, err = run("flow-view", "--tee", "--fields", "type,subject", input=lines)
    assert out == lines
    assert status == 1
    assert "flow.asset.updated    asset:1\n" in err


def test_tee_loses_nothing_when_it_is_stopped(start):
    process = start("flow-view", "--tee", stdin=PIPE, stderr=subprocess.DEVNULL)
    sent = b"".join(event(number) for number in range(2000))
    process.stdin.write(sent[:30000])
    process.stdin.flush()
    first = process.stdout.read(10)
    process.send_signal(signal.SIGTERM)
    rest = process.stdout.read()
    assert process.wait(timeout=SECONDS) == -signal.SIGTERM
    assert sent.startswith(first + rest)
    # Whole blocks: the remaining data is still in the pipe, unread.
    assert len(first + rest) == 30000


def test_tee_with_a_closed_reader_ends_by_sigpipe_even_while_waiting(start):
    process = start("flow-view", "--tee", stdin=PIPE, stderr=subprocess.DEVNULL)
    process.stdin.write(event())
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=SECONDS) == -signal.SIGPIPE


def test_tee_forwards_the_duty_to_acknowledge(run):
    _, out, err = run(
        "flow-view", "--tee", "-q", "--search", "zzz", input=event(ackto="unix:/x#1.1")
    )
    assert (json.loads(out)["ackto"], err) == ("unix:/x#1.1", "")


# The table


def test_a_terminal_shows_a_live_table_with_rates(terminal, tmp_path):
    (tmp_path / "events").write_bytes(b"".join(event(n) for n in range(40)) + event(99, "flow.x"))
    screen = terminal("{ cat events; sleep 100; } | flow-view", cwd=tmp_path)
    screen.wait_for("Title 99")
    screen.wait_for(lambda: screen.lines[0].startswith("41 events "))
    assert re.fullmatch(r"  flow.asset.updated +40 +[0-9.]+/s +[▁-█ ]* 2 min", screen.lines[1])
    assert screen.lines[2].startswith("  flow.x ")
    assert screen.lines[3].split() == ["TIME", "TYPE", "SUBJECT", "TITLE", "AGE"]
    assert screen.lines[-1].startswith("/ search")
    assert re.search(r" flow\.x +asset:99 +Title 99 +[0-9]+[smhd]$", screen.lines[-2].rstrip())
    screen.resize(79, 24)
    screen.wait_for(lambda: screen.lines[3].split() == ["TIME", "TYPE", "SUBJECT", "TITLE"])


def test_a_narrow_table_keeps_an_explicit_age_column(terminal, tmp_path):
    (tmp_path / "events").write_bytes(event())
    screen = terminal("flow-view --hold --fields age,title < events", cwd=tmp_path, columns=40)
    screen.wait_for(lambda: any(line.split() == ["AGE", "TITLE"] for line in screen.lines))


def test_keys_work_for_search_pause_and_quit(terminal, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    screen = terminal("flow-view < fifo", cwd=tmp_path)
    with fifo.open("wb", buffering=0) as pipe:
        pipe.write(b"".join(event(n) for n in range(10)))
        screen.wait_for("Title 9")
        screen.press("/title 7")
        screen.wait_for("only with 'title 7'")
        screen.wait_for(lambda: "Title 8" not in screen.text)
        assert "Title 7" in screen.text
        screen.press("\x1b")
        screen.wait_for("Title 8")
        screen.press(" ")
        screen.wait_for("paused, 0 more")
        pipe.write(event(55))
        screen.wait_for("paused, 1 more")
        assert "Title 55" not in screen.text
        screen.press(" ")
        screen.wait_for("Title 55")
        screen.press("c")
        screen.wait_for(lambda: "Title" not in screen.text)
        assert "11 events" in screen.text
        screen.press("q")
        assert screen.end() == 0


def test_the_terminal_is_restored_with_a_final_picture(terminal, tmp_path):
    screen = terminal("stty -g > before; flow-interval 9 | flow-view; stty -g > after; echo ok $?",
                      cwd=tmp_path)  # fmt: skip
    screen.wait_for("flow.interval.tick")
    assert b"\x1b[?1049h" in screen.seen
    screen.press("q")
    screen.wait_for("ok")
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()
    assert "1 events" in screen.text
    assert screen.seen.count(b"\x1b[?1049l") == 1
    assert screen.seen.endswith(b"ok 0\r\n")


@pytest.mark.parametrize(("columns", "rows"), [(100, 24), (40, 10), (20, 4), (7, 2)])
def test_the_display_fits_any_screen_size(terminal, tmp_path, columns, rows):
    names = {"subject": HOSTILE * 9, "data": {"title": "日本語 [bold]" * 40}}
    (tmp_path / "events").write_bytes(event(**names) * 50 + b"\x1b[2Jnot json\n")
    screen = terminal("flow-view --hold < events", cwd=tmp_path, columns=columns, rows=rows)
    screen.wait_for(lambda: screen.lines[0].startswith("51 even"[: columns - 1]))
    assert b"\x1b[2J" not in screen.seen.replace(b"\x1b[2J\x1b[H", b"")
    screen.resize(30, 8)
    screen.wait_for(lambda: screen.lines[0].startswith("51 events"))
    screen.press("q")
    assert screen.end() == 1


def test_with_tee_the_table_is_on_stderr_and_lines_continue_after_quitting(terminal, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    screen = terminal("flow-view --tee < fifo > passed; echo status $?", cwd=tmp_path)
    with fifo.open("wb", buffering=0) as pipe:
        pipe.write(event(1))
        screen.wait_for("Title 1")
        screen.press("q")
        screen.wait_for(lambda: b"\x1b[?1049l" in screen.seen)
        pipe.write(event(2) + b"x")
    screen.wait_for("status 1")
    assert (tmp_path / "passed").read_bytes() == event(1) + event(2) + b"x"


def test_sigusr1_during_a_table_is_answered_below_it(terminal, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    screen = terminal("echo $$; exec flow-view --tee < fifo > passed", cwd=tmp_path)
    screen.wait_for(lambda: screen.lines[0].isdigit())
    pid = int(screen.lines[0])
    with fifo.open("wb", buffering=0) as pipe:
        pipe.write(event(1))
        screen.wait_for("Title 1")
        os.kill(pid, signal.SIGUSR1)
        screen.wait_for("state: events_in 1; ")
        assert screen.lines[-1].startswith("flow-view: state: ")
        assert "thread '" not in screen.text
        screen.press("q")
        screen.wait_for("thread 'MainThread'")
        # Without a table, messages go straight to the terminal.
        told = screen.seen.count(b"state: ")
        os.kill(pid, signal.SIGUSR1)
        screen.wait_for(lambda: screen.seen.count(b"state: ") > told)
        pipe.write(event(2))
    assert screen.end() == 0
    assert (tmp_path / "passed").read_bytes() == event(1) + event(2)


def test_a_closed_terminal_does_not_stop_forwarded_lines(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    screen = Terminal("trap '' HUP; exec flow-view --tee < fifo > passed", cwd=tmp_path)
    with fifo.open("wb", buffering=0) as pipe:
        pipe.write(event(1))
        screen.wait_for("Title 1")
        os.close(screen.master)
        for number in range(2, 50):
            pipe.write(event(number))
    assert screen.process.wait(timeout=SECONDS) == 0
    assert (tmp_path / "passed").read_bytes() == b"".join(event(n) for n in range(1, 50))


@pytest.mark.parametrize("kind", ["dumb", ""])
def test_a_dumb_terminal_gets_plain_lines(terminal, tmp_path, kind):
    screen = terminal("printf '[1]\\n' | flow-view --fields type,title", cwd=tmp_path, TERM=kind)
    assert screen.end() == 0
    assert b"\x1b" not in screen.seen.replace(b"\x1b[36m", b"").replace(b"\x1b[0m", b"")
    assert b"flow.stdin.line" in screen.seen


def test_follow_colours_lines_and_cuts_them_at_the_edge(terminal, tmp_path):
    (tmp_path / "events").write_bytes(event(data={"title": "x" * 300}))
    screen = terminal("flow-view --follow < events", cwd=tmp_path, columns=70)
    assert screen.end() == 0
    assert b"\x1b[33mflow.asset.updated\x1b[0m" in screen.seen
    assert len(screen.lines[0]) == 70
    assert screen.lines[0].endswith("…")
    assert screen.lines[1] == ""


def test_no_color_is_respected(terminal, tmp_path):
    (tmp_path / "events").write_bytes(event())
    screen = terminal("flow-view --follow < events; flow-view < events", cwd=tmp_path, NO_COLOR="1")
    assert screen.end() == 0
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", screen.seen)


def test_a_background_process_does_not_read_keys():
    code = "from flowtools.view.keys import Keys; Keys()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          start_new_session=True)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("OSError")


def test_keys_that_arrive_in_pieces_are_read_whole():
    reader, writer = os.pipe()
    keys = Keys.__new__(Keys)  # A pipe is not a terminal, but sufficient for reading.
    keys._fd, keys._half = reader, b""
    pressed = "æ\x1b[A\x1b[5~q\r\x1b".encode()
    try:
        os.write(writer, pressed[:1])
        assert list(keys.read()) == []
        os.write(writer, pressed[1:])
        assert list(keys.read()) == ["æ", "up", "page-up", "q", "enter", "escape"]
    finally:
        os.close(writer)
    with pytest.raises(OSError, match="has gone"):
        list(keys.read())
    os.close(reader)
