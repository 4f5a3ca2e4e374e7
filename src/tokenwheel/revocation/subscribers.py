"""Who is told of each revocation that a process takes in, and in which thread.

What is taken in is put into a queue, wherever that happens, and told from there. So a lookup that
fetches news is as quick as without subscribers, and a feed may hold its locks. A list without a
feed tells in the thread that revokes, before that call returns. Beside a feed the list has a thread
for it (``watcher.py``).

Nothing here knows a table, a feed or a session.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from inspect import isasyncgenfunction
from queue import Empty, SimpleQueue
from types import BuiltinMethodType, CoroutineType, MethodType
from typing import Any

from ..conformance import check_call, is_coroutine_function
from ..errors import ConfigurationError, InvalidArgument
from ..fork_safety import renew_after_fork

__all__ = ["Raised", "Subscriber", "Subscribers", "check_subscriber"]

logger = logging.getLogger("tokenwheel")

Raised = tuple[str, int | None]
"""The id of a session, and the generation below which its tokens are refused from now on."""
Subscriber = Callable[[str, int | None], object]

_NOT_AWAITED = (
    "callback must not be a coroutine function, since nothing awaits it: "
    "subscribe a function that calls loop.call_soon_threadsafe(...) "
    "or asyncio.run_coroutine_threadsafe(...)"
)


class Subscribers:
    """Hold the callbacks, and what they have yet to be told. Safe to share between threads.

    Attributes:
        queue: what is to be told. Its methods may be called in the midst of each other, as by a
            finalizer. None in it only wakes whoever waits.
        lock: is held while the callbacks change, and never while one is called.
    """

    def __init__(self) -> None:
        self.queue: SimpleQueue[Raised | None] = SimpleQueue()
        self._callbacks: tuple[Subscriber, ...] = ()
        self._of_thread = threading.local()
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Begin anew in a child of a fork: another thread of the parent may have held the lock."""
        self.lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._callbacks)

    def put(self, raised: Raised) -> None:
        """Keep what the calling thread has revoked until this thread calls :meth:`tell_waiting`."""
        self._waiting.append(raised)

    def add(self, callback: Subscriber) -> None:
        """Tell a callback from now on; twice, where it is told already."""
        with self.lock:
            self._callbacks = (*self._callbacks, callback)

    def remove(self, callback: Subscriber) -> None:
        """End the latest subscription of a callback. Do nothing where it has none."""
        with self.lock:
            callbacks = self._callbacks
            place = _place_of(callback, callbacks)
            if place is not None and callbacks is self._callbacks:
                self._callbacks = (*callbacks[:place], *callbacks[place + 1 :])

    def clear(self) -> None:
        """Tell nobody from now on."""
        with self.lock:
            self._callbacks = ()

    @property
    def _waiting(self) -> deque[Raised]:
        try:
            waiting: deque[Raised] = self._of_thread.waiting
        except AttributeError:
            waiting = self._of_thread.waiting = deque()
        return waiting

    def tell_waiting(self) -> None:
        """Tell what this thread has put, and all that is in the queue.

        Within a callback do nothing: its caller goes on.

        Raises:
            KeyboardInterrupt: a callback was interrupted. All of them were called.
        """
        if getattr(self._of_thread, "is_telling", False):
            return
        self._of_thread.is_telling = True
        interrupt = None
        try:
            while self._waiting:
                interrupt = self.tell(self._waiting.popleft()) or interrupt
            with suppress(Empty):
                while True:
                    interrupt = self.tell(self.queue.get_nowait()) or interrupt
        finally:
            self._of_thread.is_telling = False
        if interrupt is not None:
            raise interrupt

    def tell(self, raised: Raised | None) -> KeyboardInterrupt | None:
        """Call each callback. What one of them raises is logged, and keeps none from being called.

        Returns:
            What interrupted a callback, if anything did.
        """
        interrupt = None
        if raised is None:
            return None
        for callback in self._callbacks:
            try:
                answer = callback(*raised)
            except BaseException as error:
                logger.exception("a subscriber to revocations raised")
                if isinstance(error, KeyboardInterrupt):
                    interrupt = error
            else:
                if isinstance(answer, CoroutineType):
                    answer.close()
                    logger.error("a subscriber returned a coroutine: %s", _NOT_AWAITED)
        return interrupt


def check_subscriber(callback: object) -> Subscriber:
    """Return a callback that can be called with a session id and a generation.

    Raises:
        InvalidArgument: it cannot be called so, or would have to be awaited.
    """
    if not callable(callback):
        raise InvalidArgument("callback must be a callable that takes (session_id, before)")
    if is_coroutine_function(callback) or isasyncgenfunction(callback):
        raise InvalidArgument(_NOT_AWAITED)
    try:
        check_call("callback", callback, ["session_id", "before"])
    except ConfigurationError as error:
        raise InvalidArgument(str(error)) from None
    except Exception:  # Its own methods keep one from seeing what it takes.
        return callback
    return callback


def _place_of(callback: Subscriber, callbacks: tuple[Subscriber, ...]) -> int | None:
    """Return the last place of a callback, by identity, else of one that it equals."""
    for is_same in (_is_identical, _is_equal):
        for place in reversed(range(len(callbacks))):
            if is_same(callbacks[place], callback):
                return place
    return None


def _is_identical(callback: Any, other: Any) -> bool:
    """Return True for the same object, or the same method of the same object."""
    if callback is other:
        return True
    if type(callback) is MethodType is type(other):
        return callback.__self__ is other.__self__ and callback.__func__ is other.__func__
    if type(callback) is BuiltinMethodType is type(other):
        return bool(callback == other)
    return False


def _is_equal(callback: Any, other: Any) -> bool:
    try:
        return (callback == other) is True
    except Exception:  # Whatever its ``__eq__`` raises, it is another one.
        return False
