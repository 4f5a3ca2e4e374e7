"""Files that others than their owner can read or write: the log says so, once."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tokenwheel import RevocationList, SqliteFeed, SqliteStorage

pytestmark = pytest.mark.skipif(os.name != "posix", reason="only POSIX has modes of files")

OPENERS: list[Callable[[Path], Any]] = [SqliteStorage, SqliteFeed]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    caplog.clear()
    return said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "sessions.db"
    SqliteStorage(path).close()
    return path


@pytest.mark.parametrize("opened", OPENERS)
def test_a_file_of_ones_own_is_not_warned_of(
    path: Path, caplog: pytest.LogCaptureFixture, opened: Callable[[Path], Any]
) -> None:
    for mode in (0o600, 0o700):
        path.chmod(mode)
        opened(path).close()
    assert warnings(caplog) == []


@pytest.mark.parametrize("opened", OPENERS)
@pytest.mark.parametrize(
    "mode, said",
    [
        (0o666, "mode 0666, so every user of this machine can write it"),
        (0o644, "mode 0644, so every user of this machine can read it"),
        (0o660, "mode 0660, so its group can write it"),
        (0o640, "mode 0640, so its group can read it"),
        (0o602, "mode 0602, so every user of this machine can write it"),
    ],
)
def test_a_database_that_others_can_read_or_write_is_warned_of_once(
    path: Path,
    caplog: pytest.LogCaptureFixture,
    opened: Callable[[Path], Any],
    mode: int,
    said: str,
) -> None:
    path.chmod(mode)
    for _ in range(3):
        opened(path).close()
    (warning,) = warnings(caplog)
    assert warning.startswith(f"{path} has the {said}")
    assert "chmod 600 makes it its owner's alone" in warning


def test_the_warning_is_in_the_log_of_the_library(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.chmod(0o666)
    SqliteStorage(path).close()
    assert [record.name for record in caplog.records] == ["tokenwheel"]


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-doorbell"])
def test_a_file_beside_the_database_is_warned_of_as_well(
    path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    with closing(RevocationList(SqliteFeed(path))) as revocations:
        revocations.revoke("A" * 16, 60)
        beside = path.with_name(path.name + suffix)
        beside.chmod(0o666)
        SqliteStorage(path).close()
    (warning,) = warnings(caplog)
    assert warning.startswith(f"{beside} has the mode 0666")


@pytest.mark.parametrize(
    "mode, is_warned_of", [(0o777, True), (0o1777, False), (0o770, True), (0o755, False)]
)
def test_a_folder_in_which_others_can_replace_the_database_is_warned_of(
    path: Path, caplog: pytest.LogCaptureFixture, mode: int, is_warned_of: bool
) -> None:
    path.parent.chmod(mode)
    for _ in range(2):
        SqliteStorage(path).close()
    path.parent.chmod(0o700)
    said = warnings(caplog)
    assert len(said) == is_warned_of
    assert all(f"the folder {path.parent} has the mode {mode:04o}" in warning for warning in said)
    assert all("chmod 700" in warning for warning in said)


def test_a_new_database_and_all_beside_it_are_their_owners_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "new.db"
    before = os.umask(0)
    try:
        storage = SqliteStorage(path)
        with closing(RevocationList(SqliteFeed(path))) as revocations:
            revocations.revoke("A" * 16, 60)
            modes = {entry.name: entry.stat().st_mode & 0o777 for entry in tmp_path.iterdir()}
        storage.close()
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert warnings(caplog) == []
