"""Managers over a clock that the test moves, and places that really keep sessions.

Every test here runs over the blocking and over the async manager.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.places import KINDS, PLACES, opened
from tests.support import SECRET, FakeClock
from tokenwheel import AsyncSessionManager, SessionManager


class Driven:
    """An AsyncSessionManager whose coroutines are run to their end.

    So one test can speak to both managers.
    """

    def __init__(self, manager: AsyncSessionManager, loop: asyncio.AbstractEventLoop) -> None:
        self.manager = manager
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.manager, name)
        if not inspect.iscoroutinefunction(attribute):
            return attribute
        return lambda *arguments, **options: self._loop.run_until_complete(
            attribute(*arguments, **options)
        )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.25)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(params=["blocking", "async"])
def make(
    request: pytest.FixtureRequest, clock: FakeClock, loop: asyncio.AbstractEventLoop
) -> Callable[..., Any]:
    """Return what makes a manager with the usual options, where no others are passed."""

    def make_manager(keys: Any = SECRET, **options: Any) -> Any:
        options = {
            "issuer": "auth-server.com",
            "audience": ["auth-server.com", "rest-server.com"],
            "clock": clock,
            **options,
        }
        if request.param == "blocking":
            return SessionManager(keys, **options)
        return Driven(AsyncSessionManager(keys, **options), loop)

    return make_manager


@pytest.fixture
def manager(make: Callable[..., Any]) -> Any:
    return make()


@pytest.fixture(params=KINDS, ids=["blocking", "asyncio"])
def kind(request: pytest.FixtureRequest) -> Any:
    """Return a class of managers."""
    return request.param


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, kind: type) -> Iterator[Any]:
    """Return where the managers of a service keep its sessions: memory, a file or a server."""
    with opened(request.param, kind, request) as place:
        yield place
