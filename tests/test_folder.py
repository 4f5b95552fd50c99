"""flow-watch with real folders, writers and file systems."""

import ftplib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowtools.errors import UsageError
from flowtools.source.folder import amounts, mounts
from flowtools.source.folder.wanted import SettleTimes, Wanted
from flowtools.source.folder.writers import Writers, _open_for_writing
from tests.conftest import KILLS, ROOT, environment
from tests.ftp_server import FtpServer
from tests.running import SECONDS, freeze, until
from tests.watching import Watching, changes_of

pytest_plugins = ["tests.watch_fixtures"]

SOON = 15.0
"""Seconds within which a notice takes effect; the complete scan comes after 60."""


def in_a_namespace(script, *args, timeout=SECONDS):
    """Run a script as root of its own namespace; skip the test if namespaces are not available."""
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "bash", "-c", script, "sh", *args],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(),
        check=False,
    )
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done


def events_in(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


FEW_WATCHES = """
echo 12 > /proc/sys/user/max_inotify_watches || exit 99
flow-watch -r "$1" --settle 0.2 > "$2/events" 2> "$2/said" &
until mkdir "$1/probe"; sleep 0.5; echo > "$1/probe/x"; sleep 0.5; grep -q probe "$2/events"; do
    rm -r "$1/probe"
done
for n in {1..20}; do mkdir "$1/$n"; done
until grep -q "no more watches" "$2/said"; do sleep 0.1; done
date +%s.%N > "$2/began"
for n in {1..20}; do echo > "$1/$n/late"; done
until [ "$(grep -c '/late"' "$2/events")" -ge 20 ]; do sleep 0.1; done
date +%s.%N > "$2/ended"
kill %1
"""


def test_beyond_the_limit_of_watches_it_warns_and_polls(folder, tmp_path):
    in_a_namespace(FEW_WATCHES, folder, tmp_path)
    changes = changes_of(events_in(tmp_path / "events"))
    assert sorted(n for k, n in changes if n.endswith("/late")) == sorted(
        f"{n}/late" for n in range(1, 21)
    )
    assert (tmp_path / "said").read_text().count("no more watches") == 1
    began, ended = (float((tmp_path / name).read_text()) for name in ("began", "ended"))
    assert ended - began < SOON


def test_a_queue_overflow_causes_a_complete_scan_and_new_watches(watch, folder):
    (folder / "sub").mkdir()
    watching = watch("-r")
    freeze(watching.process)
    (folder / "sub" / "a").write_text("x")
    (folder / "sub" / "b").write_text("x")
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit + 100):
        # Alternating: the system merges two equal consecutive notices into one.
        os.utime(folder / "sub" / "ab"[number % 2])
    (folder / "new").mkdir()
    (folder / "new" / "unnoticed").write_text("x")
    watching.process.send_signal(signal.SIGCONT)
    watching.wait_for_message("the system has dropped notices")
    watching.wait_for(("created", "new/unnoticed"), seconds=SOON)
    (folder / "new" / "later").write_text("x")
    watching.wait_for(("created", "new/later"), seconds=SOON)


MOUNTS_INSIDE = """
mkdir -p "$1/sub/share" "$2/share"
mount -t tmpfs none "$2/share" || exit 99
echo x > "$2/share/old"; mkdir "$2/share/deep"
flow-watch -r "$1" --settle 0.2 > "$2/events" 2> "$2/said" &
until echo $RANDOM > "$1/probe"; sleep 0.5; grep -q probe "$2/events"; do :; done
mount --bind "$2/share" "$1/sub/share"
until grep -q '"sub/share/old"' "$2/events"; do sleep 0.1; done
echo > "$1/sub/share/deep/new"
until grep -q '"sub/share/deep/new"' "$2/events"; do sleep 0.1; done
umount -l "$1/sub/share"
until grep -q unmounted "$2/said"; do sleep 0.1; done
rm "$2/share/old"
sleep 1
mount --bind "$2/share" "$1/sub/share"
until grep -q deleted "$2/events"; do sleep 0.1; done
kill %1
"""


def test_a_mount_inside_the_folder_is_seen_and_unmounting_deletes_nothing(folder, tmp_path):
    began = time.monotonic()
    in_a_namespace(MOUNTS_INSIDE, folder, tmp_path)
    assert time.monotonic() - began < 55  # Before the regular scan of everything.
    changes = [each for each in changes_of(events_in(tmp_path / "events")) if each[1] != "probe"]
    assert changes == [
        ("created", "sub/share/old"),
        ("created", "sub/share/deep/new"),
        ("deleted", "sub/share/old"),
    ]


def test_a_name_that_is_not_utf_8_does_not_affect_others(watch, folder):
    watching = watch("-r")
    odd = folder / os.fsdecode(b"\xe6\xff")
    odd.mkdir()
    (odd / os.fsdecode(b"\xf8.mxf")).write_bytes(b"x")
    watching.wait_for(("created", r"\xe6\xff/\xf8.mxf"), seconds=SOON)
    (odd / os.fsdecode(b"\xf8.mxf")).rename(odd / os.fsdecode(b"\xf9.mxf"))
    watching.wait_for(("created", r"\xe6\xff/\xf9.mxf"), ("deleted", r"\xe6\xff/\xf8.mxf"))
    (folder / "plain").write_text("x")
    watching.wait_for(("created", "plain"), seconds=SOON)
    watching.process.terminate()
    assert watching.process.stderr.read() == b""


def test_a_file_open_for_writing_is_not_reported_while_its_writer_pauses(watch, folder):
    watching = watch()
    with (folder / "slow").open("wb", buffering=0) as file:
        for _ in range(3):
            file.write(b"x" * 1000)
            time.sleep(1.2)
        assert watching.changes == []
    watching.wait_for(("created", "slow"), seconds=SOON)
    with (folder / "slow").open("ab", buffering=0) as file:
        file.write(b"x" * 1000)
        time.sleep(1.2)
        file.write(b"x" * 1000)
    watching.wait_for(("modified", "slow"), seconds=SOON)
    assert [e["data"]["size"] for e in watching.events] == [3000, 5000]


def test_an_upload_with_pauses_is_reported_once_and_complete(watch, folder, tmp_path):
    watching = watch()
    with FtpServer(folder) as server, ftplib.FTP() as ftp:
        ftp.connect("127.0.0.1", server.port)
        ftp.login(server.user, server.password)
        with ftp.transfercmd("STOR clip.mxf") as data:
            for _ in range(3):
                data.sendall(b"x" * 50_000)
                time.sleep(1.2)
        ftp.voidresp()
        watching.wait_for(("created", "clip.mxf"), seconds=SOON)
    assert [e["data"]["size"] for e in watching.events] == [150_000]


def test_a_file_with_an_invisible_writer_is_complete_once_closed(folder):
    """The file of another user, written by an invisible process: only notices show its end."""
    blind = ["unshare", "--pid", "--fork", "--mount-proc", "setpriv", "--bounding-set=-lease"]
    if os.geteuid() != 0 or subprocess.run([*blind, "true"], check=False).returncode:
        pytest.skip("needs root, and namespaces")
    command = [*blind, "flow-watch", folder, "--settle", "0.2"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as process:
        try:
            watching = Watching(process)
            watching.wait_until_it_watches(folder, 0.2)
            with (folder / "a").open("wb", buffering=0) as file:
                os.chown(folder / "a", 65534, 65534)
                file.write(b"x")
                time.sleep(1.5)
                file.write(b"x")
            watching.wait_for(("created", "a"))
            assert [each["data"]["size"] for each in watching.events] == [2]
        finally:
            os.kill(child_of(process.pid), signal.SIGKILL)


def child_of(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children")
    until(children.read_text, "a child of the process")
    return int(children.read_text().split()[0])


def test_a_stalled_incomplete_file_is_reported_once(watch, folder):
    watching = watch(
        "--existing", "--stalled", "1s", "--include", "stalled", "--include", "created"
    )
    (folder / "upload.part").write_bytes(b"x" * 10)
    with (folder / "open").open("wb", buffering=0) as file:
        file.write(b"x")
        watching.wait_for(("stalled", "open"), ("stalled", "upload.part"))
        time.sleep(2.5)
    watching.wait_for(("created", "open"))
    assert sorted(watching.changes) == [
        ("created", "open"),
        ("stalled", "open"),
        ("stalled", "upload.part"),
    ]
    reasons = {e["subject"]: e["data"].get("reason") for e in watching.events}
    assert reasons["upload.part"] == "its name is that of a transfer in progress"
    watching.wait_for_message(
        "open' has not changed for 1 s and is not whole: it is still open for writing"
    )


def test_settle_times_may_depend_on_a_pattern(watch, folder):
    watching = watch("--settle-for", "*.mxf=2.5", "--settle-for", "*.tmp.x=9")
    (folder / "a.mxf").write_text("x")
    (folder / "b.mov").write_text("x")
    watching.wait_for(("created", "b.mov"), ("created", "a.mxf"), seconds=SOON)
    assert watching.changes == [("created", "b.mov"), ("created", "a.mxf")]
    times = SettleTimes(2.0, [("*.mxf", 30.0), ("sub/*", 5.0)], ignore_case=True)
    assert [times.of(name) for name in ("A.MXF", "sub/b", "b")] == [30.0, 5.0, 2.0]


@pytest.mark.parametrize(
    ("name", "temporary", "wanted"),
    [
        ("a.mxf.part", (), False),
        ("a.MXF.FILEPART", (), False),
        ("a.crdownload", (), False),
        ("a.tmp", (), False),
        ("a.upload", (), True),
        ("a.upload", ("*.upload",), False),
        ("a.part", ("*.upload",), False),
        ("a.part", ("none",), True),
        ("a.part", ("none", "*.upload"), True),
        ("a.upload", ("none", "*.upload"), False),
        (".a.mxf.x7Yz01", (), False),
        (".config", (), True),
        (".~lock", (), False),
        (".a.swp", (), False),
        ("apart", (), True),
    ],
)
def test_names_of_transfers_in_progress_are_ignored(name, temporary, wanted):
    assert (name in Wanted(match=("*", ".*"), temporary=temporary)) is wanted


def test_a_file_is_reported_under_its_final_name(watch, folder):
    watching = watch("--existing", "--ignore-case", "--match", "*.mxf")
    (folder / "CLIP.MXF.part").write_text("x")
    time.sleep(1)
    (folder / "CLIP.MXF.part").rename(folder / "CLIP.MXF")
    watching.wait_for(("created", "CLIP.MXF"), seconds=SOON)
    assert watching.changes == [("created", "CLIP.MXF")]


def test_each_file_sent_by_rsync_is_reported_once(watch, folder, tmp_path):
    if not shutil.which("rsync"):
        pytest.skip("rsync is not installed")
    for number in range(30):
        (tmp_path / "from" / str(number % 3)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / str(number % 3) / f"f{number}").write_bytes(b"x" * 100_000)
    watching = watch("--existing", "-r", "--match", "*", "--match", ".*")
    subprocess.run(["rsync", "-a", f"{tmp_path}/from/", folder], check=True)
    wanted = [("created", f"{number % 3}/f{number}") for number in range(30)]
    watching.wait_for(*wanted, seconds=SOON)
    assert sorted(watching.changes) == sorted(wanted)


def test_replaced_content_of_equal_size_and_time_counts_as_modified(watch, folder):
    watching = watch()
    (folder / "a").write_text("one")
    watching.wait_for(("created", "a"))
    status = (folder / "a").stat()
    (folder / "a").write_text("two")
    os.utime(folder / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    watching.wait_for(("modified", "a"), seconds=SOON)
    assert len({event["id"] for event in watching.events}) == 2


def test_a_new_mode_owner_or_hard_link_is_not_a_change(watch, folder, tmp_path):
    watching = watch()
    (folder / "a").write_text("one")
    watching.wait_for(("created", "a"))
    (folder / "a").chmod(0o600)
    (tmp_path / "linked").hardlink_to(folder / "a")
    os.setxattr(folder / "a", "user.seen", b"yes")
    (folder / "b").write_text("x")
    watching.wait_for(("created", "b"))
    assert watching.changes == [("created", "a"), ("created", "b")]


def test_a_symbolic_link_is_modified_when_its_target_changes(watch, folder, tmp_path):
    (tmp_path / "target").write_text("one")
    (tmp_path / "other").write_text("another")
    watching = watch()
    (folder / "link").symlink_to(tmp_path / "target")
    watching.wait_for(("created", "link"))
    (tmp_path / "target").write_text("longer than before")
    watching.wait_for(("modified", "link"), seconds=SOON)
    (folder / "new").symlink_to(tmp_path / "other")
    (folder / "new").rename(folder / "link")
    watching.wait_for(("modified", "link"), seconds=SOON)

    def sizes():
        return [e["data"]["size"] for e in watching.events if e["subject"] == "link"]

    until(lambda: sizes() == [3, 18, 7], "the size of each change", SOON)


def test_a_disk_that_fills_up_is_reported(watch, folder):
    watching = watch("--min-free", "900000T")
    watching.wait_for_message("GB are free on the disk of", "which is below --min-free")


@pytest.fixture
def fuse(tmp_path, folder):
    """A FUSE mount of `folder`: changes in the folder cause no notices in the mount."""
    if not shutil.which("bindfs"):
        pytest.skip("bindfs is not installed")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    done = subprocess.run(["bindfs", folder, mounted], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"FUSE cannot be mounted here: {done.stderr}")
    yield mounted
    subprocess.run(["fusermount3", "-uz", mounted], check=True)


def test_a_fuse_mount_is_polled_with_a_message(start, folder, fuse):
    process = start("flow-watch", fuse, "--settle", "0.3", "--existing")
    said = process.stderr.readline().decode()
    assert "is on a network mount (fuse" in said
    assert "looking every 10 s" in said
    (folder / "behind").write_text("x")
    assert json.loads(process.stdout.readline())["subject"] == "behind"


def test_network_mounts_are_known_by_their_type():
    assert all(map(mounts.is_remote, ["nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "fuseblk"]))
    assert not any(map(mounts.is_remote, ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", ""]))
    assert mounts.kind_of("/proc") == "proc"
    assert mounts.kind_of("/proc/self/task") == "proc"


def test_writers_are_detected_by_a_lease_and_in_proc(folder):
    path = folder / "a"
    writers = Writers(time.monotonic)
    with path.open("wb"):
        status = path.stat()
        assert writers.has_any(str(path)) is True
        assert (status.st_dev, status.st_ino) in _open_for_writing()
        with path.open("rb"):
            assert writers.has_any(str(path)) is True
    assert writers.has_any(str(path)) is False
    assert (status.st_dev, status.st_ino) not in _open_for_writing()
    assert writers.has_any(str(folder / "none")) is None


@pytest.mark.parametrize(("text", "size"), [("10", 10), ("1.5k", 1500), ("10G", 10**10)])
def test_sizes_are_parsed(text, size):
    assert amounts.bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1w", "s", "1 s", "nan"])
def test_a_malformed_time_or_size_is_a_usage_error(text):
    with pytest.raises(UsageError, match="is not a size: write 500M"):
        amounts.bytes_of(text)
    with pytest.raises(UsageError):
        amounts.settle_for(text)


def test_no_file_of_many_writers_is_lost_while_flow_watch_is_killed():
    """A short form of benchmarks/folder_soak."""
    if not shutil.which("rsync"):
        pytest.skip("rsync is not installed")
    soak = [ROOT / "benchmarks" / "folder_soak", "--seconds", "10", "--settle", "0.5"]
    done = subprocess.run(
        [sys.executable, *soak, "--kills", str(KILLS)],
        capture_output=True,
        text=True,
        timeout=110,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 never reported" in done.stdout


def test_a_stop_takes_effect_while_a_large_folder_is_scanned(watch, folder):
    """Renaming 20,000 files once took a minute that no signal could end."""
    (folder / "a").mkdir()
    for number in range(20_000):
        (folder / "a" / f"f{number}").touch()
    watching = watch("-r")
    (folder / "a").rename(folder / "b")
    watching.wait_for(("created", "b/f1"), seconds=100)
    began = time.monotonic()
    watching.process.terminate()
    assert watching.process.wait(timeout=SECONDS) == -signal.SIGTERM
    assert time.monotonic() - began < 5
