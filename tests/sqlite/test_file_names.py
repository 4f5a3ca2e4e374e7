"""A file has one name, by which every process opens it, and names that cannot be the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tokenwheel import (
    ConfigurationError,
    Revocation,
    RevocationList,
    SqliteFeed,
    StorageUnavailable,
)

ONE = "A" * 16

needs_links = pytest.mark.skipif(
    sys.platform == "win32", reason="there, links need rights that users don't have"
)


@pytest.fixture
def opened() -> Iterator[Callable[[Path], RevocationList]]:
    with ExitStack() as stack:

        def make(path: Path) -> RevocationList:
            revocations = RevocationList(SqliteFeed(path, synchronous="NORMAL"))
            stack.callback(revocations.close)
            return revocations

        yield make


@contextmanager
def mounted(source: Path, target: Path) -> Iterator[None]:
    """Mount a file or folder once more, where that can be done."""
    try:
        subprocess.run(
            ["mount", "--bind", str(source), str(target)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(target)], check=True)


@needs_links
def test_a_file_has_one_doorbell_by_whatever_name_it_is_opened(
    tmp_path: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "other.db").symlink_to(folder / "sessions.db")
    monkeypatch.chdir(tmp_path)
    names = [
        folder / "sessions.db",
        tmp_path / "other.db",
        tmp_path / "link" / "sessions.db",
        Path("folder/sessions.db"),
        Path("folder/../other.db"),
    ]
    lists = [opened(name) for name in names]
    for number, publisher in enumerate(lists):
        publisher.revoke(f"{number:016d}", 60)
        assert all(listener.is_revoked(f"{number:016d}") for listener in lists)
    assert [file.relative_to(tmp_path) for file in tmp_path.rglob("*-doorbell")] == [
        Path("folder/sessions.db-doorbell")
    ]


@needs_links
def test_a_file_with_a_hard_link_is_refused_and_says_what_to_do(
    tmp_path: Path, opened: Any
) -> None:
    path = tmp_path / "sessions.db"
    opened(path)
    os.link(path, tmp_path / "other.db")
    for name in ("sessions.db", "other.db"):
        with pytest.raises(ConfigurationError, match=r"more than one name.*symbolic links instead"):
            SqliteFeed(tmp_path / name)


@needs_links
def test_a_file_that_another_process_is_about_to_make_is_not_refused(
    tmp_path: Path, opened: Any
) -> None:
    """For a moment it has two names. Whoever is killed then leaves the second behind."""
    path = tmp_path / "sessions.db"
    opened(path)
    os.link(path, tmp_path / f".{path.name}-made")
    opened(path)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts are known on Linux alone")
@pytest.mark.parametrize("name", ["sessions.db", "my \\ ses\tsions.db"])
def test_a_file_that_is_mounted_by_itself_is_refused_and_says_what_to_do(
    tmp_path: Path, opened: Any, name: str
) -> None:
    path = tmp_path / "sessions.db"
    opened(path)
    target = tmp_path / "elsewhere" / name
    target.parent.mkdir()
    target.touch()
    with (
        mounted(path, target),
        pytest.raises(ConfigurationError, match="mount its folder instead"),
    ):
        SqliteFeed(target)
    SqliteFeed(target).close()


@pytest.mark.skipif(sys.platform != "linux", reason="mounts are known on Linux alone")
def test_a_folder_that_is_mounted_elsewhere_holds_the_same_doorbell(
    tmp_path: Path, opened: Any
) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    with mounted(folder, elsewhere):
        first, second = opened(folder / "sessions.db"), opened(elsewhere / "sessions.db")
        assert not second.is_revoked(ONE)
        first.revoke(ONE, 60)
        assert second.is_revoked(ONE)
        first.close()
        second.close()


@needs_links
def test_a_link_that_leads_to_another_file_than_it_did_is_noticed(
    tmp_path: Path, opened: Any
) -> None:
    link = tmp_path / "current.db"
    link.symlink_to(tmp_path / "first.db")
    feed = SqliteFeed(link)
    feed.start(lambda revocations: None)
    other = tmp_path / "new-link"
    other.symlink_to(tmp_path / "second.db")
    opened(tmp_path / "second.db")
    other.replace(link)
    with pytest.raises(StorageUnavailable, match="replaced while it was in use"):
        feed.poll()
    with pytest.raises(StorageUnavailable, match="replaced while it was in use"):
        feed.publish([Revocation(ONE, 4e9, None)])
    link.unlink()
    link.symlink_to(tmp_path / "first.db")
    # What others did meanwhile is not known.
    with pytest.raises(StorageUnavailable, match="must be started anew"):
        feed.poll()
    feed.close()
