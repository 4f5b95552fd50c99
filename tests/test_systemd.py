"""Messages to the service manager, received on a real socket."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from flowtools.process.systemd import Notifier
from tests.conftest import ROOT, environment
from tests.running import SECONDS


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """The socket of a service manager, whose path is in the environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listening


@pytest.fixture
def notifier(manager):
    notifier = Notifier()
    yield notifier
    notifier.close()


def test_each_message_is_a_datagram(manager, notifier):
    notifier.ready()
    notifier.ping()
    notifier.stopping()
    assert [manager.recv(100) for _ in range(3)] == [
        b"READY=1",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_a_notifier_with_keep_leaves_the_variables_in_the_environment(manager):
    first, second = Notifier(keep=True), Notifier()
    first.status("a")
    second.ready()
    assert [manager.recv(100) for _ in range(2)] == [b"STATUS=a", b"READY=1"]
    first.close()
    second.close()
    assert "NOTIFY_SOCKET" not in os.environ


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("flow-interval 60", "flow-interval: well, "),
        ("sleep 60 | flow-work tests.workers:Nop", "flow-work tests.workers:Nop: well, "),
        ("sleep 60 | flow-tee /dev/null", "flow-tee: well, "),
        ("sleep 60 | flow-ack", "flow-ack: well, "),
        (
            "flow-listen-stomp stomp://127.0.0.1:1/?destination=/queue/a | cat",
            "flow-listen-stomp /queue/a: not connected: ",
        ),
    ],
)
def test_each_long_running_command_reports_its_status(manager, tmp_path, command, said):
    env = environment(NOTIFY_SOCKET=manager.getsockname(), PYTHONPATH=str(ROOT))
    line = f"{command} >/dev/null"
    with subprocess.Popen(
        ["bash", "-c", line],
        cwd=tmp_path,
        env=env,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as shell:
        try:
            manager.settimeout(SECONDS)
            while not (found := manager.recv(1000).decode()).startswith("STATUS="):
                pass
            assert found.startswith(f"STATUS={said}")
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


def test_an_abstract_socket_is_supported(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")
        listening.settimeout(SECONDS)
        name = listening.getsockname()
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name[1:].decode())
        notifier = Notifier()
        notifier.ready()
        notifier.close()
        assert listening.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_interval_is_read_from_the_environment(
    manager, monkeypatch, variables, seconds
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    notifier = Notifier()
    notifier.close()
    assert notifier.watchdog_interval == seconds


def test_child_processes_do_not_inherit_the_notification_variables(manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    Notifier().close()
    script = "import os; print([n for n in os.environ if n.startswith(('NOTIFY_', 'WATCHDOG_'))])"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert out == b"[]\n"


def test_without_a_service_manager_nothing_happens(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    notifier = Notifier()
    notifier.ready()
    notifier.ping()
    notifier.stopping()
    assert notifier.watchdog_interval is None


def test_a_vanished_service_manager_is_a_warning(notifier, manager, tmp_path, caplog):
    (tmp_path / "notify").unlink()
    notifier.ping()
    assert "cannot tell the service manager 'WATCHDOG=1': " in caplog.text


def test_a_service_manager_that_does_not_read_does_not_block_forever(notifier, caplog):
    notifier._socket.settimeout(0.01)
    while not caplog.records:
        notifier.ping()
    assert "timed out" in caplog.text or "temporarily" in caplog.text


def test_importing_flowtools_leaves_the_environment_unchanged():
    code = "import os, flowtools.process.systemd; print(os.environ['NOTIFY_SOCKET'])"
    command = [sys.executable, "-c", code]
    env = environment(NOTIFY_SOCKET="/x")
    assert subprocess.run(command, env=env, capture_output=True, check=True).stdout == b"/x\n"
