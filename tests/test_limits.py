"""Input that is too large or malformed is treated as documented (flowtools(7), Input)."""

import json
import os
import resource
import subprocess
import threading
from pathlib import Path
from subprocess import PIPE

import pytest

from flowtools.core.lines import MAX_LINE, LineReader
from flowtools.core.threads import BEGINS
from flowtools.core.toolong import LongLine, TooLong
from flowtools.core.wait import Stop
from flowtools.errors import ConfigurationError, ProtocolError
from flowtools.event import Event, EventError, decode
from flowtools.pool.oversize import Oversize
from flowtools.process.password import MAX_PASSWORD, read_password
from flowtools.stomp.frames import MAX_FRAME, FrameParser, encode_frame
from flowtools.vizone.document import MAX_TAGS, parse
from tests.acks import Receiver
from tests.conftest import environment
from tests.running import SECONDS, until
from tests.vizone_servers import Scripted, client_at

pytest_plugins = ["tests.stomp_fixtures"]

BOM = b"\xef\xbb\xbf"
EVENT = b'{"specversion":"1.0","id":"i1","source":"s","type":"t","data":{"n":1}}'


@pytest.fixture
def inlet(tmp_path):
    with Receiver(tmp_path / "s") as inlet:
        yield inlet


@pytest.fixture(autouse=True)
def workers(tmp_path):
    """The Workers of these tests, in the directory where commands run."""
    (tmp_path / "mine.py").write_text(WORKERS)


WORKERS = """
class Echo:
    def start(self, event):
        return event

class Fail:
    def start(self, event):
        raise ValueError("no")

class Nothing:
    def start(self, event):
        pass
"""


def data_of(out):
    return [json.loads(line)["data"] for line in out.splitlines()]


# Line ends, byte order marks, and bytes that are not text

AS_JSON = [
    (b'{"n":1}\r\n{"n":2}\r\n', [{"n": 1}, {"n": 2}], 0),
    (b"1\n2", [1, 2], 0),
    (b"\n \n\r\n1\n\t\n", [1], 0),
    (BOM + b"1\n" + BOM + EVENT + b"\n", [1, {"n": 1}], 0),
    (b'{"a":1,"a":2}\n', [{"a": 2}], 0),
    (b'"a\\u0000b"\n', ["a\0b"], 0),
    (b'"a\0b"\n1\n', [1], 1),
    (b'"\xff"\n1\n', [1], 1),
    (b'"\\ud800"\n1\n', [1], 1),
]


@pytest.mark.parametrize(("given", "data", "status"), AS_JSON)
def test_flow_work_and_flow_stdin_read_json_lines_alike(run, given, data, status):
    code, out, err = run("flow-stdin", "--json", input=given)
    assert (code, data_of(out)) == (status, data), err
    code, out, err = run("flow-work", "mine:Echo", input=given)
    assert (code, data_of(out)) == (status, data), err


@pytest.mark.parametrize(
    ("given", "data"),
    [
        (b"a\r\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"\n\na\n", ["", "", "a"]),
        (b"a\0b\n", ["a\0b"]),
        (BOM + b"a\n", ["\ufeffa"]),
    ],
)
def test_flow_stdin_keeps_lines_of_text_unchanged(run, given, data):
    status, out, err = run("flow-stdin", input=given)
    assert (status, data_of(out), err) == (0, data, "")


def test_flow_stdin_reads_invalid_utf_8_as_bytes(run):
    _, out, _ = run("flow-stdin", input=b"\xff\n")
    assert decode(out.rstrip(b"\n")).data == b"\xff"


@pytest.mark.parametrize("line", [BOM + EVENT, BOM + b'{"n":1}', b" " + BOM + b" 1 "])
def test_an_event_after_a_byte_order_mark_is_kept_without_it(run, line, tmp_path):
    run("flow-work", "--failed", "f", "mine:Fail", input=line + b"\n")
    kept = (tmp_path / "f").read_bytes()
    assert BOM not in kept
    assert decode(kept).data == decode(line).data


# Size


def long_line(ackto=None, *, size):
    event = Event("t", "x" * size, source="s", id="long")
    if ackto is not None:
        event.attributes["ackto"] = ackto
    return event.encode()


def test_a_line_that_is_too_long_takes_no_memory_and_the_next_one_is_processed(start):
    line = b'"' + b"x" * 1000 + b'"\n'
    process = start(
        "flow-work",
        "mine:Nothing",
        stdin=subprocess.PIPE,
        # The limit is on addresses: each thread reserves 64 MiB for its heap without using them.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29)),
    )
    process.stdin.write(b'"')
    for _ in range(600):
        process.stdin.write(b"x" * 2**20)
    out, err = process.communicate(b'"\n' + line, SECONDS * 2)
    assert (process.returncode, out) == (1, b""), err
    assert b"line 1 is not an event: longer than --max-line allows" in err
    assert b"1 of 2 events failed (1 invalid)" in err


@pytest.mark.parametrize("kept", [(), ("--failed", "failed")])
def test_an_event_that_is_too_long_goes_to_the_dead_letters(run, inlet, tmp_path, kept):
    line = long_line(f"unix:{tmp_path}/s#e.1", size=500)
    status, _, err = run("flow-work", "--max-line", 300, *kept, "mine:Echo", input=line * 2)
    assert (status, "longer than --max-line allows" in err) == (1, True)
    assert inlet.recv(1000).splitlines()[0].startswith(b"e.1 nack {")


@pytest.mark.parametrize(
    ("end", "ackto"),
    [
        (b',"ackto":"unix:/s#e.1"}', "unix:/s#e.1"),
        (b',"ackto":"unix:/s#e.1"}\r', "unix:/s#e.1"),
        (b'{"data":{"a":1,"ackto":"unix:/s#e.1"}}', None),
        (b'{"data":",\\"ackto\\":\\"unix:/s#e.1\\"}', None),
        (b',"ackto":"http:x"}', None),
        (b"", None),
    ],
)
def test_the_ackto_of_a_long_line_must_be_its_last_member(end, ackto):
    assert LongLine([b"x", end], None).end().ackto == ackto


def test_flow_ack_acknowledges_even_a_line_that_is_too_long(run, inlet, tmp_path):
    line = long_line(f"unix:{tmp_path}/s#e.1", size=MAX_LINE)
    assert run("flow-ack", input=line)[0] == 0
    assert inlet.recv(100) == b"e.1 ack\n"


def test_flow_send_rejects_a_line_that_is_too_long(run, coil, inlet, tmp_path):
    line = long_line(f"unix:{tmp_path}/s#e.1", size=MAX_LINE)
    status, _, err = run("flow-send", coil.url(), input=line)
    assert (status, "longer than a line may be" in err) == (1, True)
    assert inlet.recv().startswith(b'e.1 nack {"error":"')


def test_a_message_whose_line_would_be_too_long_goes_to_the_dead_letters(script, start):
    process = start("flow-listen-stomp", "--ack", "worker", script.url())
    peer = script.accept()
    peer.subscribed()
    body = b"\x01" * (MAX_LINE // 6)
    peer.message(1, body, content_type="text/plain")
    peer.message(2, b"short")
    assert json.loads(process.stdout.readline())["data"]["body"] == "short"
    letters = script.accept()
    letters.login()
    moved = letters.read("SEND")
    assert (moved.headers["destination"], moved.body) == ("/queue/a.failed", body)
    letters.write("RECEIPT", {"receipt-id": moved.headers["receipt"]})
    assert peer.read("ACK").headers["id"] == "a1"
    process.kill()
    assert b"its line would be longer than 16777216 bytes" in process.stderr.read()


# Every written line can be read by the next command

REFUSES = "bytes, and the next command refuses more than 16777216; --max-line allows more, in both"


@pytest.mark.parametrize("words", [(), ("--null",), ("--document",)])
def test_flow_stdin_refuses_input_that_is_too_long_as_an_event(run, words):
    status, out, err = run("flow-stdin", *words, input=b"\xff" * 14_000_000)
    assert (status, out) == (1, b"")
    assert ("as an event it has 1866" in err, REFUSES in err) == (True, True)


def test_flow_stdin_accepts_longer_input_if_max_line_allows(shell):
    status, _, err = shell(
        "head -c 14000000 /dev/zero | tr '\\0' '\\377' | flow-stdin --max-line 20000000 |"
        " flow-work --max-line 20000000 mine:Nothing"
    )
    assert (status, err) == (0, "")


@pytest.mark.parametrize("size", range(100, 330, 3))
def test_ackto_and_failure_do_not_count_towards_the_limit(size):
    """The members for acknowledgement and failure do not count towards the length of the line."""
    event = Event("t", "x" * size, source="s", id="1", time="2026-01-02T03:04:05.678Z")
    line = event.encode()[:-1]
    duty = b',"ackto":"unix:/run/user/1000/flow/s#e.1"}'
    failure = b',"flowerror":"%b","flowattempts":3,"flowfailedat":"2026-01-02T03:04:05.678Z"' % (
        b"y\\u0001" * 2000
    )
    forms = (line[:-1] + duty, line[:-1] + failure + b"}", line[:-1] + failure + duty, line)
    for form in forms:
        (read,) = lines_read(form, max_line=300)
        assert isinstance(read, TooLong) == (len(line) > 300)
        assert isinstance(read, TooLong) or read == form


def lines_read(line, **options):
    end, begin = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(begin, line), os.close(begin)))
    writer.start()
    stop = Stop()
    reader = LineReader(end, stop, **options)
    found = []
    while (block := reader.read()) is not None:
        found += block
    writer.join()
    stop.close()
    os.close(end)
    return found


def test_an_event_at_the_limit_passes_the_whole_pipeline(run, tmp_path):
    """Through --failed and back, with an error of the maximum length."""
    event = Event("t", "x" * 1000, source="s", id="1")
    limit = len(event.encode()) - 1
    words = ("--max-line", limit)
    long = "class Fail:\n    def start(self, event):\n        raise ValueError('\\1' * 20_000)\n"
    (tmp_path / "fails.py").write_text(long)
    assert run("flow-work", *words, "--failed", "f", "fails:Fail", input=event.encode())[0] == 1
    status, out, err = run("flow-work", *words, "mine:Echo", input=(tmp_path / "f").read_bytes())
    assert (status, json.loads(out)["data"], err) == (0, "x" * 1000, "")


def test_a_custom_source_refuses_a_value_that_is_too_long(run, tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Source:\n    def __iter__(self):\n        yield 'x' * 17_000_000\n        yield 1\n"
    )
    status, out, err = run("flow-source", "mine:Source")
    assert (status, data_of(out)) == (1, [1])
    assert "value 1 of the Source is not an event: as an event it has 170001" in err


def test_a_too_long_output_of_flow_jq_rejects_its_event(run, inlet, tmp_path):
    lines = b"".join(
        Event("t", "x", source="s", id=str(n), ackto=f"unix:{tmp_path}/s#e.{n}").encode()
        for n in (1, 2)
    )
    program = 'if .id == "1" then .data * 500 else .data end'
    status, out, err = run("flow-jq", "--max-line", 300, program, input=lines)
    assert (status, data_of(out)) == (1, ["x"])
    assert "line 1: an output is too long: as an event it has" in err
    assert inlet.recv().startswith(b"e.1 nack {")


def test_a_too_long_line_is_kept_whole_beside_the_failed_file(run, tmp_path):
    text = b'{"a":"' + b"x" * 3_000_000 + b'"}'
    words = ("--max-line", 2_000_000, "--failed", "f")
    status, _, err = run("flow-work", *words, "mine:Echo", input=text + b"\n1\n")
    assert status == 1
    (record,) = map(json.loads, (tmp_path / "f").read_text().splitlines())
    kept = Path(record["flowlinefile"])
    assert kept.parent == tmp_path
    assert kept.read_bytes() == text
    assert kept.stat().st_mode & 0o777 == 0o600
    assert record["flowerror"] == (
        f"longer than --max-line allows: {len(text)} bytes; its whole text is in '{kept}'"
    )
    assert record["flowerror"] in err
    status, out, _ = run("flow-work", "mine:Echo", input=kept.read_bytes())
    assert (status, data_of(out)) == (0, [json.loads(text)])


def test_a_short_line_over_a_small_limit_is_kept_too(run, tmp_path):
    run(
        "flow-work", "--max-line", 100, "--failed", "f", "mine:Echo", input=b'"%b"\n' % (b"x" * 150)
    )
    record = json.loads((tmp_path / "f").read_text())
    assert Path(record["flowlinefile"]).read_bytes() == b'"%b"' % (b"x" * 150)


def test_a_too_long_line_that_its_source_keeps_is_not_kept_again(run, inlet, tmp_path):
    line = long_line(f"unix:{tmp_path}/s#e.1", size=200_000)
    run("flow-work", "--max-line", 300, "--failed", "f", "mine:Echo", input=line)
    assert "flowlinefile" not in json.loads((tmp_path / "f").read_text())
    assert not list(tmp_path.glob("f.line-*"))


def test_a_line_too_large_to_be_kept_is_discarded_with_a_message(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("flowtools.pool.oversize.MAX_SIZE", 5000)
    line = LongLine([b"x" * 3000], Oversize(tmp_path / "f"))
    line.add(b"y" * 3000)
    line.add(b"z")
    ended = line.end()
    assert (ended.path, ended.size) == (None, 6001)
    assert not list(tmp_path.glob("f*"))
    assert "it has more than 5000 bytes" in caplog.text


def test_a_kept_line_whose_directory_has_gone_is_discarded_with_a_message(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("flowtools.pool.oversize.MAX_SIZE", 5000)
    folder = tmp_path / "d"
    folder.mkdir()
    line = LongLine([b"x" * 3000], Oversize(folder / "f"))
    folder.rename(tmp_path / "moved")
    folder.touch()  # A file: what was in the directory cannot be removed by its path.
    line.add(b"y" * 3000)
    assert line.end().path is None
    assert "it has more than 5000 bytes" in caplog.text


def test_an_endless_line_leaves_no_file_behind_at_a_stop(start, tmp_path):
    process = start("flow-work", "--max-line", 1000, "--failed", "f", "mine:Echo", stdin=PIPE)
    process.stdin.write(b"x" * 300_000)
    process.stdin.flush()
    until(lambda: list(tmp_path.glob("f.line-*")))
    process.terminate()
    process.wait(SECONDS)
    assert not list(tmp_path.glob("f.line-*"))


def feed(*chunks):
    parser = FrameParser()
    return [frame for chunk in chunks for frame in parser.feed(chunk)]


def test_a_frame_beyond_the_limit_is_refused_before_it_is_read():
    with pytest.raises(ProtocolError, match="longer than 67108864 bytes; it stays with the broker"):
        feed(b"MESSAGE\ncontent-length:%d\n\nx" % MAX_FRAME)
    with pytest.raises(ProtocolError, match="longer than 67108864 bytes"):
        feed(b"MESSAGE\n\n", *[b"x" * 2**20] * 65)


def test_frames_before_one_beyond_the_limit_are_delivered():
    parser = FrameParser()
    first = encode_frame("MESSAGE", {"a": "1"}, b"x")
    frames = parser.feed(first + b"MESSAGE\ncontent-length:%d\n\nx" % MAX_FRAME)
    assert [frame.body for frame in frames] == [b"x"]
    with pytest.raises(ProtocolError, match="longer than"):
        parser.feed(b"x")


def test_a_listener_ends_at_a_message_beyond_the_limit_and_leaves_it(script, start):
    process = start("flow-listen-stomp", "--ack", "worker", script.url())
    peer = script.accept()
    peer.subscribed()
    peer.socket.sendall(b"MESSAGE\nmessage-id:1\ncontent-length:99999999\n\nx")
    assert peer.ended() == []
    assert process.wait(SECONDS) == 76
    assert b"it stays with the broker" in process.stderr.read()


def test_many_headers_within_the_limit_are_read(script, start):
    headers = {f"h{number}": "x" for number in range(50_000)}
    process = start("flow-listen-stomp", "--count", "1", script.url())
    peer = script.accept()
    peer.subscribed()
    peer.message(1, b"", **headers)
    assert len(json.loads(process.stdout.readline())["data"]["headers"]) > 50_000


def test_xml_of_too_many_tags_is_refused_before_it_takes_memory():
    with pytest.raises(ProtocolError, match="it has more than 1000000 tags"):
        parse(b"<a>" + b"<b/>" * MAX_TAGS + b"</a>", name="it")


def test_an_answer_with_endless_headers_is_refused():
    endless = b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000
    with Scripted(endless) as server, client_at(server.url) as client, pytest.raises(ProtocolError):
        client.request("GET", server.url)


def test_an_endless_password_file_is_refused():
    with pytest.raises(ConfigurationError, match=f"its first line is longer than {MAX_PASSWORD}"):
        read_password("/dev/zero")


def test_an_event_nested_too_deep_fails_alone():
    deep = decode(EVENT.replace(b'{"n":1}', b"[" * 300 + b"]" * 300))
    with pytest.raises(EventError, match="nested deeper than 254 levels"):
        deep.encode()


@pytest.mark.timeout(400)
def test_a_listener_without_memory_for_its_threads_reports_it(tmp_path):
    """At whatever point a thread could not be started."""
    login = {"VIZONE_URL": "http://127.0.0.1:1/", "VIZONE_USER": "a", "VIZONE_PASSWORD": "b"}
    said = []
    # How much memory is too little depends on Python and the libraries.
    for megabytes in range(52, 96, 4):
        line = f"ulimit -v {megabytes * 1024}; exec flow-listen-assets --state s --retry-for 0.1"
        done = subprocess.run(
            ["bash", "-c", line],
            env=environment(**login),
            stderr=PIPE,
            cwd=tmp_path,
            timeout=BEGINS + SECONDS,
        )
        if done.returncode == 69:
            break  # This much memory was enough.
        if done.returncode == 70:
            said.append(done.stderr.decode().splitlines()[-1])
    assert any("out of memory, or of threads" in line for line in said), said
    assert not any("RuntimeError" in line for line in said), said
