"""contrib/prometheus and contrib/grafana use the metrics that --metrics really exports."""

import json
import re
import shutil
import subprocess
import time
from itertools import combinations
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flowtools.core.event import now
from flowtools.pool.outcome import Outcome
from flowtools.process.vitals import FIGURES
from tests.conftest import ROOT
from tests.ports import reserved_port, reserved_ports
from tests.queues import LOGIN, Queue
from tests.running import SECONDS, until

ALERTS = ROOT / "contrib" / "prometheus" / "alerts.yml"
BOARD = json.loads((ROOT / "contrib" / "grafana" / "flowtools.json").read_text())
TARGETS = [target for panel in BOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [target["expr"] for target in TARGETS]
QUERIES = [each["definition"] for each in BOARD["templating"]["list"] if "definition" in each]

needs_prometheus = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="needs Debian's package prometheus"
)
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")


def promtool(*args):
    done = subprocess.run(
        ["promtool", *map(str, args)], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Observed:
    """A pipeline of three commands with --metrics, behind its own broker.

    Attributes:
        addresses: HOST:PORT of each command's metrics.
    """

    def __init__(self, start, ports):
        self.queue = Queue("/queue/jobs")
        self.addresses = [f"127.0.0.1:{port}" for port in ports]
        env = LOGIN | {"PYTHONPATH": str(ROOT)}
        options = ("--ack", "worker", "--metrics", self.addresses[0], self.queue.url)
        self.listener = start("flow-listen-stomp", *options, env=env)
        options = ("/dev/null", "--metrics", self.addresses[1])
        self.tee = start("flow-tee", *options, stdin=self.listener.stdout, env=env)
        options = ("tests.workers:PoisonNine", "-j", "2", "--metrics", self.addresses[2])
        self.work = start("flow-work", *options, stdin=self.tee.stdout, env=env)
        self.number = 0

    def feed(self):
        """Send a message; every tenth is rejected."""
        event = {"specversion": "1.0", "id": str(self.number), "source": "s", "type": "t"}
        event |= {"time": now(), "data": {"n": self.number}}
        self.queue.put(json.dumps(event).encode(), content_type="application/cloudevents+json")
        self.number += 1


@pytest.fixture
def observed(start):
    """A pipeline that has done an event."""
    with reserved_ports(3) as ports:
        pipeline = Observed(start, ports)
        for _ in range(10):
            pipeline.feed()
        until(lambda: samples(pipeline).get(("flowtools_events_total", "rejected")) == 1)
        yield pipeline
        pipeline.queue.close()


def samples(pipeline):
    """All samples of the commands, by name and outcome."""
    found = {}
    for address in pipeline.addresses:
        try:
            with urlopen(f"http://{address}/metrics", timeout=SECONDS) as answer:
                text = answer.read().decode()
        except URLError:
            return {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name, sample.labels.get("outcome")] = sample.value
    return found


@pytest.fixture
def exported(observed):
    """The names of all samples that a real pipeline serves."""
    return {name for name, _ in samples(observed)}


def names(text):
    return set(re.findall(r"\b((?:flowtools|process)_\w+|up)\b(?=[{\[,)])", text))


def test_rules_and_dashboard_use_the_exported_metrics(exported):
    used = names(ALERTS.read_text()).union(*map(names, EXPRESSIONS + QUERIES))
    # Prometheus itself makes the first, and a standby exports the second. The lag exists only while
    # an event runs.
    assert used - exported - {"flowtools_lag_seconds"} == {"up", "flowtools_is_holder"}
    ours = {each for each in exported if each.startswith("flowtools_")}
    # Shown by flow-status for every command; the pool's own metrics have the same in more detail.
    unused = {f"flowtools_{name}" for name in ("done_total", "failed_total", "stuck", "wedged")}
    unused |= {"flowtools_paused"}
    unused |= {
        f"flowtools_{name}_seconds_{end}"
        for name in ("run", "lag_taken", "lag_done")
        for end in ("count", "sum")
    }
    assert {n for n in ours if not n.endswith("_created")} - used == unused


@pytest.mark.parametrize("page", sorted((ROOT / "man").iterdir()), ids=lambda page: page.name)
def test_a_manual_page_names_a_counter_with_the_suffix_that_prometheus_adds(page):
    for name in re.findall(r"flowtools_(\w+)", page.read_text()):
        figure = FIGURES.get(name.removesuffix("_total"))
        if figure is not None:
            assert name.endswith("_total") == (figure.kind == "counter"), name


def test_every_outcome_named_in_rules_and_dashboard_exists():
    text = ALERTS.read_text() + json.dumps(EXPRESSIONS)
    asked = re.findall(r'outcome=~?\\?"([\w|]+)', text)
    assert asked
    assert set("|".join(asked).split("|")) <= set(Outcome)


def test_the_dashboard_is_complete():
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["description"] for panel in panels)
    variables = {each["name"] for each in BOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(BOARD)))
    assert used - {"__rate_interval", "__all"} == variables
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or above, (a, b)


@needs_promtool
def test_prometheus_parses_every_query_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$__\w+", "5m", expression)}
        for number, expression in enumerate(EXPRESSIONS)
    ]
    # JSON is YAML, too.
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "a", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "rules.yml")


@needs_promtool
def test_prometheus_parses_the_rules():
    promtool("check", "rules", ALERTS)


def series(name, values, **labels):
    given = {"job": "flowtools", "instance": "a"} | labels
    text = ",".join(f'{key}="{value}"' for key, value in given.items())
    return {"series": f"{name}{{{text}}}", "values": values}


WELL = [
    series("up", "1x600"),
    series("process_start_time_seconds", "100x600"),
    series("flowtools_events_total", "0+60x600", outcome="done"),
    series("flowtools_events_total", "0x600", outcome="failed"),
    series("flowtools_attempts_total", "0+60x600", outcome="done"),
    series("flowtools_attempts_total", "0+10x600", outcome="failed"),
    series("flowtools_abandoned_threads", "0x600"),
    series("flowtools_running", "16x600"),
    series("flowtools_threads", "16x600"),
    series("flowtools_queued", "0x600"),
    series("flowtools_idle_seconds", "0+1x600"),
    series("flowtools_healthy", "1x600"),
    series("flowtools_connected", "1x600"),
    series("flowtools_connected", "0x600", instance="b"),
    series("flowtools_is_holder", "0x600", instance="b"),
    series("flowtools_stalled_seconds", "0x600"),
    series("flowtools_rejected_total", "0x600"),
    series("flowtools_lag_seconds", "2x600"),
    series("process_open_fds", "20x600"),
    series("process_max_fds", "1024x600"),
]
ILL = {
    "FlowBrokerAway": [series("flowtools_connected", "1x590 0x10")],
    "FlowStalled": [series("flowtools_stalled_seconds", "0x500 60+60x100")],
    "FlowDeadLettersGrow": [series("flowtools_rejected_total", "0x500 1+1x100")],
    "FlowLags": [series("flowtools_lag_seconds", "0x500 1800x100")],
    "FlowDown": [series("up", "1 1 0x600")],
    "FlowRestarts": [series("process_start_time_seconds", "100x580 1x5 2x5 3x20")],
    "FlowEventsFail": [series("flowtools_events_total", "0x595 1x5", outcome="failed")],
    "FlowMostAttemptsFail": [series("flowtools_attempts_total", "0+90x600", outcome="failed")],
    "FlowThreadsStuck": [series("flowtools_abandoned_threads", "0x500 2x100")],
    "FlowSaturated": [series("flowtools_queued", "40x600")],
    "FlowSilent": [series("flowtools_idle_seconds", "0+60x600")],
    "FlowUnhealthy": [series("flowtools_healthy", "1x590 0x10")],
    "FlowOutOfDescriptors": [series("process_open_fds", "900x600")],
}


@needs_promtool
@pytest.mark.parametrize("alert", [None, *ILL])
def test_each_alert_fires_in_its_situation_and_no_other_does(tmp_path, alert):
    ill = ILL.get(alert, [])
    changed = {each["series"] for each in ill}
    given = [each for each in WELL if each["series"] not in changed] + ill
    fired = [
        # Only the presence of the text is checked, not its content.
        {"eval_time": "10h", "alertname": name, "exp_alerts": []}
        for name in ILL
        if name != alert
    ]
    test = {"interval": "1m", "input_series": given, "alert_rule_test": fired}
    if alert:
        expr = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
        sample = [{"labels": "{}", "value": 1}]
        test["promql_expr_test"] = [{"expr": expr, "eval_time": "10h", "exp_samples": sample}]
    whole = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yml").write_text(json.dumps(whole))
    promtool("test", "rules", tmp_path / "test.yml")


@needs_promtool
def test_an_event_that_failed_before_the_first_scrape_raises_an_alert_once(tmp_path):
    new = series("flowtools_events_total", "_x595 3x40", outcome="failed")
    firing = 'count(ALERTS{alertname="FlowEventsFail",alertstate="firing"})'
    expected = [("10h", [{"labels": "{}", "value": 1}]), ("10h15m", [])]
    queries = [{"expr": firing, "eval_time": at, "exp_samples": each} for at, each in expected]
    test = {"interval": "1m", "input_series": [new], "promql_expr_test": queries}
    whole = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yml").write_text(json.dumps(whole))
    promtool("test", "rules", tmp_path / "test.yml")


def test_every_rule_is_tested():
    assert sorted(re.findall(r"alert: (\w+)", ALERTS.read_text())) == sorted(ILL)


class Prometheus:
    """A real Prometheus that scrapes commands every second."""

    def __init__(self, folder, port, addresses):
        self.url = f"http://127.0.0.1:{port}/api/v1"
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ALERTS)],
            "scrape_configs": [
                {"job_name": "flowtools", "static_configs": [{"targets": addresses}]}
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=error",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, path, **query):
        """Return the data of the answer; None while Prometheus does not answer."""
        try:
            with urlopen(f"{self.url}/{path}?{urlencode(query)}", timeout=SECONDS) as answer:
                return json.load(answer)["data"]
        except URLError:
            return None

    def values(self, expression):
        """Return the current values of an expression, without NaN."""
        data = self.ask("query", query=expression)
        found = [float(each["value"][1]) for each in data["result"]] if data else []
        return [each for each in found if each == each]

    def close(self):
        self.process.terminate()
        self.process.wait(SECONDS)


@pytest.fixture
def prometheus(tmp_path, observed):
    with reserved_port() as port:
        server = Prometheus(tmp_path, port, observed.addresses)
        yield server
        server.close()


def in_this_test(expression):
    """A query of the dashboard as Grafana sends it: with its variables, over a short range."""
    expression = re.sub(r"\$job|\$instance", ".+", expression)
    return re.sub(r"\$__rate_interval|\b1h\b", "10s", expression)


def measured(rule):
    """The sides of a rule's comparisons that are not numbers, with a short range."""
    sides = re.split(r" (?:> 0 or|==|>=|>|and) ", rule.partition(" unless ")[0])
    return [re.sub(r"\[(?:15|30)m\]", "[10s]", each) for each in sides if "{" in each]


@needs_prometheus
@pytest.mark.timeout(240)
def test_a_real_prometheus_answers_every_query_and_every_alert(prometheus, observed):
    rules = re.findall(r"expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)", ALERTS.read_text())
    rules = [" ".join((folded or plain).split()) for folded, plain in rules]
    assert len(rules) == len(ILL)
    wanted = {in_this_test(each) for each in EXPRESSIONS}
    wanted |= {side for each in rules for side in measured(each)}
    wanted |= {
        each.removeprefix("label_values(").partition(",")[0].partition("{")[0] for each in QUERIES
    }
    found, limit = {}, time.monotonic() + 120
    while len(found) < len(wanted):
        assert time.monotonic() < limit, sorted(wanted - set(found))
        observed.feed()
        time.sleep(0.05)
        for each in wanted - set(found):
            if values := prometheus.values(each):
                found[each] = values
    assert all(value >= 0 for values in found.values() for value in values)
    known = [each for group in prometheus.ask("rules")["groups"] for each in group["rules"]]
    assert [each["name"] for each in known if each["health"] != "ok"] == []
    assert {each["name"] for each in known} == set(ILL)


@needs_prometheus
@pytest.mark.timeout(240)
def test_a_real_prometheus_notices_a_lost_broker(prometheus, observed):
    (rule,) = re.findall(r"FlowBrokerAway\n +expr: >-\n((?: {10}.*\n)+)", ALERTS.read_text())

    def alerts():
        return {each["labels"]["alertname"] for each in prometheus.ask("alerts")["alerts"]}

    until(lambda: prometheus.values('count(up{job="flowtools"} == 1)') == [3.0])
    until(lambda: prometheus.values("flowtools_connected") == [1.0])
    assert prometheus.values(rule) == []
    observed.queue.close()
    until(lambda: prometheus.values(rule) == [0.0])
    until(lambda: "FlowBrokerAway" in alerts())
    assert "FlowDown" not in alerts()
