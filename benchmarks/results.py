"""What was measured, in one run or in several.

It is read from pytest-benchmark's file, reduced to medians and spread, and asked for by case and
contender. All rows of a case are of the same run, and nothing is compared across two cases.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

COMMON = {"case", "race", "contender", "operation", "about", "version"}


class Row(NamedTuple):
    """A contender's rounds of one operation."""

    case: str
    race: dict[str, Any]
    contender: str
    operation: str
    version: str
    seconds: float
    """The median of the rounds."""
    spread: float
    """Half of the rounds lie within so many seconds of each other: the interquartile range."""
    least: float
    """The fastest round."""
    rounds: int
    facts: dict[str, Any]
    run: int = 0
    """The place of its run in ``Results.runs``."""


class Results:
    """The rows of one or more runs.

    Args:
        runs: the environment of each run: machine, versions, moment.
        missing: who was left out, and why.
        about: what each case measures.
        rows: what was measured.
        in_part: cases of which not all tests were run.
    """

    def __init__(
        self,
        runs: list[dict[str, Any]],
        missing: dict[str, str],
        about: dict[str, str],
        rows: list[Row],
        in_part: list[str] | None = None,
    ) -> None:
        self.runs = runs
        self.missing = missing
        self.about = about
        self.rows = rows
        self.in_part = in_part or []

    def find(
        self, case: str, contender: str, operation: str | None = None, **race: Any
    ) -> Row | None:
        for row in self.rows:
            if (row.case, row.contender, row.race) == (case, contender, race) and operation in (
                None,
                row.operation,
            ):
                return row
        return None

    def seconds(
        self, case: str, contender: str, operation: str | None = None, **race: Any
    ) -> float | None:
        row = self.find(case, contender, operation, **race)
        return None if row is None else row.seconds

    def fact(self, name: str, case: str, contender: str, **race: Any) -> Any:
        row = self.find(case, contender, **race)
        return None if row is None else row.facts.get(name)

    def version(self, contender: str) -> str:
        return next((row.version for row in self.rows if row.contender == contender), "")

    def to_json(self) -> str:
        rows = [row._asdict() for row in self.rows]
        lines = ",\n".join(json.dumps(row) for row in rows)
        head = json.dumps(
            {"runs": self.runs, "missing": self.missing, "about": self.about},
            indent=1,
        )
        return f'{head[:-2]},\n "rows": [\n{lines}\n]}}\n'


def read_results(path: Path) -> Results:
    """Return the results in a file of ``pytest --benchmark-json``, or in the report's own."""
    file = json.loads(path.read_text())
    if "rows" in file:
        runs = file["runs"] if "runs" in file else [file["environment"]]
        return Results(runs, file["missing"], file["about"], [Row(**row) for row in file["rows"]])
    rows = []
    for test in file["benchmarks"]:
        extra, stats = test["extra_info"], test["stats"]
        facts = {name: value for name, value in extra.items() if name not in COMMON}
        common = (
            extra["case"],
            extra["race"],
            extra["contender"],
            extra["operation"],
            extra["version"],
        )
        rows.append(
            Row(
                *common,
                significant(stats["median"]),
                significant(stats["iqr"]),
                significant(stats["min"]),
                stats["rounds"],
                facts,
            )
        )
    about = {test["extra_info"]["case"]: test["extra_info"]["about"] for test in file["benchmarks"]}
    return Results([file["machine_info"]], file["missing"], about, rows, file["in_part"])


def renew(report: Results, run: Results) -> Results:
    """Return the report with the cases of a run in place of its own.

    Raises:
        PartOfACase: the run left out tests of a case, whose rows would then be of two runs.
    """
    cases = {row.case for row in run.rows}
    in_part = sorted(cases.intersection(run.in_part))
    if in_part:
        raise PartOfACase(f"only a part of {', '.join(in_part)} was run, so the report stays")
    newest = len(report.runs)
    rows = {case: [row for row in report.rows if row.case == case] for case in order_of(report)}
    for case in order_of(run):
        rows[case] = [row._replace(run=newest) for row in run.rows if row.case == case]
    kept = [row for several in rows.values() for row in several]
    runs = [*report.runs, *run.runs]
    used = sorted({row.run for row in kept})
    present = {row.contender for row in kept}
    missing = {name: why for name, why in report.missing.items() if name not in present}
    return Results(
        [runs[number] for number in used],
        {**missing, **run.missing},
        {**report.about, **run.about},
        [row._replace(run=used.index(row.run)) for row in kept],
    )


def order_of(results: Results) -> list[str]:
    """Return the cases in their order."""
    return list(dict.fromkeys(row.case for row in results.rows))


class PartOfACase(Exception):
    """A run that left out tests of a case can't renew a report."""


def significant(value: float) -> float:
    """Four digits: more would be noise, written down anew by every run."""
    return float(f"{value:.4g}")


def environment(run: dict[str, Any]) -> str:
    """Return when and where a run was made, as a sentence."""
    return (
        f"{run['date']}, {run['cpu']}, {run['cores']} cores, {run['system']}, "
        f"CPython {run['python']}."
    )
