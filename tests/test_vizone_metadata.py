"""Metadata: setting a field changes only that field."""

import pytest
from lxml import etree

from flowtools.errors import ProtocolError
from flowtools.vizone.document import parse, serialise
from flowtools.vizone.metadata import Payload

DOCUMENT = b"""<payload xmlns="http://www.vizrt.com/types" xmlns:x="urn:x" model="https://one/form/r3">
  <!-- kept -->
  <field name="asset.title"><value>Evening bulletin</value></field>
  <field name="asset.category" x:hint="1"><value>news</value>
    <origin href="https://one/dictionary/~category/news"
      id="urn:vme:default:dictionary:category:news"/></field>
  <field name="asset.synopsis"/>
  <x:unknown>stays</x:unknown>
  <field name="rows.new"><list>
    <payload><field name="rows.date"><value>2023-01-25</value></field></payload>
    <payload><field name="rows.date"><value>2023-01-26</value></field></payload>
  </list></field>
  <field name="rows.old"><value><list>
    <payload><field name="rows.date"><value>2001-01-01</value></field></payload>
  </list></value></field>
</payload>"""


def payload(document=DOCUMENT):
    return Payload(parse(document, name="it"))


def canonical(document):
    return etree.tostring(etree.fromstring(document), method="c14n")


def test_fields_are_read_by_name():
    metadata = payload()
    assert list(metadata) == [
        "asset.title",
        "asset.category",
        "asset.synopsis",
        "rows.new",
        "rows.old",
    ]
    assert metadata["asset.title"] == "Evening bulletin"
    assert metadata["asset.synopsis"] is None
    assert metadata["rows.old"] is None
    assert metadata["missing"] is None
    assert "asset.synopsis" in metadata
    assert "missing" not in metadata
    assert metadata.model == "https://one/form/r3"


def test_namespace_prefixes_do_not_matter():
    metadata = payload(
        b'<v:payload xmlns:v="http://www.vizrt.com/types"><v:field name="a">'
        b'<value xmlns="http://www.vizrt.com/types">b</value></v:field></v:payload>'
    )
    assert metadata["a"] == "b"


def test_tables_are_read_in_both_places():
    metadata = payload()
    assert [row["rows.date"] for row in metadata.rows("rows.new")] == ["2023-01-25", "2023-01-26"]
    assert [row["rows.date"] for row in metadata.rows("rows.old")] == ["2001-01-01"]
    assert metadata.rows("asset.title") == metadata.rows("missing") == []


def test_setting_a_field_leaves_everything_else_unchanged():
    metadata = payload()
    metadata["asset.title"] = "Läte <b> & more"
    expected = DOCUMENT.replace(b"Evening bulletin", "Läte &lt;b&gt; &amp; more".encode())
    assert canonical(serialise(metadata.element)) == canonical(expected)


def test_setting_a_cell_of_a_table_changes_only_that_cell():
    metadata = payload()
    metadata.rows("rows.old")[0]["rows.date"] = "2002-02-02"
    expected = DOCUMENT.replace(b"2001-01-01", b"2002-02-02")
    assert canonical(serialise(metadata.element)) == canonical(expected)


def test_a_stale_origin_is_removed_with_its_value():
    metadata = payload()
    assert metadata.origin("asset.category")[1] == "urn:vme:default:dictionary:category:news"
    assert metadata.set("asset.category", "sport")
    assert (metadata["asset.category"], metadata.origin("asset.category")) == ("sport", None)


def test_a_new_origin_is_written():
    metadata = payload()
    assert metadata.set("asset.category", "sport", ("https://one/sport", "urn:sport"))
    assert metadata.origin("asset.category") == ("https://one/sport", "urn:sport")
    assert not metadata.set("asset.category", "sport", ("https://one/sport", "urn:sport"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("asset.category", "news"), ("asset.synopsis", None), ("asset.synopsis", "")],
)
def test_setting_an_equal_value_changes_nothing(name, value):
    metadata = payload()
    assert not metadata.set(name, value)
    assert canonical(serialise(metadata.element)) == canonical(DOCUMENT)


def test_a_field_is_unset_filled_and_added():
    metadata = payload()
    metadata["asset.title"] = None
    metadata["asset.synopsis"] = "short"
    metadata["new.field"] = "new"
    metadata["never.there"] = None
    assert metadata["asset.title"] is None
    assert [metadata["asset.synopsis"], metadata["new.field"]] == ["short", "new"]
    assert list(metadata)[-1] == "new.field"
    assert b'<field name="asset.title"/>' in serialise(metadata.element)


@pytest.mark.parametrize("name", ["rows.new", "rows.old"])
def test_a_table_is_not_overwritten_by_text(name):
    with pytest.raises(ValueError, match="is a table"):
        payload()[name] = "text"


@pytest.mark.parametrize(
    ("name", "value", "origin"),
    [
        ("asset.title", "a\x00b", None),
        ("asset.category", "a\x00b", None),
        ("new.field", "a\x00b", None),
        ("asset.category", "sport", ("https://one/sport", "a\x00b")),
    ],
)
def test_a_value_that_xml_cannot_hold_is_refused_and_changes_nothing(name, value, origin):
    metadata = payload()
    before = serialise(metadata.element)
    with pytest.raises(ValueError, match="XML compatible"):
        metadata.set(name, value, origin)
    assert serialise(metadata.element) == before


def test_a_document_that_is_not_a_payload_is_refused():
    with pytest.raises(ProtocolError, match="expected a metadata payload, found 'a'"):
        payload(b"<a/>")
