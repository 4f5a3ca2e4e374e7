"""What a run measured.

It is read from pytest-benchmark's file, reduced to medians and spread, and asked for by case and
contender.
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


class Results:
    def __init__(
        self,
        environment: dict[str, Any],
        missing: dict[str, str],
        about: dict[str, str],
        rows: list[Row],
    ) -> None:
        self.environment = environment
        self.missing = missing
        self.about = about
        self.rows = rows

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
            {"environment": self.environment, "missing": self.missing, "about": self.about},
            indent=1,
        )
        return f'{head[:-2]},\n "rows": [\n{lines}\n]}}\n'


def read_results(path: Path) -> Results:
    """Return the results in a file of ``pytest --benchmark-json``, or in the report's own."""
    file = json.loads(path.read_text())
    if "rows" in file:
        return Results(
            file["environment"],
            file["missing"],
            file["about"],
            [Row(**row) for row in file["rows"]],
        )
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
    return Results(file["machine_info"], file["missing"], about, rows)


def significant(value: float) -> float:
    """Four digits: more would be noise, written down anew by every run."""
    return float(f"{value:.4g}")
