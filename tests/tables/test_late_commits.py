"""What is committed late is heard, however long its transaction is held open."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tables.dull_table import START, DullTable, revocation
from tests.tables.reading_node import Node
from tokenwheel.driver import drive

HOUR = 3600.0  # seconds


@pytest.fixture(params=[False, True], ids=["by writers", "by ranges"])
def table(request: pytest.FixtureRequest) -> DullTable:
    return DullTable(tells_ranges=request.param)


def test_a_row_that_is_committed_late_is_heard_at_the_next_look(table: DullTable) -> None:
    late = table.begin()
    late.append([revocation(1)], START)
    table.publish(revocation(2))
    node = Node(table).connect()
    assert node.heard == [revocation(2)]
    late.commit()
    node.look()
    assert node.heard == [revocation(2), revocation(1)]


def test_a_row_of_a_publisher_whose_clock_is_behind_hides_none_that_is_committed_late(
    table: DullTable,
) -> None:
    node = Node(table).connect()
    late = table.begin()
    late.append([revocation(1)], START)
    table.publish(revocation(2), published_at=START - 2 * HOUR)
    node.look()
    late.commit()
    node.look()
    assert node.heard == [revocation(2), revocation(1)]


def test_a_transaction_may_be_held_open_for_a_day_and_loses_nothing(table: DullTable) -> None:
    node = Node(table).connect()
    late = table.begin()
    late.append([revocation(1)], START)
    for number in range(2, 200):
        table.publish(revocation(number))
        if number % 3 == 0:  # Its position is never filled.
            rolled_back = table.begin()
            rolled_back.append([revocation(1_000)], START)
            rolled_back.roll_back()
        node.look(450.0)
    late.append([revocation(0)], START)
    late.commit()
    node.look()
    assert set(node.heard) == set(table.revocations)


def test_who_starts_while_a_transaction_is_open_hears_it_too(table: DullTable) -> None:
    late = table.begin()
    late.append([revocation(1)], START)
    table.publish(revocation(2), published_at=START)
    node = Node(table)
    node.advance(40 * 60.0)
    table.publish(revocation(3), published_at=node.clock.now)
    node.connect()
    late.commit()
    node.look()
    assert set(node.heard) == {revocation(number) for number in (1, 2, 3)}


def test_who_starts_waits_for_no_row_where_one_may_have_been_removed() -> None:
    table = DullTable()
    for number in range(10):
        table.publish(revocation(number), published_at=START - HOUR)
    for position in (1, 2, 5, 6, 7):
        del table.rows[position]
    node = Node(table).connect()
    assert len(node.heard) == 5
    assert node.ranges() == [(10, None)]


def test_a_gap_is_given_up_once_nobody_can_fill_it(table: DullTable) -> None:
    node = Node(table).connect()
    rolled_back = table.begin()
    rolled_back.append([revocation(1)], START)
    table.publish(revocation(2))
    rolled_back.roll_back()
    node.look()
    for _ in range(60):
        assert node.ranges() == [(1, 1), (2, None)]
        node.look(1.0)
    for _ in range(10):
        node.look(1.0)
    assert node.ranges() == [(2, None)]
    works = table.works
    node.look(1.0)
    assert table.works == works + 1


def test_what_is_committed_just_before_its_gap_is_given_up_is_heard(table: DullTable) -> None:
    node = Node(table).connect()
    late = table.begin()
    late.append([revocation(1)], START)
    table.publish(revocation(2))
    node.look()
    works: list[Any] = []

    def commit_after_the_first(command: Any) -> None:
        works.append(command)
        if len(works) == 2:
            late.commit()

    node.look(100.0, between=commit_after_the_first)
    assert len(works) == 3
    assert node.heard == [revocation(2), revocation(1)]
    assert node.ranges() == [(2, None)]


def test_a_transaction_that_is_stuck_keeps_no_other_gap_from_being_given_up() -> None:
    table = DullTable(tells_ranges=True)
    node = Node(table).connect()
    stuck = table.begin()
    stuck.append([revocation(0)], START)
    for number in range(1, 300):
        rolled_back = table.begin()
        rolled_back.append([revocation(1_000)], START)
        rolled_back.roll_back()
        table.publish(revocation(number))
        node.look(10.0)
    for _ in range(100):
        node.look(10.0)
    assert node.ranges() == [(1, 2), (599, None)]
    stuck.commit()
    node.look()
    assert node.heard[-1] == revocation(0)


def test_many_gaps_are_asked_for_in_few_ranges_and_no_row_is_taken_in_twice(
    table: DullTable,
) -> None:
    node = Node(table).connect()
    late = [table.begin() for _ in range(50)]
    for number, transaction in enumerate(late):
        transaction.append([revocation(number)], START)
        table.publish(revocation(100 + number))
    node.look()
    assert len(node.ranges()) == 17
    for transaction in late:
        transaction.commit()
        node.look()
    assert sorted(node.heard) == sorted(table.revocations)


def test_one_look_takes_in_what_came_in_far_gaps_though_it_reads_in_parts(
    table: DullTable,
) -> None:
    node = Node(table).connect()
    late = [table.begin() for _ in range(40)]
    for number, transaction in enumerate(late):
        transaction.append([revocation(number)], START)
        table.publish(*(revocation(100 * number + rest) for rest in range(100, 200)))
    node.look()
    for transaction in late:
        transaction.commit()
    works = table.works
    node.look()
    assert table.works > works + 1
    assert sorted(node.heard) == sorted(table.revocations)


def test_a_long_log_is_read_in_parts_and_what_is_committed_meanwhile_below_is_heard(
    table: DullTable,
) -> None:
    late = table.begin()
    late.append([revocation(10_000)], START)
    table.publish(*map(revocation, range(2_500)), published_at=START)
    node = Node(table)
    works = 0

    def commit_before_the_second(work: Any) -> Any:
        nonlocal works
        works += 1
        if works == 2:
            late.commit()
        return table.carry_out(work)

    drive(node.reader.catch_up(), commit_before_the_second)
    assert works == 3
    node.connect()
    assert sorted(node.heard) == sorted(table.revocations)
