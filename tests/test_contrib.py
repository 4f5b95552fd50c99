"""contrib/: units that run as systemd runs them; what an operator copies works as it stands."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from coilmq.util.frames import Frame

from tests.conftest import ROOT
from tests.running import until
from tests.units import FOLDER, Service, read

pytest_plugins = ["tests.stomp_fixtures"]

PIPELINE, ALONE = "flow@.service", "flow-run@.service"
UNITS = (PIPELINE, ALONE)


def put(coil, *bodies):
    for body in bodies:
        frame = Frame("SEND", {"destination": "/queue/a"}, body.encode())
        coil.server.queue_manager.send(frame)


class Tag:
    """The service of the tests: each body is noted; "wait N" waits for the file `go`."""

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

    # The path of a socket is short: 107 bytes.
    with TemporaryDirectory(prefix="flow") as name:
        folder = Path(name)
        yield make
        for each in made:
            each.service.close()


@pytest.mark.parametrize("template", UNITS)
def test_a_stop_lets_the_running_event_end_and_leaves_the_rest_to_the_broker(coil, tag, template):
    put(coil, "wait 1", "b", "c")
    it = tag(template)
    it.service.start()
    it.service.hear("READY=1")
    until(lambda: it.notes() == ["wait 1"])
    # Let go only once the signal has been sent: it is the drain that ends the event.
    it.service.terminate()
    (it.service.etc / "go").touch()
    status = it.service.ended()
    assert it.service.is_clean(status), (status, it.service.said)
    assert it.notes() == ["wait 1", "wait 1 over", "clean_up"]
    until(lambda: coil.store.size("/queue/a") == 2)
    it.service.start()
    it.service.hear("READY=1")
    until(lambda: sorted(it.notes()[3:]) == ["b", "c"])
    assert it.service.is_clean(it.service.stop()), it.service.said


VICTIMS = [(PIPELINE, name) for name in ("bash", "flow-listen-stomp", "flow-work")]


@pytest.mark.parametrize(("template", "victim"), [*VICTIMS, (ALONE, "flow-run")])
def test_whichever_process_is_killed_the_next_start_does_what_was_not_done(
    coil, tag, template, victim
):
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
    assert it.service.is_clean(it.service.stop()), it.service.said


@pytest.mark.parametrize("template", UNITS)
def test_the_watchdog_hears_it(tag, template):
    it = tag(template, watchdog=1.0)
    it.service.start()
    it.service.hear("READY=1")
    for _ in range(3):
        it.service.hear("WATCHDOG=1")
    assert it.service.is_clean(it.service.stop()), it.service.said


@pytest.mark.parametrize("template", UNITS)
def test_a_reload_goes_on_in_a_new_job_log(coil, tag, template):
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
    # The second flow-work of the pipeline has nothing to reopen, and must live.
    assert len(it.service.processes("flow-work")) == (2 if template == PIPELINE else 0)
    assert it.service.is_clean(it.service.stop()), it.service.said


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
def test_the_status_of_a_pipeline_says_whether_it_is_worth_another_start(
    tag, pipeline, status, restarted
):
    it = tag(PIPELINE)
    (it.service.etc / "pipeline").write_text(pipeline + "\n")
    it.service.start()
    assert it.service.ended() == status, it.service.said
    assert not it.service.is_clean(status)
    assert it.service.is_restarted(status) == restarted


def test_flow_run_takes_its_arguments_as_a_shell_would(tag):
    it = tag(ALONE)
    (it.service.etc / "env").write_text("ARGUMENTS='no such:Worker' --retries 1\n")
    it.service.start()
    assert it.service.ended() == 78
    assert "cannot load Worker 'no such:Worker'" in it.service.said


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    for page in (ROOT / "man").iterdir():
        folder = tmp_path / f"man{page.suffix[1:]}"
        folder.mkdir(exist_ok=True)
        shutil.copy(page, folder)
    env = os.environ | {"MANPATH": str(tmp_path), "MANPAGER": "cat"}
    units = [str(FOLDER / name) for name in UNITS]
    command = ["systemd-analyze", "verify", *units]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # Out of 100, in tenths: 18 for a pipeline; a unit without any hardening has 96.
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", *units]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 0, done.stdout


def test_both_units_are_hardened_alike_and_every_unit_is_tested():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(UNITS)
    own = {"ExecStart", "ExecReload", "Description", "Documentation", "EnvironmentFile"}
    own |= {"AssertPathExists", "NotifyAccess", "RuntimeDirectory", "Environment"}
    own |= {"SuccessExitStatus"}
    shared = [{k: v for k, v in read(name).items() if k not in own} for name in UNITS]
    assert shared[0] == shared[1]
