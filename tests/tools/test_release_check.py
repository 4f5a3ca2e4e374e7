"""What keeps a release back, and that archives do not show when and where they were built."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

release_check = pytest.importorskip(
    "tools.release_check", reason="a wheel is tested without the tools beside it"
)
sdist = pytest.importorskip("tools.sdist", reason="a wheel is tested without the tools beside it")

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Sources of version 9.0 that are ready to be released."""
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "src/tokenwheel").mkdir(parents=True)
    (tmp_path / "src/tokenwheel/__init__.py").write_text('__version__ = "9.0"\n', encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "9.0"\n', encoding="utf-8")
    changelog = "## 9.0 (2030-01-02)\n\n## 8.0 (2029-01-02)\n"
    (tmp_path / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    return tmp_path


def test_sources_that_agree_are_ready(sources: Path) -> None:
    assert release_check.find_problems(sources) == []


def test_another_version_in_the_package_is_found(sources: Path) -> None:
    path = sources / "src/tokenwheel/__init__.py"
    path.write_text('__version__ = "8.9"\n', encoding="utf-8")
    (problem,) = release_check.find_problems(sources)
    assert "['8.9']" in problem


def test_a_changelog_without_this_version_is_found(sources: Path) -> None:
    (sources / "CHANGELOG.md").write_text("## 8.0 (2029-01-02)\n", encoding="utf-8")
    (problem,) = release_check.find_problems(sources)
    assert "['8.0']" in problem


def test_a_fragment_that_is_left_is_found(sources: Path) -> None:
    (sources / "changelog.d/7.bugfix.md").write_text("Better.", encoding="utf-8")
    (problem,) = release_check.find_problems(sources)
    assert "7.bugfix.md" in problem


def test_the_versions_of_this_tree_agree() -> None:
    problems = release_check.find_problems(ROOT)
    assert [problem for problem in problems if not problem.startswith("changelog.d")] == []


def test_a_missing_and_a_differing_file_are_told(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    for folder in (first, second):
        (folder / "same").write_bytes(b"same")
        (folder / "other").write_bytes(folder.name.encode())
    (first / "only").write_bytes(b"")
    assert release_check.find_differences(first, second) == ["only", "other"]


def make_archive(path: Path, *, names: list[str], mtime: int, owner: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.uname, entry.mode = len(name), mtime, owner, 0o664
            archive.addfile(entry, io.BytesIO(name.encode()))
    return path


def test_an_sdist_does_not_show_when_and_by_whom_it_was_built(tmp_path: Path) -> None:
    first = make_archive(tmp_path / "a.tar.gz", names=["p/x", "p/y"], mtime=1, owner="ann")
    second = make_archive(tmp_path / "b.tar.gz", names=["p/y", "p/x"], mtime=2, owner="bob")
    for archive in (first, second):
        sdist.normalize(archive, 1_800_000_000)
    assert first.read_bytes() == second.read_bytes()
    # RFC 1952, section 2.3: the header of the compressed file has a date of its own.
    assert first.read_bytes()[4:8] == (1_800_000_000).to_bytes(4, "little")
    with tarfile.open(first) as result:
        entries = result.getmembers()
        assert [(entry.name, entry.mtime) for entry in entries] == [
            ("p/x", 1_800_000_000),
            ("p/y", 1_800_000_000),
        ]
        contents = [result.extractfile(entry) for entry in entries]
        assert [file.read() for file in contents if file is not None] == [b"p/x", b"p/y"]
