"""What makes the documentation site: its links, its checker, and the site as it was built."""

from __future__ import annotations

import html
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import tokenwheel

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "docs"
LINKS = ROOT / "docs" / "_site" / "outside_links.py"

pytestmark = pytest.mark.skipif(
    not LINKS.exists() or not (ROOT / "tools").exists(),
    reason="a wheel is tested without what makes the site",
)


@pytest.fixture(scope="module")
def links() -> ModuleType:
    spec = importlib.util.spec_from_file_location("outside_links", LINKS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_site(folder: Path, **pages: str) -> Path:
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


def mistakes_of(site: Path, *names: str) -> list[str]:
    from tools.check_site import check

    return check(site, list(names))


def test_a_site_whose_links_lead_somewhere_has_no_mistakes(tmp_path: Path) -> None:
    site = write_site(
        tmp_path,
        one='<a href="two.html#there">two</a> <a href="#here" id="here">here</a>',
        two='<p id="there"><a href="https://example.test/">elsewhere</a></p>',
    )
    assert mistakes_of(site) == []


@pytest.mark.parametrize(
    "body, mistake",
    [
        ('<a href="two.html">', "one.html links two.html, and there is no such file"),
        ('<img src="plot.svg">', "one.html links plot.svg, and there is no such file"),
        ('<a href="#there">', "one.html links #there, and that page has no such anchor"),
        (
            '<a href="one.html#there">',
            "one.html links one.html#there, and that page has no such anchor",
        ),
        (
            '<script src="https://cdn.test/x.js">',
            "one.html loads https://cdn.test/x.js from another host",
        ),
        (
            '<link rel="stylesheet" href="//cdn.test/x.css">',
            "one.html loads //cdn.test/x.css from another host",
        ),
    ],
    ids=["page", "image", "anchor-here", "anchor-there", "script", "style"],
)
def test_a_link_that_leads_nowhere_is_a_mistake(tmp_path: Path, body: str, mistake: str) -> None:
    assert mistakes_of(write_site(tmp_path, one=body)) == [mistake]


def test_a_public_name_that_is_not_described_is_a_mistake(tmp_path: Path) -> None:
    site = write_site(tmp_path, one='<dt id="tokenwheel.Key">')
    assert mistakes_of(site, "Key", "__version__") == []
    assert mistakes_of(site, "Key", "KeySet") == [
        "tokenwheel.KeySet is not described in the reference"
    ]


def test_a_folder_without_pages_is_a_mistake(tmp_path: Path) -> None:
    assert mistakes_of(tmp_path) == [f"{tmp_path} has no pages"]


def test_links_out_of_docs_lead_into_the_repository(links: ModuleType) -> None:
    text = links.text_of("benchmarks")
    assert f"]({links.REPOSITORY}/blob/main/benchmarks/report/server.md)" in text
    assert "](../" not in text


@pytest.mark.parametrize(
    "link, address",
    [
        ("](../examples)", "/tree/main/examples)"),
        ("](../README.md#keys)", "/blob/main/README.md#keys)"),
    ],
    ids=["folder", "anchor"],
)
def test_a_link_keeps_its_anchor_and_a_folder_is_shown_as_one(
    links: ModuleType, link: str, address: str
) -> None:
    page = ROOT / "docs" / "web.md"
    moved = links.LINK.sub(lambda found: links.move(found, page, page), link)
    assert moved == f"]({links.REPOSITORY}{address}"


def test_pages_taken_in_stand_in_full_and_link_pages_of_the_site(links: ModuleType) -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert len(links.text_of("changelog").splitlines()) == len(changelog.splitlines())
    contributing = links.text_of("contributing")
    assert "](design.md)" in contributing
    assert "](security_policy.md)" in contributing
    assert "](security_policy.md)" in links.text_of("security")


def test_what_is_within_a_code_block_stays_as_it_is(links: ModuleType) -> None:
    page = ROOT / "docs" / "web.md"
    blocks = links.FENCED.findall(page.read_text(encoding="utf-8"))
    assert len(blocks) > 1
    assert all(block in links.text_of("web") for block in blocks)


def test_the_site_as_built_holds_all_that_it_should() -> None:
    if not (SITE / "index.html").exists():
        pytest.skip("the site is not built (make docs)")
    assert mistakes_of(SITE, *tokenwheel.__all__) == []
    listed = (SITE / "llms.txt").read_text(encoding="utf-8")
    assert listed.startswith("# tokenwheel\n\n> ")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").as_posix()
        if name != "index.md" and (SITE / name).exists():
            assert f"/{name})" in listed
    full = (SITE / "llms-full.txt").read_text(encoding="utf-8")
    assert "verified_cache_size" in full
    assert "](../" not in listed


def test_signatures_show_what_a_user_could_write() -> None:
    if not (SITE / "index.html").exists():
        pytest.skip("the site is not built (make docs)")
    signatures = [
        html.unescape(re.sub(r"<[^>]+>", "", signature))
        for page in (SITE / "reference" / "api").glob("*.html")
        for signature in re.findall(r'<dt class="sig.*?</dt>', page.read_text("utf-8"), re.DOTALL)
    ]
    assert len(signatures) > 100
    assert [text for text in signatures if "<" in text or "~" in text] == []
