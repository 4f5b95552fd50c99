"""Faults on demand, and a client that copes with them."""

import base64
import socket
import threading
import time
from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest

from flowtools.errors import ProtocolError, RefusedError, UnreachableError
from flowtools.sim.faults import Faults, Rates
from flowtools.vizone import ConflictError, NotFoundError
from tests.running import SECONDS, until
from tests.vizone_servers import client_of, stand_in


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("5xx=0.05,slow=0.1,drop=0.01,conflict=1", Rates(0.05, 0.1, 0.01, 1)),
        ("drop=0", Rates()),
        ("401=1,403=0.5,404=0.25", Rates(unauthorized=1, forbidden=0.5, missing=0.25)),
        ("html=1,gzip=1,slow-body=1", Rates(html=1, packed=1, slow_body=1)),
        ("clock=-3600", Rates(clock=-3600)),
    ],
)
def test_rates_are_parsed_and_formatted(text, rates):
    assert Rates.parse(text) == rates
    assert not str(rates) or Rates.parse(str(rates)) == rates


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5xx",
        "5xx=x",
        "drop=1.1",
        "drop=-1",
        "a=1",
        "slow=1,slow=1",
        "clock=x",
        "clock=nan",
        "clock=1e300",
    ],
)
def test_malformed_rates_are_a_usage_error(run, text):
    status, out, err = run("flow-sim", "--faults", text, "--", "true")
    assert (status, out) == (2, b"")
    assert "expected" in err


def test_the_same_seed_causes_the_same_faults():
    def throws(seed):
        faults = Faults(Rates(0.3, 0.3, 0.3, 0.3), seed)
        return [
            (faults.status(conditional=True), faults.pause(), faults.drops()) for _ in range(200)
        ]

    assert throws(1) == throws(1)
    assert throws(1) != throws(2)
    assert {500, 502, 503, 504, 409, 412, 428, None} == {each[0] for each in throws(1)}


def test_a_fault_with_rate_1_always_happens():
    for rates, error in (
        (Rates(failing=1), UnreachableError),
        (Rates(drop=1), UnreachableError),
    ):
        with (
            stand_in(faults=rates) as server,
            client_of(server) as client,
            pytest.raises(error),
        ):
            client.collections()
    with stand_in(faults=Rates(conflict=1)) as server, client_of(server) as client:
        asset = client.assets.create("one")
        with pytest.raises(ConflictError):
            client.assets.update(asset)
        assert server.catalogue.assets()[0].revision == 1


@pytest.mark.parametrize(
    ("rates", "error", "said"),
    [
        ("401=1", RefusedError, "401 Unauthorized"),
        ("403=1", RefusedError, "403 Forbidden"),
        ("404=1", NotFoundError, "404 Not Found"),
        ("html=1", ProtocolError, "web page"),
        ("gzip=1", ProtocolError, "encoded as 'gzip, gzip', which was not asked for"),
    ],
)
def test_each_kind_of_wrong_answer_has_its_own_error(rates, error, said):
    with (
        stand_in(faults=Rates.parse(rates)) as server,
        client_of(server) as client,
        pytest.raises(error, match=said),
    ):
        client.collections()


def test_a_response_body_may_arrive_slowly():
    with stand_in(faults=Rates(slow_body=1)) as server:
        with client_of(server) as client:
            assert client.collection("asset")
        with (
            client_of(server, seconds=0.5) as client,
            pytest.raises(UnreachableError, match=r"no complete answer within 0\.5 s"),
        ):
            client.collections()


def test_the_clock_of_the_server_may_be_ahead_or_behind():
    with stand_in(faults=Rates(clock=-3600)) as server, client_of(server) as client:
        made = client.assets.create("one")
        answer = client.request("GET", f"{server.url}/thirdparty")
        said = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        written = datetime.fromisoformat(made.updated).timestamp()
    assert time.time() - said == pytest.approx(3600, abs=30)
    assert time.time() - written == pytest.approx(3600, abs=30)


def test_faults_can_be_changed_at_run_time_by_an_unaffected_request():
    with stand_in(faults=Rates(unauthorized=1)) as server, client_of(server) as client:
        faults = f"{server.url}/sim/faults"
        assert client.request("GET", faults).content == b"401=1\n"
        with pytest.raises(ProtocolError, match="expected a rate"):
            client.request("PUT", faults, body=b"404=2")
        client.request("PUT", faults, body=b"404=1")
        with pytest.raises(NotFoundError):
            client.collections()
        client.request("PUT", faults, body=b"")
        assert client.collections()


@pytest.mark.parametrize(
    ("order", "titles"), [("sorted", "bca"), ("none", "abc"), ("oldest", "acb")]
)
def test_a_feed_may_ignore_the_requested_order(order, titles):
    with stand_in(order=order) as server, client_of(server) as client:
        made = {title: client.assets.create(title) for title in "abc"}
        server.catalogue.update(made["b"].self_link.rpartition("/")[2], title="b")
        found = client.assets.find(sort="-search.modificationDate")
        assert "".join(asset.title for asset in found) == titles


def test_a_session_expires_and_the_client_logs_in_again():
    with stand_in(session=0.2) as server, client_of(server) as client:
        for _ in range(3):
            assert client.assets.feed()
            time.sleep(0.25)
        # A client that sends the cookie of an old session learns that it has expired.
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as raw:
            login = base64.b64encode(f"admin:{server.password}".encode()).decode()
            raw.sendall(
                b"GET /thirdparty HTTP/1.1\r\nHost: localhost\r\nCookie: session=old\r\n"
                b"Authorization: Basic " + login.encode() + b"\r\n\r\n"
            )
            assert raw.recv(1000).startswith(b"HTTP/1.1 401 ")


def asked_of(server, host):
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as raw:
        raw.sendall(f"GET /thirdparty HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return int(raw.recv(1000).split()[1])


def test_requests_for_another_host_name_are_refused():
    """A web page in a browser must not reach a stand-in by a name that resolves to it."""
    with stand_in(names=("one.example",)) as server:
        ours = [
            "localhost",
            "localhost:80",
            "127.0.0.1",
            "[::1]:8080",
            "one.example",
            "ONE.example",
        ]
        assert {asked_of(server, host) for host in ours} == {401}
        assert asked_of(server, "evil.example") == 421
        assert asked_of(server, "127.0.0.1.evil.example:80") == 421


def is_refused(host, port, answer):
    """Whether a third connection is refused while two are open."""
    with (
        socket.create_connection((host, port)),
        socket.create_connection((host, port)),
        socket.create_connection((host, port)) as third,
    ):
        return third.recv(100).startswith(answer)


def test_connections_beyond_the_limit_are_refused_until_others_close():
    with stand_in(connections=2) as server:
        assert is_refused("127.0.0.1", int(server.url.rpartition(":")[2]), b"HTTP/1.1 503 ")
        until(lambda: asked_of(server, "localhost") == 401)
        host, port = server.stomp_url.removeprefix("stomp://").strip("/").split(":")
        assert is_refused(host, int(port), b"ERROR\nmessage:too many connections\n")


def test_the_client_copes_with_a_connection_cut_after_the_request_was_done():
    with stand_in(faults=Rates(drop=0.3), seed=3) as server, client_of(server) as client:
        made = 0
        while made < 30:
            try:
                client.assets.create_or_update_asset(f"SITE-{made}", f"asset {made}")
            except UnreachableError:
                continue  # Like a Worker's retry: it finds what the first attempt has created.
            made += 1
        names = [asset.identifier for asset in server.catalogue.assets()]
        assert names == [f"SITE-{number}" for number in range(30)]


def test_concurrent_changes_survive_any_faults():
    rates = Rates(failing=0.1, drop=0.05, conflict=0.2)
    with stand_in(faults=rates) as server, client_of(server) as client:
        number = server.catalogue.create("shared").number
        url = f"{server.url}/api/asset/item/{number}/metadata"

        def add(word):
            while True:
                try:
                    metadata = client.metadata(url)
                    words = (metadata["asset.keywords"] or "").split()
                    if word in words:
                        return
                    metadata["asset.keywords"] = " ".join([*words, word])
                    client.put_metadata(metadata)
                except (ConflictError, UnreachableError):
                    continue

        threads = [threading.Thread(target=add, args=(f"w{n}",), daemon=True) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        words = client_words(server, number)
        assert sorted(words) == sorted(f"w{n}" for n in range(8))


def client_words(server, number):
    from flowtools.vizone.document import parse
    from flowtools.vizone.metadata import Payload

    stored = server.catalogue.asset(number).payload
    return Payload(parse(stored, name="it"))["asset.keywords"].split()


def test_a_disconnected_listener_reconnects(shell):
    # A topic keeps nothing for absent subscribers, so the stream outlasts many absences.
    status, out, err = shell(
        "flow-sim --assets 4000 --rate 100 --faults drop=0.02 -- flow-listen-assets --count 40",
        timeout=SECONDS,
    )
    assert (status, len(out.splitlines())) == (0, 40), err
