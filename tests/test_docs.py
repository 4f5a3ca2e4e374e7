"""What docs/ shows is right: its storage and its feed pass the suites that tell, and what its pages point to is there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from tokenwheel import testing

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / ".github").glob("*.md")),
]

pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").exists(), reason="a wheel is tested without the pages beside it"
)


def shown(name: str) -> Any:
    """A class as docs/storage.md shows it."""
    page = (ROOT / "docs" / "storage.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "shown"}
    exec(next(block for block in blocks if f"class {name}:" in block), names)
    return names[name]


class TestTheStorageShown(testing.StorageContract):
    def make_storage(self) -> Any:
        return shown("DictStorage")()


class TestTheFeedShown(testing.FeedContract):
    def make_feeds(self) -> tuple[Any, Any]:
        log: list[Any] = []
        feed = shown("LogFeed")
        return feed(log), feed(log)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
    unpacked = [name for name in (".github/", "benchmarks/") if not (ROOT / name).exists()]
    packed = [link for link in links if not any(name in link for name in unpacked)]
    assert [link for link in packed if not (page.parent / link).exists()] == []


def test_the_figures_of_the_readme_are_those_of_the_report() -> None:
    report = ROOT / "benchmarks" / "report" / "README.md"
    if not report.exists():
        pytest.skip("a wheel is tested without the benchmarks beside it")
    told = report.read_text(encoding="utf-8").partition("## For the README\n")[2].strip()
    assert told
    assert told in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    existing = set(
        re.findall(
            r"^ *(?:async )?def (test_\w+)",
            "\n".join([*sources, inspect.getsource(testing)]),
            re.MULTILINE,
        )
    )
    named = set(re.findall(r"(?<![\w/])test_\w+(?!\w|\.py)", text))
    assert sorted(named - existing) == []
    paths = re.findall(r"\btests/[\w/]+(?:\.py)?", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
