"""Times the variants over threads or over processes: ``python -m benchmarks.scaling.measure``.

Its output is JSON. Every round runs each variant with each number of workers, in an order drawn
anew. The workers get ready, wait for each other, and start together; the time is from the first
start until the last end. What is compared is of one round, so that whatever befalls the machine
for a while befalls all.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import platform
import random
import sys
import sysconfig
import threading
from collections.abc import Callable
from importlib.metadata import version
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any, NamedTuple

from .variants import VARIANTS, Variant

WARM_UP_SECONDS = 0.2


class Span(NamedTuple):
    start: float
    end: float
    calls: int


Run = Callable[[int, int, int], list[Span]]
"""Run a variant, by its place, so many batches each, on so many workers."""


def work(variant: Variant, number: int, batches: int, wait: Callable[[], Any]) -> Span:
    """Do a worker's share of a round."""
    batch = variant.make_batch(number)
    batch()
    wait()
    start = perf_counter()
    calls = sum(batch() for _ in range(batches))
    return Span(start, perf_counter(), calls)


class Threads:
    """Workers that are threads of this process, new ones each round, which share the variant."""

    def __init__(self, counts: list[int]) -> None:
        self.variants = [variant() for variant in VARIANTS]

    def run(self, place: int, batches: int, count: int) -> list[Span]:
        variant = self.variants[place]
        variant.renew()
        barrier = threading.Barrier(count)
        spans: list[Span] = []

        def share(number: int) -> None:
            try:
                spans.append(work(variant, number, batches, barrier.wait))
            except BaseException:
                barrier.abort()
                raise

        threads = [threading.Thread(target=share, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return spans


class Processes:
    """Workers that are processes, the same ones throughout, each with variants of its own."""

    def __init__(self, counts: list[int]) -> None:
        context = multiprocessing.get_context("fork")
        barriers = {count: context.Barrier(count) for count in counts}
        self.pipes: list[Connection] = []
        for number in range(max(counts)):
            ours, theirs = context.Pipe()
            context.Process(target=self.serve, args=(number, theirs, barriers), daemon=True).start()
            self.pipes.append(ours)

    @staticmethod
    def serve(number: int, pipe: Connection, barriers: dict[int, Any]) -> None:
        gc.disable()
        variants = [variant() for variant in VARIANTS]
        while True:
            place, batches, count = pipe.recv()
            variants[place].renew()
            pipe.send(work(variants[place], number, batches, barriers[count].wait))

    def run(self, place: int, batches: int, count: int) -> list[Span]:
        chosen = self.pipes[:count]
        for pipe in chosen:
            pipe.send((place, batches, count))
        return [pipe.recv() for pipe in chosen]


def rate(spans: list[Span], count: int) -> float:
    """Return the calls a second of all workers together."""
    assert len(spans) == count, "a worker has failed"
    lasted = max(span.end for span in spans) - min(span.start for span in spans)
    return sum(span.calls for span in spans) / lasted


def calibrate(run: Run, place: int, seconds: float) -> int:
    """Return how many batches a worker alone does in so many seconds."""
    batches = 1
    while True:
        [span] = run(place, batches, 1)
        lasted = span.end - span.start
        if lasted > WARM_UP_SECONDS / 4:
            return max(1, round(batches * seconds / lasted))
        batches *= 2


def measure(run: Run, counts: list[int], rounds: int, seconds: float) -> dict[str, Any]:
    """Return the calls a second of each variant, by the number of workers, round by round."""
    batches = [calibrate(run, place, seconds) for place in range(len(VARIANTS))]
    rates: list[dict[int, list[float]]] = [{count: [] for count in counts} for _ in VARIANTS]
    turns = [(place, count) for place in range(len(VARIANTS)) for count in counts]
    for _ in range(rounds):
        for place, count in random.sample(turns, len(turns)):
            gc.collect()
            rates[place][count].append(
                float(f"{rate(run(place, batches[place], count), count):.4g}")
            )
    return {variant.title: own for variant, own in zip(VARIANTS, rates, strict=True)}


def counts_up_to(most: int) -> list[int]:
    """Return 1, 2, 4 and so on, and ``most``."""
    return sorted({most, *(2**power for power in range(most.bit_length()) if 2**power <= most)})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling.measure")
    parser.add_argument("workers", choices=["threads", "processes"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a worker alone, each round")
    arguments = parser.parse_args()
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    if arguments.workers == "threads" and has_gil:
        built = sysconfig.get_config_var("Py_GIL_DISABLED")
        sys.exit("an import has switched the GIL on" if built else "this interpreter has the GIL")
    counts = counts_up_to(len(os.sched_getaffinity(0)))
    gc.disable()
    workers = (Threads if arguments.workers == "threads" else Processes)(counts)
    result = {
        "python": platform.python_version() + ("" if has_gil else ", free-threaded"),
        "versions": {name: version(name) for name in ("tokenwheel", "PyJWT")},
        "calls_per_second": measure(workers.run, counts, arguments.rounds, arguments.seconds),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
