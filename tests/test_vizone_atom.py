"""Entries, feeds and links, in every form that servers use."""

import pytest

from flowtools.errors import ProtocolError
from flowtools.vizone.assets import as_asset
from flowtools.vizone.atom import as_entry, as_feed, normalise_rel
from flowtools.vizone.document import parse
from flowtools.vizone.files import Location, as_file
from flowtools.vizone.transport import without_user

ENTRY = b"""<atom:entry xmlns:atom="http://www.w3.org/2005/Atom" xmlns:core="http://ns.vizrt.com/ardome/core"
    xmlns:mam="http://www.vizrt.com/2010/mam" xmlns:vm="http://www.vizrt.com/opensearch/mediatype"
    xmlns:dc="http://purl.org/dc/terms/" xmlns:media="http://search.yahoo.com/mrss/">
  <atom:id>urn:vme:default:asset:00000121</atom:id>
  <atom:title>Evening bulletin</atom:title>
  <dc:identifier>EVE-0001</dc:identifier>
  <core:ardomeIdentity name="id">00000121</core:ardomeIdentity>
  <mam:mediastatus>online</mam:mediastatus>
  <vm:media>video</vm:media>
  <atom:category scheme="urn:s" term="one"/>
  <atom:category term="two"/>
  <atom:link rel="self" href="/thirdparty/asset/item/121"/>
  <atom:link rel="http://www.vizrt.com/rels/Upload_Task" href="upload"/>
  <atom:link rel="edit"/>
  <atom:link href="page.html"/>
  <media:group><media:content url="https://one/hr/1.mxf" fileSize="3891760"/></media:group>
</atom:entry>"""


def entry(document=ENTRY):
    return as_entry(parse(document, name="it", base="https://one.example/api/x/y"), "it")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("self", "self"),
        ("Import_Unmanaged", "import-unmanaged"),
        ("http://www.vizrt.com/2010/rels/upload_task", "upload-task"),
        ("urn:x#monitor", "monitor"),
        ("editMedia", "edit-media"),
        ("http://x/monitor/", "monitor"),
        ("", ""),
    ],
)
def test_link_relations_are_normalised(written, read):
    assert normalise_rel(written) == read


def test_links_are_made_absolute_and_ignored_without_an_address():
    assert [(link.rel, link.href) for link in entry().links] == [
        ("self", "https://one.example/thirdparty/asset/item/121"),
        ("upload-task", "https://one.example/api/x/upload"),
        ("alternate", "https://one.example/api/x/page.html"),
    ]


def test_a_link_with_a_malformed_address_is_ignored():
    entry = as_entry(
        parse(
            b'<entry xmlns="http://www.w3.org/2005/Atom"><link rel="self" href="http://[x"/>'
            b'<link rel="edit" href="a"/></entry>',
            name="http://one.example/",
        ),
        "it",
    )
    assert [link.rel for link in entry.links] == ["edit"]
    assert without_user("ftp://u:p@[x") == "ftp://[x"


def test_an_entry_without_an_edit_link_uses_its_own_address():
    assert entry().edit_link == "https://one.example/thirdparty/asset/item/121"


def test_a_missing_link_is_named():
    with pytest.raises(
        ProtocolError, match="'urn:vme:default:asset:00000121': it has no 'monitor'"
    ):
        entry().follow("monitor")


def test_an_asset_has_the_values_of_its_entry():
    asset = as_asset(entry())
    assert (asset.title, asset.status, asset.media) == ("Evening bulletin", "online", "video")
    assert asset.identifiers == {"id": "00000121", "identifier": "EVE-0001"}
    assert asset.keywords == [("urn:s", "one"), (None, "two")]


def test_an_asset_of_an_empty_entry_has_no_values():
    asset = as_asset(entry(b'<entry xmlns="http://www.w3.org/2005/Atom"/>'))
    assert (asset.id, asset.title, asset.status, asset.media) == (None, None, None, None)
    assert (asset.identifiers, asset.keywords, asset.links) == ({}, [], [])


@pytest.mark.parametrize("group", [True, False])
def test_a_file_has_size_and_address_with_and_without_a_media_group(group):
    document = ENTRY
    if not group:
        document = document.replace(b"<media:group>", b"").replace(b"</media:group>", b"")
    file = as_file(entry(document))
    assert (file.name, file.size, file.url) == ("Evening bulletin", 3891760, "https://one/hr/1.mxf")


def test_a_location_is_named_by_its_identifier_title_or_the_end_of_its_id():
    names = [
        b"<dc:identifier>EVE-0001</dc:identifier>",
        b"<atom:title>Evening bulletin</atom:title>",
    ]
    seen = []
    document = ENTRY
    for name in [*names, b""]:
        seen.append(Location(entry(document).element).handle)
        document = document.replace(name, b"")
    assert seen == ["EVE-0001", "Evening bulletin", "00000121"]


def test_a_feed_has_entries_tombstones_and_numbers():
    feed = as_feed(
        parse(
            b'<feed xmlns="http://www.w3.org/2005/Atom" xmlns:o="http://a9.com/-/spec/opensearch/1.1">'
            b"<o:totalResults>12</o:totalResults><o:itemsPerPage>x</o:itemsPerPage>"
            b"<entry><id>a</id></entry>"
            b'<t:deleted-entry xmlns:t="http://purl.org/atompub/tombstones/1.0" ref="b" when="w"/>'
            b"</feed>",
            name="it",
        ),
        "it",
    )
    assert [each.id for each in feed.entries] == ["a"]
    assert [(each.ref, each.when) for each in feed.tombstones] == [("b", "w")]
    assert (feed.total, feed.per_page, feed.start) == (12, None, None)


def test_an_unexpected_document_is_a_protocol_error():
    root = parse(b"<html/>", name="it")
    with pytest.raises(ProtocolError, match="'it': expected an Atom feed, found 'html'"):
        as_feed(root, "it")
    with pytest.raises(ProtocolError, match="'it': expected an Atom entry, found 'html'"):
        as_entry(root, "it")


def test_of_several_links_the_one_with_the_matching_type_is_used():
    links = """<entry xmlns="http://www.w3.org/2005/Atom">
    <link rel="describedby" type="text/html" href="http://h/page"/>
    <link rel="describedby" type="application/vnd.vizrt.payload+xml; charset=utf-8" href="http://h/m"/>
    </entry>"""
    asset = as_asset(as_entry(parse(links.encode(), name="it"), "it"))
    assert asset.metadata_link == "http://h/m"
    assert asset.link("describedby") == "http://h/page"
    assert asset.link("describedby", type="image/png") == "http://h/page"
