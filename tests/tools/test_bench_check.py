"""The judgement of ``make bench-check``, over ratios made up for it.

Besides, the benchmark's cases call what is there.
"""

from __future__ import annotations

import math
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tools.bench_check", reason="a wheel is tested without the tools beside it")

from benchmarks import headline, spread
from tools import bench_check


def ratios(
    middle: float, deviation: float, seed: int, starts: int = bench_check.STARTS
) -> list[float]:
    chance = random.Random(seed)
    return [middle * math.exp(chance.gauss(0, deviation)) for _ in range(starts)]


def compared(after: list[float], base_again: list[float]) -> bench_check.Comparison:
    return bench_check.Comparison(100, 100 * spread.median(after), after, base_again)


@pytest.mark.parametrize("seed", range(20))
def test_a_tenth_slower_is_found_when_starts_differ_by_a_few_hundredths(seed: int) -> None:
    assert compared(ratios(1.1, 0.03, seed), ratios(1.0, 0.03, seed + 100)).is_slower


def test_no_change_is_seldom_taken_for_a_slowdown() -> None:
    slowdowns = [
        compared(ratios(1.0, 0.03, seed), ratios(1.0, 0.03, seed + 1_000)).is_slower
        for seed in range(200)
    ]
    assert sum(slowdowns) <= 4


@pytest.mark.parametrize("middle", [0.5, 0.9, 0.99])
def test_a_faster_case_is_not_slower(middle: float) -> None:
    assert not compared(ratios(middle, 0.01, 1), ratios(1.0, 0.01, 2)).is_slower


def test_noise_hides_a_slowdown_smaller_than_itself() -> None:
    assert not compared(ratios(1.02, 0.01, 1), ratios(1.0, 0.2, 2)).is_slower
    assert not compared(ratios(1.02, 0.2, 1), ratios(1.0, 0.01, 2)).is_slower


@pytest.mark.parametrize("luck", [0.93, 1.07])
def test_what_another_alignment_alone_changes_is_noise_either_way(luck: float) -> None:
    comparison = compared([1.06] * 10, [luck] * 10)
    assert comparison.noise == pytest.approx(0.07, abs=0.01)
    assert not comparison.is_slower
    assert compared([1.2] * 10, [luck] * 10).is_slower


def test_a_case_that_one_build_lacks_is_named_and_is_no_slowdown() -> None:
    comparison = compared([math.nan] * 4, [1.0] * 4)
    assert not comparison.is_slower
    assert "lacks" in bench_check.verdict("cache.get", comparison)


def test_the_interval_of_a_median_holds_it_and_narrows_with_more_rounds() -> None:
    few, many = (spread.median_interval(ratios(5.0, 0.1, 3, starts)) for starts in (8, 200))
    assert few[0] < 5 < few[1]
    assert many[1] - many[0] < few[1] - few[0]


def test_less_confidence_needs_a_narrower_interval() -> None:
    values = ratios(5.0, 0.1, 3, 50)
    (sure_low, sure_high), (low, high) = (
        spread.median_interval(values),
        spread.median_interval(values, 0.5),
    )
    assert sure_low < low < high < sure_high


@pytest.mark.parametrize("name", headline.CASES)
def test_each_case_calls_what_is_there(name: str) -> None:
    call, arguments = headline.CASES[name]()()
    for argument in arguments[:2]:
        call(argument)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a repository with two commits on main. Return what runs git there."""

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.org"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q", "-b", "main")
    (tmp_path / ".gitignore").write_text("ignored\n")
    for text in ("first", "second"):
        (tmp_path / "file").write_text(text)
        (tmp_path / "gone").write_text(text)
        git("add", "-A")
        git("commit", "-q", "-m", text)
    monkeypatch.setattr(bench_check, "ROOT", tmp_path)
    return git


def test_the_base_is_where_the_branch_left_main(repository: Any, tmp_path: Path) -> None:
    left_at = repository("rev-parse", "HEAD")
    repository("switch", "-q", "-c", "branch")
    (tmp_path / "file").write_text("third")
    repository("commit", "-q", "-a", "-m", "third")
    assert bench_check.commit_of(None) == left_at


def test_on_main_the_base_is_the_last_commit_of_what_has_changed(
    repository: Any, tmp_path: Path
) -> None:
    assert bench_check.commit_of(None) == repository("rev-parse", "HEAD~1")
    (tmp_path / "file").write_text("changed")
    assert bench_check.commit_of(None) == repository("rev-parse", "HEAD")
    assert bench_check.commit_of("HEAD~1") == repository("rev-parse", "HEAD~1")


def test_the_two_copies_are_the_commit_and_the_working_tree_as_it_is(
    repository: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("changed")
    (tmp_path / "new").write_text("new")
    (tmp_path / "ignored").write_text("ignored")
    (tmp_path / "gone").unlink()
    first, now = tmp_path / "build" / "first", tmp_path / "build" / "now"
    now.mkdir(parents=True)
    bench_check.copy_working_tree(now)
    bench_check.copy_commit(repository("rev-parse", "HEAD~1"), first)
    assert {path.name: path.read_text() for path in now.iterdir() if path.is_file()} == {
        ".gitignore": "ignored\n",
        "file": "changed",
        "new": "new",
    }
    assert (first / "file").read_text() == "first"
