"""A planted password and token are searched for in everything that any command leaves behind.

Each scenario is a shell line, with every secret within reach and messages as detailed as possible
(-vv). What it prints, every file that it writes and the titles of its processes must not
contain them, plain or as Base64, the form in which HTTP sends a login.
"""

import os
import subprocess
import sys
import threading
import time
import tomllib
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment
from tests.ports import reserved_ports
from tests.running import SECONDS

PASSWORD = "Zq7kPasswordHunterZq7k"
TOKEN = "Xw9mTokenOfTheWorkerXw9m"
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
GIVEN = {"pw", "w.ini", "bad.ini", "mine.py"}
"""Files that the test itself writes; the secrets are in them."""

MINE = """
import os, signal, time, urllib.request

from flowtools.worker import Reject


class Breaks:
    def configure(self, config):
        self.token = config["tag"]["token"]
        self.metrics = config["tag"].get("metrics")

    def start(self, event):
        token, password = self.token, os.environ["FLOW_PASSWORD"]
        if self.metrics:
            with urllib.request.urlopen(f"http://{self.metrics}/metrics") as answer:
                open("metrics", "ab").write(answer.read())
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.3)
        raise (ValueError, Reject)[hash(event.id) % 2]("no")


class Stuck(Breaks):
    def start(self, event):
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass


class Source:
    def configure(self, config):
        self.token = config["tag"]["token"]

    def run(self, emit):
        token = self.token
        emit({"n": 1})
        raise ValueError("the source breaks")
"""

SIM = "flow-sim -vv --password-file pw --http 127.0.0.1:$HTTP --stomp 127.0.0.1:$STOMP"
QUEUE = "'stomp://admin@127.0.0.1:'$STOMP'/?destination=/queue/q'"
INI = "--config w.ini"
LINES = "seq 4"

SCENARIOS = {
    "a login that is taken": f"""{SIM} --assets 6 --faults 5xx=0.2 -- sh -c "
        flow-listen-assets -vv --state state --ack worker --count 6 \
        | flow-work -vv {INI} --joblog log --failed failed -j 2 mine:Breaks" """,
    "files, a queue, and back": f"""{SIM} --files 3 -- sh -c "
        flow-listen-files -vv --count 3 xmlimport > lines
        flow-send -vv {QUEUE} < lines; flow-send -vv --password-file pw {QUEUE} < lines
        flow-listen-stomp -vv --count 3 {QUEUE} | tee copy | flow-view --follow -vv" """,
    "another password": f"""{SIM.replace("pw", "pw2")} -- sh -c "
        export VIZONE_PASSWORD=\\$FLOW_PASSWORD
        flow-listen-assets -vv; flow-listen-files -vv --password-file pw x
        echo 1 | flow-send -vv {QUEUE}
        flow-listen-stomp -vv --password-file pw {QUEUE}" """,
    "nobody answers": f"""
        flow-listen-assets -vv
        echo 1 | flow-send -vv --retry-for 0 {QUEUE}
        flow-listen-stomp -vv --retry-for 0 {QUEUE}""",
    "metrics and SIGUSR1": f"""{LINES} | flow-work -vv {INI} -j 2 --retries 1 --backoff 0.01 \
        --metrics 127.0.0.1:$HTTP --set tag.metrics=127.0.0.1:$HTTP --progress mine:Breaks""",
    "processes": f"""{LINES} | flow-work -vv {INI} --isolation process --joblog log mine:Breaks
        flow-joblog -vv log""",
    "a setting on the command line": f"""{LINES} | flow-work -vv --set 'tag.token=$TOKEN' \
        --failed failed mine:Breaks
        flow-failed -vv failed; flow-failed -vv --replay failed | flow-work -vv mine:Breaks""",
    "stuck": f"""{LINES} | flow-work -vv {INI} --timeout 0.2 --grace 0.1 --max-abandoned 2 \
        -j 2 --failed failed mine:Stuck""",
    "an INI file that is wrong": """
        for each in flow-work 'flow-source --count 1' flow-run; do
            echo 1 | $each -vv --config bad.ini mine:Breaks; done
        flow-run -vv bad.ini""",
    "a Worker that is wrong": f"""
        echo 1 | flow-work -vv {INI} mine:Nothing; echo 1 | flow-work -vv --set tag.x=1 mine:Breaks
        flow-run -vv {INI} mine:Breaks""",
    "a URL with a password": """
        echo 1 | flow-send -vv "stomp://admin:$FLOW_PASSWORD@h/?destination=a"
        flow-listen-stomp -vv "stomp://h/?destination=a&passcode=$FLOW_PASSWORD"
        flow-listen-assets -vv --url "http://admin:$FLOW_PASSWORD@h/" """,
    "a check of everything": f"""{SIM} -- sh -c "
        flow-doctor -vv --location xmlimport; flow-doctor -vv --password-file pw {QUEUE}"
        flow-doctor -vv; flow-doctor -vv --connect-timeout 1 {QUEUE}""",
    "sources of one's own": f"""flow-source -vv {INI} mine:Source
        mkdir in; echo > in/a; flow-watch -vv --existing --settle 0 --count 1 in
        flow-status -vv --json
        flow-interval -vv 0.01 --count 2; echo 1 | flow-stdin -vv; echo '{{}}' | flow-ack -vv
        echo 1 | flow-jq -vv . | flow-tee -vv copied""",
}


@pytest.fixture
def given(tmp_path):
    (tmp_path / "pw").write_text(PASSWORD + "\n")
    (tmp_path / "pw2").write_text("another\n")
    (tmp_path / "w.ini").write_text(f"[tag]\ntoken = $TOKEN\nother = {TOKEN}\n")
    (tmp_path / "bad.ini").write_text(f"[tag]\ntoken = {TOKEN}\n{TOKEN}\n[tag]\n= {TOKEN}\n")
    (tmp_path / "mine.py").write_text(MINE)
    with reserved_ports(2) as (http, stomp):
        yield environment(
            VIZONE_URL=f"http://127.0.0.1:{http}",
            VIZONE_USER="admin",
            VIZONE_PASSWORD=PASSWORD,
            FLOW_USER="admin",
            FLOW_PASSWORD=PASSWORD,
            TOKEN=TOKEN,
            HTTP=str(http),
            STOMP=str(stomp),
        )


class Titles:
    """The titles of all processes in a session, sampled continuously."""

    def __init__(self, leader):
        self.seen = set()
        self._leader = leader
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self):
        while not self._over.wait(0.01):
            for folder in Path("/proc").iterdir():
                with suppress(OSError, ValueError):
                    if os.getsid(int(folder.name)) == self._leader:
                        self.seen.add((folder / "cmdline").read_bytes())

    def stop(self):
        self._over.set()
        self._thread.join()
        return self.seen


def needles():
    """Each secret, and the part of its Base64 that is the same at every offset."""
    for secret in (PASSWORD, TOKEN):
        yield secret.encode()
        for shift in range(3):
            yield b64encode(b"x" * shift + secret.encode())[4:-4]


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_secret_is_left_anywhere(name, given, tmp_path):
    line = SCENARIOS[name]
    with subprocess.Popen(
        ["bash", "-c", line],
        cwd=tmp_path,
        env=given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as shell:
        titles = Titles(shell.pid)
        try:
            said = shell.communicate(timeout=SECONDS)[0]
        finally:
            shell.kill()
            seen = titles.stop()
    left = {"output": said}
    left |= {f"file {p.name}": p.read_bytes() for p in files_in(tmp_path) if p.name not in GIVEN}
    if "URL" not in name:  # There the user has put it on the command line.
        left |= {f"title {title!r}": title for title in seen if b"bash\0-c" not in title}
    assert b"flow-" in said, said
    assert any(b"bin/flow-" in title for title in seen)
    for where, content in left.items():
        for needle in needles():
            assert needle not in content, (where, content.decode(errors="replace"))


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]


def test_every_command_is_in_a_scenario():
    text = " ".join(SCENARIOS.values())
    assert [name for name in SCRIPTS if name not in text] == []


def test_the_search_would_find_a_leaked_secret(given, tmp_path):
    login = b64encode(f"admin:{PASSWORD}".encode())
    assert any(needle in login for needle in needles())
    title = [sys.executable, "-c", "import time; time.sleep(30)", PASSWORD]
    with subprocess.Popen(title, start_new_session=True) as process:
        titles = Titles(process.pid)
        while not any(PASSWORD.encode() in each for each in titles.seen):
            time.sleep(0.01)
        titles.stop()
        process.kill()


@pytest.mark.parametrize("command", ["flow-listen-stomp", "flow-send"])
@pytest.mark.parametrize("name", ["passcode", "Password"])
def test_a_password_as_a_header_is_refused(run, command, name):
    url = "stomp://127.0.0.1:1/?destination=/queue/x"
    status, out, err = run(command, "--header", f"{name}=tr0ub4dor", url)
    assert (status, out) == (2, b"")
    assert "holds a password" in err
    assert "tr0ub4dor" not in err
