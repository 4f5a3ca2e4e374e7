"""The suites that every storage and every feed must pass, on each database of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    DjangoFeed,
    DjangoStorage,
    RevocationList,
    TooManySessions,
)
from tokenwheel.testing import FeedContract, StorageContract


class TestStorage(StorageContract):
    alias: str

    @pytest.fixture(autouse=True)
    def database(self, alias: str) -> Iterator[None]:
        self.alias = alias
        self.opened: list[Any] = []
        super().setup_method()
        yield
        for storage in self.opened:
            storage.close()

    def setup_method(self) -> None:
        """Begin with the fixture, which comes later."""

    def make_storage(self) -> DjangoStorage:
        self.opened.append(DjangoStorage(self.alias, timeout=30))
        return self.opened[-1]


class TestFeed(FeedContract):
    is_immediate = False

    @pytest.fixture(autouse=True)
    def database(self, alias: str) -> Iterator[None]:
        self.alias = alias
        super().setup_method()
        yield
        super().teardown_method()

    def setup_method(self) -> None:
        """Begin with the fixture, which comes later."""

    def teardown_method(self) -> None:
        """End with the fixture, while the database is there."""

    def make_feeds(self) -> tuple[DjangoFeed, DjangoFeed]:
        one, other = (DjangoFeed(self.alias, timeout=30, poll_interval=0.05) for _ in range(2))
        return one, other


def test_an_async_manager_keeps_its_sessions_there(alias: str) -> None:
    async def live() -> None:
        manager = AsyncSessionManager(
            SECRET,
            issuer="i",
            audience="a",
            storage=DjangoStorage(alias),
            revocations=RevocationList(DjangoFeed(alias)),
            max_sessions=2,
        )
        async with manager:
            first = await manager.create({}, subject="ann")
            await manager.update(first.refresh_token)
            second = await manager.create({}, subject="ann")
            with pytest.raises(TooManySessions):
                await manager.create({}, subject="ann")
            assert await manager.delete_all("ann") == 2
            for tokens in (first, second):
                with pytest.raises(AccessTokenRevoked):
                    manager.read(tokens.access_token)

    asyncio.run(live())
