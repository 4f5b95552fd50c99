"""The lines of results that a Worker returns: their ids, their trace, and the forms of values."""

import json

import pytest

from flowtools.event import Event
from tests.acks import Receiver

TRACE = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "congo=t61rcWkgMzE",
}

WORKERS = """
from flowtools.event import Event
from tests.acks import Receiver

class Echo:
    def start(self, event):
        return event.data

class Items:
    def start(self, event):
        yield from event.data

class Own:
    def start(self, event):
        yield Event("mine", source="me")
        yield Event("mine", source="me", traceparent="00-1-1-01")
        yield "x"
"""

BOTH = pytest.mark.parametrize("isolation", ["thread", "process"])


@pytest.fixture
def results(run, tmp_path):
    """Run flow-work on a class of WORKERS; return the lines of its results."""
    (tmp_path / "mine.py").write_text(WORKERS)

    def results(name, *events, args=()):
        lines = b"".join(each.encode() for each in events)
        status, out, err = run("flow-work", f"mine:{name}", *args, input=lines)
        assert (status, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]

    return results


def made(data, source="s", id="1", **more):
    return Event("t", data, source=source, id=id, **more)


@BOTH
def test_events_of_two_sources_with_equal_ids_give_results_with_different_ids(results, isolation):
    events = [made("x", source=source) for source in ("a", "b", "a")]
    one, other, again = results("Echo", *events, args=("--isolation", isolation))
    assert one["source"] == other["source"] == "flow-work"
    assert one["id"] == again["id"] != other["id"]


def test_results_of_an_event_have_distinct_ids_that_are_stable_on_redelivery(results):
    first, second, third, fourth = results("Items", made([1, 1]), made([1, 1]))
    assert first["id"] != second["id"]
    assert (first["id"], second["id"]) == (third["id"], fourth["id"])


@BOTH
def test_every_result_has_the_trace_of_its_event(results, isolation):
    lines = results("Own", made(0, **TRACE), args=("--isolation", isolation))
    assert [line.get("traceparent") for line in lines] == [
        TRACE["traceparent"],
        "00-1-1-01",
        TRACE["traceparent"],
    ]
    assert [line.get("tracestate") for line in lines] == [
        TRACE["tracestate"],
        None,
        TRACE["tracestate"],
    ]


def test_results_of_an_event_without_a_trace_have_none(results):
    assert "traceparent" not in results("Echo", made("x"))[0]


def test_the_trace_is_passed_on_together_with_the_duty(run, tmp_path):
    (tmp_path / "mine.py").write_text(WORKERS)
    with Receiver(tmp_path / "s") as receiver:
        for words in (("flow-work", "--relay", "mine:Echo"), ("flow-jq", ".data")):
            event = made("x", ackto=receiver.ackto("e.1"), **TRACE)
            status, out, _ = run(*words, input=event.encode())
            result = json.loads(out)
            assert (status, result["ackto"]) == (0, receiver.ackto("e.1"))
            assert {name: result[name] for name in TRACE} == TRACE
