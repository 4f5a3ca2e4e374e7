"""Key files that can't be locked or replaced: left as they are, with what to do about it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.servers import until
from tokenwheel import Key
from tokenwheel.cli import main

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "keys.json"
    path.parent.mkdir()
    path.write_text(json.dumps(Key.generate("ES256", kid="first").to_jwk(private=True)))
    path.chmod(0o600)
    return path


@contextmanager
def mounted(source: Path, target: Path, *options: str) -> Iterator[None]:
    """Have a file or a folder at another place as well; skip where this may not be done."""
    command = ["mount", "--bind", str(source), str(target)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        if options:
            subprocess.run(["mount", "-o", ",".join(options), str(target)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(target)], check=True)


def is_refused(path: Path, capsys: pytest.CaptureFixture[str], reason: str) -> None:
    before, entries = path.read_bytes(), sorted(path.parent.iterdir())
    assert main(["keys", "rotate", str(path)]) == 1
    assert reason in capsys.readouterr().err
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == (before, entries)


def test_a_file_that_is_mounted_by_itself(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "mounted.json"
    target.touch()
    with mounted(path, target):
        is_refused(target, capsys, "it is mounted by itself, so nothing can take its place")


def test_published_keys_that_are_mounted_by_themselves(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published, target = tmp_path / "public.json", tmp_path / "mounted.json"
    assert main(["keys", "publish", str(path), "--out", str(published)]) == 0
    target.touch()
    with mounted(published, target):
        assert main(["keys", "publish", str(path), "--out", str(target)]) == 1
        assert "public keys was not written: it is mounted by itself" in capsys.readouterr().err


def test_a_folder_that_is_mounted_read_only(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "mounted"
    target.mkdir()
    with mounted(path.parent, target, "remount", "ro", "bind"):
        is_refused(target / path.name, capsys, "it is mounted read-only. Run the command where")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks(
    path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    import fcntl

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    is_refused(path, capsys, "cannot be locked: its file system has no locks")


def test_a_command_that_is_interrupted_while_it_waits_says_so_in_a_word(path: Path) -> None:
    import fcntl

    before = path.read_bytes()
    with path.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "tokenwheel", "keys", "rotate", str(path)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        until(lambda: _has_open(process.pid, path), "the command at the lock")
        process.send_signal(signal.SIGINT)
        assert process.communicate()[1] == "tokenwheel: interrupted\n"
    assert process.returncode == 130
    assert path.read_bytes() == before


def _has_open(pid: int, path: Path) -> bool:
    """Return True where a process has a file open."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(descriptor.readlink())
    return path in found
