"""A million entries that are all due by the time anyone comes back.

How long the unlucky caller waits, and what becomes of the memory.
"""

from __future__ import annotations

import gc
import time
from time import perf_counter, perf_counter_ns, thread_time_ns
from typing import Any

from benchmarks.peers.caches import CACHES

from .holding import name_of, resident_bytes
from .job import Job

QUIET = 1.0
"""Seconds in which nobody touches the cache after the last entry has fallen due."""
NEW_KEYS = 10_000
LONGEST_RUN = 5.0


class FallingDue(Job):
    """One round is a whole life: filled, left alone until all is due, then used.

    In use, a get of an old key and a set of a new key follow each other in turn; where nothing
    expires and all is to go, a delete of an old key and a set.
    """

    def __init__(self, peer: str, *, size: int, operations: int) -> None:
        self.peer = peer
        self.container = CACHES[peer]
        self.size = size
        # Half a million calls meet more than one in two of the entries; to delete, each is needed.
        self.operations = size if peer == "dict_emptied" else operations
        names: dict[str, Any] = {}
        first = self.container.delete if peer == "dict_emptied" else self.container.hit
        exec(
            f"def set(c, k, v, t): {self.container.set}\n"
            f"def get(c, k): {'' if peer == 'dict_emptied' else 'return '}{first}",
            names,
        )
        self.set, self.get = names["set"], names["get"]
        self.fill_seconds = self.time_fill(self.size // 50) * 50
        gc.collect()

    def time_fill(self, size: int) -> float:
        cache = self.container.make(self.size, 9.0)
        start = perf_counter()
        self.fill(cache, size, start + 9.0)
        return perf_counter() - start

    def fill(self, cache: Any, size: int, deadline: float) -> None:
        put, lifetime = self.set, self.container.lifetime
        for number in range(size):
            put(cache, name_of(number), number, lifetime(deadline - perf_counter()))

    def round(self) -> dict[str, float]:
        before = resident_bytes()
        ahead = 1.5 * self.fill_seconds + 1.0
        cache = self.container.make(self.size, ahead)
        deadline = perf_counter() + ahead
        self.fill(cache, self.size, deadline)
        filled, full = perf_counter(), resident_bytes()
        assert filled < deadline, "filling took longer than the entries live"
        # Those with one lifetime for all hold the last entry until as long after it was set.
        time.sleep(
            (deadline if " t)" in self.container.set else filled + ahead) - perf_counter() + QUIET
        )
        counted = self.use(cache)
        after = resident_bytes()
        counted["given_back"] = (full - after) / (full - before)
        close = getattr(cache, "close", None)
        if close is not None:
            close()
        return counted

    def use(self, cache: Any) -> dict[str, float]:
        get, put, lifetime = self.get, self.set, self.container.lifetime(3_600.0)
        wall = cpu = late = done = 0
        end = perf_counter() + LONGEST_RUN
        while done < self.operations and perf_counter() < end:
            for number in range(done, done + 1_000):
                old, new = name_of(number * 7 % self.size), name_of(-1 - number % NEW_KEYS)
                start, cpu_start = perf_counter_ns(), thread_time_ns()
                value = get(cache, old)
                cpu_between, between = thread_time_ns(), perf_counter_ns()
                put(cache, new, number, lifetime)
                cpu_stop, stop = thread_time_ns(), perf_counter_ns()
                late += value is not None
                wall = max(wall, between - start, stop - between)
                cpu = max(cpu, cpu_between - cpu_start, cpu_stop - cpu_between)
            done += 1_000
        return {"wall": wall / 1e9, "cpu": cpu / 1e9, "late": late}
