"""What is no path of a database file is refused in words that say what a path is.

None of these is told to try again, and none of them makes a file.
"""

from __future__ import annotations

import enum
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.liars import Text
from tokenwheel import ConfigurationError, SqliteFeed, SqliteStorage, StorageUnavailable

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="files of Posix")
KINDS = [SqliteStorage, SqliteFeed]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Lying:
    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        if isinstance(self.path, Exception):
            raise self.path
        return self.path


def main_files() -> set[str]:
    """Return what is in this folder, beside what goes with a database."""
    names = {path.name for path in Path().iterdir()}
    return {name for name in names if not re.search("-(wal|shm|doorbell)$", name)}


def refused(kind: Any, path: Any, reason: str) -> str:
    """Check that a path is refused for that reason, and that nothing is made."""
    before = main_files()
    with pytest.raises(ConfigurationError, match=reason) as caught:
        kind(path)
    assert main_files() == before
    said = str(caught.value)
    assert "again" not in said
    return said


@pytest.mark.parametrize(
    "path",
    [
        "sqlite:///s.db",
        "sqlite+aiosqlite:///s.db",
        "SQLite:s.db",
        "file:s.db?mode=rwc",
        "file:///tmp/s.db",
        "file::memory:?cache=shared",
        "jdbc:sqlite:s.db",
        "postgresql://user:secret@host/name",
        "redis://:secret@host:6379/0",
        "https://host/s.db",
        Path("sqlite:///s.db"),
        Path("postgresql://user:secret@host/name"),
    ],
    ids=str,
)
def test_a_url_or_a_uri_is_no_path_and_is_not_repeated(kind: Any, path: Any) -> None:
    said = refused(kind, path, "a name in the file system, not a URL or a URI")
    assert "secret" not in said


@pytest.mark.parametrize(
    "path, reason",
    [
        ("", "MemoryStorage"),
        (":memory:", "MemoryStorage"),
        (b"sessions.db", r"os\.fsdecode"),
        (Lying(b"sessions.db"), r"os\.fsdecode"),
        (None, "not NoneType"),
        (3, "not int"),
        (object(), "not object"),
        (Lying(3), "not Lying"),
        (Lying(RuntimeError("a reason of its own")), "not Lying"),
        (Path, "must be an instance, and is the class Path"),
        ("s\0.db", "without NUL"),
        ("s\ud800.db", "a character that no file's name has"),
    ],
    ids=lambda given: ascii(given) if isinstance(given, str) else type(given).__name__,
)
def test_what_is_no_name_of_a_file_is_refused_in_words_that_say_what_is(
    kind: Any, path: Any, reason: str
) -> None:
    refused(kind, path, reason)


def test_a_folder_is_no_path_of_a_file(kind: Any, folder: Path) -> None:
    for path in (folder, str(folder), ".", "..", os.sep):
        refused(kind, path, "the name of a folder|ends with that name")
    refused(kind, f"new{os.sep}", "ends with that name, not with a separator")


def test_the_folder_of_a_path_must_be_there(kind: Any) -> None:
    for path in ("nowhere/sessions.db", Path("no", "where", "sessions.db")):
        refused(kind, path, "its folder must be there")


def test_what_should_be_the_folder_may_be_a_file(kind: Any, folder: Path) -> None:
    (folder / "file").write_text("")
    refused(kind, "file/sessions.db", "what should be its folder is a file")


@pytest.mark.parametrize("path", ["~", "~/sessions.db", "~ann/sessions.db"])
def test_a_home_that_was_not_expanded_is_said_to_be_none(kind: Any, path: str) -> None:
    refused(kind, path, r"~ is no folder: os\.path\.expanduser expands it")


def test_a_name_with_a_tilde_or_a_colon_in_it_is_a_name(kind: Any, folder: Path) -> None:
    for name in ("~backup.db", "sessions.db~", "a:b.db", "50%.db"):
        if sys.platform != "win32" or ":" not in name:
            kind(folder / name).close()
            kind(os.path.relpath(folder / name)).close()
            assert (folder / name).exists()


@pytest.mark.parametrize(
    "content", [b"x" * 20, b"some notes, and no database\n" * 100, bytes(4096)]
)
def test_a_text_file_is_no_database_and_is_left_as_it_is(
    kind: Any, folder: Path, content: bytes
) -> None:
    (folder / "notes.txt").write_bytes(content)
    refused(kind, "notes.txt", "no such database, or a damaged one; it was left as it is")
    assert (folder / "notes.txt").read_bytes() == content


def test_the_database_of_another_application_or_of_a_later_version_is_refused_for_good(
    kind: Any, folder: Path
) -> None:
    for name, change, reason in (
        ("other.db", "CREATE TABLE things (x)", "belongs to another application"),
        ("later.db", "PRAGMA user_version = 99", "of version 99"),
    ):
        if name == "later.db":
            kind(name).close()
        connection = sqlite3.connect(name)
        connection.execute(change)
        connection.close()
        refused(kind, name, reason)


@needs_posix
def test_a_pipe_a_socket_or_a_device_is_no_database_and_is_not_opened(
    kind: Any, folder: Path
) -> None:
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for path in ("pipe", "socket", "/dev/null"):
            refused(kind, path, "names no regular file")


class Where(str, enum.Enum):  # noqa: UP042 - which is another thing than a StrEnum
    SESSIONS = "sessions.db"


@pytest.mark.parametrize(
    "path",
    [
        Where.SESSIONS,
        Text("sessions.db"),
        Lying("sessions.db"),
        Lying(Text("sessions.db")),
    ],
    ids=lambda path: type(path).__name__,
)
def test_a_path_counts_by_its_characters(kind: Any, folder: Path, path: Any) -> None:
    kind(path).close()
    assert main_files() == {"sessions.db"}


@contextmanager
def as_nobody() -> Iterator[None]:
    """Run as a user who may do nothing in particular."""
    if sys.platform == "win32" or os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def allowed_nothing(folder: Path) -> None:
    folder.chmod(0o555)


def not_allowed_to_read(folder: Path) -> None:
    SqliteStorage(folder / "sessions.db").close()
    (folder / "sessions.db").chmod(0)


def not_allowed_to_enter(folder: Path) -> None:
    folder.chmod(0)


@needs_posix
@pytest.mark.parametrize("forbid", [allowed_nothing, not_allowed_to_read, not_allowed_to_enter])
def test_where_a_process_may_not_read_and_write_it_is_told_that_and_not_to_try_again(
    kind: Any, forbid: Callable[[Path], None]
) -> None:
    # Others than root may not enter the folders of pytest.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        inner = folder / "inner"
        inner.mkdir()
        forbid(inner)
        try:
            with (
                as_nobody(),
                pytest.raises(StorageUnavailable, match="must be allowed to read and w") as caught,
            ):
                kind(inner / "sessions.db")
            assert "made again" not in str(caught.value)
        finally:
            inner.chmod(0o755)


@needs_posix
def test_a_file_system_that_is_read_only_is_said_to_be(kind: Any, folder: Path) -> None:
    (folder / "inner").mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder / "inner")],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
    try:
        with pytest.raises(StorageUnavailable, match="Read-only file system; this proc") as caught:
            kind(folder / "inner" / "sessions.db")
        assert "made again" not in str(caught.value)
    finally:
        subprocess.run(["umount", str(folder / "inner")], check=True)
