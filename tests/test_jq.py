"""flow-jq: dropped events are acknowledged, and outputs carry the duty to acknowledge."""

import json
import signal
import subprocess
import time

import pytest

from flowtools.ack.sender import AckSender
from flowtools.event import Event, digest
from tests.acks import Receiver
from tests.running import SECONDS
from tests.stomp_servers import Lines


def line(data, number=1, **attributes):
    return Event("t", data, source="s", id=str(number), subject="x", **attributes).encode()


@pytest.fixture
def receiver(tmp_path):
    with Receiver(tmp_path / "s") as made:
        yield made


def filtered(start, receiver, *words, data):
    process = start("flow-jq", *words, stdin=subprocess.PIPE)
    for number, each in enumerate(data, 1):
        process.stdin.write(line(each, number, ackto=receiver.ackto(f"e.{number}")))
    process.stdin.flush()
    return process, Lines(process.stdout)


def test_dropped_events_are_acknowledged_and_kept_ones_pass_unchanged(start, receiver):
    process, lines = filtered(start, receiver, "select(.data > 1)", data=[1, 2.50])
    assert receiver.lines(1) == ["e.1 ack"]
    kept = lines.next()
    assert kept.rstrip() == line(2.50, 2, ackto=receiver.ackto("e.2")).rstrip() or (
        json.loads(kept)["ackto"] == receiver.ackto("e.2")
    )
    process.stdin.close()
    assert process.wait(SECONDS) == 0


def test_an_event_with_several_outputs_is_acknowledged_after_all_of_them(start, receiver):
    process, lines = filtered(start, receiver, ".data[]", data=[[1, 2]])
    made = [json.loads(lines.next()) for _ in range(2)]
    assert [each["data"] for each in made] == [1, 2]
    assert [(each["type"], each["id"], each["subject"]) for each in made] == [
        ("flow.jq.result", digest("s", "1") + "/0", "x"),
        ("flow.jq.result", digest("s", "1") + "/1", "x"),
    ]
    sender = AckSender()
    sender.ack(made[0]["ackto"])
    receiver.settimeout(0.3)
    with pytest.raises(TimeoutError):
        receiver.recv()
    receiver.settimeout(SECONDS)
    sender.ack(made[1]["ackto"])
    assert receiver.lines(1) == ["e.1 ack"]
    sender.close()
    process.stdin.close()
    assert process.wait(SECONDS) == 0


def test_an_error_of_the_program_fails_only_that_event(start, receiver):
    process, lines = filtered(
        start, receiver, 'if .data == 1 then error("no\nway") else . end', data=[1, 2]
    )
    assert receiver.lines(1)[0].startswith('e.1 nack {"error":"no way","attempts":1')
    assert json.loads(lines.next())["data"] == 2
    process.stdin.close()
    assert process.wait(SECONDS) == 1
    err = process.stderr.read()
    assert b"line 1: no way" in err
    assert b"the program failed for 1 of 2 lines" in err


def test_an_output_with_specversion_must_be_a_valid_event(start, receiver):
    process, _ = filtered(start, receiver, "del(.id)", data=[1])
    assert "it has no 'id'" in receiver.lines(1)[0]
    process.stdin.close()
    assert process.wait(SECONDS) == 1


def test_a_kept_event_passes_byte_for_byte(run):
    huge = b'{"specversion":"1.0",  "id":"1","source":"s","type":"t","data":[1.10,%d]}\n' % (
        2**64 - 1
    )
    assert run("flow-jq", "select(.data)", input=huge) == (0, huge, "")
    changed = run("flow-jq", '.type = "u"', input=huge)
    assert (changed[0], "exceeds 64" in changed[2]) == (1, True)
    plain = b'{"specversion":"1.0",  "id":"1","source":"s","type":"t","data":1.10}\n'
    assert run("flow-jq", ".", input=plain) == (0, plain, "")
    truth = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":true}\n'
    assert json.loads(run("flow-jq", ".data = 1", input=truth)[1])["data"] is not True


def test_a_changed_event_keeps_its_trace(run):
    traced = line(1, traceparent="00-a-b-01")
    changed = json.loads(run("flow-jq", '.type = "u"', input=traced)[1])
    assert (changed["type"], changed["traceparent"]) == ("u", "00-a-b-01")
    made = json.loads(run("flow-jq", "{a: .data}", input=traced)[1])
    assert (made["data"], made["traceparent"]) == ({"a": 1}, "00-a-b-01")


def test_other_json_values_are_filtered_too(run):
    status, out, err = run("flow-jq", ".a | select(. > 1)", input=b'{"a":1}\n\n{"a":2}\nno\n')
    assert (status, out) == (1, b"2\n")
    assert "line 4: not JSON" in err


def test_an_event_that_fails_with_a_malformed_ackto_fails_alone(run):
    bad = line("x", 1, ackto="nonsense") + line("x" * 3000, 2, ackto="unix:nonsense")
    good = line(3, 3)
    program = 'if .id == "1" then error("no") else . end'
    status, out, err = run("flow-jq", "--max-line", 2000, program, input=bad + good)
    assert (status, out) == (1, good)
    assert "the program failed for 2 of 3 lines" in err


def test_variables_and_a_program_in_a_file(run, tmp_path):
    (tmp_path / "p.jq").write_text(
        '# keeps some\nselect(.data == $n and $word == "w") | .data = $rows[1]'
    )
    (tmp_path / "rows").write_text('{"a":1}\n{"a":2}\n')
    options = ("--arg", "word", "w", "--argjson", "n", "5", "--slurpfile", "rows", "rows")
    status, out, _ = run("flow-jq", *options, "-f", "p.jq", input=line(5) + line(6))
    assert (status, json.loads(out)["data"]) == (0, {"a": 2})


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("{",), 2, "cannot compile the program: jq: error: syntax error"),
        ((), 2, "give one program"),
        ((".", "-f", "x"), 2, "give one program"),
        (("-f", "none"), 78, "cannot read 'none': No such file"),
        (("--argjson", "a", "{", "."), 2, "'{' is not JSON"),
    ],
)
def test_a_program_that_does_not_compile_is_an_error(run, words, status, said):
    found, out, err = run("flow-jq", *words)
    assert (found, out, said in err) == (status, b"", True), err


def test_without_the_jq_package_it_names_what_to_install(run, tmp_path):
    (tmp_path / "jq.py").write_text("raise ImportError")
    env = {"PYTHONPATH": str(tmp_path)}
    status, _, err = run("flow-jq", ".", env=env, real=True)
    assert (status, "pip install 'flowtools[jq]'" in err) == (78, True)


def test_after_a_signal_reading_stops_and_outstanding_outputs_are_awaited(start, receiver):
    process, lines = filtered(start, receiver, ".data[]", "--drain", "60", data=[[1, 2]])
    made = [json.loads(lines.next()) for _ in range(2)]
    process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.stdin.write(line([3], 2, ackto=receiver.ackto("e.2")))
    process.stdin.flush()
    sender = AckSender()
    for each in made:
        sender.ack(each["ackto"])
    assert receiver.until_gone() == ["e.1 ack"]
    assert process.wait(SECONDS) == -signal.SIGTERM
    sender.close()
    assert lines.next() is None


def test_drain_limits_the_wait_for_missing_acknowledgements(start, receiver):
    process, lines = filtered(start, receiver, ".data[]", "--drain", "0.5", data=[[1, 2]])
    for _ in range(2):
        lines.next()
    process.terminate()
    began = time.monotonic()
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert time.monotonic() - began >= 0.4
    assert b"2 lines have not been acknowledged" in process.stderr.read()
    # Without the goodbye the source delivers the event again.
    assert (receiver.until_gone(), receiver.byes) == ([], 0)


def test_a_closed_reader_ends_the_command_quietly(start, receiver):
    process = start("flow-jq", ".", stdin=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(SECONDS) == -13
