"""Store, dictionaries and models of the server."""

import pytest

from flowtools.errors import ProtocolError
from flowtools.vizone import NotFoundError
from flowtools.vizone.dictionary import MOST, SECONDS, Dictionaries
from flowtools.vizone.document import parse
from flowtools.vizone.model import read_model
from flowtools.vizone.namespaces import VDF
from tests.vizone_servers import Scripted, client_at, client_of, reply

pytest_plugins = ["tests.vizone_fixtures"]


@pytest.fixture
def client(server):
    with client_of(server) as client:
        yield client


@pytest.mark.parametrize("key", ["plain", "dir/file name.xml", "..", "a?b&c=d#e", "Ö"])
def test_a_value_is_stored_under_its_key(client, key):
    store = client.store("flow_test")
    assert store.get(key, default="none") == "none"
    store.put(key, {"seen": [1, 2]})
    assert store.get(key) == {"seen": [1, 2]}
    store.delete(key)
    store.delete(key)
    assert store.get(key) is None


def test_applications_and_assets_have_separate_values(client):
    one, two = client.store("one"), client.store("two")
    assets = [client.assets.create("a"), client.assets.create("b")]
    one.put("k", "general")
    one.put("k", "of a", assets[0])
    assert [one.get("k"), one.get("k", assets[0]), one.get("k", assets[1])] == [
        "general",
        "of a",
        None,
    ]
    assert two.get("k") is None


def test_a_key_is_required(client):
    with pytest.raises(ValueError, match="key is empty"):
        client.store("one").get("")


@pytest.mark.parametrize("stored", [b"", b" \n"])
def test_an_empty_value_is_none_and_invalid_json_is_an_error(server, client, stored):
    store = client.store("one")
    url = f"{server.url}/api/client-config/one/k"
    client.request("PUT", url, body=stored)
    assert store.get("k") is None
    client.request("PUT", url, body=b"no json")
    with pytest.raises(ProtocolError, match="is not JSON"):
        store.get("k")


def test_a_server_without_a_store_is_reported():
    service = b'<service xmlns="http://www.w3.org/2007/app"/>'
    with (
        Scripted(reply(service)) as server,
        client_at(server.url) as client,
        pytest.raises(ProtocolError, match="no template 'client-config'"),
    ):
        client.store("one").get("k")


def test_a_term_of_a_dictionary_sets_a_field_and_its_origin(client):
    terms = client.dictionaries.terms("category")
    assert {key: term.label for key, term in terms.items()} == {
        "news": "News",
        "sport": "Sport",
        "culture": "Arts & culture",
    }
    term = client.dictionaries.term("category", "sport")
    metadata = client.assets.metadata(client.assets.create("one"))
    metadata.set("asset.category", term.key, term.origin)
    stored = client.put_metadata(metadata)
    assert stored.origin("asset.category") == (
        f"{client.account.url}/api/metadata/dictionary/~category/sport",
        "urn:vme:default:dictionary:category:sport",
    )
    with pytest.raises(NotFoundError):
        client.dictionaries.terms("nope")


def test_dictionaries_are_cached_for_a_while_and_in_limited_number():
    class Counting:
        service_url = "http://h/thirdparty"
        asked = 0

        def collections(self):
            return []

        def pages(self, url):
            self.asked += 1
            return iter(())

    now = [0.0]
    client = Counting()
    dictionaries = Dictionaries(client, lambda: now[0])
    for _ in range(3):
        dictionaries.terms("a")
    assert client.asked == 1
    now[0] = SECONDS + 1
    dictionaries.terms("a")
    assert client.asked == 2
    for number in range(MOST):
        dictionaries.terms(f"d{number}")
    dictionaries.terms("a")
    assert client.asked == 3 + MOST
    assert len(dictionaries._kept) == MOST


def test_the_forms_of_an_asset_and_their_fields_are_read(client):
    asset = client.assets.create("one")
    (form,) = client.models.forms(asset)
    assert (form.name, form.href) == ("sim-item", client.assets.metadata(asset).model)
    fields = {field.name: field for field in client.models.fields(form.href)}
    assert list(fields) == list(client.assets.metadata(asset))
    assert (fields["asset.title"].label, fields["asset.title"].type) == ("Title", "string")
    assert fields["asset.category"].choices == ("news", "sport", "culture")
    assert [row.name for row in fields["asset.broadcasts"].rows] == ["broadcast.date"]


def test_both_forms_of_choices_in_a_model_are_read():
    document = f"""<model xmlns="{VDF}"><schema><fielddef name="a">
      <choice>x</choice><choice><value>y</value></choice></fielddef></schema></model>"""
    (field,) = read_model(parse(document.encode(), name="it"))
    assert field.choices == ("x", "y")
    with pytest.raises(ProtocolError, match="not a metadata model"):
        read_model(parse(b"<html/>", name="it"))
