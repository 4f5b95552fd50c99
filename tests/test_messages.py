"""Output of a Worker becomes messages with its event and never blocks, in threads and processes.

tests/test_hostile.py tests other ways in which a Worker misbehaves, including attempts to silence
the command.
"""

import json
import re
import signal
import threading
import time
from subprocess import PIPE

import orjson
import pytest

from tests.running import SECONDS

HEAD = """import ctypes, logging, logging.config, os, signal, subprocess, sys
import threading, time, warnings
log = logging.getLogger("mine.module")
class W:
    def start(self, event):
        if event.data == "bad":
            self.misbehave(event)
        return event.data
    def misbehave(self, event):
"""


def event(data, identity="id-1", subject=None):
    fields = {"specversion": "1.0", "id": identity, "source": "s", "type": "t", "data": data}
    return orjson.dumps(fields | ({"subject": subject} if subject else {})) + b"\n"


@pytest.fixture(params=["thread", "process"])
def work(request, start, tmp_path):
    """Start flow-work on a Worker whose `misbehave` has this body."""

    def run(body, *args, **options):
        lines = "".join(f"        {line}\n" for line in body.strip().split("\n"))
        (tmp_path / "mine.py").write_text(HEAD + lines)
        isolation = ("--isolation", request.param)
        return start("flow-work", "mine:W", *isolation, *args, stdin=PIPE, **options)

    run.isolation = request.param
    return run


def finish(process, text):
    out, err = process.communicate(text, timeout=SECONDS)
    return process.returncode, [orjson.loads(line)["data"] for line in out.splitlines()], err


WORDS = {
    "print": ("print('said')", "info", None),
    "stdout without an end": ("sys.stdout.write('said')", "info", None),
    "stdout in bytes": ("sys.stdout.buffer.write(b'said\\n')", "info", None),
    "stderr": ("sys.stderr.write('said\\n')", "info", None),
    "stderr without an end": ("print('said', end='', file=sys.stderr)", "info", None),
    "a program": ("subprocess.run(['echo', 'said'])", "info", None),
    "a program's stderr": ("subprocess.run('echo said >&2', shell=True)", "info", None),
    "a descriptor": ("os.write(1, b'said\\n')", "info", None),
    "a thread": (
        "each = threading.Thread(target=print, args=('said',)); each.start(); each.join()",
        "info",
        None,
    ),
    "a warning": ("warnings.warn('said')", "warning", "py.warnings"),
    "logging": ("log.warning('%s', 'said')", "warning", "mine.module"),
    "an error": ("log.error('said')", "error", "mine.module"),
    "a level of its own": ("log.log(35, 'said')", "warning", "mine.module"),
    "an exception": (
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('said')",
        "error",
        "mine.module",
    ),
    "the end of a thread": (
        "each = threading.Thread(target=lambda: 1 / 0, name='said'); each.start(); each.join()",
        "error",
        None,
    ),
    "unraisable": (
        "class Said:\n    def __del__(self):\n        raise ValueError('said')\nSaid()",
        "error",
        None,
    ),
    "C code": ("ctypes.CDLL(None).puts(b'said'); ctypes.CDLL(None).fflush(None)", "info", None),
}


@pytest.mark.parametrize(("body", "level", "logger"), WORDS.values(), ids=WORDS)
def test_everything_a_worker_prints_is_one_message_with_its_event(work, body, level, logger):
    text = event("ok", "id-0", "other") + event("bad", "id-7", "clip 7")
    status, out, err = finish(work(body, "--log-format", "json"), text)
    assert (status, out) == (0, ["ok", "bad"])
    (said,) = [json.loads(line) for line in err.splitlines()]
    assert "said" in (said["message"] + said.get("traceback", "")).lower()
    assert (said["event"], said["subject"], said["attempt"]) == ("id-7", "clip 7", 1)
    assert (said["level"], said.get("logger")) == (level, logger)
    assert ("traceback" in said) is (level == "error" and body != WORDS["an error"][0])


@pytest.mark.parametrize("body", [each for each, _, _ in WORDS.values()], ids=WORDS)
def test_each_line_of_a_text_message_starts_with_its_event(work, body):
    status, _, err = finish(work(body), event("bad", "id-7", "clip 7"))
    assert status == 0
    for line in err.decode().splitlines():
        assert re.match(r"flow-work: (warning: )?clip 7 \(id-7\): |    ", line), line


def test_messages_name_the_attempt(work):
    # The output of a program is read a moment later: the next attempt must not begin before.
    options = ("--retries", 1, "--backoff", 3, "--log-format", "json")
    body = "print('said'); subprocess.run(['echo', 'said']); raise ValueError"
    _, _, err = finish(work(body, *options), event("bad"))
    said = [json.loads(line) for line in err.splitlines()]
    assert [each["attempt"] for each in said if each["message"] == "said"] == [1, 1, 2, 2]


def test_late_output_of_a_program_names_the_attempt_that_ended_last(work, tmp_path):
    options = ("--retries", 1, "--backoff", 0, "--log-format", "json")
    body = """
if not os.path.exists('tried'):
    open('tried', 'w').close()
    raise ValueError
subprocess.Popen(['sh', '-c', 'until [ -e go ]; do sleep 0.05; done; echo said'])
"""
    process = work(body, *options)
    process.stdin.write(event("bad"))
    process.stdin.flush()
    assert process.stdout.readline()  # The event is done: nothing runs any more.
    (tmp_path / "go").touch()
    said = None
    while said is None or said["message"] != "said":
        said = json.loads(process.stderr.readline())
    if work.isolation == "thread":
        assert (said["event"], said["attempt"]) == ("id-1", 2)
    else:  # Between two events a process may be a new one, whose `configure` says this.
        assert "event" not in said
    assert finish(process, b"")[0] == 0


CONTROLS = "\x1b[2J \x9b31m \u202eabc \u200b \u200e \ufeff \u2066 \x07"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_control_characters_never_reach_the_terminal(work, log_format):
    body = (
        f"text = {CONTROLS!r} + '\\nflow-work: 0 events failed'\n"
        "print(text); log.error(text); os.write(1, text.encode() + b'\\n')\n"
        "raise ValueError(text)"
    )
    _, _, err = finish(work(body, "-v", "--log-format", log_format), event("bad"))
    text = err.decode()
    shown = text if log_format == "text" else "".join(
        value for line in text.splitlines() for value in json.loads(line).values()
        if isinstance(value, str)
    )  # fmt: skip
    assert not set(CONTROLS) - set(" [2J31mabc") & set(shown)
    assert "Traceback" in shown
    assert "\nflow-work: 0 events failed" not in "\n" + text


@pytest.mark.parametrize(
    ("options", "heard"),
    [
        ((), ["warning"]),
        (("-v",), ["info", "warning"]),
        (("-vv",), ["debug", "info", "warning"]),
        (("-q",), []),
        (("--worker-log-level", "debug"), ["debug", "info", "warning"]),
        (("-vv", "--worker-log-level", "warning"), ["warning"]),
    ],
)
def test_the_level_of_a_workers_logging_can_be_chosen(work, options, heard):
    body = "log.debug('debug'); log.info('info'); log.warning('warning')"
    _, _, err = finish(work(body, "--log-format", "json", *options), event("bad"))
    said = [json.loads(line) for line in err.splitlines()]
    assert [each["message"] for each in said if each.get("logger") == "mine.module"] == heard


def test_a_message_is_bounded(work):
    body = "print('x' * 3_000_000); log.error('y' * 3_000_000)\nos.write(1, b'z' * 3_000_000)"
    _, _, err = finish(work(body), event("bad"))
    lines = err.decode().splitlines()
    assert max(map(len, lines)) < 70_000
    assert [line for line in lines if "[cut: " in line]


FLOOD = """
for number in range(3000):
    print(f"{number} " + "x" * 1000)
"""


def test_an_unread_stderr_delays_nothing(work):
    process = work(FLOOD, "-j", 2, "--timeout", 50)
    process.stdin.write(event("bad") * 4 + event("ok") * 20)
    process.stdin.close()
    assert len([process.stdout.readline() for _ in range(24)][-1]) > 1
    err = b"".join(process.stderr)  # Now stderr is read.
    assert process.wait(SECONDS) == 0
    assert 0 < err.count(b"\n") < 12_000
    lost = [
        int(found) for found in re.findall(rb"(\d+) messages? (?:was|were) dropped: nobody", err)
    ]
    assert sum(lost) + err.count(b"xxx\n") == 12_000


@pytest.mark.parametrize(
    "body", [FLOOD, FLOOD + "time.sleep(1000)"], ids=["flood", "flood and hang"]
)
def test_an_unread_stderr_does_not_delay_the_end(work, body):
    process = work(body, "--drain", 1, "--timeout", 500)
    process.stdin.write(event("bad") * 1000)
    process.stdin.flush()
    first = threading.Thread(target=process.stdout.read)
    first.start()
    time.sleep(1)  # By now stderr is most likely full.
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert time.monotonic() - began < 30  # Neither 1000 seconds nor forever.
    first.join()
