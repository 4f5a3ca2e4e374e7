"""The figures of the page on performance are those of the reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.reference_tables import rows_in

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "performance.md"
REPORT = ROOT / "benchmarks" / "report"

pytestmark = pytest.mark.skipif(
    not PAGE.exists() or not REPORT.exists(),
    reason="a wheel is tested without the pages and the benchmarks beside it",
)

# The line of the report, by what measures it again, that a row of a table has its figures from.
CASES = {
    "a token seen before, HS256": "read_seen[HS256-tokenwheel]",
    "the same, RS256": "read_seen[RS256-tokenwheel]",
    "a token never seen, HS256": "read_unseen[HS256-tokenwheel]",
    "a token never seen, and one claim of it looked up": "read_unseen_claim[tokenwheel]",
    "for comparison: PyJWT, HS256": "read_seen[HS256-pyjwt]",
    "without a feed": "read_fed[tokenwheel]",
    "with SqliteFeed": "read_fed[tokenwheel_fed]",
    "with RedisFeed": "read_fed[redis_fed]",
    "for comparison: PyJWT and a blocklist in Redis": "read_blocklist[pyjwt_blocklist-",
    "MemoryStorage": "last[memory-",
    'SQLite, synchronous="NORMAL"': "last[sqlite_normal-",
    "Redis, over loopback": "last[redis-",
    'SQLite, synchronous="FULL"': "last[sqlite_full-",
    "a remembered token of 300 characters, its text included": "remembered[tokenwheel_roomy]",
    "a revocation, of a million": "revocations[1000000-tokenwheel-",
    "an entry of ExpiringCache of a million, key and value included": "cache[1000000-tokenwheel-",
}


def test_each_figure_in_a_table_is_that_of_its_line_of_the_report() -> None:
    report = (REPORT / "README.md").read_text(encoding="utf-8").splitlines()
    tables = re.findall(r"(?:^\|.*\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    rows = [list(row.values()) for table in tables for row in rows_in(table)]
    assert sorted(row[0].replace("`", "") for row in rows) == sorted(CASES)
    for name, *figures in rows:
        (line,) = [line for line in report if f"CASES='{CASES[name.replace('`', '')]}'" in line]
        cells = [re.split(" ±| \\(", cell.strip())[0] for cell in line.split("|")]
        assert [figure for figure in figures if figure not in cells] == [], name


def test_each_figure_in_a_sentence_is_in_the_reports() -> None:
    reports = "\n".join(
        (REPORT / name).read_text(encoding="utf-8")
        for name in ("README.md", "scaling.md", "server.md")
    )
    prose = re.sub(r"^\|.*\n", "", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    figures = re.findall(r"(?<!\w)([\d.]+)(%|\s(?:ns|µs|ms|\N{MULTIPLICATION SIGN}))", prose)
    assert len(figures) == 15
    for number, unit in figures:
        shown = re.escape(f"{number}{unit}".replace("\n", " "))
        assert re.search(rf"(?<![\d.]){shown}", reports), number
