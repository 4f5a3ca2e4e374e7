"""A database for each kind of engine, and what is made over it and let go of in the end.

Tests that need it without tables, or on a server of their own, have a ``place`` of their own.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.engines import KINDS, Place, place_for
from tokenwheel import SqlStorage


@pytest.fixture(scope="module", params=KINDS)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("database")
    with place_for(KINDS[request.param], request, folder) as place:
        yield place


@pytest.fixture
def wait() -> Iterator[Callable[[Any], Any]]:
    """Return a function that awaits what is awaitable, on one event loop."""
    loop = asyncio.new_event_loop()

    async def awaited(answer: Any) -> Any:
        return await answer

    yield (
        lambda answer: (
            loop.run_until_complete(awaited(answer)) if inspect.isawaitable(answer) else answer
        )
    )
    loop.run_until_complete(asyncio.sleep(0))  # in which transports come to their ends
    loop.close()


@pytest.fixture
def make(place: Place, wait: Callable[[Any], Any]) -> Iterator[Callable[..., Any]]:
    """Return a function that makes an engine, which is disposed of in the end."""
    place.empty()
    engines: list[Any] = []

    def make(**options: Any) -> Any:
        engines.append(place.engine(**options))
        return engines[-1]

    yield make
    for engine in engines:
        wait(engine.dispose())


@pytest.fixture
def over(wait: Callable[[Any], Any]) -> Iterator[Callable[..., Any]]:
    """Return a function that makes a storage, which is closed in the end."""
    storages: list[SqlStorage] = []

    def over(engine: Any, **options: Any) -> SqlStorage:
        storages.append(SqlStorage(engine, **options))
        return storages[-1]

    yield over
    for storage in storages:
        wait(storage.close())
