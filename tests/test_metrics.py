"""--metrics: what a Prometheus server reads over real HTTP."""

import socket
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flowtools.errors import ConfigurationError, UsageError
from flowtools.pool.metrics import Metrics
from flowtools.pool.outcome import Attempt, Outcome
from flowtools.pool.tally import Snapshot


def attempt(outcome="done", ran=0.02, final=True, finished=1760000000.5):
    return Attempt(None, b"", 1, Outcome(outcome), 1, final, 0.0, ran, finished, None)


STATE = Snapshot([("a", 3.5), ("b", 1.0)], 12, 16, 1)


@pytest.fixture
def metrics():
    metrics = Metrics()
    yield metrics
    metrics.close()


def scrape(metrics, host="127.0.0.1"):
    """All samples: {(name, label values): value}."""
    with urlopen(f"http://{host}:{metrics.port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_events_and_attempts_are_counted_by_outcome(metrics):
    metrics.serve("127.0.0.1:0", lambda: STATE)
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
def test_every_outcome_is_counted_as_what_it_is(metrics, outcome):
    metrics.serve("127.0.0.1:0", lambda: STATE)
    metrics.record(attempt(outcome))
    samples = scrape(metrics)
    for other in Outcome:
        assert samples["flowtools_events_total", other] == (other is outcome)
        assert samples["flowtools_attempts_total", other] == (other is outcome)
    assert samples["flowtools_run_seconds_count",] == outcome.ran


def test_every_outcome_is_there_from_the_start_so_that_the_first_failure_is_an_increase(metrics):
    metrics.serve("127.0.0.1:0", lambda: STATE)
    samples = scrape(metrics)
    for name in ("flowtools_events_total", "flowtools_attempts_total"):
        assert {key[1]: n for key, n in samples.items() if key[0] == name} == dict.fromkeys(
            Outcome, 0
        )


def test_the_histogram_holds_what_ran(metrics):
    metrics.serve("127.0.0.1:0", lambda: STATE)
    for each in (attempt(ran=0.02), attempt("timeout", 7.0), attempt("skipped", 0.0)):
        metrics.record(each)
    samples = scrape(metrics)
    assert samples["flowtools_run_seconds_count",] == 2
    assert samples["flowtools_run_seconds_sum",] == pytest.approx(7.02)
    assert samples["flowtools_run_seconds_bucket", "0.01"] == 0
    assert samples["flowtools_run_seconds_bucket", "0.05"] == 1
    assert samples["flowtools_run_seconds_bucket", "10.0"] == 2


def test_the_gauges_are_the_pools_state_at_the_request(metrics):
    metrics.serve("127.0.0.1:0", lambda: STATE)
    samples = scrape(metrics)
    assert samples["flowtools_running",] == 2
    assert samples["flowtools_queued",] == 12
    assert samples["flowtools_threads",] == 16
    assert samples["flowtools_abandoned_threads",] == 1
    assert samples["flowtools_longest_running_seconds",] == 3.5
    assert samples["process_resident_memory_bytes",] > 0


def test_two_pools_in_one_process_do_not_share_their_counts(metrics):
    other = Metrics()
    try:
        for each in (metrics, other):
            each.serve("localhost:0", lambda: STATE)
        metrics.record(attempt())
        assert scrape(metrics, "localhost")["flowtools_events_total", "done"] == 1
        assert scrape(other, "localhost")["flowtools_events_total", "done"] == 0
    finally:
        other.close()


def test_ipv6_is_served():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    metrics = Metrics()
    try:
        metrics.serve("[::1]:0", lambda: STATE)
        assert scrape(metrics, "[::1]")["flowtools_threads",] == 16
    finally:
        metrics.close()


def test_after_close_nobody_answers_and_the_port_is_free(metrics):
    metrics.serve("127.0.0.1:0", lambda: STATE)
    port = metrics.port
    metrics.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    metrics.serve(f"127.0.0.1:{port}", lambda: STATE)
    assert scrape(metrics)["flowtools_threads",] == 16


def test_a_port_that_is_in_use_is_named(metrics):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        text = f"cannot serve metrics on '{address}': Address already in use"
        with pytest.raises(ConfigurationError, match=text):
            metrics.serve(address, lambda: STATE)


def test_a_host_that_is_not_this_one_is_named(metrics):
    with pytest.raises(ConfigurationError, match=r"metrics on '192\.0\.2\.1:0': Cannot assign"):
        metrics.serve("192.0.2.1:0", lambda: STATE)


@pytest.mark.parametrize(
    "address", ["", "9464", ":9464", "localhost", "localhost:", "localhost:x", "h:65536", "::1:80"]
)
def test_what_is_no_address_is_refused_with_what_to_type(metrics, address):
    with pytest.raises(UsageError, match=r"is no address: write HOST:PORT, such as"):
        metrics.serve(address, lambda: STATE)
