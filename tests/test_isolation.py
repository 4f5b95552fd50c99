"""--isolation process: nothing that a Worker process does harms the pool.

Each test writes its Worker into a module and runs flow-work as a process.
"""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.running import SECONDS, finish, lines, until


@pytest.fixture
def work(start, tmp_path):
    """Start flow-work on a Worker W with --isolation process."""
    head = """import os, signal, subprocess, sys, threading, time
def note(text):
    open('notes', 'a').write(f'{text}\\n')
"""

    def run(code, *args, **options):
        (tmp_path / "mine.py").write_text(head + code)
        return start("flow-work", "mine:W", "--isolation", "process", *args, stdin=PIPE, **options)

    return run


def state(pid):
    """Return the state of a process, a letter; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_gone(pid):
    return state(pid) in {"", "Z", "X"}


STARTS = """
class W:
    def start(self, event):
        if event.data == 'ok':
            note('ok')
            return
        note(f'self {os.getpid()}')
        shell = "echo other $$ >>notes; sleep 1000 & echo other $! >>notes; sleep 1000"
        subprocess.run(shell, shell=True)
"""


def pids(said):
    return [int(line.split()[1]) for line in said if line.split()[0] in {"self", "other"}]


@pytest.mark.parametrize("end", ["time-out", "drain", "SIGKILL"])
def test_programs_started_by_a_process_end_with_it(work, notes, end):
    options = ("--timeout", 1) if end == "time-out" else ("--drain", 0.5)
    process = work(STARTS, *options)
    process.stdin.write(lines("start"))
    process.stdin.flush()
    until(lambda: len(pids(notes())) == 3, "the programs")
    started = pids(notes())
    if end == "drain":
        process.terminate()
    elif end == "SIGKILL":
        process.kill()
    until(lambda: all(map(is_gone, started)), "their end")
    if end == "time-out":
        status, _, err = finish(process, lines("ok"))
        assert (status, notes()[-1]) == (1, "ok")
        assert "timeout: not done within 1 s" in err


def test_two_attempts_never_run_at_the_same_time(work, notes):
    process = work(STARTS, "--timeout", 0.7, "--retries", 1, "--backoff", 0)
    process.stdin.write(lines("start"))
    process.stdin.flush()
    until(lambda: len(pids(notes())) == 6, "the second attempt")
    first, second = pids(notes())[:3], pids(notes())[3:]
    assert all(map(is_gone, first))
    assert finish(process)[0] == 1
    assert all(map(is_gone, second))


def test_a_crash_ends_the_programs_of_its_process(work, notes):
    code = STARTS.replace("subprocess.run(", "subprocess.Popen(") + (
        "        while len(open('notes').readlines()) < 3: time.sleep(0.01)\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    status, _, err = finish(work(code), lines("start", "ok"))
    assert (status, notes()[-1]) == (1, "ok")
    assert "failed: its process was killed by SIGSEGV" in err
    assert all(map(is_gone, pids(notes())))


OWN_SESSION = """
class W:
    def start(self, event):
        other = subprocess.Popen(['sleep', '1000'], start_new_session=True)
        note(f'self {os.getpid()}')
        note(f'other {other.pid}')
        time.sleep(1000)
"""


@pytest.mark.parametrize(
    ("end", "survives"),
    [("time-out", False), ("drain", False), ("crash", True), ("SIGKILL", True)],
)
def test_a_program_in_its_own_session_survives_only_a_crash_and_a_kill(work, notes, end, survives):
    options = ("--timeout", 1) if end == "time-out" else ("--drain", 0.5)
    process = work(OWN_SESSION, *options)
    process.stdin.write(lines("start"))
    process.stdin.flush()
    until(lambda: len(pids(notes())) == 2, "the program")
    ours, other = pids(notes())
    try:
        if end == "crash":
            os.kill(ours, signal.SIGKILL)
        elif end == "SIGKILL":
            process.kill()
        elif end == "drain":
            process.terminate()
        until(lambda: is_gone(ours), "the end of the process")
        if not survives:
            until(lambda: is_gone(other), "the end of the program")
        finish(process)
        assert is_gone(other) is not survives
    finally:
        if not is_gone(other):
            os.kill(other, signal.SIGKILL)


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(each) for each in found.stdout.split()]


SAYS_WHO = """
class W:
    def start(self, event):
        note(f'self {os.getpid()}')
"""


def test_the_death_of_an_idle_process_costs_no_attempt(work, notes, tmp_path):
    process = work(SAYS_WHO, "--joblog", "log")
    log = tmp_path / "log"
    for number in (1, 2, 3):
        process.stdin.write(lines(number))
        process.stdin.flush()
        until(lambda: log.exists() and log.read_text().count("\n") == number, "it")  # noqa: B023
        os.kill(pids(notes())[-1], signal.SIGKILL)
        until(lambda: is_gone(pids(notes())[-1]), "its end")
    assert finish(process) == (0, [], "")
    assert len(set(pids(notes()))) == 3


def test_a_dead_template_process_is_replaced(work, notes):
    process = work(SAYS_WHO)
    process.stdin.write(lines(1))
    process.stdin.flush()
    until(notes, "the event")
    (template,) = children(process.pid)
    os.kill(template, signal.SIGKILL)
    until(lambda: is_gone(pids(notes())[0]), "the end of its process")
    status, _, err = finish(process, lines(2, 3))
    assert status == 0
    assert len(notes()) == 3
    assert err == "flow-work: warning: the template process has died; starting another\n"


REFUSES = """
class W:
    def configure(self, config):
        if os.path.exists('refuses'):
            note('refused')
            raise ConnectionError('the data base says no')
        note('configure')
    def start(self, event):
        note(event.data)
        if event.data == 'crash':
            open('refuses', 'w')
            os._exit(9)
"""


def test_starting_a_replacement_is_retried(work, notes, tmp_path):
    process = work(REFUSES)
    process.stdin.write(lines("crash", "later"))
    process.stdin.flush()
    until(lambda: notes().count("refused") == 2, "a second try")
    assert process.poll() is None
    (tmp_path / "refuses").unlink()
    status, _, err = finish(process)
    assert (status, notes()[-1]) == (1, "later")
    assert "cannot replace a process: cannot configure Worker 'mine:W': ConnectionError: the" in err
    assert re.search(r"trying again in \d\.\d s\n", err)
    assert err.count("a process for the Worker has started again") == 1


def test_an_event_read_while_a_process_starts_has_its_timeout(work, notes, tmp_path):
    code = (
        REFUSES
        + """        elif event.data == 'hang':
            time.sleep(1000)
"""
    )
    process = work(code, "--timeout", 0.5)
    process.stdin.write(lines("crash"))
    process.stdin.flush()
    until(lambda: notes().count("refused") == 2, "a second try")
    time.sleep(1.2)  # After two time-outs without an event the watchdog sleeps until it is woken.
    process.stdin.write(lines("hang"))
    process.stdin.flush()
    (tmp_path / "refuses").unlink()
    status, _, err = finish(process)
    assert status == 1
    assert "timeout: not done within 0.5 s" in err


def test_a_process_killed_while_it_starts_is_started_again(work, notes, tmp_path):
    code = REFUSES.replace("raise Conn", "os.kill(os.getpid(), 9); raise Conn")
    process = work(code)
    process.stdin.write(lines("crash", "later"))
    process.stdin.flush()
    until(lambda: notes().count("refused") == 1, "a replacement")
    (tmp_path / "refuses").unlink()
    status, _, err = finish(process)
    assert (status, notes()[-1]) == (1, "later")
    assert "its process was killed by SIGKILL meanwhile; trying again" in err


@pytest.mark.parametrize("ending", ["end of input", "SIGTERM"])
def test_a_replacement_that_cannot_start_does_not_delay_the_end(work, notes, ending):
    process = work(REFUSES, "-j", 2)
    until(lambda: notes().count("configure") == 2, "the processes")
    process.stdin.write(lines("crash", "crash"))
    process.stdin.flush()
    until(lambda: notes().count("crash") == 2, "the crashes")
    if ending == "SIGTERM":
        process.terminate()
    assert finish(process)[0] == (1 if ending == "end of input" else -signal.SIGTERM)


def test_a_failure_of_the_first_start_ends_the_command(work, tmp_path):
    (tmp_path / "refuses").touch()
    status, _, err = finish(work(REFUSES, "-j", 3), lines("x"))
    assert status == 78
    assert err.startswith("flow-work: cannot configure Worker 'mine:W': ConnectionError: the data")
    assert err.count("\n") == 1


def test_programs_of_the_worker_get_the_users_environment(work, notes):
    code = """
class W:
    def start(self, event):
        note(os.environ.get('PYTHONPATH'))
        subprocess.run(['/bin/sh', '-c', 'echo $PYTHONPATH >>notes'])
"""
    assert finish(work(code, env={"PYTHONPATH": "/mine"}), lines(1))[0] == 0
    assert notes() == ["/mine", "/mine"]


@pytest.mark.parametrize("threads", [False, True])
def test_modules_named_like_standard_ones_break_nothing(work, notes, tmp_path, threads):
    for name in ("random", "json", "logging", "uuid", "socket", "pickle", "subprocess"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the one you mean')\n")
    # Not through the module's own imports: those would be the user's choice.
    head = "import time\nthreading = None\n"
    code = """
class W:
    def start(self, event):
        open('notes', 'a').write('ok')
"""
    if threads:
        code += "import _thread\n_thread.start_new_thread(time.sleep, (1000,))\n"
    (tmp_path / "own.py").write_text(head + code)
    process = work("", "--retries", 0)
    process.kill()
    process.wait()
    status, err = finish_own(work, tmp_path)
    assert (status, notes()) == (0, ["ok"])
    assert ("starts threads" in err) is threads


def finish_own(work, tmp_path):
    from tests.conftest import BIN, environment

    done = subprocess.run(
        [BIN / "flow-work", "own:W", "--isolation", "process"],
        input=b"1\n", cwd=tmp_path, env=environment(), capture_output=True, timeout=SECONDS,
    )  # fmt: skip
    return done.returncode, done.stderr.decode()


def test_if_the_import_starts_threads_each_process_is_a_new_interpreter(work, notes):
    code = """
ticks = []
def tick():
    while True:
        ticks.append(1)
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
class W:
    def start(self, event):
        if event.data == 'crash':
            os._exit(3)
        before = len(ticks)
        while len(ticks) == before:
            time.sleep(0.01)
        note('its thread runs')
"""
    status, _, err = finish(work(code, "-j", 2), lines(1, "crash", 2))
    assert status == 1
    assert notes() == ["its thread runs"] * 2
    assert err.count("importing Worker 'mine:W' starts threads, so each process is a new") == 1
    assert "failed: its process ended with status 3" in err


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("raise ValueError('no')", "cannot clean up after the Worker: ValueError: no (/"),
        ("time.sleep(1000)", "cannot clean up after the Worker: not done within 0.5 s\n"),
        (
            "os._exit(4)",
            "cannot clean up after the Worker: its process ended with status 4 meanwhile\n",
        ),
    ],
)
def test_a_failing_clean_up_is_reported(work, notes, code, complaint):
    code = f"""
class W:
    def start(self, event):
        note(event.data)
    def clean_up(self):
        {code}
"""
    status, _, err = finish(work(code, "--drain", 0.5), lines("x"))
    assert (status, notes()) == (1, ["x"])
    assert complaint in err
    assert "Traceback" not in err


def test_clean_up_has_time_although_the_drain_is_0(work, notes):
    code = """
class W:
    def start(self, event):
        pass
    def clean_up(self):
        time.sleep(0.2)
        note("cleaned")
"""
    status, _, err = finish(work(code, "--drain", 0, "-j", 1), lines("x"))
    assert (status, notes(), err) == (0, ["cleaned"], "")


def test_large_events_and_results_pass_between_processes(work):
    code = """
class W:
    def start(self, event):
        return event.data * 3
"""
    text = "\r\u2028" + "x" * 700_000
    status, out, _ = finish(work(code, "--max-line", 3_000_000), lines(text, text))
    assert status == 0
    assert [event["data"] for event in out] == [text * 3] * 2


@pytest.mark.parametrize("options", [[], ["--batch", 2]], ids=["one", "batch"])
def test_a_large_event_of_a_process_that_dies_before_it_has_its_content_is_not_begun(
    work, notes, tmp_path, options
):
    # The packet that announces the content, and that with its descriptor, are two system calls.
    code = """
import signal, socket
class W:
    def configure(self, config):
        real = socket.recv_fds
        def dying(*args):
            if not os.path.exists("died"):
                open("died", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args)
        socket.recv_fds = dying
    def start(self, event):
        note(len(event.data))
    def start_many(self, events):
        for event in events:
            note(len(event.data))
"""
    if not options:
        code = code.partition("    def start_many")[0]
    status, _, err = finish(work(code, *options, cwd=tmp_path), lines("x" * 700_000))
    assert (tmp_path / "died").exists()
    assert (status, notes(), err) == (0, ["700000"], "")


def test_processes_end_with_threads_joined_and_atexit_run(work, notes):
    code = """
import atexit
class W:
    def configure(self, config):
        atexit.register(note, 'atexit')
    def start(self, event):
        threading.Thread(target=lambda: (time.sleep(0.2), note('thread'))).start()
"""
    assert finish(work(code), lines(1)) == (0, [], "")
    assert notes() == ["thread", "atexit"]


def test_log_format_json_applies_in_the_processes(work):
    code = """
class W:
    def start(self, event):
        print('hello')
"""
    _, _, err = finish(work(code, "--log-format", "json"), lines(1))
    assert "hello" in json.loads(err)["message"]


# --recycle


@pytest.mark.parametrize("threads", ["1", "3"])
def test_recycle_replaces_a_process_after_n_events_without_loss(work, notes, tmp_path, threads):
    code = """class W:
    def start(self, event):
        note(f'{os.getpid()} {event.data}')
    def clean_up(self):
        note(f'{os.getpid()} clean')
"""
    process = work(code, "--recycle", "10", "-j", threads)
    status, _, err = finish(process, lines(*range(95)))
    assert (status, err) == (0, "")
    rows = [row.split() for row in notes()]
    assert sorted(int(data) for _, data in rows if data != "clean") == list(range(95))
    of_pid = {}
    for pid, data in rows:
        of_pid.setdefault(pid, []).append(data)
    assert len(of_pid) >= 10
    for data in of_pid.values():
        assert len(data) <= 11
        assert data.count("clean") == 1
        assert data[-1] == "clean"


def test_recycle_memory_replaces_a_leaking_process(work, notes):
    code = """class W:
    kept = []
    def start(self, event):
        self.kept.append(bytearray(os.urandom(1 << 20)) * 20)
        time.sleep(0.15)
        note(os.getpid())
"""
    process = work(code, "-v", "--recycle-memory", "150")
    status, _, err = finish(process, lines(*range(20)))
    assert status == 0, err
    pids = notes()
    # 20 MiB per event in addition to Python's own memory: about six events per process.
    assert len(pids) == 20
    assert 3 <= len(set(pids)) <= 10
    assert re.search(r"process [0-9]+ is replaced after 1[5-9][0-9] MiB", err), err


def test_starting_a_replacement_after_recycling_is_retried(work, tmp_path):
    code = """class W:
    def configure(self, config):
        if os.path.exists('once') and not os.path.exists('twice'):
            open('twice', 'w').close()
            raise ConnectionError('not now')
        open('once', 'w').close()
    def start(self, event):
        pass
"""
    status, _, err = finish(work(code, "--recycle", "2"), lines(*range(5)))
    assert status == 0
    assert "cannot replace a process" in err
    assert "ConnectionError: not now" in err
    assert "has started again" in err


def test_a_failing_clean_up_of_a_recycled_process_is_reported(work):
    code = """class W:
    def start(self, event):
        pass
    def clean_up(self):
        raise ValueError('still open')
"""
    status, _, err = finish(work(code, "--recycle", "2"), lines(*range(3)))
    said = [line for line in err.splitlines() if "ValueError: still open" in line]
    # By the first process at its replacement, and by the second at the end, which fails with it.
    assert len(said) == 3
    assert status == 1


def test_batches_count_their_events_for_recycling(work, notes):
    code = """class W:
    def start_many(self, events):
        note(f'{os.getpid()} {len(events)}')
"""
    status, _, err = finish(work(code, "--recycle", "10", "--batch", "4"), lines(*range(24)))
    assert status == 0, err
    of_pid = {}
    for row in notes():
        pid, count = row.split()
        of_pid[pid] = of_pid.get(pid, 0) + int(count)
    assert list(of_pid.values()) == [12, 12]


@pytest.mark.parametrize("option", [["--recycle", "5"], ["--recycle-memory", "100"]])
def test_recycling_is_refused_with_threads(run, option):
    status, _, err = run("flow-work", "mine:W", *option)
    assert status == 2
    assert f"{option[0]} needs --isolation process: threads share one process" in err
