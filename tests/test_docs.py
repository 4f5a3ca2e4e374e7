"""What is told of this project is true: in the pages of docs, in docstrings and in comments.

The storage and the feed that docs shows pass the suites that tell, and whatever a page, a docstring
or a comment names is there: links, tests, files, folders and modules.
"""

from __future__ import annotations

import inspect
import io
import pkgutil
import re
import tokenize
from pathlib import Path
from typing import Any

import pytest

from tokenwheel import testing

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / ".github").glob("*.md")),
]

SOURCES = [
    path
    for folder in ("src", "ext", "tests", "tools", "benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".pyi", ".pyx", ".pxd"}
]
FOLDERS = (
    "src",
    "ext",
    "tests",
    "tools",
    "benchmarks",
    "examples",
    "docs",
    ".github",
    "changelog.d",
)

# A file's name, with or without the folders it is in. A name with a gap, such as ``test_*.py``, is
# none, and neither is a part of an address.
FILE = re.compile(r"(?<![\w./*<>{}~-])((?:[\w.-]+/)*[\w-]+\.(?:pyi?|pyx|pxd|c|md|toml))(?![\w*])")
FOLDER = re.compile(r"(?<![\w./*<>{}~:-])((?:\.?\w[\w.-]*/)+)(?=[\s`,;:).]|$)", re.MULTILINE)
# What begins with one of these is an object of a web framework's, or of a reader's own.
MODULE = re.compile(r"``(?!(?:request|auth)\.)([a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)+)``")
IN_TOKENWHEEL = re.compile(r"[`~](tokenwheel(?:\.\w+)+)`")

# An address of a file in the repository, or of a heading in its README, which GitHub shows first.
IN_REPOSITORY = re.compile(
    r"https://(?:github\.com/tokenwheel/tokenwheel(?:/(?:blob|tree)/main/|(?=#))"
    r"|raw\.githubusercontent\.com/tokenwheel/tokenwheel/main/)([^\s#)\">]*)(?:#([\w-]+))?"
)

BESIDE_NO_WHEEL = (".github/", "benchmarks/", "CHANGELOG.md", "LICENSE")

# What a page calls a reader's own files.
OF_READERS = {"app.py", "config/sessions.py", "config/settings.py", "config/urls.py"}
OF_READERS |= {"config/moving.py", "login_service.py", "resource_server.py"}
OF_READERS |= {"keys.json", "storage.jwk", "manage.py", "env.py"}
# A block that is a whole file says its name first.
OF_READERS |= {
    name
    for page in PAGES
    if page.exists()
    for name in re.findall(r"^```python\n# ([\w/]+\.py)$", page.read_text("utf-8"), re.MULTILINE)
}
BUILT = ("build/", ".venv/")  # what make leaves there, which no tree holds

pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").exists(), reason="a wheel is tested without the pages beside it"
)


def shown(name: str) -> Any:
    """Return a class as docs/storage.md shows it."""
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if is_packed(link) and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_address_within_the_repository_leads_somewhere(page: Path) -> None:
    addresses = IN_REPOSITORY.findall(page.read_text(encoding="utf-8"))
    assert [address for address in addresses if not leads_somewhere(*address)] == []


def test_the_readme_links_by_addresses_alone_which_the_package_index_shows_too() -> None:
    prose = re.sub(r"`[^`\n]+`", "", prose_of(ROOT / "README.md"))
    targets = re.findall(
        r"\]\(([^)]*)\)|^\[[\w-]+\]: (\S+)$|(?:src|srcset)=\"([^\"]*)", prose, re.MULTILINE
    )
    assert targets
    assert [target for target in map("".join, targets) if not target.startswith("https://")] == []
    defined = set(re.findall(r"^\[([\w-]+)\]: ", prose, re.MULTILINE))
    assert set(re.findall(r"\]\[([\w-]+)\]", prose)) == defined


def prose_of(page: Path) -> str:
    """Return a page without its blocks of code."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def is_packed(path: str) -> bool:
    """Return False for a file that is not beside the tests of a wheel."""
    missing = [name for name in BESIDE_NO_WHEEL if not (ROOT / name).exists()]
    return not any(name in path for name in missing)


def leads_somewhere(path: str, anchor: str) -> bool:
    """Return True if a path of the repository exists, and has the heading that is meant."""
    if not is_packed(path):
        return True
    target = ROOT / (path or "README.md")
    return target.exists() and (not anchor or anchor in slugs_of(target))


def slugs_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_figures_of_the_readme_are_those_of_the_report() -> None:
    report = ROOT / "benchmarks" / "report" / "README.md"
    if not report.exists():
        pytest.skip("a wheel is tested without the benchmarks beside it")
    figures = report.read_text(encoding="utf-8").partition("## For the README\n")[2].strip()
    assert figures
    assert figures in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_line_of_prose_is_over_100_columns(page: Path) -> None:
    lines = re.sub(r"https://\S+", "", prose_of(page)).splitlines()  # An address has no break.
    assert [line for line in lines if len(line) > 100 and line[0] != "|"] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_test_that_is_named_exists(page: Path) -> None:
    text = prose_of(page)  # A block of code may show a test of a reader's own.
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    existing = set(
        re.findall(
            r"^ *(?:async )?def (test_\w+)",
            "\n".join([*sources, inspect.getsource(testing)]),
            re.MULTILINE,
        )
    )
    existing |= set(re.findall(r"^def (test_\w+)", text, re.MULTILINE))  # that a page shows
    named = set(re.findall(r"(?<![\w/.])test_\w+(?!\w|\.py)", text))
    assert sorted(named - existing) == []
    paths = re.findall(r"\btests/[\w/]+(?:\.py)?", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def words_of(path: Path) -> str:
    """Return what a file says in words: of Python its comments and docstrings, else all of it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix not in {".py", ".pyi"}:
        return text
    words = []
    begins_a_line = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_docstring = token.type == tokenize.STRING and begins_a_line
        if token.type == tokenize.COMMENT or is_docstring:
            words.append(token.string)
        if token.type not in {tokenize.COMMENT, tokenize.NL}:
            begins_a_line = token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    return "\n".join(words)


@pytest.fixture(scope="module")
def tree() -> set[str]:
    """Every file and folder of the project, by its path and by each end of that path."""
    paths = [path for path in ROOT.glob("*") if path.is_file()]
    for folder in FOLDERS:
        paths += [ROOT / folder, *(ROOT / folder).rglob("*")]
    parts = [path.relative_to(ROOT).parts for path in paths if path.exists()]
    return {"/".join(names[start:]) for names in parts for start in range(len(names))}


def is_there(name: str, tree: set[str]) -> bool:
    """Return True if a dotted name is a file's or a module's, or leads to something in a module."""
    if name in tree or f"{name.replace('.', '/')}.py" in tree:
        return True
    module, _, last = name.rpartition(".")
    source = ROOT / "src" / f"{module.replace('.', '/')}.py"
    if source.exists():  # Some can be imported only where their framework is set up.
        defined = rf"^(?:class |(?:async )?def |){last}\b"
        return re.search(defined, source.read_text(encoding="utf-8"), re.MULTILINE) is not None
    for start in ("", "tokenwheel."):
        try:
            pkgutil.resolve_name(start + name)
        except (ImportError, AttributeError):
            continue
        return True
    return False


@pytest.mark.skipif(not (ROOT / "ext").exists(), reason="a wheel is tested without its sources")
@pytest.mark.parametrize(
    "path", [*PAGES, *SOURCES], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_every_file_and_module_that_is_named_exists(path: Path, tree: set[str]) -> None:
    words = words_of(path)
    files = {re.sub(r"^(\.\./)+", "", name) for name in FILE.findall(words)} - OF_READERS
    folders = {name.rstrip("/") for name in FOLDER.findall(words) if not name.startswith(BUILT)}
    modules = set(IN_TOKENWHEEL.findall(words))
    if path.suffix in {".py", ".pyi"}:
        modules |= set(MODULE.findall(words)) - OF_READERS
    assert sorted((files | folders) - tree) == []
    assert [name for name in sorted(modules) if not is_there(name, tree)] == []
