"""TLS to a plain port, plain STOMP to a TLS port, and what -vv shows of a connection."""

import signal
import socket
import ssl
import threading
from contextlib import suppress
from subprocess import PIPE

import pytest

from flowtools.core.wait import Stop
from flowtools.source.vizone.listening import Listening
from flowtools.source.vizone.monitor import _Monitors
from flowtools.vizone import Account
from tests.running import SECONDS
from tests.stomp_servers import Lines

pytest_plugins = ["tests.stomp_fixtures"]

COMMANDS = ["flow-listen-stomp", "flow-send"]


class Answering:
    """A port that replies to the first data with `answer` and closes; None: stays silent."""

    def __init__(self, answer):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answer = answer
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        with suppress(OSError):
            while True:
                connected, _ = self.listener.accept()
                with connected:
                    connected.settimeout(SECONDS)
                    connected.recv(65536)
                    if self.answer is None:
                        while connected.recv(65536):
                            pass
                    else:
                        connected.sendall(self.answer)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(SECONDS)
        self.listener.close()


@pytest.fixture
def answering():
    made = []

    def serve(answer):
        made.append(Answering(answer))
        return made[-1].port

    yield serve
    for each in made:
        each.close()


PLAIN = "it may not speak TLS on this port"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b"ERROR\nmessage:unknown command\n\n\0", 77, "it does not speak TLS on this port"),
        (b"", 69, f"it ends the connection in the TLS handshake; {PLAIN}"),
        (None, 69, f"no TLS handshake comes back; {PLAIN}"),
    ],
    ids=["answers", "hangs-up", "silent"],
)
def test_tls_to_a_plain_port_is_a_one_line_error(run, answering, command, answer, status, said):
    url = f"stomp+ssl://127.0.0.1:{answering(answer)}/?destination=/queue/a"
    options = ("--connect-timeout", "0.5", "--retry-for", "0")
    found, out, err = run(command, *options, url)
    assert (found, out) == (status, b"")
    assert said in err
    assert len(err.splitlines()) == 1


ALERT = b"\x15\x03\x03\x00\x02\x02\x46"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (ALERT, 76, "is not STOMP: it speaks TLS on this port; let the URL begin with stomp+ssl:"),
        (b"", 69, "without an answer to the login; if it speaks TLS on this port, let the URL"),
    ],
    ids=["alert", "hangs-up"],
)
def test_plain_stomp_to_a_tls_port_is_a_one_line_error(
    run, answering, command, answer, status, said
):
    url = f"stomp://127.0.0.1:{answering(answer)}/?destination=/queue/a"
    found, out, err = run(command, "--retry-for", "0", url)
    assert (found, out) == (status, b"")
    assert said in err
    assert len(err.splitlines()) == 1


def test_plain_stomp_to_a_real_tls_server_is_reported(secured, run):
    server = secured("good")

    def serve():
        with pytest.raises(ssl.SSLError):
            server.accept()

    thread = threading.Thread(target=serve)
    thread.start()
    url = server.url().replace("stomp+ssl", "stomp")
    _, _, err = run("flow-listen-stomp", "--retry-for", "0", url)
    thread.join(SECONDS)
    assert "TLS on this port" in err
    assert "stomp+ssl://" in err


def test_http_to_a_viz_one_with_tls_is_reported(run, answering):
    url = f"http://127.0.0.1:{answering(ALERT)}"
    env = {"VIZONE_URL": url, "VIZONE_USER": "u", "VIZONE_PASSWORD": "p"}
    status, out, err = run("flow-listen-assets", env=env)
    assert (status, out) == (76, b"")
    assert err.endswith("it speaks TLS on this port; let the address begin with https://\n")
    assert len(err.splitlines()) == 1


def test_an_unreachable_viz_one_is_reported_again(monkeypatch, caplog):
    """A listener whose broker has gone asks Viz One for the current monitor link."""
    monkeypatch.setattr("flowtools.core.reminder.AGAIN_AFTER", (0.0, 0.0, 3600.0))
    account = Account("http://127.0.0.1:1", "u", "p")
    monitors = _Monitors(
        account, Listening(), lambda client: client.request("GET", account.url, accept="*/*").url
    )
    stop = Stop()
    for _ in range(5):
        monitors.now(stop)
    stop.close()
    assert caplog.text.count("cannot refresh the monitor link") == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_double_verbose_shows_frames_without_secrets_and_bodies(script, start, command):
    env = {"FLOW_USER": "me", "FLOW_PASSWORD": "hidden-word"}
    process = start(command, "-vv", script.url(), env=env, stdin=PIPE)
    peer = script.accept()
    peer.login()
    name = f"'127.0.0.1:{script.port}'"
    said = Lines(map(bytes.decode, process.stderr))
    sent = said.until(f"to {name}: CONNECT ")
    assert "login:me passcode:***" in sent
    assert f"from {name}: CONNECTED version:1.2" in said.until("CONNECTED")
    if command == "flow-send":
        process.stdin.write(b'{"data": "the-body"}\n')
        process.stdin.flush()
        frame = peer.read("SEND")
        peer.write("RECEIPT", {"receipt-id": frame.headers["receipt"]})
        line = said.until(f"to {name}: SEND ")
        assert "destination:/queue/a" in line
        assert "bytes)" in line
    else:
        peer.read("SUBSCRIBE")
        peer.message(1, b"the-body", api_token="hidden-word")
        said.until(f"to {name}: SUBSCRIBE ")
        line = said.until("MESSAGE ")
        assert "message-id:m1" in line
        assert "api-token:*** (8 bytes)" in line
    process.send_signal(signal.SIGTERM)
    peer.goodbye()
    rest = [sent, line, *iter(said.next, None)]
    assert any(f"to {name}: DISCONNECT receipt:" in each for each in rest)
    assert not [each for each in rest if "hidden-word" in each or "the-body" in each]
