"""Stop: a request to end, from a signal or a thread, that any thread can wait for."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flowtools.core.wait import Stop
from flowtools.errors import FlowError, UnreachableError
from flowtools.process.signals import Signalled, stopped_by_signals
from tests.conftest import environment
from tests.running import SECONDS, until


@pytest.fixture
def stop():
    stop = Stop()
    yield stop
    stop.close()


def test_waiting_on_an_unset_stop_times_out(stop):
    assert not stop.is_set()
    assert not stop.wait(0.001)
    assert not stop.wait(-1)


def test_a_stop_stays_set_and_keeps_its_first_signal(stop):
    stop.set(signal.SIGTERM)
    stop.set(signal.SIGINT)
    assert stop.is_set()
    assert stop.wait()
    assert stop.signum == signal.SIGTERM


def test_a_stop_may_be_set_any_number_of_times(stop):
    for _ in range(100_000):  # More than its pipe holds.
        stop.set()
    assert stop.is_set()


def test_a_stop_wakes_every_waiting_thread(stop):
    woken = []
    threads = [threading.Thread(target=lambda: woken.append(stop.wait(SECONDS))) for _ in range(5)]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join(SECONDS)
    assert woken == [True] * 5


def test_a_stop_can_be_polled_with_other_descriptors(stop):
    assert select.select([stop], [], [], 0) == ([], [], [])
    stop.set()
    assert select.select([stop], [], [], SECONDS) == ([stop], [], [])


def test_a_stop_is_not_inherited_by_children(stop):
    assert not os.get_inheritable(stop.fileno())


@pytest.mark.parametrize("seconds", [30 * 86400, 1e12])
def test_a_wait_may_be_longer_than_poll_can(stop, seconds):
    stop.set()
    assert stop.wait(seconds)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_stop_and_the_block_ends_with_signalled(signum):
    before = signal.getsignal(signum)
    reached = False
    with pytest.raises(Signalled) as ended, stopped_by_signals() as stop:
        os.kill(os.getpid(), signum)
        assert stop.wait(SECONDS)
        reached = True
    assert reached
    assert ended.value.signum == signum
    assert str(ended.value) == signum.name
    assert signal.getsignal(signum) == before


def test_without_a_signal_the_block_ends_normally():
    before = signal.getsignal(signal.SIGTERM)
    with stopped_by_signals() as stop:
        stop.set()
    with pytest.raises(FlowError, match="as it was"), stopped_by_signals():
        raise FlowError("as it was")
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_error_after_a_signal_becomes_the_cause_of_signalled():
    error = UnreachableError("the broker has gone, too")
    with pytest.raises(Signalled) as ended, stopped_by_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        raise error
    assert ended.value.__cause__ is error


TWICE = """
import os, signal, sys, time
from flowtools.process.signals import stopped_by_signals
with stopped_by_signals() as stop:
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.wait(60)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    print("draining", flush=True)
    while True:
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)
"""


def test_signals_at_once_are_one_request_and_a_later_one_kills_immediately():
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, timeout=SECONDS)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, b"draining\n")


ELSEWHERE = """
import os, signal, threading
from pathlib import Path
from flowtools.process.signals import Signalled, stopped_by_signals
def send():
    main = threading.main_thread()
    while Path(f"/proc/self/task/{main.native_id}/syscall").read_text().split()[0] != POLL:
        pass
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Event().wait()
POLL = {"x86_64": "7", "aarch64": "73"}[os.uname().machine]
try:
    with stopped_by_signals() as stop:
        threading.Thread(target=send, daemon=True).start()
        print(stop.wait(1000), flush=True)
except Signalled as error:
    print(error)
"""


def test_a_signal_takes_effect_in_whichever_thread_receives_it():
    # The order in which the kernel delivers SIGSTOP, SIGTERM and SIGCONT.
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, timeout=SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"True\nSIGTERM\n", b"")


def test_a_suspended_command_ends_at_sigterm_after_resuming():
    line = ["flow-work", "tests.workers:Whatever", "-j", "4"]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, env=environment())
    stat = Path(f"/proc/{process.pid}/stat")
    with process:
        until(lambda: len([*Path(f"/proc/{process.pid}/task").iterdir()]) >= 5, "its threads")
        process.send_signal(signal.SIGSTOP)
        until(lambda: stat.read_text().split()[2] == "T", "its suspension")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        assert process.wait(SECONDS) == -signal.SIGTERM


@pytest.mark.parametrize(("ignored", "other"), [("INT", "TERM"), ("TERM", "INT")])
def test_a_signal_ignored_from_the_start_stays_ignored(ignored, other):
    # As for `flow-interval 60 &` in a shell without job control, when Control-C is pressed.
    line = f"trap '' {ignored}; exec flow-interval 0.05"
    process = subprocess.Popen(["sh", "-c", line], stdout=subprocess.PIPE, env=environment())
    with process:
        assert process.stdout.readline()
        process.send_signal(getattr(signal, f"SIG{ignored}"))
        for _ in range(5):
            assert process.stdout.readline()
        process.send_signal(getattr(signal, f"SIG{other}"))
        process.communicate(timeout=SECONDS)
    assert process.returncode == -getattr(signal, f"SIG{other}")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGPIPE])
@pytest.mark.parametrize("how", ["SIG_IGN", "SIG_DFL"])
def test_end_by_works_for_an_ignored_or_blocked_signal(signum, how):
    code = (
        "import signal; from flowtools.process.signals import end_by; "
        f"signal.signal({signum:d}, signal.{how}); "
        f"signal.pthread_sigmask(signal.SIG_BLOCK, [{signum:d}]); end_by({signum:d})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (-signum, b"")


def test_setting_a_stop_in_a_signal_handler_never_deadlocks():
    # threading.Event hangs here sooner or later: the interrupted code may hold its lock.
    with pytest.raises(Signalled), stopped_by_signals() as stop:
        handler = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *args: stop.set(signal.SIGTERM))
        done = threading.Event()

        def bombard():
            for _ in range(2000):
                os.kill(os.getpid(), signal.SIGTERM)
            done.set()

        thread = threading.Thread(target=bombard)
        thread.start()
        deadline = time.monotonic() + SECONDS
        while not done.is_set():
            assert time.monotonic() < deadline
            stop.wait(0.0001)
        thread.join()
        signal.signal(signal.SIGTERM, handler)
