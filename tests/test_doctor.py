"""flow-doctor: a sound stand-in, and each broken set-up that it recognises."""

import json
import re
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from flowtools.doctor.examination import Doubt, Examination
from flowtools.errors import ConfigurationError, RefusedError, Status, UnreachableError
from flowtools.stomp.frames import encode_frame
from tests.ports import reserved_port
from tests.running import SECONDS
from tests.stomp_servers import Script
from tests.terminals import Terminal
from tests.test_vizone_client import make_certificate
from tests.vizone_servers import Scripted, reply

pytest_plugins = ["tests.stomp_fixtures", "tests.vizone_fixtures"]


def findings(out):
    """The findings by check: verdict, text, and advice."""
    found, last = {}, None
    for line in out.decode().splitlines():
        if line.strip().startswith("-> "):
            found[last][2] = line.strip()[3:]
        elif line and not re.match(r"\d+ (failed|warning|hint|skipped|ok)", line):
            verdict, check, text = line[:9].strip(), line[10:34].strip(), line[35:]
            found.setdefault(check, [verdict, text, ""])
            last = check
    return found


def verdicts(out):
    return {check: verdict for check, (verdict, _, _) in findings(out).items()}


@pytest.fixture
def doctor(run):
    """Run flow-doctor in the environment of a server, if any."""

    def visit(*args, server=None, **env):
        given = server.environment() if server else {}
        return run("flow-doctor", "--connect-timeout", "5", *args, env=given | env)

    return visit


def test_a_sound_viz_one_passes_all_checks(doctor, server):
    status, out, err = doctor("--location", "xmlimport", server=server)
    assert (status, err) == (0, "")
    assert set(verdicts(out).values()) == {"ok"}
    assert list(verdicts(out)) == [
        "software",
        "ack socket",
        "limits",
        "settings",
        "password",
        "Viz One name",
        "Viz One port",
        "login",
        "clock",
        "monitor link",
        "location xmlimport",
        "broker address",
        "broker name",
        "broker port",
        "broker login",
        "broker heart-beat",
        "subscription",
    ]
    assert server.password not in out.decode()
    assert re.fullmatch(r"\d+ ok", out.decode().splitlines()[-1])


def test_a_full_disk_is_a_one_line_error(start):
    with Path("/dev/full").open("w") as full:
        process = start("flow-doctor", stdout=full)
        _, err = process.communicate(timeout=SECONDS)
    message = b"flow-doctor: cannot write standard output: No space left on device\n"
    assert (process.returncode, err) == (1, message)


def test_missing_settings_are_named_with_advice(doctor):
    status, out, _ = doctor(VIZONE_URL="http://127.0.0.1")
    verdict, text, fix = findings(out)["settings"]
    assert (status, verdict) == (78, "failed")
    assert "VIZONE_USER and VIZONE_PASSWORD not set" in text
    assert fix.startswith("export VIZONE_URL=")
    # Skipped checks have the names that they have in a run that makes them.
    skipped = {name for name, verdict in verdicts(out).items() if verdict == "skipped"}
    assert {"password", "Viz One name", "Viz One port", "login", "subscription"} <= skipped


def test_an_unresolvable_host_name_is_found(doctor, server):
    status, out, _ = doctor(server=server, VIZONE_URL="http://nowhere.invalid")
    verdict, text, fix = findings(out)["Viz One name"]
    assert (status, verdict) == (69, "failed")
    assert "cannot resolve 'nowhere.invalid'" in text
    assert "getent hosts" in fix
    assert verdicts(out)["Viz One port"] == verdicts(out)["subscription"] == "skipped"


def test_a_closed_port_is_found(doctor, server):
    with reserved_port() as port:
        status, out, _ = doctor(server=server, VIZONE_URL=f"http://127.0.0.1:{port}")
    verdict, text, fix = findings(out)["Viz One port"]
    assert (status, verdict) == (69, "failed")
    assert "connection refused" in text
    assert f"nc -vz 127.0.0.1 {port}" in fix


def test_a_wrong_password_is_found(doctor, server):
    status, out, _ = doctor(server=server, VIZONE_PASSWORD="s3cret-and-wrong")
    verdict, text, fix = findings(out)["login"]
    assert (status, verdict) == (77, "failed")
    assert "401" in text
    assert "VIZONE_USER" in fix
    assert "s3cret" not in out.decode()


def test_a_missing_permission_is_found(doctor, server):
    status, out, _ = doctor("--user", "guest", server=server)
    verdict, text, fix = findings(out)["monitor link"]
    assert (status, verdict) == (77, "failed")
    assert "no monitor link" in text
    assert "Asset/Admin" in fix


def test_a_missing_location_is_found_and_the_other_checks_continue(doctor, server):
    status, out, _ = doctor("--location", "zzz", server=server)
    assert (status, findings(out)["location zzz"][0]) == (78, "failed")
    assert verdicts(out)["subscription"] == "ok"


def test_a_server_other_than_viz_one_is_found(doctor):
    with Scripted(*[reply(b"<html>hello</html>", Content_Type="text/html")] * 5) as server:
        status, out, _ = doctor(VIZONE_URL=server.url, VIZONE_USER="u", VIZONE_PASSWORD="p")
    assert (status, findings(out)["login"][0]) == (76, "failed")


def test_an_untrusted_certificate_is_found(doctor, server, tmp_path):
    pem = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server._web.socket = context.wrap_socket(server._web.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    status, out, _ = doctor(server=server, VIZONE_URL=url)
    verdict, text, fix = findings(out)["Viz One TLS"]
    assert (status, verdict) == (77, "failed")
    assert "self-signed" in text
    assert "--ca-file" in fix
    _, out, _ = doctor("--ca-file", str(pem), server=server, VIZONE_URL=url)
    verdict, text, fix = findings(out)["Viz One TLS"]
    assert (verdict, fix) == ("warning", "have the server's certificate renewed")
    assert "ends in 1 day" in text
    assert verdicts(out)["login"] == "ok"
    _, out, _ = doctor("--insecure", server=server, VIZONE_URL=url)
    assert "not checked" in findings(out)["Viz One TLS"][1]


def plain_port(answer):
    """The port of a server without TLS that answers anything with `answer`."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        with suppress(OSError):
            while True:
                connected, _ = listening.accept()
                with connected:
                    connected.recv(65536)
                    connected.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listening, listening.getsockname()[1]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_a_port_without_tls_gets_advice_on_port_and_address(doctor, server, answer):
    listening, port = plain_port(answer)
    with listening:
        _, out, _ = doctor(server=server, VIZONE_URL=f"https://127.0.0.1:{port}")
        verdict, _, fix = findings(out)["Viz One TLS"]
        assert verdict == "failed"
        assert "port" in fix
        assert "http://" in fix
        assert "--ca-file" not in fix
        _, out, _ = doctor(f"stomp+ssl://127.0.0.1:{port}/?destination=/topic/a")
        assert "stomp://" in findings(out)["broker TLS"][2]


def test_quiet_shows_only_problems(doctor, server):
    assert doctor("-q", server=server) == (0, b"", "")
    status, out, _ = doctor("-q")
    assert (status, verdicts(out)) == (78, {"settings": "failed"})
    status, out, err = doctor("-q", "--location", "nowhere", server=server)
    assert (status, err) == (78, "")
    assert verdicts(out) == {"location nowhere": "failed"}
    assert len(out.splitlines()) == 2


def test_an_unreadable_ca_file_is_found(doctor, server):
    status, out, _ = doctor("--ca-file", "/nowhere", server=server)
    assert (status, findings(out)["settings"][0]) == (78, "failed")
    assert "/nowhere" in findings(out)["settings"][1]


@pytest.mark.parametrize(("mode", "verdict"), [(0o600, "ok"), (0o644, "warning")])
def test_a_password_file_readable_by_others_is_a_warning(doctor, server, tmp_path, mode, verdict):
    path = tmp_path / "password"
    path.write_text(server.password + "\n")
    path.chmod(mode)
    status, out, _ = doctor("--password-file", str(path), server=server)
    assert (status, findings(out)["password"][0]) == (0, verdict)
    assert ("chmod 600" in findings(out)["password"][2]) == (verdict == "warning")


def test_a_clock_that_differs_is_a_warning(doctor, server, monkeypatch):
    handler = server._web.RequestHandlerClass
    monkeypatch.setattr(
        handler, "date_time_string", lambda self, timestamp=None: "Tue, 24 Nov 2020 00:00:00 GMT"
    )
    status, out, _ = doctor(server=server)
    if findings(out)["clock"][0] == "ok":
        pytest.fail(out.decode())
    verdict, text, fix = findings(out)["clock"]
    assert (status, verdict) == (0, "warning")
    assert "behind ours" in text
    assert "NTP" in fix


def test_an_unreachable_broker_is_found(doctor, server):
    with reserved_port() as port:
        status, out, _ = doctor("--broker", f"127.0.0.1:{port}", server=server)
    assert (status, findings(out)["broker port"][0]) == (69, "failed")
    assert findings(out)["broker login"][:2] == ["skipped", "there is no connection to the broker"]


# A broker by itself


class Serving:
    """Serves connections of a Script by a function, in a thread."""

    def __init__(self, script, serve):
        self.script, self.serve = script, serve
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self.script

    def __exit__(self, *error):
        self.script.close()
        self.thread.join(SECONDS)

    def _run(self):
        self.script.listener.settimeout(0.2)
        while self.script.listener.fileno() >= 0:
            # A time-out, the end, or the port check, which sends nothing.
            with suppress(OSError, AssertionError):
                self.serve(self.script.accept())


def test_a_sound_broker_passes_and_its_queue_is_left_alone(doctor, coil):
    status, out, err = doctor(coil.url())
    assert (status, err) == (0, "")
    assert verdicts(out)["broker login"] == "ok"
    assert findings(out)["subscription"][0] == "skipped"
    assert "would take messages from others" in findings(out)["subscription"][1]


def beating(peer, heart_beat="100,100"):
    """A sound broker, which sends the agreed heart-beats."""
    peer.login(heart_beat=heart_beat)
    peer.socket.settimeout(0.05)
    with suppress(ConnectionError, AssertionError):
        while True:
            peer.socket.sendall(b"\n")
            try:
                frame = peer.read()
            except TimeoutError:
                continue
            if "receipt" in frame.headers:
                peer.write("RECEIPT", {"receipt-id": frame.headers["receipt"]})


def test_quiet_and_strict_print_nothing_for_a_sound_queue(doctor):
    with Serving(Script(), beating) as script:
        assert doctor("-q", "--strict", script.url()) == (0, b"", "")


def not_beating(peer):
    """A broker that grants no heart-beats, which causes a warning."""
    beating(peer, "0,0")


def test_strict_turns_a_warning_into_status_1_and_failures_keep_their_status(doctor):
    with Serving(Script(), not_beating) as script:
        status, out, err = doctor("-q", "--strict", script.url())
        assert (status, err, verdicts(out)) == (1, "", {"broker heart-beat": "warning"})
        assert doctor("-q", script.url())[0] == 0
        for hosts in (
            f"127.0.0.1:1,127.0.0.1:{script.port}",
            f"127.0.0.1:{script.port},127.0.0.1:1",
        ):
            url = f"stomp://{hosts}/?destination=/queue/a"
            assert doctor("-q", "--strict", url)[0] == 69


def test_each_check_is_an_object_in_json(doctor):
    with Serving(Script(), not_beating) as script:
        status, out, err = doctor("--log-format", "json", script.url())
        in_words = doctor(script.url())[1]
        short = doctor("-q", "--log-format", "json", script.url())[1]
    found = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (0, "")
    assert all(set(each) == {"check", "verdict", "text", "fix"} for each in found)
    assert {each["check"]: each["verdict"] for each in found} == verdicts(in_words)
    (only,) = map(json.loads, short.splitlines())
    assert (only["check"], only["verdict"]) == ("broker heart-beat", "warning")


@pytest.mark.parametrize(
    ("days", "verdict", "status"), [("1", "ok", 0), ("2", "warning", 1), (None, "warning", 1)]
)
def test_a_certificate_about_to_expire_is_a_warning(
    doctor, authority, secured, days, verdict, status
):
    """The certificate is valid for two days, less the time since its creation."""
    options = ("--strict", "--ca-file", authority / "ca.pem")
    options += ("--expiry-days", days) if days else ()
    with Serving(secured("good"), beating) as script:
        found = doctor(*options, script.url())
    assert (found[0], findings(found[1])["broker TLS"][0]) == (status, verdict)
    assert "the certificate ends in 1 day" in findings(found[1])["broker TLS"][1]


def test_a_broker_that_refuses_the_login_is_found(doctor):
    def serve(peer):
        peer.read("CONNECT")
        peer.write("ERROR", {"message": "Access refused for user 'x'"})

    with Serving(Script(), serve) as script:
        status, out, _ = doctor(script.url(), FLOW_USER="x", FLOW_PASSWORD="hidden-word")
    verdict, text, fix = findings(out)["broker login"]
    assert (status, verdict) == (77, "failed")
    assert "Access refused" in text
    assert "virtual host" in fix
    assert b"hidden-word" not in out


def test_a_server_that_does_not_speak_stomp_is_found(doctor):
    with Serving(Script(), lambda peer: peer.socket.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")) as script:
        status, out, _ = doctor(script.url())
    assert (status, findings(out)["broker login"][0]) == (76, "failed")


def test_missing_heart_beats_of_a_broker_are_found(doctor):
    def serve(peer):
        peer.login(heart_beat="1000,1000")
        peer.ended()

    with Serving(Script(), serve) as script:
        status, out, _ = doctor(script.url("/topic/a"))
    verdict, _, fix = findings(out)["broker heart-beat"]
    assert (status, verdict) == (69, "failed")
    assert "proxy or firewall" in fix


def test_a_broker_without_heart_beats_is_a_warning(doctor):
    def serve(peer):
        peer.login(server="ActiveMQ/6.3.1", heart_beat="0,0")
        peer.goodbye()

    with Serving(Script(), serve) as script:
        status, out, _ = doctor(script.url())
    assert (status, findings(out)["broker heart-beat"][0]) == (0, "warning")


def test_a_topic_without_read_permission_is_found(doctor):
    def serve(peer):
        peer.login(heart_beat="0,0")
        peer.read("SUBSCRIBE")
        peer.write("ERROR", {"message": "not authorised to read"})

    with Serving(Script(), serve) as script:
        status, out, _ = doctor(script.url("/topic/a"))
    verdict, text, fix = findings(out)["subscription"]
    assert (status, verdict) == (77, "failed")
    assert "not authorised to read" in text
    assert "right to read" in fix


def test_each_host_of_a_broker_is_checked(doctor, coil):
    with reserved_port() as port:
        url = f"stomp://127.0.0.1:{port},127.0.0.1:{coil.port}/?destination=/queue/a"
        status, out, _ = doctor(url)
    assert status == 69
    assert out.decode().count("broker port") == 2
    assert re.search(r"^ok +broker login", out.decode(), re.MULTILINE)


# A broker that several servers share

INEQUIVALENT = "PRECONDITION_FAILED - inequivalent arg '{}' for queue 'a' in vhost '/': {}"
CURRENT = "received 'stream' but current is '{}'"
ABSENT = (
    "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'a' in vhost '/' of queue type"
    " rabbit_stream_queue"
)


def serving_queues(answers):
    """Play a RabbitMQ that answers subscriptions to its queues with these frames, by name."""

    def serve(peer):
        peer.login(heart_beat="0,0")
        while (frame := peer.read()).command == "SUBSCRIBE":
            assert frame.headers["x-max-priority"] == "-1"
            body = answers[frame.headers["destination"]].encode()
            peer.write("ERROR", {"message": "precondition_failed"}, body)
            peer.ended()
        peer.write("RECEIPT", {"receipt-id": frame.headers["receipt"]})

    return Serving(Script(), serve)


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        (INEQUIVALENT.format("x-queue-type", CURRENT.format("quorum")), "ok", "a quorum queue"),
        (INEQUIVALENT.format("x-queue-type", CURRENT.format("classic")), "hint", "classic"),
        (
            INEQUIVALENT.format("x-max-priority", "received '-1' but current is none"),
            "hint",
            "classic",
        ),
        (
            INEQUIVALENT.format("x-message-ttl", "received none but current is 5"),
            "ok",
            "does not say of which type",
        ),
        ("PRECONDITION_FAILED - consumer prefetch count is not set for", "warning", "a stream"),
        ("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue", "warning", "another"),
        (ABSENT, "hint", "does not exist yet"),
        (
            "ACCESS_REFUSED - configure access to queue 'a' refused",
            "failed",
            "refused",
        ),
    ],
)
def test_the_type_of_a_rabbitmq_queue_is_shown(doctor, answer, verdict, said):
    with serving_queues({"/queue/a": answer, "/queue/a.failed": ABSENT}) as script:
        status, out, _ = doctor(script.url())
    found = findings(out)
    assert found["queue"][0] == verdict
    assert said in found["queue"][1]
    assert bool(found["queue"][2]) == (verdict != "ok")
    assert found["dead letters"][0] == "hint"
    assert "--dead-letter-header x-queue-type=quorum" in found["dead letters"][2]
    assert status == (77 if verdict == "failed" else 0)


def serving_in_turn(*answers, lasting="Processing error"):
    """Play a RabbitMQ whose queue "a" is in a passing state.

    Each question gets the next of `answers`, and later ones `lasting`. An answer is one ERROR, or
    several in a row, or None: the connection ends without a word.
    """
    left = list(answers)

    def serve(peer):
        peer.login(heart_beat="0,0")
        while (frame := peer.read()).command == "SUBSCRIBE":
            is_a = frame.headers["destination"] == "/queue/a"
            said = (left.pop(0) if left else lasting) if is_a else ABSENT
            texts = [said] if isinstance(said, str) else said or ()
            frames = [encode_frame("ERROR", {"message": text}, text.encode()) for text in texts]
            peer.socket.sendall(b"".join(frames))
            peer.close()
            return
        peer.write("RECEIPT", {"receipt-id": frame.headers["receipt"]})

    return Serving(Script(), serve)


QUORUM = INEQUIVALENT.format("x-queue-type", CURRENT.format("quorum"))


@pytest.mark.parametrize(
    "passing",
    [
        "Processing error",
        ("Processing error", "NOT_FOUND - home node 'a@b' of durable queue is down"),
        "NOT_FOUND - home node 'a@b' of durable queue 'a' in vhost '/' is down or inaccessible",
        "NOT_FOUND - failed to perform operation on queue 'a' in vhost '/' due to timeout",
        None,
    ],
)
def test_a_queue_in_a_passing_state_is_asked_about_again(doctor, passing):
    with serving_in_turn(passing, passing, lasting=QUORUM) as script:
        _, out, _ = doctor(script.url())
    assert findings(out)["queue"][:2] == ["ok", "'/queue/a' is a quorum queue"]


def test_the_reason_that_follows_an_unclear_error_is_the_answer(doctor):
    # RabbitMQ 4.3 in one of ten answers on a busy machine.
    with serving_in_turn(("Processing error", QUORUM), lasting="not asked again") as script:
        _, out, _ = doctor(script.url())
    assert findings(out)["queue"][:2] == ["ok", "'/queue/a' is a quorum queue"]


@pytest.mark.parametrize("said", ["Processing error", "no idea"])
def test_an_answer_that_names_no_type_is_quoted(doctor, said):
    with serving_in_turn(lasting=said) as script:
        _, out, _ = doctor("--connect-timeout", "1", script.url())
    verdict, text, _ = findings(out)["queue"]
    assert verdict == "ok"
    assert text == (
        f"'/queue/a' is a queue; the broker does not say of which type: it says '{said}'"
    )


def test_a_single_host_is_a_hint_and_several_pass(doctor, coil):
    _, out, _ = doctor(coil.url())
    verdict, _, fix = findings(out)["broker hosts"]
    assert verdict == "hint"
    assert "stomp://a:61613,b:61613/" in fix
    url = f"stomp://127.0.0.1:{coil.port},localhost:{coil.port}/?destination=/queue/a"
    _, out, _ = doctor(url)
    assert findings(out)["broker hosts"][0] == "ok"


# This machine


def test_a_runtime_directory_path_too_long_for_a_socket_is_found(doctor, coil, tmp_path):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    status, out, _ = doctor(coil.url(), XDG_RUNTIME_DIR=str(deep))
    assert (status, findings(out)["ack socket"][0]) == (78, "failed")
    assert "RuntimeDirectory=" in findings(out)["ack socket"][2]


def test_a_low_limit_of_open_files_is_a_warning(shell, coil):
    status, out, _ = shell(f"ulimit -n 200; flow-doctor '{coil.url()}'")
    assert status == 0
    assert findings(out)["limits"][0] == "warning"
    assert "LimitNOFILE=" in findings(out)["limits"][2]


@pytest.mark.parametrize("url", ["http://x", "stomp://h:port/?destination=/queue/a"])
def test_a_malformed_address_is_a_usage_error(doctor, url):
    status, out, err = doctor(url)
    assert (status, out) == (2, b"")
    assert err.startswith("flow-doctor: ")


def test_the_exit_status_is_that_of_the_first_failure():
    told = []
    examination = Examination(told.append)

    def fail(error):
        def look():
            raise error

        return look

    assert examination.check("a", lambda: ("fine", 7), "") == 7
    assert examination.check("b", fail(Doubt("hm", "do")), "") is None
    assert examination.status == Status.DONE
    for error in (RefusedError("no"), UnreachableError("away"), ConfigurationError("x")):
        assert examination.check("c", fail(error), "fix it") is None
    assert examination.status == Status.REFUSED
    assert [each.verdict for each in told] == ["ok", "warning", "failed", "failed", "failed"]
    assert examination.summary() == "3 failed, 1 warning, 1 ok"


def test_a_closed_reader_ends_the_command_quietly(shell, coil):
    status, out, err = shell(f"flow-doctor '{coil.url()}' | head -n 1; echo ${{PIPESTATUS[0]}}")
    assert (status, err) == (0, "")
    assert out.splitlines()[1:] == [b"141"]


@pytest.mark.parametrize("columns", [120, 80, 44])
def test_lines_on_a_terminal_are_wrapped_between_words(tmp_path, columns):
    shown = Terminal(
        "flow-doctor 'stomp://127.0.0.1:1/?destination=/queue/a'; sleep 5",
        cwd=tmp_path,
        columns=columns,
        rows=60,
    )
    try:
        shown.wait_for("1 failed")
        words = shown.text.split()
        for each in ("'127.0.0.1:1':", "connection", "refused", "firewall", "subscription"):
            assert each in words
        assert max(len(line) for line in shown.lines) <= columns
    finally:
        shown.close()
