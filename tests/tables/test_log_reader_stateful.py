"""Whatever writers, clocks, backups and connections do, no committed revocation is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.support import FakeClock
from tests.tables.dull_table import START, DullTable, Transaction
from tests.tables.reading_node import Node
from tokenwheel import Revocation
from tokenwheel.revocation.message import pack
from tokenwheel.tables import bookmark, gaps, log_reader
from tokenwheel.tables.protocol import Wait

PLACES = st.integers(0, 7)
# Seconds, 40 minutes: who starts later than that waits for no row of an open transaction.
LONGEST_OPEN = 2_400.0


class SteppedNode(Node):
    """A node that carries out a command at a time."""

    def connect(self) -> SteppedNode:
        self.talk: Any = self.reader.catch_up()
        self.command = next(self.talk)
        return self

    def step(self) -> None:
        try:
            self.command = self.talk.send(self.table.carry_out(self.command))
        except StopIteration:
            self.talk = self.reader.follow(1.0)
            self.command = next(self.talk)

    def end_look(self) -> None:
        while not isinstance(self.command, Wait):
            self.step()

    def look(self) -> None:  # type: ignore[override]
        self.end_look()
        self.step()
        self.end_look()

    def begin_anew(self) -> None:
        self.reader = self.reader.begun_anew()
        self.connect()


class LogModel(RuleBasedStateMachine):
    """Writers, and nodes that follow what they write."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = pytest.MonkeyPatch()
        # So few that some steps reach every limit.
        self.patches.setattr(bookmark, "READ_AT_ONCE", 3)
        self.patches.setattr(log_reader, "READ_AT_ONCE", 3)
        self.patches.setattr(log_reader, "_PUT_BACK_AT_ONCE", 2)
        self.patches.setattr(gaps, "_MOST_RANGES", 2)
        self.patches.setattr(gaps, "_MOST_BATCHES", 2)
        self.timer, self.clock = FakeClock(100.0), FakeClock(START)
        self.open: list[tuple[float, Transaction]] = []
        self.nodes: list[SteppedNode] = []
        self.promised: set[Revocation] = set()
        """What every node is to hear, as long as it lives."""
        self.expected: set[Revocation] = set()
        self.backup: Any = None
        self.made = 0

    @initialize(tells_ranges=st.booleans())
    def make_table(self, tells_ranges: bool) -> None:
        self.table = DullTable(tells_ranges=tells_ranges)
        self.backup = self.table.copy()
        self.start_node()

    @precondition(lambda self: len(self.open) < 6)
    @rule()
    def begin(self) -> None:
        self.open.append((self.timer.now, self.table.begin()))

    @precondition(lambda self: self.open)
    @rule(place=PLACES, count=st.sampled_from([1, 1, 1, 2, 5]), lives=st.sampled_from([99, 9e8]))
    def insert(self, place: int, count: int, lives: float) -> None:
        _, transaction = self.open[place % len(self.open)]
        transaction.append([self.make(lives) for _ in range(count)], self.clock.now)

    @precondition(lambda self: self.open)
    @rule(place=PLACES)
    def commit(self, place: int) -> None:
        _, transaction = self.open.pop(place % len(self.open))
        self.commit_now(transaction)

    @precondition(lambda self: self.open)
    @rule(place=PLACES)
    def roll_back(self, place: int) -> None:
        self.open.pop(place % len(self.open))[1].roll_back()

    @rule(lives=st.sampled_from([99, 9e8]))
    def publish(self, lives: float) -> None:
        transaction = self.table.begin()
        transaction.append([self.make(lives)], self.clock.now)
        self.commit_now(transaction)

    @rule(place=PLACES, is_lost=st.booleans())
    def publish_from_a_node(self, place: int, is_lost: bool) -> None:
        revocation = self.make(9e8)
        self.nodes[place % len(self.nodes)].reader.expect([pack(revocation)])
        self.expected.add(revocation)
        self.promised.add(revocation)
        if not is_lost:
            self.table.publish(revocation, published_at=self.clock.now)

    @rule(place=PLACES, count=st.integers(1, 8))
    def step(self, place: int, count: int) -> None:
        for _ in range(count):
            self.nodes[place % len(self.nodes)].step()

    @rule(seconds=st.sampled_from([0.25, 1.0, 15.0, 70.0]))
    def pass_time(self, seconds: float) -> None:
        self.timer.advance(seconds)
        self.clock.advance(seconds)

    @rule()
    def remove_what_is_long_over(self) -> None:
        self.pass_time(3_800.0)
        # Who misses the row that it took in last reads anew.
        self.end_what_is_open_for_too_long()
        self.table.run(lambda log: log.remove_revocations(self.clock.now - 3_600.0, 4))

    @precondition(lambda self: len(self.nodes) < 3)
    @rule()
    def start_node(self) -> None:
        self.end_what_is_open_for_too_long()
        self.nodes.append(SteppedNode(self.table, self.timer, self.clock).connect())

    @rule(place=PLACES)
    def connect_anew(self, place: int) -> None:
        self.nodes[place % len(self.nodes)].connect()

    @rule(place=PLACES, is_stuck=st.booleans())
    def read_anew(self, place: int, is_stuck: bool) -> None:
        self.end_what_is_open_for_too_long()
        node = self.nodes[place % len(self.nodes)]
        if is_stuck:
            node.begin_anew()
        else:
            node.reader.rewind()

    @rule()
    def back_up(self) -> None:
        self.backup = self.table.copy()

    @rule(breaks=st.booleans())
    def restore(self, breaks: bool) -> None:
        self.open.clear()
        self.table.restore(self.backup)
        heard = {revocation for node in self.nodes for revocation in node.heard}
        self.promised = set(self.table.revocations) | heard | self.expected
        for node in self.nodes:
            # A server does not come back from a backup without breaking its connections. Where the
            # last row is another one, each look would find that out all the same.
            if breaks or int(node.reader.last_id) in self.table.rows:
                node.connect()

    def teardown(self) -> None:
        try:
            if self.nodes:
                self.all_that_lives_is_heard_and_in_the_table()
                for _, transaction in self.open[::2]:
                    self.commit_now(transaction)
                for _, transaction in self.open[1::2]:
                    transaction.roll_back()
                self.all_that_lives_is_heard_and_in_the_table()
                self.no_gap_is_left()
        finally:
            self.patches.undo()

    def make(self, lives: float) -> Revocation:
        self.made += 1
        return Revocation(f"{self.made:016d}", self.clock.now + lives, None)

    def commit_now(self, transaction: Transaction) -> None:
        before = set(self.table.revocations)
        transaction.commit()
        self.promised |= set(self.table.revocations) - before

    def end_what_is_open_for_too_long(self) -> None:
        for began_at, transaction in list(self.open):
            if self.timer.now - began_at > LONGEST_OPEN:
                self.open.remove((began_at, transaction))
                self.commit_now(transaction)

    def all_that_lives_is_heard_and_in_the_table(self) -> None:
        for _ in range(5):
            self.pass_time(1.0)
            for node in self.nodes:
                node.look()
        living = {promise for promise in self.promised if promise.expires_at > self.clock.now}
        assert living <= set(self.table.revocations)
        for node in self.nodes:
            assert living <= set(node.heard)
            assert node.staleness() <= 1.0

    def no_gap_is_left(self) -> None:
        for _ in range(4):
            self.pass_time(71.0)
            for node in self.nodes:
                node.look()
        assert not any(node.reader._bookmark.gaps for node in self.nodes)


TestLog = LogModel.TestCase
