"""Assets through the client against the stand-in, over real HTTP."""

import io
import threading

import pytest

from flowtools.errors import FlowError
from flowtools.vizone import AtomCategory, ConflictError, NotFoundError
from flowtools.vizone.asset import as_asset, set_group_permissions
from flowtools.vizone.atom import Entry, as_entry, same_type
from flowtools.vizone.document import parse, serialise
from tests.running import SECONDS
from tests.vizone_servers import Scripted, client_at, client_of, reply, stand_in


@pytest.fixture
def server():
    with stand_in(import_seconds=0.05) as server:
        yield server


@pytest.fixture
def client(server):
    with client_of(server) as client:
        yield client


def test_create_or_update_creates_an_asset_once_and_then_updates_it(client):
    made = client.assets.create_or_update_asset(
        "SITE-1", "Storm", metadata={"asset.synopsis": "wind"}, keywords=[("urn:s", "weather")]
    )
    again = client.assets.create_or_update_asset("SITE-1", "Calm", keywords=[(None, "sea")])
    assert (made.id, again.title) == (again.id, "Calm")
    assert [term for _, term in again.keywords] == ["sea"]
    assert client.assets.metadata(again)["asset.synopsis"] == "wind"
    assert len(list(client.assets.find())) == 1


def test_values_that_are_not_given_stay_and_are_not_sent(server, client):
    client.assets.create_or_update_asset("SITE-1", "Storm", keywords=[("urn:s", "weather")])
    before = server.catalogue.assets()[0].revision
    asset = client.assets.create_or_update_asset("SITE-1")
    assert (asset.title, asset.keywords) == ("Storm", [("urn:s", "weather")])
    assert server.catalogue.assets()[0].revision == before


def test_concurrent_creations_of_the_same_asset_create_one(server, client):
    def make():
        client.assets.create_or_update_asset("SITE-1", "Storm")

    threads = [threading.Thread(target=make) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert [asset.identifier for asset in server.catalogue.assets()] == ["SITE-1"]


def test_find_one_accepts_only_an_exact_match(client):
    client.assets.create("about SITE-1 and more", "SITE-12")
    assert client.assets.find_one("SITE-1") is None
    found = client.assets.find_one("SITE-12")
    assert client.assets.find_one(found.id).identifier == "SITE-12"


def test_rights_of_a_group_are_granted_and_removed(client):
    asset = client.assets.create("one")
    asset = client.assets.set_group_permissions(asset, "Editors", ["read", "write"], ["read"])
    asset = client.assets.set_group_permissions(asset, "Guests", ["read"], None)
    assert client.assets.get(asset.self_link).permissions() == {
        "Editors": {"read", "write"},
        "Guests": {"read"},
    }
    assert asset.permissions("media") == {"Editors": {"read"}}
    asset = client.assets.set_group_permissions(asset, "Editors", [], [])
    assert (asset.permissions(), asset.permissions("media")) == ({"Guests": {"read"}}, {})


def test_rights_are_set_despite_a_concurrent_change(client):
    asset = client.assets.create("one")
    client.assets.set_group_permissions(asset, "Others", ["read"], None)
    stored = client.assets.set_group_permissions(asset, "Editors", ["read"], None)
    assert set(stored.permissions()) == {"Others", "Editors"}


def test_an_unknown_right_is_refused(client):
    asset = client.assets.create("one")
    with pytest.raises(ValueError, match="unknown right 'own'"):
        client.assets.set_group_permissions(asset, "Editors", ["own"], None)


@pytest.mark.parametrize(
    "change",
    [
        lambda asset: setattr(asset, "title", "a\x00b"),
        lambda asset: setattr(asset, "keywords", [(None, "good"), (None, "a\x00b")]),
        lambda asset: set_group_permissions(asset.element, "a\x00b", ["read"], ["read"]),
        lambda asset: set_group_permissions(asset.element, "Editors", ["read"], ["own"]),
    ],
)
def test_a_change_that_is_refused_leaves_the_entry_as_it_was(change):
    asset = as_asset(Entry(parse(XHTML, name="an asset")))
    before = serialise(asset.element)
    with pytest.raises(ValueError, match=r"XML compatible|unknown right"):
        change(asset)
    assert serialise(asset.element) == before


XHTML = b"""<entry xmlns="http://www.w3.org/2005/Atom"><category term="news"/>
<title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">Evening</div></title></entry>"""

ACL = b"""<e:entry xmlns:e="http://www.w3.org/2005/Atom" xmlns:a="http://www.vizrt.com/2012/acl">
<a:asset><a:user name="ann" read="1"/><a:group name="G" read="1" write="0" admin="0" x="kept"/>
</a:asset></e:entry>"""


def test_other_parts_of_an_access_control_list_are_kept():
    asset = as_asset(as_entry(parse(ACL, name="it"), "it"))
    assert set_group_permissions(asset.element, "G", ["write"], None)
    (group,) = asset.element.iter("{*}group")
    assert dict(group.attrib) == {
        "name": "G", "read": "0", "write": "1", "admin": "0", "x": "kept"
    }  # fmt: skip
    assert [each.get("name") for each in asset.element.iter("{*}user")] == ["ann"]
    assert not set_group_permissions(asset.element, "G", ["write"], None)


def test_keywords_are_set_in_place(client):
    asset = client.assets.create("one", keywords=[("urn:s", "a"), (None, "b")])
    asset.keywords = [*asset.keywords[:1], AtomCategory("urn:s", "c"), ("urn:s", "c")]
    stored = client.assets.update(asset)
    assert stored.keywords == [("urn:s", "a"), ("urn:s", "c")]


def test_metadata_is_inlined_on_request(client):
    asset = client.assets.create("Storm")
    assert client.assets.get(asset.self_link).payload is None
    inlined = client.assets.get(asset.self_link, inline=True).payload
    assert (inlined["asset.title"], inlined.etag) == ("Storm", None)
    assert inlined.url == asset.link("describedby")


def test_an_inlined_link_needs_no_address():
    document = b"""<entry xmlns="http://www.w3.org/2005/Atom"><link rel="describedby"><inline>
      <payload xmlns="http://www.vizrt.com/types"><field name="a"><value>b</value></field>
      </payload></inline></link></entry>"""
    asset = as_asset(as_entry(parse(document, name="it"), "it"))
    assert (asset.payload["a"], asset.payload.url) == ("b", None)


def test_fields_are_set_despite_a_concurrent_change_of_others(server, client):
    asset = client.assets.create("one")
    put = client.put_metadata

    def put_late(payload):
        client.put_metadata = put
        stored = client.metadata(payload.url)
        stored["asset.keywords"] = "theirs"
        put(stored)
        return put(payload)

    client.put_metadata = put_late
    client.assets.set_metadata(asset, {"asset.synopsis": "ours"})
    metadata = client.assets.metadata(asset)
    assert (metadata["asset.synopsis"], metadata["asset.keywords"]) == ("ours", "theirs")


def test_a_second_deletion_is_an_error_without_missing_ok(client):
    asset = client.assets.create("one")
    client.assets.delete(asset)
    client.assets.delete(asset)
    with pytest.raises(NotFoundError):
        client.assets.delete(asset, missing_ok=False)


def wait_for_media(client, asset):
    incoming = client.transfers.incoming(client.assets.get(asset.self_link))
    client.transfers.wait(incoming, 30, pause=0.02)
    return client.assets.get(asset.self_link)


@pytest.mark.parametrize("way", [None, "edit-media", "upload"])
def test_media_is_uploaded_in_both_ways(client, tmp_path, way):
    path = tmp_path / "clip.mxf"
    path.write_bytes(bytes(range(256)) * 10_000)
    asset = client.assets.create("one")
    client.assets.upload(asset, path, way)
    asset = wait_for_media(client, asset)
    assert (asset.status, asset.media) == ("online", "video")
    answer = client.request("GET", asset.content)
    assert answer.content == path.read_bytes()


@pytest.mark.parametrize("content", [b"bytes", io.BytesIO(b"bytes")])
def test_bytes_and_open_files_can_be_uploaded(client, content):
    asset = client.assets.create("one")
    client.assets.upload(asset, content)
    asset = wait_for_media(client, asset)
    assert client.request("GET", asset.content).content == b"bytes"


class Changing(io.BytesIO):
    """A file whose content is replaced between the question for its size and the upload."""

    def __init__(self, before, after):
        super().__init__(before)
        self.after = after

    def seek(self, offset, whence=0):
        if whence == 0:
            self.truncate(0)
            super().seek(0)
            self.write(self.after)
        return super().seek(offset, whence)


@pytest.mark.parametrize(("after", "became"), [(b"x" * 5, "5"), (b"x" * 20, "more")])
def test_a_file_that_changes_its_size_during_an_upload_is_an_error(client, after, became):
    asset = client.assets.create("one")
    with pytest.raises(FlowError, match=f"the content has changed: 10 bytes became {became}"):
        client.assets.upload(asset, Changing(b"x" * 10, after))
    assert client.assets.get(asset.self_link).status == "empty"
    client.assets.upload(asset, b"x" * 10)


def test_a_retried_upload_starts_from_the_beginning():
    entry = b'<entry xmlns="http://www.w3.org/2005/Atom"><link rel="edit-media" href="/m"/></entry>'
    with Scripted(reply(status="503 Busy"), reply()) as server, client_at(server.url) as client:
        asset = as_asset(as_entry(parse(entry, name="it", base=f"{server.url}/e"), "it"))
        client.assets.upload(asset, io.BytesIO(b"all of it"))
    assert server.bodies == [b"all of it", b"all of it"]
    assert all("content-length: 9" in head.lower() for head in server.requests)
    assert not any("transfer-encoding" in head.lower() for head in server.requests)
    assert not any("expect" in head.lower() for head in server.requests)


def test_without_an_upload_link_the_address_is_requested():
    entry = b'<entry xmlns="http://www.w3.org/2005/Atom"><link rel="edit" href="/item/1"/></entry>'
    ask = reply(status="302 Found", Location="/there")
    with Scripted(ask, reply()) as server, client_at(server.url) as client:
        asset = as_asset(as_entry(parse(entry, name="it", base=f"{server.url}/e"), "it"))
        client.assets.upload(asset, b"bytes")
    assert [head.split()[:2] for head in server.requests] == [
        ["PUT", "/item/1/upload"],
        ["PUT", "/there"],
    ]
    assert server.bodies == [b"", b"bytes"]


def test_an_asset_with_media_refuses_another_upload(client):
    asset = client.assets.create("one")
    client.assets.upload(asset, b"first")
    with pytest.raises(ConflictError):
        client.assets.upload(asset, b"second")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("application/atom+xml;type=entry", "Application/Atom+XML; type=entry;charset=utf-8", True),
        (
            "application/atom+xml;type=entry;apitype=METADATA.X",
            "application/atom+xml;type=entry",
            True,
        ),
        ("application/atom+xml;type=entry", "application/atom+xml;type=feed", False),
        ("application/xml", "application/atom+xml", False),
    ],
)
def test_media_types_are_compared_without_irrelevant_parameters(one, other, same):
    assert same_type(one, other) == same


@pytest.mark.parametrize(
    "title",
    [
        b"<title>Old</title>",
        b'<title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">Old <b>b</b></div></title>',
        b"",
    ],
)
def test_a_title_is_always_set_as_plain_text(title):
    entry = b'<entry xmlns="http://www.w3.org/2005/Atom"><id>urn:7</id>%s</entry>' % title
    asset = as_asset(Entry(parse(entry, name="test")))
    asset.title = "New & <b>bold</b>"
    assert asset.title == "New & <b>bold</b>"
    assert serialise(asset.element).count(b"title") == 2
    assert b"xhtml" not in serialise(asset.element)


def test_update_stores_a_changed_title(server):
    with client_of(server) as client:
        asset = client.assets.create("Old")
        asset.title = "New"
        assert client.assets.update(asset).title == "New"
        assert client.assets.get(asset.follow("self")).title == "New"
