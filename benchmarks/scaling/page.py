"""The page of how calls scale, ``scaling.md``, with a plot for threads and one for processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.plots import Curve, draw_speedups, duration
from benchmarks.prose import wrap
from benchmarks.spread import median, median_interval

GOAL = 1.9
"""What two threads are to do of what a single thread does, where they read."""
READS = ("`read`, tokens of its own", "`read`, one token for all")
EMPTY = "the empty loop"
HOW = """\
A variant is run by one worker, then by more, each doing as many calls as the single worker did: all
get ready, wait for each other and start together, and the time is from the first start to the last
end. Twice the calls in the same time are 2 \u00d7. Every round does that for all variants and all
numbers of workers in an order drawn anew; a figure is the median of the ratios within a round, and
in brackets is what it may stray to, with 95% confidence (bootstrap over the rounds). The garbage
collector is off during a round.

Threads share one manager. A token comes as `bytes`, as from a socket, and each call makes a new
`str` of it. The empty loop does nothing but that: what it falls short of is the machine's and the
interpreter's. With tokens of its own a thread reads 64 in turn, seen before; with one token for all
every thread reads the same. `create` opens sessions in one memory, `update` refreshes 50 of the
thread's own in turn. Processes each have a manager.

That a good token is read and a forged one refused is asserted in every worker before the time.
"""
TITLES = {
    "threads": "Threads without the GIL",
    "processes": "Processes with the GIL",
}


def write_page(results: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scaling.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "scaling.md").write_text(wrap("\n".join(make_page(results))))
    for kind in TITLES:
        if kind in results:
            (folder / f"scaling-{kind}.svg").write_text(draw(kind, results))


def make_page(results: dict[str, Any]) -> Iterator[str]:
    yield "# Over threads and processes\n"
    yield f"{environment(results)} Written by `make bench-scaling`, from one run.\n"
    yield from goal(results)
    for kind, title in TITLES.items():
        yield f"\n## {title}\n"
        if kind not in results:
            yield results["missing"][kind]
            continue
        versions = ", ".join(f"{name} {own}" for name, own in results[kind]["versions"].items())
        yield f"CPython {results[kind]['python']}; {versions}.\n"
        yield f"![{title}](scaling-{kind}.svg)\n"
        yield from table(results[kind]["calls_per_second"])
    yield f"\n## How it was measured\n\n{HOW}"


def environment(results: dict[str, Any]) -> str:
    machine = results["environment"]
    return f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['system']}."


def goal(results: dict[str, Any]) -> Iterator[str]:
    """Return whether two threads read as much more as they should."""
    if "threads" not in results or "2" not in results["threads"]["calls_per_second"][EMPTY]:
        return
    reached = {
        title: median(speedups(results["threads"]["calls_per_second"][title], "2"))
        for title in (*READS, EMPTY)
    }
    verdict = "met" if all(reached[title] >= GOAL for title in READS) else "**not met**"
    figures = "; ".join(f"{ratio:.2f} \u00d7 {title}" for title, ratio in reached.items())
    yield f"Goal: two threads read {GOAL} times what a single thread reads. {figures}: {verdict}."


def table(rates: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    counts = list(rates[EMPTY])
    heads = [
        "alone, a call",
        *(f"{count} workers, calls of one's" for count in counts if count != "1"),
    ]
    yield f"| | {' | '.join(heads)} |"
    yield "| --- |" + " ---: |" * len(heads)
    for title, own in rates.items():
        cells = [duration(1 / median(own["1"]))]
        for count in counts:
            if count != "1":
                ratios = speedups(own, count)
                low, high = median_interval(ratios)
                cells.append(f"{median(ratios):.2f} \u00d7 ({low:.2f} to {high:.2f})")
        yield f"| {title} | {' | '.join(cells)} |"


def speedups(own: dict[str, list[float]], count: str) -> list[float]:
    """Return what so many workers did of what a single worker did in the same round."""
    return [several / alone for alone, several in zip(own["1"], own[count], strict=True)]


def draw(kind: str, results: dict[str, Any]) -> str:
    rates = results[kind]["calls_per_second"]
    curves = [
        Curve(
            title.replace("`", ""),
            [(int(count), median(speedups(own, count))) for count in own],
            dashed=title == EMPTY,
            ours=title.startswith("`"),
        )
        for title, own in rates.items()
    ]
    note = f"{environment(results)} CPython {results[kind]['python']}."
    return draw_speedups(f"{TITLES[kind]}: how many times a single worker's calls", note, curves)
