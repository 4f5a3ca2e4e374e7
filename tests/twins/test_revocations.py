"""The table of revoked sessions: merging, exact ends, hostile ids, memory. Both twins.

A plain dict shows step by step what is right.
"""

from __future__ import annotations

import copy
import gc
import importlib
import os
import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support import FakeClock
from tests.twins.conftest import TWINS
from tokenwheel import ConfigurationError, InvalidArgument, StorageUnavailable

ONE, OTHER = "AAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAB"
nan, infinite = float("nan"), float("inf")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


@pytest.fixture
def table(load: Callable[[str], ModuleType], clock: FakeClock) -> Any:
    return load("revocations").RevocationTable(clock=clock, timer=clock)


def test_a_revoked_session_is_refused_until_its_very_end(table: Any, clock: FakeClock) -> None:
    table.revoke(ONE, 60)
    assert table.is_revoked(ONE)
    assert table.is_revoked(ONE, 2**32 - 2)
    assert not table.is_revoked(OTHER)
    clock.advance(59.999)
    assert table.is_revoked(ONE)
    clock.advance(0.001)
    assert not table.is_revoked(ONE)
    assert len(table) == 0


def test_generations_below_the_given_one_are_refused_and_no_others(table: Any) -> None:
    table.revoke(ONE, 60, before=3)
    assert [table.is_revoked(ONE, generation) for generation in range(5)] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_the_lowest_generation_is_the_first_that_is_not_refused(
    table: Any, clock: FakeClock
) -> None:
    assert table.lowest_generation(ONE) == 0
    table.revoke(ONE, 60, before=2**32 - 2)
    assert table.lowest_generation(ONE) == 2**32 - 2
    assert not table.is_revoked(ONE, 2**32 - 2)
    table.revoke(ONE, 60)
    assert table.lowest_generation(ONE) is None
    assert table.lowest_generation(OTHER) == 0
    clock.advance(60)
    assert table.lowest_generation(ONE) == 0


def test_the_lowest_generation_is_told_without_asking_for_news(
    load: Callable[[str], ModuleType], clock: FakeClock
) -> None:
    def fail() -> None:
        raise StorageUnavailable("out of reach")

    table = load("revocations").RevocationTable(clock=clock, before_lookup=fail)
    table.revoke(ONE, 60, before=3)
    assert table.lowest_generation(ONE) == 3


def test_entries_merge_by_the_higher_generation_and_the_later_end(
    table: Any, clock: FakeClock
) -> None:
    table.revoke(ONE, 60, before=3)
    table.revoke(ONE, 10, before=5)
    table.revoke(ONE, 30, before=1)
    clock.advance(59)
    assert table.is_revoked(ONE, 4)
    assert not table.is_revoked(ONE, 5)
    table.revoke(ONE, 0.5)
    assert table.is_revoked(ONE, 10**6)
    table.revoke(ONE, 0.5, before=1)
    assert table.is_revoked(ONE, 10**6), "all generations is the highest of all"
    clock.advance(1)
    assert not table.is_revoked(ONE)
    assert len(table) == 0


def test_what_is_over_is_not_remembered_when_a_session_is_revoked_anew(
    table: Any, clock: FakeClock
) -> None:
    table.revoke(ONE, 10)
    clock.advance(10)
    table.revoke(ONE, 10, before=1)
    assert table.is_revoked(ONE, 0)
    assert not table.is_revoked(ONE, 1)


def test_an_absolute_end_may_be_given_and_one_in_the_past_refuses_nothing(
    table: Any, clock: FakeClock
) -> None:
    table.revoke_until(ONE, clock.now + 5)
    table.revoke_until(OTHER, clock.now)
    assert table.is_revoked(ONE)
    assert not table.is_revoked(OTHER)
    assert len(table) == 1


def test_a_doorbell_says_when_news_has_to_be_taken_in(
    load: Callable[[str], ModuleType], clock: FakeClock
) -> None:
    calls: list[float] = []
    table = load("revocations").RevocationTable(
        clock=clock, before_lookup=lambda: calls.append(clock.now)
    )
    bell = bytearray(8)

    def taken_in() -> bool:
        before = len(calls)
        table.is_revoked(ONE)
        return len(calls) > before

    assert [taken_in(), taken_in()] == [True, True]  # without a doorbell each lookup asks
    table.watch(memoryview(bell))
    assert [taken_in(), taken_in(), taken_in()] == [True, False, False]
    for place in range(8):  # whichever byte it is that changes
        bell[place] += 1
        assert [taken_in(), taken_in()] == [True, False]
    clock.advance(0.999)
    assert not taken_in()
    clock.advance(0.001)
    assert [taken_in(), taken_in()] == [True, False]
    clock.advance(-5)  # a clock that was set back must not make the bell trusted for longer
    assert [taken_in(), taken_in()] == [True, False]
    table.watch(None)
    assert [taken_in(), taken_in()] == [True, True]


def test_news_that_cannot_be_taken_in_is_asked_for_again(
    load: Callable[[str], ModuleType], clock: FakeClock
) -> None:
    def fail() -> None:
        raise StorageUnavailable("out of reach")

    table = load("revocations").RevocationTable(clock=clock, before_lookup=fail)
    table.watch(bytes(8))
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="out of reach"):
            table.is_revoked(ONE)


@pytest.mark.parametrize(
    "bell", [b"", bytes(7), bytes(9), bytes(16), "12345678", 8, NotImplemented], ids=repr
)
def test_what_is_no_doorbell_is_refused(
    load: Callable[[str], ModuleType], clock: FakeClock, bell: object
) -> None:
    with pytest.raises(ConfigurationError, match="eight bytes"):
        load("revocations").RevocationTable(clock=clock).watch(bell)


def test_each_of_many_is_revoked_as_if_alone(table: Any, clock: FakeClock) -> None:
    table.revoke_each(
        iter(
            [
                (ONE, clock.now + 5, None),
                (OTHER, clock.now + 5, 3),
                (OTHER, clock.now + 9, 2),
                ("C" * 16, clock.now, None),
            ]
        )
    )
    assert [
        table.is_revoked(ONE, 7),
        table.is_revoked(OTHER, 2),
        table.is_revoked(OTHER, 3),
        len(table),
    ] == [True, True, False, 2]
    clock.advance(5)
    assert [table.is_revoked(ONE), table.is_revoked(OTHER, 2)] == [False, True]
    with pytest.raises(InvalidArgument, match="expires_at must be a number of seconds from 0"):
        table.revoke_each([("D" * 16, 4e9, None), ("E" * 16, -1, None)])
    assert table.is_revoked("D" * 16)


@pytest.mark.parametrize(
    "session_id",
    [
        "",
        "A" * 15,
        "A" * 17,
        "A" * 15 + "=",
        "A" * 15 + "+",
        "A" * 15 + "\n",
        "é" * 16,
        "\ud800" * 16,
        b"A" * 16,
        None,
        7,
        ["A" * 16],
    ],
)
def test_what_is_no_session_id_is_an_error_and_never_a_silent_miss(
    table: Any, session_id: Any
) -> None:
    for call in (
        lambda: table.revoke(session_id, 60),
        lambda: table.revoke_until(session_id, 4e9),
        lambda: table.is_revoked(session_id),
        lambda: table.lowest_generation(session_id),
    ):
        with pytest.raises(InvalidArgument, match="session_id must be 16 base64url characters"):
            call()
    assert len(table) == 0


@pytest.mark.parametrize("ttl", [0, -1, nan, infinite, True, "60", None, 10**12])
def test_a_lifetime_that_makes_no_sense_is_refused(table: Any, ttl: Any) -> None:
    with pytest.raises(InvalidArgument, match="ttl"):
        table.revoke(ONE, ttl)
    with pytest.raises(InvalidArgument, match="expires_at"):
        table.revoke_until(ONE, -1 if ttl in {0, 10**12} else ttl)
    assert len(table) == 0


@pytest.mark.parametrize("generation", [-1, 2**32 - 1, 2**64, True, 1.0, "1"])
def test_a_generation_that_makes_no_sense_is_refused(table: Any, generation: Any) -> None:
    with pytest.raises(InvalidArgument, match="before"):
        table.revoke(ONE, 60, before=generation)
    with pytest.raises(InvalidArgument, match="generation"):
        table.is_revoked(ONE, generation)
    with pytest.raises(InvalidArgument, match="before"):
        table.revoke(ONE, 60, before=0)
    assert len(table) == 0


def test_options_that_make_no_sense_are_refused(load: Callable[[str], ModuleType]) -> None:
    cls = load("revocations").RevocationTable
    for options in ({"clock": 7}, {"before_lookup": 7}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            cls(**options)


@pytest.mark.parametrize("reading", [nan, infinite, 1e12, "now", None])
def test_a_clock_that_makes_no_sense_is_refused(
    load: Callable[[str], ModuleType], reading: Any
) -> None:
    table = load("revocations").RevocationTable(clock=lambda: reading)
    for call in (lambda: table.revoke(ONE, 1), lambda: table.is_revoked(ONE), table.expire):
        with pytest.raises(InvalidArgument, match="clock"):
            call()


def test_before_each_lookup_news_are_taken_in(
    load: Callable[[str], ModuleType], clock: FakeClock
) -> None:
    news: list[str] = []

    def poll() -> None:
        while news:
            table.revoke(news.pop(), 60)

    table = load("revocations").RevocationTable(clock=clock, before_lookup=poll)
    assert not table.is_revoked(ONE)
    news.append(ONE)
    assert table.is_revoked(ONE)
    table.before_lookup = None
    news.append(OTHER)
    assert not table.is_revoked(OTHER)


def test_it_cannot_be_copied_or_pickled_and_shows_no_ids(table: Any) -> None:
    table.revoke(ONE, 60)
    for call in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            call(table)
    assert repr(table) == "<RevocationTable of 1 sessions>"


def test_memory_is_given_back_as_work_goes_on_and_no_call_does_everybodys_work(
    table: Any, clock: FakeClock, implementation: str
) -> None:
    encode = importlib.import_module(f"tokenwheel._{implementation}.tokens").encode
    ids = [encode(os.urandom(12)) for _ in range(20_000)]
    for session_id in ids:
        table.revoke(session_id, 60)
    held = table.nbytes
    table._check()
    assert all(table.is_revoked(session_id) for session_id in ids[::50])
    clock.advance(61)
    assert not any(table.is_revoked(session_id) for session_id in ids[::50])
    for session_id in ids[:4000]:
        table.revoke(session_id, 1e6)
    table._check()
    assert table.nbytes < held / 2
    assert len(table) == 4000


def test_two_hundred_thousand_entries_take_48_bytes_each_at_most(
    table: Any, implementation: str
) -> None:
    if implementation == "pure":
        pytest.skip("the pure twin has an object an entry")
    from tokenwheel._native.tokens import encode

    gc.collect()
    for number in range(200_000):
        table.revoke(encode(number.to_bytes(4, "big") + b"12345678"), 60 + number % 1000)
    assert table.nbytes <= 48 * 200_000
    assert gc.get_referents(table) == [] or not any(
        isinstance(referent, bytes | str) for referent in gc.get_referents(table)
    )
    assert len(table) == 200_000
    table._check()


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from([ONE, OTHER]), st.integers(1, 100), st.one_of(st.none(), st.integers(1, 5))
    ),
    max_size=8,
)


@given(messages=MESSAGES, order=st.randoms(use_true_random=False), repeats=st.integers(1, 3))
def test_messages_in_any_order_and_however_often_end_in_the_same_state(
    messages: list[Any], order: Any, repeats: int
) -> None:
    shuffled = messages * repeats
    order.shuffle(shuffled)
    for implementation in TWINS:
        clock = FakeClock(1000.0)
        tables = [
            importlib.import_module(f"tokenwheel._{implementation}.revocations").RevocationTable(
                clock=clock
            )
            for _ in range(2)
        ]
        for table, received in zip(tables, (messages, shuffled), strict=True):
            for session_id, ttl, before in received:
                table.revoke(session_id, ttl, before=before)
        for seconds in range(0, 101, 7):
            clock.now = 1000.0 + seconds
            for session_id in (ONE, OTHER):
                for generation in range(6):
                    first, second = (table.is_revoked(session_id, generation) for table in tables)
                    assert first is second


class TableModel(RuleBasedStateMachine):
    implementation: str

    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock(1_700_000_000.0)
        self.table = importlib.import_module(
            f"tokenwheel._{self.implementation}.revocations"
        ).RevocationTable(clock=self.clock, timer=self.clock)
        self.model: dict[str, tuple[float, float]] = {}

    def live(self) -> dict[str, tuple[float, float]]:
        return {key: entry for key, entry in self.model.items() if entry[1] > self.clock.now}

    @rule(
        number=st.integers(0, 20),
        ttl=st.floats(0.001, 1e5),
        before=st.one_of(st.none(), st.integers(1, 4)),
    )
    def revoke(self, number: int, ttl: float, before: int | None) -> None:
        key = f"{number:016d}"
        self.table.revoke(key, ttl, before=before)
        self.model = self.live()
        lowest, end = self.model.get(key, (0, 0))
        self.model[key] = (
            max(lowest, infinite if before is None else before),
            max(end, self.clock.now + ttl),
        )

    @rule(number=st.integers(0, 20), generation=st.integers(0, 5))
    def ask(self, number: int, generation: int) -> None:
        key = f"{number:016d}"
        lowest = self.live().get(key, (0, 0))[0]
        assert self.table.is_revoked(key, generation) is (generation < lowest)
        assert self.table.lowest_generation(key) == (None if lowest == infinite else lowest)

    @rule(seconds=st.one_of(st.floats(-10, 1000), st.sampled_from([0.0005, 1e5, -1e5])))
    def move_the_clock(self, seconds: float) -> None:
        self.model = self.live()
        if seconds < 0:
            self.table.expire()
        self.clock.advance(seconds)

    @rule()
    def expire(self) -> None:
        self.table.expire()
        assert len(self.table) == len(self.live())

    @invariant()
    def it_holds_together(self) -> None:
        if hasattr(self, "table"):
            self.table._check()
            for key in self.model:
                assert self.table.is_revoked(key, 0) is (key in self.live())


class NativeTable(TableModel):
    implementation = "native"


class PureTable(TableModel):
    implementation = "pure"


if "native" in TWINS:
    TestNativeTable = NativeTable.TestCase
TestPureTable = PureTable.TestCase
