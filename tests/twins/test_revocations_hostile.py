"""The table of revoked sessions under clocks that jump and memory that runs out. Both twins.

Besides, ids that collide, and threads.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import random
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import InvalidArgument

ONE, OTHER, THIRD = "AAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAC"
HUNDRED_YEARS = 100 * 31_557_600


@pytest.fixture
def cls(load: Callable[[str], ModuleType]) -> Any:
    return load("revocations").RevocationTable


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


@pytest.fixture
def encode(implementation: str) -> Callable[[bytes], str]:
    function: Callable[[bytes], str] = importlib.import_module(
        f"tokenwheel._{implementation}.tokens"
    ).encode
    return function


@pytest.mark.parametrize("huge", [10**400, -(10**400)])
def test_an_int_that_no_float_can_hold_is_refused_like_any_other(cls: Any, huge: int) -> None:
    table = cls()
    for call in (
        lambda: table.revoke(ONE, huge),
        lambda: table.revoke_until(ONE, huge),
        lambda: cls(clock=lambda: huge).is_revoked(ONE),
    ):
        with pytest.raises(InvalidArgument, match="a number of seconds"):
            call()
    assert len(table) == 0


@pytest.mark.parametrize(
    "session_id", ["\u4141" * 16, "\u4141" * 8, "\U00014141" * 16, "A" * 15 + "\u0141"]
)
def test_wide_characters_whose_bytes_look_like_digits_are_no_session_id(
    cls: Any, session_id: str
) -> None:
    table = cls()
    table.revoke(ONE, 60)
    for call in (lambda: table.is_revoked(session_id), lambda: table.revoke(session_id, 60)):
        with pytest.raises(InvalidArgument, match="session_id must be 16 base64url characters"):
            call()


@pytest.mark.parametrize("unit", [100.0, 0.1], ids=["waiting to be cascaded", "in its last slot"])
def test_an_entry_that_comes_up_early_after_the_clock_ran_back_is_kept_to_its_end(
    cls: Any, clock: FakeClock, unit: float
) -> None:
    table = cls(clock=clock, timer=clock)
    start = clock.now
    table.revoke(ONE, 0.6 * unit)
    clock.now = start - unit
    table.revoke(OTHER, 0.01 * unit)
    for elapsed in (-0.39, 0.0, 0.59):
        clock.now = start + elapsed * unit
        table.revoke(THIRD, unit)
        table._check()
        assert table.is_revoked(ONE)
    clock.now = start + 0.6 * unit
    assert not table.is_revoked(ONE)
    assert table.expire() == 1
    assert [table.is_revoked(session_id) for session_id in (ONE, OTHER, THIRD)] == [
        False,
        False,
        True,
    ]


def test_what_is_revoked_after_the_clock_ran_back_is_reclaimed_on_time(
    cls: Any, clock: FakeClock
) -> None:
    table = cls(clock=clock, timer=clock)
    table.revoke(ONE, 1e6)
    clock.advance(-1e5)
    table.revoke(OTHER, 10)
    clock.advance(10)
    assert table.expire() == 1
    table._check()
    assert table.is_revoked(ONE)
    assert not table.is_revoked(OTHER)


def test_jumps_of_a_century_lose_nothing_and_keep_nothing(cls: Any) -> None:
    clock = FakeClock(0.0)
    table = cls(clock=clock, timer=clock)
    for jump in range(6):
        key = f"{jump:016d}"
        table.revoke(key, HUNDRED_YEARS)
        clock.advance(HUNDRED_YEARS - 1)
        table._check()
        assert table.is_revoked(key)
        clock.advance(1)
        assert not table.is_revoked(key)
        assert len(table) == 0


def test_one_call_reclaims_a_bounded_number_however_many_are_due(
    cls: Any, clock: FakeClock
) -> None:
    table = cls(clock=clock, timer=clock)
    for number in range(2000):
        table.revoke(f"{number:016d}", 60)
    clock.advance(61)
    table.revoke(ONE, 60)
    for number in range(100):
        assert not table.is_revoked(f"{number:016d}")
    table._check()
    assert table.expire() >= 2000 - 16
    assert len(table) == 1


def test_ids_whose_tags_collide_are_told_apart(
    cls: Any, clock: FakeClock, encode: Callable[[bytes], str]
) -> None:
    # Of so many random ids about seven pairs have the same 32-bit tag under any secret.
    table = cls(clock=clock, timer=clock)
    rng = random.Random(7)
    for _ in range(250_000):
        table.revoke(encode(rng.randbytes(12)), 60)
    assert len(table) == 250_000


def test_memory_that_runs_out_at_any_step_changes_nothing(
    cls: Any, clock: FakeClock, implementation: str
) -> None:
    if implementation == "pure" or os.environ.get("TOKENWHEEL_BUILD") == "trace":
        pytest.skip("plain Python, like traced C, allocates at every line")
    memory = pytest.importorskip("_testcapi")
    table = cls(clock=clock, timer=clock)
    failures = 0
    for number in range(1200):
        key = f"{number:016d}"
        for step in range(100):
            memory.set_nomemory(step, step + 1)
            try:
                table.revoke(key, 60)
            except MemoryError:
                failures += 1
            else:
                break
            finally:
                memory.remove_mem_hooks()
            assert not table.is_revoked(key)
            assert len(table) == number
        assert table.is_revoked(key)
    assert failures > 0
    table._check()


def test_a_table_can_be_collected_through_what_it_was_given(cls: Any) -> None:
    class Source:
        def now(self) -> float:
            return 0.0

        def poll(self) -> None:
            pass

    source = Source()
    source.table = cls(clock=source.now, before_lookup=source.poll)  # type: ignore[attr-defined]
    gone = weakref.ref(source.table)  # type: ignore[attr-defined]
    del source
    gc.collect()
    assert gone() is None


def test_a_news_source_that_fails_fails_the_lookup_and_never_accepts(cls: Any) -> None:
    def poll() -> None:
        raise ConnectionError("no route to host")

    table = cls(before_lookup=poll)
    with pytest.raises(ConnectionError, match="no route to host"):
        table.is_revoked(ONE)


def test_threads_revoke_and_ask_at_once_and_nothing_is_lost(
    cls: Any, encode: Callable[[bytes], str]
) -> None:
    clock = FakeClock(0.0)
    table = cls(clock=clock, timer=clock)
    shared = [encode(os.urandom(12)) for _ in range(50)]
    gate = threading.Barrier(4)

    def work(seed: int) -> list[str]:
        rng = random.Random(seed)
        own = [encode(rng.randbytes(8) + seed.to_bytes(4, "big")) for _ in range(500)]
        gate.wait()
        for number, session_id in enumerate(own):
            table.revoke(session_id, 60 + number)
            table.revoke(shared[number % 50], 100, before=number + 1)
            assert table.is_revoked(session_id)
            if number % 100 == 0:
                table.expire()
        return own

    with ThreadPoolExecutor(4) as pool:
        everyones = [session_id for own in pool.map(work, range(4)) for session_id in own]
    table._check()
    assert all(table.is_revoked(session_id) for session_id in everyones)
    assert [
        table.is_revoked(session_id, 450 + number) for number, session_id in enumerate(shared)
    ] == [True] * 50
    assert [
        table.is_revoked(session_id, 451 + number) for number, session_id in enumerate(shared)
    ] == [False] * 50
    assert len(table) == len(everyones) + 50


def test_a_broken_structure_is_told_in_a_sentence(
    cls: Any, clock: FakeClock, implementation: str
) -> None:
    table = cls(clock=clock, timer=clock)
    table.revoke(ONE, 60)
    table._check()
    if implementation == "pure":
        table._entries[ONE].session_id = OTHER
        sentence = "an entry is kept under another session's id"
    else:
        # The structure begins with the address of its directory, which has a single place here. Its
        # highest bit tells of a chain.
        find = ctypes.pythonapi.PyCapsule_GetPointer
        find.restype, find.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        structure = find(table._capsule(), b"tokenwheel._native.revocations.table")
        directory = ctypes.c_void_p.from_address(structure).value
        assert directory is not None
        ctypes.c_uint32.from_address(directory).value |= 1 << 31
        sentence = "a directory place is wrong about whether a chain begins there"
    with pytest.raises(AssertionError, match=sentence):
        table._check()
