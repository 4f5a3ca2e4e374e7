"""A watched connection on asyncio: a block that ends with its session, and streams that do.

The block is left like that of ``asyncio.timeout``, which it is built on: the body's task is
cancelled, and the end of the block swallows that, as long as nobody else has cancelled the task.
An adapter's ``watch`` is one line: ``AsyncWatch(gate.watches, claims, websocket.close)``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from .._impl import Claims
from ..errors import ConfigurationError
from ..event_loop import has_event_loop
from .watch import Watches
from .watched import NOT_SIGNED_IN, Reason
from .watched_block import WatchedBlock

__all__ = ["AsyncWatch"]

logger = logging.getLogger("tokenwheel")

_LONGEST_GOODBYE = 5.0  # seconds for a client to take the end of its connection

T = TypeVar("T")
_NOTHING: Any = object()


class AsyncWatch(WatchedBlock):
    """Watch a connection while a block runs.

    .. code-block:: python

        async with auth.watch(websocket, claims) as watched:
            async for text in websocket.iter_text():
                ...

    When the session was ended or restricted, in whichever process, or the access token has expired,
    the connection is closed and the block ends, within a second. What comes after the block runs
    as usual. With ``close=None`` the block is not cancelled, so that it may be in a generator: then
    only :meth:`each` ends.

    Args:
        watches: those of the gate.
        claims: what the connection was admitted with.
        close: closes the connection; awaited with 4401 and the reason. None where ending the stream
            does so.
    """

    _statement = "async with"

    def __init__(
        self,
        watches: Watches,
        claims: Claims,
        close: Callable[[int, str], Awaitable[object]] | None = None,
    ) -> None:
        super().__init__(watches, claims)
        self._close = close
        self._loop: asyncio.AbstractEventLoop | None = None
        self._body: asyncio.Timeout | None = None
        self._pulls: set[asyncio.Timeout] = set()
        self._closing: asyncio.Task[None] | None = None
        self._cancels = close is not None

    async def each(self, source: AsyncIterable[T]) -> AsyncGenerator[T, None]:
        """Yield what the source yields, until the connection has to end. Then close the source.

        The consumer is not cancelled: for it the stream is over. So this is what a response of
        server-sent events is made of, without a block around it: ``watch(request,
        claims).each(source)``.

        Raises:
            InvalidArgument: the block was left, or another stream that stood for it.
        """
        async with AsyncExitStack() as stack:
            if self._watched is None or self._is_left:
                self._cancels = False  # A task that waits for us is not within a block.
                await stack.enter_async_context(self)
            iterator = aiter(source)
            if hasattr(iterator, "aclose"):
                stack.push_async_callback(iterator.aclose)
            while self._goes_on():
                item = await self._pull(iterator)
                if item is _NOTHING or not self._goes_on():
                    break
                yield item

    async def __aenter__(self) -> Self:
        self._check_unused()
        if not has_event_loop():
            raise ConfigurationError("a watch needs a running event loop of asyncio, not of trio")
        self._loop = asyncio.get_running_loop()
        if self._cancels:
            self._body = asyncio.timeout(None)
            await self._body.__aenter__()
        self._watched = self._watches.watch(self._claims, self._tell_loop)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        reason = self.ended
        self._is_left = True
        if self._watched is not None:
            self._watched.stop()
        is_own_cancellation = False
        try:
            if self._body is not None:
                await self._body.__aexit__(kind, error, traceback)
        except TimeoutError:
            is_own_cancellation = True
        finally:
            if reason is not None:
                await self._say_goodbye(reason)
        return is_own_cancellation

    def _tell_loop(self, reason: Reason) -> None:
        """Have the block end. Called in another thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # The loop was closed.
                self._loop.call_soon_threadsafe(self._end, reason)

    def _end(self, reason: Reason) -> None:
        if self._is_left:
            return
        self._begin_to_close(reason)
        now = asyncio.get_running_loop().time()
        for scope in (self._body, *self._pulls):
            if scope is not None:
                scope.reschedule(now)

    def _begin_to_close(self, reason: Reason) -> None:
        if self._close is not None and self._closing is None:
            # At once, however long the body takes to let go.
            self._closing = asyncio.create_task(_close(self._close, reason))

    async def _say_goodbye(self, reason: Reason) -> None:
        """Wait until the connection has been closed, but not for a client that doesn't listen."""
        self._begin_to_close(reason)
        if self._closing is not None:
            try:
                await asyncio.wait({self._closing}, timeout=_LONGEST_GOODBYE)
            finally:
                self._closing.cancel()

    async def _pull(self, iterator: AsyncIterator[Any]) -> Any:
        """Return the next item, or ``_NOTHING`` where there is none or the end comes first."""
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._pulls.add(scope)
                try:
                    return await anext(iterator, _NOTHING)
                finally:
                    self._pulls.discard(scope)
        except TimeoutError:
            if not scope.expired():
                raise
            return _NOTHING


async def _close(close: Callable[[int, str], Awaitable[object]], reason: Reason) -> None:
    try:
        await close(NOT_SIGNED_IN, reason)
    except Exception:  # Its client may have gone in the same moment.
        logger.debug("a connection that had to end was closed already", exc_info=True)
