"""docs/tutorial.md, typed from top to bottom, prints the output that it shows."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment
from tests.documents import Step, differences, session, steps
from tests.ports import reserved_ports
from tests.running import until
from tests.units import Service

PAGE = ROOT / "docs" / "tutorial.md"
PORTS = ("61613", "9464", "9465")
SYSTEMD = "Under systemd"
STEPS = [step for step in steps(PAGE) if step.heading != SYSTEMD]
(STAND_IN,) = [n for n, step in enumerate(STEPS) if step.text.endswith("-- bash\n")]
"""The step from which on the reader types into the shell of the stand-in."""

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")


@pytest.fixture
def free():
    """Ports to replace those of the page."""
    with reserved_ports(len(PORTS)) as ports:
        yield dict(zip(PORTS, map(str, ports), strict=True))


def moved(text, free):
    return re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{free[found[1]]}", text)


def ported(step, free):
    files = {name: moved(text, free) for name, text in step.files.items()}
    return Step(step.heading, moved(step.text, free), step.shown, files)


@pytest.mark.timeout(400)
def test_each_step_prints_what_the_page_shows(free, tmp_path):
    # One test, since each step needs the earlier ones and xdist workers would each run them all.
    todo = [ported(step, free) for step in STEPS]
    with tempfile.TemporaryDirectory(prefix="tu") as runtime:
        env = {"XDG_RUNTIME_DIR": runtime}
        printed = session(todo[:STAND_IN], tmp_path, **env)
        within = todo[STAND_IN].text.strip()
        inside = tmp_path / "tutorial"
        printed += ["", *session(todo[STAND_IN + 1 :], inside, within=within, **env)]
    found = {str(step): wrong(step, said) for step, said in zip(STEPS, printed, strict=True)}
    assert {name: each for name, each in found.items() if each != ([], [])} == {}


def wrong(step, printed):
    """The lines missing in `printed`, and those that the page does not show."""
    missing, more = differences(step.shown, printed)
    if "flow-status" in step.text and more:
        # Other commands on this host, which root sees, too.
        more = [line for line in more if "titles:Titles" in line]
        missing = [line for line in missing if "titles:Titles" in line]
    return missing, more


def test_the_tutorial_has_six_chapters():
    chapters = re.findall(r"^## (\d)\. ", PAGE.read_text(), re.MULTILINE)
    assert chapters == ["1", "2", "3", "4", "5", "6"]


def test_the_service_runs_as_set_up_on_the_page(free):
    """The commands that need root, run on the unit's directories; tests.units plays systemd."""
    before, start, stop = [step.text for step in steps(PAGE) if step.heading == SYSTEMD]
    assert re.findall(r"systemctl (.*)", start + stop) == [
        "enable --now flow@titles",
        "status flow@titles",
        "disable --now flow@titles",
    ]
    files = {name: text for step in STEPS for name, text in step.files.items()}
    with tempfile.TemporaryDirectory(prefix="tu") as name:
        folder = Path(name)
        for file in ("pipeline", "titles.py"):
            (folder / file).write_text(moved(files[file], free))
        service = Service("flow@.service", "titles", folder, PYTHONPATH=str(ROOT))
        text = before.replace("sudo ", "").replace("/etc/flowtools/", f"{folder}/etc/")
        (folder / "set-up").write_text(f"{text}\nsleep 600\n")
        stand_in = ["flow-sim", "--assets", "10000", "--", "bash", "-e", "set-up"]
        with subprocess.Popen(stand_in, cwd=folder, env=environment()) as sim:
            try:
                env = folder / "etc/titles/env"
                until(lambda: env.exists() and env.stat().st_mode & 0o777 == 0o600)
                service.start()
                service.hear("READY=1")
                titles = service.path("Logs") / "titles"
                until(lambda: titles.read_text().count("\n") > 3)
                assert service.is_clean(service.stop()), service.messages
                assert any(service.path("State").iterdir())
            finally:
                service.close()
                sim.terminate()
