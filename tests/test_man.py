"""Every example of every manual page is run as written.

A pipeline that ends must succeed. An endless one must be seen to work, by the job log or
by its output, and end at a signal.
"""

import http.server
import os
import re
import signal
import subprocess
import threading
import time
from contextlib import suppress
from subprocess import PIPE
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.conftest import BIN, ROOT, environment
from tests.ports import reserved_ports
from tests.running import SECONDS
from tests.vizone_servers import stand_in

PAGES = sorted((ROOT / "man").iterdir())

ANOTHER = {
    "stomp+ssl://mq:61614": ("stomp://{broker}", "the stand-in has no TLS; tests/test_tls.py has"),
    "stomp://mq": ("stomp://{broker}", "the broker has another name"),
    "https://vizone.example VIZONE_USER=flow": ("{vizone} VIZONE_USER=admin", "another server"),
    "https://example.com/items": ("{web}/items.json", "another server"),
    "https://example.com/rundown": ("{web}/mymod.py", "another server"),
    "127.0.0.1:8080": ("127.0.0.1:{free[0]}", "the port may be in use"),
    "127.0.0.1:61613": ("127.0.0.1:{free[1]}", "the port may be in use"),
    "WebServer |": ("WebServer --set web.port={free[0]} |", "the port may be in use"),
    "/media/in": ("{here}/in", "another folder"),
    "/media": ("{here}/in", "another folder"),
    "/mnt/share --poll 10": ("{here}/share --poll 0.1", "another folder; not to wait so long"),
    "/var/lib/tag": ("{here}", "another folder"),
    "/var/log/playout.log": ("{here}/playout.log", "another folder"),
    "/opt/apps/xmlimport/xmlimport.ini": (
        "{root}/examples/xml_import/xml_import.ini --dry-run",
        "another folder; tests/test_applications.py lets it work",
    ),
    "flow-interval 60": ("flow-interval 0.1", "not to wait so long"),
    "flow-interval 5": ("flow-interval 0.1", "not to wait so long"),
    "flow-interval 900 --window 22:00-04:00": (
        "flow-interval 0.1 --window 00:01-00:00",
        "not to wait until the night",
    ),
    "'30 6 * * MON-FRI'": ("'* * * * * *'", "not to wait until the morning"),
    "--max-silence 1h": (
        "--max-silence 1h || test $? = 1",
        "whether something else runs on this machine, and how well, is not ours to say",
    ),
    "Interval(900)": ("Interval(0.1)", "not to wait so long"),
    "wait(10)": ("wait(0.1)", "not to wait so long"),
    '"dw.state:old"': ('"no such words"', "the stand-in has no such field"),
    "systemctl ": (": systemctl ", "there may be no systemd; tests/test_contrib.py has units"),
    "journalctl ": (": journalctl ", "there may be no systemd"),
    "/var/lib/flowtools/tag": ("{here}/kept", "there may be no such service"),
}
"""Examples that are not run as written: the text, what is run instead, and why."""

SEVERAL = {"flow-source.1": r"^(?=flow-source )"}
"""Pages whose blocks contain several endless commands, and where each begins."""

CURSOR = "from flowtools.event import Event\nfrom flowtools.source.cursor"
"""How the example of a Cursor begins."""

MORE = {
    "class Print": "echo '{}' | flow-work shown:Print",
    "from flowtools.source.interval": "flow-run shown:Sweep",
    "class Poll": "flow-source shown:Poll --count 2",
    CURSOR: "flow-source shown:Items --set items.state=items.cursor --count 2",
}
"""How a class shown on a page is run, by the beginning of its text."""

BEFORE = {
    "class Poll": "import threading\n\n\ndef look():\n    yield 1\n\n\n",
    CURSOR: ("def items_after(last):\n    return [{'id': '1'}, {'id': '2'}]\n\n\n"),
}
"""The names that a shown class assumes to exist."""

MOD = """
import os
class Any:
    def start(self, event):
        return event.subject
Tag = Index = Poll = Sweep = Report = Check = Store = Ingest = Job = Rundown = Transfer = Any
class Bulk:
    def start_many(self, events):
        return [event.subject for event in events]
"""

JOBLOG = (
    '{"id":"1","subject":null,"type":"t","outcome":"done","attempt":1,"final":true,"queued":0.1,'
    '"ran":0.2,"finished":"2026-01-01T10:00:00.000Z","error":null}\n'
)
FAILED = """\
{"specversion":"1.0","id":"1","source":"s","type":"flow.asset.deleted","flowerror":"No: no"}
"""

WRAPPER = """#!/bin/sh
exec {command} --joblog "$EVIDENCE" "$@"
"""


def blocks_of(page):
    """The examples of a page: (the words before it, its text)."""
    section = page.read_text().partition("\n.Sh EXAMPLES\n")[2].partition("\n.Sh ")[0]
    assert not re.search(r"(?<!\\)\\$", section, re.MULTILINE), "a \\ at a line's end is \\e"
    pattern = r"((?:^(?!\.Bd|\.Dl).*\n)*)(?:^\.Bd .*\n((?:.*\n)*?)\.Ed$|^\.Dl (.*)$)"
    for words, block, line in re.findall(pattern, section + "\n", re.MULTILINE):
        text = (block or line).replace("\\(dq", '"').replace("\\e", "\\").replace("\\&", "")
        yield words, re.sub(r"^\$ |^  (?=done)", "", text, flags=re.MULTILINE)


def examples_of(page):
    for words, text in blocks_of(page):
        split = SEVERAL.get(page.name)
        parts = re.split(split, text, flags=re.MULTILINE) if split else [text]
        yield from ((words, part) for part in parts if part.strip())


class Playground:
    """A folder with all files that the examples use, and servers on which things change."""

    def __init__(self, folder, server, run, ports):
        self.here = folder
        self.run = run
        self.evidence = folder / "evidence"
        for name in ("in", "share", "bin", "kept", "logs"):
            (folder / name).mkdir()
        (folder / "mymod.py").write_text(MOD)
        (folder / "items.json").write_text('{"items": [{"id": 1}, {"id": 2}]}')
        (folder / "jobs.py").write_text(MOD + "Encode = Any\n")
        (folder / "list.txt").write_text("a\nb\n")
        (folder / "failed.jsonl").write_text(FAILED)
        (folder / "joblog.jsonl").write_text(JOBLOG)
        (folder / "kept" / "failed").write_text(FAILED)
        (folder / "playout.log").touch()
        (folder / "in" / "there.mxf").touch()
        (folder / ".vizone-password").write_text(server.password)
        for command in ("flow-work", "flow-run"):
            wrapper = folder / "bin" / command
            wrapper.write_text(WRAPPER.format(command=BIN / command))
            wrapper.chmod(0o755)
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
        web.folder = folder
        self.web = web
        self.free = ports
        self.stop = threading.Event()
        targets = (self.feed, web.serve_forever)
        self.threads = [threading.Thread(target=each, daemon=True) for each in targets]
        self.names = {
            "here": folder,
            "root": ROOT,
            "broker": server._stomp_url.removeprefix("stomp://").rstrip("/"),
            "vizone": server.url,
            "web": f"http://127.0.0.1:{web.server_port}",
            "free": self.free,
        }
        env = environment(**server.environment(), HOME=str(folder), EVIDENCE=str(self.evidence))
        env |= {"FLOW_USER": "admin", "FLOW_PASSWORD": server.password}
        env["URL"] = self.queue("jobs")
        env["PATH"] = f"{folder}/bin:{env['PATH']}"
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(folder)])
        env |= {"STATE_DIRECTORY": str(folder / "kept"), "LOGS_DIRECTORY": str(folder / "logs")}
        env["BASH_FUNC_process%%"] = '() { echo "$1" >>processed; }'
        self.env = env

    def __enter__(self):
        for each in self.threads:
            each.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        self.web.shutdown()
        self.web.server_close()
        for each in self.threads:
            each.join()

    def send(self):
        """Put messages into the queues."""
        lines = b"".join(b"%d\n" % number for number in range(20))
        for queue in ("jobs", "new"):
            self.command("flow-send", "--raw", self.queue(queue), input=lines)

    def queue(self, name):
        return f"stomp://{self.names['broker']}/?destination=/queue/{name}"

    def command(self, *args, **options):
        status, out, err = self.run(*args, env=self.env, cwd=self.here, timeout=SECONDS, **options)
        assert status == 0, (args, out, err)

    def feed(self):
        """Cause changes: files come and go, a log grows, a client sends a request."""
        number = 0
        while not self.stop.wait(0.05):
            number += 1
            for folder in (self.here / "in", self.here / "share", self.here):
                (folder / f"{number}.mxf").write_text("x")
                (folder / f"{number - 100}.mxf").unlink(missing_ok=True)
            with (self.here / "playout.log").open("a") as log:
                log.write(f"line {number}\n")
            if number % 10 == 0:
                request = Request(f"http://127.0.0.1:{self.free[0]}/", b"{}", method="POST")
                try:
                    urlopen(request, timeout=1).close()
                except HTTPError as error:
                    error.close()  # Another example serves there; the error holds its answer.
                except OSError:
                    continue  # No example serves just now.

    def start(self, line):
        # Let jq and similar programs write lines instead of blocks.
        return subprocess.Popen(
            ["stdbuf", "-oL", "bash", "-o", "pipefail", "-c", line],
            cwd=self.here,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )

    def instead(self, text):
        for old, (new, _) in ANOTHER.items():
            text = text.replace(old, new.format_map(self.names))
        return text

    def try_out(self, line):
        """Run the line until it has ended or has been seen to work, and end it."""
        for file in (self.evidence, self.here / "processed"):
            file.unlink(missing_ok=True)
        if "stomp" in line or "$URL" in line:
            self.send()
        process = self.start(line)
        out, err = Kept(process.stdout), Kept(process.stderr)
        has_worked = False
        try:
            limit = time.monotonic() + SECONDS
            while process.poll() is None and not has_worked:
                assert time.monotonic() < limit, (line, out.text, err.text)
                time.sleep(0.02)
                has_worked = self.has_worked(line, out)
            os.killpg(process.pid, signal.SIGTERM)
            status = process.wait(SECONDS)
        except ProcessLookupError:
            status = process.wait(SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            out.close()
            err.close()
        assert not re.search("internal error|Traceback|--help'", err.text), err.text
        assert has_worked or status == 0, (line, status, out.text, err.text)
        assert status in (0, 143, -signal.SIGTERM), (line, status, out.text, err.text)

    def has_worked(self, line, out):
        if "flow-failed" in line:
            return False  # The example ends by itself.
        if "flow-send" in line and "|" in line and "--raw" not in line:
            self.command("flow-listen-stomp", "--count", 1, self.queue("assets"))
            return True
        logs = (self.evidence, self.here / "logs" / "joblog")
        if re.search(r"\bflow-(work|run)\b", line):
            return any(log.exists() and '"done"' in log.read_text() for log in logs)
        if "process " in line:
            return (self.here / "processed").exists()
        return bool(out.text)


class Files(http.server.SimpleHTTPRequestHandler):
    def __init__(self, request, client, server):
        super().__init__(request, client, server, directory=server.folder)

    def log_message(self, *args):
        pass


class Kept:
    """Reads everything from a pipe."""

    def __init__(self, stream):
        self.stream = stream
        self.text = ""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.stream:
            self.text += line.decode("utf-8", "replace")

    def close(self):
        self.thread.join(SECONDS)
        self.stream.close()


@pytest.fixture(scope="module")
def server():
    # At twenty changes a second these last longer than the tests of all pages.
    with stand_in(assets=40_000, files=40_000, echo=False) as server:
        yield server


@pytest.fixture
def playground(server, run, tmp_path):
    with (
        reserved_ports(2) as ports,
        Playground(tmp_path, server, run, ports) as playground,
    ):
        yield playground


def is_python(text):
    return re.match(r"(class|from|import) ", text) is not None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_of_the_page_works(playground, page):
    examples = list(examples_of(page))
    assert examples
    for words, text in examples:
        text = playground.instead(text)
        if not is_python(text):
            playground.try_out(text)
            continue
        (name,) = re.findall(r"\.Pa (\w+)\.py", words) or ["shown"]
        (start,) = [each for each in MORE if text.startswith(each)] or [""]
        (playground.here / f"{name}.py").write_text(BEFORE.get(start, "") + text)
        if start:
            playground.try_out(MORE[start])
        else:
            assert name != "shown"  # A later example of the page runs it.


def test_every_replacement_is_used():
    text = "".join(text for page in PAGES for _, text in examples_of(page))
    for old in ANOTHER:
        assert old in text, old


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_has_the_expected_sections(page):
    found = set(re.findall(r"^\.Sh (.+)$", page.read_text(), re.MULTILINE))
    needed = {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "EXIT STATUS"}
    assert needed | {"EXAMPLES", "SEE ALSO"} <= found
