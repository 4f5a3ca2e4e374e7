"""docs/howto/tuning.md and limits.md state the defaults of the code and figures of the report."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from tests.docs.howto_blocks import table, text_of
from tokenwheel import SessionManager, SqliteFeed, SqliteStorage

ROOT = Path(__file__).resolve().parents[2]


def default(name: str) -> object:
    of = SqliteStorage if name == "synchronous" else SessionManager
    return inspect.signature(of).parameters[name].default


@pytest.mark.parametrize(
    "page, heading",
    [("tuning", "## Which option does what"), ("limits", "What the options mean:\n")],
)
def test_each_default_of_the_page_is_that_of_the_code(page: str, heading: str) -> None:
    rows = table(page, heading)
    assert len(rows) >= 5
    for option, said, *_ in rows:
        value = default(re.findall(r"`(\w+)`", option)[0])
        number = re.match(r"[\d,]+", said)
        if number is not None:
            assert int(number[0].replace(",", "")) == value, option
        else:
            assert said == ("none" if value is None else f'`"{value}"`'), option


def test_the_feed_has_the_default_of_the_storage() -> None:
    assert inspect.signature(SqliteFeed).parameters["synchronous"].default == default("synchronous")


def test_each_time_and_rate_of_tuning_stands_in_the_report() -> None:
    folder = ROOT / "benchmarks" / "report"
    if not folder.exists():
        pytest.skip("a wheel is tested without the benchmarks beside it")
    reported = "\n".join(page.read_text(encoding="utf-8") for page in folder.glob("*.md"))
    page = re.sub(r"^```.*?^```$", "", text_of("tuning"), flags=re.MULTILINE | re.DOTALL)
    figures = re.findall(r"\b[\d.]+ (?:µs|ns)", page) + re.findall(r"\d\d,\d{3}(?= requests)", page)
    assert len(figures) > 8
    assert [figure for figure in figures if figure not in reported] == []
