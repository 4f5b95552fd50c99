"""The demo: every asset of the stand-in gets its tag, or the demo fails."""

import re
from pathlib import Path

import pytest

from examples.tag import Tag
from flowtools.event import Event
from flowtools.sim.vocabulary import GoneError
from flowtools.vizone import ConflictError
from tests.vizone_servers import client_of, stand_in

ROOT = Path(__file__).parents[1]


@pytest.fixture
def server():
    with stand_in(echo=True) as server:
        yield server


@pytest.fixture
def tag(server, monkeypatch):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    tag = Tag()
    tag.configure(None)
    yield tag
    tag.clean_up()


def event_of(server, asset, kind="created"):
    links = {"describedby": f"{server.url}/api/asset/item/{asset.number}/metadata"}
    return Event(f"flow.asset.{kind}", {"links": links}, source="test")


def keywords(server, asset):
    with client_of(server) as client:
        url = f"{server.url}/api/asset/item/{asset.number}/metadata"
        return client.metadata(url)["asset.keywords"]


def test_an_asset_is_tagged_once_even_if_its_event_is_repeated(server, tag):
    # The stand-in reports each write: a Worker that wrote every time would never end.
    asset = server.catalogue.create("one")
    for _ in range(3):
        assert tag.start(event_of(server, asset)) is None
    assert keywords(server, asset) == "flowtools"
    assert server.catalogue.asset(asset.number).payload_revision == 2


def test_existing_keywords_are_kept(server, tag):
    asset = server.catalogue.create("one")
    with client_of(server) as client:
        metadata = client.metadata(event_of(server, asset)["links"]["describedby"])
        metadata["asset.keywords"] = "other words"
        client.put_metadata(metadata)
    tag.start(event_of(server, asset))
    assert keywords(server, asset) == "other words flowtools"


def test_a_deleted_asset_is_not_a_failure(server, tag):
    asset = server.catalogue.create("one")
    server.catalogue.delete(asset.number)
    assert tag.start(event_of(server, asset)) is None
    assert tag.start(event_of(server, asset, "deleted")) is None
    with pytest.raises(GoneError):
        server.catalogue.asset(asset.number)


def test_a_conflicting_write_makes_it_read_and_write_again(server, tag, monkeypatch):
    asset = server.catalogue.create("one")
    put = tag.client.put_metadata
    calls = []

    def put_after_another(payload):
        calls.append(payload)
        if len(calls) < 3:
            server.catalogue.put_payload(asset.number, asset.payload)
        return put(payload)

    monkeypatch.setattr(tag.client, "put_metadata", put_after_another)
    tag.start(event_of(server, asset))
    assert (len(calls), keywords(server, asset)) == (3, "flowtools")
    calls.clear()
    monkeypatch.setattr(tag.client, "put_metadata", raise_conflict)
    server.catalogue.put_payload(asset.number, asset.payload)
    with pytest.raises(ConflictError):
        tag.start(event_of(server, asset))


def raise_conflict(payload):
    raise ConflictError("again")


def test_the_demo_tags_every_asset_and_reports_it(shell):
    status, out, err = shell("examples/demo.sh", cwd=ROOT)
    said = out.decode()
    assert (status, err) == (0, ""), said
    assert re.search(r"^ +40 events in all$", said, re.MULTILINE)
    (tagged, alive) = re.search(
        r"^ +(\d+) of (\d+) assets bear the tag", said, re.MULTILINE
    ).groups()
    assert tagged == alive
    assert int(alive) > 5


def test_the_demo_fails_if_a_tag_is_missing(shell, tmp_path):
    (tmp_path / "events").touch()
    status, out, err = shell(
        "flow-sim --assets 5 --rate 500 -- bash -c 'flow-listen-assets --count 5 >/dev/null;"
        f" python3 -m examples.show_tags {tmp_path / 'events'}'",
        cwd=ROOT,
    )
    assert (status, err) == (1, "")
    assert b" 0 of " in out
