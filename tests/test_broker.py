"""The connection to a broker: URLs, logins, TLS, heart-beats, and reconnecting."""

import logging
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from flowtools.core.wait import Stop
from flowtools.errors import ProtocolError, RefusedError, UnreachableError, UsageError
from flowtools.stomp.broker import Broker
from flowtools.stomp.dialect import Dialect, dead_letter_destination, takes
from flowtools.stomp.frames import Frame, encode_frame
from flowtools.stomp.message import event_of
from flowtools.stomp.settings import Settings, parse_headers
from flowtools.stomp.transport import ConnectionLost, Transport
from flowtools.stomp.url import BrokerURL, parse_url
from flowtools.stomp.wire import Wire
from tests.running import SECONDS
from tests.stomp_servers import Script

pytest_plugins = ["tests.stomp_fixtures"]


@pytest.fixture
def stop():
    made = Stop()
    yield made
    made.close()


@contextmanager
def serving(function, *arguments):
    """Run the server's part of a test in a thread; its exceptions fail the test."""
    failures = []

    def run():
        try:
            function(*arguments)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(SECONDS)
    assert not thread.is_alive(), "the server's part has not ended"
    if failures:
        raise failures[0]


def connect(url, stop, **settings):
    return Broker(parse_url(url), Settings(**settings)).connect(stop)


def lost(session, stop):
    """Wait for the end of the session; return the reason."""
    while session.wait(stop, SECONDS):
        try:
            session.take()
        except ConnectionLost as error:
            return str(error)
    raise AssertionError("the session goes on")


# URLs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stomp://h", BrokerURL((("h", 61613),))),
        ("stomp+ssl://h", BrokerURL((("h", 61614),), tls=True)),
        ("STOMP://h:1/", BrokerURL((("h", 1),))),
        (
            "stomp://h:61613/?destination=/queue/test",
            BrokerURL((("h", 61613),), destination="/queue/test"),
        ),
        (
            "stomp://h:61613?destination=/queue/test",
            BrokerURL((("h", 61613),), destination="/queue/test"),
        ),
        (
            "stomp://me@a:1,b,[::1]:2/?destination=%2Ftopic%2Fx+y.%23&vhost=v&lastKnownId=-1",
            BrokerURL(
                (("a", 1), ("b", 61613), ("::1", 2)),
                destination="/topic/x+y.#",
                vhost="v",
                user="me",
                parameters=(("lastKnownId", "-1"),),
            ),
        ),
    ],
)
def test_a_url_is_parsed_into_its_parts(text, expected):
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h:61613",
        "http://h/",
        "stomp://",
        "stomp:///?destination=x",
        "stomp://h:0/",
        "stomp://h:65536/",
        "stomp://h:x/",
        "stomp://h:1,/",
        "stomp://[::1/",
        "stomp://h/queue/test",
        "stomp://h/?destination",
        "stomp://h/?destination=",
        "stomp://h/?destination=a&destination=b",
        "stomp://h/?ack=auto",
    ],
)
def test_a_malformed_url_is_a_usage_error(text):
    with pytest.raises(UsageError):
        parse_url(text)


@pytest.mark.parametrize("text", ["stomp://me:s3cret@h/", "stomp://h/?passcode=s3cret"])
def test_a_password_in_a_url_is_refused_and_not_repeated(text):
    with pytest.raises(UsageError, match="--password-file") as caught:
        parse_url(text)
    assert "s3cret" not in str(caught.value)


def test_urls_and_headers_must_be_utf_8():
    with pytest.raises(UsageError, match="not UTF-8"):
        parse_url("stomp://h/?destination=\udc80")
    with pytest.raises(UsageError, match="in UTF-8"):
        parse_headers(("a=\udc80",))


def test_the_public_url_is_a_uri_without_the_user():
    url = parse_url("stomp://me@a:1,[::1]:2?destination=/topic/a.#&x=a b")
    assert url.public == "stomp://a:1,[::1]:2/?destination=/topic/a.%23&x=a%20b"
    assert parse_url(url.public).destination == "/topic/a.#"


# Login


def test_connect_sends_user_host_versions_and_heart_beats(script, stop):
    def server():
        assert script.accept().login().headers == {
            "accept-version": "1.0,1.1,1.2",
            "host": "/",
            "heart-beat": "5000,10000",
            "login": "me",
            "passcode": "p:w",
        }

    with serving(server):
        session = connect(script.url(), stop, user="me", password="p:w")
    session.abort()


def test_the_vhost_of_the_url_becomes_the_host_header(script, stop):
    def server():
        assert script.accept().login().headers["host"] == "v"

    with serving(server):
        connect(script.url() + "&vhost=v", stop).abort()


def test_a_broker_that_requires_its_own_name_as_host_gets_it(coil, stop):
    session = connect(coil.url(), stop)  # CoilMQ knows only its own host name
    assert (session.dialect.broker, session.version) == ("coilmq", "1.2")
    session.close(SECONDS)


def test_a_refused_login_fails_immediately_with_the_brokers_message(script, stop):
    def server():
        peer = script.accept()
        peer.read("CONNECT")
        peer.write("ERROR", {"message": "Bad CONNECT"}, b"Access refused for user 'me'\n")

    with (
        serving(server),
        pytest.raises(RefusedError, match="Bad CONNECT: Access refused for user 'me'"),
    ):
        connect(script.url(), stop)


def test_a_broker_without_version_header_is_treated_as_stomp_1_0(script, stop):
    with serving(lambda: script.accept().login(version=None)):
        session = connect(script.url(), stop)
    assert (session.version, session.dialect.broker) == ("1.0", "unknown")
    session.abort()


@pytest.mark.parametrize("answer", ["MESSAGE", "CONNECTED"])
def test_an_answer_against_the_stomp_rules_is_a_protocol_error(script, stop, answer):
    def server():
        peer = script.accept()
        peer.read("CONNECT")
        peer.write(answer, {"version": "3"})

    with serving(server), pytest.raises(ProtocolError):
        connect(script.url(), stop)


def test_a_silent_broker_is_abandoned_after_the_connect_timeout(script, stop):
    with pytest.raises(UnreachableError, match="does not answer the login"):
        connect(script.url(), stop, connect_timeout=0.1, retry_for=0)


def test_an_unreachable_broker_is_abandoned_after_retry_for(stop, caplog):
    with pytest.raises(UnreachableError, match=r"'127.0.0.1:1': connection refused; tried for"):
        connect("stomp://127.0.0.1:1", stop, retry_for=0.5)
    assert caplog.text.count("trying again") == 1


def test_pauses_between_attempts_never_exceed_retry_for(stop, monkeypatch):
    pauses = []
    wait = stop.wait
    monkeypatch.setattr(stop, "wait", lambda seconds: pauses.append(seconds) or wait(seconds))
    with pytest.raises(UnreachableError):
        connect("stomp://127.0.0.1:1", stop, retry_for=2)
    assert sum(pauses) <= 2


def test_an_outage_does_not_delay_the_connections_after_it(script, stop, monkeypatch):
    pauses = []
    monkeypatch.setattr(Broker, "_pause", lambda self: pauses.append(self) or 0.0)
    broker = Broker(parse_url(script.url()), Settings())

    def server():
        for _ in range(3):
            script.accept().close()
        for _ in range(2):
            script.accept().login()

    with serving(server):
        for _ in range(2):
            broker.connect_anew(stop).abort()
    assert len(pauses) == 3


def test_an_unknown_host_name_is_unreachable(stop):
    with pytest.raises(UnreachableError, match=r"'no\.such\.host\.invalid:61613': "):
        connect("stomp://no.such.host.invalid", stop, retry_for=0)


def test_a_stop_ends_the_connection_attempts(stop):
    timer = threading.Timer(0.2, stop.set)
    timer.start()
    assert connect("stomp://127.0.0.1:1", stop) is None
    timer.join()


# Reconnecting


def test_the_next_host_is_tried_if_one_does_not_answer(script, stop):
    url = f"stomp://127.0.0.1:1,127.0.0.1:{script.port}"
    with serving(lambda: script.accept().login()):
        session = connect(url, stop)
    assert session.name == f"127.0.0.1:{script.port}"
    session.abort()


def test_after_a_lost_connection_the_other_host_is_tried_first(script, stop):
    other = Script()
    broker = Broker(
        parse_url(f"stomp://127.0.0.1:{script.port},127.0.0.1:{other.port}"), Settings()
    )
    names = []
    for server in (script, other, script):
        with serving(lambda server=server: server.accept().login()):
            session = broker.connect(stop)
        names.append(session.name)
        server.peers[-1].close()
        assert lost(session, stop) == "the broker has closed it"
        broker.note_lost(session, "closed")
        session.abort()
    other.close()
    ports = (script.port, other.port, script.port)
    assert names == [f"127.0.0.1:{port}" for port in ports]


def test_a_lost_connection_and_its_return_are_each_reported_once(script, stop, caplog):
    broker = Broker(parse_url(script.url()), Settings())
    with serving(lambda: script.accept().login()):
        session = broker.connect(stop)
    assert caplog.text == ""
    broker.note_lost(session, "the broker has closed it")
    session.abort()
    with serving(lambda: script.accept().login()):
        broker.connect(stop).abort()
    said = [record.getMessage() for record in caplog.records]
    name = f"'127.0.0.1:{script.port}'"
    assert said[0] == (f"lost the connection to {name}: the broker has closed it; connecting again")
    assert said[1].startswith(f"connected to {name} after ")
    assert len(said) == 2


def test_a_refused_login_after_a_success_is_retried(script, stop):
    broker = Broker(parse_url(script.url()), Settings())
    with serving(lambda: script.accept().login()):
        session = broker.connect(stop)
    broker.note_lost(session, "gone")
    session.abort()

    def server():
        peer = script.accept()
        peer.read("CONNECT")
        peer.write("ERROR", {"message": "client me already connected"})
        script.accept().login()

    with serving(server):
        broker.connect(stop).abort()


# Heart-beats


def test_heart_beats_are_sent_at_the_agreed_interval(script, stop):
    with serving(lambda: script.accept().login(heart_beat="0,300")):
        session = connect(script.url(), stop, heart_beat=(0.1, 10))
    for _ in range(3):
        assert script.peers[0].socket.recv(10) == b"\n"
    session.abort()


def test_a_close_right_after_the_last_frame_wakes_the_waiting_thread(script, stop):
    with serving(lambda: script.accept().login()):
        session = connect(script.url(), stop)
    script.peers[0].write("RECEIPT", {"receipt-id": "1"})
    script.peers[0].close()
    while session.lost is None or not session.wait(stop, SECONDS):
        pass
    assert [frame.command for frame in session.take()] == ["RECEIPT"]
    assert session.wait(stop, SECONDS)
    with pytest.raises(ConnectionLost):
        session.take()
    session.abort()


def test_frames_before_garbage_are_delivered_and_later_ones_are_not(script, stop):
    with serving(lambda: script.accept().login()):
        session = connect(script.url(), stop)
    script.peers[0].write("RECEIPT", {"receipt-id": "1"})
    taken = []
    with pytest.raises(ProtocolError, match="it begins with 'garbage'"):
        while session.wait(stop, SECONDS):
            taken += session.take()
            if len(taken) == 1 and session.lost is None:
                script.peers[0].socket.sendall(b"garbage\n\n\0RECEIPT\nreceipt-id:2\n\n\0")
    assert [frame.headers for frame in taken] == [{"receipt-id": "1"}]
    with pytest.raises(ProtocolError, match="it begins with 'garbage'"):
        session.take()
    session.abort()


def test_reading_pauses_while_frames_are_not_taken_and_resumes_afterwards(
    script, stop, monkeypatch
):
    monkeypatch.setattr("flowtools.stomp.session.BOUND", 1_000_000)
    with serving(lambda: script.accept().login()):
        session = connect(script.url(), stop)
    peer = script.peers[0]
    frame = encode_frame("MESSAGE", {"content-length": "100000"}, b"x" * 100_000)
    sent = 0
    peer.socket.settimeout(1)
    with pytest.raises(TimeoutError):  # once the system's own buffers are full, too
        while sent < 1000:
            peer.socket.sendall(frame)
            sent += 1
    assert 10 <= sent < 500
    taken = 0
    while taken < sent:
        assert session.wait(stop, SECONDS)
        taken += len(session.take())
    session.abort()


def test_sending_for_a_limited_time_waits_neither_for_the_broker_nor_for_another_sender(
    script, stop
):
    with serving(lambda: script.accept().login()):  # After which it reads nothing.
        session = connect(script.url(), stop)
    blocked = threading.Thread(target=lambda: _swallowed(session.send, b"\n" * 50_000_000))
    blocked.start()
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="it accepts no more data"):
        while True:
            session.send(b"\n", seconds=0.2)
    assert time.monotonic() - began < SECONDS
    blocked.join(SECONDS)
    assert not blocked.is_alive()
    session.abort()


def _swallowed(send, data):
    with suppress(ConnectionLost):
        send(data)


def test_a_broker_without_heart_beats_for_too_long_is_abandoned(script, stop):
    with serving(lambda: script.accept().login(heart_beat="100,0")):
        session = connect(script.url(), stop, heart_beat=(0, 0.1))
    assert lost(session, stop).startswith("no heart-beat from the broker")
    session.abort()


def test_a_broker_that_accepts_no_data_is_abandoned(script, stop):
    with serving(lambda: script.accept().login(heart_beat="100,100")):
        session = connect(script.url(), stop, heart_beat=(0.1, 0.1))
    with pytest.raises(ConnectionLost, match="no heart-beat from the broker"):
        while True:
            session.send(b"\n" * 1000000)
    session.abort()


@pytest.mark.parametrize("granted", [{}, {"heart_beat": "0,0"}, {"heart_beat": "nonsense"}])
def test_a_broker_that_grants_no_heart_beats_is_used_without_them(script, stop, granted):
    with serving(lambda: script.accept().login(**granted)):
        session = connect(script.url(), stop, heart_beat=(0.05, 0.05))
    session.wait(stop, 0.5)
    assert session.take() == []
    assert not session.wait(stop, 0.5)
    assert session.lost is None
    session.abort()


# TLS


def test_messages_arrive_through_tls(secured, authority, stop):
    server = secured("good")
    big = b"x" * 300000

    def serve():
        peer = server.accept()
        peer.login()
        for number in range(10):
            peer.message(number, big)
        assert peer.read("ACK").headers == {"id": "1"}
        peer.goodbye()

    with serving(serve):
        session = connect(server.url(), stop, ca_file=authority / "ca.pem")
        frames = []
        while len(frames) < 10:
            assert session.wait(stop, SECONDS)
            frames += session.take()
        assert [frame.body for frame in frames] == [big] * 10
        session.send_frame("ACK", {"id": "1"})
        session.close(SECONDS)


def test_the_end_of_a_tls_connection_is_noticed(secured, authority, stop):
    server = secured("good")
    with serving(lambda: server.accept().login()):
        session = connect(server.url(), stop, ca_file=authority / "ca.pem")
    server.peers[0].close()
    assert lost(session, stop) == "the broker has closed it"
    session.abort()


def test_a_silent_broker_is_abandoned_over_tls_too(secured, authority, stop):
    server = secured("good")
    with serving(lambda: server.accept().login(heart_beat="100,100")):
        session = connect(server.url(), stop, ca_file=authority / "ca.pem", heart_beat=(0.1, 0.1))
    assert lost(session, stop).startswith("no heart-beat from the broker")
    session.abort()


@pytest.mark.parametrize(
    ("certificate", "ca", "reason"),
    [
        ("good", None, "signed by an unknown authority"),
        ("self", None, "is self-signed"),
        ("expired", "ca.pem", "has expired"),
        ("other", "ca.pem", "is for another address: .*127.0.0.1"),
    ],
)
def test_an_untrusted_certificate_is_refused_with_the_reason(
    secured, authority, stop, certificate, ca, reason
):
    server = secured(certificate)

    def serve():
        with pytest.raises(ssl.SSLError):
            server.accept()

    with serving(serve), pytest.raises(RefusedError, match=reason):
        connect(server.url(), stop, ca_file=ca and authority / ca)


def test_insecure_accepts_any_certificate_and_warns(secured, stop, caplog):
    server = secured("expired")
    with serving(lambda: server.accept().login()):
        connect(server.url(), stop, insecure=True).abort()
    assert "certificate is NOT checked" in caplog.text


def test_the_client_certificate_is_sent(secured, authority, stop):
    server = secured("good", client_ca=True)
    with serving(lambda: server.accept().login()):
        connect(
            server.url(),
            stop,
            ca_file=authority / "ca.pem",
            client_certificate=authority / "client.pem",
            client_key=authority / "client.key",
        ).abort()


def test_a_missing_client_certificate_is_reported(secured, authority, stop):
    server = secured("good", client_ca=True)

    def serve():
        with pytest.raises(ssl.SSLError):
            server.accept()

    with serving(serve), pytest.raises(RefusedError, match="give --client-certificate"):
        connect(server.url(), stop, ca_file=authority / "ca.pem")


def test_tls_to_a_plain_port_is_reported(script, stop):
    def serve():
        peer = script.accept()
        peer.socket.recv(1000)
        peer.socket.sendall(b"ERROR\nmessage:what?\n\n\0")

    url = f"stomp+ssl://127.0.0.1:{script.port}"
    with serving(serve), pytest.raises(RefusedError, match="does not speak TLS"):
        connect(url, stop)


# Dialects and events


def test_an_event_id_is_the_same_on_redelivery_in_another_session():
    first = {"destination": "/queue/a", "message-id": "T_1@@s1@@1", "ack": "x", "kind": "k"}
    again = first | {"message-id": "T_1@@s2@@9", "ack": "y", "redelivered": "true"}
    rabbit = Dialect("RabbitMQ/3.10.8", "1.2")
    known = rabbit.event_id(Frame(first, b"body"))
    assert rabbit.event_id(Frame(again, b"body")) == known
    assert rabbit.event_id(Frame(again | {"x-delivery-count": "2"}, b"body")) == known
    assert rabbit.event_id(Frame(again, b"other")) != known
    assert rabbit.event_id(Frame(again | {"kind": "j"}, b"body")) != known
    assert Dialect("ActiveMQ/5.17.2", "1.2").event_id(Frame(again, b"")) == "T_1@@s2@@9"


def test_a_message_with_an_empty_id_gets_one_derived_from_its_content():
    ids = {Dialect("ActiveMQ/5", "1.2").event_id(Frame({"message-id": ""}, b"x")) for _ in "ab"}
    assert len(ids) == 1
    assert "" not in ids


@pytest.mark.parametrize(
    ("destination", "dead_letter"),
    [
        ("/queue/a", "/queue/a.failed"),
        ("a", "a.failed"),
        ("/topic/a.#", "/queue/a._.failed"),
        ("/exchange/e/k.*", "/queue/e.k._.failed"),
        ("/amq/queue/a", "/queue/a.failed"),
        ("/queue/a>b", "/queue/a>b.failed"),
        ("/queue/a.>", "/queue/failed.a._"),
        ("/queue/*.a", "/queue/failed._.a"),
        ("/queue/a,/queue/b.>", "/queue/failed.a_b._"),
    ],
)
def test_the_dead_letter_destination_is_named_after_the_destination(destination, dead_letter):
    assert dead_letter_destination(destination) == dead_letter
    assert not takes(destination, dead_letter)


@pytest.mark.parametrize(
    ("destination", "queue"),
    [
        ("/queue/a", "/queue/a"),
        ("/queue/a.>", "/queue/a.b.failed"),
        ("/queue/*.b", "/queue/a.b"),
        ("/queue/a,/queue/b", "/queue/b"),
        ("/queue/a,b", "/queue/x,b"),
    ],
)
def test_a_subscription_matches_its_names_and_wildcards(destination, queue):
    assert takes(destination, queue)
    assert not takes(destination, "/queue/c.d.e")
    assert not takes(destination, queue.replace("/queue/", "/topic/"))


@pytest.mark.parametrize(
    ("content_type", "body", "data"),
    [
        ("", b"text \xc3\xa9", {"body": "text é"}),
        ("text/plain; charset=latin-1", b"\xe9", {"body": "é"}),
        ("text/plain; charset=nonsense", b"x", {"body_base64": "eA=="}),
        ("application/octet-stream", b"\xff\0", {"body_base64": "/wA="}),
        ("application/json", b'{"a": [1, null]}', {"body": {"a": [1, None]}}),
        ("application/vnd.x+json;charset=utf-8", b"null", {"body": None}),
        ("application/json", b"{not", {"body": "{not"}),
        ("application/json", b"[123456789012345678901]", {"body": "[123456789012345678901]"}),
        ("application/json", b"[" * 900 + b"]" * 900, {"body": "[" * 900 + "]" * 900}),
        ("application/xml", b"<a>\n</a>", {"body": "<a>\n</a>"}),
        ("application/cloudevents+json", b'{"a":1}', {"body": {"a": 1}}),
        ("text/plain; charset=utf-7", b"+2AA-", {"body_base64": "KzJBQS0="}),
        ("", b"", {"body": ""}),
    ],
)
def test_a_body_becomes_json_text_or_bytes_on_one_line(content_type, body, data):
    message = Frame({"destination": "/queue/a", "content-type": content_type}, body)
    event = event_of(message, Dialect("", "1.2"), "stomp://h/")
    assert {k: v for k, v in event.data.items() if k != "headers"} == data
    assert event.encode().count(b"\n") == 1


def test_the_reason_of_an_error_may_come_in_a_second_one(script, stop, monkeypatch):
    """As RabbitMQ does when its channel ends before the STOMP plugin has read why."""
    monkeypatch.setattr("flowtools.stomp.session.REASON", SECONDS)
    said = threading.Event()

    def server():
        peer = script.accept()
        peer.login()
        peer.read("SUBSCRIBE")
        peer.message(1)
        peer.write("ERROR", {"message": "Processing error"}, b"Processing error")
        assert said.wait(SECONDS)
        peer.write("ERROR", {"message": "access_refused"}, b"ACCESS_REFUSED - no")
        peer.close()

    with serving(server):
        session = connect(script.url(), stop)
        session.send_frame("SUBSCRIBE", {"id": "1", "destination": "/queue/a"})
        frames = []
        while "ERROR" not in [frame.command for frame in frames]:
            session.wait(stop, SECONDS)
            said.set()
            frames += session.take()
    assert [frame.command for frame in frames] == ["MESSAGE", "ERROR"]
    assert frames[1].headers["message"] == "access_refused"
    with pytest.raises(ConnectionLost, match="has closed it"):
        while session.wait(stop, SECONDS):
            session.take()
    session.abort()


def test_an_error_without_a_reason_is_returned_alone(script, stop):
    def server():
        peer = script.accept()
        peer.login()
        peer.write("ERROR", {"message": "Processing error"}, b"Processing error")
        peer.ended()

    with serving(server):
        session = connect(script.url(), stop)
        session.wait(stop, SECONDS)
        (frame,) = session.take()
        assert frame.headers["message"] == "Processing error"
        session.abort()


def test_an_error_in_the_reading_thread_ends_the_session_and_is_logged(script, caplog):
    connected = socket.create_connection(("127.0.0.1", script.port))
    ended = threading.Event()

    def deliver(chunk):
        raise RuntimeError("a fault")

    transport = Transport(Wire(connected), deliver, ended.set)
    transport.start()
    script.accept().write("RECEIPT", {})
    with caplog.at_level(logging.ERROR):
        assert ended.wait(SECONDS)
    assert str(transport.lost) == "internal error: a fault"
    transport.close()
    assert Path(__file__).name not in str(transport.lost)
