"""Fails when a headline case of the working tree is slower than in a base commit.

``make bench-check BASE=commit`` runs it. Slower means by more than the noise.

The base is built twice and the working tree once, each from a clean copy into an environment of its
own. A process of each then times the same cases in turn, in short rounds on one core, so that what
the machine does meanwhile meets all three alike. All of that is done over with new processes, since
a process may have luck with where its memory lies. The second base is compiled with another
alignment, since code that nobody changed may have such luck too. How far it strays from the first
is the noise. A case that seems slower is measured once more and fails only if it seems so again.
Exit: 0 nothing is slower, 1 something is, 2 there is no verdict.

The base is ``BASE``, else where this branch left main; on main itself the last commit, or the
commit before it where nothing changed since.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from benchmarks.headline import CASES
from benchmarks.spread import RESAMPLES, median, medians_of_resamples

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench-check"
STARTS = 16
ROUNDS = 6
CONFIDENCE = 0.99
OTHER_ALIGNMENT = "-falign-functions=64 -falign-loops=32"


class Unmeasured(Exception):
    """There is no verdict, which is not a bad verdict: exit 2."""


class Comparison(NamedTuple):
    """A case: nanoseconds before and after, and the ratios of each start to the base.

    One ratio is that of the working tree, the other that of the base built again.
    """

    before: float
    after: float
    ratios: Sequence[float]
    ratios_of_base: Sequence[float]

    @property
    def ratio(self) -> float:
        """How much slower the case has become: 1.1 is a tenth."""
        return median(self.ratios)

    @property
    def noise(self) -> float:
        """Return how far a ratio strays where nothing changed, or this ratio by itself.

        It is the larger of the two.
        """
        return max(stray(self.ratios_of_base, 1.0), stray(self.ratios, self.ratio))

    @property
    def is_slower(self) -> bool:
        return self.ratio > 1 + self.noise


def stray(ratios: Sequence[float], expected: float) -> float:
    """Return how far the median of such ratios differs from the expected ratio, at most.

    It does so with the confidence demanded.
    """
    distances = sorted(abs(math.log(sample / expected)) for sample in medians_of_resamples(ratios))
    return math.expm1(distances[math.ceil(CONFIDENCE * RESAMPLES) - 1])


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout


def commit_of(name: str | None) -> str:
    """Return the commit to compare with."""
    head = git("rev-parse", "HEAD")
    if name is None:
        name = git("merge-base", "HEAD", "main").decode().strip()
        if name.encode() == head.strip() and not git("status", "--porcelain"):
            name = "HEAD~1"
    return git("rev-parse", "--verify", f"{name}^{{commit}}").decode().strip()


def copy_commit(commit: str, folder: Path) -> None:
    with tarfile.open(fileobj=BytesIO(git("archive", commit))) as archive:
        archive.extractall(folder, filter="data")


def copy_working_tree(folder: Path) -> None:
    for name in (
        git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode().split("\0")
    ):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def install(source: Path, flags: str = "") -> Path:
    """Install this source's library, compiled, into a new environment. Return that one's Python."""
    environment = source.with_name(f"{source.name}-environment")
    subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
    python = environment / "bin" / "python"
    variables = {**os.environ, "TOKENWHEEL_IMPL": "native", "CFLAGS": flags}
    if subprocess.run(
        [python, "-m", "pip", "install", "-q", source], check=False, env=variables
    ).returncode:
        raise Unmeasured(f"{source} could not be built")
    return python


class Side:
    """A process that times cases for one build."""

    def __init__(self, python: Path) -> None:
        self.process = subprocess.Popen(
            [python, "-I", ROOT / "benchmarks" / "headline.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TOKENWHEEL_IMPL": "native"},
        )

    def time(self, case: str) -> float:
        """Nanoseconds a call; not a number where this build lacks what the case needs."""
        print(case, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise Unmeasured(f"the process that times {case!r} has ended")
        return math.nan if answer == "-" else float(answer)

    def stop(self) -> None:
        self.process.communicate()


def compare(pythons: Sequence[Path], cases: Sequence[str], starts: int) -> dict[str, Comparison]:
    """Time the cases for the base, the base again and the working tree, in turn."""
    medians: dict[str, list[list[float]]] = {case: [] for case in cases}
    for start in range(starts):
        with ExitStack() as stack:
            sides = [Side(python) for python in pythons]
            for side in sides:
                stack.callback(side.stop)
            for case in cases:
                times: list[list[float]] = [[] for _ in sides]
                for number in range(ROUNDS + 1):
                    for turn in range(len(sides)):
                        which = (turn + number + start) % len(sides)
                        times[which].append(sides[which].time(case))
                base = times[0][1:]  # the first round warms up
                ratios = [
                    median(time / base_time for time, base_time in zip(own[1:], base, strict=True))
                    for own in times[1:]
                ]
                medians[case].append([median(base), median(times[2][1:]), *ratios])
    columns = {case: list(zip(*rows, strict=True)) for case, rows in medians.items()}
    return {
        case: Comparison(median(before), median(after), new, base)
        for case, (before, after, base, new) in columns.items()
    }


def verdict(case: str, comparison: Comparison) -> str:
    if math.isnan(comparison.ratio):
        return f"{case:24} the base or the working tree lacks what it needs"
    words = (
        "SLOWER"
        if comparison.is_slower
        else "faster"
        if comparison.ratio < 1 / (1 + comparison.noise)
        else "same"
    )
    figures = f"{comparison.before:10,.0f} {comparison.after:10,.0f} {comparison.ratio:8.3f}"
    return f"{case:24} {figures} {comparison.noise:8.1%}  {words}"


def report(comparisons: dict[str, Comparison]) -> list[str]:
    """Print the table. Return the cases that are slower."""
    print(f"{'':24} {'base, ns':>10} {'now, ns':>10} {'ratio':>8} {'noise':>8}")
    for case, comparison in comparisons.items():
        print(verdict(case, comparison), flush=True)
    return [case for case, comparison in comparisons.items() if comparison.is_slower]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench_check", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("base", nargs="?", help="a commit")
    try:
        return check(commit_of(parser.parse_args().base))
    except (Unmeasured, subprocess.CalledProcessError) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 2


def check(base: str) -> int:
    """Build, measure and tell the outcome. Return the exit status."""
    subject = git("show", "--no-patch", "--format=%h %s", base).decode().strip()
    print(f"the working tree against {subject}", flush=True)
    shutil.rmtree(BUILD, ignore_errors=True)
    sources = [BUILD / name for name in ("base", "base-again", "now")]
    for source in sources:
        source.mkdir(parents=True)
    for source in sources[:2]:
        copy_commit(base, source)
    copy_working_tree(sources[2])
    with ThreadPoolExecutor() as pool:
        pythons = list(pool.map(install, sources, ["", OTHER_ALIGNMENT, ""]))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    slower = report(compare(pythons, list(CASES), STARTS))
    if slower:
        print("once more, what seems slower:")
        slower = report(compare(pythons, slower, 2 * STARTS))
    print(
        f"slower than the noise explains: {', '.join(slower)}"
        if slower
        else "nothing is slower than the noise explains"
    )
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
