"""Ties the races to pytest-benchmark, which selects, prints and keeps what they measured."""

from __future__ import annotations

import inspect
import platform
import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .race import CORES, Missing, Outcome, run_race

OURS = ("tokenwheel", "create", "update")


class Stopwatch:
    """The timer that pytest-benchmark reads.

    It stands still, except when it is told of a round that was timed in its contender's process.
    """

    def __init__(self) -> None:
        self.reading = 0.0

    def __call__(self) -> float:
        return self.reading

    def advance(self, seconds: float) -> None:
        self.reading += seconds


stopwatch = Stopwatch()
raced: dict[tuple[Any, ...], dict[str, Outcome | Missing]] = {}
missing: dict[str, str] = {}
in_part: set[str] = set()
"""Cases of which ``-k`` left out a test."""


def pytest_deselected(items: list[pytest.Item]) -> None:
    in_part.update(getattr(item, "originalname", item.name) for item in items)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        function = getattr(item, "originalname", None)
        item.add_marker(pytest.mark.benchmark(timer=stopwatch, group=f"{function}{race_of(item)}"))


def race_of(item: Any) -> tuple[tuple[str, Any], ...]:
    """Return a test's parameters besides the contender and the operation.

    Tests alike in these are one race.
    """
    return tuple(
        (name, value)
        for name, value in sorted(item.callspec.params.items())
        if name not in ("contender", "operation")
    )


Record = Callable[..., None]


@pytest.fixture
def race(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> Record:
    """Run the race that the test belongs to, and record the rounds of the test's contender.

    A race that an earlier test has run is not run again. ``-k`` decides who takes part; the
    compiled tokenwheel always does, to be compared with. What takes too much time or memory to be
    held ready beside the others runs ``alone``.
    """
    item: Any = request.node
    name = item.callspec.params["contender"]

    def record(
        job: str,
        *,
        operation: str,
        rounds: int,
        alone: bool = False,
        baseline: str = "tokenwheel",
        **options: Any,
    ) -> None:
        key = (item.originalname, race_of(item), name if alone else None)
        if key not in raced:
            alike = [
                test for test in item.session.items if (test.originalname, race_of(test)) == key[:2]
            ]
            names = {test.callspec.params["contender"]: None for test in alike}
            raced[key] = run_race(
                [name] if alone else [*{**names, baseline: None}], job, options, rounds
            )
        outcome = raced[key][name]
        if isinstance(outcome, Missing):
            missing[name] = str(outcome)
            assert not name.startswith(OURS), outcome
            pytest.skip(f"{name} is left out: {outcome}")
        seconds = [timed[operation] for timed in outcome.rounds if operation in timed]
        if not seconds:
            pytest.skip(f"{name} has no {operation}")
        labels = {
            "case": item.originalname,
            "race": dict(key[1]),
            "contender": name,
            "operation": operation,
            "version": outcome.version,
        }
        labels["about"] = inspect.getdoc(item.function)
        ours = raced.get((*key[:2], baseline if alone else None), {}).get(baseline)
        if isinstance(ours, Outcome) and name != baseline:
            labels["ours"] = statistics.median(timed[operation] for timed in ours.rounds)
        benchmark.extra_info.update(labels, **outcome.facts, **outcome.counted())
        times = iter(seconds)
        benchmark.pedantic(lambda: stopwatch.advance(next(times)), rounds=len(seconds))

    return record


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Tell the kind of machine, and nothing that names it."""
    kind = machine_info.get("cpu", {}).get("brand_raw", platform.machine())
    machine_info.clear()
    machine_info.update(
        cpu=kind,
        cores=len(CORES),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )
    machine_info["date"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    output_json["missing"] = missing
    output_json["in_part"] = sorted(in_part)
    output_json.pop("commit_info", None)
