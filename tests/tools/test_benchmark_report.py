"""The report is renewed by whole cases only, and says which run each figure is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "benchmarks.report", reason="a wheel is tested without the benchmarks beside it"
)

from benchmarks import report, report_tables
from benchmarks.goals import GOALS
from benchmarks.held_back import HELD_BACK
from benchmarks.results import PartOfACase, Results, Row, read_results, renew

OLD, NEW = "2026-11-26", "2026-11-27 21:35 UTC"


def row(case: str, contender: str, seconds: float) -> Row:
    return Row(case, {}, contender, "make", "1.0", seconds, 0.0, seconds, 9, {})


def results(date: str, *rows: Row, **options: Any) -> Results:
    machine = {
        "date": date,
        "cpu": "a processor",
        "cores": 2,
        "system": "Linux x86_64",
        "python": "3.13.0",
    }
    missing = options.pop("missing", {})
    about = {row.case: f"what {row.case} is about" for row in rows}
    return Results([machine], missing, about, [*rows], **options)


def section(page: str, title: str) -> str:
    return page.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture
def before() -> Results:
    return results(
        OLD,
        row("test_issue", "pyjwt", 3e-5),
        row("test_new_token", "tokenwheel", 2e-7),
        row("test_new_token", "secrets", 9e-7),
        missing={"nanoid_node": "no Node"},
    )


def test_a_run_takes_the_place_of_all_rows_of_its_cases(before: Results) -> None:
    renewed = renew(before, results(NEW, row("test_new_token", "tokenwheel", 1e-7)))
    assert [(row.case, row.contender, row.seconds) for row in renewed.rows] == [
        ("test_issue", "pyjwt", 3e-5),
        ("test_new_token", "tokenwheel", 1e-7),
    ]


def test_each_section_names_the_run_that_it_is_of(before: Results) -> None:
    renewed = renew(before, results(NEW, row("test_new_token", "tokenwheel", 1e-7)))
    page = "\n".join(report.make_page(renewed, {}))
    assert f"Run of {OLD}." in section(page, report_tables.TITLES["test_issue"])
    assert f"Run of {NEW}." in section(page, report_tables.TITLES["test_new_token"])
    assert "every figure is from that one run" not in page


def test_a_report_of_one_run_says_so(before: Results) -> None:
    page = "\n".join(report.make_page(before, {}))
    assert "every figure is from that one run" in page
    assert "Run of" not in page


def test_a_run_of_which_nothing_is_left_is_named_no_more(before: Results) -> None:
    newer = renew(before, results("later", row("test_new_token", "tokenwheel", 1e-7)))
    newest = renew(newer, results("last", row("test_new_token", "tokenwheel", 1e-7)))
    assert [run["date"] for run in newest.runs] == [OLD, "last"]


def test_a_case_of_which_a_part_was_run_renews_nothing(before: Results) -> None:
    part = results(NEW, row("test_new_token", "tokenwheel", 1e-7), in_part=["test_new_token"])
    with pytest.raises(PartOfACase, match="test_new_token"):
        renew(before, part)


def test_a_case_that_was_left_out_keeps_no_other_from_renewing(before: Results) -> None:
    run = results(NEW, row("test_new_token", "tokenwheel", 1e-7), in_part=["test_issue"])
    assert [row.run for row in renew(before, run).rows] == [0, 1]


def test_who_takes_part_again_is_missing_no_more(before: Results) -> None:
    run = results(NEW, row("test_new_token", "nanoid_node", 2e-7), missing={"uid_safe": "no npm"})
    assert renew(before, run).missing == {"uid_safe": "no npm"}


def test_what_was_written_is_read_again(before: Results, tmp_path: Path) -> None:
    renewed = renew(before, results(NEW, row("test_new_token", "tokenwheel", 1e-7)))
    report.write_report(renewed, tmp_path)
    again = read_results(tmp_path / "results.json")
    assert (again.runs, again.rows, again.missing) == (renewed.runs, renewed.rows, renewed.missing)


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.title)
def test_a_goal_says_what_kept_it_from_being_met(goal: Any) -> None:
    assert HELD_BACK[goal.checks.__name__].split()
