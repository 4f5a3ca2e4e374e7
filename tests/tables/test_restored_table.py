"""A table that lost rows gets them back from the processes that know of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tables.dull_table import START, DullTable, revocation
from tests.tables.reading_node import Node
from tokenwheel.driver import drive
from tokenwheel.tables.protocol import Wait

HOUR = 3600.0  # seconds
RESTORED = (
    "the table of revocations was restored, rolled back or replaced; it is read anew from its start"
)


def test_a_restored_log_is_read_anew_and_gets_back_what_it_lacks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = DullTable()
    table.publish(revocation(1))
    backup = table.copy()
    table.publish(revocation(2), revocation(3, START + 10))
    node = Node(table).connect()
    table.restore(backup)
    table.publish(revocation(4))
    node.look(20.0)
    assert node.heard[3:] == [revocation(1), revocation(4)]
    assert table.revocations == [revocation(1), revocation(4), revocation(2)]
    assert [record.message for record in caplog.records] == [
        RESTORED,
        "the table lacks 1 revocations that this process knows of; they are put back",
    ]
    assert node.reader.replays == 1
    works = table.works
    node.look(1.0)
    node.look(1.0)
    assert table.works == works + 2
    assert len(table.rows) == 3


def test_an_emptied_table_gets_back_all_that_lives() -> None:
    table = DullTable()
    table.publish(*map(revocation, range(1_200)))
    node = Node(table).connect()
    table.restore(({}, 0))
    node.look(1.0)
    node.look(1.0)
    assert sorted(table.revocations) == sorted(map(revocation, range(1_200)))
    # Nothing more is kept of that than there is to know of any log.
    assert (node.reader._known._in_log, node.reader._known._lost) == (set(), [])


def test_what_was_put_back_and_is_lost_again_before_it_was_heard_is_put_back_again() -> None:
    table = DullTable()
    table.publish(revocation(1))
    backup = table.copy()
    table.publish(revocation(2))
    node = Node(table).connect()
    table.restore(backup)
    node.look(1.0)
    assert table.revocations == [revocation(1), revocation(2)]
    table.restore(backup)
    node.look(1.0)
    node.look(1.0)
    assert table.revocations == [revocation(1), revocation(2)]


def test_of_several_nodes_that_put_back_at_once_each_does_a_share() -> None:
    table = DullTable()
    table.publish(*map(revocation, range(3_000)))
    nodes = [Node(table).connect() for _ in range(4)]
    table.restore(({}, 0))
    commands = []
    for node in nodes:
        node.advance(1.0)
        commands.append(node.following.send(None))
    while any(not isinstance(command, Wait) for command in commands):
        for place, node in enumerate(nodes):
            if not isinstance(commands[place], Wait):
                commands[place] = node.following.send(table.carry_out(commands[place]))
    assert set(table.revocations) == set(map(revocation, range(3_000)))
    assert len(table.rows) < 2 * 3_000


def test_a_table_that_is_emptied_again_while_much_is_put_back_gets_back_all_the_same() -> None:
    table = DullTable()
    table.publish(*map(revocation, range(1_000)))
    node = Node(table).connect()
    table.restore(({}, 0))
    is_again = False

    def empty_again(command: Any) -> None:
        nonlocal is_again
        if not is_again and node.reader.entries == 1_500:  # Two parts were heard.
            is_again = True
            table.restore(({}, 0))

    node.look(1.0, between=empty_again)
    node.look(1.0)
    assert is_again
    assert sorted(table.revocations) == sorted(map(revocation, range(1_000)))


def test_a_table_that_is_replaced_while_it_is_read_is_read_from_its_start() -> None:
    table = DullTable()
    table.publish(*map(revocation, range(1_500)))
    node = Node(table)
    works = 0

    def replace_before_the_second(work: Any) -> Any:
        nonlocal works
        works += 1
        if works == 2:
            table.restore(({}, 0))
            table.publish(*map(revocation, range(2_000, 3_500)), published_at=START - HOUR)
        return table.carry_out(work)

    drive(node.reader.catch_up(), replace_before_the_second)
    assert set(node.heard) == set(map(revocation, [*range(1_000), *range(2_000, 3_500)]))


def test_a_connection_that_breaks_while_much_is_put_back_delays_that_alone() -> None:
    table = DullTable()
    table.publish(*map(revocation, range(1_000)))
    node = Node(table).connect()
    table.restore(({}, 0))
    works = 0

    def break_down(command: Any) -> None:
        nonlocal works
        works += 1
        if works == 6:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        node.look(1.0, between=break_down)
    assert 0 < len(table.rows) < 1_000
    node.connect()
    assert sorted(table.revocations) == sorted(map(revocation, range(1_000)))


def test_a_row_in_the_place_of_the_last_one_is_of_another_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = DullTable()
    table.publish(revocation(1))
    node = Node(table).connect()
    table.restore(({}, 0))
    table.publish(revocation(2), revocation(3))
    node.look(1.0)
    assert set(node.heard) == set(table.revocations) == set(map(revocation, (1, 2, 3)))
    assert caplog.records[0].message == RESTORED


def test_a_row_in_the_place_of_one_that_is_long_over_is_of_another_log_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = DullTable()
    table.publish(revocation(1, START + 10))
    node = Node(table).connect()
    table.restore(({}, 0))
    table.publish(revocation(2))
    node.look(2 * HOUR)
    assert [record.message for record in caplog.records] == [RESTORED]


def test_a_last_row_that_was_removed_long_after_its_end_worries_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = DullTable()
    table.publish(revocation(1, START + 10))
    node = Node(table).connect()
    table.publish(revocation(2), revocation(3))
    table.run(lambda statements: statements.remove_revocations(START + 20, 8))
    node.look(2 * HOUR)
    assert node.heard[1:] == [revocation(2), revocation(3)]
    assert caplog.records == []
    assert node.reader.replays == 1


def test_a_replica_that_lacks_a_row_but_the_last_gets_it_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = DullTable()
    late = table.begin()
    late.append([revocation(1)], START)
    table.publish(revocation(2))
    node = Node(table).connect()
    late.commit()
    node.look(1.0)
    del table.rows[1]  # Its commit had not reached the replica.
    node.look(1.0)
    node.connect()
    node.look(1.0)
    assert table.revocations == [revocation(2), revocation(1)]
    assert caplog.records[0].message == RESTORED


def test_a_new_connection_to_the_same_log_reads_nothing_anew() -> None:
    table = DullTable()
    table.publish(*map(revocation, range(600)))
    node = Node(table).connect()
    node.connect()
    assert (node.reader.replays, node.reader.entries) == (0, 600)


def test_rows_that_came_lately_and_lie_far_apart_are_not_taken_for_gone() -> None:
    table = DullTable()
    node = Node(table).connect()
    late = [table.begin() for _ in range(200)]
    for number, transaction in enumerate(late):
        transaction.append([revocation(10 * number)], START)
        table.publish(*(revocation(10 * number + rest) for rest in range(1, 10)))
    node.look()
    for transaction in late:
        transaction.commit()
    node.look()
    node.connect()
    assert (node.reader.replays, node.reader.entries) == (0, 2_000)


def test_a_new_connection_asks_anew_who_writes() -> None:
    table = DullTable()
    node = Node(table).connect()
    rolled_back = table.begin()
    rolled_back.append([revocation(1)], START)
    table.publish(revocation(2))
    rolled_back.roll_back()
    node.look()
    node.advance(100.0)
    batch = node.reader._bookmark.gaps.due(node.timer.now)
    assert batch is not None
    # Another server named a writer that this one never heard of.
    batch.writers = [table.begin()]
    node.look(1.0)
    assert node.ranges() == [(1, 1), (2, None)]
    node.connect()
    assert node.ranges() == [(2, None)]
