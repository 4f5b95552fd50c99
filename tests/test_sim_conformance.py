"""The stand-in's answers compared with the public facts: full namespaces, no shared code.

Client and stand-in share the names in flowtools.vizone; if one were wrong, both would
be. So requests are written here as in the traces, and answers are read with the standard
library.
"""

import http.client
import re
from base64 import b64encode
from collections import Counter
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from flowtools.sim.vocabulary import TakenError
from tests.running import SECONDS
from tests.test_sim_broker import Client as Stomp
from tests.vizone_servers import stand_in

NS = {
    "atom": "http://www.w3.org/2005/Atom",
    "app": "http://www.w3.org/2007/app",
    "vdf": "http://www.vizrt.com/types",
    "core": "http://ns.vizrt.com/ardome/core",
    "mam": "http://www.vizrt.com/2010/mam",
    "acl": "http://www.vizrt.com/2012/acl",
    "media": "http://search.yahoo.com/mrss/",
    "vizmedia": "http://www.vizrt.com/opensearch/mediatype",
    "dcterms": "http://purl.org/dc/terms/",
    "opensearch": "http://a9.com/-/spec/opensearch/1.1/",
    "at": "http://purl.org/atompub/tombstones/1.0",
    "transfer": "http://ns.vizrt.com/ardome/transfer",
}
ENTRY = "application/atom+xml;type=entry"
FEED = "application/atom+xml;type=feed"
PAYLOAD = "application/vnd.vizrt.payload+xml"
ITEMS = "/thirdparty/asset/item"


@pytest.fixture
def server():
    with stand_in(import_seconds=0.05) as server:
        yield server


def ask(server, method, url, body=None, **headers):
    """Send a request; return (status, body, headers)."""
    parts = urlsplit(url)
    given = b64encode(f"admin:{server.password}".encode()).decode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", server._web.port, timeout=SECONDS)
    try:
        where = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, where, body, headers | {"Authorization": f"Basic {given}"})
        response = connection.getresponse()
        return response.status, response.read(), dict(response.headers)
    finally:
        connection.close()


def read(server, url, **headers):
    status, body, _ = ask(server, "GET", url, **headers)
    assert status == 200, body
    return ElementTree.fromstring(body)


def link(element, rel):
    return element.find(f"atom:link[@rel='{rel}']", NS)


def create(server, inner="<title>Evening bulletin</title>"):
    body = f'<entry xmlns="http://www.w3.org/2005/Atom">{inner}</entry>'
    status, answer, headers = ask(server, "POST", ITEMS, body, Content_Type=ENTRY)
    assert (status, headers["Content-Type"]) == (201, ENTRY)
    return ElementTree.fromstring(answer)


def test_the_service_document_has_collections_with_keywords(server):
    service = read(server, "/thirdparty")
    assert service.tag == "{http://www.w3.org/2007/app}service"
    found = {}
    for collection in service.findall("app:workspace/app:collection", NS):
        for category in collection.findall("app:categories/atom:category", NS):
            assert category.get("scheme") == "http://www.vizrt.com/types"
            found.setdefault(category.get("term"), collection)
    assert {"asset", "search", "client-config"} <= set(found)
    assert found["asset"] is found["search"]
    assert urlsplit(found["asset"].get("href")).path == ITEMS
    search = link(found["asset"], "search").get("href")
    description = read(server, search)
    assert description.tag == "{http://a9.com/-/spec/opensearch/1.1/}OpenSearchDescription"
    template = description.find("opensearch:Url", NS).get("template")
    assert {"{searchTerms?}", "{count?}", "{vizsort:sort?}"} <= set(re.findall("{.*?}", template))


def test_a_new_asset_is_a_placeholder_with_the_public_elements_and_links(server):
    entry = create(server, "<title>Evening bulletin</title><identifier>EVE-1</identifier>")
    number = entry.find("core:ardomeIdentity[@name='id']", NS).text
    assert entry.find("atom:id", NS).text == f"urn:vme:default:asset:{number}"
    assert entry.find("atom:title", NS).text == "Evening bulletin"
    assert entry.find("dcterms:identifier", NS).text == "EVE-1"
    assert entry.find("vizmedia:media", NS).text == "placeholder"
    assert entry.find("mam:mediastatus", NS).text == "empty"
    paths = {
        each.get("rel"): (urlsplit(each.get("href")).path, each.get("type"))
        for each in entry.findall("atom:link", NS)
    }
    assert paths["self"] == (f"/thirdparty/asset/item/{number}", ENTRY)
    assert paths["edit"] == (f"/api/asset/item/{number}", ENTRY)
    assert paths["describedby"] == (f"/api/asset/item/{number}/metadata", PAYLOAD)
    assert paths["models"] == ("/api/metadata/form", FEED)
    assert {"edit-media", "import-unmanaged"} <= set(paths)
    assert f"qType=ASSET.Item&qId={number}" in link(entry, "models").get("href")


def test_rights_are_lines_of_ones_and_zeros_in_the_entry(server):
    line = '<group xmlns="http://www.vizrt.com/2012/acl" name="G" read="1" write="0" admin="0"/>'
    acl = "".join(
        f'<{kind} xmlns="http://www.vizrt.com/2012/acl">{line}</{kind}>'
        for kind in ("asset", "media")
    )
    entry = create(server, f"<title>t</title>{acl}")
    for kind in ("asset", "media"):
        (group,) = entry.findall(f"acl:{kind}/acl:group", NS)
        assert group.attrib == {"name": "G", "read": "1", "write": "0", "admin": "0"}


def test_the_metadata_is_a_payload_of_fields(server):
    entry = create(server)
    payload = read(server, link(entry, "describedby").get("href"))
    assert payload.tag == "{http://www.vizrt.com/types}payload"
    assert re.search("/api/metadata/form/[^/]+/r[0-9]+$", payload.get("model"))
    title = payload.find("vdf:field[@name='asset.title']", NS)
    assert title.find("vdf:value", NS).text == "Evening bulletin"
    assert list(payload.find("vdf:field[@name='asset.synopsis']", NS)) == []
    category = payload.find("vdf:field[@name='asset.category']", NS)
    assert [each.tag.partition("}")[2] for each in category] == ["value", "origin"]
    origin = category.find("vdf:origin", NS)
    assert origin.get("id") == "urn:vme:default:dictionary:category:news"
    assert urlsplit(origin.get("href")).path == "/api/metadata/dictionary/~category/news"
    rows = payload.findall("vdf:field/vdf:list/vdf:payload", NS)
    assert [row.get("model") for row in rows] == [None]


def test_inlined_metadata_is_in_an_inline_element_of_the_link(server):
    entry = create(server)
    href = link(entry, "self").get("href")
    assert list(link(read(server, href), "describedby")) == []
    inlined = link(read(server, href, X_Inline="describedby"), "describedby")
    assert inlined.find("atom:inline/vdf:payload/vdf:field", NS) is not None


def test_the_feed_counts_from_one_and_states_its_range(server):
    for number in range(5):
        create(server, f"<title>{number}</title>")
    feed = read(server, f"{ITEMS}?start=2&num=2")
    said = [
        feed.find(f"opensearch:{name}", NS).text
        for name in ("totalResults", "startIndex", "itemsPerPage")
    ]
    assert (feed.tag, said) == ("{http://www.w3.org/2005/Atom}feed", ["5", "2", "2"])
    assert [each.text for each in feed.findall("atom:entry/atom:title", NS)] == ["1", "2"]
    assert link(feed, "monitor").get("href").startswith("stomp://")
    latest = read(server, f"{ITEMS}?sort=-search.modificationDate")
    titles = [each.text for each in latest.findall("atom:entry/atom:title", NS)]
    assert titles == ["4", "3", "2", "1", "0"]


def test_files_belong_to_locations_and_have_size_self_and_delete(server):
    server.catalogue.put_file("xmlimport", "clip.mxf", b"12345")
    service = read(server, "/thirdparty")
    unmanaged = next(
        each
        for each in service.iter("{http://www.w3.org/2007/app}collection")
        if each.find(".//atom:category[@term='unmanaged-file']", NS) is not None
    )
    location = read(server, unmanaged.get("href")).find("atom:entry", NS)
    assert location.find("dcterms:identifier", NS).text == "xmlimport"
    feed = read(server, link(location, "down").get("href"))
    assert "destination=" in link(feed, "monitor").get("href")
    (entry,) = feed.findall("atom:entry", NS)
    assert entry.find("atom:title", NS).text == "clip.mxf"
    content = entry.find("media:content", NS)
    assert content.get("fileSize") == "5"
    assert ask(server, "GET", content.get("url"))[1] == b"12345"
    assert ask(server, "DELETE", link(entry, "delete").get("href"))[0] == 204
    assert link(entry, "self").get("href")


def test_an_import_is_a_uri_list_posted_to_the_asset(server):
    server.catalogue.put_file("xmlimport", "clip.mxf", b"12345")
    entry = create(server)
    where = link(entry, "import-unmanaged").get("href")
    href = f"{server.url}/api/media/unmanaged/xmlimport/clip.mxf"
    status, body, _ = ask(server, "POST", where, href, Content_Type="text/uri-list")
    incoming = ElementTree.fromstring(body)
    assert (status, incoming.tag) == (201, "{http://www.w3.org/2005/Atom}entry")
    assert incoming.find("transfer:state", NS).text == "pending"
    assert server.imports.get("1").number == entry.find("core:ardomeIdentity", NS).text


def styles(documents):
    found = Counter()
    for each in documents:
        root = re.search(rb"<([\w:]*)(payload|entry)[ >]", each)[1]
        found[{b"": "default", b"vdf:": "usual", b"atom:": "usual"}.get(root, "other")] += 1
    return found


def test_namespace_prefixes_vary(server):
    entries, payloads = [], []
    for number in range(40):
        asset = server.catalogue.create(f"asset {number}")
        entries.append(ask(server, "GET", f"{ITEMS}/{asset.number}")[1])
        payloads.append(ask(server, "GET", f"/api/asset/item/{asset.number}/metadata")[1])
    assert set(styles(entries)) == set(styles(payloads)) == {"default", "usual", "other"}
    again = ask(server, "GET", f"{ITEMS}/{server.catalogue.assets()[0].number}")[1]
    assert again == entries[0]


def test_foreign_elements_are_returned_unchanged(server):
    entry = create(server)
    href = link(entry, "describedby").get("href")
    body = (
        '<v:payload xmlns:v="http://www.vizrt.com/types" xmlns:z="urn:z" model="m"><!-- kept -->'
        '<v:field name="a" z:hint="h"><v:value>x<z:b>y</z:b></v:value></v:field></v:payload>'
    )
    assert ask(server, "PUT", href, body, Content_Type=PAYLOAD)[0] == 200
    stored = ask(server, "GET", href)[1].decode()
    assert "<!-- kept -->" in stored
    field = ElementTree.fromstring(stored).find("vdf:field", NS)
    assert field.attrib == {"name": "a", "{urn:z}hint": "h"}
    assert field.find("vdf:value/{urn:z}b", NS).text == "y"


def heard(server, change, destination="/topic/vizone.assets"):
    """Listen, let `change` happen, and return the last message."""
    with Stomp(server._broker, passcode=server.password) as listener:
        listener.subscribe(destination, ack="auto")
        listener.sync()
        change()
        return listener.sync()[-1]


@pytest.mark.parametrize(
    ("how", "tag", "status", "action", "answer"),
    [
        ("tombstone", "{http://purl.org/atompub/tombstones/1.0}deleted-entry", None, "delete", 404),
        ("header", "{http://www.w3.org/2005/Atom}entry", "online", "delete", 404),
        ("status", "{http://www.w3.org/2005/Atom}entry", "deleted", None, 200),
        ("empty", None, None, None, 404),
        ("gone", "{http://www.w3.org/2005/Atom}entry", "online", None, 410),
    ],
)
def test_a_deletion_is_marked_in_the_requested_way(how, tag, status, action, answer):
    with stand_in(deletions=how) as server:
        asset = server.catalogue.create("one", status="online")
        frame = heard(server, lambda: server.catalogue.delete(asset.number))
        root = ElementTree.fromstring(frame.body) if frame.body else None
        assert (None if root is None else root.tag) == tag
        said = None if root is None else root.find("mam:mediastatus", NS)
        assert (None if said is None else said.text) == status
        assert frame.headers.get("action") == action
        assert frame.headers["identity"] == asset.urn
        assert ask(server, "GET", frame.headers["location"])[0] == answer
        feed = read(server, f"{ITEMS}?sort=-search.modificationDate")
        shown = [each.text for each in feed.findall("atom:entry/mam:mediastatus", NS)]
        assert shown == (["deleted"] if how == "status" else [])
        buried = [each.get("ref") for each in feed.findall("at:deleted-entry", NS)]
        assert buried == ([asset.urn] if how == "tombstone" else [])


@pytest.mark.parametrize("how", ["tombstone", "header", "status", "empty", "gone"])
def test_a_deleted_file_is_marked_in_the_requested_way(how):
    with stand_in(deletions=how) as server:
        server.catalogue.put_file("xmlimport", "a", b"1")
        frame = heard(
            server,
            lambda: server.catalogue.delete_file("xmlimport", "a"),
            "/topic/vizone.unmanaged.xmlimport",
        )
        feed = ElementTree.fromstring(frame.body) if frame.body else ElementTree.Element("none")
        marks = {
            "tombstone": feed.find("at:deleted-entry", NS) is not None,
            "header": frame.headers.get("action") == "delete",
            "status": feed.find("atom:entry/mam:mediastatus", NS) is not None,
            "empty": not frame.body,
            "gone": feed.find("atom:entry", NS) is not None,
        }
        assert marks[how]
        assert ask(server, "GET", frame.headers["location"])[0] == 404


def test_an_import_is_reported_step_by_step(server):
    asset = server.catalogue.create("one")
    with Stomp(server._broker, passcode=server.password) as listener:
        listener.subscribe("/topic/vizone.transfers", ack="auto")
        listener.sync()
        server.imports.start(asset.number, "clip.mxf", b"12345")
        frames = [listener.read() for _ in range(4)]
    entries = [ElementTree.fromstring(frame.body) for frame in frames]
    done = [each.find("transfer:progress", NS).get("done") for each in entries]
    assert done == ["25", "50", "75", "100"]
    states = [each.find("transfer:state", NS).text for each in entries]
    assert states == ["active", "active", "active", "finished"]
    reference = entries[0].find("transfer:request/mam:asset", NS)
    assert reference.get("ref") == asset.urn
    assert {frame.headers["identity"] for frame in frames} == {entries[0].find("atom:id", NS).text}


def test_an_identifier_is_free_after_a_deletion_and_stays_with_its_next_asset():
    with stand_in(deletions="status") as server:
        first = server.catalogue.create("first", "site-1")
        server.catalogue.delete(first.number)
        server.catalogue.create("second", "site-1")
        server.catalogue.delete(first.number)  # It is still shown, as deleted.
        with pytest.raises(TakenError):
            server.catalogue.create("third", "site-1")
