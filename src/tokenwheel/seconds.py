"""Seconds as a caller gives them and as a clock tells them, checked, and the default clocks.

Twins: ``ext/seconds.pxd``, ``ext/clock.pxd``.

Every comparison of a time stands behind these checks. What is not a number, or lies beyond all
ends, makes each comparison come out false, and whoever asked "is it over?" would go on. No code of
the caller's runs here: a subclass of ``float`` or ``int`` has no say in what it equals.

Tests move the default clocks. freezegun and monkeypatch put another function in the place of
``time.time`` and ``time.monotonic``, and time-machine changes what is inside ``time.time``. So the
default clocks look the functions up at each call, and keep none of them. Only ``steady_time``
follows nobody: what is measured by it must neither stand still in a test nor jump at its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from math import inf, isnan, nan

from .errors import InvalidArgument

__all__ = [
    "FURTHEST",
    "checked_clock",
    "duration_of",
    "monotonic_time",
    "number_of",
    "reading",
    "steady_time",
    "wall_time",
    "whole_seconds_of",
]

FURTHEST = 1e11
"""Seconds either side of zero, 3,170 years: where the timer wheel's ticks are still exact."""

_SECONDS_OF_A_DAY = 86_400
_days_of = timedelta.__dict__["days"].__get__
_seconds_of = timedelta.__dict__["seconds"].__get__
_microseconds_of = timedelta.__dict__["microseconds"].__get__


def number_of(seconds: object) -> float:
    """Return seconds as a plain float: infinite beyond its range, NaN for what is no number.

    A number is an int or a float, and no bool.
    """
    kind = type(seconds)
    if issubclass(kind, float):
        return float.__float__(seconds)  # type: ignore[arg-type]
    if not issubclass(kind, int) or kind is bool:
        return nan
    try:
        return int.__float__(seconds)  # type: ignore[arg-type]
    except OverflowError:
        return inf


def whole_seconds_of(value: object) -> int | None:
    """Return the seconds of a ``timedelta`` of whole seconds, or None for anything else.

    It counts by its days and seconds, whatever a subclass says of them.
    """
    if not issubclass(type(value), timedelta) or _microseconds_of(value):
        return None
    days: int = _days_of(value)
    seconds: int = _seconds_of(value)
    return days * _SECONDS_OF_A_DAY + seconds


def duration_of(seconds: object) -> float:
    """Return the seconds that a number or a timedelta of whole seconds stands for.

    What is out of range, or neither, is as :func:`number_of` tells it.
    """
    number = number_of(seconds)
    if not isnan(number):
        return number
    whole = whole_seconds_of(seconds)
    return nan if whole is None else float(whole)


def reading(answer: object) -> float:
    """Return what a clock has told, in seconds.

    Raises:
        InvalidArgument: the answer is no finite number of seconds, or beyond ``FURTHEST``.
    """
    now = answer if type(answer) is float else number_of(answer)
    if not -FURTHEST <= now <= FURTHEST:
        raise InvalidArgument(
            "a clock must return a number of seconds: "
            "an int or a float, finite, and at most 100 billion from zero"
        )
    return now


def checked_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """Return a clock that tells what ``clock`` does, and raises where that is no time.

    What it raises is the InvalidArgument of :func:`reading`. Of the default clocks that is done in
    as few calls as it can be.
    """
    if clock is wall_time:
        return _checked_wall_time
    if clock is monotonic_time:
        return _checked_monotonic_time
    if clock is steady_time:
        return clock
    return lambda: reading(clock())


def wall_time() -> float:
    """Return what ``time.time`` tells at the moment, in Unix seconds: the default clock."""
    return time.time()


def _checked_wall_time() -> float:
    now = time.time()
    return now if type(now) is float and 0.0 < now < FURTHEST else reading(now)


def monotonic_time() -> float:
    """Return what ``time.monotonic`` tells at the moment, in seconds: that of ExpiringCache."""
    return time.monotonic()


def _checked_monotonic_time() -> float:
    now = time.monotonic()
    return now if type(now) is float and 0.0 < now < FURTHEST else reading(now)


def _unmoved() -> Callable[[], float]:
    """Return what reads the clock behind ``time.monotonic``, whatever stands in its place."""
    if hasattr(time, "CLOCK_MONOTONIC"):
        return partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    # Windows has no other name for it. freezegun does not look into a partial.
    return partial(time.monotonic)


steady_time: Callable[[], float] = _unmoved()
"""Return seconds that no one sets and no test moves: the default timer.

By it a wall clock that was put ahead is known, a listener's silence is measured, and a call waits.
"""
