"""docs/storage.md names each column of the tables that SQL databases have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "storage.md"

pytestmark = pytest.mark.skipif(
    not PAGE.exists(), reason="a wheel is tested without the pages beside it"
)


def test_the_page_names_each_column_of_the_tables_and_no_other() -> None:
    pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")
    from tokenwheel.sql import metadata

    text = PAGE.read_text(encoding="utf-8")
    for name, table in metadata.tables.items():
        _, _, below = text.partition(f"| `{name}` |")
        rows = re.findall(r"^\| (`.*?) \|", below.partition("\n\n")[0], re.MULTILINE)
        told = re.findall(r"`(\w+)`", " ".join(rows))
        assert sorted(told) == sorted(table.columns.keys())
