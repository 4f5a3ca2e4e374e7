"""Blocking calls that end in time, whatever the server does.

A driver may wait for ever for a server that hangs. So each call is made on a thread of its own
kind, and whoever asked for it waits no longer than agreed. A thread that hangs stays where it is
until its driver lets go. There are only a few threads: where all of them hang, a call is refused at
once.

The threads are daemons, so a call that hangs holds up no exit of the interpreter.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

from ..errors import StorageUnavailable
from ..fork_safety import renew_after_fork

__all__ = ["LimitedThreads"]

T = TypeVar("T")

_THREADS = 8
_IDLE = 60.0  # seconds until a thread that has nothing to do ends


class _Call:
    """A function to call, and what came of it."""

    __slots__ = ("answer", "error", "function", "has_begun", "is_done", "is_given_up")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.answer: Any = None
        self.error: BaseException | None = None
        self.has_begun = self.is_given_up = False
        self.is_done = threading.Lock()
        self.is_done.acquire()


class LimitedThreads:
    """Call blocking functions on a few threads, each for a limited time. Safe over ``fork``.

    Args:
        timeout: seconds that a call may take, the wait for a thread included.
        at_end: called on each thread before it ends, to close what belongs to that thread.
        most: how many threads at most.
    """

    def __init__(
        self, timeout: float, at_end: Callable[[], object] = bool, most: int = _THREADS
    ) -> None:
        self._timeout = timeout
        self._at_end = at_end
        self._most = most
        self._is_closed = False
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Begin anew in a child of a fork, which has none of its parent's threads."""
        self._changed = threading.Condition()
        self._calls: deque[_Call] = deque()
        self._threads: set[threading.Thread] = set()
        self._idle = self._stuck = 0
        self._pid = os.getpid()  # Last, as another thread goes by it.

    def call(self, function: Callable[[], T], timeout: float | None = None) -> T:
        """Call the function on one of the threads, with the caller's context variables.

        Args:
            function: what to call.
            timeout: seconds that this call may take; None: as many as any.

        Returns:
            What the function returned.

        Raises:
            StorageUnavailable: there was no answer in time. A call that has begun may still take
                effect.
            Exception: what the function raised.
        """
        if self._pid != os.getpid():  # Forked by a server that runs no hooks of Python.
            self.renew()
        timeout = self._timeout if timeout is None else timeout
        context = copy_context()
        call = _Call(lambda: context.run(function))
        self._submit(call)
        try:
            is_answered = call.is_done.acquire(timeout=timeout)
        except BaseException:
            self._give_up(call)
            raise
        if not is_answered and self._give_up(call):
            raise StorageUnavailable(
                f"the database did not answer within the {timeout:g} seconds of timeout"
                if call.has_begun
                else "too many calls were waiting for the database, so this one was not begun; "
                "it can be made again"
            )
        if call.error is not None:
            try:
                raise call.error
            finally:
                call.error = None  # whose frames hold the call
        answer: T = call.answer
        return answer

    def close(self) -> None:
        """End the threads, each once its call has ended. Can be called again.

        Whoever calls later is refused.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            ending = [] if self._stuck else list(self._threads - {threading.current_thread()})
        for thread in ending:
            thread.join(self._timeout)

    def _submit(self, call: _Call) -> None:
        with self._changed:
            if self._is_closed:
                raise StorageUnavailable("the storage was closed")
            if self._stuck >= self._most:
                raise StorageUnavailable(
                    f"the database has left {self._stuck} calls without an answer, "
                    "so this one was not begun; it can be made again"
                )
            self._calls.append(call)
            if self._idle >= len(self._calls):
                self._changed.notify()
            elif len(self._threads) < self._most:
                self._start_thread(call)

    def _start_thread(self, call: _Call) -> None:
        thread = threading.Thread(target=self._work, name="tokenwheel-database", daemon=True)
        self._threads.add(thread)
        self._idle += 1
        try:
            thread.start()
        except RuntimeError as error:
            self._threads.discard(thread)
            self._idle -= 1
            if not self._threads:
                self._calls.remove(call)
                raise StorageUnavailable(
                    "no thread could be started to call the database"
                ) from error

    def _give_up(self, call: _Call) -> bool:
        """Wait for a call no longer. Return False where it has been answered meanwhile."""
        with self._changed:
            if call.is_done.acquire(blocking=False):
                return False
            call.is_given_up = True
            if call.has_begun:
                self._stuck += 1
            else:
                self._calls.remove(call)
            return True

    def _work(self) -> None:
        # Those of this process and no other: a child of a fork has others.
        changed, threads = self._changed, self._threads
        while (call := self._next_call()) is not None:
            try:
                call.answer = call.function()
            except BaseException as error:  # any: it is raised where the call came from
                call.error = error
            with changed:
                if call.is_given_up:
                    self._stuck -= 1
                # Before whoever asked hears of it: the next call then takes this thread.
                self._idle += 1
                call.is_done.release()
            del call
        try:
            self._at_end()
        finally:
            with changed:
                threads.discard(threading.current_thread())

    def _next_call(self) -> _Call | None:
        """Return the next call to make; None where there is none for a while, or never again."""
        with self._changed:
            while not self._calls:
                if self._is_closed:
                    return None
                is_told = self._changed.wait(_IDLE)
                if not is_told and not self._calls:
                    self._idle -= 1
                    self._threads.discard(threading.current_thread())
                    return None
            self._idle -= 1
            call = self._calls.popleft()
            call.has_begun = True
            return call
