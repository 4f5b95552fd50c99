"""flowtools.testing, the kit for tests of Workers, Sources and transfer plugins."""

import json
import os
import time
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from flowtools.core.schema import schema_of
from flowtools.core.shapes import DATA
from flowtools.errors import ConfigurationError, FlowError
from flowtools.event import Event
from flowtools.testing import check_source, make_event, run_source, run_worker, viz_one
from flowtools.worker import Reject, Retry, Unavailable

pytest_plugins = ["flowtools.testing.fixtures"]


class Calls:
    """A Worker that does what the data of its event says."""

    def __init__(self):
        self.seen = []
        self.life = []

    def configure(self, config):
        self.life.append(config.get("calls", "word", fallback="none"))

    def start(self, event):
        self.seen.append(event.data)
        verb, *rest = event.data
        return getattr(self, verb)(event, *rest)

    def echo(self, event, value):
        return value

    def items(self, event, number):
        yield from range(number)

    def fails(self, event, times):
        if len(self.seen) <= times:
            raise ValueError("not yet")
        return "well"

    def rejects(self, event):
        raise Reject("bad")

    def retries(self, event, times):
        if len(self.seen) <= times:
            raise Retry("slow", after=3600)

    def down(self, event, times):
        if len(self.seen) <= times:
            raise Unavailable("down", after=3600)
        return "up"

    def hangs(self, event):
        while True:
            time.sleep(0.01)

    def odd(self, event):
        return {"at": 1j}


@pytest.mark.parametrize("type", DATA)
def test_make_event_conforms_to_the_schema_of_each_type(type):
    event = json.loads(make_event(type).encode())
    Draft202012Validator(schema_of(type, strict=True)).validate(event)


def test_data_replaces_members_of_the_example():
    event = make_event("flow.asset.created", {"title": "News"}, subject="x", redelivered=True)
    assert (event["title"], event["status"]) == ("News", "online")
    assert (event.subject, event.attributes["redelivered"]) == ("x", True)
    event["links"].clear()
    assert make_event("flow.asset.created")["links"]


@pytest.mark.parametrize("data", ["text", b"\xff", [1], 0, False])
def test_data_other_than_an_object_replaces_the_example(data):
    assert make_event("flow.stdin.line", data).data == data
    assert make_event("my.own", data).data == data


def test_run_worker_returns_the_results_of_the_pool():
    event = make_event("mine", ["items", 2], traceparent="00-1-1-01")
    ran = run_worker(Calls(), event, ["echo", "x"]).check()
    assert ran.data == [0, 1, "x"]
    assert (ran.outcomes, ran.answers) == (["done", "done"], ["ack", "ack"])
    assert {each.type for each in ran.results} == {"flow.work.result"}
    assert ran.results[0].attributes["traceparent"] == "00-1-1-01"
    assert ran.results[0].id == run_worker(Calls(), event).results[0].id


def test_a_failure_is_retried_as_often_as_allowed():
    ran = run_worker(Calls(), ["fails", 2], retries=2)
    assert (ran.outcomes, ran.data, ran.tries()) == (["done"], ["well"], 3)
    ran = run_worker(Calls(), ["fails", 2], retries=1)
    assert (ran.outcomes, ran.tries(), ran.answers) == (["failed"], 2, ["nack"])
    assert ran.errors[0].startswith("ValueError: not yet (")
    with pytest.raises(AssertionError, match="event 1: failed: ValueError: not yet"):
        ran.check()


def test_rejected_events_are_not_retried():
    ran = run_worker(Calls(), ["rejects"], ["odd"], retries=5)
    assert ran.outcomes == ["rejected", "rejected"]
    assert "data.at: complex has no JSON form" in ran.errors[1]
    assert len(ran.attempts) == 2


def test_waits_requested_by_the_worker_are_reported_and_not_waited():
    began = time.monotonic()
    ran = run_worker(Calls(), ["retries", 2])
    assert (ran.outcomes, ran.waits) == (["done"], (3600.0, 3600.0))
    ran = run_worker(Calls(), ["down", 2])
    assert (ran.outcomes, ran.waits, ran.data) == (["done"], (3600.0, 3600.0), ["up"])
    assert time.monotonic() - began < 60


def test_the_timeout_applies_in_tests():
    ran = run_worker(Calls(), ["hangs"], ["echo", 1], timeout=0.2)
    assert (ran.outcomes, ran.data) == (["timeout", "done"], [1])
    assert ran.errors[0] == "not done within 0.2 s"


def test_a_class_is_created_configured_and_cleaned_up():
    class Mine(Calls):
        def start(self, event):
            return self.life

        def clean_up(self):
            raise OSError("cannot close")

    with pytest.raises(FlowError, match="cannot clean up after the Worker: OSError"):
        run_worker(Mine, 1, config={"calls": {"word": "hello"}})

    class Other(Mine):
        clean_up = None

    assert run_worker(Other, 1, config={"calls": {"word": "hello"}}).data == [["hello"]]


def test_functions_and_names_are_accepted_as_workers():
    def double(event):
        return event.data * 2

    assert run_worker(double, 2).data == [4]
    assert run_worker("tests.workers:Upper", "a").data == ["A"]


def test_a_worker_that_cannot_be_called_is_refused():
    class Wrong:
        async def start(self, event):
            pass

    for each in (Wrong, Wrong()):
        with pytest.raises(ConfigurationError, match="is a coroutine function"):
            run_worker(each, 1)


def test_batches_go_to_start_many():
    class Many:
        def start_many(self, events):
            return [len(events)] * len(events)

    assert run_worker(Many(), 1, 2, 3, batch=2).data in ([2, 2, 1], [1, 2, 2])


def test_run_worker_leaves_no_descriptor_open():
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(3):
        run_worker(Calls(), ["echo", 1], ["rejects"])
    assert len([*Path("/proc/self/fd").iterdir()]) <= before + 1


class Titles:
    """Writes the title of an asset in capitals."""

    NEEDS = "client"

    def start(self, event):
        asset = self.client.assets.get(event["links"]["self"])
        return asset.title.upper()


def test_a_worker_gets_a_client_of_the_stand_in():
    with viz_one() as one, one.client() as client:
        asset = client.assets.create("Evening bulletin")
        links = {"self": asset.self_link}
        event = make_event("flow.asset.created", {"links": links})
        assert run_worker(Titles, event, viz_one=one).check().data == ["EVENING BULLETIN"]


def test_a_worker_without_a_stand_in_gets_no_client():
    with pytest.raises(ConfigurationError, match="needs Viz One"):
        run_worker(Titles, make_event("flow.asset.created"))


def test_the_fixture_sets_the_environment_of_the_stand_in(viz_one):
    assert os.environ["VIZONE_URL"] == viz_one.url
    with viz_one.client() as client:
        assert client.assets.create("x").title == "x"


def test_a_transfer_plugin_gets_its_document(viz_one):
    data = viz_one.plugin_data(source="ftp://a/b", destination="ftp://c/d", title="T", suffix="xml")
    assert (data.source, data.destination, data.asset.title) == ("ftp://a/b", "ftp://c/d", "T")
    assert data.settings["plugin.suffix"] == "xml"


def test_a_transfer_plugin_runs_and_its_reports_are_recorded(viz_one):
    from flowtools.transferplugin import TransferPlugin

    class Copy(TransferPlugin):
        def start(self, event):
            self.use(event)
            self.update_progress(50)
            if self.source.endswith("bad"):
                self.fail("no such clip")

    document = viz_one.plugin_document(source="ftp://a/b", step="3")
    event = make_event("flow.stdin.document", document.decode())
    assert run_worker(Copy, event, viz_one=viz_one).outcomes == ["done"]
    assert viz_one.reports(3)[-1][2] is None
    assert viz_one.reports(4) == []


class Shares:
    def __iter__(self):
        for name in ("a", "b"):
            yield Event("share", {"name": name}, source="shares", id=name)


def test_run_source_returns_the_events_of_a_source():
    assert [event.id for event in run_source(Shares())] == ["a", "b"]
    assert [event.id for event in run_source(Shares(), count=1)] == ["a"]


def test_check_source_accepts_a_good_source():
    class Ticks:
        def __init__(self):
            self.over = False

        def run(self, emit):
            number = 0
            while not self.over:
                number += 1
                emit(Event("tick", number, source="ticks", id=str(number)))
                time.sleep(0.005)

        def stop(self):
            self.over = True

    check_source(Shares, count=2, repeats=True)
    check_source(Ticks, count=3, repeats=True)


class Deaf:
    def run(self, emit):
        emit(1)
        time.sleep(2)

    def stop(self):
        pass


class Random:
    def __iter__(self):
        yield Event("x", source="s")


class Silent:
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        (Deaf, {}, "has not ended after 1 event, within 0.5 s"),
        (Random, {"repeats": True}, "a new Source gave the same events other ids"),
        (Silent, {}, "gave 0 events instead of 1"),
    ],
)
def test_check_source_names_the_fault_of_a_bad_source(kind, options, why):
    with pytest.raises(AssertionError, match=why):
        check_source(kind, seconds=0.5, **options)


def test_a_source_that_raises_or_gives_invalid_values_is_reported():
    class Raises:
        def __iter__(self):
            yield 1
            raise ValueError("broken")

    class Garbage:
        def __iter__(self):
            yield 1j

    for kind, why in ((Raises, "ValueError: broken"), (Garbage, "1 of 1 value was not an event")):
        with pytest.raises(FlowError, match=why):
            run_source(kind())


def call(event):
    raise Unavailable("down", after=30)


class Bulk:
    def start_many(self, events):
        raise Unavailable("down", after=30)


@pytest.mark.parametrize(
    ("worker", "threads", "outcomes"),
    [
        (call, 1, ["unavailable", "cancelled", "cancelled"]),
        (Bulk, 4, ["unavailable"] * 3),
    ],
)
def test_an_outage_without_an_end_ends_the_run(worker, threads, outcomes):
    ran = run_worker(worker, 1, 2, 3, threads=threads, pauses=3)
    assert ran.outcomes == outcomes
    assert ran.answers == ["nothing"] * 3
    assert ran.waits[:3] == (30.0,) * 3
    with pytest.raises(AssertionError, match="event 1: unavailable: Unavailable: down"):
        ran.check()


@pytest.mark.parametrize(
    ("type", "data", "said"),
    [
        ("flow.asset.createdd", None, "did you mean 'flow.asset.created'?"),
        ("flow.zzzzzzzz", None, "known are flow.asset.changed, "),
        ("flow.asset.created", {"titel": "x"}, "did you mean 'title'?"),
        ("flow.interval.tick", {"day": 1}, "known are number, skipped"),
    ],
)
def test_a_misspelt_type_or_member_is_refused(type, data, said):
    with pytest.raises(ValueError, match=r"there is no type|has no member") as refusal:
        make_event(type, data)
    assert said in str(refusal.value)


def test_optional_members_and_other_types_are_free():
    assert make_event("flow.asset.created", {"metadata": {"a": 1}})["metadata"] == {"a": 1}
    assert make_event("mine.flow.x", {"any": 1})["any"] == 1


def test_a_deleted_asset_is_known_as_little_as_a_tombstone_says():
    assert make_event("flow.asset.deleted")["title"] is None
