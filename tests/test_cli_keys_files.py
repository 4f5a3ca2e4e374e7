"""``tokenwheel keys`` and its files: whole at every moment, and their owner's alone.

Commands run as processes of their own wherever several of them, a kill or a right is what matters.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest

from tokenwheel import InvalidAccessToken, Key, SessionManager
from tokenwheel.cli import main
from tokenwheel.keys import KeyFile
from tokenwheel.keys.file.file_text import read_key_text

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes, links and kills are POSIX's")
as_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can be another user"
)

NOBODY = 65534  # a user and a group
COMMAND = [sys.executable, "-m", "tokenwheel", "keys"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with one private key, called `first`, alone in its folder."""
    folder = tmp_path / "keys"
    folder.mkdir()
    path = folder / "keys.json"
    key = Key.generate("ES256", kid="first")
    path.write_text(json.dumps({"keys": [key.to_jwk(private=True)]}))
    path.chmod(0o600)
    return path


def run(*arguments: str | Path) -> int:
    return main(["keys", *map(str, arguments)])


def start(*arguments: str | Path, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def kids(path: Path) -> list[str | None]:
    return [listed.key.kid for listed in read_key_text(path.read_bytes()).keys]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def entries_of(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture(params=[0, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_private_files_are_their_owners_alone_and_public_ones_everybodys_whatever_the_umask(
    path: Path, umask: int
) -> None:
    folder = path.parent
    assert run("rotate", path, "--kid", "second", "--after", "0") == 0
    assert run("publish", path, "--out", folder / "public") == 0
    assert run("publish", path, "--out", folder / "public") == 0
    assert run("new", "--algorithm", "ES256", "--out", folder / "new") == 0
    assert run("convert", path, "--out", folder / "converted") == 0
    modes = {name: mode_of(folder / name) for name in entries_of(folder)}
    assert modes == {"converted": 0o600, "keys.json": 0o600, "new": 0o600, "public": 0o644}


@pytest.mark.parametrize(
    "before, options, after, said",
    [
        (0o640, [], 0o600, "`chmod 640 {path}` at once, and --mode 640 the next time"),
        (0o666, [], 0o600, "others than its owner could use {path}, and no longer can (mode 600)"),
        (0o644, ["--mode", "640"], 0o640, "others than its owner could use {path}"),
        (0o640, ["--mode", "640"], 0o640, ""),
        (0o400, [], 0o400, ""),
        (0o600, [], 0o600, ""),
    ],
    ids=["group", "all", "all to group", "kept for group", "read only", "owner"],
)
def test_a_right_that_is_taken_away_is_said(
    path: Path,
    capsys: pytest.CaptureFixture[str],
    before: int,
    options: list[str],
    after: int,
    said: str,
) -> None:
    path.chmod(before)
    assert run("rotate", path, *options) == 0
    assert mode_of(path) == after
    shown = capsys.readouterr().err
    assert said.format(path=path) in shown
    if not said:
        assert "no longer can" not in shown


def test_a_link_stays_a_link_and_what_it_leads_to_is_changed(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    near, far = other / "near", other / "far"
    far.symlink_to(path)
    near.symlink_to("far")
    assert run("rotate", near, "--kid", "second") == 0
    assert near.readlink() == Path("far")
    assert far.readlink() == path
    assert entries_of(other) == ["far", "near"]
    assert entries_of(path.parent) == ["keys.json"]
    assert kids(path) == ["first", "second"]


def test_other_names_of_a_file_are_said_to_keep_the_old_content(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").hardlink_to(path)
    assert run("rotate", path) == 0
    assert "had other names (hard links), which keep the old content" in capsys.readouterr().err
    assert run("rotate", path, "--force") == 0
    assert "hard links" not in capsys.readouterr().err


def test_what_is_no_file_is_refused_and_never_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe, dangling, loop = (tmp_path / name for name in ("pipe", "dangling", "loop"))
    os.mkfifo(pipe)
    dangling.symlink_to("nowhere")
    loop.symlink_to("loop")
    for given in (pipe, tmp_path, dangling, loop, tmp_path / "missing", Path("/dev/null")):
        for command in (["rotate", given], ["retire", given, "--access-ttl", "1h"]):
            assert run(*command) == 1
            shown = capsys.readouterr()
            assert shown.err.startswith("tokenwheel: the key file ")
            assert str(given) not in shown.err
    assert entries_of(tmp_path) == ["dangling", "loop", "pipe"]


def test_a_file_that_something_else_changes_meanwhile_is_left_to_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sync = os.fsync

    def save_in_an_editor(descriptor: int) -> None:
        path.write_text("what somebody types")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", save_in_an_editor)
    assert run("rotate", path) == 1
    assert "something else changed the file meanwhile" in capsys.readouterr().err
    assert path.read_text() == "what somebody types"
    assert entries_of(path.parent) == ["keys.json"]


def test_what_a_killed_command_left_is_cleared_away_by_the_next(path: Path) -> None:
    (path.parent / ".keys.json.tokenwheel-new").write_text("half a fi")
    assert run("rotate", path, "--kid", "second") == 0
    assert entries_of(path.parent) == ["keys.json"]
    assert kids(path) == ["first", "second"]


def test_a_command_waits_for_another_and_says_so_where_that_takes_too_long(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import fcntl

    seconds = 0.0

    def pass_time(pause: float) -> None:
        nonlocal seconds
        seconds += pause

    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    monkeypatch.setattr(time, "sleep", pass_time)
    before = path.read_bytes()
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert run("rotate", path) == 1
        assert "another command is changing the key file" in capsys.readouterr().err
        assert path.read_bytes() == before
        assert run("list", path) == 0
    assert run("rotate", path) == 0


def test_rotations_at_once_are_each_done_or_refused_and_none_is_lost(path: Path) -> None:
    for options in (["--force"], ["--after", "2s"]):
        before = kids(path)
        names = [f"{len(before)}-{number}" for number in range(8)]
        running = [start("rotate", path, "--kid", kid, *options) for kid in names]
        done = []
        for kid, process in zip(names, running, strict=True):
            _, said = process.communicate()
            if process.returncode == 0:
                done.append(kid)
            else:
                assert "is waiting already" in said
        assert {*kids(path)} == {*before, *done}
        assert len(done) == 8 if options == ["--force"] else not done
    assert entries_of(path.parent) == ["keys.json"]
    starts = [listed.signs_from for listed in read_key_text(path.read_bytes()).keys]
    assert len({*starts}) == len(starts)


def test_a_rotation_that_is_killed_leaves_the_old_file_or_the_new_one_whole(path: Path) -> None:
    whole = 0
    for number in range(6):
        before = kids(path)
        process = start("rotate", path, "--force", "--kid", f"{number}")
        folder = path.parent
        # Until it has begun to write, or has done so already.
        while process.poll() is None and len(entries_of(folder)) == 1 and kids(path) == before:
            pass
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert kids(path) in (before, [*before, f"{number}"])
        whole += len(kids(path)) > len(before)
        assert mode_of(path) == 0o600
        left = {*entries_of(folder)} - {"keys.json", ".keys.json.tokenwheel-new"}
        assert not left
    assert run("rotate", path, "--force", "--kid", "last") == 0
    assert entries_of(path.parent) == ["keys.json"]
    assert len(kids(path)) == whole + 2


KILLED = """
import os, signal, sys
from tokenwheel.cli import main
name, left = sys.argv[1], int(sys.argv[2])
real = getattr(os, name)
def die(*arguments, **options):
    global left
    left -= 1
    is_after = left < 0
    if is_after:
        real(*arguments, **options)
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
setattr(os, name, die)
main(["keys", *sys.argv[3:]])
"""


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod", "fdopen"])
def test_a_rotation_that_is_killed_at_any_step_can_be_done_again(path: Path, call: str) -> None:
    for times in (0, 1, 2):
        before = kids(path)
        kid = f"{call}-{times}"
        command = [sys.executable, "-c", KILLED, call, str(times)]
        status = subprocess.run(
            [*command, "rotate", str(path), "--force", "--kid", kid],
            capture_output=True,
            check=False,
        ).returncode
        assert status in (0, -signal.SIGKILL)
        assert kids(path) in (before, [*before, kid])
        assert mode_of(path) == 0o600
    assert run("rotate", path, "--force", "--kid", "last") == 0
    assert entries_of(path.parent) == ["keys.json"]


@pytest.mark.parametrize("failing", ["fsync", "replace", "fchmod", "open"])
def test_a_disk_that_is_full_leaves_the_old_file_and_no_other(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failing: str,
) -> None:
    before = path.read_bytes()
    _fail(monkeypatch, failing)
    assert run("rotate", path) == 1
    assert "No space left on device" in capsys.readouterr().err
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert entries_of(path.parent) == ["keys.json"]


def _fail(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have a call fail as on a full disk."""
    real: Callable[..., object] = getattr(os, name)

    def fail(*arguments: object, **options: object) -> object:
        if name == "open" and not int(str(arguments[1])) & os.O_CREAT:
            return real(*arguments, **options)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, name, fail)


def test_a_file_that_cannot_grow_any_more_is_what_it_was(path: Path) -> None:
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

    before = path.read_bytes()
    process = start("rotate", path, preexec_fn=limit)
    _, said = process.communicate()
    assert process.returncode == 1
    assert said == "tokenwheel: a file could not be used: File too large\n"
    assert path.read_bytes() == before
    assert entries_of(path.parent) == ["keys.json"]


def test_a_disk_that_does_not_confirm_the_change_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sync = os.fsync

    def fail_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    assert run("rotate", path, "--kid", "second") == 1
    assert "the new file is in place, but the disk didn't confirm it" in capsys.readouterr().err
    assert kids(path) == ["first", "second"]


@as_root
def test_root_changes_a_file_and_it_stays_its_owners(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)
    assert run("rotate", path) == 0
    status = path.stat()
    assert (status.st_uid, status.st_gid) == (NOBODY, NOBODY)
    assert mode_of(path) == 0o600


@as_root
def test_a_user_who_could_not_keep_the_owner_is_refused(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.parent.chmod(0o777)
    path.chmod(0o644)
    before = path.read_bytes()
    with acting_as_nobody(tmp_path):
        assert run("rotate", path) == 1
    assert "belongs to another user, who could not read it any more" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert entries_of(path.parent) == ["keys.json"]


@as_root
def test_a_folder_that_cannot_be_written_is_told_and_left_as_it_is(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.parent.chmod(0o555)
    os.chown(path, NOBODY, NOBODY)
    before = path.read_bytes()
    with acting_as_nobody(tmp_path):
        for command, reason in (
            (["rotate", path], "the folder must be writable"),
            (["publish", path, "--out", path.parent / "public"], "Permission denied"),
            (["new", "--algorithm", "ES256", "--out", path.parent / "new"], "Permission denied"),
        ):
            assert run(*command) == 1
            assert reason in capsys.readouterr().err
    assert path.read_bytes() == before
    assert entries_of(path.parent) == ["keys.json"]


@contextmanager
def acting_as_nobody(folder: Path) -> Iterator[None]:
    """Be another user meanwhile, who is let into a folder."""
    for above in (folder, *folder.parents):
        if above.stat().st_uid == 0 and not above.stat().st_mode & 0o005:
            above.chmod(0o755)
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def test_a_key_file_follows_what_the_commands_write_and_refuses_no_genuine_token(
    path: Path,
) -> None:
    now = time.time()
    keys = KeyFile(path, clock=lambda: now, timer=lambda: now)
    with SessionManager(keys, issuer="i", audience="a", clock=lambda: now) as manager:
        old = manager.create(subject="ann").access_token
        assert run("rotate", path, "--kid", "second", "--after", "60s") == 0
        begins = read_key_text(path.read_bytes()).keys[-1].signs_from
        assert begins is not None
        now = begins - 1
        late = manager.create(subject="ann").access_token
        now = begins
        new = manager.create(subject="ann").access_token
        assert [kid_of(token) for token in (old, late, new)] == ["first", "first", "second"]
        for token in (old, late, new):
            manager.read(token)
        assert [entry["kid"] for entry in keys.jwks()["keys"]] == ["first", "second"]
        assert run("remove", path, "--kid", "first") == 1
        with path.open("rb+") as file:  # as though the rotation had been long ago
            members = json.loads(file.read())
            members["keys"][1]["tokenwheel_signs_from"] = 1
            members["keys"][1]["iat"] = 1
            file.seek(0)
            file.truncate()
            file.write(json.dumps(members).encode())
        assert run("retire", path, "--access-ttl", "15m") == 0
        now += 1
        manager.read(new)
        with pytest.raises(InvalidAccessToken):
            manager.read(late)


def kid_of(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def test_the_commands_run_as_a_process_and_print_what_a_program_reads_alone(path: Path) -> None:
    process = start("rotate", path, "--kid", "second")
    shown, said = process.communicate()
    assert (process.returncode, shown) == (0, "")
    assert "second signs from" in said
    process = start("publish", path)
    shown, said = process.communicate()
    assert (process.returncode, said) == (0, "")
    assert [entry["kid"] for entry in json.loads(shown)["keys"]] == ["first", "second"]
