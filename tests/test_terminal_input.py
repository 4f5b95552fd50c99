"""A command that reads a terminal instead of a pipe says what it waits for."""

import pytest

from tests.terminals import Terminal
from tests.vizone_servers import stand_in

COMMANDS = {
    "flow-ack": "flow-ack",
    "flow-jq": "flow-jq .",
    "flow-tee": "flow-tee copy",
    "flow-view": "flow-view --follow",
    "flow-work": "flow-work mymod:W",
}


@pytest.fixture
def terminal(tmp_path):
    opened = []
    (tmp_path / "mymod.py").write_text("class W:\n    def start(self, event):\n        pass\n")

    def open_one(command):
        opened.append(Terminal(command, cwd=tmp_path, columns=200))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_reading_from_a_terminal_is_reported(terminal, name):
    shown = terminal(COMMANDS[name])
    shown.wait_for(
        f"{name}: warning: waits for event lines from the terminal: put a source in front"
    )
    shown.press("\x04")
    assert shown.end() == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_reading_from_a_pipe_is_not_reported(terminal, name):
    shown = terminal(f"printf '' | {COMMANDS[name]}; echo over")
    shown.wait_for("over")
    assert "waits for" not in shown.text


def test_flow_send_reports_reading_from_a_terminal(terminal, tmp_path):
    with stand_in() as server:
        (tmp_path / "password").write_text(server.password)
        url = f"{server.stomp_url}?destination=/queue/a"
        shown = terminal(f"flow-send '{url}' --user admin --password-file password")
        shown.wait_for("flow-send: warning: waits for event lines from the terminal")
        shown.press("\x04")
        assert shown.end() == 0
