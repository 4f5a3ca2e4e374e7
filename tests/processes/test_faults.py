"""The file system fails at every call in turn, and an operation fails or takes effect as a whole.

It can be made again then. What is left is looked at by a worker whose own file system is well, and
by another that starts then.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tokenwheel import SessionManager, SessionTokens

from .faults import (
    BUSY,
    BUSY_ONCE,
    DISK_ERROR,
    NO_MAPPING,
    NO_SPACE,
    NO_SPACE_ONCE,
    NOT_OPENED,
    READ_ERROR,
    READ_ONLY,
    WRITE_ERROR,
    Fault,
    Victim,
    compile_faults,
    why_not,
)
from .support import check_file, managed, refuses

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "not skipped")

AMID = [NO_SPACE, NO_SPACE_ONCE, WRITE_ERROR, DISK_ERROR, READ_ERROR, BUSY, BUSY_ONCE]
NUMBERS = itertools.count()
AT_START = [NO_SPACE, DISK_ERROR, NOT_OPENED, READ_ONLY]
# With these SQLite asks again and again before it gives up, or a publication waits.
SLOW = [fault for fault in AMID if fault not in AT_START]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults") / "files"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def victim(place: Path) -> Iterator[Victim]:
    victim = Victim(compile_faults(place.parent), place)
    yield victim
    victim.close()


@pytest.fixture
def path(place: Path) -> Path:
    return place / f"{next(NUMBERS)}.db"


@pytest.mark.parametrize("fault", AMID, ids=str)
@pytest.mark.parametrize(
    "name", ["create", "update", "restrict_one", "restrict_all", "delete_one", "delete_all"]
)
def test_an_operation_fails_as_a_whole_and_can_be_made_again(
    victim: Victim, path: Path, fault: Fault, name: str
) -> None:
    with managed(path) as other:
        assert victim.open(path, timeout=0) == ""
        for at in itertools.count(1):
            before = other.create(subject="ann")
            arguments: tuple[Any, ...] = {
                "update": (before.refresh_token,),
                "restrict_one": ({"sub": "ann", "sid": before.session_id},),
                "delete_one": ("ann", before.session_id),
            }.get(name, ("ann",))
            options = {"subject": "ann"} if name == "create" else {}
            arguments = () if name == "create" else arguments
            assert not refuses(other, before.access_token)
            with victim.suffering(fault, at):
                answer, error = victim.call(name, *arguments, **options)
            assert error in ("", "StorageUnavailable")
            assert error == "" or victim.has_suffered
            check_file(path)
            with managed(path) as anew:
                for manager in (other, anew):
                    LOOK_AT[name](manager, before, answer, error == "")
            if error and name != "update":
                answer, error = victim.call(name, *arguments, **options)
                assert error == ""
                LOOK_AT[name](other, before, answer, True)
            other.delete_all("ann")
            if not victim.has_suffered:
                break
        assert at > 1
        assert victim.leave() == ""


def look_at_create(
    manager: SessionManager, before: SessionTokens, answer: SessionTokens | None, is_done: bool
) -> None:
    assert len(manager.read_all("ann")) >= 1 + is_done
    if answer is not None:
        assert not refuses(manager, answer.access_token)
        assert manager.update(answer.refresh_token).session_id in manager.read_all("ann")


def look_at_update(
    manager: SessionManager, before: SessionTokens, answer: SessionTokens | None, is_done: bool
) -> None:
    assert not refuses(manager, manager.update(before.refresh_token).access_token)
    if answer is not None:
        assert not refuses(manager, answer.access_token)
        assert manager.update(before.refresh_token).refresh_token == answer.refresh_token


def look_at_restrict(
    manager: SessionManager, before: SessionTokens, answer: None, is_done: bool
) -> None:
    has_risen = manager.read_all("ann")[before.session_id].generation > 0
    assert has_risen or not is_done
    assert refuses(manager, before.access_token) or not has_risen
    if is_done:
        assert not refuses(manager, manager.update(before.refresh_token).access_token)


def look_at_delete(
    manager: SessionManager, before: SessionTokens, answer: int | None, is_done: bool
) -> None:
    is_gone = before.session_id not in manager.read_all("ann")
    assert is_gone or not is_done
    assert refuses(manager, before.access_token) or not is_gone


LOOK_AT: dict[str, Any] = {
    "create": look_at_create,
    "update": look_at_update,
    "restrict_one": look_at_restrict,
    "restrict_all": look_at_restrict,
    "delete_one": look_at_delete,
    "delete_all": look_at_delete,
}


@pytest.mark.parametrize(
    "fault", [*AT_START, *(pytest.param(fault, marks=pytest.mark.long) for fault in SLOW)], ids=str
)
def test_a_life_from_making_the_file_to_closing_it_keeps_what_it_answered(
    victim: Victim, place: Path, fault: Fault
) -> None:
    """Every call that is met by an error may be refused.

    What was answered is so, and the file can be used by a worker that starts then.
    """
    for at in itertools.count(1):
        path = place / f"{next(NUMBERS)}.db"
        opened: list[SessionTokens] = []
        ended: set[str] = set()
        with victim.suffering(fault, at):
            error = victim.open(path, timeout=0)
            assert error in ("", "StorageUnavailable")
            if error == "":
                for _ in range(2):
                    tokens, error = victim.call("create", subject="ann")
                    assert error in ("", "StorageUnavailable")
                    opened += [tokens] if tokens else []
                for tokens in opened[:1]:
                    _, error = victim.call("delete_one", "ann", tokens.session_id)
                    assert error in ("", "StorageUnavailable")
                    ended |= {tokens.session_id} if error == "" else set()
                assert victim.leave() == ""
        with managed(path) as anew:
            there = anew.read_all("ann")
            for tokens in opened:
                is_there = tokens.session_id in there
                assert is_there is (tokens.session_id not in ended) or refuses(
                    anew, tokens.access_token
                )
                assert refuses(anew, tokens.access_token) or tokens.session_id not in ended
            assert anew.create(subject="ann").session_id in anew.read_all("ann")
        check_file(path)
        if not victim.has_suffered:
            break
    assert at > 1


def test_what_only_reads_goes_on_where_nothing_can_be_written(victim: Victim, path: Path) -> None:
    with managed(path) as other:
        tokens, ended = other.create(subject="ann"), other.create(subject="ann")
        other.delete_one("ann", ended.session_id)
        assert victim.open(path, timeout=0) == ""
        with victim.suffering(READ_ONLY):
            assert victim.call("read", tokens.access_token)[1] == ""
            assert victim.call("read", ended.access_token)[1] == "AccessTokenRevoked"
            assert victim.call("read_all", "ann")[1] == ""
            for name, arguments, options in (
                ("create", (), {"subject": "ann"}),
                ("update", (tokens.refresh_token,), {}),
                ("delete_one", ("ann", tokens.session_id), {}),
                ("restrict_all", ("ann",), {}),
            ):
                assert victim.call(name, *arguments, **options)[1] == "StorageUnavailable"
        assert victim.call("delete_all", "ann") == (1, "")
        assert victim.leave() == ""
        assert refuses(other, tokens.access_token)


def test_a_service_cannot_start_in_a_folder_that_is_read_only(victim: Victim, path: Path) -> None:
    with victim.suffering(READ_ONLY):
        assert victim.open(path, timeout=0) == "StorageUnavailable"
    assert not path.exists()
    with managed(path) as manager:
        manager.create(subject="ann")
    before = path.read_bytes()
    with victim.suffering(READ_ONLY):
        assert victim.open(path, timeout=0) == "StorageUnavailable"
    assert path.read_bytes() == before


def test_workers_serve_on_a_file_system_where_nothing_can_be_mapped(tmp_path: Path) -> None:
    """SQLite has no write-ahead log there, and the doorbell rings for nobody.

    Each read asks the table, and a logout holds all the same.
    """
    folder = tmp_path / "unmapped"
    folder.mkdir()
    library = compile_faults(tmp_path)
    workers = [Victim(library, folder) for _ in range(2)]
    with ExitStack() as stack:
        for worker in workers:
            stack.callback(worker.close)
        for worker in workers:
            stack.enter_context(worker.suffering(NO_MAPPING))
        for worker in workers:
            assert worker.open(folder / "sessions.db", timeout=60) == ""
        for turn in range(20):
            first, second = workers[turn % 2], workers[(turn + 1) % 2]
            tokens, _ = first.call("create", subject="ann")
            assert second.call("read", tokens.access_token)[1] == ""
            assert second.call("delete_one", "ann", tokens.session_id) == (True, "")
            assert first.call("read", tokens.access_token)[1] == "AccessTokenRevoked"
        assert all(worker.has_suffered for worker in workers)
        for worker in workers:
            assert worker.leave() == ""
