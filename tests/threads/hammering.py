"""Threads that act on one object at once, and what one of them lets the others know.

Each test says what must hold whatever the order. Without the GIL threads run at once; with it they
are made to take turns as often as the interpreter can. HAMMER_TURNS, a number, makes each run as
many times longer.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")

THREADS = 4
LONGER = float(os.environ.get("HAMMER_TURNS", "1"))


def turns(usual: int) -> int:
    """Return how often a thread is to act."""
    return int(usual * LONGER)


@contextmanager
def eager_switches() -> Iterator[None]:
    """Have threads that share a GIL take turns after every few instructions."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Begin all acts together, each in a thread. Return what each returned; raise what one raised.

    All have ended by then.
    """
    gate = threading.Barrier(len(acts))

    def begin(act: Callable[[], Any]) -> Any:
        gate.wait()
        return act()

    with eager_switches(), ThreadPoolExecutor(len(acts)) as pool:
        calls = [pool.submit(begin, act) for act in acts]
    return [call.result() for call in calls]


def beside(works: Callable[[], Any], *others: Callable[[], Any]) -> Any:
    """Call each of the others again and again, in a thread of its own, for as long as ``works``.

    What any of them raises is raised. Return what ``works`` returned.
    """
    over = threading.Event()

    def work() -> Any:
        try:
            return works()
        finally:
            over.set()

    def repeat(other: Callable[[], Any]) -> None:
        try:
            while True:
                other()
                if over.is_set():
                    return
        finally:
            over.set()

    answer, *_ = at_once(work, *((lambda other=other: repeat(other)) for other in others))
    return answer


class Shared(Generic[T]):
    """What some threads have put there, for others to pick from: the latest thousand."""

    def __init__(self) -> None:
        self._items: list[T] = []
        self._lock = threading.Lock()

    def put(self, item: T) -> None:
        with self._lock:
            self._items.append(item)
            del self._items[:-1000]

    def pick(self, choose: random.Random) -> T | None:
        with self._lock:
            return choose.choice(self._items) if self._items else None
