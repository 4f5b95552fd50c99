"""The state of a command's connection to its broker, in metrics, status and messages."""

import json
import logging
import signal
from subprocess import PIPE

import pytest

from flowtools.core.reminder import Reminder
from flowtools.sim.messages import ASSETS, FILES
from flowtools.stomp.contact import Contact
from tests.running import SECONDS, metrics_at, until
from tests.stomp_servers import Lines
from tests.vizone_servers import stand_in

pytest_plugins = ["tests.stomp_fixtures"]


def figures(path, *names):
    """These metrics of the command that serves them at `path`; None if there are none yet."""
    if not path.exists():
        return None
    found = metrics_at(path)
    return tuple(found.get(f"flowtools_{name}") for name in names)


CONNECTION = ("connected", "reconnects_total")


def test_a_listener_counts_connections_received_and_rejected_messages(start, script, tmp_path):
    path = tmp_path / "m"
    process = start(
        "flow-listen-stomp", "--ack", "worker", "--metrics", f"unix:{path}", script.url()
    )
    peer = script.accept()
    until(lambda: figures(path, *CONNECTION) == (0, 0))
    peer.subscribed()
    until(lambda: figures(path, *CONNECTION) == (1, 0))
    peer.message(1, b"{}")
    peer.message(2, b"{}")
    lines = [process.stdout.readline() for _ in range(2)]
    ack = start("flow-ack", "--nack", stdin=PIPE)
    ack.communicate(lines[0], timeout=SECONDS)
    names = ("received_total", "rejected_total")
    until(lambda: figures(path, *names) == (2, 1))
    script.accept().login()  # The connection for the rejected message; it is not counted.
    peer.close()
    until(lambda: figures(path, "connected") == (0,))
    script.accept().login()
    until(lambda: figures(path, *CONNECTION) == (1, 1))
    assert figures(path, *names) == (2, 1)


def test_flow_send_counts_connections_and_unconfirmed_messages(start, script, tmp_path):
    path = tmp_path / "m"
    process = start("flow-send", "--metrics", f"unix:{path}", script.url(), stdin=PIPE)
    peer = script.accept()
    peer.login()
    until(lambda: figures(path, *CONNECTION) == (1, 0))
    process.stdin.write(b"1\n2\nno JSON\n")
    process.stdin.flush()
    first, second = peer.read("SEND"), peer.read("SEND")
    peer.write("RECEIPT", {"receipt-id": first.headers["receipt"]})
    names = ("events_in_total", "done_total", "rejected_total", "in_flight")
    until(lambda: figures(path, *names) == (3, 1, 1, 1))
    peer.close()
    again = script.accept()
    again.login()
    assert again.read("SEND").body == second.body
    until(lambda: figures(path, *CONNECTION) == (1, 1))


@pytest.mark.parametrize("command", ["flow-listen-assets", "flow-listen-files"])
def test_a_viz_one_listener_counts_connections_and_messages(start, tmp_path, command):
    path = tmp_path / "m"
    with stand_in() as server:
        location = ["xmlimport"] if command == "flow-listen-files" else []
        options = ["--metrics", f"unix:{path}", *location]
        process = start(command, *options, env=server.environment())
        until(lambda: figures(path, "connected", "received_total") == (1, 0))
        assert server._broker.has_subscriber(f"{FILES}.xmlimport" if location else ASSETS, SECONDS)
        if location:
            server.catalogue.storages.write("xmlimport", "a.xml", b"<a/>")
        else:
            server.catalogue.create("a", "S", ())
        assert process.stdout.readline()
        until(lambda: figures(path, "received_total") >= (1,))
        server._broker.close()
        until(lambda: figures(path, "connected") == (0,))


def test_flow_status_and_sigusr1_show_the_connection(start, run, script, tmp_path):
    place = {"XDG_RUNTIME_DIR": str(tmp_path)}
    tmp_path.chmod(0o700)
    process = start("flow-listen-stomp", script.url(), env=place, real=True)
    script.accept().subscribed()

    def status(name):
        lines = map(json.loads, run("flow-status", "--json", env=place)[1].splitlines())
        return next((each[name] for each in lines if each["pid"] == process.pid), None)

    until(lambda: status("connection") == f"'127.0.0.1:{script.port}' (rabbitmq)")
    assert status("trouble") == ""
    script.close()
    until(lambda: status("trouble"))
    assert status("trouble").startswith(f"not connected: '127.0.0.1:{script.port}': ")
    process.send_signal(signal.SIGUSR1)
    assert "connected 0, reconnects 0, received 0" in Lines(
        map(bytes.decode, process.stderr)
    ).until("state:")


def test_reminders_come_at_growing_intervals():
    reminder = Reminder()
    reminder.begin(1000.0)
    reminder.begin(2000.0)
    said = [at for at in range(0, 15000, 10) if reminder.due(1000.0 + at) is not None]
    assert said == [60, 300, 900, 3600, 7200, 10800, 14400]
    reminder.end()
    assert reminder.due(99999.0) is None


def test_an_unreachable_broker_is_reported_repeatedly(monkeypatch, caplog):
    times = iter([0.0, 10.0, 61.0, 62.0, 3600.0])
    clock = [0.0]
    for module in ("core.reminder", "stomp.contact"):
        monkeypatch.setattr(f"flowtools.{module}.monotonic", lambda: clock[0])
    contact = Contact()
    for clock[0] in times:
        contact.away("'mq:61613': connection refused")
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "cannot reach the broker: 'mq:61613': connection refused; trying again",
        "the broker has been away for 1m 1s: 'mq:61613': connection refused; trying again",
        "the broker has been away for 1h: 'mq:61613': connection refused; trying again",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
