"""Who keeps reading a log of revocations: a thread beside blocking code, a task on an event loop.

Each has a connection of its own. Where that breaks, or an answer is late, the tail connects anew
and goes on after the last entry; it waits longer before each attempt that follows a failed one.
What is asked, and what is made of the answers, is the reader's. How the log is reached is the
connection's.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from ..driver import drive, drive_async
from .log_protocol import LogReader

__all__ = ["Reading", "TaskTail", "ThreadTail", "read_once"]

_FIRST_PAUSE = 0.05  # seconds before the second attempt
_LONGEST_PAUSE = 1.0  # seconds
# Seconds without a sign of life, after which an event loop counts as standing still: more than a
# connection or an answer may take.
_LONGEST_SILENCE = 4.0
# The same of a thread, which may also have to wait for a name to be looked up.
_LONGEST_SILENCE_OF_THREAD = 10.0
_JOINED_FOR = 0.5  # seconds, after which it is seen whether the thread stands still


class _Stopped(Exception):
    """Say that the tail was asked to stop between two commands."""


class Reading(NamedTuple):
    """What a tail reads, from where, and how patiently."""

    connect: Callable[[float], Any]
    """Returns a connection that is not open yet: a ``LogConnection``, or an ``AsyncLogConnection``
    for a task. It is given the seconds within which an answer must come."""
    reader: LogReader
    longest_wait: float
    """Seconds for which the server is asked to hold an answer back."""
    patience: float
    """Seconds within which an answer must come."""
    timer: Callable[[], float]
    """Returns seconds that never run back."""
    report: Callable[[Exception | None], None]
    """Called with each error that breaks a connection.

    Called with None after each new connection, once the end of the log is reached.
    """


def read_once(reading: Reading) -> None:
    """Take in all that the log holds, on a connection that is closed again then.

    Raises:
        Exception: the connection's errors.
    """
    connection = reading.connect(reading.patience)
    try:
        connection.open()
        drive(reading.reader.catch_up(), connection.send)
    finally:
        connection.close()


class ThreadTail:
    """Keep reading the log, in a thread, until :meth:`stop`.

    Args:
        reading: what to read.
    """

    def __init__(self, reading: Reading) -> None:
        self._reader = reading.reader
        self._longest_wait = reading.longest_wait
        self._report = reading.report
        self._connection = reading.connect(reading.patience)
        self._timer = reading.timer
        self._beat_at = self._timer()
        self._pid = os.getpid()
        self._stopping = threading.Event()
        self._tried = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="tokenwheel-revocations", daemon=True
        )

    @property
    def is_ready(self) -> bool:
        """True after the first connection attempt, even a failed one.

        After a failed one lookups rely on what was known before, as long as the feed lets them.
        """
        return self._tried.is_set()

    @property
    def is_over(self) -> bool:
        """True where nothing reads on.

        The thread has ended, stands still, or is the one of another process.
        """
        return (
            self._pid != os.getpid()
            or not self._thread.is_alive()
            or self._timer() - self._beat_at > _LONGEST_SILENCE_OF_THREAD
        )

    @property
    def is_stuck(self) -> bool:
        """True where the thread has neither ended nor reads on."""
        return self.is_over and self._pid == os.getpid() and self._thread.is_alive()

    def abandon(self) -> None:
        """Have the thread end by itself, should it ever go on."""
        self._stopping.set()

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: the system has no room for another thread.
        """
        self._thread.start()

    def wait_until_tried(self) -> None:
        """Return once the thread has read the log to its end, has failed to, or was ended."""
        self._tried.wait()

    def stop(self) -> None:
        """End the thread and its connection. Return once it has ended, or stands still."""
        self._stopping.set()
        if self.is_over:
            return
        # The thread may be in the midst of connecting. Then it ends by itself.
        with suppress(Exception):
            self._connection.close()
        # Where it stands still, nobody can wait for its end.
        while self._thread.is_alive() and not self.is_over:
            self._thread.join(_JOINED_FOR)

    def _run(self) -> None:
        try:
            self._read_on()
        finally:  # Whoever waits for the first attempt must not wait for a thread that was ended.
            self._tried.set()

    def _read_on(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            self._beat_at = self._timer()
            try:
                self._connection.open()
                drive(self._reader.catch_up(), self._send)
                pause = _FIRST_PAUSE
                self._report(None)
                self._tried.set()
                drive(self._reader.follow(self._longest_wait), self._send)
            except Exception as error:
                if not self._stopping.is_set():
                    self._report(error)
            finally:
                with suppress(Exception):
                    self._connection.close()
            self._tried.set()
            self._stopping.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _send(self, command: object) -> object:
        if self._stopping.is_set():
            raise _Stopped
        self._beat_at = self._timer()
        return self._connection.send(command)


class TaskTail:
    """Keep reading the log, in a task of the running event loop, until :meth:`stop`.

    Args:
        reading: what to read.

    Attributes:
        caught_up: done once the log was read to its end for the first time. Where that failed
            at the first attempt, it holds the error, and the task is over.
    """

    def __init__(self, reading: Reading) -> None:
        self._reader = reading.reader
        self._longest_wait = reading.longest_wait
        self._report = reading.report
        self._connection = reading.connect(reading.patience)
        self._timer = reading.timer
        self._pid = os.getpid()
        self._is_stopping = False
        self._loop = asyncio.get_running_loop()
        self._beat_at = self._timer()
        self.caught_up: asyncio.Future[None] = self._loop.create_future()
        self.caught_up.add_done_callback(_look_at_error)
        self._task = self._loop.create_task(self._run(), name="tokenwheel-revocations")
        # An event loop that is closed while the task reads loses nothing, and need not be told so.
        self._task._log_destroy_pending = False  # type: ignore[attr-defined]

    @property
    def is_over(self) -> bool:
        """True where nothing reads on.

        The task has ended, or its event loop has; or the loop stands still, or is the one of
        another process.
        """
        return (
            self._task.done()
            or self._loop.is_closed()
            or self._pid != os.getpid()
            or (self._timer() - self._beat_at > _LONGEST_SILENCE and not _runs_here(self._loop))
        )

    @property
    def is_ready(self) -> bool:
        """True once the log was read to its end, as long as the task reads on."""
        return self.caught_up.done() and not self.is_over

    def abandon(self) -> None:
        """Have the task end by itself, should its event loop ever run again."""
        self._is_stopping = True

    async def stop(self) -> None:
        """End the task and its connection. Return once it has ended."""
        self._is_stopping = True
        if not self.is_over and _runs_here(self._loop):
            self._task.cancel()
            with suppress(Exception):
                await self._connection.close()
            with suppress(asyncio.CancelledError):
                await self._task
            self.caught_up.cancel()

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._is_stopping:
            self._beat_at = self._timer()
            try:
                await self._connection.open()
                await drive_async(self._reader.catch_up(), self._send)
                pause = _FIRST_PAUSE
                self._report(None)
                if not self.caught_up.done():
                    self.caught_up.set_result(None)
                await drive_async(self._reader.follow(self._longest_wait), self._send)
            except asyncio.CancelledError:
                await self._hang_up()
                raise
            except Exception as error:
                await self._hang_up()
                if isinstance(error, _Stopped) or self._is_stopping:
                    return
                self._report(error)
                if not self.caught_up.done():
                    self.caught_up.set_exception(error)
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _hang_up(self) -> None:
        # Not in a finally clause: where an event loop has ended, nothing can be awaited.
        with suppress(Exception):
            await self._connection.close()

    async def _send(self, command: object) -> object:
        # Before Python 3.12 `wait_for`, which client libraries use, can swallow that the task was
        # cancelled (python/cpython#86296).
        task = asyncio.current_task()
        if self._is_stopping or (task is not None and task.cancelling()):
            raise _Stopped
        self._beat_at = self._timer()
        try:
            return await self._connection.send(command)
        except RuntimeError:
            # The collector ends the task of a closed event loop, and the client still wants that
            # loop to disconnect. Then nobody is left to be told.
            if self._loop.is_closed():
                raise GeneratorExit from None
            raise


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    """Return True where the calling code runs on this event loop, so that the loop is alive."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _look_at_error(caught_up: asyncio.Future[None]) -> None:
    """Mark an error as seen, so that asyncio does not complain where nobody waits for it.

    Whoever comes later begins anew, and sees for itself.
    """
    if not caught_up.cancelled():
        caught_up.exception()
