"""What is said to a server and what it answers, as a generator that knows neither sockets nor event loops.

A conversation yields commands and is sent the answers; one that failed is thrown back in. So whatever takes more than one command is
written once, for blocking clients and for asyncio's, on a client's pool and on a connection of one's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

__all__ = ["Command", "Conversation", "converse", "converse_async"]

T = TypeVar("T")
Command = tuple[Any, ...]
Conversation = Generator[Command, Any, T]


def converse(conversation: Conversation[T], send: Callable[[Command], Any]) -> T:
    """Holds the conversation to its end; what it returned."""
    try:
        command = next(conversation)
        while True:
            try:
                answer = send(command)
            except Exception as error:
                command = conversation.throw(error)
            else:
                command = conversation.send(answer)
    except StopIteration as stop:
        value: T = stop.value
        return value


async def converse_async(
    conversation: Conversation[T], send: Callable[[Command], Awaitable[Any]]
) -> T:
    """The same, each answer awaited."""
    try:
        command = next(conversation)
        while True:
            try:
                answer = await send(command)
            except Exception as error:
                command = conversation.throw(error)
            else:
                command = conversation.send(answer)
    except StopIteration as stop:
        value: T = stop.value
        return value
