"""The copying of docstrings from a pure twin, over a small package made up for it."""

from __future__ import annotations

from pathlib import Path

import pytest

docstrings = pytest.importorskip(
    "tools.docstrings", reason="a wheel is tested without the tools beside it"
)

NEIGHBOUR = '''
class Claims:
    """Claims that nobody can change."""

    def get(self, key):
        """Return a claim."""
'''

PURE = '''"""The pure twin."""

from .claims import Claims

LIMIT = 7


class Table:
    """A table.

    Args:
        clock: returns seconds.
    """

    __slots__ = ("_clock", "news")

    @property
    def clock(self):
        """The clock."""

    def add(self, key, value=(1, ":")):
        """Add a value under ``key``.

        Raises:
            KeyError: it is there.
        """

    def _check(self):
        """Assert something of the pure twin alone."""


def decode(text):
    """Return bytes."""
'''

COMPILED = '''"""The compiled twin."""

cdef extern from *:
    """
    def decode(text): is C, for all this reader knows
    """
    int forks()

LIMIT = 7


cdef class Table:
    cdef readonly object clock  # of the pure twin's property
    cdef int count

    @property
    def news(self):
        return None

    @news.setter
    def news(self, call):
        pass

    def add(
        self, key,
        value=(1, ":"),  # a comment (with a bracket
    ):
        """Adds; a line of its own.

        And another."""
        def decode(text):
            """Local."""
        return decode

    cdef int find(self, key) except -1:
        """Find it."""
        return 0

    def _check(self):
        """Assert something of the compiled twin alone."""


cdef class Claims:
    """Claims."""

    cpdef get(self, key):
        return None


def decode(bytes text not None):
    """Return bytes."""
    return text
'''

STUB = '''
LIMIT: int

class Table:
    news: object
    @property
    def clock(self) -> object: ...
    def add(self, key: str, value: object = ...) -> None: ...
    def _check(self) -> None: ...

class Claims:
    """Claims."""
    @overload
    def get(self, key: str) -> int: ...
    @overload
    def get(self, key: bytes) -> bytes: ...

def decode(text: str) -> bytes:
    """Return bytes."""
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for folder, name, text in (
        (docstrings.PURE, "module.py", PURE),
        (docstrings.PURE, "claims.py", NEIGHBOUR),
        (docstrings.COMPILED, "module.pyx", COMPILED),
        (docstrings.STUBS, "module.pyi", STUB),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).write_text(text, encoding="utf-8")
    return tmp_path


def compiled(package: Path) -> Path:
    return package / docstrings.COMPILED / "module.pyx"


def stub(package: Path) -> Path:
    return package / docstrings.STUBS / "module.pyi"


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_docstrings_of_this_project_are_equal_in_all_three_files() -> None:
    assert docstrings.run(docstrings.ROOT, is_check=True) == []


def test_a_docstring_that_differs_or_is_missing_is_reported(package: Path) -> None:
    pure = "src/tokenwheel/_pure/module.py"
    stub = "src/tokenwheel/_native/module.pyi"
    assert docstrings.run(package, is_check=True) == [
        f"{stub}: Table has no docstring, unlike in {pure}.",
        f"{stub}: Table.clock has no docstring, unlike in {pure}.",
        f"{stub}: Table.add has no docstring, unlike in {pure}.",
        f"{stub}: Claims has another docstring than in {pure}.",
        f"{stub}: Claims.get has no docstring, unlike in {pure}.",
        f"ext/module.pyx: Table has no docstring, unlike in {pure}.",
        f"ext/module.pyx: Table.add has another docstring than in {pure}.",
        f"ext/module.pyx: Claims has another docstring than in {pure}.",
        f"ext/module.pyx: Claims.get has no docstring, unlike in {pure}.",
    ]


def test_checking_changes_nothing(package: Path) -> None:
    docstrings.run(package, is_check=True)
    assert compiled(package).read_text(encoding="utf-8") == COMPILED
    assert stub(package).read_text(encoding="utf-8") == STUB


def test_writing_makes_the_docstrings_equal_and_leaves_the_rest_alone(package: Path) -> None:
    assert docstrings.run(package, is_check=False) == []
    assert docstrings.run(package, is_check=True) == []
    text = compiled(package).read_text(encoding="utf-8")
    replaced = ("Adds;", "And another.", '"""Claims."""')
    kept = [line for line in COMPILED.splitlines() if not any(old in line for old in replaced)]
    assert [line for line in kept if line not in text.splitlines()] == []
    assert '    cpdef get(self, key):\n        """Return a claim."""\n' in text
    assert (
        "    def get(self, key: str) -> int:\n"
        '        """Return a claim."""\n'
        "    @overload\n"
        "    def get(self, key: bytes) -> bytes: ...\n"
    ) in stub(package).read_text(encoding="utf-8")


def test_writing_twice_changes_nothing_more(package: Path) -> None:
    docstrings.run(package, is_check=False)
    once = [path.read_text(encoding="utf-8") for path in (compiled(package), stub(package))]
    docstrings.run(package, is_check=False)
    assert [path.read_text(encoding="utf-8") for path in (compiled(package), stub(package))] == once


@pytest.mark.parametrize("name", ["module.py", "module.pyx"])
def test_a_public_name_that_is_missing_is_reported(package: Path, name: str) -> None:
    folder = docstrings.PURE if name == "module.py" else docstrings.COMPILED
    replace(package / folder / name, "def decode(", "def decoded(")
    sentences = docstrings.run(package, is_check=False)
    assert f"{folder}/{name}: decode is public in the stub and not found here." in sentences


def test_a_public_name_without_a_docstring_in_the_pure_twin_is_reported(package: Path) -> None:
    replace(package / docstrings.PURE / "module.py", '"""Return bytes."""', "return b''")
    sentences = docstrings.run(package, is_check=False)
    assert "src/tokenwheel/_pure/module.py: decode has no docstring." in sentences


@pytest.mark.parametrize(
    "old, new, reason",
    [
        ("    cdef int count", "    x = '''count'''", "''' is not understood"),
        ('"""Claims."""', 'r"""Claims."""', "nothing before it"),
        ('"""Claims."""', '"""Claims."""; x = 1', "nothing may follow"),
        ('    """Claims."""', "\tpass", "a tab"),
        ("    cpdef get(self, key):", "    cpdef get:", "this cpdef"),
        ("def decode(bytes text not None):", "def decode(text): return text", "end with a colon"),
        ("def decode(", "if LIMIT:\n    def decode(", "neither a class nor the module"),
        ("def decode(", 'def decode(text):\n    """Twice."""\n\n\ndef decode(', "defined before"),
        ("    int forks()", '    int forks()\n"""', "has no end"),
    ],
)
def test_what_the_reader_does_not_understand_is_an_error(
    package: Path, old: str, new: str, reason: str
) -> None:
    replace(compiled(package), old, new)
    with pytest.raises(docstrings.NotUnderstoodError, match=reason):
        docstrings.run(package, is_check=True)


@pytest.mark.parametrize("text", ["Return a \\\\ b.", 'Return "bytes"\n    '])
def test_a_docstring_that_cannot_be_copied_as_it_stands_is_an_error(
    package: Path, text: str
) -> None:
    replace(package / docstrings.PURE / "module.py", "Return bytes.", text)
    with pytest.raises(docstrings.NotUnderstoodError, match="the docstring of decode"):
        docstrings.run(package, is_check=False)


def test_check_says_what_to_do_and_fails(
    package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docstrings, "ROOT", package)
    assert docstrings.main(["--check"]) == 1
    assert "`python tools/docstrings.py` copies" in capsys.readouterr().err
    assert docstrings.main([]) == 0
    assert docstrings.main(["--check"]) == 0
    assert docstrings.main(["--what"]) == 2
