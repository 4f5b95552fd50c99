"""The JSON Schemas of events: up to date, valid, and matched by what the sources write."""

import json
import re

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from flowtools.core.schema import schema_of
from flowtools.core.shapes import DATA
from flowtools.stomp.dialect import Dialect
from flowtools.stomp.frames import Frame
from flowtools.stomp.message import event_of
from tests.conftest import ROOT


def hold(lines, *, least):
    """Check that each line conforms to the strict schema of its type."""
    events = [json.loads(line) for line in lines.splitlines()]
    for event in events:
        Draft202012Validator(schema_of(event["type"], strict=True)).validate(event)
    types = {event["type"] for event in events}
    assert least <= types, f"{least - types} did not come"
    return events


def test_the_schema_files_are_up_to_date():
    """`make schemas` writes them."""
    from runpy import run_path

    texts = run_path(str(ROOT / "docs/tools/schemas.py"))["texts"]()
    found = {path.name: path.read_text() for path in (ROOT / "docs/schemas").iterdir()}
    assert found == texts


@pytest.mark.parametrize("type", DATA)
def test_every_schema_is_valid(type):
    for strict in (False, True):
        Draft202012Validator.check_schema(schema_of(type, strict=strict))


def test_every_type_named_in_the_overview_has_a_schema():
    page = (ROOT / "man/flowtools.7").read_text()
    named = set(re.findall(r"\bflow\.[a-z]+\.[a-z]+\b", page))
    assert named <= set(DATA)
    assert {type.rpartition(".")[0] for type in DATA} == {type.rpartition(".")[0] for type in named}


def test_a_schema_refuses_wrong_data():
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "flow.interval.tick"}
    validator = Draft202012Validator(schema_of("flow.interval.tick"))
    validator.validate(event | {"data": {"number": 1, "skipped": 0, "of a later version": 1}})
    for wrong in ({}, {"data": {"number": 1}}, {"data": {"number": "1", "skipped": 0}}):
        with pytest.raises(ValidationError):
            validator.validate(event | wrong)


def test_asset_events_conform_to_their_schema(shell):
    status, out, err = shell(
        "flow-sim --assets 30 --rate 200 -- sh -c"
        " 'flow-listen-assets --count 20 --metadata --xml;"
        " flow-listen-assets --count 4 --all --resolve --include changed'"
    )
    assert status == 0, err
    events = hold(out, least={f"flow.asset.{kind}" for kind in ("created", "updated", "deleted")})
    assert any(event.get("replayed") for event in events)
    assert any(event["data"].get("metadata") for event in events)


def test_storage_file_events_conform_to_their_schema(shell):
    status, out, err = shell(
        "flow-sim --files 10 --rate 100 -- sh -c"
        " 'flow-listen-files xmlimport --count 5 --xml;"
        " flow-listen-files xmlimport --existing --count 2'"
    )
    assert status == 0, err
    assert all(event["data"]["location"] for event in hold(out, least=set()))


@pytest.mark.parametrize(
    ("words", "count", "types", "names"),
    [
        ("", 6, {"created", "modified", "deleted"}, {"moved_from"}),
        ("--sidecar '{stem}.xml'", 1, {"created"}, {"sidecars"}),
        (
            "--unit sequence --match '*.dpx'",
            1,
            {"created"},
            {"first", "last", "missing", "count", "files"},
        ),
        ("--stalled 0.5 --include stalled --temporary '*.mxf'", 1, {"stalled"}, {"reason"}),
    ],
)
def test_path_events_conform_to_their_schema(shell, tmp_path, words, count, types, names):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.mxf", "a.xml", "frame.0001.dpx", "frame.0003.dpx"):
        (folder / name).write_text("x")
    changes = 'read -r line; echo "$line"; echo y >>folder/a.mxf; rm folder/a.xml; exec cat'
    watch = f"timeout -s TERM 30 flow-watch folder --existing --settle 0 {words} --count {count}"
    _, out, err = shell(f"{watch} | {{ {changes}; }}")
    events = hold(out, least={f"flow.path.{kind}" for kind in types})
    assert len(events) == count, err
    assert names <= set().union(*(event["data"] for event in events))


def test_broker_messages_conform_to_their_schema():
    dialect = Dialect("", "1.2")
    for content_type, body in (
        ("application/json", b'{"a":1}'),
        ("text/plain", b"text"),
        ("", b"\xff"),
    ):
        headers = {"destination": "/queue/a\n", "message-id": "m", "content-type": content_type}
        message = Frame(headers, body)
        hold(event_of(message, dialect, "stomp://mq:61613").encode(), least={"flow.stomp.message"})


@pytest.mark.parametrize(
    ("line", "types"),
    [
        ("flow-interval 0.01 --count 2", {"flow.interval.tick"}),
        (r"printf 'a\n\377\n' | flow-stdin", {"flow.stdin.line"}),
        (r"printf '1\nnull\n' | flow-stdin --json", {"flow.stdin.line"}),
        ("echo a | flow-stdin --document", {"flow.stdin.document"}),
        ("flow-source mine:Source", {"flow.source.value"}),
        ("echo 1 | flow-work mine:Echo", {"flow.work.result"}),
        ("flow-interval 0.01 --count 1 | flow-jq .data", {"flow.jq.result"}),
        (
            "echo '[1]' | flow-work --failed f mine:Fail; flow-work mine:Same < f",
            {"flow.stdin.line"},
        ),
    ],
)
def test_every_line_a_command_writes_conforms_to_its_schema(shell, tmp_path, line, types):
    (tmp_path / "mine.py").write_text(
        "class Source:\n    def __iter__(self):\n        yield from (1, None, b'x', {'a': 1})\n"
        "class Echo:\n    def start(self, event): return [event.data]\n"
        "class Same:\n    def start(self, event): return event\n"
        "class Fail:\n    def start(self, event): raise ValueError('no')\n"
    )
    _, out, _ = shell(line)
    hold(out, least=types)


def test_flow_doctor_prints_a_schema(run):
    status, out, err = run("flow-doctor", "--schema", "flow.asset.created")
    assert (status, err) == (0, "")
    assert json.loads(out) == schema_of("flow.asset.created")


def test_flow_doctor_names_the_existing_types(run):
    status, out, err = run("flow-doctor", "--schema", "flow.asset")
    assert (status, out) == (2, b"")
    assert "no source writes events of type 'flow.asset'; known: flow.asset.created, " in err
