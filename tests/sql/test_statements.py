"""What single statements do in each kind of database."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from tests.engines import KINDS, Place, place_for
from tests.servers import until
from tokenwheel import Revocation
from tokenwheel.sql.database import SqlDatabase
from tokenwheel.sql.dialects import statements_for
from tokenwheel.sql.metadata import revocations, sessions
from tokenwheel.tables.names import CHANNEL
from tokenwheel.tables.rows import SESSION_COLUMNS, row_of
from tokenwheel.testing import make_record

Run = Callable[..., Any]
TIMES = [0.1 + 0.2, 1e-308, 1_700_000_000.123_456_7, 2**53 - 0.5, 1 / 3, 99_999_999_999.999_98]


@pytest.fixture(scope="module", params=KINDS)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("database")
    with place_for(KINDS[request.param], request, folder) as place:
        yield place


@pytest.fixture
def run(place: Place) -> Iterator[Run]:
    """Return a function that carries out work on an empty database, and commits it."""
    place.empty()
    engine = place.engine()
    database = SqlDatabase(engine)
    loop = asyncio.new_event_loop()

    async def awaited(answer: Any) -> Any:
        return await answer

    def run(work: Any, **options: Any) -> Any:
        answer = database.run(work, **options)
        return loop.run_until_complete(awaited(answer)) if inspect.isawaitable(answer) else answer

    yield run
    for end in (database.close(), engine.dispose()):
        if end is not None:
            loop.run_until_complete(awaited(end))
    loop.run_until_complete(asyncio.sleep(0))  # in which transports come to their ends
    loop.close()


def over_each(*names: str) -> Any:
    return pytest.mark.parametrize("place", names, indirect=True, scope="module")


@contextmanager
def open_transaction(place: Place) -> Iterator[Any]:
    """Enter with the statements of another's transaction, which is rolled back in the end."""
    engine = place.plain_engine()
    with engine.connect() as connection:
        yield statements_for(engine.dialect)(connection)
        connection.rollback()
    engine.dispose()


def revocation(number: int, expires_at: float = 100.0, before: int | None = None) -> Revocation:
    return Revocation(f"{number:016d}", expires_at, before)


def rows_in_log(statements: Any) -> Any:
    return statements.log_rows([(0, None)], 0, 10_000)


def test_times_come_back_as_exactly_as_they_went_in(run: Run) -> None:
    def work(statements: Any) -> list[Any]:
        for number, time in enumerate(TIMES):
            record = make_record(number, created_at=time, last_used_at=time)
            statements.insert_session(row_of(record))
        return [statements.session(f"{number:016d}") for number in range(len(TIMES))]

    place = SESSION_COLUMNS.index("created_at")
    for row, time in zip(run(work), TIMES, strict=True):
        assert (row[place], type(row[place])) == (time, float)


def test_sessions_that_are_over_go_the_oldest_first(run: Run) -> None:
    def insert(statements: Any) -> None:
        for number, ends_at in enumerate([30, 10, 40, 20, 50]):
            statements.insert_session(row_of(make_record(number, ends_at=ends_at)))

    run(insert)
    assert run(lambda statements: statements.remove_sessions(40.9, 3)) == 3
    assert run(lambda statements: statements.count_sessions(0.0)) == 2
    assert run(lambda statements: statements.session(f"{2:016d}")) is not None
    assert run(lambda statements: statements.remove_sessions(40.0, 3)) == 1
    assert run(lambda statements: statements.remove_sessions(40.0, 3)) == 0
    assert run(lambda statements: statements.session(f"{4:016d}")) is not None


def test_of_revocations_that_are_over_the_last_row_stays(run: Run) -> None:
    for number, expires_at in enumerate([30.5, 10.0, 40.0, 20.0]):
        run(lambda statements: statements.append([revocation(number, expires_at)], 1.0))
    assert run(lambda statements: statements.remove_revocations(30.5, 2)) == 2
    kept = run(rows_in_log)
    assert [row.expires_at for row in kept] == [40.0, 20.0]
    assert run(lambda statements: statements.remove_revocations(99.0, 9)) == 1
    assert run(lambda statements: statements.remove_revocations(99.0, 9)) == 0
    assert run(rows_in_log) == kept[-1:]


@over_each("psycopg", "asyncpg", "pymysql", "aiomysql")
def test_a_row_that_another_transaction_has_locked_is_left_alone(place: Place, run: Run) -> None:
    def fill(statements: Any) -> None:
        for number in range(3):
            statements.insert_session(row_of(make_record(number, ends_at=10)))
        statements.append([revocation(number, 10.0) for number in range(3)], 1.0)

    run(fill)
    first = run(rows_in_log)[0].position
    with open_transaction(place) as other:
        for table, column, value in (
            (sessions, sessions.c.id, f"{0:016d}"),
            (revocations, revocations.c.position, first),
        ):
            other.connection.execute(select(table).where(column == value).with_for_update()).all()
        assert run(lambda statements: statements.remove_sessions(10.0, 9)) == 2
        assert run(lambda statements: statements.remove_revocations(10.0, 9)) == 1
    assert run(lambda statements: statements.remove_sessions(10.0, 9)) == 1
    assert run(lambda statements: statements.remove_revocations(10.0, 9)) == 1


def test_a_value_is_raised_and_never_lowered(run: Run) -> None:
    assert run(lambda statements: statements.value("number")) is None
    for number, kept in ((3, 3), (2, 3), (2**40, 2**40), (0, 2**40)):
        assert run(lambda statements: statements.raise_value("number", number)) == kept
    assert run(lambda statements: statements.value("number")) == 2**40


def test_any_number_of_revocations_is_appended_in_order(run: Run) -> None:
    news = [
        revocation(number, TIMES[number % len(TIMES)], number if number % 3 else None)
        for number in range(2_500)
    ]
    run(lambda statements: statements.append(news, 0.1 + 0.2))
    rows = run(rows_in_log)
    assert [Revocation._make(row.revocation) for row in rows] == news
    assert [row.position for row in rows] == sorted({row.position for row in rows})
    assert len({row.mark for row in rows}) == len(rows)
    assert {(len(row.mark), row.published_at) for row in rows} == {(16, 0.1 + 0.2)}


def test_the_log_is_read_by_ranges(run: Run) -> None:
    run(lambda statements: statements.append([revocation(number) for number in range(12)], 1.0))
    first, *_ = positions = [row.position for row in run(rows_in_log)]
    assert positions == list(range(first, first + 12))

    def read(ranges: Any, after: int, most: int) -> list[int]:
        rows = run(lambda statements: statements.log_rows(ranges, after, most), alone=True)
        return [row.position - first for row in rows]

    assert read([(first + 9, None)], 0, 99) == [9, 10, 11]
    assert read([(first + 1, first + 2), (first + 5, first + 5), (first + 10, None)], 0, 99) == [
        *(1, 2, 5, 10, 11)
    ]
    assert read([(first, None)], first + 3, 4) == [4, 5, 6, 7]
    assert read([(first + 50, None)], 0, 99) == []


@over_each("psycopg", "asyncpg", "pymysql", "aiomysql")
def test_a_gap_lasts_as_long_as_the_transaction_that_may_fill_it(place: Place, run: Run) -> None:
    run(lambda statements: statements.append([revocation(1)], 1.0))
    with open_transaction(place) as other:
        other.append([revocation(2)], 1.0)
        run(lambda statements: statements.append([revocation(3)], 1.0))
        rows = run(rows_in_log)
        gap = rows[0].position + 1
        assert [row.session_id for row in rows] == [f"{1:016d}", f"{3:016d}"]
        writers = run(lambda statements: statements.writers(), alone=True)

        def have_ended(statements: Any) -> bool:
            return bool(statements.have_ended(writers, gap, gap))

        assert run(have_ended, alone=True) is False
    assert run(have_ended, alone=True) is True


def test_a_gap_that_nobody_can_fill_has_ended(run: Run) -> None:
    writers = run(lambda statements: statements.writers(), alone=True)
    assert run(lambda statements: statements.have_ended(writers, 5, 9), alone=True) is True


@over_each("psycopg", "psycopg-asyncio", "asyncpg")
def test_who_listens_on_postgres_is_told_of_what_was_committed(place: Place, run: Run) -> None:
    def fail(statements: Any) -> None:
        statements.append([revocation(1)], 1.0)
        raise LookupError

    psycopg = pytest.importorskip("psycopg")
    url = place.plain_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        with pytest.raises(LookupError):
            run(fail)
        run(lambda statements: statements.append([revocation(2)], 1.0), alone=True)
        run(lambda statements: statements.append([revocation(3), revocation(4)], 1.0))
        heard = [notice.payload for notice in listener.notifies(timeout=30, stop_after=2)]
        heard += [notice.payload for notice in listener.notifies(timeout=0)]
    assert heard == ["", ""]


@over_each("psycopg", "pymysql")
def test_a_lock_is_held_until_the_transaction_ends_and_each_number_has_its_own(
    place: Place, run: Run
) -> None:
    run(lambda statements: statements.lock(7))
    question = {
        "psycopg": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
        "pymysql": "SELECT count(*) FROM information_schema.innodb_lock_waits",
    }[place.kind.driver]
    engine = place.plain_engine()
    with open_transaction(place) as other:
        other.begin(other.connection)
        other.lock(7)
        run(lambda statements: statements.lock(8))
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(run, lambda statements: statements.lock(7))
            with engine.connect() as connection:

                def is_waited_for() -> Any:
                    connection.rollback()
                    return connection.exec_driver_sql(question).scalar()

                until(is_waited_for, "the wait for the lock", 0.1)
            assert not waiting.done()
            other.connection.rollback()
            waiting.result()
    engine.dispose()


def test_no_version_beyond_what_a_row_can_have_is_deleted(run: Run) -> None:
    run(lambda statements: statements.insert_session(row_of(make_record())))
    for version in (2, 2**63, -(2**70)):
        assert not run(lambda statements: statements.delete_sessions({make_record().id: version}))
    deleted = run(lambda statements: statements.delete_sessions({make_record().id: 1}))
    assert deleted == [make_record().id]


def test_a_logout_everywhere_of_thousands_of_sessions_takes_few_statements(run: Run) -> None:
    ids = [f"{number:016d}" for number in range(1_100)]

    def insert(statements: Any, some: list[str]) -> None:
        for session_id in some:
            statements.insert_session(row_of(make_record(id=session_id)))

    def delete(statements: Any) -> set[str]:
        versions = dict.fromkeys(ids, 1) | {ids[0]: 2, "A" * 16: 1}
        return set(statements.delete_sessions(versions))

    for begin in range(0, len(ids), 100):
        run(partial(insert, some=ids[begin : begin + 100]))
    executed: list[str] = []

    def note(*arguments: Any) -> None:
        executed.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        deleted = run(delete)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert deleted == set(ids[1:])
    assert 1 < sum("tokenwheel_sessions" in statement for statement in executed) <= 4
    assert run(lambda statements: statements.count_sessions(0)) == 1
