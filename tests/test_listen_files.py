"""flow-listen-files, against the stand-in: over real HTTP and STOMP, in real processes."""

import json
import select
import signal
import time
from dataclasses import replace

import pytest

from flowtools.event import Event
from flowtools.source.location import UnmanagedFilesListener
from flowtools.source.vizone.entries import xml_of
from flowtools.source.vizone.passage import Ticket
from flowtools.source.vizone.progress import Progress
from flowtools.source.vizone.settling import Settling
from flowtools.stomp.message import Message
from flowtools.vizone import Account
from flowtools.vizone.atom import Entry
from flowtools.vizone.document import parse
from tests.running import SECONDS
from tests.vizone_servers import account_of

pytest_plugins = ["tests.vizone_fixtures"]


def lines(out):
    return [json.loads(line) for line in out.splitlines()]


def listen(start, server, *args, location="xmlimport"):
    """Start the command, and return once it listens."""
    process = start("flow-listen-files", location, *args, env=server.environment())
    assert server._broker.has_subscriber(f"/topic/vizone.unmanaged.{location}", 30)
    return process


def test_a_file_is_reported_empty_and_then_complete(server, start):
    process = listen(start, server, "--count", "3")
    server.catalogue.put_file("xmlimport", "a b.xml", b"12345")
    server.catalogue.delete_file("xmlimport", "a b.xml")
    out, err = process.communicate(timeout=SECONDS)
    events = lines(out)
    assert (process.returncode, err) == (0, b"")
    found = [(event["type"], event["data"]["name"], event["data"]["size"]) for event in events]
    assert found == [
        ("flow.file.created", "a b.xml", 0),
        ("flow.file.updated", "a b.xml", 5),
        ("flow.file.deleted", None, None),
    ]
    urn = "urn:vme:default:unmanaged:xmlimport:a%20b.xml"
    assert [event["subject"] for event in events] == ["a b.xml", "a b.xml", urn]
    assert {event["data"]["id"] for event in events} == {urn}
    assert {event["data"]["location"] for event in events} == {"xmlimport"}
    self_link = f"{server.url}/api/media/unmanaged/xmlimport/a%20b.xml"
    assert events[1]["data"]["url"] == f"{server.url}/files/xmlimport/a%20b.xml"
    assert events[1]["data"]["links"]["self"] == self_link


def test_skip_empty_leaves_out_empty_files(shell):
    status, out, err = shell(
        "flow-sim --files 5 --rate 100 -- flow-listen-files xmlimport --skip-empty --count 5"
    )
    assert (status, err) == (0, "")
    assert all(event["data"]["size"] > 0 for event in lines(out))


def test_files_of_another_location_are_not_reported(server, start):
    process = listen(start, server, "--count", "1", location="ftpimport")
    server.catalogue.put_file("xmlimport", "no", b"")
    server.catalogue.put_file("ftpimport", "yes", b"")
    out, _ = process.communicate(timeout=SECONDS)
    assert [event["subject"] for event in lines(out)] == ["yes"]


def test_a_missing_location_is_a_configuration_error(server, run):
    status, out, err = run("flow-listen-files", "nope", env=server.environment())
    assert (status, out, err) == (
        78,
        b"",
        (
            "flow-listen-files: cannot find location 'nope':"
            " the user can see 'xmlimport', 'ftpimport'\n"
        ),
    )


def test_a_location_is_required(run):
    status, _, err = run("flow-listen-files")
    assert status == 2
    assert "missing argument 'LOCATION'" in err


FILE = "<entry><id>{0}</id><title>{0}</title>{1}</entry>"
CONTENT = '<content xmlns="http://search.yahoo.com/mrss/" url="http://u:p@h/x" fileSize="{}"/>'
FEED = '<feed xmlns="http://www.w3.org/2005/Atom">{}</feed>'


def events_of(server, body, **options):
    listener = UnmanagedFilesListener(account_of(server), "xmlimport", **options)
    return listener.to_events(Message({"identity": "urn:feed"}, body.encode()))


@pytest.mark.parametrize("names", ["", "a", "abc"])
def test_a_message_may_be_about_no_file_one_or_several(server, names):
    body = FEED.format("".join(FILE.format(name, "") for name in names))
    events = events_of(server, body)
    assert [(event.type, event.subject) for event in events] == [
        ("flow.file.changed", name) for name in names
    ]
    assert len({event.id for event in events}) == len(names)


def test_a_file_of_unknown_size_is_not_treated_as_empty(server):
    body = FEED.format(
        FILE.format("empty", CONTENT.format(0))
        + FILE.format("unknown", "")
        + FILE.format("full", CONTENT.format(7))
    )
    events = events_of(server, body, skip_empty=True)
    assert [(event.subject, event["size"]) for event in events] == [("unknown", None), ("full", 7)]


def test_a_login_in_a_link_is_removed_from_the_event(server):
    (event,) = events_of(server, FEED.format(FILE.format("a", CONTENT.format(7))))
    assert event["url"] == "http://h/x"


def test_a_message_that_is_not_a_feed_becomes_an_event_of_its_headers(server):
    (event,) = events_of(server, "no xml")
    assert (event.type, event.subject, event["name"]) == ("flow.file.changed", "urn:feed", None)


def test_a_growing_file_is_reported_once_it_has_settled(server, start):
    process = listen(start, server, "--settle", "0.6", "--count", "2")
    for size in (0, 1, 2, 3):
        server.catalogue.storages.write("xmlimport", "grows", b"x" * size)
        time.sleep(0.1)
    server.catalogue.put_file("xmlimport", "other", b"12345")
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, b"")
    assert [(each["subject"], each["data"]["size"]) for each in lines(out)] == [
        ("grows", 3),
        ("other", 5),
    ]


def test_the_server_is_asked_whether_a_file_has_settled(server, start):
    """A message may be lost: the file grows without a notification."""
    process = listen(start, server, "--settle", "0.5", "--count", "1")
    server.catalogue.storages.write("xmlimport", "grows", b"x")
    told, server.catalogue.watchers.files = server.catalogue.watchers.files, lambda *told: None
    server.catalogue.storages.write("xmlimport", "grows", b"xxxx")
    server.catalogue.watchers.files = told
    out, _ = process.communicate(timeout=SECONDS)
    assert [(each["subject"], each["data"]["size"]) for each in lines(out)] == [("grows", 4)]


def file_event(size):
    return Event(
        "flow.file.changed",
        {"id": "urn:f", "size": size, "updated": f"2026-01-01T00:00:0{size}Z"},
        source="http://one",
        id=f"urn:f#{size}",
    )


@pytest.fixture
def stage():
    """A stage whose server returns the last item of the list `now`."""
    now = []
    account = Account("http://127.0.0.1:1", "u", "p")
    stage = Settling(account, 0.05, lambda client, event: now[-1])
    stage.now = now
    stage.start()
    yield stage
    stage.close()


def taken(stage):
    assert select.select([stage], [], [], SECONDS)[0]
    return stage.take(10)


TICKETS = [Ticket(None, token) for token in range(3)]


def test_only_the_same_change_is_dropped_as_a_duplicate(stage):
    """Once the server's answer about a file was written with the ticket of another change."""
    stage.now.append(file_event(4))
    stage.put(file_event(1), TICKETS[0])
    assert taken(stage) == [(stage.now[-1], TICKETS[0])]
    stage.put(file_event(4), TICKETS[1])
    assert taken(stage) == [(stage.now[-1], TICKETS[1])]
    stage.put(file_event(4), TICKETS[2])
    assert taken(stage) == [(None, TICKETS[2])]


def test_a_late_message_does_not_replace_a_newer_one(stage):
    stage.now.append(file_event(4))
    stage.put(file_event(4), TICKETS[0])
    stage.put(file_event(1), TICKETS[1])
    assert taken(stage) == [(None, TICKETS[1])]
    assert taken(stage) == [(stage.now[-1], TICKETS[0])]


def test_a_dropped_duplicate_is_not_remembered_as_done():
    """The event that replaced it may be lost in a kill; then the replay has to report it."""
    progress = Progress(1000.0, {})
    kept, dropped = progress.begin("new", 1010.0), progress.begin("old", 1005.0)
    progress.forget(dropped)
    assert (progress.is_known("old"), progress.mark) == (False, 1010.0)
    again = progress.begin("new", 1010.0)
    progress.forget(again)
    assert (progress.is_known("new"), progress.mark) == (True, 1010.0)
    progress.done([kept, again, dropped])
    assert (progress.is_known("new"), progress.is_known("old")) == (True, False)


def test_a_file_that_vanishes_before_it_has_settled_is_reported_as_deleted(server, start):
    process = listen(start, server, "--settle", "0.5", "--count", "1")
    server.catalogue.storages.write("xmlimport", "goes", b"x")
    server.catalogue.watchers.files = lambda *told: None
    server.catalogue.delete_file("xmlimport", "goes")
    out, _ = process.communicate(timeout=SECONDS)
    assert [(each["type"], each["subject"]) for each in lines(out)] == [
        ("flow.file.deleted", "goes")
    ]


def test_a_message_without_news_is_ignored(server, start):
    process = listen(start, server, "--count", "2")
    file = server.catalogue.storages.write("xmlimport", "a", b"1")
    server.catalogue.watchers.files("update", file)
    server.catalogue.storages.write("xmlimport", "b", b"1")
    out, _ = process.communicate(timeout=SECONDS)
    assert [each["subject"] for each in lines(out)] == ["a", "b"]


def test_existing_reports_files_that_are_already_there_first(server, start):
    for name in ("one", "two"):
        server.catalogue.put_file("xmlimport", name, b"1")
    process = listen(start, server, "--existing", "--settle", "0.1", "--count", "3")
    there = [json.loads(process.stdout.readline()) for _ in range(2)]
    server.catalogue.put_file("xmlimport", "three", b"1")
    out, _ = process.communicate(timeout=SECONDS)
    assert {each["subject"] for each in there} == {"one", "two"}
    assert all(each["replayed"] for each in there)
    assert [each["subject"] for each in lines(out)] == ["three"]


def test_a_file_still_settling_at_a_kill_is_reported_after_the_restart(server, start):
    process = listen(start, server, "--settle", "60", "--state", "s")
    server.catalogue.put_file("xmlimport", "late", b"1")
    time.sleep(0.3)
    process.kill()
    process.wait()
    process = start(
        *("flow-listen-files", "xmlimport", "--settle", "0.1", "--state", "s", "--count", "1"),
        env=server.environment(),
    )
    out, _ = process.communicate(timeout=SECONDS)
    assert [each["subject"] for each in lines(out)] == ["late"]


def put_old(server, name, when="2020-01-01T00:00:00Z"):
    """Let a file arrive with an old time, without a notification."""
    told, server.catalogue.watchers.files = server.catalogue.watchers.files, lambda *told: None
    file = server.catalogue.storages.write("xmlimport", name, b"1")
    server.catalogue.storages._files["xmlimport", name] = replace(file, updated=when)
    server.catalogue.watchers.files = told


def asked_for(server, start, *args):
    """Run the listener; return the files that it asks the server about, without the last."""
    # By its name the first in the feed, which is read from the end.
    put_old(server, "!", f"2023-01-01T00:00:{time.monotonic() % 60:09.6f}Z")
    process = listen(start, server, "--state", "s", *args)
    subjects = []
    while "!" not in subjects:
        subjects.append(json.loads(process.stdout.readline())["subject"])
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=SECONDS)
    assert lines(out) == []
    return subjects[:-1]


def test_a_file_that_arrived_with_an_old_time_is_not_missed(server, start, tmp_path):
    put_old(server, "there from the start")
    process = listen(start, server, "--state", "s")
    server.catalogue.storages.write("xmlimport", "live", b"1")
    assert json.loads(process.stdout.readline())["subject"] == "live"
    process.send_signal(signal.SIGTERM)
    process.wait(SECONDS)
    put_old(server, "old", "2021-01-01T00:00:00Z")
    put_old(server, "older", "2019-01-01T00:00:00Z")
    assert set(asked_for(server, start)) == {"old", "older"}
    assert asked_for(server, start) == []
    server.catalogue.storages.delete("xmlimport", "old")
    put_old(server, "older", "2018-01-01T00:00:00Z")
    assert asked_for(server, start) == ["older"]
    # Files that no longer exist are forgotten.
    kept = json.loads((tmp_path / "s").read_bytes())["seen"]
    assert len(kept) == len(server.catalogue.storages.files("xmlimport"))


def test_since_selects_by_the_time_of_the_file(server, start):
    put_old(server, "too old")
    put_old(server, "new enough", "2022-01-01T00:00:00Z")
    args = ("--since", "2021-01-01T00:00:00Z")
    assert asked_for(server, start, *args) == ["new enough"]
    assert asked_for(server, start, *args) == []


@pytest.mark.parametrize("mode", ["pipe", "worker"])
def test_a_signal_ends_the_command_while_a_file_settles(server, start, mode):
    process = listen(start, server, "--settle", "60", "--ack", mode)
    server.catalogue.put_file("xmlimport", "late", b"1")
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM


def test_the_entry_in_an_event_has_no_login():
    entry = (
        '<entry xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://search.yahoo.com/mrss/">'
        "<title>ftp://u:s3cret@h/a</title><link rel='self' href='http://u:s3cret@h/1'/>"
        '<m:content url="ftp://u:s3c%40ret@h:21/a@b.mxf"/></entry>'
    )
    found = xml_of(Entry(parse(entry.encode(), name="x")))
    assert "s3c" not in found
    for kept in ("ftp://h/a<", '"http://h/1"', '"ftp://h:21/a@b.mxf"'):
        assert kept in found
