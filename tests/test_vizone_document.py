"""XML from untrusted sources: what is refused, and that refusing it is cheap."""

import resource
import time

import pytest

from flowtools.errors import ProtocolError
from flowtools.vizone.document import MAX_DOCUMENT, address, child, integer, parse, text
from tests.vizone_servers import Scripted, client_at, reply

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x0 "ha">'
    + b"".join(
        b'<!ENTITY x%d "%s">' % (level, b"&x%d;" % (level - 1) * 10) for level in range(1, 12)
    )
    + b"]><a>&x11;</a>"
)


def test_an_entity_bomb_is_refused_before_it_expands():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ProtocolError, match="cannot read 'it'"):
        parse(BOMB, name="it")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_an_entity_bomb_in_an_attribute_is_refused():
    with pytest.raises(ProtocolError, match="cannot read 'it'"):
        parse(BOMB.replace(b"<a>&x11;</a>", b'<a b="&x11;"/>'), name="it")


def test_an_external_entity_is_neither_read_nor_fetched(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    document = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]><a>&x;</a>'.encode()
    with pytest.raises(ProtocolError, match="document type") as raised:
        parse(document, name="it")
    assert "hunter2" not in str(raised.value)


def test_an_external_document_type_is_not_fetched():
    with Scripted(reply(b"<!ELEMENT a ANY>")) as server:
        document = f'<!DOCTYPE a SYSTEM "{server.url}/a.dtd"><a/>'.encode()
        with pytest.raises(ProtocolError, match="document type"):
            parse(document, name="it")
    assert server.requests == []


@pytest.mark.parametrize("depth", [5_000, 1_000_000])
def test_a_document_of_huge_depth_is_refused(depth):
    with pytest.raises(ProtocolError, match=r"not XML|more than [0-9]+ tags"):
        parse(b"<a>" * depth + b"</a>" * depth, name="it")


def test_a_document_of_huge_size_is_refused_immediately():
    started = time.process_time()
    with pytest.raises(ProtocolError, match="larger than"):
        parse(b"<a>" + b"x" * MAX_DOCUMENT + b"</a>", name="it")
    assert time.process_time() - started < 1


@pytest.mark.parametrize("document", [b"", b"   ", b"no", b"<a>", b"\xff\xfe<", b"<a/>junk", b"\0"])
def test_a_document_that_is_not_xml_is_a_one_line_error(document):
    with pytest.raises(ProtocolError, match="cannot read 'it': not XML") as raised:
        parse(document, name="it")
    assert "\n" not in str(raised.value)


def test_a_hostile_answer_is_an_error_of_the_client():
    with (
        Scripted(reply(BOMB)) as server,
        client_at(server.url) as client,
        pytest.raises(ProtocolError, match="cannot read"),
    ):
        client.collections()


def test_xinclude_is_not_processed(tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    root = parse(
        b'<a xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="%s" parse="text"/></a>'
        % (tmp_path / "secret").as_uri().encode(),
        name="it",
    )
    assert text(root) is None


def test_a_child_is_found_by_namespace_and_otherwise_by_local_name():
    root = parse(
        b'<a xmlns:p="p" xmlns:q="q"><q:n>1</q:n><p:n>2</p:n><b><n>3</n></b></a>', name="it"
    )
    assert text(child(root, "n", "p")) == "2"
    assert text(child(root, "n", "other")) == "1"
    assert child(root, "m", "p") is None


def test_text_leaves_out_comments_and_surrounding_space():
    assert text(parse(b"<a> x<!-- no -->y </a>", name="it")) == "xy"
    assert text(parse(b"<a>  </a>", name="it")) is None


@pytest.mark.parametrize("said", [None, "", "-1", "1.5", "x", "1" * 19, "\u0663"])
def test_a_malformed_whole_number_is_none(said):
    assert integer(said) is None


def test_a_whole_number_is_read():
    assert integer("123456789012345678") == 123456789012345678


@pytest.mark.parametrize(
    ("media_type", "content", "said"),
    [
        # The charset of the Content-Type wins over the declaration, a byte order mark over both.
        ("application/xml; charset=iso-8859-1", b'<?xml version="1.0"?><a>\xe4</a>', "ä"),
        (
            'application/xml;charset="UTF-8"',
            '<?xml version="1.0" encoding="latin1"?><a>ä</a>',
            "ä",
        ),
        ("application/xml; charset=iso-8859-1", b"\xef\xbb\xbf<a>\xc3\xa4</a>", "ä"),
        ("application/xml; charset=no-such", b"<a>\xc3\xa4</a>", "ä"),
        ("application/xml; charset*=", b"<a>\xc3\xa4</a>", "ä"),
        ("", b"<a>\xc3\xa4</a>", "ä"),
        (None, b'<?xml version="1.0" encoding="iso-8859-1"?><a>\xe4</a>', "ä"),
    ],
)
def test_the_charset_of_the_content_type_wins(media_type, content, said):
    content = content.encode() if isinstance(content, str) else content
    assert text(parse(content, name="it", media_type=media_type)) == said


@pytest.mark.parametrize(
    "page",
    [
        b"<html><body>Please log in</body></html>",
        b"<!DOCTYPE html>\n<html lang='de'><p>unclosed",
        b"\xef\xbb\xbf \n<!-- x --><HTML>",
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN">',
    ],
)
def test_a_web_page_instead_of_xml_is_reported(page):
    with pytest.raises(ProtocolError, match="the answer is a web page instead of XML; is there"):
        parse(page, name="it")


def test_an_empty_address_means_the_document_itself():
    feed = parse(b"<feed><link href=''/><link/></feed>", name="http://h/feed?start=1")
    empty, none = feed
    assert address(empty, empty.get("href")) == "http://h/feed?start=1"
    assert address(none, none.get("href")) is None
    assert address(parse(b"<a/>", name="it", base=""), "http://[::1") is None
