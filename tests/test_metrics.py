"""--metrics, as a Prometheus server reads them over real HTTP."""

import http.client
import os
import socket
from contextlib import ExitStack
from subprocess import PIPE
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flowtools.core.event import rfc3339
from flowtools.errors import ConfigurationError, UsageError
from flowtools.event import Event
from flowtools.pool.metrics import Metrics
from flowtools.pool.outcome import Attempt, Outcome
from flowtools.pool.tally import Snapshot
from flowtools.process.metrics import MetricsServer
from flowtools.process.vitals import Vitals
from tests.ports import reserved_port
from tests.running import SECONDS, connect, metrics_at, until

pytest_plugins = ["tests.stomp_fixtures"]


def attempt(outcome="done", ran=0.02, final=True, finished=1760000000.5):
    return Attempt(None, b"", 1, Outcome(outcome), 1, final, 0.0, ran, finished, None)


STATE = Snapshot([("a", 3.5), ("b", 1.0)], 12, 16, 1)


class Served(Metrics):
    """The pool's metrics, served as by a command."""

    def __init__(self, vitals=None):
        self.vitals = vitals or Vitals()
        self.server = None

    def serve(self, address):
        self.server = MetricsServer(address, "flow-x", self.vitals)
        super().__init__(self.server.registry)
        self.show(lambda: STATE)
        self.server.start()
        self.port = self.server.port

    def close(self):
        if self.server is not None:
            self.server.close()
            self.server = None


@pytest.fixture
def metrics():
    metrics = Served()
    yield metrics
    metrics.close()


def scrape(metrics, host="127.0.0.1"):
    """All samples: {(name, label values): value}."""
    with urlopen(f"http://{host}:{metrics.port}/metrics", timeout=SECONDS) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_events_and_attempts_are_counted_by_outcome(metrics):
    metrics.serve("127.0.0.1:0")
    for each in (attempt(), attempt(), attempt("failed", final=False), attempt("failed")):
        metrics.record(each)
    metrics.record(attempt("invalid", 0.0, finished=1760000009.0))
    samples = scrape(metrics)
    assert samples["flowtools_events_total", "done"] == 2
    assert samples["flowtools_events_total", "failed"] == 1
    assert samples["flowtools_events_total", "invalid"] == 1
    assert samples["flowtools_attempts_total", "failed"] == 2
    assert samples["flowtools_last_event_timestamp_seconds",] == 1760000009.0


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_counted_under_its_own_label(metrics, outcome):
    metrics.serve("127.0.0.1:0")
    metrics.record(attempt(outcome))
    samples = scrape(metrics)
    for other in Outcome:
        assert samples["flowtools_events_total", other] == (other is outcome)
        assert samples["flowtools_attempts_total", other] == (other is outcome)
    assert samples["flowtools_run_seconds_count",] == outcome.ran


def test_every_outcome_is_exported_as_zero_from_the_start(metrics):
    metrics.serve("127.0.0.1:0")
    samples = scrape(metrics)
    for name in ("flowtools_events_total", "flowtools_attempts_total"):
        assert {key[1]: n for key, n in samples.items() if key[0] == name} == dict.fromkeys(
            Outcome, 0
        )


def test_the_histogram_counts_attempts_that_ran(metrics):
    metrics.serve("127.0.0.1:0")
    for each in (attempt(ran=0.02), attempt("timeout", 7.0), attempt("skipped", 0.0)):
        metrics.record(each)
    samples = scrape(metrics)
    assert samples["flowtools_run_seconds_count",] == 2
    assert samples["flowtools_run_seconds_sum",] == pytest.approx(7.02)
    assert samples["flowtools_run_seconds_bucket", "0.01"] == 0
    assert samples["flowtools_run_seconds_bucket", "0.05"] == 1
    assert samples["flowtools_run_seconds_bucket", "10.0"] == 2


def test_the_gauges_show_the_state_of_the_pool_at_the_request(metrics):
    metrics.serve("127.0.0.1:0")
    samples = scrape(metrics)
    assert samples["flowtools_running",] == 2
    assert samples["flowtools_queued",] == 12
    assert samples["flowtools_threads",] == 16
    assert samples["flowtools_abandoned_threads",] == 1
    assert samples["flowtools_longest_running_seconds",] == 3.5
    assert samples["process_resident_memory_bytes",] > 0


def test_two_pools_in_one_process_do_not_share_their_counts(metrics):
    other = Served()
    try:
        for each in (metrics, other):
            each.serve("localhost:0")
        metrics.record(attempt())
        assert scrape(metrics, "localhost")["flowtools_events_total", "done"] == 1
        assert scrape(other, "localhost")["flowtools_events_total", "done"] == 0
    finally:
        other.close()


def test_ipv6_is_served():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    metrics = Served()
    try:
        metrics.serve("[::1]:0")
        assert scrape(metrics, "[::1]")["flowtools_threads",] == 16
    finally:
        metrics.close()


def test_after_close_the_port_is_free(metrics):
    metrics.serve("127.0.0.1:0")
    port = metrics.port
    metrics.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    metrics.serve(f"127.0.0.1:{port}")
    assert scrape(metrics)["flowtools_threads",] == 16


def test_a_port_in_use_is_named(metrics):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        text = f"cannot serve metrics on '{address}': Address already in use"
        with pytest.raises(ConfigurationError, match=text):
            metrics.serve(address)


def test_a_host_that_is_not_local_is_named(metrics):
    with pytest.raises(ConfigurationError, match=r"metrics on '192\.0\.2\.1:0': Cannot assign"):
        metrics.serve("192.0.2.1:0")


@pytest.mark.parametrize(
    "address",
    ["", "unix:", "9464", ":9464", "localhost", "localhost:", "localhost:x", "h:65536", "::1:80"],
)
def test_a_malformed_address_is_refused_with_the_expected_form(metrics, address):
    with pytest.raises(UsageError, match=r"is not an address: write HOST:PORT, such as"):
        metrics.serve(address)


def ask(metrics, path, **headers):
    """The status and the body of a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", metrics.port, timeout=SECONDS)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_health_is_200_or_503_with_the_reason(metrics):
    metrics.serve("127.0.0.1:0")
    assert ask(metrics, "/healthz") == (200, "ok\n")
    metrics.vitals.provide("connected", lambda: 0)
    metrics.vitals.connection = "connection refused"
    assert ask(metrics, "/healthz") == (503, "not connected: connection refused\n")
    assert scrape(metrics)["flowtools_healthy",] == 0
    metrics.vitals.provide("connected", lambda: 1)
    metrics.vitals.provide("stalled_seconds", lambda: 90)
    assert ask(metrics, "/healthz")[0] == 503


def test_the_root_page_is_for_people_and_other_paths_are_404(metrics):
    metrics.vitals.about = "<b>mymod:Tag"
    metrics.serve("127.0.0.1:0")
    status, text = ask(metrics, "/")
    assert (status, "&lt;b&gt;mymod:Tag" in text, "/metrics" in text) == (200, True, True)
    assert ask(metrics, "/x")[0] == 404


@pytest.mark.parametrize(
    "name", ["localhost:80", "127.0.0.1", "[::1]:9", "10.1.2.3:9464", "LOCALHOST"]
)
def test_requests_for_a_local_address_or_name_are_answered(metrics, name):
    metrics.serve("127.0.0.1:0")
    assert ask(metrics, "/metrics", Host=name)[0] == 200


@pytest.mark.parametrize("name", ["evil.example", "evil.example:9464", "localhost.evil.example"])
def test_requests_for_another_host_name_are_refused(metrics, name):
    metrics.serve("127.0.0.1:0")
    assert ask(metrics, "/metrics", Host=name)[0] == 421


def test_a_unix_socket_is_served_and_removed(metrics, tmp_path):
    path = tmp_path / "m"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))  # The socket of a killed command.
    metrics.serve(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as client:
        connect(client, path)
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert client.makefile().read().endswith("ok\n")
    metrics.close()
    assert not path.exists()


def test_a_file_that_is_not_a_socket_is_left_alone(metrics, tmp_path):
    (tmp_path / "m").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"on 'unix:.*/m': File exists$"):
        metrics.serve(f"unix:{tmp_path}/m")
    assert (tmp_path / "m").read_text() == "mine"


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/", "/nothing"])
def test_head_has_the_headers_of_get_and_no_body(metrics, path):
    metrics.serve("127.0.0.1:0")
    answers = []
    for method in ("GET", "HEAD"):
        connection = http.client.HTTPConnection("127.0.0.1", metrics.port, timeout=SECONDS)
        connection.request(method, path)
        answer = connection.getresponse()
        answers.append((answer.status, answer.getheader("Content-Type"), answer.read() == b""))
        connection.close()
    (status, kind, _), head = answers
    assert head == (status, kind, True)


def test_slow_clients_are_bounded(metrics, monkeypatch):
    """Of more clients than are answered at a time, the others are disconnected at once."""
    monkeypatch.setattr("flowtools.process.metrics.MOST_CLIENTS", 3)
    metrics.serve("127.0.0.1:0")
    with ExitStack() as stack:
        place = ("127.0.0.1", metrics.port)
        clients = [
            stack.enter_context(socket.create_connection(place, timeout=SECONDS)) for _ in range(4)
        ]
        assert clients[3].recv(1) == b""
        for each in clients[:3]:
            each.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert each.makefile().read().endswith("ok\n")
    until(lambda: ask(metrics, "/healthz")[0] == 200)


def raw(metrics, request):
    """The first line and the body of the answer to a request."""
    with socket.create_connection(("127.0.0.1", metrics.port), timeout=SECONDS) as client:
        client.sendall(request)
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    return head.split(b" ")[1], body


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET /healthz HTTP/1.0", [], 200),
        ("GET /healthz HTTP/1.1", [], 200),
        ("GET /healthz HTTP/1.1", ["localhost", "localhost"], 200),
        ("GET /healthz HTTP/1.1", ["localhost", "evil.example"], 421),
        ("GET /healthz HTTP/1.1", ["evil.example", "localhost"], 421),
        ("GET /healthz HTTP/1.1", ["localhost@evil.example"], 421),
        ("GET http://localhost/healthz HTTP/1.1", ["localhost"], 200),
        ("GET HTTP://127.0.0.1:9/healthz?x=1 HTTP/1.1", ["evil.example"], 200),
        ("GET http://evil.example/healthz HTTP/1.1", ["localhost"], 421),
        ("GET http://evil.example HTTP/1.1", ["localhost"], 421),
        ("GET http://localhost HTTP/1.1", ["localhost"], 200),
        ("GET http://localhost/none HTTP/1.1", ["localhost"], 404),
    ],
)
def test_the_host_of_a_request_is_that_of_its_url_or_its_only_one(
    metrics, request_line, headers, status
):
    metrics.serve("127.0.0.1:0")
    lines = [request_line, *(f"Host: {each}" for each in headers), "", ""]
    assert int(raw(metrics, "\r\n".join(lines).encode())[0]) == status


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\n" + b"X: a\r\n" * 500 + b"\r\n", 431),
        (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /healthz HTTP/1.1\r\n\r\n" * 3, 200),
    ],
)
def test_a_request_of_unusual_size_is_answered_once(metrics, request_text, status):
    metrics.serve("127.0.0.1:0")
    found, body = raw(metrics, request_text)
    assert int(found) == status
    assert b"HTTP/1." not in body


def test_clients_that_drip_bytes_are_disconnected(metrics, monkeypatch):
    monkeypatch.setattr("flowtools.process.metrics.MOST_CLIENTS", 2)
    monkeypatch.setattr("flowtools.process.metrics.REQUEST_SECONDS", 0.5)
    metrics.serve("127.0.0.1:0")
    with ExitStack() as stack:
        clients = []
        for _ in range(2):
            client = socket.create_connection(("127.0.0.1", metrics.port), timeout=SECONDS)
            clients.append(stack.enter_context(client))
            client.settimeout(0.01)

        def is_disconnected(client):
            try:
                client.sendall(b"G")
                return client.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        for each in clients:
            until(lambda each=each: is_disconnected(each), "the end of a dripping client")
    until(lambda: ask(metrics, "/healthz")[0] == 200)


def test_a_source_serves_its_metrics(start):
    with reserved_port() as port:
        process = start("flow-interval", "60", "--metrics", f"127.0.0.1:{port}")
        assert process.stdout.readline()
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS) as answer:
        assert "flowtools_events_out_total 1.0" in answer.read().decode()


def test_flow_tee_exports_events_read_and_unsettled(start, script, tmp_path):
    path, copy = tmp_path / "m", tmp_path / "copy"
    source = start("flow-listen-stomp", "--ack", "worker", script.url())
    peer = script.accept()
    peer.subscribed()
    os.mkfifo(copy)
    tee = start("flow-tee", copy, "--metrics", f"unix:{path}", stdin=source.stdout)
    reader = copy.open("rb")
    for number in (1, 2):
        peer.message(number, b"{}")
    lines = [tee.stdout.readline() for _ in range(2)]
    until(lambda: metrics_at(path).get("flowtools_in_flight") == 4)
    start("flow-ack", stdin=PIPE).communicate(lines[0], timeout=SECONDS)
    until(lambda: metrics_at(path)["flowtools_in_flight"] == 3)
    assert metrics_at(path)["flowtools_events_in_total"] == 2
    assert "flowtools_stalled_seconds" not in metrics_at(path)
    reader.close()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("flow-jq", "."), "flowtools_events_in_total"),
        (("flow-ack",), "flowtools_failed_total"),
    ],
)
def test_commands_between_source_and_worker_serve_their_metrics(start, tmp_path, command, name):
    path = tmp_path / "m"
    process = start(*command, "--metrics", f"unix:{path}", stdin=PIPE)
    process.stdin.write(b'{"a":1}\n')
    process.stdin.flush()
    until(lambda: path.exists() and metrics_at(path).get(name) == 1)


def health_at(path):
    """The answer of /healthz at the Unix socket `path`: status and text."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        client.connect(str(path))
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        head, _, text = client.makefile().read().partition("\n\n")
    return int(head.split()[1]), text.strip()


def test_a_listener_is_healthy_only_while_connected(start, script, tmp_path):
    path = tmp_path / "m"
    start("flow-listen-stomp", "--metrics", f"unix:{path}", script.url())
    peer = script.accept()
    until(path.exists)
    assert health_at(path)[0] == 503
    peer.subscribed()
    until(lambda: health_at(path) == (200, "ok"))
    script.listener.close()
    peer.socket.close()
    until(lambda: health_at(path)[0] == 503)
    assert health_at(path)[1].startswith("not connected")


def test_a_pool_is_unhealthy_once_all_its_threads_hang(start, tmp_path):
    path = tmp_path / "m"
    (tmp_path / "slow.py").write_text(
        "import time\n\n\nclass W:\n    def start(self, event):\n"
        "        while True:\n            try:\n                time.sleep(1)\n"
        "            except BaseException:\n                pass\n"
    )
    options = ("--timeout", "0.1", "--grace", "0.1", "-j", "2", "--metrics", f"unix:{path}")
    pool = start("flow-work", *options, "slow:W", stdin=PIPE)
    pool.stdin.write(b"1\n")
    pool.stdin.flush()
    until(lambda: path.exists() and metrics_at(path).get("flowtools_stuck") == 1)
    assert health_at(path) == (200, "ok")
    pool.stdin.write(b"2\n")
    pool.stdin.flush()
    until(lambda: health_at(path)[0] == 503)
    assert health_at(path)[1] == "wedged: 2 threads hang in the Worker beyond its time-out"


def test_the_lag_is_the_age_of_an_event_by_its_time_attribute(metrics):
    metrics.serve("127.0.0.1:0")
    event = Event("t", source="s", time=rfc3339(1760000000))
    first = attempt(final=False, finished=1760000010, outcome="failed")
    metrics.record(first._replace(event=event))
    metrics.record(attempt(finished=1760000070)._replace(event=event, attempt=2))
    metrics.record(attempt(finished=1760000070))  # Of an event without a time.
    found = scrape(metrics)
    assert found["flowtools_lag_taken_seconds_count",] == 1
    assert found["flowtools_lag_taken_seconds_sum",] == pytest.approx(9.98)
    assert found["flowtools_lag_done_seconds_count",] == 1
    assert found["flowtools_lag_done_seconds_sum",] == 70


def test_a_source_exports_events_in_flight_stalled_and_copied(start, script, tmp_path):
    path = tmp_path / "m"
    options = ("--ack", "worker", "--metrics", f"unix:{path}", script.url())
    process = start("flow-listen-stomp", *options)
    peer = script.accept()
    peer.subscribed()
    for number in (1, 2, 3):
        peer.message(number, b"{}")
    lines = [process.stdout.readline() for _ in range(3)]
    for _ in range(2):  # The second acknowledgement comes from a copy.
        ack = start("flow-ack", stdin=PIPE)
        ack.communicate(lines[0], timeout=SECONDS)

    until(lambda: metrics_at(path)["flowtools_copied_total"] == 1)
    found = metrics_at(path)
    assert (found["flowtools_in_flight"], found["flowtools_stalled_seconds"]) == (2, 0)


def test_an_address_in_use_is_a_one_line_error_of_a_source(run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        status, out, err = run("flow-interval", "9", "--metrics", address)
    text = f"flow-interval: cannot serve metrics on '{address}': Address already in use\n"
    assert (status, out, err) == (78, b"", text)
