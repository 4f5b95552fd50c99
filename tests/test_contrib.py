"""contrib/: the units run as under systemd, and the files that operators copy work unchanged."""

import fcntl
import gzip
import os
import re
import shutil
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from coilmq.util.frames import Frame
from cronsim import CronSim

from tests.conftest import ROOT, environment
from tests.running import SECONDS, until
from tests.units import FOLDER, Service, read

pytest_plugins = ["tests.stomp_fixtures"]

PIPELINE, ALONE = "flow@.service", "flow-run@.service"
UNITS = (PIPELINE, ALONE)


def put(coil, *bodies):
    for body in bodies:
        frame = Frame("SEND", {"destination": "/queue/a"}, body.encode())
        coil.server.queue_manager.send(frame)


class Tag:
    """The service of the tests: its Worker notes each body; "wait N" waits for the file `go`."""

    def __init__(self, template, folder, url, **options):
        self.notes_file = folder / "notes"
        env = {"PYTHONPATH": str(ROOT), "NOTES": str(self.notes_file)}
        self.service = Service(template, "tag", folder, **env, **options)
        etc = self.service.etc
        if template == PIPELINE:
            (etc / "pipeline").write_text(
                f"flow-listen-stomp --ack worker '{url}' |\n"
                '    flow-work tests.runners:Quiet --failed "$STATE_DIRECTORY/failed" \\\n'
                '    --joblog "$LOGS_DIRECTORY/joblog" | flow-work tests.workers:Echo >/dev/null\n'
            )
        else:
            say = f"tests.runners:Quiet --set 'Source.stomp url={url}'"
            (etc / "env").write_text(f"ARGUMENTS={say}\n")

    def notes(self):
        return self.notes_file.read_text().splitlines() if self.notes_file.exists() else []


@pytest.fixture
def tag(coil):
    made = []

    def make(template, **options):
        made.append(Tag(template, folder, coil.url(), **options))
        return made[0]

    # The path of a socket has at most 107 bytes.
    with TemporaryDirectory(prefix="flow") as name:
        folder = Path(name)
        yield make
        for each in made:
            each.service.close()


@pytest.mark.parametrize("template", UNITS)
def test_a_stop_finishes_the_running_event_and_leaves_the_rest_with_the_broker(coil, tag, template):
    put(coil, "wait 1", "b", "c")
    it = tag(template)
    it.service.start()
    it.service.hear("READY=1")
    until(lambda: it.notes() == ["wait 1"])
    # Released only after the signal was sent, so that the event ends during the drain.
    it.service.terminate()
    (it.service.etc / "go").touch()
    status = it.service.ended()
    assert it.service.is_clean(status), (status, it.service.messages)
    assert it.notes() == ["wait 1", "wait 1 over", "clean_up"], it.service.messages
    until(lambda: coil.store.size("/queue/a") == 2)
    it.service.start()
    it.service.hear("READY=1")
    until(lambda: sorted(it.notes()[3:]) == ["b", "c"])
    assert it.service.is_clean(it.service.stop()), it.service.messages


VICTIMS = [(PIPELINE, name) for name in ("bash", "flow-listen-stomp", "flow-work")]


@pytest.mark.parametrize(("template", "victim"), [*VICTIMS, (ALONE, "flow-run")])
def test_after_a_kill_the_next_start_processes_the_remaining_events(coil, tag, template, victim):
    put(coil, "a", "wait 1", "b")
    it = tag(template)
    it.service.start()
    until(lambda: it.notes() == ["a", "wait 1"])
    os.kill(it.service.processes(victim)[0], signal.SIGKILL)
    (it.service.etc / "go").touch()
    status = it.service.ended()
    assert not it.service.is_clean(status)
    assert it.service.is_restarted(status)
    it.service.start()
    it.service.hear("READY=1")
    until(lambda: {"wait 1 over", "b"} <= set(it.notes()))
    until(lambda: coil.store.size("/queue/a") == 0)
    assert it.service.is_clean(it.service.stop()), it.service.messages


@pytest.mark.parametrize("template", UNITS)
def test_the_unit_notifies_the_watchdog(tag, template):
    it = tag(template, watchdog=1.0)
    it.service.start()
    it.service.hear("READY=1")
    for _ in range(3):
        it.service.hear("WATCHDOG=1")
    assert it.service.is_clean(it.service.stop()), it.service.messages


@pytest.mark.parametrize("template", UNITS)
def test_a_reload_opens_a_new_job_log(coil, tag, template):
    it = tag(template)
    it.service.start()
    it.service.hear("READY=1")
    put(coil, "a")
    log = it.service.path("Logs") / "joblog"
    until(lambda: log.exists() and log.stat().st_size)
    log.rename(log.with_suffix(".1"))
    it.service.reload()
    until(log.exists)
    put(coil, "b")
    until(lambda: log.stat().st_size)
    # The second flow-work of the pipeline has no file to reopen, and must survive.
    assert len(it.service.processes("flow-work")) == (2 if template == PIPELINE else 0)
    assert it.service.is_clean(it.service.stop()), it.service.messages


@pytest.mark.parametrize(
    ("pipeline", "status", "restarted"),
    [
        ("flow-interval 1 | flow-work no.such:Worker", 78, False),
        ("flow-interval 1 | flow-work tests.workers:Nop --no-such", 2, False),
        ("flow-no-such | flow-work tests.workers:Nop", 127, False),
        ("flow-interval $COUNT | flow-work tests.workers:Nop", 1, True),
        ("flow-listen-stomp --retry-for 0 'stomp://localhost:1/?destination=a' | cat", 69, True),
        ("flow-interval 1 --count 1 | flow-work tests.workers:Note | false", 1, True),
    ],
)
def test_the_exit_status_of_a_pipeline_decides_about_a_restart(tag, pipeline, status, restarted):
    it = tag(PIPELINE)
    (it.service.etc / "pipeline").write_text(pipeline + "\n")
    it.service.start()
    assert it.service.ended() == status, it.service.messages
    assert not it.service.is_clean(status)
    assert it.service.is_restarted(status) == restarted


def test_flow_run_splits_its_arguments_like_a_shell(tag):
    it = tag(ALONE)
    (it.service.etc / "env").write_text("ARGUMENTS='no such:Worker' --retries 1\n")
    it.service.start()
    assert it.service.ended() == 78
    assert "cannot load Worker 'no such:Worker'" in it.service.messages


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_analyze_verify_accepts_the_units(tmp_path):
    for page in (ROOT / "man").iterdir():
        folder = tmp_path / f"man{page.suffix[1:]}"
        folder.mkdir(exist_ok=True)
        shutil.copy(page, folder)
    env = os.environ | {"MANPATH": str(tmp_path), "MANPAGER": "cat"}
    units = [str(FOLDER / name) for name in UNITS]
    command = ["systemd-analyze", "verify", *units]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # Out of 100, in tenths: 18 for a pipeline; a unit without any hardening has 96.
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", *units]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=env)
    assert done.returncode == 0, done.stdout


def test_all_units_are_hardened_alike_and_tested():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(UNITS)
    own = {"ExecStart", "ExecReload", "Description", "Documentation", "EnvironmentFile"}
    own |= {"AssertPathExists", "NotifyAccess", "RuntimeDirectory", "Environment"}
    own |= {"SuccessExitStatus"}
    shared = [{k: v for k, v in read(name).items() if k not in own} for name in UNITS]
    assert shared[0] == shared[1]


def test_each_unit_has_a_runtime_directory_of_its_own_that_flow_status_searches():
    given = [" ".join(read(name)["RuntimeDirectory"]) for name in UNITS]
    # A stop of one unit removes its directory: that of the other has to stay.
    assert len(set(given)) == len(UNITS)
    # flow-status looks into /run/flowtools/*, and %t is /run.
    assert all(re.fullmatch("flowtools/[^/]+", each) for each in given)


CRON = ROOT / "contrib" / "cron"


@pytest.fixture
def by_cron(tmp_path):
    """Run the line of the crontab as cron does: (status, output that would be mailed)."""
    table = (CRON / "flow-list.cron").read_text()
    (line,) = re.findall(r"^([*/0-9]+(?: [*/0-9,-]+){4})  (\w+)  (.+)$", table, re.MULTILINE)
    assert next(CronSim(line[0], datetime.now(UTC)))
    assert line[2].startswith("flow-list /srv/tag mymod:Tag -j 8 ")
    command = line[2].replace("/srv/tag", str(tmp_path))
    (tmp_path / "mymod.py").write_text("from tests.workers import *\n")
    path = f"{CRON}:{environment()['PATH']}"
    env = {"PATH": path, "HOME": str(tmp_path), "LOGNAME": line[1], "SHELL": "/bin/sh"}
    env |= {"PYTHONPATH": str(ROOT), "NOTES": str(tmp_path / "notes")}

    def run(worker="Note", more=""):
        text = command.replace("mymod:Tag", f"mymod:{worker}") + f" {more}"
        done = subprocess.run(
            ["/bin/sh", "-c", text], env=env, cwd="/", capture_output=True, text=True, timeout=60
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_under_cron_each_line_is_processed_once_without_mail(by_cron, tmp_path):
    (tmp_path / "list").write_text("a\nb\n")
    assert by_cron() == (0, "")
    with (tmp_path / "list").open("a") as file:
        file.write("c\n")
    assert by_cron() == (0, "")
    said = (tmp_path / "notes").read_text().split("\n")
    assert sorted(line for line in said if len(line) == 1) == ["a", "b", "c"]


def test_under_cron_failures_are_mailed_and_retried_by_the_next_run(by_cron, tmp_path):
    (tmp_path / "list").write_text("ok\nfail\n")
    status, mail = by_cron("Whatever", "--retries 0")
    assert status == 1
    assert mail.splitlines()[-1] == "flow-work: 1 of 2 events failed"
    for _ in range(2):
        assert by_cron("Note") == (0, "")
    notes = (tmp_path / "notes").read_text().splitlines()
    assert [line for line in notes if line[:2] in ("ok", "fa")] == ["ok ", "fail"]


def test_under_cron_runs_never_overlap(by_cron, tmp_path):
    (tmp_path / "list").write_text("a\n")
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert by_cron() == (0, "")
        assert not (tmp_path / "notes").exists()
    assert by_cron() == (0, "")
    assert (tmp_path / "notes").exists()


@pytest.mark.skipif(not shutil.which("logrotate"), reason="needs logrotate")
def test_logrotate_rotates_job_log_and_failed_file_without_loss(coil, tag, tmp_path):
    it = tag(PIPELINE)
    folder = it.service.folder
    text = (ROOT / "contrib" / "logrotate" / "flowtools").read_text()
    text = text.replace("/var/log/", f"{folder}/log/").replace("/var/lib/", f"{folder}/lib/")
    (folder / "logrotate.conf").write_text(text)
    (folder / "logrotate.conf").chmod(0o600)
    # In place of systemctl: reload the running units.
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\n')
    (tmp_path / "systemctl").chmod(0o755)

    def rotate():
        (tmp_path / "called").unlink(missing_ok=True)
        command = ["logrotate", "--force", "--state", folder / "state", folder / "logrotate.conf"]
        env = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS)
        assert (done.returncode, done.stderr) == (0, "")
        called = (tmp_path / "called").read_text().splitlines()
        assert called == ["try-reload-or-restart flow@*.service flow-run@*.service"] * 2
        it.service.reload()

    it.service.start()
    it.service.hear("READY=1")
    log, failed = it.service.path("Logs") / "joblog", it.service.path("State") / "failed"
    for number in range(3):
        second = int(time.time())  # The names of rotated failed files contain the date.
        put(coil, f"{number}", "bad")
        until(lambda: log.exists() and log.read_text().count("\n") == 2)
        # time(2), which logrotate uses, may be a hundredth of a second behind.
        until(lambda second=second: time.time() > second + 1.1)
        rotate()
        until(lambda: log.exists() and failed.exists())
    assert it.service.is_clean(it.service.stop())
    logs = [path.read_bytes() for path in log.parent.glob("joblog.[12]")]
    logs += [gzip.decompress(path.read_bytes()) for path in log.parent.glob("*.gz")]
    assert b"".join(logs).count(b'"done"') == 3
    assert b"".join(logs).count(b'"failed"') == 3
    kept = [path.read_text() for path in failed.parent.glob("failed-*")]
    assert len(kept) == 3
    assert "".join(kept).count("\n") == 3
