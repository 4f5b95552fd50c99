"""The acknowledgement socket against other users, forged packets and clean-up programs."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from coilmq.util.frames import Frame
from hypothesis import given
from hypothesis import strategies as st

from flowtools.ack import place, receiver
from flowtools.ack.receiver import AckSocket
from flowtools.ack.sender import AckSender
from flowtools.core import reminder
from flowtools.core.lines import LineWriter
from flowtools.core.wait import Stop
from flowtools.errors import ConfigurationError
from flowtools.source.stomp import GenericStompListener
from flowtools.stomp.settings import Settings
from flowtools.stomp.url import parse_url
from tests.running import SECONDS, until
from tests.stomp_servers import Lines

pytest_plugins = ["tests.stomp_fixtures"]

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

SEND = """
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as outlet:
    try:
        outlet.connect(sys.argv[1])
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A directory with the mode of /tmp, in which the socket will be created."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    for each in folder.parents:
        if each.is_relative_to("/tmp/pytest-of-root"):
            each.chmod(0o755)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(place.tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def inlet(shared):
    made = AckSocket()
    yield made
    made.close()


def as_nobody(*command):
    return subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd="/",
    )


@needs_root
def test_another_user_can_neither_reach_nor_remove_the_socket(inlet, shared):
    python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    assert as_nobody(python, "-c", SEND, inlet.path).stdout == "PermissionError\n"
    assert as_nobody("rm", "-r", inlet.path).returncode != 0
    assert as_nobody("mv", str(Path(inlet.path).parent), str(shared / "moved")).returncode != 0
    assert Path(inlet.path).is_socket()


@needs_root
@pytest.mark.parametrize("kind", ["directory", "private directory", "link"])
def test_a_replacement_planted_by_another_user_is_not_used(inlet, shared, caplog, kind):
    folder = Path(inlet.path).parent
    shutil.rmtree(folder)
    trap = shared / "trap" if kind == "link" else folder
    trap.mkdir(mode=0o777)
    os.chown(trap, NOBODY, NOBODY)
    if kind == "private directory":
        trap.chmod(0o700)
    if kind == "link":
        folder.symlink_to(trap)
    os.chown(folder, NOBODY, NOBODY, follow_symlinks=False)
    taken = inlet.path
    lost = receiver_looks(inlet, lambda: "was removed" in caplog.text)
    assert lost == ["its acknowledgement socket had been removed"]
    assert inlet.path != taken
    assert caplog.messages[0] == (
        f"the acknowledgement socket '{taken}' was removed, and has been made again as"
        f" '{inlet.path}'; exclude it from automatic clean-up"
    )
    # Not through the link: a kernel may forbid following it (fs.protected_symlinks).
    assert [*trap.iterdir()] == []


def receiver_looks(inlet, condition):
    """Let the socket check its file often, until `condition` is true."""
    looked = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receiver, "LOOK_EVERY", 0.02)
        lost = []
        inlet.start(lambda acks: None, lost=lambda reason: (lost.append(reason), looked.set()))
        for _ in range(SECONDS * 50):
            if condition() or looked.wait(0.02):
                break
        inlet.close()
    assert condition()
    return lost


def test_a_removed_socket_is_created_again_at_its_path(inlet, caplog):
    shutil.rmtree(Path(inlet.path).parent)
    lost = receiver_looks(inlet, lambda: "made again" in caplog.text)
    assert lost == ["its acknowledgement socket had been removed"]
    assert caplog.messages == [
        (
            f"the acknowledgement socket '{inlet.path}' was removed, and has been made again;"
            " exclude it from automatic clean-up"
        )
    ]


def test_a_listener_reconnects_after_its_socket_was_removed(script, shared, monkeypatch):
    monkeypatch.setattr(receiver, "LOOK_EVERY", 0.05)
    reading, writing = os.pipe()
    stop = Stop()
    source = GenericStompListener(parse_url(script.url()), Settings(), ack="worker")
    thread = threading.Thread(target=source.run, args=(LineWriter(writing), stop))
    thread.start()
    try:
        with os.fdopen(reading, "rb") as out:
            peer = script.accept()
            peer.subscribed()
            peer.message(1)
            first = json.loads(out.readline())["ackto"]
            shutil.rmtree(Path(first.removeprefix("unix:").partition("#")[0]).parent)
            again = script.accept()
            again.subscribed()
            again.message(1, redelivered="true")
            second = json.loads(out.readline())["ackto"]
            assert second.partition("#")[0] == first.partition("#")[0]
            sender = AckSender()
            sender.ack(second)
            assert again.read("ACK").headers == {"id": "a1"}
            sender.close()
            stop.set()
            again.goodbye()
    finally:
        thread.join(SECONDS)
        os.close(writing)
        stop.close()


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_runtime_directory_writable_by_others_is_not_used(tmp_path, shared, monkeypatch, mode):
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(mode)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(open_to_all))
    inlet = AckSocket()
    place = open_to_all if mode & 0o1000 else shared
    assert Path(inlet.path).is_relative_to(place)
    inlet.close()


def test_without_a_safe_directory_no_socket_is_created(shared):
    shared.chmod(0o777)
    with pytest.raises(ConfigurationError, match="other users can rename and remove"):
        AckSocket()
    assert [*shared.iterdir()] == []


@needs_root
def test_a_directory_of_another_user_is_not_safe(shared):
    os.chown(shared, NOBODY, NOBODY)
    with pytest.raises(ConfigurationError, match="other users can rename and remove"):
        AckSocket()


# Forged packets of another program of the same user


@pytest.fixture
def listening(script, start):
    process = start("flow-listen-stomp", "--ack", "worker", "--prefetch", "50", script.url())
    peer = script.accept()
    peer.subscribed()
    return peer, Lines(process.stdout)


def test_a_forged_packet_never_acknowledges_an_undelivered_event(listening):
    peer, lines = listening
    delivered = []
    for n in (0, 1):
        peer.message(n)
        delivered.append(json.loads(lines.next())["ackto"])
    path, _, token = delivered[0].removeprefix("unix:").partition("#")
    epoch = token.partition(".")[0]
    true = {int(ackto.rpartition(".")[2]) for ackto in delivered}
    number = (st.integers(-3, 40).map(str) | st.text("0123456789 .-", max_size=6)).filter(
        lambda text: not (text.isdigit() and int(text) in true)
    )
    verdict = st.sampled_from(["ack", "nack", "ACK", "", "ack ack"])
    line = st.builds("{}.{} {}\n".format, st.sampled_from([epoch, "", "x"]), number, verdict)

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as outlet:
        outlet.connect(path)

        @given(st.lists(line, max_size=20).map("".join).map(str.encode) | st.binary(max_size=60))
        def forge(packet):
            if packet:  # An empty packet would mean the end of the connection.
                outlet.send(packet)

        forge()
    sender = AckSender()
    sender.ack(delivered[0])
    assert peer.read().headers == {"id": "a0"}  # By now the forged packets have been read, too.
    # If one had counted, it would have acknowledged a message that arrives only now.
    for n in range(2, 42):
        peer.message(n)
    tokens = [json.loads(lines.next())["ackto"] for _ in range(2, 42)]
    sender.ack(tokens[-1])
    assert peer.read().headers == {"id": "a41"}
    sender.ack(delivered[1])
    assert peer.read().headers == {"id": "a1"}
    sender.close()


def test_a_listener_reports_an_acknowledgement_that_never_comes(coil, monkeypatch, caplog):
    """A filter in the pipe dropped the line: the window has room, but --idle never ends it."""
    monkeypatch.setattr(reminder, "AGAIN_AFTER", (0.1, 3600.0))
    monkeypatch.setattr(receiver, "LOOK_EVERY", 0.05)
    frame = Frame("SEND", {"destination": "/queue/a"}, b"dropped")
    coil.server.queue_manager.send(frame)
    source = GenericStompListener(
        parse_url(coil.url()), Settings(), ack="worker", idle=0.1, drain=0.1
    )
    stop = Stop()
    reader, writer = os.pipe()
    thread = threading.Thread(target=source.run, args=(LineWriter(writer), stop))
    thread.start()
    until(lambda: any("1 event is unacknowledged" in each for each in caplog.messages))
    assert thread.is_alive()
    stop.set()
    thread.join(SECONDS)
    stop.close()
    os.close(reader)
    os.close(writer)
