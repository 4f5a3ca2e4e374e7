"""A watched connection of a thread, as WSGI servers have it: a block, and streams that end.

A thread cannot be cancelled. Its connection is closed, so that whatever it receives or sends next
is over. An adapter's ``watch`` is one line:
``BlockingWatch(gate.watches, claims, websocket.close)``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from .._impl import Claims
from .watch import Watches
from .watched import NOT_SIGNED_IN, Reason
from .watched_block import WatchedBlock

__all__ = ["BlockingWatch"]

logger = logging.getLogger("tokenwheel")

_LONGEST_GOODBYE = 5.0  # seconds for a client to take the end of its connection

T = TypeVar("T")
_NOTHING: Any = object()


class BlockingWatch(WatchedBlock):
    """Watch a connection while a block runs.

    .. code-block:: python

        with auth.watch(websocket, claims) as watched:
            while True:
                text = websocket.receive()
                ...

    When the session was ended or restricted, in whichever process, or the access token has expired,
    the connection is closed within a second, from another thread. What the body then gets is what
    its framework raises from a connection that was closed.

    Args:
        watches: those of the gate.
        claims: what the connection was admitted with.
        close: closes the connection; called with 4401 and the reason. None where ending the stream
            does so.
    """

    _statement = "with"

    def __init__(
        self,
        watches: Watches,
        claims: Claims,
        close: Callable[[int, str], object] | None = None,
    ) -> None:
        super().__init__(watches, claims)
        self._close = close
        self._may_close = threading.Lock()  # held for good by whoever closes
        self._is_closed = threading.Event()

    def each(self, source: Iterable[T]) -> Generator[T, None, None]:
        """Yield what the source yields, until the connection has to end. Then close the source.

        The end is looked for before and after each item. No thread can be called back from a source
        that waits, so one that may wait for long yields something now and then, such as a comment
        of server-sent events. A block around it is not needed.

        Raises:
            InvalidArgument: the block was left, or another stream that stood for it.
        """
        with ExitStack() as stack:
            if self._watched is None or self._is_left:
                stack.enter_context(self)
            iterator = iter(source)
            if hasattr(iterator, "close"):
                stack.callback(iterator.close)
            while self._goes_on():
                item = next(iterator, _NOTHING)
                if item is _NOTHING or not self._goes_on():
                    break
                yield item

    def __enter__(self) -> Self:
        self._check_unused()
        self._watched = self._watches.watch(self._claims, self._begin_to_close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        reason = self.ended
        self._is_left = True
        if self._watched is not None:
            self._watched.stop()
        if reason is not None and self._close is not None:
            self._say_goodbye(self._close, reason)
            self._is_closed.wait(_LONGEST_GOODBYE)

    def _begin_to_close(self, reason: Reason) -> None:
        """Close the connection in a thread of its own: its client may not listen.

        Called in the thread that all connections share.
        """
        close = self._close
        if close is None:
            return
        goodbye = threading.Thread(
            target=self._say_goodbye, args=(close, reason), name="tokenwheel-close", daemon=True
        )
        try:
            goodbye.start()
        except RuntimeError:  # There is no room for another thread.
            self._say_goodbye(close, reason)

    def _say_goodbye(self, close: Callable[[int, str], object], reason: Reason) -> None:
        if not self._may_close.acquire(blocking=False):
            return
        try:
            close(NOT_SIGNED_IN, reason)
        except Exception:  # Its client may have gone in the same moment.
            logger.debug("a connection that had to end was closed already", exc_info=True)
        finally:
            self._is_closed.set()
