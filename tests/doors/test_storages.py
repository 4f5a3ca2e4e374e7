"""Each call of a storage and a feed takes what it is handed for what it is, whoever calls it.

A manager has checked what it hands over. Whoever calls a storage without one may hand over an Enum,
or nonsense: it finds the same sessions, or is told so in our own words.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.doors.disguises import answer, disguised, nonsense
from tests.servers import Node, needs_server
from tests.support import FakeClock
from tokenwheel import (
    ConfigurationError,
    Device,
    InvalidArgument,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    Revocation,
    RevocationList,
    SessionContext,
    SessionRecord,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)
from tokenwheel.testing import NOW, following, make_record

pytestmark = needs_server
# An example opens a file or asks a server, for each kind of storage.
shared = settings(
    max_examples=settings().max_examples // 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
REFUSED = (ConfigurationError, InvalidArgument, StorageUnavailable)
PLACES = st.integers(0, len(nonsense()) - 1)
CONTEXT = SessionContext("::1", Device("Pixel", "phone", {"os": "Android", "n": [1]}), "Paris")
RECORD = make_record(subject="ann", context=CONTEXT)


@pytest.fixture(params=["memory", "sqlite", "redis"])
def storage_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def anew(storage_kind: str, tmp_path: Path, server: Node) -> Iterator[Callable[[], Any]]:
    """Return what opens an empty storage."""
    with closing(server.client()) as client:

        @contextmanager
        def opened() -> Iterator[Any]:
            if storage_kind == "memory":
                yield MemoryStorage()
                return
            name = secrets.token_hex(8)
            storage: Any = (
                SqliteStorage(tmp_path / name, synchronous="NORMAL")
                if storage_kind == "sqlite"
                else RedisStorage(client, prefix=name)
            )
            with closing(storage):
                yield storage

        yield opened


def kinds_of(record: SessionRecord) -> list[type]:
    context, device = record.context, record.context.device
    assert device is not None
    texts = [context.ip, context.location, device.name, device.type, *device.extra]
    return [type(field) for field in (*record, *texts)]


@given(data=st.data())
@shared
def test_a_storage_finds_and_gives_the_plain_values_whatever_it_was_handed(
    anew: Callable[[], Any], data: st.DataObject
) -> None:
    def shown(plain: Any) -> Any:
        return data.draw(disguised(plain))

    with anew() as storage:
        record = SessionRecord._make(map(shown, RECORD))
        assert storage.insert(record, shown(9), shown(NOW)) is True
        assert storage.insert(make_record(2, subject="ann"), shown(1), shown(NOW)) is False
        read = storage.read(shown(RECORD.id), shown(NOW))
        assert (read, kinds_of(read)) == (RECORD, kinds_of(RECORD))
        assert storage.read_all(shown("ann"), shown(NOW)) == [RECORD]
        changed = following(RECORD, last_used_at=NOW + 1)
        assert storage.replace(SessionRecord._make(map(shown, changed)), shown(NOW)) is True
        read = storage.read(RECORD.id, NOW)
        assert (read, kinds_of(read)) == (changed, kinds_of(changed))
        assert storage.keep_access_lifetime(shown("service"), shown(900)) == 900
        assert storage.keep_access_lifetime("service", 0) == 900
        deleted = storage.delete([SessionRecord._make(map(shown, changed))], shown(NOW))
        assert [*map(type, deleted), *deleted] == [str, RECORD.id]
        assert storage.read_all("ann", NOW) == []


DOORS: Mapping[str, Mapping[str, Any]] = {
    "insert": {"record": make_record(3, subject="bob"), "limit": None, "now": NOW},
    "read": {"session_id": RECORD.id, "now": NOW},
    "read_all": {"subject": "ann", "now": NOW},
    "replace": {"record": following(RECORD), "now": NOW},
    "delete": {"records": [RECORD], "now": NOW},
    "keep_access_lifetime": {"issuer": "service", "seconds": 60},
    "count": {"now": NOW},
    "session_id_prefix": {"subject": "ann"},
    "publishes_to": {"feed": None},
    "close": {},
}
OF_PUBLISHING = {"feed", "revocations"}  # Only a manager hands them over, and only its own.


@pytest.mark.parametrize("kind", [MemoryStorage, SqliteStorage, RedisStorage])
def test_every_method_and_parameter_of_a_storage_is_driven(kind: Any) -> None:
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        if not name.startswith("_"):
            parameters = {*inspect.signature(method).parameters} - {"self"}
            if name in ("replace", "delete"):
                parameters -= OF_PUBLISHING
            assert parameters == DOORS[name].keys(), f"{kind.__name__}.{name}"


@given(data=st.data())
@shared
def test_nonsense_is_refused_by_a_storage_in_our_own_words_and_changes_nothing(
    anew: Callable[[], Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([door for door in DOORS if DOORS[door] and door != "delete"]))
    parameter = data.draw(st.sampled_from(sorted(DOORS[name])))
    unfit = nonsense()[data.draw(PLACES)]
    with anew() as storage:
        if not hasattr(storage, name):
            return
        storage.insert(RECORD, None, NOW)
        said = answer(getattr(storage, name), **{**DOORS[name], parameter: unfit})
        if isinstance(said, tuple) and not isinstance(said, SessionRecord):
            assert issubclass(said[0], REFUSED), said
            assert storage.read(RECORD.id, NOW) == RECORD


@given(data=st.data())
@shared
def test_a_record_that_holds_nonsense_is_refused_or_kept_and_harms_no_other(
    anew: Callable[[], Any], data: st.DataObject
) -> None:
    field = data.draw(st.sampled_from([*SessionRecord._fields, "extra"]))
    unfit = nonsense()[data.draw(PLACES)]
    if field == "extra":
        changes: dict[str, Any] = {"context": SessionContext(device=Device("a", "b", unfit))}
    else:
        changes = {field: unfit}
    with anew() as storage:
        storage.insert(RECORD, None, NOW)
        written = make_record(3, subject="bob")._replace(**changes)
        for call in (
            lambda: storage.insert(written, None, NOW),
            lambda: storage.replace(written, NOW),
            lambda: storage.delete([written], NOW),
            lambda: storage.read_all("bob", NOW),
        ):
            said = answer(call)
            if isinstance(said, tuple) and said:
                assert issubclass(said[0], (*REFUSED, KeyError)), said
        assert storage.read(RECORD.id, NOW) == RECORD


@given(data=st.data())
@shared
def test_records_that_are_none_are_deleted_by_no_storage(
    anew: Callable[[], Any], data: st.DataObject
) -> None:
    unfit = nonsense()[data.draw(PLACES)]
    with anew() as storage:
        storage.insert(RECORD, None, NOW)
        for records in (unfit, [unfit]):
            said = answer(storage.delete, records, NOW)
            assert said == [] or issubclass(said[0], InvalidArgument), said
        assert storage.read(RECORD.id, NOW) == RECORD


# Options

OPTIONS: Mapping[Any, Mapping[str, Any]] = {
    SqliteStorage: {"path": "s.db", "timeout": 5.0, "synchronous": "NORMAL"},
    SqliteFeed: {
        "path": "f.db",
        "timeout": 5,
        "synchronous": "FULL",
        "when_stale": "accept",
        "clock": FakeClock(NOW),
        "timer": FakeClock(NOW),
    },
    RedisStorage: {"client": None, "prefix": "doors:storage", "timeout": 5.0},
    RedisFeed: {
        "client": None,
        "prefix": "doors:feed",
        "timeout": 5,
        "when_stale": "refuse",
        "max_staleness": 10.0,
        "clock": FakeClock(NOW),
        "timer": FakeClock(NOW),
    },
}


@pytest.fixture(params=OPTIONS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def options(
    kind: Any, server: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    monkeypatch.chdir(tmp_path)
    with closing(server.client()) as client:
        plain = {**OPTIONS[kind]}
        yield {**plain, "client": client} if "client" in plain else plain


def test_every_option_is_driven(kind: Any) -> None:
    assert {*inspect.signature(kind).parameters} == OPTIONS[kind].keys()


@given(data=st.data())
@shared
def test_an_option_counts_by_what_it_is(
    kind: Any, options: dict[str, Any], data: st.DataObject
) -> None:
    shown = {name: data.draw(disguised(value)) for name, value in options.items()}
    with closing(kind(**options)) as plain, closing(kind(**shown)) as made:
        assert repr(made) == repr(plain)
        assert made.waits == plain.waits
        if kind in (SqliteStorage, RedisStorage):
            made.insert(make_record(8, subject="eve"), None, NOW)
            assert len(plain.read_all("eve", NOW)) == 1
            made.delete(plain.read_all("eve", NOW), NOW)


@given(data=st.data())
@shared
def test_an_option_that_is_nonsense_is_refused_and_named(
    kind: Any, options: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(options)))
    unfit = nonsense()[data.draw(PLACES)]
    said = answer(kind, **{**options, name: unfit})
    if not isinstance(said, tuple):
        said.close()
        return
    assert issubclass(said[0], (ConfigurationError, StorageUnavailable)), said
    assert name in said[1] or "the database file" in said[1]


def test_a_message_names_the_value_that_was_given_and_the_unit(
    kind: Any, options: dict[str, Any]
) -> None:
    for given_value, words in ((-1, "-1"), ("5", "'5'"), (None, "NoneType"), (True, "True")):
        with pytest.raises(
            ConfigurationError, match=f"timeout must be a number of seconds.*{words}"
        ):
            kind(**{**options, "timeout": given_value})
    if "when_stale" in options:
        with pytest.raises(ConfigurationError, match="'accept' or 'refuse', not 'refused'"):
            kind(**{**options, "when_stale": "refused"})


# What a feed is told

SOON = Revocation("A" * 16, NOW + 60, 5)


@pytest.fixture(params=["sqlite", "redis"])
def feed_anew(
    request: pytest.FixtureRequest, tmp_path: Path, server: Node
) -> Iterator[Callable[[], Any]]:
    """Return what opens a feed of an empty log, and a list that listens to it."""
    with closing(server.client()) as client:

        @contextmanager
        def opened() -> Iterator[Any]:
            clock = FakeClock(NOW)
            name = secrets.token_hex(8)
            feed: Any = (
                SqliteFeed(tmp_path / name, synchronous="NORMAL", clock=clock)
                if request.param == "sqlite"
                else RedisFeed(client, prefix=name, clock=clock)
            )
            with closing(RevocationList(feed, clock=clock)) as revocations:
                yield feed, revocations

        yield opened


@given(data=st.data())
@shared
def test_a_feed_publishes_plain_values_whatever_it_was_handed(
    feed_anew: Callable[[], Any], data: st.DataObject
) -> None:
    shown = data.draw(disguised(SOON))
    with feed_anew() as (feed, revocations):
        feed.publish([shown])
        revocations.revoke("B" * 16, data.draw(disguised(60)), before=data.draw(disguised(5)))
        assert revocations.lowest_generation(data.draw(disguised("B" * 16))) == 5


@given(data=st.data())
@shared
def test_nonsense_is_refused_by_a_feed_in_our_own_words(
    feed_anew: Callable[[], Any], data: st.DataObject
) -> None:
    unfit = nonsense()[data.draw(PLACES)]
    place = data.draw(st.integers(0, 2))
    fields = [*SOON]
    fields[place] = unfit
    with feed_anew() as (feed, revocations):
        for call, revoked in (
            (feed.publish, unfit),
            (feed.publish, [unfit]),
            (feed.publish, [tuple(fields)]),
            (lambda revoked: revocations.publish(revoked, NOW), [tuple(fields)]),
            (lambda revoked: revocations.publish([SOON], revoked), unfit),
        ):
            said = answer(call, revoked)
            assert said is None or issubclass(said[0], InvalidArgument), said
