"""The wall clock is ahead for a while, and is put right: no revocation is forgotten by anybody."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import RevocationList, SqliteFeed

from .conftest import NOW

MINUTES, HOURS = 60, 3600
BOOTED = NOW - 1_000_000


class Process:
    """A list over the file, with a wall clock that can be set and a steady one that can't.

    Args:
        steady: the steady clock of the machine.
        ahead: by how many seconds the wall clock is ahead.
    """

    def __init__(self, path: Path, steady: FakeClock, ahead: float = 0.0) -> None:
        self.ahead = ahead
        clocks: Any = {"clock": lambda: BOOTED + steady() + self.ahead, "timer": steady}
        self.revocations = RevocationList(
            SqliteFeed(path, synchronous="NORMAL", **clocks), **clocks
        )

    def revoke(self, *session_ids: str) -> None:
        for session_id in session_ids:
            self.revocations.revoke(session_id, 15 * MINUTES)

    def refuses(self, *session_ids: str) -> bool:
        return all(self.revocations.is_revoked(session_id) for session_id in session_ids)


@pytest.fixture
def steady() -> FakeClock:
    return FakeClock(1_000_000.0)


@pytest.fixture
def start(path: Path, steady: FakeClock) -> Iterator[Any]:
    with ExitStack() as stack:

        def make(**options: Any) -> Process:
            process = Process(path, steady, **options)
            stack.callback(process.revocations.close)
            return process

        yield make


def ids(letter: str, count: int) -> list[str]:
    return [f"{letter}{number:015d}" for number in range(count)]


@pytest.mark.parametrize("jump", [20 * MINUTES, 3 * HOURS, 3000 * HOURS])
def test_a_clock_that_was_ahead_makes_nobody_forget_a_logout(
    start: Any, steady: FakeClock, jump: float
) -> None:
    first, second = start(), start()
    before, meanwhile = ids("a", 20), ids("b", 40)
    first.revoke(*before)
    first.ahead = second.ahead = jump
    steady.advance(60)
    first.revoke(*meanwhile[:20])
    second.revoke(*meanwhile[20:])
    late = start(ahead=jump)
    late.revoke(*ids("c", 20))
    assert late.refuses(*meanwhile)
    steady.advance(60)
    for process in (first, second, late):
        process.refuses("A" * 16)  # so that it looks
        process.ahead = 0
    steady.advance(1)
    for process in (first, second, late, start()):
        assert process.refuses(*before, *meanwhile, *ids("c", 20))


@pytest.mark.parametrize("jump", [20 * MINUTES, 3 * HOURS])
def test_of_two_processes_the_clock_of_one_is_ahead_for_a_while(
    start: Any, steady: FakeClock, jump: float
) -> None:
    first, second = start(), start()
    before = ids("a", 20)
    first.revoke(*before)
    second.ahead = jump
    second.revoke(*ids("b", 40))
    assert first.refuses(*ids("b", 40))
    second.ahead = 0
    steady.advance(60)
    for process in (first, second, start()):
        assert process.refuses(*before, *ids("b", 40))


@pytest.mark.skipif(sys.platform != "linux", reason="only there a boot is told from another")
def test_a_process_that_starts_while_the_clock_is_ahead_removes_no_row_that_others_need(
    start: Any, steady: FakeClock, path: Path
) -> None:
    first = start()
    before = ids("a", 20)
    first.revoke(*before)
    first.revocations.close()
    late = start(ahead=3 * HOURS)
    late.revoke(*ids("b", 40))
    late.revocations.close()
    steady.advance(60)
    assert start().refuses(*before)


@pytest.mark.skipif(sys.platform != "linux", reason="only there a boot is told from another")
def test_a_clock_that_stays_ahead_is_believed_in_the_end(
    start: Any, steady: FakeClock, path: Path
) -> None:
    start().revoke(*ids("a", 20))
    late = start(ahead=3 * HOURS)
    for number in range(60):
        steady.advance(HOURS)
        late.revoke(f"b{number:015d}")
    connection = sqlite3.connect(path)
    count = "SELECT count(*) FROM revocations WHERE session_id LIKE 'a%'"
    assert connection.execute(count).fetchone() == (0,)
    connection.close()


def test_what_seemed_over_when_it_was_heard_is_heard_again_once_the_clock_was_put_back(
    start: Any, steady: FakeClock
) -> None:
    first = start()
    first.revoke(*ids("a", 20))
    late = start(ahead=3 * HOURS)
    assert not late.refuses("a" + "0" * 15)
    late.ahead = 0
    assert late.refuses(*ids("a", 20))
