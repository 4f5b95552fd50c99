"""Changes read from messages: nothing is guessed, and no bad message ends the listener."""

import pytest

from flowtools.vizone.changes import read_changes

ATOM = 'xmlns="http://www.w3.org/2005/Atom"'
MAM = 'xmlns:mam="http://www.vizrt.com/2010/mam"'
TOMBSTONE = 'xmlns:at="http://purl.org/atompub/tombstones/1.0"'
BASE = "https://one.example"


def changes(body=b"", **headers):
    body = body.encode() if isinstance(body, str) else body
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    found = read_changes(headers, body, BASE)
    return [(change.kind, change.identity, change.location, change.when) for change in found]


def entry(id="urn:1", more=""):
    return (
        f"<entry {ATOM} {MAM}><id>{id}</id><updated>2017-01-01T12:00:00Z</updated>"
        f'<link rel="self" href="/item/{id}"/>{more}</entry>'
    )


WHEN = "2017-01-01T12:00:00Z"


def test_an_entry_without_further_hints_is_changed():
    assert changes(entry()) == [("changed", "urn:1", f"{BASE}/item/urn:1", WHEN)]


def test_the_headers_identify_the_asset():
    found = changes(entry(), identity="urn:9", location="https://one.example/9")
    assert found == [("changed", "urn:9", "https://one.example/9", WHEN)]


@pytest.mark.parametrize(
    ("header", "value", "kind"),
    [
        ("action", "create", "created"),
        ("event", "ADDED", "created"),
        ("event-type", "updated", "updated"),
        ("type", "modify", "updated"),
        ("operation", "Removed", "deleted"),
        ("method", "DELETE", "deleted"),
        ("change", "renamed", "changed"),
        ("type", "application/xml", "changed"),
        ("unheard-of", "create", "changed"),
    ],
)
def test_a_header_may_state_the_kind_of_change(header, value, kind):
    assert changes(entry(), **{header: value})[0][0] == kind


def test_a_deleted_status_is_a_deletion():
    assert changes(entry(more="<mam:mediastatus>deleted</mam:mediastatus>"))[0][0] == "deleted"
    assert changes(entry(more="<mam:mediastatus>online</mam:mediastatus>"))[0][0] == "changed"


def test_a_tombstone_is_a_deletion_despite_the_headers():
    body = f'<at:deleted-entry {TOMBSTONE} ref="urn:1" when="{WHEN}"/>'
    assert changes(body, action="update") == [("deleted", "urn:1", None, WHEN)]


def test_a_feed_reports_each_of_its_entries_and_tombstones():
    body = (
        f"<feed {ATOM}>{entry('urn:1')}"
        f'<at:deleted-entry {TOMBSTONE} ref="urn:2" when="{WHEN}"/>{entry("urn:3")}</feed>'
    )
    assert changes(body, identity="urn:feed", action="create") == [
        ("changed", "urn:1", f"{BASE}/item/urn:1", WHEN),
        ("deleted", "urn:2", None, WHEN),
        ("changed", "urn:3", f"{BASE}/item/urn:3", WHEN),
    ]


def test_the_headers_of_a_feed_with_one_entry_apply_except_the_id():
    found = changes(f"<feed {ATOM}>{entry()}</feed>", identity="urn:feed", action="create")
    assert found == [("created", "urn:1", f"{BASE}/item/urn:1", WHEN)]


def test_a_feed_without_entries_reports_no_change():
    assert changes(f"<feed {ATOM}/>") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"{}",
        b"\xff\x00",
        b"<a",
        b"<a/>",
        b'<payload xmlns="http://www.vizrt.com/types"/>',
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b"<a>" * 100_000,
        f"<at:deleted-entry {TOMBSTONE}/>".encode(),
    ],
)
def test_any_other_body_is_a_change_of_the_asset_in_the_headers(body):
    assert changes(body, identity="urn:1", location="l") == [("changed", "urn:1", "l", None)]


def test_an_empty_message_is_a_change_of_an_unknown_asset():
    assert changes() == [("changed", None, None, None)]
