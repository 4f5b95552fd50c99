"""The stand-in's broker, over real sockets, byte by byte where that matters."""

import socket
import time

import pytest

from flowtools.sim import connection, delivery, session
from flowtools.sim.broker import Broker
from flowtools.sim.frames import FrameReader, pack
from flowtools.sim.people import People
from tests.running import SECONDS

VERSIONS = ["1.0", "1.1", "1.2"]


class Client:
    """A minimal STOMP client."""

    def __init__(self, broker, version="1.2", *, passcode="pw", connect=True, **headers):
        self.version = version
        self.socket = socket.create_connection(("127.0.0.1", broker.port), timeout=SECONDS)
        self.reader = FrameReader()
        self.frames = []
        if connect:
            offer = {} if version == "1.0" else {"accept-version": version, "host": "any.vhost"}
            self.send("CONNECT", **offer, login="admin", passcode=passcode, **headers)
            self.connected = self.read()
            self.reader.version = version

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, command, body=b"", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        frame = session.Frame(command, headers, body)
        self.socket.sendall(pack(frame, self.reader.version))

    def read(self):
        """The next frame; None at the end."""
        while not self.frames:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.reader.append(data)
            self.frames.extend(self.reader)
        return self.frames.pop(0)

    def bodies(self, count):
        return [self.read().body for _ in range(count)]

    def sync(self):
        """Return the frames received until the broker has processed everything we sent."""
        self.send("SEND", destination="/topic/none", receipt="sync")
        seen = []
        while (frame := self.read()) is not None and frame.cmd != "RECEIPT":
            seen.append(frame)
        return seen

    def subscribe(self, destination, ack="client-individual", id="1", **headers):
        self.send("SUBSCRIBE", destination=destination, id=id, ack=ack, **headers)

    def ack(self, message, command="ACK", **headers):
        if self.version == "1.2":
            self.send(command, id=message.headers["ack"], **headers)
        else:
            wanted = {"message-id": message.headers["message-id"]}
            if self.version == "1.1":
                wanted["subscription"] = message.headers["subscription"]
            self.send(command, **wanted, **headers)


@pytest.fixture
def broker():
    broker = Broker("127.0.0.1", 0, People("pw"))
    broker.start()
    yield broker
    broker.close()


def fill(broker, *bodies, destination="/queue/q"):
    for body in bodies:
        broker.publish(destination, {}, body)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_login_is_accepted_with_any_virtual_host(broker, version):
    with Client(broker, version) as client:
        assert client.connected.cmd == "CONNECTED"
        assert client.connected.headers.get("version", "1.0") == version


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_password_is_refused_with_an_error_frame(broker, version):
    with Client(broker, version, passcode="no") as client:
        assert client.connected.cmd == "ERROR"
        assert client.connected.headers["message"] == "access refused for user 'admin'"
        assert client.read() is None


@pytest.mark.parametrize("version", VERSIONS)
def test_messages_can_be_acknowledged_in_any_order_and_the_rest_is_redelivered(broker, version):
    fill(broker, b"a", b"b", b"c", b"d")
    with Client(broker, version) as client:
        client.subscribe("/queue/q")
        first = [client.read() for _ in range(4)]
        client.ack(first[2])
        client.ack(first[0])
        client.sync()
    with Client(broker, version) as client:
        client.subscribe("/queue/q")
        again = [client.read(), client.read()]
        assert client.sync() == []
    assert [frame.body for frame in again] == [b"b", b"d"]
    assert [frame.headers["redelivered"] for frame in again] == ["true", "true"]
    assert [frame.headers["message-id"] for frame in again] == [
        first[1].headers["message-id"],
        first[3].headers["message-id"],
    ]


def test_at_most_prefetch_count_messages_are_in_flight(broker):
    fill(broker, *(b"%d" % number for number in range(10)))
    with Client(broker) as client:
        client.subscribe("/queue/q", prefetch_count="3")
        frames = client.sync()
        assert [frame.body for frame in frames] == [b"0", b"1", b"2"]
        client.ack(frames[1])
        assert client.read().body == b"3"
        assert client.sync() == []


@pytest.mark.parametrize("version", VERSIONS)
def test_with_ack_client_an_acknowledgement_covers_all_earlier_messages(broker, version):
    fill(broker, b"a", b"b", b"c")
    with Client(broker, version) as client:
        client.subscribe("/queue/q", ack="client")
        frames = [client.read() for _ in range(3)]
        client.ack(frames[1])
        client.sync()
    with Client(broker) as client:
        client.subscribe("/queue/q")
        assert client.bodies(1) == [b"c"]
        assert client.sync() == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_transaction_is_atomic(broker, version):
    fill(broker, b"job")
    with Client(broker, version) as client:
        client.subscribe("/queue/q")
        job = client.read()
        for end in ("ABORT", "COMMIT"):
            client.send("BEGIN", transaction="t")
            client.send("SEND", b"result", destination="/queue/results", transaction="t")
            client.ack(job, transaction="t")
            client.send(end, transaction="t")
        client.sync()
    with Client(broker, version) as client:
        client.subscribe("/queue/q", id="1")
        client.subscribe("/queue/results", id="2")
        assert client.bodies(1) == [b"result"]
        assert client.sync() == []


def test_the_room_of_a_queue_is_checked_for_all_messages_of_a_transaction(broker, monkeypatch):
    monkeypatch.setattr(delivery, "MAX_WAITING", 2)
    with Client(broker) as client:
        client.send("BEGIN", transaction="t")
        for body in (b"a", b"b", b"c"):
            client.send("SEND", body, destination="/queue/q", transaction="t")
        client.send("COMMIT", transaction="t")
        assert client.read().headers["message"] == "queue '/queue/q' is full"
    fill(broker, b"d", b"e")
    with Client(broker) as client:
        client.subscribe("/queue/q", ack="auto")
        assert client.bodies(2) == [b"d", b"e"]


def test_a_failing_commit_changes_nothing(broker):
    fill(broker, b"job")
    with Client(broker) as client:
        client.subscribe("/queue/q")
        client.read()
        client.send("BEGIN", transaction="t")
        client.send("SEND", b"result", destination="/queue/results", transaction="t")
        client.send("ACK", id="1/unknown", transaction="t")
        client.send("COMMIT", transaction="t")
        assert client.read().cmd == "ERROR"
    with Client(broker) as client:
        client.subscribe("/queue/results", id="2")
        client.subscribe("/queue/q", id="1")
        assert client.bodies(1) == [b"job"]


@pytest.mark.parametrize(
    ("name", "limit"), [("MAX_FRAMES", 5), ("MAX_BYTES", 12)], ids=["frames", "bytes"]
)
def test_open_transactions_of_a_connection_are_bounded_together(broker, monkeypatch, name, limit):
    monkeypatch.setattr(session, name, limit)
    with Client(broker) as client:
        for number in range(5):  # What has ended does not count.
            client.send("BEGIN", transaction="t")
            client.send("SEND", b"1234", destination="/queue/q", transaction="t")
            client.send(("COMMIT", "ABORT")[number % 2], transaction="t")
        client.send("BEGIN", transaction="t")
        client.send("BEGIN", transaction="u")
        for transaction in "ttu":
            client.send("SEND", b"5678", destination="/queue/q", transaction=transaction)
        assert client.sync() == []
        client.send("SEND", b"9", destination="/queue/q", transaction="u")
        client.send("COMMIT", transaction="t")
        error = client.read()
        assert (error.cmd, error.headers["message"][:26]) == ("ERROR", "the open transactions hold")
        assert client.read() is None
    with Client(broker) as client:
        client.subscribe("/queue/q", ack="auto")
        assert client.bodies(3) == [b"1234"] * 3
        assert client.sync() == []


def test_a_client_cannot_open_any_number_of_empty_transactions(broker, monkeypatch):
    monkeypatch.setattr(session, "MAX_FRAMES", 3)
    with Client(broker) as client:
        for number in range(4):
            client.send("BEGIN", transaction=f"t{number}")
        assert client.read().cmd == "ERROR"


def test_an_open_transaction_is_discarded_at_a_disconnect(broker):
    with Client(broker) as client:
        client.send("BEGIN", transaction="t")
        client.send("SEND", b"x", destination="/queue/q", transaction="t")
        client.sync()
    with Client(broker) as client:
        client.subscribe("/queue/q")
        assert client.sync() == []


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_rejected_message_goes_to_the_dead_letter_queue(broker, version):
    fill(broker, b"bad")
    with Client(broker, version) as client:
        client.subscribe("/queue/q")
        client.ack(client.read(), "NACK")
        assert client.sync() == []
        client.subscribe(delivery.DEAD_LETTERS, id="2")
        dead = client.read()
    assert (dead.body, dead.headers["original-destination"]) == (b"bad", "/queue/q")


def test_a_queue_distributes_messages_and_a_topic_copies_them(broker):
    with Client(broker) as one, Client(broker) as two:
        for client in (one, two):
            client.subscribe("/queue/q", ack="auto", id="1")
            client.subscribe("/topic/t", ack="auto", id="2")
            client.sync()
        fill(broker, b"a", b"b", destination="/topic/t")
        assert one.bodies(2) == two.bodies(2) == [b"a", b"b"]
        fill(broker, b"a", b"b", b"c", b"d")
        assert sorted(one.bodies(2) + two.bodies(2)) == [b"a", b"b", b"c", b"d"]


def test_a_topic_keeps_nothing_for_later_subscribers(broker):
    fill(broker, b"early", destination="/topic/t")
    with Client(broker) as client:
        client.subscribe("/topic/t", ack="auto")
        client.sync()
        fill(broker, b"late", destination="/topic/t")
        assert client.bodies(1) == [b"late"]


def test_a_topic_respects_the_prefetch_of_each_subscriber(broker):
    with Client(broker) as client:
        client.subscribe("/topic/t", prefetch_count="1")
        client.sync()
        fill(broker, b"a", b"b", destination="/topic/t")
        frame = client.read()
        assert client.sync() == []
        client.ack(frame)
        assert client.read().body == b"b"


def test_unsubscribing_returns_messages_to_the_queue(broker):
    fill(broker, b"a")
    with Client(broker) as client:
        client.subscribe("/queue/q")
        client.read()
        client.send("UNSUBSCRIBE", id="1")
        assert client.sync() == []
        client.subscribe("/queue/q", id="2")
        assert client.read().headers["redelivered"] == "true"


def test_a_client_that_does_not_read_delays_no_other_and_is_disconnected(broker, monkeypatch):
    monkeypatch.setattr(connection, "MAX_UNSENT", 1_000_000)
    with Client(broker) as stalled, Client(broker) as reader:
        for client in (stalled, reader):
            client.subscribe("/topic/t", ack="auto")
            client.sync()
        body = bytes(100_000)
        for _ in range(200):
            broker.publish("/topic/t", {}, body)
            assert reader.read().body == body
        received = 0
        while (frame := read_or_reset(stalled)) is not None:
            received += frame.body == body
        assert received < 200


def test_a_client_that_is_disconnected_is_reported_once_and_gets_nothing_more(
    broker, monkeypatch, caplog
):
    monkeypatch.setattr(connection, "MAX_UNSENT", 1_000_000)
    with Client(broker) as stalled:
        stalled.subscribe("/topic/t", ack="auto")
        stalled.sync()
        for _ in range(300):
            broker.publish("/topic/t", {}, bytes(100_000))
        assert [each.getMessage() for each in caplog.records if each.name == "flowtools.sim"] == [
            "disconnecting a STOMP client that does not read"
        ]


def read_or_reset(client):
    try:
        return client.read()
    except ConnectionResetError:
        return None


def test_header_values_keep_colons_line_ends_and_backslashes(broker):
    value = "a:b\\c\nd\re: f"
    with Client(broker, "1.2") as client:
        client.subscribe("/queue/q", ack="auto")
        client.send("SEND", b"\0binary\0", destination="/queue/q", key=value)
        frame = client.read()
    assert (frame.headers["key"], frame.body) == (value, b"\0binary\0")


def test_a_body_without_a_length_ends_at_its_nul(broker):
    with Client(broker) as client:
        client.subscribe("/queue/q", ack="auto")
        client.socket.sendall(b"\n\r\nSEND\r\ndestination:/queue/q\r\n\r\nhello\0\n\n")
        assert client.read().body == b"hello"


def test_frames_may_arrive_byte_by_byte():
    reader = FrameReader()
    frames = []
    for byte in b"\nSEND\na:b\ncontent-length:3\n\nx\0y\0\nDISCONNECT\n\n\0":
        reader.append(bytes([byte]))
        frames.extend(reader)
    found = [(frame.cmd, frame.headers, frame.body) for frame in frames]
    assert found == [
        ("SEND", {"a": "b", "content-length": "3"}, b"x\0y"),
        ("DISCONNECT", {}, ""),
    ]
    assert len(reader._buffer) == 0  # The parsed bytes were released.


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"NONSENSE\n\n\0", "unknown command 'NONSENSE'"),
        (b"SEND\nno colon\n\n\0", "a header has no colon: 'no colon'"),
        (b"SEND\n\n\0", "SEND has no destination"),
        (b"SUBSCRIBE\nid:1\n\n\0", "SUBSCRIBE has no destination"),
        (b"SUBSCRIBE\ndestination:/queue/q\n\n\0", "SUBSCRIBE has no id"),
        (b"SUBSCRIBE\nid:1\ndestination:/q\nack:x\n\n\0", "unknown ack mode 'x'"),
        (b"SUBSCRIBE\nid:1\ndestination:/q\nselector:x\n\n\0", "selectors are not supported"),
        (b"SUBSCRIBE\nid:1\ndestination:/q\n\nbody\0", "SUBSCRIBE must not have a body"),
        (b"BEGIN\ntransaction:t\n\nbody\0", "BEGIN must not have a body"),
        (b"UNSUBSCRIBE\nid:9\n\n\0", "there is no subscription '9'"),
        (b"UNSUBSCRIBE\ndestination:/q\n\n\0", "UNSUBSCRIBE has no id"),
        (b"ACK\nid:1\n\n\0", "there is no message '1' to acknowledge"),
        (b"ACK\n\n\0", "ACK has no id"),
        (b"COMMIT\ntransaction:t\n\n\0", "there is no transaction 't'"),
        (b"BEGIN\n\n\0", "BEGIN needs a transaction"),
        (b"CONNECT\n\n\0", "connected already"),
        (b"SEND\ncontent-length:x\n\n\0", "the content-length of a frame is not a number"),
        (
            b"SEND\ncontent-length:99999999999\n\n\0",
            "the content-length of a frame is not a number",
        ),
        (
            b"SEND\ncontent-length:" + b"1" * 5000 + b"\n\nx\0",
            "the content-length of a frame is not",
        ),
        (b"SEND\n:x\n\n\0", "a header has no name"),
        (b"SEND\ncontent-length:1\n\nxy\0", "the body of a frame does not end where"),
        (b"SEND\na:\\q\n\n\0", "a header has an unknown escape"),
        (b"SEND\na:\xff\n\n\0", "the headers of a frame are not UTF-8"),
        (b"x" * 100_000, "the headers of a frame are too long"),
    ],
)
def test_a_malformed_frame_is_an_error_and_ends_only_its_connection(broker, sent, message):
    with Client(broker) as client, Client(broker) as other:
        client.socket.sendall(sent)
        frame = client.read()
        assert (frame.cmd, frame.headers["message"][: len(message)]) == ("ERROR", message)
        assert client.read() is None
        assert other.sync() == []


@pytest.mark.parametrize(
    ("version", "sent", "message"),
    [
        ("1.1", b"SEND\na:\\r\n\n\0", "a header has an unknown escape"),
        ("1.1", b"ACK\nmessage-id:1\n\n\0", "ACK has no subscription"),
        ("1.1", b"UNSUBSCRIBE\nid:9\n\n\0", "there is no subscription '9'"),
        ("1.0", b"UNSUBSCRIBE\ndestination:/q\n\n\0", "there is no subscription '/q'"),
        ("1.0", b"NACK\nmessage-id:1\n\n\0", "STOMP 1.0 has no NACK"),
    ],
)
def test_each_version_has_its_own_rules(broker, version, sent, message):
    with Client(broker, version) as client:
        client.socket.sendall(sent)
        assert client.read().headers["message"][: len(message)] == message
        assert client.read() is None


def test_version_1_0_has_no_escapes_and_may_unsubscribe_by_destination(broker):
    with Client(broker, "1.0") as client:
        client.send("SUBSCRIBE", destination="/queue/q")
        client.socket.sendall(b"SEND\ndestination:/queue/q\npath:C:\\temp\n\nx\0")
        assert client.read().headers["path"] == "C:\\temp"
        client.send("UNSUBSCRIBE", destination="/queue/q")
        client.send("SEND", b"y", destination="/queue/q")
        assert client.sync() == []


def test_an_error_frame_names_the_frame_at_fault(broker):
    with Client(broker) as client:
        client.send("SEND", receipt="r7")
        frame = client.read()
    assert (frame.cmd, frame.headers["receipt-id"]) == ("ERROR", "r7")
    assert frame.headers["message"] == frame.body.decode() == "SEND has no destination"
    with Client(broker) as client:
        client.send("BEGIN", transaction="t", receipt="r1")
        assert client.read().headers["receipt-id"] == "r1"
        client.socket.sendall(b"no colon\nat all\n\n\0")  # Not a frame: there is none to name.
        assert "receipt-id" not in client.read().headers


def test_an_unsupported_version_gets_the_list_of_supported_ones(broker):
    with Client(broker, "3.0") as client:
        assert client.connected.cmd == "ERROR"
        assert client.connected.headers["version"] == "1.0,1.1,1.2"
        assert client.read() is None


def test_the_stomp_frame_is_accepted_as_connect(broker):
    with Client(broker, connect=False) as client:
        client.send("STOMP", accept_version="1.2", host="x", login="admin", passcode="pw")
        assert client.read().headers["version"] == "1.2"


@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
@pytest.mark.parametrize("versions", ["1.1", "1.2", "1.0,1.1", "1.0,1.1,1.2"])
def test_a_login_without_a_host_is_an_error_from_stomp_1_1_on(broker, versions, command):
    with Client(broker, connect=False) as client:
        client.send(command, accept_version=versions, login="admin", passcode="pw", receipt="r")
        answer = client.read()
        assert (answer.cmd, answer.headers["message"]) == ("ERROR", f"{command} has no host")
        assert answer.headers["receipt-id"] == "r"
        assert client.read() is None


@pytest.mark.parametrize("offer", [{}, {"accept_version": "1.0"}])
def test_a_login_without_a_host_is_accepted_in_stomp_1_0(broker, offer):
    with Client(broker, connect=False) as client:
        client.send("CONNECT", **offer, login="admin", passcode="pw")
        assert client.read().cmd == "CONNECTED"


def test_with_ack_client_a_rejection_covers_all_earlier_messages(broker):
    fill(broker, b"a", b"b", b"c", b"d")
    with Client(broker) as client:
        client.subscribe("/queue/q", ack="client")
        frames = [client.read() for _ in range(4)]
        client.ack(frames[0])
        client.ack(frames[2], "NACK")
        assert client.sync() == []
    with Client(broker) as client:
        client.subscribe(delivery.DEAD_LETTERS, id="1", ack="auto")
        client.subscribe("/queue/q", id="2", ack="auto")
        assert client.bodies(3) == [b"b", b"c", b"d"]


def test_a_frame_before_the_login_is_refused(broker):
    with Client(broker, connect=False) as client:
        client.send("SEND", destination="/queue/q")
        assert client.read().cmd == "ERROR"


def test_disconnect_is_confirmed_before_the_connection_closes(broker):
    with Client(broker) as client:
        client.send("DISCONNECT", receipt="bye")
        assert client.read().headers["receipt-id"] == "bye"
        assert client.read() is None


def test_heart_beats_are_sent_on_request(broker):
    with Client(broker, heart_beat="0,100") as client:
        assert client.connected.headers["heart-beat"] == "1000,1000"
        assert client.socket.recv(10) == b"\n"


def test_a_client_without_heart_beats_is_disconnected(broker):
    with Client(broker, heart_beat="100,0") as client:
        assert client.read().headers["message"] == "no heart-beat has come from the client in time"


def test_closing_ends_every_connection():
    broker = Broker("127.0.0.1", 0, People("pw"))
    broker.start()
    with Client(broker) as client:
        broker.close()
        assert client.read() is None


def test_has_subscriber_notices_a_subscription(broker):
    started = time.monotonic()
    assert not broker.has_subscriber("/topic/t", 0.05)
    with Client(broker) as client:
        client.subscribe("/topic/t")
        assert broker.has_subscriber("/topic/t", 20)
    assert time.monotonic() - started < 20
