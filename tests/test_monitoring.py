"""contrib/prometheus and contrib/grafana speak of what --metrics really exports."""

import json
import re
import shutil
import socket
import subprocess
from itertools import combinations
from subprocess import PIPE
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flowtools.pool.outcome import Outcome
from tests.conftest import ROOT
from tests.running import until

ALERTS = ROOT / "contrib" / "prometheus" / "alerts.yml"
BOARD = json.loads((ROOT / "contrib" / "grafana" / "flowtools.json").read_text())
TARGETS = [target for panel in BOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [target["expr"] for target in TARGETS]
QUERIES = [each["definition"] for each in BOARD["templating"]["list"] if "definition" in each]

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")


def promtool(*args):
    done = subprocess.run(["promtool", *map(str, args)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def exported(start):
    """The names of all samples that a real flow-work serves."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {"PYTHONPATH": str(ROOT)}
    args = ["tests.workers:Nop", "--metrics", f"127.0.0.1:{port}"]
    process = start("flow-work", *args, stdin=PIPE, env=env)
    process.stdin.write(b"1\n")
    process.stdin.flush()
    found = {}

    def is_there():
        try:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
                text = answer.read().decode()
        except URLError:
            return False
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name, sample.labels.get("outcome")] = sample.value
        return found.get(("flowtools_events_total", "done")) == 1

    until(is_there)
    return {name for name, _ in found}


def names(text):
    return set(re.findall(r"\b((?:flowtools|process)_\w+|up)\b(?=[{\[,)])", text))


def test_every_name_is_exported(exported):
    used = names(ALERTS.read_text()).union(*map(names, EXPRESSIONS + QUERIES))
    assert used - exported == {"up"}  # Prometheus itself makes that one.
    ours = {each for each in exported if each.startswith("flowtools_")}
    # What flow-status shows of every command; the pool's own metrics say the same in more detail.
    unused = {f"flowtools_{name}" for name in ("done_total", "failed_total", "in_flight")}
    unused |= {"flowtools_oldest_seconds"}
    unused |= {"flowtools_run_seconds_count", "flowtools_run_seconds_sum"}
    assert {n for n in ours if not n.endswith("_created")} - used == unused


def test_every_outcome_that_is_asked_for_is_one():
    text = ALERTS.read_text() + json.dumps(EXPRESSIONS)
    asked = re.findall(r'outcome=~?\\?"([\w|]+)', text)
    assert asked
    assert set("|".join(asked).split("|")) <= set(Outcome)


def test_the_dashboard_is_whole():
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
def test_prometheus_can_read_every_query_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$__\w+", "5m", expression)}
        for number, expression in enumerate(EXPRESSIONS)
    ]
    # JSON is YAML, too.
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "a", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "rules.yml")


@needs_promtool
def test_prometheus_can_read_the_rules():
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
    series("process_open_fds", "20x600"),
    series("process_max_fds", "1024x600"),
]
ILL = {
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
def test_each_alert_comes_when_it_should_and_no_other_does(tmp_path, alert):
    ill = ILL.get(alert, [])
    changed = {each["series"] for each in ill}
    given = [each for each in WELL if each["series"] not in changed] + ill
    fired = [
        # What its text says is not looked at; that it is there is.
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


def test_every_rule_is_tried():
    assert re.findall(r"alert: (\w+)", ALERTS.read_text()) == list(ILL)
