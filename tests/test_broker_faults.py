"""Brokers that fail after the login, hosts that refuse, dead networks, renewed files."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from flowtools.core.wait import Stop
from flowtools.sim.messages import ASSETS
from flowtools.stomp.broker import Broker
from flowtools.stomp.settings import Settings
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.url import parse_url
from tests.running import SECONDS, metrics_at, until
from tests.stomp_servers import Lines, Script
from tests.vizone_servers import stand_in

pytest_plugins = ["tests.stomp_fixtures"]

LISTENERS = ["flow-listen-stomp", "flow-send"]


def texts(stream):
    return Lines(map(bytes.decode, stream))


def at(*ports):
    return f"stomp://{','.join(f'127.0.0.1:{port}' for port in ports)}/?destination=/queue/a"


# A broker that does not answer


def test_a_broker_that_never_answers_subscribe_is_left_for_the_next_host(script, start):
    other = Script()
    try:
        url = at(script.port, other.port)
        process = start("flow-listen-stomp", "--connect-timeout", "0.5", url)
        silent = script.accept()
        silent.login()
        silent.read("SUBSCRIBE")
        other.accept().subscribed()
        other.peers[0].message(1, b"{}")
        assert process.stdout.readline()
        said = texts(process.stderr).until("lost the connection")
        assert said == (
            "flow-listen-stomp: warning: lost the connection to"
            f" '127.0.0.1:{script.port}': it does not"
            " answer the subscription; connecting again\n"
        )
    finally:
        other.close()


def test_disconnecting_from_a_broker_that_sends_no_receipt_ends_in_time(script, start):
    process = start("flow-listen-stomp", script.url())
    peer = script.accept()
    peer.subscribed()
    peer.message(1, b"{}")
    assert process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert peer.read("DISCONNECT").headers["receipt"]
    assert process.wait(SECONDS) == -signal.SIGTERM


def serve(script, answer):
    """Log in each connection and pass it to `answer`, until the script is closed."""

    def run():
        with suppress(OSError, AssertionError):
            while True:
                peer = script.accept()
                peer.login()
                answer(peer)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def falls_silent(peer):
    peer.read("SUBSCRIBE")
    peer.ended()


def hangs_up(peer):
    peer.read("SUBSCRIBE")
    peer.close()


def says_error_once_accepted():
    """Accept only the first subscription, and answer each further one with an ERROR."""
    accepted = []

    def answer(peer):
        frame = peer.read("SUBSCRIBE")
        if not accepted:
            accepted.append(frame)
            peer.write("RECEIPT", {"receipt-id": frame.headers["receipt"]})
        else:
            peer.write("ERROR", {"message": "NOT_FOUND - home node is down"})
        peer.close()

    return answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (falls_silent, "it does not answer the subscription"),
        (hangs_up, "the broker has closed it"),
        (says_error_once_accepted(), "home node is down"),
    ],
    ids=["silent", "hangs-up", "error"],
)
def test_a_broker_that_accepts_only_the_login_is_abandoned_after_retry_for(
    script, run, answer, said
):
    thread = serve(script, answer)
    options = ("--retry-for", "2", "--connect-timeout", "0.2")
    status, _, err = run("flow-listen-stomp", *options, script.url())
    script.listener.shutdown(socket.SHUT_RDWR)
    thread.join(SECONDS)
    last = err.splitlines()[-1]
    assert status == 69
    assert last.startswith(f"flow-listen-stomp: cannot reach the broker: '127.0.0.1:{script.port}'")
    assert said in last
    assert "; tried for 2 s" in last


def test_an_immediately_refused_subscription_is_fatal_despite_retry_for(script, run):
    def refuse(peer):
        peer.read("SUBSCRIBE")
        peer.write("ERROR", {"message": "access denied"})
        peer.close()

    thread = serve(script, refuse)
    status, _, err = run("flow-listen-stomp", "--retry-for", "60", script.url())
    script.listener.shutdown(socket.SHUT_RDWR)
    thread.join(SECONDS)
    assert status == 77
    assert err.endswith("refuses the subscription to '/queue/a': access denied\n")


# Several hosts: which error is reported


@pytest.mark.parametrize("command", LISTENERS)
@pytest.mark.parametrize("is_first", [False, True])
def test_a_refused_login_outweighs_a_dead_host(script, run, command, is_first):
    def refuse():
        peer = script.accept()
        peer.read("CONNECT")
        peer.write("ERROR", {"message": "Bad CONNECT", "content-type": "text/plain"}, b"denied")
        peer.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    ports = (script.port, 1) if is_first else (1, script.port)
    status, _, err = run(command, at(*ports))
    thread.join(SECONDS)
    said = f"'127.0.0.1:{script.port}' refuses the login: Bad CONNECT: denied"
    assert (status, err) == (77, f"{command}: {said}\n")


def test_a_host_that_accepts_the_login_outweighs_one_that_refuses_it(script, start):
    other = Script()
    try:
        start("flow-listen-stomp", at(script.port, other.port))
        peer = script.accept()
        peer.read("CONNECT")
        peer.write("ERROR", {"message": "denied"})
        peer.close()
        other.accept().subscribed()
    finally:
        other.close()


# Connections that die silently


def options_of(pid, port):
    """(SO_KEEPALIVE, TCP_KEEPIDLE, KEEPINTVL, KEEPCNT, USER_TIMEOUT) of its socket to `port`."""
    library = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
            if not os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket:"):  # noqa: PTH115
                continue
            taken = library.syscall(438, pidfd, int(number), 0)  # pidfd_getfd(2)
            assert taken >= 0, os.strerror(ctypes.get_errno())
            with socket.socket(fileno=taken) as found, suppress(OSError, IndexError):
                if found.family == socket.AF_INET and found.getpeername()[1] == port:
                    return (
                        found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                        *(found.getsockopt(socket.IPPROTO_TCP, each) for each in TCP),
                    )
    finally:
        os.close(pidfd)
    raise AssertionError("it has no connection there")


TCP = (
    *(socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT),
    socket.TCP_USER_TIMEOUT,
)


@pytest.mark.parametrize("command", LISTENERS)
@pytest.mark.parametrize(
    ("asked", "granted", "options"),
    [
        ("0,0", "0,0", (1, 30, 10, 3, 120000)),
        ("5,12", "12000,0", (1, 12, 4, 3, 0)),
        ("5,12", "0,0", (1, 12, 4, 3, 120000)),
    ],
    ids=["none", "granted", "not-granted"],
)
def test_socket_timeouts_follow_the_heart_beat_settings(
    script, start, command, asked, granted, options
):
    process = start(command, "--heart-beat", asked, script.url(), stdin=subprocess.PIPE, real=True)
    peer = script.accept()
    peer.login(heart_beat=granted)
    if command == "flow-send":
        process.stdin.write(b"1\n")
        process.stdin.flush()
        peer.read("SEND")
    else:
        peer.read("SUBSCRIBE")
    assert options_of(process.pid, script.port) == options


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def forgetful_network():
    """A scripted server in a network namespace, and a function that drops all its packets.

    As behind a NAT or firewall that has forgotten the connection: no packet returns.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and iproute2")
    number = os.getpid() % 250
    name, ours, theirs = f"wire{os.getpid()}", f"10.78.{number}.1", f"10.78.{number}.2"
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network can be made here: {error.stderr.decode().strip()}")
    made = []

    def serve():
        with Path(f"/run/netns/{name}").open() as space:
            # Only this thread, and the sockets that it opens from now on.
            assert ctypes.CDLL(None).setns(space.fileno(), 0) == 0
        made.append(Script(host=theirs))

    try:
        ip("link", "add", f"w{number}o", "type", "veth", "peer", "name", f"w{number}i")
        ip("link", "set", f"w{number}i", "netns", name)
        ip("addr", "add", f"{ours}/24", "dev", f"w{number}o")
        ip("link", "set", f"w{number}o", "up")
        ip("-n", name, "addr", "add", f"{theirs}/24", "dev", f"w{number}i")
        ip("-n", name, "link", "set", f"w{number}i", "up")
        thread = threading.Thread(target=serve)
        thread.start()
        thread.join(SECONDS)
        url = f"stomp://{theirs}:{made[0].port}"
        yield made[0], url, lambda: ip("-n", name, "route", "add", "blackhole", f"{ours}/32")
    finally:
        for script in made:
            script.close()
        with suppress(subprocess.CalledProcessError):
            ip("link", "del", f"w{number}o")
        ip("netns", "del", name)


@pytest.mark.parametrize("is_sending", [False, True], ids=["idle", "sending"])
def test_a_connection_the_network_has_dropped_is_noticed_without_heart_beats(
    forgetful_network, monkeypatch, is_sending
):
    script, url, forget = forgetful_network
    monkeypatch.setattr("flowtools.stomp.tcp.UNHEARD", 1.0)
    monkeypatch.setattr("flowtools.stomp.transport.UNCONFIRMED", 3.0)
    stop = Stop()
    thread = threading.Thread(target=lambda: script.accept().login(heart_beat="0,0"))
    thread.start()
    session = Broker(parse_url(url), Settings(heart_beat=(0.0, 0.0))).connect(stop)
    thread.join(SECONDS)
    forget()
    if is_sending:
        session.send_frame("SEND", {"destination": "/queue/a"}, b"x")
    try:
        assert session.wait(stop, SECONDS), "it is not noticed"
        with pytest.raises(ConnectionLost, match="timed out"):
            session.take()
    finally:
        session.abort()
        stop.close()


# Files that are renewed while the command runs


def named(authority, script, command, *options):
    """The command line that connects over TLS with the files in `authority`."""
    files = ("--ca-file", authority / "trusted.pem")
    client = ("--client-certificate", authority / "own.pem", "--client-key", authority / "own.key")
    return (command, *files, *client, *options, script.url())


def renew(folder, **files):
    """Replace a file by `to`, as a renewal of a certificate does."""
    for to, of in files.items():
        for suffix in (".pem", ".key") if to == "own" else (".pem",):
            shutil.copy(folder / f"{of}{suffix}", folder / f"{to}{suffix}.new")
            (folder / f"{to}{suffix}.new").replace(folder / f"{to}{suffix}")


@pytest.mark.parametrize("command", LISTENERS)
def test_renewed_certificates_and_passwords_are_used_at_the_next_connection(
    authority, tmp_path, secured, start, command
):
    for each in authority.iterdir():
        shutil.copy(each, tmp_path)
    renew(tmp_path, trusted="ca", own="client")
    password = tmp_path / "password"
    password.write_text("old\n")
    server = secured("good", client_ca=True)
    options = ("--user", "me", "--password-file", password)
    process = start(*named(tmp_path, server, command, *options), stdin=subprocess.PIPE)
    peer = server.accept()
    assert peer.login().headers["passcode"] == "old"
    assert ("commonName", "client") in subject(peer)

    # The broker returns with a certificate of another authority.
    renew(tmp_path, trusted="self", own="good")
    password.write_text("new\n")
    server.context.load_cert_chain(authority / "self.pem", authority / "self.key")
    peer.close()
    peer = server.accept()
    assert peer.login().headers["passcode"] == "new"
    assert ("commonName", "good") in subject(peer)
    assert process.poll() is None


def subject(peer):
    """The name in the certificate that the client has shown."""
    return [pair for part in peer.socket.getpeercert()["subject"] for pair in part]


@pytest.mark.parametrize("command", [*LISTENERS, "flow-doctor"])
@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("client.pem", "good.key", "the client key '{key}' does not belong to it"),
        ("client.pem", "none.key", "cannot use the client key '{key}': No such file or directory"),
        ("client.pem", "ca.pem", "cannot use the client key '{key}': it holds no key in PEM form"),
        ("client.key", "client.key", "cannot use the client certificate '{certificate}': it holds"),
        ("client.pem", "locked.key", "cannot use the client key '{key}': it has a passphrase"),
    ],
)
def test_an_unusable_client_certificate_or_key_is_named(
    authority, run, script, command, certificate, key, said
):
    if not (authority / "locked.key").exists():
        words = ["pkey", "-in", "client.key", "-aes128", "-passout", "pass:secret"]
        subprocess.run(
            ["openssl", *words, "-out", "locked.key"],
            cwd=authority,
            check=True,
            capture_output=True,
        )
    files = {"certificate": authority / certificate, "key": authority / key}
    options = ("--client-certificate", files["certificate"], "--client-key", files["key"])
    url = f"stomp+ssl://127.0.0.1:{script.port}/?destination=/topic/a"
    status, out, err = run(command, *options, url)
    text = out.decode() if command == "flow-doctor" else err
    assert status == 78
    assert said.format(**files) in text


def test_a_viz_one_listener_reads_a_renewed_password(start, tmp_path):
    password, figures = tmp_path / "password", tmp_path / "m"
    with stand_in() as server:
        password.write_text(server.password)
        options = ("--password-file", password, "--metrics", f"unix:{figures}")
        named = {"VIZONE_URL": server.url, "VIZONE_USER": server.user}
        process = start("flow-listen-assets", *options, env=named)
        assert server._broker.has_subscriber(ASSETS, SECONDS)
        password.write_text("renewed")
        people = server._broker._server.authenticator  # HTTP has the same options.
        object.__setattr__(people, "password", "renewed")
        server._broker._delivery.cut(ASSETS)
        until(lambda: metrics_at(figures)["flowtools_reconnects_total"] == 1)
        assert server._broker.has_subscriber(ASSETS, SECONDS)
        server.catalogue.create("a", "S", ())
        assert process.stdout.readline()
