"""Hot folders with a state file (--state), and files that belong together (--sidecar, --unit)."""

import hashlib
import io
import json
import os
import shutil
import signal
import sqlite3
import time

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from flowtools.errors import ConfigurationError, UsageError
from flowtools.source.folder.mark import Mark
from flowtools.source.folder.rules import Rules
from flowtools.source.folder.sidecars import Template
from flowtools.source.folder.state import State
from flowtools.source.folder.units import sequence_key
from flowtools.source.watch import HotFolder
from tests.running import SECONDS, until
from tests.watching import Watching, changes_of

pytest_plugins = ["tests.watch_fixtures"]

SOON = 15.0


@pytest.fixture
def again(start, folder, tmp_path):
    """Start flow-watch with a state file; `stop` ends it and waits."""

    def begin(*args):
        state = tmp_path / "state"
        return Watching(start("flow-watch", folder, "--settle", 0.2, "--state", state, *args))

    return begin


def stop(watching, signum=signal.SIGTERM):
    watching.process.send_signal(signum)
    watching.process.wait(timeout=SECONDS)
    watching.thread.join(timeout=SECONDS)
    return watching.changes


def write(path, content="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_changes_during_an_absence_are_reported_exactly_once(again, folder, tmp_path):
    for name in ("old", "stays", "changes", "goes"):
        write(folder / name)
    watching = again("-r", "--existing")
    watching.wait_for(*(("created", name) for name in ("old", "stays", "changes", "goes")))
    assert len(stop(watching)) == 4
    write(folder / "changes", "more")
    (folder / "goes").unlink()
    write(folder / "sub" / "new")
    (folder / "old").rename(folder / "renamed")
    (folder / "stays").chmod(0o600)
    watching = again("-r", "--existing")
    wanted = [
        ("modified", "changes"),
        ("deleted", "goes"),
        ("created", "sub/new"),
        ("created", "renamed"),
        ("deleted", "old"),
    ]
    watching.wait_for(*wanted, seconds=SOON)
    time.sleep(1)
    assert sorted(stop(watching)) == sorted(wanted)
    (moved,) = [e for e in watching.events if e["subject"] == "renamed"]
    assert moved["data"]["moved_from"] == "old"
    shutil.rmtree(folder / "sub")
    watching = again("-r")
    watching.wait_for(("deleted", "sub/new"), seconds=SOON)
    assert stop(watching) == [("deleted", "sub/new")]


def test_at_the_first_run_with_a_state_file_existing_files_are_not_reported(again, folder):
    write(folder / "old")
    watching = again()
    number, deadline = 0, time.monotonic() + SECONDS
    while not watching.changes:  # Then it has scanned the files that were there before.
        assert time.monotonic() < deadline
        number += 1
        write(folder / f"marker{number}")
        time.sleep(0.5)
    assert ("created", "old") not in stop(watching)
    write(folder / "new")
    watching = again()
    watching.wait_for(("created", "new"), seconds=SOON)
    assert ("created", "old") not in stop(watching)


def test_flow_watch_killed_at_any_moment_reports_every_file_and_few_twice(again, folder):
    names = {f"f{number}" for number in range(2000)}
    for name in names:
        write(folder / name)
    changes = []
    for _ in range(4):
        watching = again("--existing")
        deadline = time.monotonic() + SECONDS
        before = len(changes)
        while len(watching.changes) < 300 and time.monotonic() < deadline:
            time.sleep(0.005)
        changes += stop(watching, signal.SIGKILL)
        assert len(changes) > before
    watching = again("--existing")
    until(lambda: {name for _, name in changes + watching.changes} == names, "every file")
    changes += stop(watching)
    # Events written and not yet stored: at most a batch per kill.
    assert len(changes) - len(names) <= 4 * 110


def test_files_not_delivered_to_a_closed_reader_are_reported_again(start, folder, tmp_path):
    names = {f"f{number}" for number in range(2000)}
    for name in names:
        write(folder / name)
    args = ("--settle", 0.2, "--existing", "--state", tmp_path / "state")
    process = start("flow-watch", folder, *args)
    line = process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=SECONDS) == -signal.SIGPIPE
    watching = Watching(start("flow-watch", folder, *args))
    # The events in the pipe, and those that the reader had buffered, vanished with the reader.
    lost = (65536 + io.DEFAULT_BUFFER_SIZE) // len(line) + 1
    until(lambda: len(watching.changes) >= len(names) - lost, "the files not delivered")


def test_two_processes_cannot_share_a_state_file(again, run, folder, tmp_path):
    write(folder / "a")
    watching = again("--existing")
    watching.wait_for(("created", "a"))
    status, _, err = run("flow-watch", folder, "--state", tmp_path / "state")
    assert status == 78
    assert err == (
        f"flow-watch: cannot use state file '{tmp_path}/state': another flow-watch has it;"
        " give each its own\n"
    )


def test_a_file_that_is_not_a_state_file_is_refused(run, folder, tmp_path):
    (tmp_path / "text").write_text("hello, this is not a database, and longer than its header\n")
    (tmp_path / "other").mkdir()
    sqlite3.connect(tmp_path / "base").execute("CREATE TABLE file (x)").connection.close()
    for name, word in [
        ("text", "damaged"),
        ("other", "unable to open"),
        ("base", "it is not a state file"),
    ]:
        status, out, err = run("flow-watch", folder, "--state", tmp_path / name, "--existing")
        assert (status, out) == (78, b"")
        assert err.startswith(f"flow-watch: cannot use state file '{tmp_path}/{name}': ")
        assert word in err
        assert err.count("\n") == 1
    state = State(str(tmp_path / "state"), "/one")
    state.begin([])
    state.close()
    with pytest.raises(ConfigurationError, match="it belongs to '/one', not '/two'"):
        State(str(tmp_path / "state"), "/two")


def test_the_state_file_may_be_in_the_watched_folder(start, folder):
    watching = Watching(
        start("flow-watch", folder, "--settle", 0.2, "--state", folder / "state", "--existing")
    )
    write(folder / "a")
    watching.wait_for(("created", "a"))
    time.sleep(1)
    assert stop(watching) == [("created", "a")]


NAMES = st.binary(min_size=1, max_size=20).filter(lambda b: not set(b) & {0, 47}).map(os.fsdecode)
BIG = st.integers(min_value=0, max_value=2**63 - 1)
MARKS = st.builds(
    Mark,
    st.just(0),
    st.integers(min_value=0, max_value=2**64 - 1),
    BIG,
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    BIG,
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
)


@given(st.lists(st.tuples(NAMES, st.none() | MARKS)))
def test_a_state_file_returns_what_was_stored(tmp_path_factory, changes):
    path = str(tmp_path_factory.mktemp("state") / "state")
    expected = {}
    for chance in range(2):
        state = State(path, "/in")
        if state.is_new:
            state.begin([])
        assert dict(state.load()) == expected
        for name, mark in changes[chance::2]:
            state.remember([(name, mark)])
            expected[name] = mark
        expected = {name: mark for name, mark in expected.items() if mark is not None}
        state.save()
        state.close()


def test_a_file_and_its_sidecar_are_one_event_once_both_are_complete(watch, folder):
    watching = watch("--existing", "--match", "*.mxf", "--sidecar", "{stem}.xml")
    write(folder / "late.mxf", "12345")
    write(folder / "early.xml")
    write(folder / "alone.mxf")
    write(folder / "noise.mov")
    time.sleep(1.5)
    assert watching.changes == []
    write(folder / "late.xml", "123")
    write(folder / "early.mxf")
    watching.wait_for(("created", "late.mxf"), ("created", "early.mxf"), seconds=SOON)
    event = next(e for e in watching.events if e["subject"] == "late.mxf")
    assert event["data"]["size"] == 5
    assert [(s["name"], s["size"]) for s in event["data"]["sidecars"]] == [("late.xml", 3)]
    write(folder / "late.xml", "another")
    watching.wait_for(("modified", "late.mxf"), seconds=SOON)
    (folder / "late.xml").unlink()
    (folder / "late.mxf").unlink()
    watching.wait_for(("deleted", "late.mxf"), seconds=SOON)
    assert len(watching.changes) == 4


def test_a_missing_sidecar_is_reported(watch, folder):
    watching = watch("--existing", "--match", "*.mxf", "--sidecar", "{stem}.xml", "--stalled", "1")
    write(folder / "a.mxf")
    watching.wait_for_message(
        "a.mxf' has not changed for 1 s and is not whole: 'a.xml' has not come"
    )


def test_sets_are_remembered_as_sets(again, folder):
    """One file of a set arrives before a restart, the other after it."""
    sets = ("--sidecar", "{name}.done", "--sidecar", "{stem}.xml", "--existing")
    for name in ("a.mxf", "a.xml", "a.mxf.done", "b.mxf", "b.xml"):
        write(folder / name)
    watching = again(*sets)
    watching.wait_for(("created", "a.mxf"), seconds=SOON)
    (folder / "b.mxf").chmod(0o600)
    time.sleep(1)
    assert stop(watching) == [("created", "a.mxf")]
    watching = again(*sets)
    write(folder / "b.mxf.done")
    watching.wait_for(("created", "b.mxf"), seconds=SOON)
    time.sleep(1)
    assert stop(watching) == [("created", "b.mxf")]
    watching = again(*sets)
    time.sleep(1.5)
    assert stop(watching) == []


@pytest.mark.parametrize(
    ("algorithm", "make", "ending"),
    [("md5", hashlib.md5, "md5"), ("xxh64", xxhash.xxh64, "xxh64")],
)
def test_a_checksum_sidecar_is_verified(start, folder, algorithm, make, ending):
    content = b"x" * 3_000_000
    (folder / "good.mxf").write_bytes(content)
    (folder / f"good.mxf.{ending}").write_text(f"{make(content).hexdigest()} *good.mxf\n")
    (folder / "bad.mxf").write_bytes(content + b"y")
    (folder / f"bad.mxf.{ending}").write_text(f"{make(content).hexdigest().upper()}\n")
    (folder / "none.mxf").write_bytes(content)
    (folder / f"none.mxf.{ending}").write_text("soon\n")
    args = ("--settle", 0.2, "--existing", "--verify", algorithm)
    process = start("flow-watch", folder, *args)
    event = json.loads(process.stdout.readline())
    assert event["subject"] == "good.mxf"
    said = sorted(process.stderr.readline().decode() for _ in range(2))
    assert "bad.mxf' is refused: its" in said[0]
    assert f"none.mxf' is refused: 'none.mxf.{ending}' has no {algorithm} checksum" in said[1]
    (folder / "bad.mxf").write_bytes(content)
    assert json.loads(process.stdout.readline())["subject"] == "bad.mxf"


def test_a_folder_unit_is_one_event(watch, folder):
    watching = watch("--existing", "--unit", "folder")
    write(folder / "card" / "CONTENTS" / "CLIP" / "1.xml", "12")
    with (folder / "card" / "big.mxf").open("wb", buffering=0) as file:
        file.write(b"x" * 10)
        time.sleep(1.5)
        write(folder / "card" / "CONTENTS" / "VIDEO" / "1.mxf", "345")
        assert watching.changes == []
    watching.wait_for(("created", "card"), seconds=SOON)
    (event,) = watching.events
    data = event["data"]
    assert (data["path"], data["count"], data["size"]) == (f"{folder}/card", 3, 15)
    assert data["files"] == [
        "card/CONTENTS/CLIP/1.xml",
        "card/CONTENTS/VIDEO/1.mxf",
        "card/big.mxf",
    ]
    write(folder / "card" / "more")
    watching.wait_for(("modified", "card"), seconds=SOON)
    (folder / "card").rename(folder / "other")
    watching.wait_for(("created", "other"), ("deleted", "card"), seconds=SOON)
    assert len(watching.changes) == 4
    assert len({event["id"] for event in watching.events}) == 4


def test_an_image_sequence_is_one_event(watch, folder):
    watching = watch("--existing", "--unit", "sequence", "-r")
    for number in [*range(1, 151), 153, 160]:
        write(folder / "shot" / f"a.{number:04}.dpx", "x" * 10)
    write(folder / "shot" / "notes")
    watching.wait_for(("created", "shot/a.%04d.dpx"), ("created", "shot/notes"), seconds=SOON)
    data = next(e["data"] for e in watching.events if "%" in e["subject"])
    assert (data["first"], data["last"], data["count"], data["size"]) == (1, 160, 152, 1520)
    assert data["missing"] == [[151, 152], [154, 159]]
    assert "files" not in data
    assert len(watching.changes) == 2


def test_units_are_remembered(again, folder):
    write(folder / "card" / "a")
    write(folder / "card" / "b")
    watching = again("--unit", "folder", "--existing")
    watching.wait_for(("created", "card"), seconds=SOON)
    stop(watching)
    watching = again("--unit", "folder", "--existing")
    time.sleep(1.5)
    assert stop(watching) == []
    (folder / "card" / "b").unlink()
    watching = again("--unit", "folder", "--existing")
    watching.wait_for(("modified", "card"), seconds=SOON)
    assert [e["data"]["count"] for e in watching.events] == [1]
    stop(watching)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.0001.dpx", "a.%.dpx"),
        ("s/take2_00017.exr", "s/take2_%.exr"),
        ("0001.png", "%.png"),
        ("clip.mxf", None),
        ("clip.mp4", None),
        ("v2.tar.gz", None),
    ],
)
def test_the_last_number_before_the_suffix_is_the_frame_number(name, key):
    assert sequence_key(name) == key


def test_sidecar_names_are_built_and_recognised():
    stem, name = Template("{stem}.xml"), Template("{name}.md5")
    assert stem.names("d/a.b.mxf") == ["d/a.b.xml"]
    assert name.names("d/a.mxf") == ["d/a.mxf.md5"]
    assert stem.main("d/a.b.xml") == ("d/a.b", True)
    assert name.main("d/a.mxf.md5") == ("d/a.mxf", False)
    assert name.main("d/a.mxf") is None
    assert Template("{stem}.xml", ignore_case=True).main("A.XML") == ("A", True)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"sidecar": ["a.xml"]}, "is not the name of a sidecar"),
        ({"sidecar": ["{stem}{name}.xml"]}, "is not the name of a sidecar"),
        ({"sidecar": ["{stem}.xml"], "verify": "md5"}, "needs a --sidecar that ends with .md5"),
        ({"sidecar": ["{stem}.xml"], "unit": "folder"}, "--unit cannot be combined with"),
    ],
)
def test_meaningless_options_are_a_usage_error(rules, message):
    with pytest.raises(UsageError, match=message):
        HotFolder("/", Rules(**rules))


def test_kinds_that_are_not_reported_are_still_remembered(again, folder):
    watching = again("--existing", "--include", "created")
    write(folder / "a")
    watching.wait_for(("created", "a"))
    write(folder / "a", "more")
    write(folder / "b")
    watching.wait_for(("created", "b"))
    time.sleep(1)
    stop(watching)
    watching = again("--existing")
    time.sleep(1.5)
    assert stop(watching) == []
    assert changes_of(watching.all) == []
