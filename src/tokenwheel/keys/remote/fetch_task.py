"""A task that fetches keys whenever that is due, with a client that is awaited.

It lives on the event loop on which it was begun. Where that loop is closed, or stands still,
another task is begun on the loop that looks at the keys next. As the thread of ``fetcher`` does, it
holds the set weakly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import ref

from ...conformance import is_awaitable
from ...event_loop import running_loop
from .answers import FetchFailed
from .fetcher import PATIENCE
from .key_url import KeyUrl

if TYPE_CHECKING:
    from .background import BackgroundKeySet

__all__ = ["FetchTask", "wait_until_over"]

_LONGEST_SLEEP = 3600.0  # seconds: one hour


class FetchTask:
    """Fetch keys in a task of the running event loop until :meth:`stop`.

    Args:
        keys: the set, which is told what comes.
        url: what to fetch.
        fetch: the caller's client.
        timeout: seconds that a fetch may take.
        timer: returns seconds that never run back.
    """

    def __init__(
        self,
        keys: BackgroundKeySet,
        url: KeyUrl,
        fetch: Callable[..., Any],
        timeout: float,
        timer: Callable[[], float],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._keys = ref(keys, lambda _: self.wake())
        self._url = url
        self._fetch = fetch
        self._timeout = timeout
        self._timer = timer
        self._fetches_since: float | None = None
        self._beat_at = timer()
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task."""
        self._task = self.loop.create_task(self._run(), name="tokenwheel-keys")
        # An event loop that is closed while the task waits loses nothing, and need not be told so.
        self._task._log_destroy_pending = False  # type: ignore[attr-defined]

    def is_over(self, now: float, due_at: float) -> bool:
        """Return True where nobody fetches any more: the task, or its event loop, has ended.

        So it is where the loop stands still, unless it is the one that asks.
        """
        if self._task is None or self._task.done() or self.loop.is_closed():
            return True
        if running_loop() is self.loop:
            return self.stands_still(now)
        is_late = now - max(due_at, self._beat_at) > self._timeout + PATIENCE
        return not self.loop.is_running() or is_late or self.stands_still(now)

    def stands_still(self, now: float) -> bool:
        """Return True where a fetch has not returned for longer than it may take."""
        since = self._fetches_since
        return since is not None and now - since > self._timeout + PATIENCE

    def wake(self) -> None:
        """See whether a fetch is due. It can be called in any thread."""
        if running_loop() is self.loop:
            self._wake.set()
        else:
            with suppress(RuntimeError):  # The loop was closed.
                self.loop.call_soon_threadsafe(self._wake.set)

    def stop(self) -> None:
        """End the task. It can be called in any thread."""
        self._is_stopping = True
        task = self._task
        if task is None:
            return
        if running_loop() is self.loop:
            task.cancel()
        else:
            with suppress(RuntimeError):  # The loop was closed.
                self.loop.call_soon_threadsafe(task.cancel)

    async def wait(self, longest: float) -> None:
        """Wait until the task has ended, for some seconds at most."""
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=longest)

    async def _run(self) -> None:
        while not self._is_stopping:
            keys = self._keys()
            if keys is None:
                return
            self._beat_at = self._timer()
            seconds = keys._seconds_left()
            if seconds > 0:
                del keys
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(seconds, _LONGEST_SLEEP)):
                        await self._wake.wait()
                self._wake.clear()
                continue
            headers = keys._begin_fetch(self)
            del keys
            if headers is None:
                return
            self._fetches_since = self._timer()
            outcome = await self._outcome(headers)
            self._fetches_since = None
            keys = self._keys()
            if keys is not None:
                keys._end_fetch(self, outcome)
            del keys, outcome

    async def _outcome(self, headers: Mapping[str, str]) -> Any:
        """Return the response to a request, or the FetchFailed that says why there is none."""
        try:
            async with asyncio.timeout(self._timeout):
                answer = self._fetch(self._url.whole, headers=headers)
                return await answer if is_awaitable(answer) else answer
        except TimeoutError:
            return FetchFailed(f"no whole answer came within {self._timeout:g} seconds")
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._is_stopping or task is None or task.cancelling():
                raise
            return FetchFailed("fetch= was cancelled")
        except (GeneratorExit, KeyboardInterrupt, SystemExit):  # meant for the task, or all
            raise
        except BaseException as error:  # any: the client is the caller's own
            return FetchFailed(f"fetch= raised {type(error).__name__}")


async def wait_until_over(fetcher: object, longest: float) -> None:
    """Wait until a task that was stopped has ended, where it is one of the running loop."""
    if isinstance(fetcher, FetchTask) and running_loop() is fetcher.loop:
        await fetcher.wait(longest)
