"""How a round is timed, the same for every Python contender."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

BATCH = 100
"""Inputs made at a time, and the most calls between two readings of the clock.

The clock can't time a single call of 50 ns.
"""
SLICE_SECONDS = 50e-6
"""Slow calls are timed a few at a time.

So short a stretch is seldom interrupted, and the slow are not charged more than the fast for what
else the machine has to do.
"""
ROUND_SECONDS = 0.02
WARM_UP_SECONDS = 0.2

Batch = tuple[Callable[[Any], Any], Sequence[Any]]


def time_calls(call: Callable[[Any], Any], inputs: Sequence[Any]) -> float:
    """Return the seconds a call takes. The loop around it is included, for everyone."""
    start = perf_counter()
    for argument in inputs:
        call(argument)
    return (perf_counter() - start) / len(inputs)


def time_round(make_batch: Callable[[], Batch], seconds: float = ROUND_SECONDS) -> float:
    """Return the median over as many slices as fit into a round.

    A batch, made outside of the time, is what to call and with what.
    """
    times: list[float] = []
    spent = 0.0
    while spent < seconds or len(times) < 5:
        call, inputs = make_batch()
        size = clamp(SLICE_SECONDS / times[-1], len(inputs)) if times else 1
        times += [
            time_calls(call, inputs[start : start + size]) for start in range(0, len(inputs), size)
        ]
        spent += times[-1] * len(inputs)
    return statistics.median(times)


def clamp(size: float, largest: int) -> int:
    return max(1, min(int(size), largest))


def compile_loop(statement: str, names: str) -> Callable[[Any, Any], float]:
    """Return a function that times a statement over inputs, as ``timeit`` would.

    It takes a container ``c`` and an iterable, runs the statement for each and returns seconds.
    """
    source = (
        "def loop(c, inputs):\n start = now()\n"
        f" for {names} in inputs:\n  {statement}\n return now() - start"
    )
    space: dict[str, Any] = {"now": perf_counter}
    exec(source, space)
    loop: Callable[[Any, Any], float] = space["loop"]
    return loop
