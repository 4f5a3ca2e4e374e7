"""SessionCollector: its numbers are those of what was done, and no label tells of anybody."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families

from tests.support import SECRET
from tests.web.behind_flask import Application
from tests.web.django_project import served
from tests.web.gates import OTHER_SITE, House, Request
from tests.web.support import Service, ask
from tests.web.test_fastapi import make_app
from tokenwheel import (
    ConfigurationError,
    Device,
    RefreshTokenReused,
    RevocationList,
    SessionContext,
    SessionManager,
    SessionNotFound,
    StorageUnavailable,
)
from tokenwheel.metrics import SessionCollector
from tokenwheel.session.observers import Observer, StorageCall
from tokenwheel.web.answers import json_answer
from tokenwheel.web.asgi import AuthMiddleware
from tokenwheel.web.asgi_answers import send_answer
from tokenwheel.web.endpoints import Endpoints, Incoming
from tokenwheel.web.fastapi import FastAPIAuth

OF_EVERY_MANAGER = {
    "tokenwheel_sessions_created_total": set(),
    "tokenwheel_sessions_refreshed_total": {"retried"},
    "tokenwheel_sessions_ended_total": {"reason"},
    "tokenwheel_refusals_total": {"code", "transport"},
    "tokenwheel_session_operation_duration_seconds_count": {"operation", "outcome"},
    "tokenwheel_revocations": set(),
    "tokenwheel_revocations_bytes": set(),
    "tokenwheel_keys": {"state"},
    "tokenwheel_verified_tokens": set(),
    "tokenwheel_verified_tokens_bytes": set(),
    "tokenwheel_broken_records_total": set(),
    "tokenwheel_build_info": {"implementation", "python", "version"},
}


class Scraped:
    """What a registry with one collector tells at each scrape."""

    def __init__(self, collector: SessionCollector) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.registry.register(collector)

    def text(self) -> str:
        return generate_latest(self.registry).decode()

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.samples().get((f"tokenwheel_{name}", tuple(sorted(labels.items()))))

    def refusals(self) -> dict[tuple[str, str], float]:
        return {
            (dict(labels)["code"], dict(labels)["transport"]): value
            for (name, labels), value in self.samples().items()
            if name == "tokenwheel_refusals_total"
        }


@pytest.fixture(params=["blocking", "async"])
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    house = House(request.param, max_sessions=2, when_full="evict_oldest")
    yield house
    house.close()


def refresh(gate: Any, house: House, body: bytes = b"", **fields: str) -> int:
    """Return the status of the route ``refresh``."""
    incoming = Incoming("POST", Request(fields).get, body)
    return house.run(Endpoints(gate).refresh(incoming)).status


def test_numbers_are_those_of_what_was_done(house: House) -> None:
    scraped = Scraped(SessionCollector(house.manager))
    house.login()
    house.clock.advance(1)
    first = house.login()
    house.clock.advance(1)
    house.login()
    assert scraped("sessions_created_total") == 3
    assert scraped("sessions_ended_total", reason="evicted") == 1

    house.call("update", first.refresh_token)
    house.call("update", first.refresh_token)
    assert scraped("sessions_refreshed_total", retried="false") == 1
    assert scraped("sessions_refreshed_total", retried="true") == 1

    house.clock.advance(60)
    with pytest.raises(RefreshTokenReused):
        house.call("update", first.refresh_token)
    assert scraped("sessions_ended_total", reason="reused") == 1

    house.login()
    assert house.call("delete_all", "ann") == 2
    assert scraped("sessions_ended_total", reason="deleted") == 2
    house.call("delete_one", "bob", house.login(subject="bob").session_id)
    assert scraped("sessions_ended_total", reason="deleted") == 3

    count = "session_operation_duration_seconds_count"
    assert scraped(count, operation="create", outcome="ok") == 5
    assert scraped(count, operation="update", outcome="ok") == 2
    assert scraped(count, operation="update", outcome="refresh_token_reused") == 1
    assert scraped(count, operation="delete_all", outcome="ok") == 1
    assert scraped(count, operation="delete_one", outcome="ok") == 1
    assert scraped("revocations") == house.manager.revocations.stats().entries


def test_every_method_is_an_operation_and_every_error_an_outcome(house: House) -> None:
    scraped = Scraped(SessionCollector(house.manager))
    tokens = house.login()
    claims = house.manager.read(tokens.access_token)
    house.call("restrict_one", claims)
    house.call("restrict_all", "ann")
    house.call("read_all", "ann")
    house.call("end", tokens.refresh_token)
    with pytest.raises(SessionNotFound):
        house.call("update", "made up")

    def fail(session: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        house.call("update", house.login().refresh_token, fail)
    told = {
        (dict(labels)["operation"], dict(labels)["outcome"]): value
        for (name, labels), value in scraped.samples().items()
        if name.endswith("duration_seconds_count")
    }
    assert told == {
        ("create", "ok"): 2,
        ("restrict_one", "ok"): 1,
        ("restrict_all", "ok"): 1,
        ("read_all", "ok"): 1,
        ("end", "ok"): 1,
        ("update", "session_not_found"): 1,
        ("update", "error"): 1,
    }


def test_names_and_labels_are_those_that_are_promised(house: House) -> None:
    scraped = Scraped(SessionCollector(house.manager, gate := house.gate()))
    house.login()
    refresh(gate, house)
    labels: dict[str, set[str]] = {}
    for name, pairs in scraped.samples():
        if not name.endswith(("_created", "_bucket", "_sum")):
            labels.setdefault(name, set()).update(label for label, _ in pairs)
    assert labels == OF_EVERY_MANAGER
    openmetrics = exposition.generate_latest(scraped.registry).decode()
    assert "tokenwheel_refusals" in {
        family.name for family in parser.text_string_to_metric_families(openmetrics)
    }


def test_no_figure_tells_of_a_subject_a_session_a_token_or_an_address(house: House) -> None:
    gate = house.gate()
    scraped = Scraped(SessionCollector(house.manager, gate))
    context = SessionContext(ip="203.0.113.77", device=Device("Firefox", "desktop"))
    tokens = house.login(subject="ann-of-the-tests", context=context)
    with pytest.raises(Exception, match="another device"):
        house.call(
            "update",
            tokens.refresh_token,
            context=SessionContext(ip="203.0.113.78", device=Device("curl", "other")),
        )
    refresh(gate, house, tokens.refresh_token.encode())
    house.call("delete_all", "ann-of-the-tests")
    text = scraped.text()
    assert 'outcome="context_mismatch"' in text
    secrets = ("ann-of", tokens.session_id, tokens.access_token, tokens.refresh_token)
    found = [word for word in (*secrets, "203.0.113", "Firefox", "curl") if word in text]
    assert found == []


def test_a_refusal_is_counted_once_by_its_code_and_the_way_of_its_token(house: House) -> None:
    gate = house.gate()
    scraped = Scraped(SessionCollector(house.manager, gate))
    refresh(gate, house)
    refresh(gate, house, b'{"refresh_token": "made up"}', **{"content-type": "application/json"})
    cookie = "__Host-tw-refresh=made-up"
    refresh(gate, house, cookie=cookie, **OTHER_SITE)
    refresh(gate, house, cookie=cookie, **{"sec-fetch-site": "same-origin"})
    error = SessionNotFound("no session")
    for _ in range(2):
        gate.refusal(error, Request(authorization="Bearer x").get)
    assert scraped.refusals() == {
        ("credentials_missing", "none"): 1,
        ("session_not_found", "bearer"): 2,
        ("cross_origin", "cookie"): 1,
        ("session_not_found", "cookie"): 1,
    }


@pytest.mark.parametrize("install", [True, False])
def test_fastapi_tells_of_each_refused_request_once(install: bool) -> None:
    service = Service(SessionManager)
    scraped = Scraped(SessionCollector(service.manager, service.gate))
    app = make_app(FastAPIAuth(service.gate), install=install)
    tokens = service.sign_in()
    assert ask(app, "GET", "/me").status == 401
    assert ask(app, "GET", "/me", service.bearer(tokens)).status == 200
    assert ask(app, "GET", "/admin", service.bearer(tokens)).status == 403
    assert ask(app, "POST", "/me", service.cookie(tokens)).status == 403
    assert scraped.refusals() == {
        ("credentials_missing", "none"): 1,
        ("insufficient_scope", "bearer"): 1,
        ("cross_origin", "cookie"): 1,
    }


def test_flask_tells_of_each_refused_request_once() -> None:
    site = Application()
    scraped = Scraped(SessionCollector(site.manager, site.gate))
    bad = ("Authorization", "Bearer bad")
    assert site.ask("GET", "/me").status_code == 401
    assert site.ask("GET", "/me", bad).status_code == 401
    assert site.ask("OPTIONS", "/me", bad).status_code == 200
    assert site.ask("GET", "/maybe").status_code == 200
    assert site.ask("POST", "/session/refresh").status_code == 401
    assert scraped.refusals() == {
        ("access_token_invalid", "bearer"): 1,
        ("credentials_missing", "none"): 2,
    }


def test_django_tells_of_each_refused_request_once() -> None:
    from django.test import Client

    with served() as site:
        scraped = Scraped(SessionCollector(site.manager, site.gate))
        assert Client().get("/me").status_code == 401
        assert Client(headers={"Authorization": "Bearer bad"}).get("/me").status_code == 401
        assert site.bearer().get("/me").status_code == 200
    assert scraped.refusals() == {
        ("credentials_missing", "none"): 1,
        ("access_token_invalid", "bearer"): 1,
    }


class BrokenFeed:
    """A feed whose server is down."""

    def start(self, apply: Any) -> None:
        pass

    def poll(self) -> None:
        raise StorageUnavailable("the server is down")

    def publish(self, revocations: Any) -> None:
        raise StorageUnavailable("the server is down")

    def close(self) -> None:
        pass

    def stats(self) -> Any:
        raise ConnectionError("the server is down")


def test_a_scrape_while_the_feed_is_down_has_all_the_rest() -> None:
    with SessionManager(
        SECRET, issuer="i", audience="a", revocations=RevocationList(BrokenFeed())
    ) as manager:
        scraped = Scraped(SessionCollector(manager))
        tokens = manager.create(subject="ann")
        with pytest.raises(StorageUnavailable):
            manager.delete_one("ann", tokens.session_id)
        count = "session_operation_duration_seconds_count"
        assert scraped("sessions_created_total") == 1
        assert scraped(count, operation="delete_one", outcome="storage_unavailable") == 1
        assert scraped("feed_lag_entries") is None
        assert scraped("keys", state="signing") == 1


def test_a_dropped_manager_is_freed_though_its_collector_is_registered() -> None:
    manager = SessionManager(SECRET, issuer="i", audience="a")
    scraped = Scraped(SessionCollector(manager))
    manager.create(subject="ann")
    dropped = ref(manager)
    del manager
    gc.collect()
    assert dropped() is None
    assert scraped("sessions_created_total") == 1
    assert scraped("revocations") is None


def test_a_closed_collector_counts_no_more_and_nobody_listens() -> None:
    house = House()
    gate = house.gate()
    collector = SessionCollector(house.manager, gate)
    scraped = Scraped(collector)
    house.login()
    collector.close()
    collector.close()
    house.login()
    refresh(gate, house)
    assert scraped("sessions_created_total") == 1
    assert scraped.refusals() == {}
    assert house.manager._observers.all == gate._observers.all == ()
    house.close()


def test_managers_of_one_process_are_told_apart_by_their_service() -> None:
    shop = SessionManager(SECRET, issuer="shop", audience="a")
    admin = SessionManager(SECRET, issuer="admin", audience="a")
    collector = SessionCollector(shop, service="shop")
    collector.add(admin, service="admin")
    scraped = Scraped(collector)
    shop.create(subject="ann")
    for _ in range(2):
        admin.create(subject="ann")
    assert scraped("sessions_created_total", service="shop") == 1
    assert scraped("sessions_created_total", service="admin") == 2
    assert scraped("keys", service="admin", state="signing") == 1
    for service in ("shop", None):
        with pytest.raises(ConfigurationError, match="each needs a service of its own"):
            collector.add(admin, service=service)


@pytest.mark.parametrize(
    "manager, options, reason",
    [
        (None, {}, "manager must be"),
        (SessionManager(SECRET, issuer="i", audience="a"), {"gate": 1}, "gate must be a Gate"),
        (SessionManager(SECRET, issuer="i", audience="a"), {"service": 1}, "service must be"),
    ],
)
def test_what_is_no_manager_gate_or_service_is_refused(
    manager: Any, options: Any, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        SessionCollector(manager, **options)


def test_read_is_bound_to_the_verifier_with_a_collector_as_without() -> None:
    manager = SessionManager(SECRET, issuer="i", audience="a")
    read = manager.read
    SessionCollector(manager)
    assert manager.read == read == manager._verify


class Listening(Observer):
    """Notes all that it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def begin_call(self, call: StorageCall) -> Any:
        return call.name

    def end_call(
        self, begun: Any, call: StorageCall, outcome: str, seconds: float, error: Any
    ) -> None:
        self.told.append((begun, call.by, outcome, seconds >= 0))


def test_observers_hear_of_each_call_of_the_storage(house: House) -> None:
    listening = Listening()
    house.manager._observers.add(listening)
    house.call("delete_one", "ann", house.login().session_id)
    names = [name for name, *_ in listening.told]
    assert names == ["keep_access_lifetime", "insert", "read", "delete"]
    assert {tuple(told) for _, *told in listening.told} == {("MemoryStorage", "ok", True)}


def test_an_observer_that_raises_disturbs_nobody(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Observer):
        def begin_operation(self, operation: str) -> Any:
            raise ZeroDivisionError

    house.manager._observers.add(Failing())
    assert house.login()
    assert "an observer of sessions raised" in caplog.text


def test_a_call_that_was_cancelled_is_told_as_such() -> None:
    house = House("async")
    scraped = Scraped(SessionCollector(house.manager))

    async def cancelled() -> None:
        async def ask(session: Any) -> Any:
            await asyncio.Event().wait()

        tokens = await house.manager.create(subject="ann")
        task = asyncio.ensure_future(house.manager.update(tokens.refresh_token, ask))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    house.loop.run_until_complete(cancelled())
    count = "session_operation_duration_seconds_count"
    assert scraped(count, operation="update", outcome="cancelled") == 1
    house.close()


def test_the_middleware_tells_of_what_it_refuses_and_not_of_what_it_lets_in() -> None:
    service = Service(SessionManager)
    scraped = Scraped(SessionCollector(service.manager, service.gate))

    async def hello(scope: Any, receive: Any, send: Any) -> None:
        await send_answer(scope, send, json_answer(200, {}))

    app = AuthMiddleware(hello, gate=service.gate, public=["/login"])
    bad = ("authorization", "Bearer bad")
    assert ask(app, "GET", "/", service.bearer(service.sign_in())).status == 200
    assert ask(app, "GET", "/login", bad).status == 200
    assert ask(app, "OPTIONS", "/", bad).status == 200
    assert scraped.refusals() == {}
    assert ask(app, "GET", "/", bad).status == 401
    assert ask(app, "GET", "/").status == 401
    assert scraped.refusals() == {
        ("access_token_invalid", "bearer"): 1,
        ("credentials_missing", "none"): 1,
    }
