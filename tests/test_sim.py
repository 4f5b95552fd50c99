"""flow-sim: the command, its HTTP side, and the sequence of its changes."""

import http.client
import json
import re
import signal
import socket
import tracemalloc
from base64 import b64encode
from collections import Counter
from itertools import islice

import pytest

from flowtools.core.errors import UnreachableError
from flowtools.sim import other_resources
from flowtools.sim.standin import Plan, StandIn
from flowtools.sim.stream import asset_steps, changes, file_steps
from tests.ports import reserved_port, reserved_ports
from tests.running import SECONDS
from tests.vizone_servers import client_of, stand_in

pytest_plugins = ["tests.vizone_fixtures"]


# The command


@pytest.mark.parametrize(
    ("line", "status"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
def test_flow_sim_ends_with_the_status_of_its_command(run, line, status):
    assert run("flow-sim", "--", "sh", "-c", line) == (status, b"", "")


def test_the_command_gets_the_address_and_login_in_its_environment(run):
    line = "echo $VIZONE_URL $VIZONE_USER ${#VIZONE_PASSWORD}"
    status, out, err = run("flow-sim", "sh", "-c", line)
    url, user, length = out.decode().split()
    assert (status, err, user) == (0, "", "admin")
    assert url.startswith("http://127.0.0.1:")
    assert int(length) >= 16


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_forwarded_and_the_command_decides_the_status(start, signum):
    name = signal.Signals(signum).name.removeprefix("SIG")
    line = f"trap 'echo heard; exit 3' {name}; echo ready; while :; do sleep 0.05; done"
    process = start("flow-sim", "--", "sh", "-c", line)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signum)
    # Some shells also report on stderr that their sleep was killed.
    assert (process.communicate(timeout=SECONDS)[0], process.returncode) == (b"heard\n", 3)


def test_a_signal_reaches_every_part_of_a_pipeline(start):
    line = "flow-listen-assets | { echo ready; exec cat; }"
    process = start("flow-sim", "--", "sh", "-c", line)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    # At the end of file no process has the pipe open any more.
    assert process.communicate(timeout=SECONDS)[0] == b""
    assert process.returncode == 143


def test_the_command_inherits_open_descriptors(shell):
    assert shell("flow-sim -- cat <(echo one) /dev/fd/7 7<<<two") == (0, b"one\ntwo\n", "")


def test_a_command_that_cannot_be_started_is_a_configuration_error(run):
    status, out, err = run("flow-sim", "--", "./no-such-command")
    assert (status, out) == (78, b"")
    assert err == "flow-sim: cannot run './no-such-command': No such file or directory\n"


def test_without_a_command_it_prints_its_settings_and_serves_until_stopped(start, run):
    process = start("flow-sim")
    said = [process.stdout.readline().decode() for _ in range(5)]
    names = [line.split("=")[0] for line in said[:3]]
    assert names == ["export VIZONE_URL", "export VIZONE_USER", "export VIZONE_PASSWORD"]
    assert [line[:2] for line in said[3:]] == ["# ", "# "]
    settings = dict(line.removeprefix("export ").strip().split("=", 1) for line in said[:3])
    status, _, err = run("flow-listen-files", "nope", env=settings)
    assert status == 78, err
    process.send_signal(signal.SIGTERM)
    assert (process.wait(SECONDS), process.stderr.read()) == (-signal.SIGTERM, b"")


def test_the_given_ports_and_password_are_used(start, tmp_path):
    (tmp_path / "password").write_text("pa ss\n")
    with reserved_ports(2) as (http_port, stomp_port):
        process = start(
            "flow-sim",
            *("--http", f"127.0.0.1:{http_port}", "--stomp", f"127.0.0.1:{stomp_port}"),
            *("--password-file", "password"),
        )
        said = [process.stdout.readline().decode().strip() for _ in range(4)]
    assert said == [
        f"export VIZONE_URL=http://127.0.0.1:{http_port}",
        "export VIZONE_USER=admin",
        "export VIZONE_PASSWORD='pa ss'",
        f"# broker: stomp://127.0.0.1:{stomp_port}/",
    ]


@pytest.mark.parametrize("option", ["--http", "--stomp"])
def test_a_port_in_use_is_an_error(run, option):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, out, err = run("flow-sim", option, address)
    assert (status, out) == (69, b"")
    assert err == f"flow-sim: cannot listen on '{address}': Address already in use\n"


def test_if_one_port_is_taken_the_other_is_released():
    with (
        reserved_port() as http_port,
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        http = ("127.0.0.1", http_port)
        with pytest.raises(UnreachableError, match="cannot listen on"):
            StandIn(Plan(), http=http, stomp=taken.getsockname())
        socket.create_server(http).close()


@pytest.mark.parametrize("address", ["8080", "h:x", "h:70000"])
def test_a_malformed_address_is_a_usage_error(run, address):
    status, _, err = run("flow-sim", "--http", address)
    assert status == 2
    assert "expected HOST:PORT such as 127.0.0.1:8080" in err


def test_a_missing_broker_package_is_named_with_the_install_command(run, tmp_path):
    (tmp_path / "coilmq").mkdir()
    (tmp_path / "coilmq/__init__.py").write_text(
        "raise ModuleNotFoundError('No module named coilmq', name='coilmq')"
    )
    status, out, err = run("flow-sim", env={"PYTHONPATH": str(tmp_path)}, real=True)
    assert (status, out) == (78, b"")
    assert err == (
        "flow-sim: cannot start the stand-in: there is no module 'coilmq';"
        " pip install 'flowtools[sim]'\n"
    )


# The sequence of changes


def test_the_sequence_of_changes_depends_only_on_the_seed():
    assert list(changes(200, 7)) == list(changes(200, 7))
    assert list(changes(200, 7)) != list(changes(200, 8))
    assert list(changes(200, 7))[:50] == list(changes(50, 7))
    assert Counter(change.kind for change in changes(200, 7)).keys() == {
        "create",
        "update",
        "delete",
    }


def test_changes_always_concern_an_existing_asset():
    alive = set()
    for change in changes(2000, 3):
        if change.kind == "create":
            assert change.index not in alive
            alive.add(change.index)
        else:
            assert change.index in alive
            alive -= {change.index} if change.kind == "delete" else set()


def test_changes_are_made_up_only_when_they_are_due(server):
    catalogue = server.catalogue
    tracemalloc.start()
    for steps in (asset_steps(catalogue, 50_000, 1), file_steps(catalogue, "xmlimport", 50_000, 1)):
        for step in islice(steps, 3):
            step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert catalogue.assets()
    assert len(catalogue.storages.files("xmlimport")) == 3
    assert peak < 1_000_000  # In a list, 50,000 changes take 10 MB or more.


def test_files_grow_side_by_side_and_each_becomes_whole(server):
    seen = []
    server.catalogue.watchers.files = lambda kind, file: seen.append((file.name, len(file.content)))
    for step in file_steps(server.catalogue, "xmlimport", 4, 1):
        step()
    names = list(dict.fromkeys(name for name, _ in seen))
    assert [name[-8:] for name in names] == [f"{number:04}.mxf" for number in range(4)]
    for name in names:
        new, growing, whole = [size for each, size in seen if each == name]
        assert (new, growing) == (0, whole // 2)
    first, third = names[0], names[2]
    # The first is completed as soon as the third appears, and not before.
    assert [name for name, _ in seen].index(third) == max(
        number for number, (name, _) in enumerate(seen) if name == first
    ) + 2


def test_two_runs_with_the_same_seed_report_the_same_events(shell):
    line = "flow-sim --assets 50 --rate 500 --seed 5 -- flow-listen-assets --count 50"
    stories = []
    for _ in range(2):
        status, out, err = shell(line)
        assert (status, err) == (0, "")
        events = [json.loads(each) for each in out.splitlines()]
        stories.append([(e["type"], e["subject"], e["data"]["title"]) for e in events])
    assert stories[0] == stories[1]


def test_changes_start_only_once_somebody_listens():
    with stand_in(assets=3, rate=1000) as server, client_of(server) as client:
        assert not server._broker.has_subscriber("/topic/vizone.assets", 0.5)
        assert list(client.assets.find()) == []


def test_written_metadata_is_reported_only_with_echo():
    for echo in (False, True):
        with stand_in(echo=echo) as server, client_of(server) as client:
            told = []
            asset = client.assets.create("one")
            server.catalogue.watchers.assets = lambda kind, asset, told=told: told.append(kind)
            metadata = client.assets.metadata(asset)
            metadata["asset.keywords"] = "word"
            client.put_metadata(metadata)
            assert told == (["update"] if echo else [])


# HTTP


def ask(server, method, path, body=None, *, login=True, **headers):
    """Send one request on a new connection; return (status, body, headers)."""
    connection = http.client.HTTPConnection("127.0.0.1", server._web.port, timeout=SECONDS)
    if login:
        given = b64encode(f"admin:{server.password}".encode()).decode()
        headers["Authorization"] = f"Basic {given}"
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(), dict(response.headers)
    finally:
        connection.close()


def test_requests_without_a_login_are_refused(server):
    status, body, headers = ask(server, "GET", "/thirdparty", login=False)
    assert (status, body) == (401, b"login required\n")
    assert headers["WWW-Authenticate"] == 'Basic realm="Viz One", charset="UTF-8"'
    for wrong in ("Basic !!!", "Basic " + b64encode(b"admin:no").decode(), "Bearer x"):
        assert ask(server, "GET", "/thirdparty", login=False, Authorization=wrong)[0] == 401


ENTRY = b'<entry xmlns="http://www.w3.org/2005/Atom"><title>one</title></entry>'
ITEMS = "/thirdparty/asset/item"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", None, 404),
        ("GET", f"{ITEMS}/1", None, 404),
        ("GET", "/api/media/unmanaged/nope", None, 404),
        ("GET", "/api/media/unmanaged/xmlimport/nope", None, 404),
        ("DELETE", "/thirdparty", None, 405),
        ("GET", f"{ITEMS}?start=0", None, 400),
        ("GET", f"{ITEMS}?num=x", None, 400),
        ("POST", ITEMS, b"no xml", 400),
        ("POST", ITEMS, b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', 400),
        ("POST", ITEMS, b'<entry xmlns="http://www.w3.org/2005/Atom"/>', 400),
        ("POST", ITEMS, ENTRY, 201),
        ("PUT", "/files/xmlimport/a", b"", 201),
    ],
)
def test_each_request_gets_its_status(server, method, path, body, status):
    assert ask(server, method, path, body)[0] == status


def test_a_collection_keeps_its_number_when_another_is_deleted(server):
    def create(title):
        entry = ENTRY.replace(b"one", title.encode())
        answer = ask(server, "POST", "/thirdparty/collection/series", entry)[1]
        return re.search(rb'rel="self" href="http://[^/]+([^"]+)"', answer)[1].decode()

    first, second = create("first"), create("second")
    assert ask(server, "DELETE", first)[0] == 204
    assert create("third") not in (first, second)
    assert b"second<" in ask(server, "GET", second)[1]


def test_in_a_full_store_a_value_can_still_be_replaced(server, monkeypatch):
    monkeypatch.setattr(other_resources, "MOST_VALUES", 1)
    assert ask(server, "PUT", "/api/client-config/app/key", b"1")[0] == 204
    assert ask(server, "PUT", "/api/client-config/app/more", b"1")[0] == 507
    assert ask(server, "PUT", "/api/client-config/app/key", b"2")[0] == 204
    assert ask(server, "GET", "/api/client-config/app/key")[:2] == (200, b"2")


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Transfer-Encoding", "chunked", 411),
        ("Content-Length", str(10**12), 413),
        ("Content-Length", "x", 400),
    ],
)
def test_request_bodies_of_unknown_or_huge_length_are_not_read(server, header, value, status):
    connection = http.client.HTTPConnection("127.0.0.1", server._web.port, timeout=SECONDS)
    connection.putrequest("PUT", "/files/xmlimport/a")
    connection.putheader(header, value)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()


def test_one_connection_serves_many_requests(server):
    connection = http.client.HTTPConnection("127.0.0.1", server._web.port, timeout=SECONDS)
    given = b64encode(f"admin:{server.password}".encode()).decode()
    ports = set()
    for path in [ITEMS, f"{ITEMS}/1", "/thirdparty"] * 5:
        connection.request("GET", path, headers={"Authorization": f"Basic {given}"})
        connection.getresponse().read()
        ports.add(connection.sock.getsockname()[1])
    connection.close()
    assert len(ports) == 1


@pytest.mark.parametrize("what", ["", "/metadata"])
def test_a_write_with_a_stale_etag_is_refused_and_changes_nothing(server, what):
    number = server.catalogue.create("one").number
    path = f"/api/asset/item/{number}{what}"
    _, body, headers = ask(server, "GET", path)
    assert ask(server, "PUT", path, body, If_Match=headers["ETag"])[0] == 200
    after = ask(server, "GET", path)
    assert ask(server, "PUT", path, body, If_Match=headers["ETag"])[0] == 412
    assert ask(server, "GET", path)[1] == after[1]
    assert ask(server, "PUT", path, body)[0] == 200


def test_both_trees_show_the_same_asset(server):
    number = server.catalogue.create("one").number
    shown = [
        ask(server, "GET", f"/{tree}/asset/item/{number}")[1] for tree in ("api", "thirdparty")
    ]
    assert shown[0] == shown[1]


def test_a_feed_states_its_range_and_links(server):
    for number in range(5):
        server.catalogue.create(f"asset {number}")
    with client_of(server) as client:
        feed = client.feed(f"{server.url}{ITEMS}?start=2&num=2")
        assert (feed.total, feed.start, feed.per_page) == (5, 2, 2)
        assert [entry.title for entry in feed.entries] == ["asset 1", "asset 2"]
        assert feed.link("next") == f"{server.url}{ITEMS}?start=4&num=2"
        assert client.feed(f"{server.url}{ITEMS}?start=4&num=2").link("next") is None
        assert [asset.title for asset in client.assets.find("ASSET 3")] == ["asset 3"]


def test_elements_written_into_an_entry_are_kept(server):
    entry = ENTRY.replace(
        b"</title>", b'</title><category scheme="urn:s" term="t"/><identifier>ID</identifier>'
    )
    ask(server, "POST", ITEMS, entry)
    (asset,) = server.catalogue.assets()
    assert (asset.title, asset.identifier, asset.keywords) == ("one", "ID", (("urn:s", "t"),))
