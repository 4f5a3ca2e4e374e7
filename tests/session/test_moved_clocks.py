"""Managers whose clock is the system's, in tests of users that move it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import freezegun
import pytest
import time_machine

from tests.moved import MOVERS, Mover, at
from tests.support import SECRET
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenNotYetValid,
    AccessTokenRevoked,
    AsyncSessionManager,
    InvalidArgument,
    RevocationList,
    SessionManager,
    SessionNotFound,
)
from tokenwheel.sqlite import SqliteFeed, SqliteStorage

DAY = 86_400.0
ACCESS_TTL, REFRESH_TTL, IDLE_TTL, LEEWAY = 900, 2_592_000, 86_400, 5

Make = Callable[..., Any]


@pytest.fixture(params=["memory", "sqlite"])
def make_default(request: pytest.FixtureRequest, make: Make, tmp_path: Path) -> Iterator[Make]:
    """Return what makes a manager that was given no clock."""
    made: list[Any] = []

    def make_manager(**options: Any) -> Any:
        if request.param == "sqlite":
            path = tmp_path / "sessions.db"
            options = {
                "storage": SqliteStorage(path),
                "storage_key": SECRET,
                "revocations": RevocationList(SqliteFeed(path)),
                **options,
            }
        made.append(make(clock=None, idle_ttl=IDLE_TTL, leeway=LEEWAY, **options))
        return made[-1]

    yield make_manager
    for manager in made:
        manager.close()


@pytest.mark.parametrize("mover", MOVERS)
@pytest.mark.parametrize("made", ["before", "meanwhile"])
def test_an_access_token_expires_when_a_test_moves_the_time(
    make_default: Make, mover: Mover, made: str
) -> None:
    began = time.time()
    manager = make_default() if made == "before" else None
    with mover(began) as shift:
        manager = manager or make_default()
        token = manager.create(subject="uid1").access_token
        shift(ACCESS_TTL + LEEWAY - 2)
        assert manager.read(token).subject == "uid1"
        shift(3)
        with pytest.raises(AccessTokenExpired):
            manager.read(token)
    assert manager.read(token).subject == "uid1"
    with mover(began - DAY), pytest.raises(AccessTokenNotYetValid):
        manager.read(token)
    assert manager.read(manager.create(subject="uid2").access_token).subject == "uid2"


@pytest.mark.parametrize("mover", MOVERS)
def test_a_session_ends_when_a_test_moves_the_time(make_default: Make, mover: Mover) -> None:
    manager = make_default()
    with mover(time.time()) as shift:
        idle = manager.create(subject="uid1")
        shift(IDLE_TTL - 2)
        refreshed = manager.update(idle.refresh_token)
        shift(IDLE_TTL - 2)
        assert list(manager.read_all("uid1")) == [idle.session_id]
        shift(4)
        assert manager.read_all("uid1") == {}
        with pytest.raises(SessionNotFound):
            manager.update(refreshed.refresh_token)
        tokens = manager.create(subject="uid1")
        for _ in range(REFRESH_TTL // (IDLE_TTL // 2)):
            tokens = manager.update(tokens.refresh_token)
            shift(IDLE_TTL // 2)
        shift(2)
        with pytest.raises(SessionNotFound):
            manager.update(tokens.refresh_token)


@pytest.mark.parametrize("mover", MOVERS)
def test_a_revocation_is_kept_through_and_after_a_moved_time(
    make_default: Make, mover: Mover
) -> None:
    manager = make_default()
    tokens = manager.create(subject="uid1")
    with mover(time.time()) as shift:
        shift(60)
        manager.delete_all("uid1")
        shift(ACCESS_TTL - 70)
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)
        shift(400 * DAY)
        with pytest.raises(AccessTokenExpired):
            manager.read(tokens.access_token)
        for number in range(40):  # Whatever is over is forgotten now, or never.
            manager.create(subject=f"uid{number}")
            manager.delete_all(f"uid{number}")
        manager.revocations.expire()
    with pytest.raises(AccessTokenRevoked):
        manager.read(tokens.access_token)


@pytest.mark.parametrize("mover", MOVERS)
def test_a_logout_in_a_moved_time_holds_there_and_in_the_real_one(
    make_default: Make, mover: Mover
) -> None:
    with mover(time.time() + DAY) as shift:
        manager = make_default()
        tokens = manager.create(subject="uid1")
        manager.delete_all("uid1")
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)
        shift(ACCESS_TTL - 10)
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)
    now = manager.create(subject="uid1")
    assert manager.read(now.access_token).subject == "uid1"
    manager.delete_all("uid1")
    with pytest.raises(AccessTokenRevoked):
        manager.read(now.access_token)


def test_a_time_that_ticks_on_is_followed_too(make_default: Make) -> None:
    manager = make_default()
    began = time.time()
    for moved in (
        freezegun.freeze_time(at(began + DAY), tick=True),
        time_machine.travel(began + DAY, tick=True),
    ):
        with moved as traveller:
            tokens = manager.create(subject="uid1")
            assert int(began + DAY) <= manager.read(tokens.access_token).issued_at
            traveller.move_to(at(began + 2 * DAY))
            with pytest.raises(AccessTokenExpired):
                manager.read(tokens.access_token)


@pytest.mark.parametrize("told", [float("nan"), float("inf"), "now", None])
def test_what_stands_in_the_place_of_the_clock_and_tells_no_time_is_refused(
    make_default: Make, told: Any
) -> None:
    manager = make_default()
    tokens = manager.create(subject="uid1")
    with mock.patch("time.time", return_value=told):
        for call in (
            lambda: manager.read(tokens.access_token),
            lambda: manager.update(tokens.refresh_token),
            lambda: manager.create(subject="uid1"),
            lambda: manager.delete_all("uid1"),
        ):
            with pytest.raises(InvalidArgument, match="a clock must return"):
                call()
    assert manager.read(tokens.access_token).subject == "uid1"


def test_a_clock_handed_in_is_moved_by_nobody(make: Make) -> None:
    told: list[float] = []
    began = time.time()

    def clock() -> float:
        told.append(began)
        return began

    manager = make(clock=clock)
    token = manager.create(subject="uid1").access_token
    for moved in (freezegun.freeze_time(at(began + DAY)), time_machine.travel(began + DAY)):
        with moved:
            for _ in range(2):
                before = len(told)
                assert manager.read(token).subject == "uid1"
                assert len(told) == before + 1


def test_under_freezegun_an_event_loop_serves_an_async_manager(tmp_path: Path) -> None:
    """Its storage is called from worker threads."""

    async def log_in_and_out() -> None:
        path = tmp_path / "sessions.db"
        async with AsyncSessionManager(
            SECRET,
            issuer="i",
            audience="a",
            storage=SqliteStorage(path),
            storage_key=SECRET,
            revocations=RevocationList(SqliteFeed(path)),
        ) as manager:
            tokens = await manager.create(subject="uid1")
            assert manager.read(tokens.access_token).issued_at == 1_893_456_000
            await manager.delete_all("uid1")
            with pytest.raises(AccessTokenRevoked):
                manager.read(tokens.access_token)

    with freezegun.freeze_time("2030-01-01", real_asyncio=True):
        asyncio.run(log_in_and_out())


def test_a_publication_waits_for_no_doorbell_that_freezegun_has_dated(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with SessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=SqliteStorage(path),
        storage_key=SECRET,
        revocations=RevocationList(SqliteFeed(path)),
    ) as manager:
        manager.create(subject="uid1")
        manager.delete_all("uid1")
        (tmp_path / "sessions.db-doorbell").unlink()
        with freezegun.freeze_time("2030-01-01"):
            manager.create(subject="uid1")
            manager.delete_all("uid1")
        manager.create(subject="uid1")
        logout = threading.Thread(target=manager.delete_all, args=("uid1",), daemon=True)
        logout.start()
        logout.join(60)
        assert not logout.is_alive()
