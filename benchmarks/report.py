"""Writes the report: ``python -m benchmarks.report RESULTS.json FOLDER [--renew]``.

Everything in it comes from the one run in that file, or with ``--renew`` from the report that lies
in the folder, with the cases of that run in place of its own. The file is pytest-benchmark's, or
the report's own ``results.json``, from which the page can be made anew after a change of its
wording.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from .contenders import plain
from .goals import GOALS, Check
from .held_back import HELD_BACK
from .prose import wrap
from .readme_table import readme_table, runs_shown
from .report_plots import make_plots
from .report_tables import TIMES, case_section
from .results import PartOfACase, Results, environment, read_results, renew

NOT_MET = "**not met**"
MOST_SHOWN = 6
"""Comparisons a goal, the worst first: those not met, or all where all are."""
HOW = """\
Every contender runs in a process of its own, so that its memory, its garbage collector and its
caches are its own, and all of them on the same core (Node may use every core: V8 compiles in other
threads; a server has the other cores, and is reached over loopback). They are built and warmed up
first; then each times one round in turn, in an order drawn anew for each turn, so that whatever
befalls the machine befalls all. A round takes the median over slices of at most 50 µs or 100 calls,
about 20 ms of them; the figure here is the median of the rounds, ± half their interquartile range.
The loop around the calls is part of the time, for everyone. Inputs are made outside of the time, as
fresh objects, as a server receives them. The garbage collector is off during a round; what it costs
is a figure of its own. Before anything is timed, each library's answer is compared with the right
one, and a token with a false signature, an `exp` in the past, a wrong `iss` and a wrong `aud` is
shown to it: what it does not refuse, its line names.

All read the very same tokens, which this library issued: 329 characters with HS256, with `sub`,
`anc`, `role`, `name`, `iss`, `aud`, `sid`, `iat` and `exp`, and the type in the header. `read` also
checks the type and the session's id, refuses a name that stands twice, and asks whether the session
was revoked, which the others leave out. RSA keys have 2048 bits. The last release of this library
takes part too, built from its commit by the same compiler.
"""


def write_report(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plots = dict(make_plots(results))
    for name, plot in plots.items():
        (folder / name).write_text(plot)
    (folder / "results.json").write_text(results.to_json())
    (folder / "README.md").write_text(wrap("\n".join(make_page(results, plots))))


def make_page(results: Results, plots: dict[str, str]) -> Iterator[str]:
    yield "# Benchmarks\n"
    yield from origin(results)
    yield (
        "Of other runs: [over threads and processes](scaling.md), "
        "[a server from outside](server.md).\n"
    )
    yield "## Goals\n"
    yield f"A figure with {TIMES} is this library's time, or size, as a multiple of the other's.\n"
    yield from goals_table(results)
    yield from held_back(results)
    for name in plots:
        yield f"\n![{name.removesuffix('.svg').replace('-', ' ')}]({name})"
    yield f"\n## How it was measured\n\n{HOW}"
    if results.missing:
        left_out = "; ".join(
            f"{plain(name)} ({why})" for name, why in sorted(results.missing.items())
        )
        yield f"**Left out, since they could not be installed:** {left_out}.\n"
    for case, rows in groupby(results.rows, key=lambda row: row.case):
        yield from case_section(results, case, list(rows))
    table = list(readme_table(results))
    if table:
        yield "\n## For the README\n\n| | tokenwheel | instead | |\n| --- | ---: | ---: | ---: |"
        yield from table
        yield f"\n{' '.join(environments(results, sorted(runs_shown(results))))}\n"


def origin(results: Results) -> Iterator[str]:
    """Return from which run, or runs, the figures are."""
    [first, *others] = environments(results, range(len(results.runs)))
    if not others:
        yield f"{first} Written by `make bench`; every figure is from that one run.\n"
        return
    yield (
        f"Written by `make bench` from {len(results.runs)} runs. Each section names its own, and "
        "compares figures of that one run only:\n"
    )
    for run in [first, *others]:
        yield f"- {run}"
    yield ""


def environments(results: Results, runs: Iterable[int]) -> list[str]:
    return [environment(results.runs[run]) for run in runs]


def goals_table(results: Results) -> Iterator[str]:
    yield "| what | goal | reached | |\n| --- | --- | --- | --- |"
    for goal in GOALS:
        checks = list(goal.checks(results))
        measured = sorted(
            (check for check in checks if check.met is not None), key=lambda check: -check.share
        )
        failed = [check for check in measured if not check.met]
        shown = failed or measured
        more = f"; and {len(shown) - MOST_SHOWN} more" if len(shown) > MOST_SHOWN else ""
        reached = "; ".join(map(describe, shown[:MOST_SHOWN])) + more or goal.unmeasured
        yield f"| {goal.title} | {goal.goal} | {reached} | {judge(checks)} |"


def held_back(results: Results) -> Iterator[str]:
    missed = [goal for goal in GOALS if judge(list(goal.checks(results))) == NOT_MET]
    if missed:
        yield "\nWhat holds back those that are not met:\n"
    for goal in missed:
        yield f"- **{goal.title}.** {' '.join(HELD_BACK.get(goal.checks.__name__, '').split())}"


def judge(checks: list[Check]) -> str:
    verdicts = {check.met for check in checks}
    if False in verdicts:
        return NOT_MET
    if None not in verdicts:
        return "met"
    return "met as far as it was measured" if True in verdicts else "not measured"


def describe(check: Check) -> str:
    assert check.reached is not None
    if check.unit != "times":
        return f"{check.what}: {check.reached:.3g} {check.unit}"
    share = f"1/{1 / check.reached:.0f}" if check.reached < 0.3 else f"{check.reached:.2f} {TIMES}"
    return f"{share} {check.what}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report")
    parser.add_argument("results", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--renew", action="store_true")
    arguments = parser.parse_args()
    results = read_results(arguments.results)
    if arguments.renew:
        try:
            results = renew(read_results(arguments.folder / "results.json"), results)
        except PartOfACase as error:
            sys.exit(str(error))
    write_report(results, arguments.folder)
    print(f"the report: {arguments.folder / 'README.md'}")


if __name__ == "__main__":
    main()
