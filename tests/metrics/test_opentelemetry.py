"""OpenTelemetry is told what was done, and how the parts of a manager stand."""

from __future__ import annotations

import asyncio
import gc
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import ref

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.support import secret_of
from tests.web.examples import loaded
from tokenwheel import ConfigurationError, RevocationList, SessionManager, SqliteFeed, SqliteStorage
from tokenwheel.metrics import opentelemetry
from tokenwheel.metrics.figures import FIGURES
from tokenwheel.metrics.instruments import full_name
from tokenwheel.metrics.opentelemetry import instrument, name_of
from tokenwheel.web import Gate

SECRET = secret_of("opentelemetry metrics")
OPTIONS: dict[str, Any] = {"issuer": "auth.example", "audience": "api.example"}


class Meters:
    """A meter provider, and the values that it collects."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader])

    @property
    def values(self) -> dict[str, float]:
        """Each value, or count of a histogram, by the name and the attributes."""
        values = {}
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for metric in resource.scope_metrics[0].metrics:
                for point in metric.data.data_points:
                    labels = ",".join(f"{k}={v}" for k, v in sorted(point.attributes.items()))
                    value = point.count if hasattr(point, "count") else point.value
                    values[f"{metric.name} {labels}".strip()] = value
        return values


@pytest.fixture
def meters() -> Iterator[Meters]:
    made = Meters()
    yield made
    made.provider.shutdown()


def test_it_counts_what_was_done(meters: Meters) -> None:
    with SessionManager(SECRET, **OPTIONS) as sessions:
        instrument(sessions, meter_provider=meters.provider)
        first = sessions.create(subject="ann")
        second = sessions.update(first.refresh_token)
        sessions.update(first.refresh_token)
        sessions.end(second.refresh_token)
        sessions.create(subject="ann")
        sessions.create(subject="ann")
        assert sessions.delete_all("ann") == 2
        values = meters.values
    assert values["tokenwheel.sessions.created"] == 3
    assert values["tokenwheel.sessions.refreshed retried=false"] == 1
    assert values["tokenwheel.sessions.refreshed retried=true"] == 1
    assert values["tokenwheel.sessions.ended reason=deleted"] == 3
    duration = "tokenwheel.session.operation.duration"
    assert values[f"{duration} operation=create,outcome=ok"] == 3
    assert values[f"{duration} operation=update,outcome=ok"] == 2
    assert values["tokenwheel.revocations"] == len(sessions.revocations)


def test_it_reads_how_the_feed_and_the_keys_stand(meters: Meters, tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with SessionManager(
        SECRET,
        storage=SqliteStorage(path),
        revocations=RevocationList(SqliteFeed(path)),
        storage_key=secret_of("storage of metrics"),
        **OPTIONS,
    ) as sessions:
        instrument(sessions, meter_provider=meters.provider)
        sessions.create(subject="ann")
        sessions.delete_all("ann")
        values = meters.values
    assert values["tokenwheel.feed.lag.entries"] == 0
    assert values["tokenwheel.feed.staleness"] >= 0
    assert values["tokenwheel.keys state=signing"] == 1
    assert values["tokenwheel.revocations"] == 1


def test_a_reader_of_prometheus_gets_the_names_of_the_collector() -> None:
    """An exporter puts ``_`` for ``.``, and the unit behind unless it stands there already."""
    for figure in FIGURES:
        name = name_of(figure).replace(".", "_")
        unit = "seconds" if "seconds" in figure.unit else ""
        assert "_".join(filter(None, (name, unit))) == full_name(figure)


def test_a_gate_counts_refusals_by_code_and_transport(meters: Meters) -> None:
    with SessionManager(SECRET, **OPTIONS) as sessions:
        gate = Gate(sessions)
        instrument(sessions, gate, meter_provider=meters.provider)
        headers = {"authorization": "Bearer a.b.c"}.get
        with pytest.raises(Exception, match=r".") as caught:
            gate.admit("GET", headers)
        gate.refusal(caught.value, headers)
        assert meters.values["tokenwheel.refusals code=access_token_invalid,transport=bearer"] == 1


def test_a_manager_is_instrumented_once(meters: Meters) -> None:
    with SessionManager(SECRET, **OPTIONS) as sessions:
        instrumentation = instrument(sessions, meter_provider=meters.provider)
        with pytest.raises(ConfigurationError, match="instrumented already"):
            instrument(sessions, meter_provider=meters.provider)
        instrumentation.close()
        instrumentation.close()
        assert "tokenwheel.keys state=signing" not in meters.values
        with instrument(sessions, meter_provider=meters.provider):
            sessions.create(subject="ann")
            assert meters.values["tokenwheel.keys state=signing"] == 1
        sessions.create(subject="ann")
        assert meters.values["tokenwheel.sessions.created"] == 1


@pytest.mark.parametrize("given", [None, "sessions", object()])
def test_anything_but_a_manager_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="manager must be"):
        instrument(given)


def test_another_managers_gate_is_refused() -> None:
    with (
        SessionManager(SECRET, **OPTIONS) as sessions,
        SessionManager(SECRET, **OPTIONS) as others,
        pytest.raises(ConfigurationError, match="gate must be"),
    ):
        instrument(sessions, Gate(others))


def test_managers_of_one_process_are_added_up(meters: Meters) -> None:
    with SessionManager(SECRET, **OPTIONS) as first, SessionManager(SECRET, **OPTIONS) as second:
        for sessions in (first, second):
            instrument(sessions, meter_provider=meters.provider)
            sessions.create(subject="ann")
        assert meters.values["tokenwheel.sessions.created"] == 2


def test_a_manager_that_is_dropped_is_freed(meters: Meters) -> None:
    sessions = SessionManager(SECRET, **OPTIONS)
    instrumentation = instrument(sessions, Gate(sessions), meter_provider=meters.provider)
    sessions.create(subject="ann")
    held = ref(sessions)
    del sessions
    gc.collect()
    assert held() is None
    assert "tokenwheel.keys state=signing" not in meters.values
    instrumentation.close()


def test_the_fastapi_example_under_load_is_counted(meters: Meters, tmp_path: Path) -> None:
    logins, requests = 5, 20

    async def use(client: httpx.AsyncClient) -> None:
        login = {"name": "ann", "password": "correct horse"}
        tokens = (await client.post("/login", json=login)).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        for _ in range(requests):
            assert (await client.get("/me", headers=bearer)).status_code == 200
        body = {"refresh_token": tokens["refresh_token"]}
        tokens = (await client.post("/session/refresh", json=body)).json()
        assert (await client.get("/me")).status_code == 401
        body = {"refresh_token": tokens["refresh_token"]}
        assert (await client.post("/session/logout", json=body)).is_success
        assert (await client.get("/me", headers=bearer)).status_code == 401

    async def serve(module: Any) -> None:
        instrument(module.sessions, module.auth.gate, meter_provider=meters.provider)
        transport = httpx.ASGITransport(module.app)
        async with (
            module.sessions,
            httpx.AsyncClient(transport=transport, base_url="https://app.example") as client,
        ):
            await asyncio.gather(*(use(client) for _ in range(logins)))

    with loaded("fastapi_app", tmp_path) as module:
        asyncio.run(serve(module))
        values = meters.values
    assert values["tokenwheel.sessions.created"] == logins
    assert values["tokenwheel.sessions.refreshed retried=false"] == logins
    assert values["tokenwheel.sessions.ended reason=deleted"] == logins
    assert values["tokenwheel.refusals code=access_token_revoked,transport=bearer"] == logins
    assert not any(re.search(r"ann|127\.0|eyJ|app\.example", name) for name in values)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_forked_while_another_thread_instruments_is_not_stuck_at_its_own() -> None:
    with opentelemetry._turns.lock:  # as another thread of the parent would hold it
        child = os.fork()
        if not child:
            os._exit(0 if opentelemetry._turns.lock.acquire(blocking=False) else 1)
        assert os.waitpid(child, 0)[1] == 0
