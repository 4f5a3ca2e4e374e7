"""Spans around what waits for a storage or a feed: where they hang, and what they never hold."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.servers import needs_server, no_retry, serving
from tests.support import secret_of
from tokenwheel import (
    AsyncSessionManager,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)
from tokenwheel.metrics.opentelemetry import instrument

SECRET = secret_of("opentelemetry traces")
OPTIONS: dict[str, Any] = {"issuer": "auth.example", "audience": "api.example"}
OF_FILE: dict[str, Any] = {"storage_key": secret_of("storage of traces"), **OPTIONS}


class Traces:
    """A tracer provider, and the spans that it has made."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("application")

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]


@pytest.fixture
def traces() -> Iterator[Traces]:
    made = Traces()
    yield made
    made.provider.shutdown()


def parts(folder: Path) -> dict[str, Any]:
    path = folder / "sessions.db"
    return {"storage": SqliteStorage(path), "revocations": RevocationList(SqliteFeed(path))}


def test_a_call_of_the_storage_is_a_child_of_the_current_span(
    traces: Traces, tmp_path: Path
) -> None:
    with SessionManager(SECRET, **OF_FILE, **parts(tmp_path)) as sessions:
        instrument(sessions, tracer_provider=traces.provider)
        with traces.tracer.start_as_current_span("request") as request:
            sessions.create(subject="ann")
    insert = next(span for span in traces.spans if span.name == "insert SqliteStorage")
    assert insert.parent is not None
    assert insert.parent.span_id == request.get_span_context().span_id
    assert insert.kind is SpanKind.CLIENT
    assert insert.status.status_code is StatusCode.UNSET
    assert dict(insert.attributes or {}) == {
        "db.operation.name": "insert",
        "db.system.name": "sqlite",
    }


class Looking(MemoryStorage):
    """Notes which span is the current one while it reads, and may wait, for worker threads."""

    waits = True

    def __init__(self) -> None:
        super().__init__()
        self.current: list[trace.Span] = []

    def read(self, session_id: str, now: float) -> Any:
        self.current.append(trace.get_current_span())
        return super().read(session_id, now)


def test_the_span_is_the_current_one_in_a_worker_thread(traces: Traces) -> None:
    storage = Looking()

    async def serve() -> None:
        async with AsyncSessionManager(SECRET, storage=storage, **OPTIONS) as sessions:
            instrument(sessions, tracer_provider=traces.provider)
            with traces.tracer.start_as_current_span("request"):
                tokens = await sessions.create(subject="ann")
                await sessions.update(tokens.refresh_token)

    asyncio.run(serve())
    read = next(span for span in traces.spans if span.name == "read Looking")
    assert storage.current[0].get_span_context() == read.get_span_context()


def test_spans_of_tasks_at_once_hang_below_the_request_of_each(
    traces: Traces, tmp_path: Path
) -> None:
    requests: list[trace.Span] = []

    async def handle(sessions: AsyncSessionManager, subject: str) -> None:
        with traces.tracer.start_as_current_span("request") as request:
            requests.append(request)
            await sessions.create(subject=subject)
        assert not trace.get_current_span().get_span_context().is_valid

    async def serve() -> None:
        async with AsyncSessionManager(SECRET, **OF_FILE, **parts(tmp_path)) as sessions:
            instrument(sessions, tracer_provider=traces.provider)
            await asyncio.gather(*(handle(sessions, f"subject {n}") for n in range(20)))

    asyncio.run(serve())
    inserts = [span for span in traces.spans if span.name == "insert SqliteStorage"]
    parents = {span.parent.span_id for span in inserts if span.parent is not None}
    assert parents == {request.get_span_context().span_id for request in requests}
    assert len(inserts) == 20


@needs_server
def test_a_server_that_is_down_is_an_error_without_its_text(traces: Traces, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        client = redis.Redis(port=server.port, retry=no_retry())
        sessions = SessionManager(
            SECRET,
            storage=RedisStorage(client, timeout=0.5),
            revocations=RevocationList(RedisFeed(client, timeout=0.5)),
            **OF_FILE,
        )
        instrument(sessions, tracer_provider=traces.provider)
        with sessions:
            sessions.create(subject="ann")
            server.kill()
            with pytest.raises(StorageUnavailable):
                sessions.create(subject="ann")
    client.close()
    good, failed = [span for span in traces.spans if span.name == "insert RedisStorage"]
    assert good.status.status_code is StatusCode.UNSET
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description is None
    assert failed.events == ()
    assert dict(failed.attributes or {}) == {
        "db.operation.name": "insert",
        "db.system.name": "redis",
        "error.type": "redis.exceptions.ConnectionError",
    }


class Failing(MemoryStorage):
    def read(self, session_id: str, now: float) -> Any:
        raise OSError(f"no session {session_id} at 203.0.113.7")


def test_a_storage_of_ones_own_that_fails_tells_nothing_of_the_session(traces: Traces) -> None:
    with SessionManager(SECRET, storage=Failing(), **OPTIONS) as sessions:
        instrument(sessions, tracer_provider=traces.provider)
        tokens = sessions.create(subject="ann")
        with pytest.raises(StorageUnavailable):
            sessions.update(tokens.refresh_token)
    failed = traces.spans[-1]
    assert failed.status.status_code is StatusCode.ERROR
    assert (failed.attributes or {})["error.type"] == "OSError"
    assert failed.kind is SpanKind.INTERNAL
    shown = "".join(span.to_json() for span in traces.spans)
    for secret in ("ann", tokens.session_id, tokens.refresh_token, "203.0.113.7"):
        assert secret not in shown


class Named(MemoryStorage):
    db_system = "postgresql"


class Nameless(MemoryStorage):
    db_system = object()


def test_a_storage_of_ones_own_says_which_kind_of_database_it_calls(traces: Traces) -> None:
    for storage in (Named(), Nameless()):
        with SessionManager(SECRET, storage=storage, **OPTIONS) as sessions:
            instrument(sessions, tracer_provider=traces.provider)
            sessions.create(subject="ann")
    spans = {span.name: span for span in traces.spans}
    named, nameless = spans["insert Named"], spans["insert Nameless"]
    assert (named.attributes or {})["db.system.name"] == "postgresql"
    assert named.kind is SpanKind.CLIENT
    assert dict(nameless.attributes or {}) == {"db.operation.name": "insert"}


def test_a_cancelled_call_ends_its_span(traces: Traces) -> None:
    class Waiting(MemoryStorage):
        async def insert(self, record: Any, limit: Any, now: float) -> bool:  # type: ignore[override]
            begun.set()
            await asyncio.Event().wait()
            return True

    begun = asyncio.Event()

    async def serve() -> None:
        async with AsyncSessionManager(SECRET, storage=Waiting(), **OPTIONS) as sessions:
            instrument(sessions, tracer_provider=traces.provider)
            login = asyncio.create_task(sessions.create(subject="ann"))
            await begun.wait()
            login.cancel()
            with pytest.raises(asyncio.CancelledError):
                await login

    asyncio.run(serve())
    cancelled = traces.spans[-1]
    assert cancelled.name == "insert Waiting"
    assert (cancelled.attributes or {})["error.type"] == "cancelled"


def test_no_span_holds_anything_but_what_is_done_and_to_what(
    traces: Traces, tmp_path: Path
) -> None:
    with SessionManager(SECRET, **OF_FILE, **parts(tmp_path)) as sessions:
        instrument(sessions, tracer_provider=traces.provider)
        tokens = sessions.create(subject="ann")
        tokens = sessions.update(tokens.refresh_token)
        sessions.read_all("ann")
        sessions.restrict_all("ann")
        sessions.delete_one("ann", tokens.session_id)
        sessions.create(subject="ann")
        sessions.delete_all("ann")
        sessions.end("made up")
    allowed = {"db.operation.name", "db.system.name", "error.type"}
    assert {name for span in traces.spans for name in span.attributes or {}} <= allowed
    assert all(re.fullmatch(r"[a-z_]+ [A-Za-z]+", name) for name in traces.names)
    assert {"insert", "read", "read_all", "replace", "delete", "publish"} <= {
        name.partition(" ")[0] for name in traces.names
    }


def test_reading_a_token_makes_no_span(traces: Traces) -> None:
    with SessionManager(SECRET, **OPTIONS) as sessions:
        tokens = sessions.create(subject="ann")
        instrument(sessions, tracer_provider=traces.provider)
        sessions.read(tokens.access_token)
    assert traces.names == []


def test_no_span_is_made_once_the_instrumentation_is_closed(traces: Traces) -> None:
    with SessionManager(SECRET, **OPTIONS) as sessions:
        instrumentation = instrument(sessions, tracer_provider=traces.provider)
        instrumentation.close()
        instrumentation.close()
        sessions.create(subject="ann")
        assert traces.names == []
        with instrument(sessions, tracer_provider=traces.provider):
            sessions.create(subject="ann")
        assert traces.names == ["insert MemoryStorage"]


@pytest.mark.parametrize("server, named", [("postgres", "postgresql"), ("mariadb", "mariadb")])
def test_a_database_is_named_by_its_kind(
    traces: Traces, server: str, named: str, request: pytest.FixtureRequest
) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")
    from tokenwheel import SqlFeed, SqlStorage
    from tokenwheel.sql import create_all

    driver = "psycopg" if server == "postgres" else "pymysql"
    with request.getfixturevalue(server).database() as database:
        engine = sqlalchemy.create_engine(database.url(driver))
        create_all(engine)
        for storage in (SqlStorage(engine), Named()):
            revocations = RevocationList(SqlFeed(engine))
            with SessionManager(
                SECRET, storage=storage, revocations=revocations, **OF_FILE
            ) as sessions:
                instrument(sessions, tracer_provider=traces.provider)
                sessions.create(subject="ann")
                sessions.delete_all("ann")
        engine.dispose()
    systems = {span.name: (span.attributes or {})["db.system.name"] for span in traces.spans}
    assert systems["insert SqlStorage"] == systems["delete SqlStorage"] == named
    assert systems["publish SqlFeed"] == named
