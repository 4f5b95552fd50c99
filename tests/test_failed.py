"""flow-failed: why events failed, replayed or dropped without losing any."""

import json
import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtools.core.lines import LineWriter
from flowtools.core.times import instant, parse_duration, parse_moment, short_duration
from flowtools.core.wait import Stop
from flowtools.errors import EventsFailed, FlowError
from flowtools.failed.file import FailedLines, key_of
from flowtools.failed.grouping import MOST_GROUPS, OTHERS, fold, grouped
from flowtools.failed.record import read_record
from flowtools.failed.replay import Replay
from flowtools.failed.selection import Selection
from flowtools.process.vitals import vitals
from tests.conftest import KILLS
from tests.running import SECONDS, until

NOON = 1_700_000_000


def line(number, error="LookupError: asset 1 not found", at=0, **changed):
    event = {
        "specversion": "1.0",
        "id": f"i{number}",
        "source": "s",
        "type": "flow.asset.created",
        "subject": f"a{number}",
        "data": number,
        "flowerror": error,
        "flowattempts": 3,
        "flowfailedat": f"2023-11-14T22:{at:02}:20Z",
    }
    return json.dumps(event | changed) + "\n"


REFUSED = json.dumps({"specversion": "1.0", "flowerror": "not JSON", "flowline": "{"}) + "\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "failed.jsonl"
    path.write_text(
        "".join(line(n, f"LookupError: asset {4710 + n} not found", n) for n in range(5))
        + line(5, "OSError: HTTP 503 from 'http://x/5'", 50, type="flow.file.created")
        + line(6, "OSError: HTTP 404 from 'http://x/6'", 51)
        + REFUSED
    )
    return path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("asset 4711 not found", "asset 4712 not found"),
        ("no field 'a b'", "no field 'c'"),
        ('file "x.mxf" is short', 'file "yy.mxf" is short'),
        ("job 3f2504e0-4f89-41d3-9a0c-0305e82c3301", "job 00000000-0000-0000-0000-000000000000"),
        ("at 2026-01-01T10:00:00Z", "at 2026-01-02T11:00:00.5+01:00"),
        ("after 1.5 s", "after 22 s"),
        ("object deadbeef01 is gone", "object 0badcafe99 is gone"),
        ("HTTP 503 for 12", "HTTP 503 for 13"),
    ],
)
def test_numbers_and_names_of_single_events_do_not_split_a_reason(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HTTP 404", "HTTP 503"),
        ("the server says status 409", "the server says status 412"),
        ("exit code 1", "exit code 2"),
        ("asset not found", "file not found"),
        ("[Errno 2] no", "[Errno 13] no"),
    ],
)
def test_different_statuses_and_words_are_different_reasons(one, other):
    assert fold(one) != fold(other)


@given(st.text())
def test_folding_is_idempotent(text):
    assert fold(fold(text)) == fold(text)


def test_a_group_has_times_attempts_and_the_newest_error():
    lines = [line(1, "no 1", 5, flowattempts=1), line(2, "no 2", 9), line(3, "no 3", 7)]
    (group,) = grouped(read_record(each.encode()) for each in lines)
    assert (group.count, group.pattern, group.example, group.example_id) == (
        3,
        "no N",
        "no 2",
        "i2",
    )
    assert (group.last - group.first, group.least, group.most) == (240, 1, 3)


def test_the_number_of_reasons_is_bounded():
    records = [read_record(line(1, f"error {'x' * n}").encode()) for n in range(MOST_GROUPS + 9)]
    groups = grouped(records)
    assert (len(groups), groups[0].pattern, groups[0].count) == (MOST_GROUPS + 1, OTHERS, 9)


def test_the_table_has_a_row_for_each_reason(run, file):
    status, out, err = run("flow-failed", file)
    rows = out.decode().splitlines()
    assert (status, err, len(rows)) == (0, "", 5)
    assert rows[0].split()[:4] == ["count", "first", "last", "attempts"]
    assert rows[1].split()[0] == "5"
    assert rows[1].rstrip().endswith("LookupError: asset 4714 not found")


def test_the_table_as_json(run, file):
    out = run("flow-failed", "--json", file)[1]
    first = json.loads(out.splitlines()[0])
    assert first == {
        "count": 5,
        "first": "2023-11-14T22:00:20.000Z",
        "last": "2023-11-14T22:04:20.000Z",
        "attempts": [3, 3],
        "error": "LookupError: asset N not found",
        "example": "LookupError: asset 4714 not found",
        "id": "i4",
        "types": {"flow.asset.created": 5},
    }


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--error", "HTTP"], ["i5", "i6"]),
        (["--type", "flow.file.*"], ["i5"]),
        (["--subject", "a[12]"], ["i1", "i2"]),
        (["--since", "2023-11-14T22:50:00Z"], ["i5", "i6"]),
        (["--since", "2023-11-14T22:01:20Z", "--until", "2023-11-14T22:03:20Z"], ["i1", "i2"]),
        (["--since", "1h"], []),
        (["--until", "2023-11-14"], []),
        (["--limit", "2"], ["i0", "i1"]),
        (["--error", "not found", "--limit", "1"], ["i0"]),
    ],
)
def test_options_select_events(run, file, options, ids):
    out = run("flow-failed", file, "--list", "--json", *options)[1]
    assert [json.loads(each)["id"] for each in out.splitlines()] == ids


def test_list_prints_time_event_and_error_of_each_event(run, file):
    out = run("flow-failed", "--list", "--error", "503", file, env={"TZ": "UTC"})[1]
    assert out.decode() == (
        "2023-11-14 22:50  flow.file.created  a5  i5  OSError: HTTP 503 from 'http://x/5'\n"
    )


def test_show_prints_one_whole_event(run, file):
    status, out, _ = run("flow-failed", "--show", "i5", file)
    assert status == 0
    assert out.decode().startswith("error      OSError: HTTP 503 from 'http://x/5'\nattempts   3\n")
    assert '  "data": 5,' in out.decode()


def test_showing_an_unknown_event_is_an_error(run, file):
    assert run("flow-failed", "--show", "nope", file) == (
        1,
        b"",
        "flow-failed: no failed event has this id; --list shows the ids\n",
    )


def test_control_characters_of_an_error_never_reach_the_terminal(run, tmp_path):
    path = tmp_path / "f"
    path.write_text(line(1, "a\x1b[2Jb\u202e", id="\x9b31m"))
    for options in ([], ["--list"], ["--show", "\x9b31m"]):
        out = run("flow-failed", *options, path)[1].decode()
        assert not {"\x1b", "\x9b", "\u202e"} & set(out), options


@pytest.mark.parametrize("content", ["", "\n\n", "\0\0\0\n"])
def test_an_empty_file_has_no_failed_events(run, tmp_path, content):
    (tmp_path / "f").write_text(content)
    assert run("flow-failed", tmp_path / "f")[:2] == (0, b"no failed events\n")


def test_a_line_that_is_not_an_object_is_shown_and_not_replayed(run, tmp_path):
    (tmp_path / "f").write_text('{"specv\n')
    assert b"the line is not a JSON object" in run("flow-failed", tmp_path / "f")[1]
    status, out, err = run("flow-failed", "--replay", tmp_path / "f")
    assert (status, out) == (0, b"")
    assert "cannot replay 1 line of" in err
    out = run("flow-failed", "--list", "--json", tmp_path / "f")[1]
    assert json.loads(out) == {
        "specversion": "1.0",
        "flowerror": "the line is not a JSON object",
        "flowline": '{"specv',
    }


DAMAGED = {
    "type and nothing else": {"type": "t"},
    "type not text": {"type": 5},
    "no specversion": {"id": "1", "source": "s", "type": "t"},
    "empty id": {"specversion": "1.0", "id": "", "source": "s", "type": "t"},
    "two kinds of data": {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": 1}
    | {"data_base64": "AAAA"},
    "bad name": {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "Name": 1},
    "bad time": {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "noon"},
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_event_stays_and_the_others_are_replayed(shell, tmp_path, damaged):
    path = tmp_path / "f"
    path.write_text(line(1) + json.dumps(damaged) + "\n" + line(2))
    status, out, err = shell(f"flow-failed --replay {path} | flow-work tests.workers:Echo")
    assert (status, [json.loads(each)["data"] for each in out.splitlines()]) == (0, [1, 2]), err
    assert [json.loads(each) for each in path.read_text().splitlines()] == [damaged]
    assert f"cannot replay 1 line of '{path}': it is not an event" in err


def test_the_damage_of_an_event_is_shown(run, tmp_path):
    (tmp_path / "f").write_text('{"specversion":"1.0","id":"1","type":"t"}\n')
    out = run("flow-failed", tmp_path / "f", "--list")[1].decode()
    assert out == "-  not an event  -  1  not an event: it has no 'source'\n"
    out = run("flow-failed", tmp_path / "f", "--show", "1")[1].decode()
    assert "\ndamage     it has no 'source'\n" in out


def test_two_events_with_one_id_are_both_shown(run, tmp_path):
    (tmp_path / "f").write_text(line(1, id="x", source="a") + line(2, id="x", source="b"))
    out = run("flow-failed", tmp_path / "f", "--show", "x")[1].decode()
    assert [each.split()[1] for each in out.splitlines() if each.startswith("source")] == ["a", "b"]
    assert "\n}\n\nerror " in out


def test_a_replay_that_waits_for_its_last_events_is_stalled(tmp_path, monkeypatch):
    """Nothing acknowledges them, although the window has room: a filter has dropped them."""
    monkeypatch.setattr("flowtools.ack.receiver.LOOK_EVERY", 0.01)
    monkeypatch.setattr("flowtools.core.reminder.AGAIN_AFTER", (0.0, 3600.0))
    path = tmp_path / "f"
    path.write_text(line(1) + line(2))
    replay = Replay(FailedLines(path), Selection(), prefetch=256, drain=0)
    stop = Stop()
    reader, writer = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(replay.run, LineWriter(writer), stop)
        until(lambda: vitals.snapshot().trouble().startswith("stalled"))
        stop.set()
        with pytest.raises(EventsFailed, match=r"^0 events were rejected and 2 not settled; they"):
            end.result()
    os.close(reader)
    os.close(writer)
    stop.close()


def test_an_unreadable_file_is_a_one_line_error(run, tmp_path):
    assert run("flow-failed", tmp_path / "none") == (
        1,
        b"",
        f"flow-failed: cannot read failed file '{tmp_path}/none': No such file or directory\n",
    )


def test_drop_removes_only_the_selected_events(run, file):
    before = file.read_text().splitlines()
    assert run("flow-failed", "--drop", "--yes", "--error", "HTTP", file)[0] == 0
    assert file.read_text().splitlines() == [*before[:5], before[7]]


def test_drop_without_a_terminal_needs_yes(run, file):
    before = file.read_bytes()
    status, _, err = run("flow-failed", "--drop", file)
    assert (status, file.read_bytes()) == (2, before)
    assert "--drop would remove 8 events: add --yes" in err


def test_rewriting_keeps_a_symbolic_link_and_the_permissions(file, tmp_path):
    file.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(file.name)
    lines = FailedLines(link)
    assert lines.take_out(Counter(key_of(each) for each in lines.records())) == 8
    assert (link.is_symlink(), file.read_bytes(), file.stat().st_mode & 0o777) == (True, b"", 0o640)


def test_of_equal_lines_only_as_many_are_removed_as_were_done(tmp_path):
    path = tmp_path / "f"
    path.write_text(line(1) * 3)
    record = next(FailedLines(path).records())
    assert FailedLines(path).take_out(Counter({key_of(record): 2})) == 2
    assert path.read_text() == line(1)


def test_lines_appended_while_reading_are_not_read(tmp_path):
    path = tmp_path / "f"
    path.write_text(line(1) + line(2))
    seen = 0
    for _ in FailedLines(path).records():
        seen += 1
        with path.open("a") as more:
            more.write(line(3))
    assert seen == 2


def test_a_line_that_another_program_appends_during_a_rewrite_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_text(line(1) + line(2))
    record = next(FailedLines(path).records())
    replace = Path.replace
    with path.open("a") as more:  # As `>> f` of a shell: opened before, written after the copy.

        def late(self, target):
            more.write(line(3))
            more.flush()
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", late)
        assert FailedLines(path).take_out(Counter({key_of(record): 1})) == 1
    assert path.read_text() == line(2) + line(3)


def test_the_old_file_stays_unchanged_if_no_new_one_can_be_made(tmp_path):
    path = tmp_path / ("f" * 250)  # No room for the suffix of the new file's name.
    path.write_text(line(1))
    with pytest.raises(FlowError, match=r"cannot rewrite failed file .*: File name too long"):
        FailedLines(path).take_out(Counter(map(key_of, FailedLines(path).records())))
    assert path.read_text() == line(1)


def test_replayed_events_are_removed_once_they_are_done(shell, file):
    status, out, err = shell(
        f"set -o pipefail; flow-failed --replay --error HTTP {file} | flow-work tests.workers:Echo"
    )
    assert (status, [json.loads(each)["data"] for each in out.splitlines()]) == (0, [5, 6]), err
    assert [json.loads(each).get("id") for each in file.read_text().splitlines()] == [
        *(f"i{n}" for n in range(5)),
        None,
    ]


def test_a_file_that_was_rotated_during_the_replay_is_named(shell, tmp_path):
    """The events are done, and are still in the rotated file: say so."""
    path = tmp_path / "f"
    path.write_text(line(1) + line(2))
    (tmp_path / "rotate.py").write_text(
        "import os\n\n\nclass W:\n    def start(self, event):\n        if event.data == 1:\n"
        f"            os.rename({str(path)!r}, {str(path) + '.1'!r})\n"
        f"            open({str(path)!r}, 'x').close()\n"
    )
    status, _, err = shell(f"flow-failed --replay {path} | flow-work rotate:W -j 1")
    assert (status, path.read_text()) == (0, "")
    assert (tmp_path / "f.1").read_text() == line(1) + line(2)
    assert f"2 events are done and not in '{path}' any more: if the file has been renamed" in err


def test_rejected_events_stay(shell, file):
    before = file.read_text()
    status, _, err = shell(
        f"set -o pipefail; flow-failed --replay {file} --subject 'a*' | flow-ack --nack"
    )
    assert (status, file.read_text()) == (1, before)
    assert "flow-failed: 7 events were rejected and 0 not settled; they stay in" in err


def test_an_event_that_fails_again_is_kept_once_with_its_new_error(shell, file, tmp_path):
    worker = "class W:\n    def start(self, event): raise OSError('new')\n"
    (tmp_path / "again.py").write_text(worker)
    shell(f"flow-failed --replay {file} | flow-work again:W --failed {file}")
    errors = Counter(json.loads(each)["flowerror"][:12] for each in file.read_text().splitlines())
    assert errors == {"OSError: new": 7, "not JSON": 1}


def test_a_closed_reader_ends_the_replay_and_removes_nothing(shell, file):
    before = file.read_text()
    status, out, _ = shell(f"set -o pipefail; flow-failed --replay --prefetch 2 {file} | head -n 1")
    assert (status, out.count(b"\n"), file.read_text()) == (141, 1, before)


def test_a_stop_ends_an_unacknowledged_replay(start, file):
    before = file.read_text()
    process = start("flow-failed", "--replay", "--drain", "0.2", file)
    assert process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert file.read_text() == before


def test_a_replay_killed_at_any_moment_loses_nothing(shell, start, tmp_path):
    """Every event is done or still in the file, and the file has only whole lines."""
    path, done = tmp_path / "f", tmp_path / "done"
    (tmp_path / "notes.py").write_text(
        "class W:\n    def start(self, event):\n"
        f"        with open({str(done)!r}, 'a') as file: file.write(f'{{event.data}}\\n')\n"
    )
    path.write_text("".join(line(n) for n in range(300)))
    done.touch()
    for enough in range(40, 40 * KILLS + 1, 40):
        process = start("flow-failed", "--replay", "--prefetch", "8", path)
        worker = start("flow-work", "notes:W", stdin=process.stdout)
        until(lambda: done.read_text().count("\n") > enough)  # noqa: B023
        process.kill()
        process.wait()
        worker.wait()
    left = {json.loads(each)["data"] for each in path.read_text().splitlines()}
    assert left | {int(each) for each in done.read_text().split()} == set(range(300))


LENGTHS = {"90": 90, "90s": 90, "5m": 300, "1h30m": 5400, "7d": 604800, "250ms": 0.25, "1.5h": 5400}


@pytest.mark.parametrize(("text", "seconds"), LENGTHS.items())
def test_lengths_of_time_are_parsed(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5 m", "m", "-1", "1y", "1e9", "٣", "nan", "5m-"])
def test_a_malformed_length_of_time_is_refused(text):
    with pytest.raises(ValueError, match="is not a length of time"):
        parse_duration(text)


def test_short_duration_formats_lengths_of_time():
    assert [short_duration(each) for each in (0.04, 12.9, 63, 7800, 360000)] == [
        "0.0s",
        "12s",
        "1m 3s",
        "2h 10m",
        "4d 4h",
    ]


def test_moments_are_parsed():
    assert parse_moment("2023-11-14T22:13:20Z") == NOON
    assert parse_moment("2023-11-14") == NOON - 80000
    assert abs(parse_moment("1h") - (time.time() - 3600)) < 60
    assert instant("yesterday") is None
    with pytest.raises(ValueError, match="'soon' is not a moment"):
        parse_moment("soon")
