"""What is timed over threads and processes is done, by each of them, and counted."""

from __future__ import annotations

import pytest

pytest.importorskip(
    "benchmarks.scaling.measure", reason="a wheel is tested without the benchmarks beside it"
)

from benchmarks.scaling import page
from benchmarks.scaling.measure import Span, Threads, counts_up_to, rate
from benchmarks.scaling.variants import VARIANTS


@pytest.mark.parametrize("place", range(len(VARIANTS)), ids=lambda place: VARIANTS[place].__name__)
def test_every_thread_does_as_many_calls_as_a_thread_alone(place: int) -> None:
    threads = Threads([1, 2])
    [alone] = threads.run(place, 3, 1)
    assert [span.calls for span in threads.run(place, 3, 2)] == [alone.calls] * 2


def test_time_is_from_the_first_start_to_the_last_end() -> None:
    spans = [Span(start=10.0, end=12.0, calls=100), Span(start=11.0, end=14.0, calls=100)]
    assert rate(spans, 2) == 200 / 4


def test_a_worker_that_failed_leaves_no_figure() -> None:
    with pytest.raises(AssertionError, match="a worker has failed"):
        rate([Span(10.0, 12.0, 100)], 2)


@pytest.mark.parametrize(
    "most, counts", [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16])]
)
def test_workers_double_up_to_the_cores(most: int, counts: list[int]) -> None:
    assert counts_up_to(most) == counts


@pytest.mark.parametrize("reached, verdict", [(1.89, "**not met**"), (1.9, "met")])
def test_the_goal_is_judged_by_both_kinds_of_reading(reached: float, verdict: str) -> None:
    rates = {page.EMPTY: {"1": [10.0] * 3, "2": [20.0] * 3}}
    rates |= {key: {"1": [10.0] * 3, "2": [20.0] * 3} for key in page.READS}
    rates[page.READS[1]] = {"1": [100.0] * 3, "2": [100 * reached] * 3}
    [line] = page.goal({"threads": {"calls_per_second": rates}})
    assert line.endswith(f": {verdict}.")


def test_a_ratio_is_of_one_round() -> None:
    assert page.speedups({"1": [10.0, 20.0], "2": [19.0, 38.0]}, "2") == [1.9, 1.9]
