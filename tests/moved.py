"""The ways in which users' tests move the system's clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from unittest import mock

import freezegun
import pytest
import time_machine

from tests.support import FakeClock

__all__ = ["MOVERS", "Mover", "Shift", "at"]

Shift = Callable[[float], object]
Mover = Callable[[float], AbstractContextManager[Shift]]


def at(seconds: float) -> datetime:
    """Return a Unix time as freezegun and time-machine take it."""
    return datetime.fromtimestamp(seconds, UTC)


@contextmanager
def by_freezegun(now: float) -> Iterator[Shift]:
    with freezegun.freeze_time(at(now)) as frozen:
        yield lambda seconds: frozen.tick(float(seconds))


@contextmanager
def by_time_machine(now: float) -> Iterator[Shift]:
    # A number, since a time with a zone would also have it set the zone in the module ``time``.
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller.shift


@contextmanager
def by_mock(now: float) -> Iterator[Shift]:
    clock = FakeClock(now)
    with mock.patch("time.time", clock):
        yield clock.advance


@contextmanager
def by_monkeypatch(now: float) -> Iterator[Shift]:
    clock = FakeClock(now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: clock.now)
        yield clock.advance


MOVERS = [
    pytest.param(mover, id=mover.__name__)
    for mover in (by_freezegun, by_time_machine, by_mock, by_monkeypatch)
]
