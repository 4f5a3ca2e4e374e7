"""A thread that fetches keys whenever that is due.

It holds the set weakly while it waits and while it fetches, so that a set which was dropped ends
it. What is fetched, and when, is the set's to say.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from weakref import ref

from ...conformance import is_awaitable
from .answers import FetchFailed, KeyResponse
from .fetching import HttpFetch
from .key_url import KeyUrl

if TYPE_CHECKING:
    from .background import BackgroundKeySet

__all__ = ["PATIENCE", "FetchThread"]

PATIENCE = 5.0  # seconds beyond the timeout, after which a fetch counts as standing still
_LONGEST_SLEEP = 3600.0  # seconds: one hour


class FetchThread:
    """Fetch keys in a thread until :meth:`stop`.

    Args:
        keys: the set, which is told what comes.
        url: what to fetch.
        fetch: the caller's client, or None for the standard library.
        timeout: seconds that a fetch may take.
        timer: returns seconds that never run back.
    """

    def __init__(
        self,
        keys: BackgroundKeySet,
        url: KeyUrl,
        fetch: Callable[..., Any] | None,
        timeout: float,
        timer: Callable[[], float],
    ) -> None:
        # Unlike an Event, it can be told in the midst of being told: by a handler of a signal that
        # reads, or by the collector of garbage.
        self._calls: SimpleQueue[None] = SimpleQueue()
        call = self._calls.put
        self._keys = ref(keys, lambda _: call(None))
        self._url = url
        self._fetch = fetch
        self._http = HttpFetch(url, timeout) if fetch is None else None
        self._longest_fetch = timeout + PATIENCE
        self._timer = timer
        self._fetches_since: float | None = None
        self._is_stopping = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="tokenwheel-keys", daemon=True)

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: the system has no room for another thread.
        """
        self._thread.start()

    def is_over(self, now: float, due_at: float) -> bool:
        """Return True where nobody fetches any more: the thread has ended or stands still."""
        del due_at
        return not self._thread.is_alive() or self.stands_still(now)

    def stands_still(self, now: float) -> bool:
        """Return True where a fetch has not returned for longer than it may take."""
        since = self._fetches_since
        return since is not None and now - since > self._longest_fetch and self._thread.is_alive()

    def wake(self) -> None:
        """See whether a fetch is due."""
        self._calls.put(None)

    def stop(self) -> None:
        """End the thread, and the fetch that it is in where that can be broken off."""
        self._is_stopping = True
        if self._http is not None:
            self._http.break_off()
        self._calls.put(None)

    def join(self, longest: float) -> None:
        """Wait until the thread has ended, for some seconds at most."""
        if self._pid == os.getpid() and self._thread is not threading.current_thread():
            with suppress(RuntimeError):  # It was never started.
                self._thread.join(longest)

    def _run(self) -> None:
        while not self._is_stopping:
            keys = self._keys()
            if keys is None:
                return
            seconds = keys._seconds_left()
            if seconds > 0:
                del keys
                with suppress(Empty):
                    self._calls.get(timeout=min(seconds, _LONGEST_SLEEP))
                continue
            headers = keys._begin_fetch(self)
            del keys
            if headers is None:
                return
            self._fetches_since = self._timer()
            outcome = self._outcome(headers)
            self._fetches_since = None
            keys = self._keys()
            if keys is not None:
                keys._end_fetch(self, outcome)
            del keys, outcome

    def _outcome(self, headers: Mapping[str, str]) -> Any:
        """Return the response to a request, or the FetchFailed that says why there is none."""
        try:
            if self._http is not None:
                return self._http(headers)
            return self._ask_client(headers)
        except FetchFailed as error:
            return FetchFailed(*error.args)  # without a traceback
        except BaseException as error:  # any: the client is the caller's own
            # Its text may have the URL with its query.
            return FetchFailed(f"fetch= raised {type(error).__name__}")

    def _ask_client(self, headers: Mapping[str, str]) -> Any:
        assert self._fetch is not None  # noqa: S101 - for the type checker
        response = self._fetch(self._url.whole, headers=headers)
        if not isinstance(response, KeyResponse) and is_awaitable(response):
            if (close := getattr(response, "close", None)) is not None:
                close()
            raise FetchFailed("fetch= returned an awaitable: write it as an 'async def'")
        return response
