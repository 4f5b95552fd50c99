"""A hot folder with --ack worker: at-least-once processing, and moving of processed files."""

import errno
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from flowtools.errors import UsageError
from flowtools.source.epochs import LATEST, Epochs
from flowtools.source.folder import moving
from flowtools.source.folder.clearing import Clearing, Places, _note
from flowtools.source.folder.rules import Rules
from flowtools.source.watch import HotFolder
from tests.conftest import BIN, KILLS, ROOT, environment
from tests.running import until

pytest_plugins = ["tests.watch_fixtures"]

WORKERS = """
import os, random, time
from flowtools.source.watch import HotFolder
from flowtools.worker import Reject
from tests.running import is_connected

class Note:
    def start(self, event):
        with open("notes", "ab", buffering=0) as file:
            file.write(f"{event['name']}\\n".encode())
        if "bad" in event["name"]:
            raise Reject("no good")
        if "slow" in event["name"]:
            time.sleep(1)

class Own(Note):
    SOURCE = HotFolder

class Dies:
    def start(self, event):
        while not is_connected(os.getpid()):
            time.sleep(0.01)
        if random.random() < 0.04:
            os._exit(9)
        with open("notes", "ab", buffering=0) as file:
            file.write(f"{event['name']}\\n".encode())

class Grows:
    def start(self, event):
        with open(event["path"], "a") as file:
            file.write("more" if event["size"] < 4 else "")
"""


@pytest.fixture
def place(tmp_path, folder):
    """A directory with the folder `in`, and Workers in mymod."""
    (tmp_path / "mymod.py").write_text(WORKERS)
    return tmp_path


@pytest.fixture
def pipeline(place):
    """Start a shell line in that directory; processes still running at the end are killed."""
    started = []

    def begin(line):
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=place,
            env=environment(PYTHONPATH=str(ROOT)),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_processed_files_go_to_done_and_rejected_ones_to_failed(place, folder, pipeline):
    (folder / "sub").mkdir()
    for name in ("a", "bad", "sub/b"):
        (folder / name).write_text(name)
    pipeline(
        "flow-watch in -r --settle 0.2 --ack worker --done done --failed rejected"
        " | flow-work mymod:Note"
    )
    until(lambda: files_in(place / "done") == ["a", "sub/b"])
    until(lambda: files_in(place / "rejected") == ["bad"])
    assert files_in(folder) == []
    (folder / "a").write_text("another")
    until(lambda: files_in(place / "done") == ["a", "a-1", "sub/b"])
    assert (place / "done" / "a").read_text() == "a"
    assert (place / "done" / "a-1").read_text() == "another"


def test_files_moved_by_flow_watch_are_not_reported_as_deleted(place, folder, pipeline):
    (folder / "a").write_text("x")
    pipeline(
        "flow-watch in --settle 0.2 --ack worker --done done | tee copy | flow-work mymod:Note"
    )
    until(lambda: files_in(place / "done") == ["a"])
    time.sleep(1)
    (folder / "a").write_text("y")
    until(lambda: len(files_in(place / "done")) == 2)
    time.sleep(1)
    events = [json.loads(line) for line in (place / "copy").read_text().splitlines()]
    assert [each["type"] for each in events] == ["flow.path.created"] * 2


def test_remove_deletes_processed_files(place, folder, pipeline):
    (folder / "a").write_text("x")
    (folder / "bad").write_text("x")
    pipeline("flow-watch in --settle 0.2 --ack worker --remove | flow-work mymod:Note")
    until(lambda: files_in(folder) == ["bad"])
    until(lambda: sorted((place / "notes").read_text().split()) == ["a", "bad"])
    assert files_in(folder) == ["bad"]


def test_a_file_changed_during_processing_stays_and_is_reported_again(place, folder, pipeline):
    (folder / "a").write_text("x")
    pipeline("flow-watch in --settle 0.2 --ack worker --done done | flow-work mymod:Grows")
    until(lambda: files_in(place / "done") == ["a"])
    assert (place / "done" / "a").read_text() == "xmore"


def test_unprocessed_files_are_reported_again_at_the_next_start(place, folder, pipeline):
    for name in ("a", "slow"):
        (folder / name).write_text("x")
    line = "flow-watch in --settle 0.2 --state state --existing --ack worker | flow-work mymod:Note"
    process = pipeline(line)
    until(lambda: "slow" in read(place / "notes"))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (place / "notes").unlink()
    pipeline(line)
    until(lambda: "slow" in read(place / "notes"))
    time.sleep(1.5)
    (folder / "last").write_text("x")
    until(lambda: "last" in read(place / "notes"))
    assert read(place / "notes").count("slow") == 1


def read(path):
    return path.read_text().split() if path.exists() else []


def test_events_of_a_killed_worker_are_written_again(place, folder, pipeline):
    """The loop starts another flow-work on the same pipe; events of the dead one are not lost."""
    names = {f"f{number}" for number in range(40)}
    for name in names:
        (folder / name).write_text("x")
    process = pipeline(
        "flow-watch in --settle 0.2 --ack worker --done done"
        " | (until flow-work mymod:Dies; do :; done)"
    )
    until(lambda: set(files_in(place / "done")) == names)
    assert files_in(folder) == []
    assert process.poll() is None


def test_every_file_is_processed_and_moved_whatever_is_killed(place, folder):
    names = {f"f{number}" for number in range(40 * KILLS)}
    for name in names:
        (folder / name).write_text("x")
    line = (
        f"{BIN}/flow-watch in --settle 0 --ack worker --done done | {BIN}/flow-work mymod:Dies -j 4"
    )
    deadline = time.monotonic() + 100
    while set(files_in(place / "done")) != names:
        assert time.monotonic() < deadline
        with subprocess.Popen(
            ["bash", "-c", line],
            cwd=place,
            env=environment(PYTHONPATH=str(ROOT)),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            goal, ends = len(files_in(place / "done")) + 20, time.monotonic() + 15
            while len(files_in(place / "done")) < min(goal, len(names)) and process.poll() is None:
                if time.monotonic() > ends:
                    break
                time.sleep(0.02)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert set(read(place / "notes")) == names
    assert files_in(folder) == []


def test_a_stop_waits_for_events_in_flight(place, folder, pipeline):
    (folder / "slow").write_text("x")
    process = pipeline("flow-watch in --settle 0.2 --ack worker --done done | flow-work mymod:Note")
    until(lambda: "slow" in read(place / "notes"))
    watcher = next(
        int(pid.name) for pid in Path("/proc").glob("[0-9]*") if is_flow_watch(pid, process.pid)
    )
    os.kill(watcher, signal.SIGTERM)
    until(lambda: files_in(place / "done") == ["slow"])


def is_flow_watch(pid, session):
    with suppress(OSError):
        return (
            os.getsid(int(pid.name)) == session
            and b"flow-watch" in (pid / "cmdline").read_bytes().split(b"\0")[1]
        )
    return False


def test_at_most_one_window_of_events_is_in_flight(start, folder):
    for number in range(20):
        (folder / f"f{number:02}").write_text("x")
    process = start(
        "flow-watch", folder, "--settle", 0, "--existing", "--ack", "worker", "--prefetch", 5
    )
    lines = [process.stdout.readline() for _ in range(5)]
    os.set_blocking(process.stdout.fileno(), False)
    time.sleep(1)
    assert process.stdout.read() is None
    os.set_blocking(process.stdout.fileno(), True)
    acker = start("flow-ack", stdin=subprocess.PIPE)
    acker.stdin.write(b"".join(lines))
    acker.stdin.flush()
    assert len([process.stdout.readline() for _ in range(5)]) == 5


def test_a_folder_is_moved_as_a_whole(place, folder, pipeline):
    for name in ("card/a", "card/sub/b", "card/.hidden"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    pipeline(
        "flow-watch in --settle 0.2 --unit folder --ack worker --done done | flow-work mymod:Note"
    )
    until(lambda: files_in(place / "done") == ["card/.hidden", "card/a", "card/sub/b"])
    assert list(folder.iterdir()) == []


def test_flow_run_moves_processed_files_too(place, folder, pipeline):
    for name in ("a", "bad"):
        (folder / name).write_text("x")
    pipeline(
        "flow-run mymod:Own --set Source.directory=in --set Source.settle=0.2"
        " --set Source.done=done --set Source.failed=rejected"
    )
    until(lambda: files_in(place / "done") == ["a"])
    until(lambda: files_in(place / "rejected") == ["bad"])


def test_a_file_with_a_wrong_checksum_goes_to_failed(place, folder, pipeline):
    (folder / "a.mxf").write_text("x")
    (folder / "a.mxf.md5").write_text("0" * 32)
    pipeline(
        "flow-watch in --settle 0.2 --verify md5 --ack worker --done done --failed rejected"
        " | flow-work mymod:Note"
    )
    until(lambda: files_in(place / "rejected") == ["a.mxf", "a.mxf.md5"])


def test_moving_never_overwrites_and_recognises_an_earlier_move(tmp_path):
    source, target = tmp_path / "a.mxf", tmp_path / "done" / "a.mxf"
    source.write_text("one")
    assert moving.move_file(source, target) == target
    source.write_text("two")
    assert moving.move_file(source, target) == tmp_path / "done" / "a-1.mxf"
    # Killed between the two steps: the file has both names.
    source.write_text("three")
    os.link(source, tmp_path / "done" / "a-2.mxf")
    assert moving.move_file(source, target) == tmp_path / "done" / "a-2.mxf"
    assert not source.exists()
    assert sorted(p.read_text() for p in target.parent.iterdir()) == ["one", "three", "two"]


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another file system."""
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system here")
    made = other / f"flow-test-{os.getpid()}-{time.monotonic_ns()}"
    made.mkdir()
    yield made
    subprocess.run(["rm", "-rf", made], check=True)


def test_moving_works_across_file_systems(tmp_path, elsewhere):
    source = tmp_path / "a.mxf"
    source.write_text("one")
    os.utime(source, (1000, 1000))
    assert moving.move_file(source, elsewhere / "a.mxf") == elsewhere / "a.mxf"
    assert (elsewhere / "a.mxf").stat().st_mtime == 1000
    # Killed after the copy: an equal file is already there.
    source.write_text("one")
    os.utime(source, (1000, 1000))
    assert moving.move_file(source, elsewhere / "a.mxf") == elsewhere / "a.mxf"
    source.write_text("two")
    assert moving.move_file(source, elsewhere / "a.mxf") == elsewhere / "a-1.mxf"
    (tmp_path / "card" / "sub").mkdir(parents=True)
    (tmp_path / "card" / "sub" / "x").write_text("x")
    assert moving.move_folder(tmp_path / "card", elsewhere / "card") == elsewhere / "card"
    assert files_in(elsewhere) == ["a-1.mxf", "a.mxf", "card/sub/x"]
    assert list(tmp_path.iterdir()) == []


def test_moving_works_without_hard_links(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    for content in ("one", "two"):
        (tmp_path / "a").write_text(content)
        moving.move_file(tmp_path / "a", tmp_path / "done" / "a")
    assert [(tmp_path / "done" / n).read_text() for n in ("a", "a-1")] == ["one", "two"]


def test_an_interrupted_move_of_a_set_is_finished_at_the_next_start(tmp_path, folder):
    done = tmp_path / "done"
    (folder / "a.mxf").write_text("x")
    _note(done, ["a.mxf", "a.xml"])
    done.joinpath("a.xml").write_text("x")
    clearing = Clearing(str(folder), Places(done=str(done)), lambda name: None, lambda name: True)
    clearing.close()
    clearing.release()
    assert files_in(tmp_path / "done") == ["a.mxf", "a.xml"]
    assert files_in(folder) == []


def test_an_unwritable_target_is_reported_and_the_file_stays(place, folder, pipeline):
    (place / "done").write_text("a file")
    (folder / "a").write_text("x")
    process = pipeline("flow-watch in --settle 0.2 --ack worker --done done | flow-work mymod:Note")
    said = process.stderr.readline().decode()
    assert f"cannot move '{folder}/a': " in said
    assert "trying again" in said
    assert files_in(folder) == ["a"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"done": "d"}, "--done, --failed and --remove need --ack worker"),
        ({"ack": "worker"}, "--ack worker needs --done, --remove, --state or --existing"),
        ({"ack": "worker", "done": "d", "remove": True}, "--done and --remove exclude each other"),
    ],
)
def test_conflicting_options_are_a_usage_error(rules, message):
    with pytest.raises(UsageError, match=message):
        HotFolder("/", Rules(**rules))


class _Inlet:
    def ackto(self, epoch):
        return f"unix:/s#{epoch}."


def test_acknowledgements_of_the_latest_epochs_count_and_older_ones_are_forgotten():
    epochs, seen = Epochs(_Inlet()), []
    for number in range(LATEST + 1):
        epoch, _, shown = epochs.ackto(number).partition("#")[2].partition(".")
        assert shown == str(number)
        seen.append(epoch)
        if number < LATEST:
            epochs.begin()
    assert seen[0] not in epochs
    assert all(each in epochs for each in seen[1:])
