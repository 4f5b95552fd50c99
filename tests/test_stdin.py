"""flow-stdin: lines, NUL-separated pieces, JSON values and whole documents."""

import json
import os
import pty
import signal
from base64 import b64decode
from pathlib import Path
from subprocess import PIPE

import pytest

from flowtools.event import decode, digest
from tests.running import SECONDS, until


def data_of(out):
    """The data of the event lines: text or bytes."""
    events = [json.loads(line) for line in out.splitlines()]
    return [e["data"] if "data" in e else b64decode(e["data_base64"]) for e in events]


@pytest.mark.parametrize(
    ("args", "input", "data"),
    [
        ([], b"", []),
        ([], b"a\nb\n", ["a", "b"]),
        ([], b"a\nb", ["a", "b"]),
        ([], b"a\n\n b \n", ["a", "", " b "]),
        ([], b"a\r\nb\r\r\nc\r", ["a", "b\r", "c"]),
        ([], b"a\0b\tc\x1b[1m\n", ["a\0b\tc\x1b[1m"]),
        ([], "\u00e6\u2028\U0001f600\n".encode(), ["\u00e6\u2028\U0001f600"]),
        ([], b"\xff\xfe\nok\n", [b"\xff\xfe", "ok"]),
        (["--null"], b"a\nb\r\0c\0", ["a\nb\r", "c"]),
        (["--null"], b"a\0\0b", ["a", "", "b"]),
        (["--null"], b"\xe6.mxf\0", [b"\xe6.mxf"]),
        (["--json"], b'{"a": [1]}\n2\n"x"\r\nnull\n', [{"a": [1]}, 2, "x", None]),
        (["--json"], b"\n1\n \t\n2", [1, 2]),
        (["--document"], b"<a>\r\n</a>\n", ["<a>\r\n</a>\n"]),
        (["--document"], b"", [""]),
        (["--document"], b"<?xml encoding='latin1'?>\xe6", [b"<?xml encoding='latin1'?>\xe6"]),
    ],
)
def test_events_carry_the_input_data(run, args, input, data):
    status, out, err = run("flow-stdin", *args, input=input)
    assert (status, data_of(out), err) == (0, data, "")


def test_a_line_becomes_an_event_with_its_own_type_and_a_stable_id(run):
    status, out, _ = run("flow-stdin", input=b"a\na\n")
    first, second = map(json.loads, out.splitlines())
    assert status == 0
    assert first == {
        "specversion": "1.0",
        "id": f"{digest(b'a')}-1",
        "source": "flow-stdin",
        "type": "flow.stdin.line",
        "time": first["time"],
        "datacontenttype": "application/json",
        "data": "a",
    }
    assert second["id"] == f"{digest(b'a')}-2"


def test_a_document_becomes_an_event_with_its_own_type(run):
    _, out, _ = run("flow-stdin", "--document", input=b"\xff")
    event = json.loads(out)
    assert (event["type"], event["datacontenttype"], event["data_base64"]) == (
        "flow.stdin.document",
        "application/octet-stream",
        "/w==",
    )


def test_a_json_line_gets_the_same_id_as_from_flow_work(run):
    _, out, _ = run("flow-stdin", "--json", input=b'\n{"a":1}\n')
    assert json.loads(out)["id"] == decode(b'{"a":1}\n', 1).id


def test_a_json_line_that_is_an_event_passes_unchanged(run):
    _, line, _ = run("flow-stdin", input=b"a\n")
    assert run("flow-stdin", "--json", input=line) == (0, line, "")


def test_a_bad_json_line_is_reported_by_number_and_the_rest_continues(run):
    deep = b"[" * 1100 + b"]" * 1100
    lines = b"1\n{\n2\nNaN\n" + deep + b"\n99999999999999999999999\n3\n"
    status, out, err = run("flow-stdin", "--json", input=lines)
    assert (status, data_of(out)) == (1, [1, 2, 3])
    said = err.splitlines()
    assert [line.split(":")[1] for line in said[:4]] == [f" line {n}" for n in (2, 4, 5, 6)]
    assert said[4:] == ["flow-stdin: 4 of 7 lines were refused"]


def test_a_json_value_too_deep_for_an_event_line_is_skipped(run):
    deepest = b"[" * 1024 + b"]" * 1024
    status, out, err = run("flow-stdin", "--json", input=deepest + b"\n1\n")
    assert (status, data_of(out)) == (1, [1])
    assert err.startswith("flow-stdin: line 1: cannot be written as JSON: ")


@pytest.mark.parametrize("size", [11, 100_000])
def test_a_line_that_is_too_long_is_reported_and_the_rest_continues(run, size):
    lines = b"a\n" + b"x" * size + b"\n" + b"y" * 10 + b"\n"
    status, out, err = run("flow-stdin", "--max-line", "10", input=lines)
    assert (status, data_of(out)) == (1, ["a", "y" * 10])
    assert err == (
        "flow-stdin: line 2: longer than 10 bytes; --max-line allows more\n"
        "flow-stdin: 1 of 3 lines were refused\n"
    )


def test_a_document_that_is_too_large_is_refused(run):
    message = (
        "flow-stdin: cannot take the document: longer than 100000 bytes; --max-size allows more\n"
    )
    args = ("flow-stdin", "--document", "--max-size", "100000")
    assert run(*args, input=b"x" * 100_001) == (1, b"", message)
    assert data_of(run(*args, input=b"x" * 100_000)[1]) == ["x" * 100_000]


def test_two_input_forms_exclude_each_other(run):
    assert run("flow-stdin", "--null", "--json") == (
        2,
        b"",
        "flow-stdin: --null and --json exclude each other; try 'flow-stdin --help'\n",
    )


@pytest.mark.parametrize("args", [[], ["--document"]])
def test_unreadable_input_is_reported(start, tmp_path, args):
    with (tmp_path / "file").open("wb") as write_only:
        process = start("flow-stdin", *args, stdin=write_only)
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (1, b"")
    assert err == b"flow-stdin: cannot read standard input: Bad file descriptor\n"


@pytest.mark.parametrize("args", [[], ["--null"], ["--json"]])
def test_a_slow_line_is_printed_before_the_next_arrives(start, args):
    end = b"\0" if args == ["--null"] else b"\n"
    process = start("flow-stdin", *args, stdin=PIPE)
    for number in (b"1", b"22", b"333"):
        process.stdin.write(number + end)
        process.stdin.flush()
        assert str(json.loads(process.stdout.readline())["data"]).encode() == number
    process.stdin.close()
    assert process.wait(timeout=SECONDS) == 0


def test_a_line_that_arrives_in_pieces_is_one_event(start):
    process = start("flow-stdin", stdin=PIPE)
    for piece in (b"first\nse", b"co", b"nd\n"):
        process.stdin.write(piece)
        process.stdin.flush()
        if piece.startswith(b"first"):
            assert data_of(process.stdout.readline()) == ["first"]
    assert data_of(process.stdout.readline()) == ["second"]


def test_a_hundred_thousand_lines_are_printed_in_order(run):
    lines = b"".join(b"%d\n" % number for number in range(100_000))
    status, out, _ = run("flow-stdin", input=lines)
    assert status == 0
    assert data_of(out) == [str(number) for number in range(100_000)]


@pytest.mark.parametrize("args", [[], ["--document"]])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_for_input_and_the_process(start, args, signum):
    process = start("flow-stdin", *args, "-vv", stdin=PIPE)
    # The signal handlers are in place once the process waits for input.
    wait_until_it_sleeps(process)
    process.send_signal(signum)
    assert process.wait(timeout=SECONDS) == -signum
    assert process.stdout.read() == b""


def test_an_incomplete_document_is_not_delivered_at_a_signal(start):
    process = start("flow-stdin", "--document", stdin=PIPE)
    process.stdin.write(b"<half")
    process.stdin.flush()
    wait_until_it_sleeps(process)
    process.terminate()
    assert process.wait(timeout=SECONDS) == -signal.SIGTERM
    assert process.stdout.read() == b""


@pytest.mark.parametrize("args", [[], ["--null"], ["--json"], ["--document"]])
def test_a_closed_reader_quietly_ends_the_command_without_input(start, args):
    process = start("flow-stdin", *args, stdin=PIPE)
    process.stdout.close()
    assert process.wait(timeout=SECONDS) == -signal.SIGPIPE
    assert process.stderr.read() == b""


def test_a_closed_reader_is_status_141_in_a_shell(shell):
    status, out, err = shell("yes | flow-stdin | head -n 1 >&2; echo ${PIPESTATUS[1]}")
    assert (status, out) == (0, b"141\n")
    assert json.loads(err)["data"] == "y"


def test_a_regular_file_as_output_works(run, tmp_path):
    with (tmp_path / "out").open("wb") as file:
        process_status, _, err = run("flow-stdin", input=b"a\nb\n", stdout=file)
    assert (process_status, err) == (0, "")
    assert data_of((tmp_path / "out").read_bytes()) == ["a", "b"]


def test_input_typed_at_the_output_terminal_does_not_keep_it_busy(start):
    """The output's descriptor is readable then, which must not wake the command again and again."""
    leader, terminal = pty.openpty()
    try:
        process = start("flow-stdin", stdin=PIPE, stdout=terminal)
        os.write(leader, b"typed\n")
        wait_until_it_sleeps(process)
        process.stdin.close()
        assert process.wait(timeout=SECONDS) == 0
    finally:
        os.close(terminal)
        os.close(leader)


def wait_until_it_sleeps(process):
    """Return when the process waits in poll(2), with its signal handlers in place."""
    catches = 1 << (signal.SIGTERM - 1)

    def sleeps():
        status = Path(f"/proc/{process.pid}/status").read_text()
        waits = Path(f"/proc/{process.pid}/syscall").read_text().split()[0]
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        return caught & catches and waits in ("7", "73", "271")

    until(sleeps, "it to wait in poll(2)")
