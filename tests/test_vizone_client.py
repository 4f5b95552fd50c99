"""The client: errors and their statuses, which hosts get the login, what is retried."""

import base64
import gzip
import re
import resource
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowtools.errors import (
    ConfigurationError,
    ProtocolError,
    RefusedError,
    UnreachableError,
)
from flowtools.vizone import (
    Account,
    BusyError,
    Client,
    ConflictError,
    HTTPError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
)
from flowtools.vizone.transport import without_user
from tests.ports import reserved_port
from tests.running import SECONDS
from tests.vizone_servers import Scripted, account_of, client_at, client_of, reply, stand_in

pytest_plugins = ["tests.vizone_fixtures"]

FEED = b'<feed xmlns="http://www.w3.org/2005/Atom"/>'
BASIC = "Authorization: Basic " + base64.b64encode(b"anna:s3cret").decode()


def has(request, line):
    return line.lower() in request.lower().splitlines()


def test_the_service_document_names_the_collections_by_keyword(server):
    with client_of(server) as client:
        assert client.collection("asset") == f"{server.url}/thirdparty/asset/item"
        with pytest.raises(ProtocolError, match="has no 'playlist' collection"):
            client.collection("playlist")


def test_an_asset_is_created_found_changed_and_deleted(server):
    with client_of(server) as client:
        made = client.assets.create("Förhör", "SITE-1")
        assert (made.title, made.identifier, made.media) == ("Förhör", "SITE-1", "placeholder")
        made.element.find("{http://www.w3.org/2005/Atom}title").text = "Changed"
        client.assets.update(made)
        assert [asset.title for asset in client.assets.find()] == ["Changed"]
        client.assets.delete(made)
        client.assets.delete(made)  # gone already: fine
        assert list(client.assets.find()) == []
        with pytest.raises(NotFoundError, match="404"):
            client.assets.get(made.self_link)


def test_an_entry_changed_by_somebody_else_is_not_overwritten(server):
    with client_of(server) as client:
        made = client.assets.create("first")
        client.assets.update(made)
        with pytest.raises(ConflictError, match="412"):
            client.assets.update(made)


@pytest.mark.parametrize("per_page", [1, 7, 10, 100])
def test_every_page_of_a_feed_is_read_once(server, per_page):
    with client_of(server) as client:
        titles = [client.assets.create(f"asset {number}").title for number in range(20)]
        assert [asset.title for asset in client.assets.find(per_page=per_page)] == titles


def test_no_asset_is_missed_when_others_are_deleted_during_paging(server):
    with client_of(server) as client:
        made = [client.assets.create(f"asset {number}") for number in range(30)]
        seen = []
        for asset in client.assets.find(per_page=10):
            seen.append(asset.title)
            client.assets.delete(asset)
        assert seen == [asset.title for asset in made]


def test_a_feed_that_grows_at_its_front_is_read_to_its_end(server):
    with client_of(server) as client:
        titles = [client.assets.create(f"asset {number}").title for number in range(20)]
        pages = client.assets.newest(per_page=5)
        seen = [entry.title for entry in next(pages).entries]
        for number in range(5):
            client.assets.create(f"new {number}")
        seen += [entry.title for feed in pages for entry in feed.entries]
        assert set(titles) <= set(seen)


def page(ids, total, per_page, link=""):
    entries = "".join(f"<entry><id>{each}</id></entry>" for each in ids)
    return (
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:o="http://a9.com/-/spec/opensearch/1.1/">'
        f"<o:totalResults>{total}</o:totalResults><o:itemsPerPage>{per_page}</o:itemsPerPage>"
        f"{link}{entries}</feed>"
    ).encode()


def ids_of(client, url):
    return [entry.id for feed in client.pages(url) for entry in feed.entries]


def test_a_feed_without_next_links_is_paged_by_its_numbers():
    """Each page begins with the last entry of the page before, so that no entry is missed."""
    pages = [page("abc", 6, 3), page("cde", 6, 3), page("ef", 6, 3)]
    with Scripted(*map(reply, pages)) as server, client_at(server.url) as client:
        assert ids_of(client, f"{server.url}/feed?start=1&num=3") == list("abcdef")
    assert starts_of(server) == [1, 3, 5]


def starts_of(server):
    addresses = [head.split()[1] for head in server.requests]
    return [int(re.search(r"start=(\d+)", each)[1]) if "start" in each else 1 for each in addresses]


def test_a_feed_with_only_full_pages_is_read_to_its_end():
    whole = [page("abc", 5, 3), page("abc", 5, 3), page("de", 5, 3)]
    with Scripted(*map(reply, whole)) as server, client_at(server.url) as client:
        assert ids_of(client, f"{server.url}/feed?start=1&num=3") == list("abcde")
    assert starts_of(server) == [1, 3, 4]
    refusing = [reply(whole[0]), reply(status="400 Bad Request"), reply(whole[2])]
    with Scripted(*refusing) as server, client_at(server.url) as client:
        assert ids_of(client, f"{server.url}/feed?start=1&num=3") == list("abcde")
    assert starts_of(server) == [1, 3, 4]


def test_no_file_is_missed_in_a_feed_without_a_total(server):
    """Files vanish at the front and appear at the end, so that their number stays the same."""
    names = [f"{number:03}" for number in range(250)]
    for name in names:
        server.catalogue.put_file("xmlimport", name, b"1")
    with client_of(server) as client:
        seen = []
        for file in client.files.find(client.files.location("xmlimport")):
            seen.append(file.name)
            if len(seen) in (100, 180):
                for name in sorted(server_names(server))[:5]:
                    server.catalogue.delete_file("xmlimport", name)
                    server.catalogue.put_file("xmlimport", f"x{name}", b"1")
    assert [name for name in seen if name in names] == names


def server_names(server):
    return {file.name for file in server.catalogue.storages.files("xmlimport")}


def test_a_page_with_only_tombstones_does_not_end_the_paging():
    gone = '<d:deleted-entry xmlns:d="http://purl.org/atompub/tombstones/1.0" ref="x" when="y"/>'
    with Scripted() as server, client_at(server.url) as client:
        link = f'<link rel="next" href="{server.url}/more"/>'
        server.replies = [reply(page("", 2, 2, link + gone)), reply(page("ab", 2, 2))]
        assert ids_of(client, f"{server.url}/feed") == ["a", "b"]


def test_a_server_that_repeats_a_page_forever_does_not_trap_the_client():
    pages = [reply(page("ab", 100, 2)) for _ in range(5)]
    with Scripted(*pages) as server, client_at(server.url) as client:
        assert ids_of(client, f"{server.url}/feed") == ["a", "b"]
    assert len(server.requests) == 3


def test_a_next_link_to_an_address_already_read_ends_the_paging():
    with Scripted() as server, client_at(server.url) as client:
        link = f'<link rel="next" href="{server.url}/feed"/>'
        server.replies = [reply(page("ab", 9, 2, link))]
        assert ids_of(client, f"{server.url}/feed") == ["a", "b"]


def test_the_login_is_sent_with_the_first_request_and_cookies_are_returned():
    answers = [reply(FEED, Set_Cookie="session=abc; Path=/"), reply(FEED)]
    with Scripted(*answers) as server, client_at(server.url) as client:
        client.feed(f"{server.url}/1")
        client.feed(f"{server.url}/2")
    assert all(has(head, BASIC) for head in server.requests)
    assert has(server.requests[1], "Cookie: session=abc")
    assert not any("expect:" in head.lower() for head in server.requests)


def test_no_request_expects_a_continue_and_etags_are_returned_unchanged():
    """Weak or strong, quoted or not: the client does not interpret an etag."""
    entry = b'<entry xmlns="http://www.w3.org/2005/Atom"><link rel="edit" href="/e"/></entry>'
    for etag in ('W/"a,b"', '"1"', "bare"):
        answers = [reply(entry, ETag=etag), reply(entry)]
        with Scripted(*answers) as server, client_at(server.url) as client:
            client.update(client.entry(f"{server.url}/e"))
        assert has(server.requests[1], f"If-Match: {etag}")
        assert "expect:" not in "\n".join(server.requests).lower()


def test_login_and_cookies_are_not_sent_to_another_host():
    with (
        Scripted(reply(FEED, Set_Cookie="session=abc; Path=/")) as home,
        Scripted(reply(FEED)) as other,
        client_at(home.url) as client,
    ):
        client.feed(f"{home.url}/feed")
        client.feed(f"{other.url}/feed")
    assert "authorization" not in other.requests[0].lower()
    assert "cookie" not in other.requests[0].lower()


def test_the_login_is_not_sent_after_a_redirect_to_another_host():
    with Scripted(reply(FEED)) as other:
        away = reply(status="302 Found", Location=f"{other.url}/feed")
        with Scripted(away) as home, client_at(home.url) as client:
            client.feed(f"{home.url}/feed")
    assert has(home.requests[0], BASIC)
    assert "authorization" not in other.requests[0].lower()


def test_the_user_in_a_link_is_not_used():
    with Scripted(reply(FEED)) as server, client_at(server.url) as client:
        client.feed(server.url.replace("//", "//bob:hunter2@") + "/feed")
    assert has(server.requests[0], BASIC)


def test_a_redirect_to_a_malformed_address_is_a_protocol_error():
    away = reply(status="302 Found", Location="http://[x")
    with (
        Scripted(away) as server,
        client_at(server.url) as client,
        pytest.raises(ProtocolError, match="its address is malformed"),
    ):
        client.feed(f"{server.url}/feed")


def test_endless_redirects_are_abandoned():
    with Scripted() as server, client_at(server.url) as client:
        server.replies = [reply(status="302 Found", Location="/again") for _ in range(20)]
        with pytest.raises(ProtocolError, match="more than 5 redirects"):
            client.feed(f"{server.url}/feed")


def test_a_refusal_by_another_host_says_that_no_login_was_sent():
    with (
        Scripted(reply(status="401 Unauthorized")) as other,
        Scripted() as home,
        client_at(home.url) as client,
        pytest.raises(RefusedError, match="no login was sent, as it is another host"),
    ):
        client.feed(f"{other.url}/feed")


@pytest.mark.parametrize(
    ("body", "type", "said"),
    [
        (
            b"<e:error xmlns:e='urn:e'>\n <e:text>no such\x1b[1m form</e:text></e:error>",
            "text/xml",
            ": no such [1m form",
        ),
        (b"x" * 5000, "text/plain", ": " + "x" * 200),
        (b"<html>Sorry</html>", "text/html", ""),
        (b"", "text/plain", ""),
    ],
)
def test_the_servers_explanation_of_an_error_is_shown_in_one_line(body, type, said):
    with (
        Scripted(reply(body, "400 Bad Request", Content_Type=type)) as server,
        client_at(server.url) as client,
        pytest.raises(ProtocolError) as raised,
    ):
        client.feed(f"{server.url}/feed")
    assert str(raised.value) == f"cannot GET '{server.url}/feed': 400 Bad Request{said}"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("400 Bad Request", InvalidRequestError),
        ("401 Unauthorized", NotAllowedError),
        ("403 Forbidden", NotAllowedError),
        ("404 Not Found", NotFoundError),
        ("409 Conflict", ConflictError),
        ("410 Gone", NotFoundError),
        ("412 Precondition Failed", ConflictError),
        ("413 Content Too Large", InvalidRequestError),
        ("422 Unprocessable Content", InvalidRequestError),
        ("428 Precondition Required", ConflictError),
        ("429 Too Many Requests", BusyError),
        ("501 Not Implemented", BusyError),
        ("503 Service Unavailable", BusyError),
    ],
)
def test_each_http_status_raises_its_own_error_without_a_retry(status, error):
    with (
        Scripted(reply(b"no", status)) as server,
        client_at(server.url, pauses=()) as client,
        pytest.raises(error, match=status.split()[0]) as raised,
    ):
        client.feed(f"{server.url}/feed")
    assert type(raised.value) is error
    assert raised.value.http_status == int(status.split()[0])
    assert raised.value.reason.endswith(": no")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("error", "general"),
    [
        (InvalidRequestError, ProtocolError),
        (NotFoundError, ProtocolError),
        (ConflictError, ProtocolError),
        (NotAllowedError, RefusedError),
        (BusyError, UnreachableError),
    ],
)
def test_each_http_error_has_a_general_class_with_its_exit_status(error, general):
    assert issubclass(error, (HTTPError, general))
    assert error.status == general.status


@pytest.mark.parametrize(
    ("header", "date", "seconds"),
    [
        ("7", None, 7.0),
        ("Sat, 01 Jan 2000 00:00:30 GMT", "Sat, 01 Jan 2000 00:00:00 GMT", 30.0),
        ("Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:30 GMT", 0.0),
        ("Sat, 01 Jan 2000 00:00:00 GMT", None, 0.0),
        ("Sat Jan  1 00:00:30 2000", "Saturday, 01-Jan-00 00:00:00 GMT", 30.0),
        ("soon", None, None),
        ("-5", None, None),
        (None, None, None),
    ],
)
def test_an_error_has_the_wait_requested_by_the_server(header, date, seconds):
    headers = {"Retry_After": header, "Date": date}
    given = {name: value for name, value in headers.items() if value is not None}
    with (
        Scripted(reply(b"", "429 Too Many Requests", **given)) as server,
        client_at(server.url, pauses=()) as client,
        pytest.raises(HTTPError) as raised,
    ):
        client.feed(f"{server.url}/feed")
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize("status", ["500 Oops", "502 Bad Gateway", "503 Busy", "429 Slow Down"])
def test_a_temporary_failure_is_retried(status):
    with Scripted(reply(status=status), reply(FEED)) as server, client_at(server.url) as client:
        client.feed(f"{server.url}/feed")
    assert len(server.requests) == 2


def test_a_lasting_failure_is_an_error_after_four_tries():
    replies = [reply(status="503 Busy") for _ in range(9)]
    with (
        Scripted(*replies) as server,
        client_at(server.url) as client,
        pytest.raises(UnreachableError, match="503 Service Unavailable"),
    ):
        client.feed(f"{server.url}/feed")
    assert len(server.requests) == 4


def test_a_request_whose_response_is_lost_is_sent_again():
    with Scripted(b"", reply(FEED)) as server, client_at(server.url) as client:
        client.feed(f"{server.url}/feed")
    assert len(server.requests) == 2


@pytest.mark.parametrize("answer", [b"", reply(status="503 Busy")])
def test_a_post_is_never_repeated(answer):
    with (
        Scripted(answer, reply(FEED)) as server,
        client_at(server.url) as client,
        pytest.raises(UnreachableError),
    ):
        client.request("POST", f"{server.url}/make", body=b"x")
    assert len(server.requests) == 1


def test_a_missing_server_is_unreachable():
    with (
        reserved_port() as port,
        client_at(f"http://127.0.0.1:{port}") as client,
        pytest.raises(UnreachableError, match=f"'http://127.0.0.1:{port}/x': Connection"),
    ):
        client.feed(f"http://127.0.0.1:{port}/x")


def test_a_silent_server_is_unreachable_after_the_timeout():
    with (
        Scripted(None) as server,
        client_at(server.url, seconds=0.2) as client,
        pytest.raises(UnreachableError, match=r"no answer within 0\.2 s"),
    ):
        client.feed(f"{server.url}/feed")


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("first", "again", "said"),
    [
        (OK + b"Content-Length: 100000\r\n\r\n", b"x", "no complete answer"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", "no complete answer"),
        (OK, b"X-More: x\r\n", "no answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", "no answer"),
    ],
)
def test_a_slow_response_has_one_timeout_as_a_whole(first, again, said):
    with trickling(first, again) as url, client_at(url, seconds=0.5) as client:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match=rf"{said} within 0\.5 s"):
            client.feed(f"{url}/feed")
        assert time.monotonic() - began < 20


def test_waiting_for_the_text_of_an_error_is_bounded():
    first = b"HTTP/1.1 404 Gone\r\nContent-Length: 100000\r\n\r\n"
    with trickling(first, b"x") as url, client_at(url, seconds=0.5) as client:
        began = time.monotonic()
        with pytest.raises(NotFoundError):
            client.feed(f"{url}/feed")
        assert time.monotonic() - began < 20


@contextmanager
def trickling(first, again):
    """A server that sends `first`, and then `again` twenty times a second."""
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def trickle():
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(first)
            try:
                # Longer than a test may take: without a time-out the test fails.
                for _ in range(500):
                    if ended.wait(0.05):
                        break
                    connection.sendall(again)
            except OSError:
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        ended.set()
        thread.join()
        server.close()


def test_an_expired_session_is_not_mistaken_for_a_wrong_login():
    """For any kind of request, since a refused one has changed nothing."""
    over = reply(status="401 Unauthorized", Set_Cookie="session=old; Path=/")
    answers = [reply(FEED, Set_Cookie="session=abc; Path=/"), over, reply(b"made")]
    with Scripted(*answers) as server, client_at(server.url) as client:
        client.feed(f"{server.url}/1")
        assert client.request("POST", f"{server.url}/2", body=b"x").content == b"made"
    assert [("cookie:" in head.lower()) for head in server.requests] == [False, True, False]
    assert all(has(head, BASIC) for head in server.requests)


def test_a_login_that_has_become_wrong_is_retried_only_once():
    refused = reply(status="401 Unauthorized")
    answers = [reply(FEED, Set_Cookie="session=abc; Path=/"), refused, refused, reply(FEED)]
    with Scripted(*answers) as server, client_at(server.url) as client:
        client.feed(f"{server.url}/1")
        with pytest.raises(RefusedError, match="401 Unauthorized"):
            client.feed(f"{server.url}/2")
    assert len(server.requests) == 3


def test_data_that_is_not_http_is_a_protocol_error():
    with (
        Scripted(b"220 ftp ready\r\n\r\n") as server,
        client_at(server.url) as client,
        pytest.raises(ProtocolError, match="does not speak HTTP"),
    ):
        client.feed(f"{server.url}/feed")


def test_a_response_that_is_too_large_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr("flowtools.vizone.answer.MAX_DOCUMENT", 100_000)
    with (
        Scripted(reply(bytes(1_000_000))) as server,
        client_at(server.url) as client,
        pytest.raises(ProtocolError, match="larger than 100000 bytes"),
    ):
        client.feed(f"{server.url}/feed")


def bomb():
    """Some kilobytes that decode to 3 GB."""
    packed = gzip.compress(bytes(3_000_000), 9, mtime=0)
    return gzip.compress(packed * 1000, 9, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(FEED, mtime=0)),
        ("gzip, gzip", bomb()),
        ("GZIP,gzip", bomb()),
        ("identity, deflate", b"x"),
        ("br", b"x"),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_an_unrequested_content_encoding_is_refused_and_never_decoded(encoding, body, status):
    """Not even in the text of an error; decoding 3 GB would exceed the address space."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with (
        Scripted(reply(body, status, Content_Encoding=encoding)) as server,
        client_at(server.url) as client,
    ):
        resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), hard))
        try:
            with pytest.raises(ProtocolError, match=r"was not asked for|404 Not Found$"):
                client.feed(f"{server.url}/feed")
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_content_encoding_identity_means_none():
    with (
        Scripted(reply(FEED, Content_Encoding="identity")) as server,
        client_at(server.url) as client,
    ):
        assert client.feed(f"{server.url}/feed").entries == []


def test_a_wait_requested_by_the_server_is_bounded_and_reported(monkeypatch, caplog):
    monkeypatch.setattr("flowtools.vizone.transport.LONGEST_WAIT", 0.2)
    monkeypatch.setattr("flowtools.vizone.transport.LONG_WAIT", 0.1)
    busy = reply(status="503 Service Unavailable", Retry_After="99999999")
    with (
        Scripted(*[busy] * 4) as server,
        client_at(server.url) as client,
        pytest.raises(UnreachableError, match="503"),
    ):
        client.feed(f"{server.url}/feed")
    assert len(server.requests) == 2
    assert "503 Service Unavailable; trying again in 0 s" in caplog.text


@pytest.mark.parametrize("url", ["ftp://h/x", "file:///etc/passwd", "http://[::1/x", "mailto:a@b"])
def test_a_link_that_is_not_a_web_address_is_not_followed(url):
    with client_at("http://127.0.0.1:1") as client, pytest.raises(ProtocolError, match="follow"):
        client.feed(url)


def test_an_http_link_of_a_host_configured_with_https_is_followed_over_https():
    with client_at("https://one.example:8443") as client:
        asked = client._transport._addressed("http://one.example/api/asset/item/1")
        assert asked == "https://one.example:8443/api/asset/item/1"
        assert client._transport._is_ours(asked)
        assert not client._transport._is_ours("http://one.example:8443/x")
        assert not client._transport._is_ours("https://one.example.evil/x")


def test_the_user_of_a_url_is_never_shown():
    assert without_user("ftp://u:p@h:21/x?y=1") == "ftp://h:21/x?y=1"
    assert "s3cret" not in repr(Account("http://h", "anna", "s3cret"))


def test_an_untrusted_certificate_is_refused_unless_insecure(tmp_path):
    pem = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with stand_in() as server:
        server._web.socket = context.wrap_socket(server._web.socket, server_side=True)
        url = server.url.replace("http:", "https:")
        with (
            Client(Account(url, "admin", server.password)) as client,
            pytest.raises(RefusedError, match=r"self-signed; .*--ca-file"),
        ):
            client.collections()
        for more in ({"ca_file": str(pem)}, {"insecure": True}):
            with Client(Account(url, "admin", server.password, **more)) as client:
                assert client.collection("asset")


def make_certificate(folder):
    import subprocess

    pem = folder / "server.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            pem,
            "-out",
            folder / "cert.pem",
        ],
        check=True,
        capture_output=True,
    )
    pem.write_bytes(pem.read_bytes() + (folder / "cert.pem").read_bytes())
    return pem


def test_a_missing_ca_file_is_a_configuration_error(tmp_path):
    missing = Account("https://h", "u", "p", ca_file=str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match=r"cannot read CA file .*No such file"):
        Client(missing)


@pytest.mark.parametrize(
    "url", ["", "one.example", "ftp://h", "http://", "http://h:x", "http://u:p@h", "http://a b"]
)
def test_a_malformed_address_is_a_configuration_error(url):
    with pytest.raises(ConfigurationError) as raised:
        Account.from_environment(
            {"VIZONE_URL": url, "VIZONE_USER": "u", "VIZONE_PASSWORD": "s3cret"}
        )
    assert "p@h" not in str(raised.value)


def test_missing_settings_are_named():
    with pytest.raises(ConfigurationError, match="VIZONE_USER and VIZONE_PASSWORD not set"):
        Account.from_environment({"VIZONE_URL": "http://h"})


def test_threads_sharing_a_client_lose_no_change(server):
    with client_of(server) as client:
        asset = client.assets.create("shared")
        url = asset.follow("describedby")
        failures = []

        def add(word):
            # Too many contenders for three tries: each continues until it succeeds.
            while True:
                metadata = client.metadata(url)
                metadata["asset.keywords"] = f"{metadata['asset.keywords'] or ''} {word}".strip()
                try:
                    client.put_metadata(metadata)
                except ConflictError:
                    continue
                except Exception as error:
                    failures.append(error)
                return

        threads = [threading.Thread(target=add, args=(f"w{n}",)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        assert failures == []
        words = client.metadata(url)["asset.keywords"].split()
        assert sorted(words) == sorted(f"w{n}" for n in range(16))


def test_a_user_with_a_wrong_password_is_refused(server):
    with (
        Client(Account(server.url, "admin", "wrong")) as client,
        pytest.raises(RefusedError, match=r"401 .*check the user"),
    ):
        client.collections()


def test_only_the_admin_is_shown_the_monitor_link(server):
    for user, shown in (("admin", True), ("guest", False)):
        with Client(account_of(server, user)) as client:
            assert (client.assets.feed().link("monitor") is not None) == shown
