"""A real Prometheus scrapes the FastAPI example under load, and its numbers are what was done."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import free_port, until
from tests.web.examples import make_keys
from tests.web.servers import missing, running, serving, uvicorn

MONITORING = Path(__file__).resolve().parent.parent.parent / "docs" / "monitoring"
CONFIGURATION = """
global: {{scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}}
rule_files: [{alerts}]
scrape_configs:
  - job_name: example
    metrics_path: /metrics/
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
CLIENTS = 6
REQUESTS = 20  # of each client with a good token


class Prometheus:
    """A server that runs, asked over its HTTP API."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **arguments: str) -> Any:
        response = httpx.get(f"{self._url}/{path}", params=arguments)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def values(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return each series that a query yields now, as its labels and its value."""
        result = self.ask("query", query=query)["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def total(self, query: str) -> float:
        return sum(value for _, value in self.values(query))


@contextmanager
def prometheus(folder: Path, scraped_port: int) -> Iterator[Prometheus]:
    binary = shutil.which("prometheus")
    if binary is None:
        missing("prometheus is not installed (apt-get install prometheus)")
    port = free_port()
    configuration = folder / "prometheus.yml"
    configuration.write_text(
        CONFIGURATION.format(alerts=MONITORING / "alerts.yml", port=scraped_port)
    )
    command = [
        binary,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, folder / "prometheus.log", port, folder, dict(os.environ)):
        until(
            lambda: httpx.get(f"http://127.0.0.1:{port}/-/ready").status_code == 200,
            "Prometheus",
            interval=0.05,
        )
        yield Prometheus(port)


def use(origin: str) -> None:
    """Log in, read, refresh twice, be refused in three ways, and log out."""
    with httpx.Client(base_url=origin) as client:
        tokens = client.post("/login", json={"name": "ann", "password": "correct horse"}).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        for _ in range(REQUESTS):
            assert client.get("/me", headers=bearer).status_code == 200
        for _ in range(2):
            body = {"refresh_token": tokens["refresh_token"]}
            tokens = client.post("/session/refresh", json=body).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert client.get("/me").status_code == 401
        assert client.get("/me", headers={"Authorization": "Bearer a.b.c"}).status_code == 401
        assert client.post(
            "/session/logout", headers=bearer, json={"refresh_token": tokens["refresh_token"]}
        ).is_success
        assert client.get("/me", headers=bearer).status_code == 401


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, str]]:
    """Return a Prometheus that scrapes the example, and what the example shows it."""
    folder = tmp_path_factory.mktemp("prometheus")
    make_keys(folder)
    with (
        serving(
            uvicorn,
            "fastapi_metrics_app:app",
            folder,
            environment={"SESSIONS_FOLDER": str(folder)},
        ) as server,
        prometheus(folder, server.port) as asked,
    ):
        with ThreadPoolExecutor(CLIENTS) as threads:
            list(threads.map(use, [server.origin()] * CLIENTS))
        yield asked, httpx.get(f"{server.origin()}/metrics/").text


EXPECTED = {
    "tokenwheel_sessions_created_total": CLIENTS,
    'tokenwheel_sessions_refreshed_total{retried="false"}': 2 * CLIENTS,
    'tokenwheel_sessions_ended_total{reason="deleted"}': CLIENTS,
    'tokenwheel_refusals_total{code="access_token_revoked",transport="bearer"}': CLIENTS,
    'tokenwheel_refusals_total{code="access_token_invalid",transport="bearer"}': CLIENTS,
    'tokenwheel_session_operation_duration_seconds_count{operation="create"}': CLIENTS,
    'tokenwheel_session_operation_duration_seconds_count{operation="update"}': 2 * CLIENTS,
    "tokenwheel_build_info": 1,
    "tokenwheel_feed_lag_entries": 0,
    "up": 1,
}


@pytest.mark.parametrize("query", EXPECTED)
def test_prometheus_counts_what_was_done(scraped: tuple[Prometheus, str], query: str) -> None:
    asked, shown = scraped
    until(
        lambda: asked.values(query) and asked.total(query) == EXPECTED[query],
        f"{query} is {asked.values(query)} instead of {EXPECTED[query]}\n{shown}",
        interval=0.1,
    )


def test_prometheus_has_loaded_the_alert_rules(scraped: tuple[Prometheus, str]) -> None:
    asked, _ = scraped

    def rules() -> list[dict[str, Any]]:
        return [rule for group in asked.ask("rules")["groups"] for rule in group["rules"]]

    until(lambda: all(rule["health"] != "unknown" for rule in rules()), "rules", interval=0.1)
    assert {rule["name"]: (rule["health"], rule["state"]) for rule in rules()} == dict.fromkeys(
        re.findall(r"alert: (\w+)", (MONITORING / "alerts.yml").read_text()), ("ok", "inactive")
    )


def test_no_label_says_who_has_logged_in(scraped: tuple[Prometheus, str]) -> None:
    _, shown = scraped
    labels = set(re.findall(r'(\w+)="', shown))
    ours = [line for line in shown.splitlines() if line.startswith("tokenwheel_")]
    assert ours
    assert not any(text in line for line in ours for text in ("ann", "127.0.0.1", "eyJ"))
    assert labels
