"""Containers of many entries: caches, and lists of what is revoked."""

from __future__ import annotations

import base64
import gc
import os
import random
import statistics
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.peers.caches import CACHES, REVOCATION_LISTS, Container
from benchmarks.timing import compile_loop

from .job import Job

BATCH = 1_000
SLICE = 100
"""Operations between two readings of the clock; see ``benchmarks.timing``."""
ROUND_SECONDS = 0.02
LIFETIME = 3_600.0
SLOW_BATCH = 10
SIZEABLE = 1_000_000
"""From so many entries on, what they take can be told from what the process had lying free."""
GOLDEN = 0x9E3779B97F4A7C15F39CC061
"""Odd, so that multiplying by it permutes the numbers of 96 bits."""


def session_id(number: int) -> str:
    return base64.urlsafe_b64encode((number * GOLDEN % (1 << 96)).to_bytes(12, "big")).decode()


def name_of(number: int) -> str:
    """Return a key of 25 characters, made anew whenever it is needed.

    Its hash is not known yet, as that of a string from a request never is.
    """
    return f"session:{number:017d}"


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def time_collection() -> float:
    start = perf_counter()
    gc.collect()
    return perf_counter() - start


class Holding(Job):
    """So many entries, reached in random order.

    Each round sets new entries and deletes as many old ones, none just touched.
    """

    containers: dict[str, Container] = CACHES
    make_key: Callable[[int], str] = staticmethod(name_of)

    def __init__(self, peer: str, *, size: int) -> None:
        self.peer = peer
        self.size = size
        self.container = self.containers[peer]
        self.random = random.Random(1)
        self.numbers = array("q", range(size))
        self.next_number = size
        self.loops = {
            "set": compile_loop(self.container.set, "k, v, t"),
            "hit": compile_loop(self.container.hit, "k"),
            "miss": compile_loop(self.container.hit, "k"),
            "delete": compile_loop(self.container.delete or "pass", "k"),
        }
        # Once in small, so that the library is imported; frozen, what is there already is no part
        # of a later collection.
        self.entries = self.container.make(size, LIFETIME)
        self.loops["set"](self.entries, self.make_entries(range(SLICE)))
        self.entries = None
        gc.collect()
        gc.freeze()
        before = resident_bytes()
        self.entries = self.container.make(size, LIFETIME)
        for start in range(0, size, BATCH):
            self.loops["set"](
                self.entries, self.make_entries(range(start, min(start + BATCH, size)))
            )
        self.bytes_per_entry = (resident_bytes() - before) / size
        self.collection = statistics.median(time_collection() for _ in range(5))
        self.check()

    def check(self) -> None:
        some = self.random.sample(range(self.size), 100)
        names = {"c": self.entries}
        assert all(
            eval(self.container.hit, {**names, "k": self.make_key(number)}) for number in some
        )
        assert not any(
            eval(self.container.hit, {**names, "k": self.make_key(-number - 1)}) for number in some
        )

    def make_entries(self, numbers: Iterable[int]) -> list[tuple[str, int, Any]]:
        lifetime = self.container.lifetime
        return [
            (self.make_key(number), number + 1_000, lifetime(LIFETIME + number % 977))
            for number in numbers
        ]

    def facts(self) -> dict[str, float | str]:
        statements: dict[str, float | str] = {
            name: getattr(self.container, name) or "" for name in ("set", "hit", "delete")
        }
        if self.size < SIZEABLE:
            return statements
        return {
            "bytes_per_entry": self.bytes_per_entry,
            "gc_collect": self.collection,
            **statements,
        }

    def round(self) -> dict[str, float]:
        times: dict[str, list[float]] = {name: [] for name in self.loops}
        spent = 0.0
        while spent < ROUND_SECONDS * len(self.loops):
            for name, seconds in self.run_batch().items():
                times[name].append(seconds)
                spent += seconds * BATCH
        return {
            name: statistics.median(several)
            for name, several in times.items()
            if name != "delete" or self.container.delete
        }

    def run_batch(self) -> dict[str, float]:
        asked, places = (self.random.sample(range(self.size), BATCH) for _ in range(2))
        if self.container.slow_delete:
            places = places[:SLOW_BATCH]
        new = range(self.next_number, self.next_number + BATCH)
        self.next_number += BATCH
        seconds = {
            "hit": self.run("hit", [self.make_key(self.numbers[place]) for place in asked]),
            "miss": self.run("miss", [self.make_key(-self.numbers[place] - 1) for place in asked]),
            "set": self.run("set", self.make_entries(new)),
            "delete": self.run("delete", [self.make_key(self.numbers[place]) for place in places]),
        }
        for place, number in zip(places, new, strict=False):
            self.numbers[place] = number
        return seconds

    def run(self, operation: str, inputs: list[Any]) -> float:
        loop = self.loops[operation]
        slices = [inputs[start : start + SLICE] for start in range(0, len(inputs), SLICE)]
        return statistics.median([loop(self.entries, part) / len(part) for part in slices])


class HoldingRevocations(Holding):
    """So many revoked session ids of 16 characters, reached in random order.

    Nothing is deleted, so what is set comes on top.
    """

    containers = REVOCATION_LISTS
    make_key = staticmethod(session_id)

    def round(self) -> dict[str, float]:
        times = super().round()
        return {name: times[name] for name in ("set", "hit", "miss")}
