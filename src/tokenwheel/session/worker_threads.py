"""Blocking calls for an event loop: each is made from a worker thread of the manager's own.

asyncio has threads for that already, but they are the application's: its ``getaddrinfo`` runs on
them, and its own ``asyncio.to_thread``. Logins that wait for a lock would fill these and hold up
everything else. So a manager has threads of its own, and not many. What finds none free waits in a
queue; what has waited there for too long is refused before it has begun, and has changed nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from ..errors import StorageUnavailable
from ..event_loop import check_event_loop, has_event_loop
from ..fork_safety import renew_after_fork
from ..models import SessionRecord

__all__ = ["StorageInThreads", "WorkerThreads", "call_apart"]

T = TypeVar("T")

# A SQLite file takes one write at a time, and answers reads within microseconds. A server a
# millisecond away answers eight callers some thousand times a second, which is more than the
# interpreter makes use of.
_THREADS = 8
_SHORTEST_PATIENCE = 5.0  # seconds
_USUAL_PATIENCE = 30.0  # seconds, where nobody says how long a call may wait


class WorkerThreads:
    """Make blocking calls for event loops, a few at a time, until closed.

    A thread is started when a call finds none that is idle. A child of a fork gets threads of its
    own. What is left open does no harm: the threads end with the manager, or the interpreter.

    Args:
        timeout: seconds for which a call may wait once it has begun, or None where nobody knows.
            For as long a call waits for a thread, though for 5 seconds at least.
    """

    def __init__(self, timeout: float | None) -> None:
        self._patience = _USUAL_PATIENCE if timeout is None else max(timeout, _SHORTEST_PATIENCE)
        self._is_closed = False
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Begin anew in a child of a fork, which has none of its parent's threads."""
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="tokenwheel-storage")
        self._pid = os.getpid()  # Last, as another thread goes by it.

    async def call(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """Call the function from a worker thread, with the context variables of the caller.

        Where the caller is cancelled, a call that has begun goes on, and one that has not never
        begins.

        Returns:
            What the function returned.

        Raises:
            ConfigurationError: no event loop of asyncio runs. The function was not called.
            StorageUnavailable: no thread was free in time, or the threads were closed. The function
                was not called.
            Exception: what the function raised.
        """
        check_event_loop()
        call = self._submit(partial(copy_context().run, function, *arguments))
        answer: asyncio.Future[T] = asyncio.wrap_future(call)
        answer.add_done_callback(_look_at_error)
        try:
            await asyncio.wait((answer,), timeout=self._patience)
            if call.cancel():  # It does so only to a call that has not begun.
                raise StorageUnavailable(
                    "too many calls were waiting for the storage, so this one was not begun; "
                    "it can be made again"
                )
            return await answer
        finally:
            answer.cancel()

    async def close(self) -> None:
        """End the threads, once the calls made so far have been answered. Can be called again."""
        if not self._is_closed:
            self._is_closed = True
            await call_apart(self._executor_of_this_process().shutdown)

    def _submit(self, function: Callable[[], T]) -> Future[T]:
        if not self._is_closed:
            try:
                return self._executor_of_this_process().submit(function)
            except RuntimeError as error:
                if not self._is_closed:  # Another thread may have closed them just now.
                    raise StorageUnavailable(
                        "no thread could be started to call the storage"
                    ) from error
        raise StorageUnavailable("the manager was closed")

    def _executor_of_this_process(self) -> ThreadPoolExecutor:
        if self._pid != os.getpid():  # Forked by a server that runs no hooks of Python.
            self.renew()
        return self._executor


async def call_apart(function: Callable[[], T]) -> T:
    """Call the function from a thread that is there for nothing else. Return what it returned.

    Where no event loop of asyncio runs, this thread calls it, and waits.

    Raises:
        Exception: what the function raised.
    """
    if not has_event_loop():
        return function()
    with_one_thread = ThreadPoolExecutor(1, thread_name_prefix="tokenwheel-closing")
    call = with_one_thread.submit(function)
    try:
        return await asyncio.wrap_future(call)
    finally:
        # Where the caller was cancelled, the thread ends when the function does.
        with_one_thread.shutdown(wait=call.done())


def _look_at_error(answer: asyncio.Future[Any]) -> None:
    """Mark an error as seen: asyncio would complain where the caller was cancelled meanwhile."""
    if not answer.cancelled():
        answer.exception()


class StorageInThreads:
    """Call the methods of a blocking storage from worker threads, and await their answers.

    Args:
        storage: a storage whose calls may wait. Where it publishes, this one does so in the same
            step.
        call: calls a function from a worker thread, and returns an awaitable of its answer.
    """

    def __init__(self, storage: Any, call: Callable[..., Any]) -> None:
        self._storage = storage
        self._call = call

    async def insert(self, record: SessionRecord, limit: int | None, now: float) -> Any:
        return await self._call(self._storage.insert, record, limit, now)

    async def read(self, session_id: str, now: float) -> Any:
        return await self._call(self._storage.read, session_id, now)

    async def read_all(self, subject: str, now: float) -> Any:
        return await self._call(self._storage.read_all, subject, now)

    async def replace(self, record: SessionRecord, now: float, *publication: Any) -> Any:
        return await self._call(self._storage.replace, record, now, *publication)

    async def delete(self, records: Sequence[SessionRecord], now: float, *publication: Any) -> Any:
        return await self._call(self._storage.delete, records, now, *publication)

    async def keep_access_lifetime(self, issuer: str, seconds: int) -> Any:
        return await self._call(self._storage.keep_access_lifetime, issuer, seconds)

    def publishes_to(self, feed: Any) -> bool:
        """Return what the storage itself says; it knows without waiting."""
        publishes: bool = self._storage.publishes_to(feed)
        return publishes
