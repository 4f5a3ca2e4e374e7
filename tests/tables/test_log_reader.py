"""How a process reads a table of revocations: what it hears, and up to when it is sure.

The table is in memory, and its transactions are held open as long as a test likes.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.tables.dull_table import START, DullTable, revocation
from tests.tables.reading_node import Node
from tokenwheel import StorageUnavailable
from tokenwheel.driver import drive
from tokenwheel.revocation.message import pack
from tokenwheel.tables.log_reader import LogReader
from tokenwheel.tables.protocol import Wait

HOUR = 3600.0  # seconds
SKIPPED = (
    "the table of revocations holds rows that are none; they are passed over, and this is said once"
)


def test_the_first_look_takes_in_all_there_is_and_counts_as_of_when_it_was_asked() -> None:
    table = DullTable()
    table.publish(revocation(1), revocation(2, before=7))
    node = Node(table)
    talk = node.reader.catch_up()
    work = next(talk)
    node.advance(2.0)  # for which the answer is on its way
    with pytest.raises(StopIteration):
        talk.send(table.carry_out(work))
    assert node.heard == [revocation(1), revocation(2, before=7)]
    assert node.staleness() == 2.0
    assert (node.reader.last_id, node.reader.entries, node.reader.replays) == ("2", 2, 0)


def test_each_wait_is_followed_by_a_look_that_takes_in_what_came() -> None:
    table = DullTable()
    node = Node(table).connect()
    for number in range(3):
        table.publish(revocation(number))
        node.look()
        assert node.heard[-1] == revocation(number)
    assert node.reader.entries == 3


@pytest.mark.parametrize("longest_wait", [0.25, 1.0])
def test_a_wait_lasts_no_longer_than_two_signs_of_life_may_be_apart(longest_wait: float) -> None:
    node = Node(DullTable())
    assert next(node.reader.follow(longest_wait)) == Wait(longest_wait, min(0.5, longest_wait))
    patient = LogReader(60.0, node.clock, node.timer)
    assert next(patient.follow(longest_wait)) == Wait(longest_wait, longest_wait)


def test_a_look_without_news_makes_a_node_fresh_as_of_when_it_was_asked() -> None:
    node = Node(DullTable()).connect()
    node.look(0.5, between=lambda command: node.advance(0.125))
    assert node.staleness() == 0.125


def test_a_node_is_not_fresh_before_it_has_read_a_long_log_to_its_end() -> None:
    table = DullTable()
    table.publish(*map(revocation, range(1_500)))
    node = Node(table)
    talk = node.reader.catch_up()
    work = talk.send(table.carry_out(next(talk)))
    assert (len(node.heard), node.reader.fresh_at) == (1_000, float("-inf"))
    node.advance(1.0)
    with pytest.raises(StopIteration):
        talk.send(table.carry_out(work))
    assert node.staleness() == 1.0


def test_a_refused_apply_leaves_the_rows_to_be_read_again() -> None:
    table = DullTable()
    node = Node(table).connect()
    table.publish(revocation(1))
    lags = []

    def refuse(rows: Any) -> None:
        lags.append(node.reader.lag)
        raise MemoryError

    node.reader.begin(refuse)
    with pytest.raises(MemoryError):
        node.look()
    assert (node.reader.last_id, node.reader.entries, lags) == ("0", 0, [1])
    node.reader.begin(node.apply)
    node.connect()
    assert node.heard == [revocation(1)]
    assert (node.reader.entries, node.reader.lag) == (1, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": "short"},
        {"session_id": b"A" * 16},
        {"session_id": "*" * 16},
        {"expires_at": float("nan")},
        {"expires_at": "soon"},
        {"expires_at": -1.0},
        {"before": 0},
        {"before": 2**32},
        {"published_at": None, "expires_at": None},
    ],
)
def test_a_row_that_nobody_can_have_made_is_passed_over_and_counted(
    change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    table = DullTable()
    table.publish(*map(revocation, range(4)))
    for position in (2, 4):
        table.rows[position] = table.rows[position]._replace(**change)
    node = Node(table).connect()
    node.look(1.0)
    node.connect()
    assert node.heard == [revocation(0), revocation(2)]
    assert (node.reader.entries, node.reader.skipped, node.reader.last_id) == (4, 2, "4")
    assert [record.message for record in caplog.records] == [SKIPPED]
    del table.rows[4]
    table.publish(revocation(5))
    node.look(1.0)
    assert node.heard[-1] == revocation(5)


def test_a_rewound_reader_hands_over_once_more_what_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = DullTable()
    table.publish(revocation(1), revocation(2))
    node = Node(table).connect()
    node.reader.rewind()
    node.look()
    node.look(1.0)
    assert node.heard == 2 * [revocation(1), revocation(2)]
    assert len(table.rows) == 2
    assert caplog.records == []
    assert node.reader.replays == 1


def test_what_is_over_for_every_node_is_remembered_no_longer() -> None:
    table = DullTable()
    table.publish(revocation(1, START + 60), revocation(2, START + 7_200))
    node = Node(table).connect()
    node.look(HOUR)
    node.look(1.0)
    assert list(node.reader._known._heard) == [pack(revocation(2, START + 7_200))]


def test_rows_that_do_not_stay_where_they_are_are_refused(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenwheel.tables.bookmark.READ_AT_ONCE", 1)
    monkeypatch.setattr("tokenwheel.tables.log_reader.READ_AT_ONCE", 1)
    table = DullTable()
    node = Node(table)
    table.publish(revocation(1))

    def replace(command: Any) -> Any:
        table.rows[1] = table.rows[1]._replace(mark=f"{table.works:016x}")
        return table.carry_out(command)

    with pytest.raises(StorageUnavailable, match="its rows do not stay where they are"):
        drive(node.reader.catch_up(), replace)
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
