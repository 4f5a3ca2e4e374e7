"""Drive a generator of steps: carry out each step that it yields, and send the answer back in.

Whatever takes more than one step of I/O is written once, as a generator that knows neither sockets
nor event loops: the life of a session (``session/flow.py``), and what is said to a server
(``redis/client.py``). The two functions here are the only loops that run such a generator, the
first for blocking code and the second for asyncio.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

__all__ = ["drive", "drive_async"]

S = TypeVar("S")
T = TypeVar("T")


def drive(steps: Generator[S, Any, T], carry_out: Callable[[S], Any]) -> T:
    """Run a generator to its end, calling ``carry_out`` with each step that it yields.

    Args:
        steps: yields steps and is sent their answers. Where a step fails, its error is thrown in.
        carry_out: does what a step says, and returns the answer.

    Returns:
        What the generator returned.

    Raises:
        Exception: what the generator raised, or let through.
    """
    send = steps.send
    try:
        step = send(None)
        while True:
            try:
                answer = carry_out(step)
            except Exception as error:
                step = steps.throw(error)
            else:
                step = send(answer)
    except StopIteration as stop:
        value: T = stop.value
        return value


async def drive_async(steps: Generator[S, Any, T], carry_out: Callable[[S], Awaitable[Any]]) -> T:
    """Run a generator to its end, awaiting ``carry_out`` with each step that it yields.

    Args:
        steps: yields steps and is sent their answers. Where a step fails, its error is thrown in.
        carry_out: does what a step says, and returns the answer when awaited.

    Returns:
        What the generator returned.

    Raises:
        Exception: what the generator raised, or let through.
    """
    try:
        step = next(steps)
        while True:
            try:
                answer = await carry_out(step)
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as stop:
        value: T = stop.value
        return value
