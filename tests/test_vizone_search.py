"""Templates, resolve templates and searches, and the order of a feed."""

import pytest

from flowtools.errors import ProtocolError
from flowtools.vizone.document import parse
from flowtools.vizone.service import Template, read_description, read_service
from tests.vizone_servers import Scripted, client_at, client_of, reply, stand_in

SORT = ("s", "http://www.vizrt.com/opensearch/sortorder")


@pytest.mark.parametrize(
    ("text", "values", "url"),
    [
        ("http://h/?q={searchTerms}&n={count?}", {"searchTerms": "a&b"}, "http://h/?q=a%26b"),
        ("http://h/?q={searchTerms?}&n={count}", {"count": "5"}, "http://h/?n=5"),
        ("http://h/?q={searchTerms}&x=1", {}, "http://h/?x=1"),
        ("http://h/?q={searchTerms?}", {}, "http://h/"),
        ("http://h/?o={s:sort?}", {"vizsort:sort": "-search.x"}, "http://h/?o=-search.x"),
        ("http://h/?o={vizsort:sort}", {"vizsort:sort": "a"}, "http://h/?o=a"),
        ("http://h/{x?}/y?q={searchTerms}", {"searchTerms": "Ö"}, "http://h//y?q=%C3%96"),
        ("http://h/?a={x}-{y}", {"x": "1"}, "http://h/"),
        ("http://h/?q={opensearch:searchTerms}", {"searchTerms": "x"}, "http://h/?q=x"),
    ],
)
def test_a_template_is_filled_and_missing_parameters_are_dropped(text, values, url):
    assert Template(text, (SORT,)).fill(values) == url


def test_the_key_fills_the_remaining_parameter():
    template = Template("http://h/{vizid:application}/{whatever}?a={vizid:atom-id}")
    values = {"vizid:application": "flow/x", "vizid:atom-id": "urn:a:1"}
    assert template.fill(values, main="../k?y") == "http://h/flow%2Fx/..%2Fk%3Fy?a=urn%3Aa%3A1"
    assert template.fill(values, main="..") == "http://h/flow%2Fx/%2E%2E?a=urn%3Aa%3A1"


@pytest.mark.parametrize("text", ["http://h/", "http://h/{a}/{b}"])
def test_a_template_needs_exactly_one_parameter_for_the_key(text):
    with pytest.raises(ProtocolError, match="one parameter for the key"):
        Template(text).fill({}, main="k")


def test_a_missing_value_in_the_path_is_named():
    with pytest.raises(ProtocolError, match="no value for 'x:y'"):
        Template("http://h/{x:y}").fill({})


SERVICE = """<a:service xmlns:a="http://www.w3.org/2007/app" xmlns:t="http://www.w3.org/2005/Atom">
<a:workspace><a:collection href="/c"><a:categories>
<t:category scheme="http://www.vizrt.com/types" term="Client-Config"/>
<t:category scheme="urn:other" term="not-this"/></a:categories>
<t:link rel="search" href="/c?format=opensearch"/>{}</a:collection></a:workspace></a:service>"""


@pytest.mark.parametrize(
    "resolve",
    [
        '<r:resolve xmlns:r="urn:r" id="one" template="/c/{x}"/>',
        '<resolve name="one">/c/{x}</resolve>',
        '<t:link rel="resolve" id="one" href="http://h/c/{x}"/>',
    ],
)
def test_a_resolve_template_is_found_in_every_known_form(resolve):
    (found,) = read_service(parse(SERVICE.format(resolve).encode(), name="it", base="http://h/s"))
    assert found.keywords == {"client-config"}
    assert found.search == "http://h/c?format=opensearch"
    assert found.templates["one"].fill({}, main="k") == "http://h/c/k"


def test_a_description_for_atom_is_preferred():
    document = b"""<o:OpenSearchDescription xmlns:o="http://a9.com/-/spec/opensearch/1.1">
      <o:Url type="text/html" template="http://h/page?q={searchTerms}"/>
      <o:Url type="application/atom+xml;type=feed" template="/f?q={o:searchTerms}&amp;s={z:sort?}"
        xmlns:z="http://www.vizrt.com/opensearch/sortorder"/>
    </o:OpenSearchDescription>"""
    template = read_description(parse(document, name="it", base="http://h/d"))
    filled = template.fill({"searchTerms": "x", "vizsort:sort": "y"})
    assert filled == "http://h/f?q=x&s=y"
    with pytest.raises(ProtocolError, match="has no template"):
        read_description(parse(b"<o/>", name="it"))


def test_assets_are_found_by_word_field_and_kind_in_order():
    with stand_in() as server, client_of(server) as client:
        for title in ("Storm one", "Derby", "Storm two"):
            client.assets.create(title)
        server.catalogue.create("Storm film", media="video", status="online")
        first = server.catalogue.assets()[0]
        server.catalogue.retitle(first.number, "Storm, at last", lambda payload: payload)
        titles = [each.title for each in client.assets.find("storm")]
        assert titles == ["Storm, at last", "Storm two", "Storm film"]
        assert [e.title for e in client.assets.find("asset.title:Derby")] == ["Derby"]
        assert [e.title for e in client.assets.find(media="video")] == ["Storm film"]
        changed = client.assets.find("storm", sort="-search.modificationDate", per_page=1)
        assert [e.title for e in changed] == ["Storm, at last", "Storm film", "Storm two"]
        made = client.assets.find("storm", sort="-search.creationDate", per_page=2)
        assert [e.title for e in made] == ["Storm film", "Storm two", "Storm, at last"]


def test_without_a_description_the_public_parameters_are_used():
    service = SERVICE.format("").replace("Client-Config", "asset")
    service = service.replace('<t:link rel="search" href="/c?format=opensearch"/>', "")
    feed = b'<feed xmlns="http://www.w3.org/2005/Atom"/>'
    with Scripted(reply(service.encode()), reply(feed)) as server, client_at(server.url) as client:
        assert list(client.assets.find("a b", sort="-search.modificationDate", media="x")) == []
    assert server.requests[1].split()[1] == (
        "/c?start=1&num=100&q=a+b&sort=-search.modificationDate&media=x"
    )
