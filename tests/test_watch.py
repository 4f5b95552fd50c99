"""flow-watch: real files in real folders arrive, change, move and vanish."""

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from urllib.parse import unquote_to_bytes

import pytest

from flowtools.errors import UsageError
from flowtools.source.folder.rules import Rules
from flowtools.source.folder.wanted import Wanted
from flowtools.source.folder.watcher import Watcher
from flowtools.source.watch import HotFolder
from tests.conftest import BIN, KILLS, environment
from tests.running import SECONDS
from tests.watching import changes_of

pytest_plugins = ["tests.watch_fixtures"]

SETTLE = ("--settle", "0.3")


def test_a_file_that_arrives_is_an_event(watch, folder):
    watching = watch()
    (folder / "a b.mxf").write_bytes(b"12345")
    watching.wait_for(("created", "a b.mxf"))
    (event,) = watching.events
    assert event["type"] == "flow.path.created"
    assert event["source"] == f"file://{folder}"
    assert event["data"] == {
        "path": f"{folder}/a b.mxf",
        "name": "a b.mxf",
        "size": 5,
        "updated": event["data"]["updated"],
        "url": f"file://{folder}/a%20b.mxf",
        "moved_from": None,
    }
    assert event["data"]["updated"] <= event["time"]


def test_a_growing_file_is_reported_once_and_complete(watch, folder):
    watching = watch(settle=1)
    with (folder / "big").open("wb", buffering=0) as file:
        for _ in range(15):
            file.write(b"x" * 1000)
            time.sleep(0.1)
        assert watching.changes == []
    watching.wait_for(("created", "big"))
    assert [e["data"]["size"] for e in watching.events] == [15000]


def test_a_change_and_a_deletion_are_reported(watch, folder):
    watching = watch()
    (folder / "a").write_text("1")
    watching.wait_for(("created", "a"))
    (folder / "a").write_text("22")
    watching.wait_for(("modified", "a"))
    (folder / "a").unlink()
    watching.wait_for(("deleted", "a"))
    assert [e["data"]["size"] for e in watching.events] == [1, 2, 2]
    assert len({e["id"] for e in watching.events}) == 3


def test_a_replaced_file_is_reported_as_modified_and_never_as_deleted(watch, folder, tmp_path):
    watching = watch()
    (folder / "a").write_text("1")
    watching.wait_for(("created", "a"))
    (tmp_path / "other").write_text("2")
    (folder / "a").unlink()
    (tmp_path / "other").rename(folder / "a")
    watching.wait_for(("modified", "a"))
    assert watching.changes == [("created", "a"), ("modified", "a")]


def test_a_renamed_file_has_its_old_name(watch, folder):
    watching = watch()
    (folder / "a").write_text("1")
    watching.wait_for(("created", "a"))
    (folder / "a").rename(folder / "b")
    watching.wait_for(("created", "b"), ("deleted", "a"))
    (moved,) = [e for e in watching.events if e["subject"] == "b"]
    assert moved["data"]["moved_from"] == "a"


def test_a_file_that_vanishes_before_it_is_complete_is_never_reported(watch, folder):
    watching = watch(settle=1)
    (folder / "short").write_text("x")
    time.sleep(0.1)
    (folder / "short").unlink()
    (folder / "long").write_text("x")
    watching.wait_for(("created", "long"))
    assert watching.changes == [("created", "long")]


def test_existing_files_are_reported_only_with_existing(watch, folder):
    (folder / "old").write_text("x")
    assert watch().changes == []
    watching = watch("--existing")
    watching.wait_for(("created", "old"))


def test_an_existing_file_has_the_same_id_at_each_start(run, folder):
    (folder / "a").write_text("x")
    ids = set()
    for _ in range(2):
        status, out, _ = run("flow-watch", folder, "--existing", "--count", "1", *SETTLE)
        assert status == 0
        ids.add(json.loads(out)["id"])
    assert len(ids) == 1


def test_sub_folders_are_watched_only_with_recursive(watch, folder, tmp_path):
    flat, deep = watch(), watch("-r")
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "sub" / "deep" / "x").write_text("x")
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "y").write_text("y")
    whole.rename(folder / "moved")
    (folder / "z").write_text("z")
    deep.wait_for(("created", "sub/deep/x"), ("created", "moved/y"), ("created", "z"))
    flat.wait_for(("created", "z"))
    shutil.rmtree(folder / "moved")
    deep.wait_for(("deleted", "moved/y"))
    assert flat.changes == [("created", "z")]


@pytest.mark.parametrize(
    ("name", "match", "ignore", "wanted"),
    [
        ("a.mxf", (), (), True),
        (".a.mxf.Xy12", (), (), False),
        (".a.mxf", ("*.mxf",), (), False),
        (".a.mxf", (".*",), (), True),
        ("a.mxf", ("*.mxf", "*.mov"), (), True),
        ("a.MXF", ("*.mxf",), (), False),
        ("a.mxf.part", (), ("*.part", "*.tmp"), False),
        ("sub/a.mxf", ("*.mxf",), (), True),
        ("sub/a.mxf", ("other/*",), (), False),
        ("sub/a.mxf", ("s*/*.mxf",), (), True),
        ("sub/a.mxf", (), ("sub/*",), False),
    ],
)
def test_patterns_are_those_of_a_shell(name, match, ignore, wanted):
    assert (name in Wanted(match, ignore)) is wanted


def test_match_and_ignore_select_files(watch, folder):
    watching = watch("--match", "*.mxf", "--match", "done", "--ignore", "x*", "--existing")
    for name in ("a.mxf", "x.mxf", "b.mov", ".c.mxf", "done"):
        (folder / name).write_text("x")
    watching.wait_for(("created", "a.mxf"), ("created", "done"))
    assert len(watching.changes) == 2


def test_include_and_exclude_select_kinds(watch, folder):
    watching = watch("--include", "deleted", "--include", "created", "--exclude", "created")
    (folder / "b").write_text("x")
    until = time.monotonic() + SECONDS
    while not watching.changes and time.monotonic() < until:  # It may not watch yet.
        (folder / "a").write_text("x")
        time.sleep(1.0)
        (folder / "a").unlink()
        time.sleep(0.5)
    assert set(watching.changes) == {("deleted", "a")}
    with pytest.raises(UsageError, match="leave no changes"):
        HotFolder("/", include=["created"], exclude=["created"])


def test_an_empty_file_is_reported_unless_skip_empty(watch, folder):
    plain, skipping = watch(), watch("--skip-empty")
    (folder / "empty").touch()
    plain.wait_for(("created", "empty"))
    (folder / "empty").write_text("x")
    skipping.wait_for(("created", "empty"))
    assert [e["data"]["size"] for e in skipping.events] == [1]


def test_the_folder_may_vanish_and_return(watch, folder, tmp_path):
    watching = watch()
    for name in ("stays", "changes", "goes"):
        (folder / name).write_text("x")
    watching.wait_for(*(("created", name) for name in ("stays", "changes", "goes")))
    watching.all.clear()
    folder.rename(tmp_path / "away")
    assert b"has gone; waiting" in watching.process.stderr.readline()
    (tmp_path / "away" / "goes").unlink()
    (tmp_path / "away" / "changes").write_text("more")
    (tmp_path / "away" / "new").write_text("x")
    assert watching.changes == []
    (tmp_path / "away").rename(folder)
    watching.wait_for(("modified", "changes"), ("created", "new"), ("deleted", "goes"))
    (folder / "later").write_text("x")
    watching.wait_for(("created", "later"))
    assert len(watching.changes) == 4


def test_a_deleted_and_recreated_folder_is_watched_again(watch, folder):
    watching = watch()
    shutil.rmtree(folder)
    assert b"has gone; waiting" in watching.process.stderr.readline()
    folder.mkdir()
    assert b"is back" in watching.process.stderr.readline()
    (folder / "a").write_text("x")
    watching.wait_for(("created", "a"))


UNMOUNTS = """
mount -t tmpfs none "$1" || exit 99
echo x > "$1/a"
flow-watch "$1" --settle 0.2 --existing > "$2/events" 2> "$2/said" &
until grep -q created "$2/events"; do sleep 0.1; done
umount -l "$1"
until grep -q gone "$2/said"; do sleep 0.1; done
sleep 1
mount -t tmpfs none "$1"
echo y > "$1/b"
until grep -q '"b"' "$2/events"; do sleep 0.1; done
kill %1
"""


def test_an_unmounted_share_causes_no_deletions(folder, tmp_path):
    command = [
        "unshare",
        "--map-root-user",
        "--mount",
        "bash",
        "-c",
        UNMOUNTS,
        "sh",
        folder,
        tmp_path,
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, env=environment(), check=False
    )
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"no namespaces for mounts here: {done.stderr}")
    lines = (tmp_path / "events").read_text().splitlines()
    changes = changes_of(map(json.loads, lines))
    assert changes[0] == ("created", "a")
    assert ("created", "b") in changes
    assert "is back" in (tmp_path / "said").read_text()


def test_polling_works_without_inotify(watch, folder):
    watching = watch("--poll", "0.2")
    (folder / "a").write_text("x")
    watching.wait_for(("created", "a"))
    (folder / "a").unlink()
    watching.wait_for(("deleted", "a"))


def test_a_name_that_is_not_unicode_is_shown_and_its_url_is_exact(watch, folder):
    watching = watch()
    name = b"\xe6\xff.mxf"
    with open(os.path.join(os.fsencode(folder), name), "wb") as file:  # noqa: PTH118, PTH123
        file.write(b"x")
    watching.wait_for(("created", r"\xe6\xff.mxf"))
    url = watching.events[0]["data"]["url"]
    assert unquote_to_bytes(url.removeprefix("file://")).endswith(b"/" + name)


def test_many_files_at_once_are_all_reported(watch, folder):
    watching = watch()
    for number in range(3000):
        (folder / f"f{number}").write_text("x")
    watching.wait_for(*(("created", f"f{number}") for number in range(3000)), seconds=60)
    assert len(watching.changes) == 3000


def test_only_regular_files_are_reported(watch, folder):
    watching = watch("-r")
    os.mkfifo(folder / "fifo")
    (folder / "sub").mkdir()
    (folder / "nowhere").symlink_to("nothing")
    (folder / "loop").symlink_to(folder)
    (folder / "real").write_text("x")
    watching.wait_for(("created", "real"))
    assert watching.changes == [("created", "real")]


@pytest.mark.parametrize("what", ["missing", "file"])
def test_a_missing_folder_is_a_clear_error(run, tmp_path, what):
    (tmp_path / "file").touch()
    status, out, err = run("flow-watch", tmp_path / what)
    reason = "no such file or directory" if what == "missing" else "not a directory"
    assert (status, out) == (78, b"")
    assert err == f"flow-watch: cannot watch '{tmp_path / what}': {reason}\n"


def test_count_ends_the_command(run, folder):
    for number in range(5):
        (folder / str(number)).write_text("x")
    status, out, err = run("flow-watch", folder, "--existing", "--count", "3", *SETTLE)
    assert (status, len(out.splitlines()), err) == (0, 3, "")


def test_a_closed_reader_ends_the_command_while_it_waits(start, folder):
    process = start("flow-watch", folder)
    time.sleep(0.2)
    process.stdout.close()
    assert process.wait(timeout=SECONDS) == -signal.SIGPIPE


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_immediately(watch, signum):
    watching = watch()
    watching.process.send_signal(signum)
    assert watching.process.wait(timeout=SECONDS) == -signum


def test_a_killed_worker_that_moves_files_loses_nothing(folder, tmp_path):
    """The recipe of the manual: every file is processed, whatever is killed."""
    (tmp_path / "done").mkdir()
    (tmp_path / "mymod.py").write_text(
        "import os, random\n"
        "class Move:\n"
        "    def start(self, event):\n"
        "        if random.random() < 0.2:\n"
        "            os._exit(9)\n"
        "        try:\n"
        "            os.rename(event['path'], 'done/' + event['name'])\n"
        "        except FileNotFoundError:\n"
        "            pass\n"
    )
    names = {f"f{number}" for number in range(6 * KILLS)}
    for name in names:
        (folder / name).write_text("x")
    line = f"{BIN}/flow-watch in --existing --settle 0 | {BIN}/flow-work mymod:Move"
    deadline = time.monotonic() + 100
    while {path.name for path in (tmp_path / "done").iterdir()} != names:
        assert time.monotonic() < deadline
        with (
            subprocess.Popen(
                ["bash", "-c", line],
                cwd=tmp_path,
                env=environment(),
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            ) as pipeline,
            suppress(ProcessLookupError),
        ):
            ends = time.monotonic() + 20
            while pipeline.poll() is None and any(folder.iterdir()) and time.monotonic() < ends:
                time.sleep(0.05)
            os.killpg(pipeline.pid, signal.SIGKILL)
    assert list(folder.iterdir()) == []


class FakeTime:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def watcher(folder):
    """A Watcher with its own clock and without notices: it polls."""
    watcher = Watcher(str(folder), Rules(poll=5.0), None, FakeTime())
    watcher.clock = watcher._files._monotonic
    watcher.start()
    while not watcher.due():
        assert watcher.reports(9) == []
    yield watcher
    watcher.close()


def found(watcher):
    return [(each.kind, each.name, each.mark.size) for each in watcher.reports(9)]


def test_a_file_whose_notice_was_lost_is_found_by_a_complete_scan(watcher, folder):
    (folder / "a").write_text("x")
    watcher.clock.now += 5.0
    assert (found(watcher), watcher.due()) == ([], 1.0)
    watcher.clock.now += 2.0
    assert found(watcher) == [("created", "a", 1)]
    (folder / "a").unlink()
    watcher.clock.now += 5.0
    assert found(watcher) == []
    watcher.clock.now += 2.0
    assert found(watcher) == [("deleted", "a", 1)]


def test_a_change_at_the_last_moment_restarts_the_settle_time(watcher, folder):
    (folder / "a").write_text("x")
    watcher.clock.now += 5.0
    assert found(watcher) == []
    watcher.clock.now += 2.0
    (folder / "a").write_text("xyz")
    assert found(watcher) == []
    watcher.clock.now += 2.0
    assert found(watcher) == [("created", "a", 3)]
