"""The alert rules and the dashboard of docs/monitoring, as Prometheus itself judges them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import until
from tests.web.servers import gunicorn, missing, serving
from tokenwheel.metrics.figures import FIGURES
from tokenwheel.metrics.instruments import Instruments, full_name

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "monitoring"
ALERTS = FOLDER / "alerts.yml"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# What Grafana puts in for its variables.
VARIABLES = {"$job": "app", "$instance": ".*", "$__rate_interval": "1m"}
FIRING = """
rule_files: [alerts.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
{series}
    alert_rule_test:
      - eval_time: {at}
        alertname: {alert}
        exp_alerts: []
"""


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        missing("promtool is not installed (apt-get install prometheus)")
    return found


def run(promtool: str, *arguments: str, folder: Path) -> str:
    ran = subprocess.run(
        [promtool, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_prometheus_takes_the_alert_rules(promtool: str) -> None:
    assert "SUCCESS: 6 rules found" in run(
        promtool, "check", "rules", "--lint-fatal", str(ALERTS), folder=FOLDER
    )


LABELS = 'job="app", instance="a:1"'
LAG = f"tokenwheel_feed_lag_entries{{{LABELS}}}"
STALENESS = f"tokenwheel_feed_staleness_seconds{{{LABELS}}}"
AGE = f"tokenwheel_jwks_age_seconds{{{LABELS}}}"
FETCHES = f"tokenwheel_jwks_failures{{{LABELS}}}"
BROKEN = f"tokenwheel_broken_records_total{{{LABELS}}}"
REUSED = f'tokenwheel_sessions_ended_total{{{LABELS}, reason="reused"}}'
DELETED = f'tokenwheel_sessions_ended_total{{{LABELS}, reason="deleted"}}'
REFUSALS = f'tokenwheel_refusals_total{{{LABELS}, code="access_token_expired", transport="cookie"}}'


def operations(outcome: str) -> str:
    name = "tokenwheel_session_operation_duration_seconds_count"
    return f'{name}{{{LABELS}, operation="update", outcome="{outcome}"}}'


GOOD, FAILED = operations("ok"), operations("storage_unavailable")
INFINITE = " ".join(["Inf"] * 30)
OF_JOB, OF_NODE = ["job"], ["instance", "job"]
CASES = [
    ("TokenwheelRefreshTokensReused", OF_JOB, "30m", {REUSED: "0+1x60"}),
    ("TokenwheelRefreshTokensReused", [], "30m", {REUSED: "7x60", DELETED: "0+100x60"}),
    ("TokenwheelRefusalsRising", OF_JOB, "620m", {REFUSALS: "0+60x600 36600+600x60"}),
    ("TokenwheelRefusalsRising", [], "620m", {REFUSALS: "0+600x660"}),
    ("TokenwheelRefusalsRising", [], "620m", {REFUSALS: "0+1x600 600+10x60"}),
    ("TokenwheelNodeStale", OF_NODE, "10m", {STALENESS: "0+60x30", LAG: INFINITE}),
    ("TokenwheelNodeStale", OF_NODE, "10m", {STALENESS: INFINITE, LAG: "3x30"}),
    # A process that has read no token for an hour has not looked at the file since.
    ("TokenwheelNodeStale", [], "30m", {STALENESS: "0+60x60", LAG: "0x60"}),
    ("TokenwheelNodeStale", [], "10m", {STALENESS: "1x30", LAG: "3x30"}),
    ("TokenwheelStorageFailing", OF_JOB, "30m", {GOOD: "0+90x60", FAILED: "0+10x60"}),
    ("TokenwheelStorageFailing", [], "30m", {GOOD: "0+1000x60", FAILED: "0+1x60"}),
    ("TokenwheelJwksOld", OF_NODE, "30m", {AGE: "3601x60"}),
    ("TokenwheelJwksOld", OF_NODE, "30m", {AGE: "60x60", FETCHES: "4x60"}),
    ("TokenwheelJwksOld", [], "30m", {AGE: "3000x60", FETCHES: "2x60"}),
    ("TokenwheelBrokenRecords", OF_NODE, "12m", {BROKEN: "0x10 1x20"}),
    ("TokenwheelBrokenRecords", [], "12m", {BROKEN: "5x30"}),
]


@pytest.mark.parametrize("alert, labels, at, series", CASES)
def test_an_alert_fires_when_it_has_to(
    alert: str,
    labels: list[str],
    at: str,
    series: dict[str, str],
    promtool: str,
    tmp_path: Path,
) -> None:
    shutil.copy(ALERTS, tmp_path)
    rule = ALERTS.read_text(encoding="utf-8").partition(f"alert: {alert}\n")[2]
    severity = re.search(r"severity: (\w+)", rule)[1]
    values = {"job": "app", "instance": "a:1", "severity": severity}
    lines = [f"      - {{series: '{name}', values: '{value}'}}" for name, value in series.items()]
    document = FIRING.format(series="\n".join(lines), at=at, alert=alert)
    expected = {name: values[name] for name in [*labels, "severity"]}
    assert labels_of_firing(promtool, document, tmp_path) == ([expected] if labels else [])


def labels_of_firing(promtool: str, document: str, folder: Path) -> list[dict[str, str]]:
    """Return the labels of the alerts that fire where the series of the document come in.

    ``promtool`` compares with what is expected, texts included, and shows what it got instead.
    """
    (folder / "case.yml").write_text(document, encoding="utf-8")
    ran = subprocess.run(
        [promtool, "test", "rules", "case.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode == 0:
        return []
    got = ran.stdout + ran.stderr
    assert "got:[" in got.replace(" ", ""), got
    found = re.findall(r"Labels:\{([^}]*)\}", got.partition("got:")[2])
    return [
        {
            name: value
            for name, value in re.findall(r'(\w+)="([^"]*)"', labels)
            if name != "alertname"
        }
        for labels in found
    ]


def expressions() -> list[Any]:
    return [
        pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
        for panel in PANELS
        for target in panel["targets"]
    ]


def filled_in(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def test_each_expression_of_the_dashboard_is_promql(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"job:panel{number}:value", "expr": filled_in(parameter.values[0])}
        for number, parameter in enumerate(expressions())
    ]
    # JSON is YAML, too.
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    shown = run(promtool, "check", "rules", "rules.yml", folder=tmp_path)
    assert f"SUCCESS: {len(rules)} rules found" in shown
    assert not any("$" in rule["expr"] for rule in rules)


def test_each_panel_says_what_it_shows_and_in_which_unit() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert sorted(set(ids)) == sorted(ids)
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"


def test_no_two_panels_lie_on_each_other() -> None:
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not taken & cells
        taken |= cells


def test_dashboard_and_alerts_ask_for_metrics_that_there_are() -> None:
    families = {
        f"{full_name(figure)}{'_total' if figure.kind == 'counter' else ''}" for figure in FIGURES
    }
    for family in Instruments(()).collect():
        suffixes = ("_bucket", "_count") if family.type == "histogram" else ("_total",)
        families |= {f"{family.name}{suffix}" for suffix in suffixes}
    asked = " ".join([*(p.values[0] for p in expressions()), ALERTS.read_text(encoding="utf-8")])
    assert set(re.findall(r"tokenwheel_\w+", asked)) <= families


def test_the_page_names_every_metric_and_every_alert() -> None:
    text = (FOLDER.parent / "howto" / "monitoring.md").read_text(encoding="utf-8")
    names = {
        f"{full_name(figure)}{'_total' if figure.kind == 'counter' else ''}" for figure in FIGURES
    }
    for family in Instruments(()).collect():
        names.add(family.name if family.type == "histogram" else f"{family.name}_total")
    table = text.partition("## All metrics")[2].partition("## Dashboard")[0]
    assert set(re.findall(r"^\| `(tokenwheel_\w+)`", table, re.MULTILINE)) == names
    alerts = re.findall(r"alert: (\w+)", ALERTS.read_text(encoding="utf-8"))
    assert re.findall(r"^\| `(Tokenwheel\w+)`", text, re.MULTILINE) == alerts


def test_the_application_for_gunicorn_runs_with_two_workers(tmp_path: Path) -> None:
    text = (FOLDER.parent / "howto" / "monitoring.md").read_text(encoding="utf-8")
    for name in ("app.py", "gunicorn.conf.py"):
        block = text.partition(f"```python\n# {name}\n")[2].partition("```")[0]
        (tmp_path / name).write_text(block, encoding="utf-8")
    more = "\nsessions.create(subject='ann')\n"  # in each of the workers
    (tmp_path / "app.py").write_text((tmp_path / "app.py").read_text(encoding="utf-8") + more)
    figures = tmp_path / "figures"
    figures.mkdir()
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(figures), "PYTHONPATH": str(tmp_path)}
    with serving(gunicorn, "app:app", tmp_path, workers=2, environment=environment) as server:
        until(
            lambda: (
                "tokenwheel_sessions_created_total 2.0"
                in httpx.get(f"{server.origin()}/metrics").text
            ),
            "the sum of both workers",
            interval=0.05,
        )
