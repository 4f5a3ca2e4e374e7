"""Read the hand-written reference: its pages, their sections and the tables in these."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["REFERENCE", "page", "rows_in", "section_of"]

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def section_of(name: str, title: str) -> str:
    """Return a page's text from a heading to the next one of any level."""
    parts = re.split(r"^#+ (.+)$", page(name), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def rows_in(text: str) -> list[dict[str, str]]:
    """Return the rows of the first table in a text, each by the table's heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads, _, *rows = [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
    ]
    return [dict(zip(heads, row, strict=True)) for row in rows]
