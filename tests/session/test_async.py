"""What only an event loop can do to a manager.

That is many calls at once, and calls that are cancelled half-way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    MemoryStorage,
    SessionNotFound,
    SessionTokens,
    StorageUnavailable,
    TooManySessions,
)


class AwaitedStorage:
    """An async storage that gives way to others before and after each call.

    It can be told to stop in a call.
    """

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self.stop_after: str | None = None
        self.stopped = asyncio.Event()

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        call = getattr(self._storage, name)

        async def awaited(*arguments: Any) -> Any:
            await asyncio.sleep(0)
            answer = call(*arguments)
            if name == self.stop_after:
                self.stopped.set()
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            return answer

        return awaited


def make(storage: Any, **options: Any) -> AsyncSessionManager:
    return AsyncSessionManager(SECRET, issuer="i", audience="a", storage=storage, **options)


def test_refreshes_of_one_token_all_at_once_get_the_one_live_successor() -> None:
    async def main() -> None:
        manager = make(AwaitedStorage())
        tokens = await manager.create(subject="uid1")
        for _ in range(10):
            answers = await asyncio.gather(
                *[manager.update(tokens.refresh_token) for _ in range(50)]
            )
            assert len({answer.refresh_token for answer in answers}) == 1
            assert all(
                manager.read(answer.access_token).session_id == tokens.session_id
                for answer in answers
            )
            tokens = answers[0]

    asyncio.run(main())


def test_of_a_refresh_at_once_with_a_deletion_no_token_survives() -> None:
    async def main() -> None:
        manager = make(AwaitedStorage())
        for _ in range(20):
            tokens = await manager.create(subject="uid1")
            refreshed, deleted = await asyncio.gather(
                manager.update(tokens.refresh_token),
                manager.delete_one("uid1", tokens.session_id),
                return_exceptions=True,
            )
            assert deleted is True
            for survivor in (tokens, refreshed):
                if isinstance(survivor, SessionTokens):
                    with pytest.raises(AccessTokenRevoked):
                        manager.read(survivor.access_token)
                    with pytest.raises(SessionNotFound, match="no session is open"):
                        await manager.update(survivor.refresh_token)

    asyncio.run(main())


def test_max_sessions_holds_for_logins_all_at_once() -> None:
    async def main() -> None:
        manager = make(AwaitedStorage(), max_sessions=3)
        answers = await asyncio.gather(
            *[manager.create(subject="uid1") for _ in range(50)], return_exceptions=True
        )
        assert sum(isinstance(answer, SessionTokens) for answer in answers) == 3
        assert sum(isinstance(answer, TooManySessions) for answer in answers) == 47
        assert len(await manager.read_all("uid1")) == 3

    asyncio.run(main())


@pytest.mark.parametrize("step", ["read", "delete"])
def test_a_deletion_cancelled_anywhere_leaves_no_session_gone_with_its_token_alive(
    step: str,
) -> None:
    async def main() -> None:
        storage = AwaitedStorage()
        manager = make(storage)
        tokens = await manager.create(subject="uid1")
        storage.stop_after = step
        task = asyncio.create_task(manager.delete_one("uid1", tokens.session_id))
        await storage.stopped.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        storage.stop_after = None
        if not await manager.read_all("uid1"):
            with pytest.raises(AccessTokenRevoked):
                manager.read(tokens.access_token)
        await manager.delete_one("uid1", tokens.session_id)
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)

    asyncio.run(main())


@pytest.mark.parametrize("step", ["read", "replace"])
def test_a_refresh_cancelled_anywhere_can_be_made_again_with_the_same_token(step: str) -> None:
    async def main() -> None:
        storage = AwaitedStorage()
        manager = make(storage)
        tokens = await manager.create(subject="uid1")
        storage.stop_after = step
        task = asyncio.create_task(manager.update(tokens.refresh_token))
        await storage.stopped.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        storage.stop_after = None
        fresh = await manager.update(tokens.refresh_token)
        assert manager.read(fresh.access_token).session_id == tokens.session_id

    asyncio.run(main())


def test_a_storage_that_fails_is_said_to_be_unavailable_with_its_own_error_as_the_cause() -> None:
    class Broken(MemoryStorage):
        async def read(self, session_id: str, now: float) -> Any:  # type: ignore[override]
            raise ConnectionError("no route to host")

    async def main() -> None:
        manager = make(Broken())
        tokens = await manager.create(subject="uid1")
        with pytest.raises(
            StorageUnavailable, match="the session storage could not be reached"
        ) as caught:
            await manager.update(tokens.refresh_token)
        assert isinstance(caught.value.__cause__, ConnectionError)
        assert manager.read(tokens.access_token).subject == "uid1"

    asyncio.run(main())
