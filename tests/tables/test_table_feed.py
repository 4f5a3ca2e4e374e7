"""TableFeed in both colours, on a table in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import FakeClock
from tests.tables.dull_table import START, DullDatabase, DullTable, Transaction, revocation
from tokenwheel import ConfigurationError, InvalidArgument, Revocation
from tokenwheel.driver import drive
from tokenwheel.revocation.message import pack
from tokenwheel.tables.feed import TableFeed
from tokenwheel.tables.storage import TableStorage
from tokenwheel.testing import FeedContract, following, make_record


class TestBlocking(FeedContract):
    is_immediate = False
    is_async = False

    def make_feeds(self) -> tuple[TableFeed, TableFeed]:
        table = DullTable()
        first, second = (
            TableFeed(DullDatabase(table, is_async=self.is_async), poll_interval=0.05)
            for _ in range(2)
        )
        return first, second


class TestAsync(TestBlocking):
    is_async = True


class World:
    """A feed that is started, but whose reader only the test drives."""

    def __init__(self, *, is_async: bool) -> None:
        self.table = DullTable()
        self.database = DullDatabase(self.table, is_async=is_async)
        self.clock, self.timer = FakeClock(START), FakeClock(100.0)
        self.feed = TableFeed(self.database, clock=self.clock, timer=self.timer)
        self.heard: list[Revocation] = []
        # Nobody begins to read by himself before a publication.
        self.feed._begin_before_publishing = lambda: None  # type: ignore[method-assign]
        self.feed.start(lambda rows: self.heard.extend(map(Revocation._make, rows)))

    def look(self) -> None:
        drive(self.feed._reader.catch_up(), self.table.carry_out)

    def wait(self, answer: Any) -> Any:
        if not self.database.is_async:
            return answer
        return asyncio.run(_awaited(answer))

    def publish(self, *revocations: Revocation) -> None:
        self.wait(self.feed.publish(revocations))


async def _awaited(answer: Any) -> Any:
    return await answer


@pytest.fixture(params=[False, True], ids=["blocking", "async"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(is_async=request.param)
    yield world
    world.wait(world.feed.close())


def test_many_revocations_are_published_in_one_transaction(world: World) -> None:
    works = world.table.works
    world.publish(*map(revocation, range(2_500)))
    assert world.table.works == works + 2  # The other one removes what is long over.
    assert world.table.revocations == list(map(revocation, range(2_500)))
    world.look()
    assert world.heard == world.table.revocations


def test_only_one_revocation_is_published_without_a_transaction_around_it(world: World) -> None:
    world.publish(revocation(1))
    world.publish(revocation(2), revocation(3))
    assert world.database.alone == [True, False]


def test_rows_say_when_they_were_published_by_the_slowest_clock(world: World) -> None:
    world.publish(revocation(1))
    world.clock.advance(500.0)  # and the timer does not
    world.publish(revocation(2))
    world.timer.advance(60.0)
    world.clock.advance(60.0)
    world.publish(revocation(3))
    assert [row.published_at for row in world.table.rows.values()] == [
        START,
        START,
        START + 60.0,
    ]


def test_what_could_not_be_published_is_published_once_the_database_is_back(world: World) -> None:
    world.table.failure = ConnectionError()
    with pytest.raises(ConnectionError):
        world.publish(revocation(1))
    world.look()
    assert world.table.rows == {}
    world.look()
    assert world.table.revocations == [revocation(1)]


@pytest.mark.parametrize("bad", [revocation(1, -1.0), ("A" * 16, 1.0), None])
def test_a_revocation_that_no_list_could_take_is_refused_with_all_others(
    world: World, bad: Any
) -> None:
    with pytest.raises(InvalidArgument):
        world.publish(revocation(1), bad)
    for _ in range(3):
        world.look()
    assert world.table.rows == {}


def test_what_a_storage_publishes_itself_is_published_again_where_it_is_lost(world: World) -> None:
    kept, withdrawn = revocation(1), revocation(2)
    messages = world.feed.expect([kept, withdrawn])
    assert messages == [pack(kept), pack(withdrawn)]
    world.feed.expect_no_more({pack(withdrawn)})
    world.look()
    world.look()
    assert world.table.revocations == [kept]


def test_a_feed_that_nobody_listens_to_waits_to_hear_nothing() -> None:
    table = DullTable()
    feed = TableFeed(DullDatabase(table))
    feed.expect([revocation(1)])
    heard: list[Any] = []
    for _ in range(2):
        drive(feed._reader.catch_up(), table.carry_out)
    assert (table.rows, heard) == ({}, [])


def test_a_few_rows_go_beside_each_publication_an_hour_after_their_end(world: World) -> None:
    for number in range(20):
        world.publish(revocation(number, START + 10))
    for clock in (world.clock, world.timer):
        clock.advance(3_609.0)
    world.publish(revocation(20))
    assert len(world.table.rows) == 21
    for clock in (world.clock, world.timer):
        clock.advance(1.0)
    counts = []
    for number in range(21, 26):
        world.publish(revocation(number))
        counts.append(len(world.table.rows))
    assert counts == [14, 7, 4, 5, 6]
    assert world.database.afterwards < 20


def test_a_clock_that_jumped_ahead_removes_nothing(world: World) -> None:
    world.publish(revocation(1, START + 10))
    world.clock.advance(10_000.0)
    world.publish(revocation(2))
    world.timer.advance(5.0)
    world.clock.advance(5.0)
    world.publish(revocation(3))
    assert len(world.table.rows) == 3


class _Sessions(Transaction):
    """The statements of a log and of a table whose every session is changed."""

    def replace_session(self, row: Any, session_id: str, version: Any) -> bool:
        return True

    def delete_sessions(self, versions: Any) -> Any:
        return list(versions)

    def remove_sessions(self, ended_before: float, most: int) -> int:
        return 0


@pytest.mark.parametrize(
    "write",
    [
        lambda storage, *rest: storage.replace(following(make_record()), START, *rest),
        lambda storage, *rest: storage.delete([make_record()], START, *rest),
    ],
    ids=["replace", "delete"],
)
def test_old_rows_also_go_where_a_storage_publishes_by_itself(
    world: World, write: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.tables.dull_table.Transaction", _Sessions)
    storage = TableStorage(world.database)
    assert storage.publishes_to(world.feed)
    world.publish(revocation(1, START + 10))
    for clock in (world.clock, world.timer):
        clock.advance(4_000.0)
    world.wait(write(storage, world.feed, [revocation(2)]))
    assert world.table.revocations == [revocation(2)]
    world.look()
    assert world.heard == [revocation(2)]


@pytest.mark.parametrize(
    "options",
    [
        {"poll_interval": 0.01},
        {"poll_interval": 61},
        {"poll_interval": "often"},
        {"max_staleness": 0},
        {"when_stale": "ignore"},
        {"clock": 1.0},
        {"timer": None},
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_its_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        TableFeed(DullDatabase(DullTable()), **options)


@pytest.mark.parametrize("is_async", [False, True])
def test_closing_a_feed_closes_its_database(is_async: bool) -> None:
    world = World(is_async=is_async)
    world.wait(world.feed.close())
    world.wait(world.feed.close())
    assert world.database.closed == 2


def test_an_async_feed_reads_on_in_a_task_until_it_is_closed() -> None:
    async def follow() -> list[Revocation]:
        table = DullTable()
        feed = TableFeed(DullDatabase(table, is_async=True), poll_interval=0.05)
        came = asyncio.Event()
        heard: list[Revocation] = []

        def apply(rows: Any) -> None:
            heard.extend(map(Revocation._make, rows))
            if heard:
                came.set()

        feed.start(apply)
        await feed.replay()
        table.publish(revocation(1))
        await came.wait()
        await feed.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert tasks == []
        return heard

    assert asyncio.run(follow()) == [revocation(1)]
