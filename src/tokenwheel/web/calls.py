"""Calls of a manager, as routes ask for them, and the two ways in which adapters make them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from ..driver import drive, drive_async
from ..errors import ConfigurationError
from ..exact import is_instance
from ..hidden import Hiding
from ..session import AsyncSessionManager, SessionManager

__all__ = ["Call", "check_blocking", "make_calls", "make_calls_async"]

T = TypeVar("T")


class Call(Hiding):
    """A call of one of a manager's methods. Its arguments may be tokens, and are never shown.

    Args:
        method: the name of the method.
        arguments: by position.
        options: by name.
    """

    __slots__ = ("_arguments", "_options", "method")

    def __init__(self, method: str, *arguments: Any, **options: Any) -> None:
        self.method = method
        self._arguments = arguments
        self._options = options

    def __repr__(self) -> str:
        return f"Call({self.method!r})"

    def make(self, manager: SessionManager | AsyncSessionManager) -> Any:
        """Return what the manager's method returns, which an async manager's caller awaits."""
        return getattr(manager, self.method)(*self._arguments, **self._options)


def check_blocking(manager: SessionManager | AsyncSessionManager, where: str) -> None:
    """Check that a manager can be used where nothing is awaited.

    Raises:
        ConfigurationError: it is an ``AsyncSessionManager``.
    """
    if is_instance(manager, AsyncSessionManager):
        raise ConfigurationError(
            f"the gate's manager must be a SessionManager for {where}, where nothing is awaited"
        )


def make_calls(steps: Generator[Call, Any, T], manager: SessionManager | AsyncSessionManager) -> T:
    """Run a generator of calls to its end, for a framework that blocks.

    Returns:
        What the generator returned.

    Raises:
        Exception: what the generator raised, or let through.
    """
    return drive(steps, lambda call: call.make(manager))


async def make_calls_async(
    steps: Generator[Call, Any, T], manager: SessionManager | AsyncSessionManager
) -> T:
    """Run a generator of calls to its end, for a framework that awaits.

    A manager that blocks is called in a thread, so that the event loop goes on meanwhile.

    Returns:
        What the generator returned.

    Raises:
        Exception: what the generator raised, or let through.
    """
    if is_instance(manager, AsyncSessionManager):
        awaited: Callable[[Call], Awaitable[Any]] = lambda call: call.make(manager)  # noqa: E731
        return await drive_async(steps, awaited)
    return await drive_async(steps, lambda call: asyncio.to_thread(call.make, manager))
