"""Gaps in the positions of a log, beside a set of the positions that were not seen."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tokenwheel.tables.gaps import Gaps, in_few_ranges

MOST = 16  # ranges, and batches


class GapsModel(RuleBasedStateMachine):
    """Gaps are noted and dropped while time goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps = Gaps()
        self.unseen: dict[int, float] = {}
        """When each position was noted."""
        self.last = 0
        self.now = 0.0

    @rule(
        seen=st.integers(1, 30),
        widths=st.lists(st.integers(1, 8), min_size=1, max_size=20),
        seconds=st.sampled_from([0.0, 1.0, 10.0, 61.0]),
    )
    def note(self, seen: int, widths: list[int], seconds: float) -> None:
        self.now += seconds
        for width in widths:
            first = self.last + seen + 1
            self.last = first + width - 1
            self.gaps.note(first, self.last, self.now)
            self.unseen |= dict.fromkeys(range(first, self.last + 1), self.now)

    @rule(start=st.floats(0, 1), width=st.sampled_from([1, 1, 2, 5, 50, 500]))
    def drop(self, start: float, width: int) -> None:
        first = int(start * (self.last + 2))
        self.gaps.drop(first, first + width - 1)
        for position in range(first, first + width):
            self.unseen.pop(position, None)

    @rule()
    def give_up_a_batch(self) -> None:
        batch = self.gaps.due(self.now)
        if batch is None:
            assert not self.unseen or min(self.unseen.values()) > self.now - 70 or self.has_most()
            return
        given_up = {
            position
            for first, last in self.gaps.ranges_of(batch)
            for position in range(first, last + 1)
            if position in self.unseen
        }
        assert given_up
        assert max(self.unseen[position] for position in given_up) <= self.now - 60
        batch.asked_at = self.now
        for first, last in self.gaps.ranges_of(batch):
            self.gaps.drop(first, last)
        for position in given_up:
            del self.unseen[position]
        assert self.gaps.due(self.now) is not batch

    def has_most(self) -> bool:
        return len(self.gaps._batches) == MOST

    @invariant()
    def they_hold_what_was_not_seen(self) -> None:
        assert [
            position for first, last in self.gaps for position in range(first, last + 1)
        ] == sorted(self.unseen)
        assert all(position in self.gaps for position in self.unseen)
        assert not any(
            position in self.gaps
            for position in range(-1, self.last + 3)
            if position not in self.unseen
        )
        assert bool(self.gaps) == bool(self.unseen)

    @invariant()
    def no_two_gaps_touch(self) -> None:
        assert all(before[1] + 1 < after[0] for before, after in pairwise(self.gaps))

    @invariant()
    def few_ranges_hold_all_of_them_and_as_little_else_as_can_be(self) -> None:
        gaps, ranges = list(self.gaps), self.gaps.ranges()
        assert len(ranges) == min(len(gaps), MOST)
        assert all(
            any(first <= gap[0] and gap[1] <= last for first, last in ranges) for gap in gaps
        )
        between = sorted(after[0] - before[1] - 1 for before, after in pairwise(gaps))
        held = sum(last - first + 1 for first, last in ranges)
        assert held == len(self.unseen) + sum(between[: max(len(gaps) - MOST, 0)])

    @invariant()
    def each_gap_is_in_one_batch(self) -> None:
        batches = self.gaps._batches
        assert len(batches) <= MOST
        for gap in self.gaps:
            assert sum(batch.first <= gap[0] and gap[1] <= batch.last for batch in batches) == 1


TestGaps = GapsModel.TestCase


def test_most_gaps_are_asked_about_a_minute_after_they_were_noted() -> None:
    gaps = Gaps()
    gaps.note(1, 1, 0.0)
    gaps.note(3, 3, 9.0)
    gaps.note(5, 5, 10.0)
    assert gaps.due(68.9) is None
    first = gaps.due(69.0)
    assert first is not None
    assert gaps.ranges_of(first) == [(1, 1), (3, 3)]
    first.asked_at = 69.0
    second = gaps.due(70.0)
    assert second is not None
    assert gaps.ranges_of(second) == [(5, 5)]


def test_a_batch_that_others_still_fill_keeps_none_from_being_asked_about() -> None:
    gaps = Gaps()
    for place in range(3):
        gaps.note(10 * place + 1, 10 * place + 2, 10.0 * place)
    asked = []
    for now in range(100, 106):
        batch = gaps.due(float(now))
        assert batch is not None
        batch.asked_at = float(now)
        asked.append(batch.first)
    assert asked == [1, 11, 21, 1, 11, 21]


def test_a_gap_that_joins_a_batch_has_it_asked_anew_who_writes() -> None:
    gaps = Gaps()
    for place in range(MOST):
        gaps.note(2 * place + 1, 2 * place + 1, 10.0 * place)
    newest = gaps._batches[-1]
    newest.writers = "those of old"
    gaps.note(101, 101, 1_000.0)
    assert newest.writers is None
    assert gaps.due(1_059.0) is not newest
    assert newest.noted_at == 1_000.0


def test_who_writes_is_forgotten_where_another_server_may_answer() -> None:
    gaps = Gaps()
    gaps.note(1, 1, 0.0)
    batch = gaps.due(60.0)
    assert batch is not None
    batch.writers = 7
    gaps.forget_writers()
    assert batch.writers is None


@pytest.mark.parametrize("count", [0, 1, MOST])
def test_few_gaps_are_asked_for_one_by_one(count: int) -> None:
    gaps = [(10 * place, 10 * place + 3) for place in range(count)]
    assert in_few_ranges(gaps) == gaps
