"""A key set that is fetched in the background: who fetches, and what comes of that.

``fetch_crew`` knows who fetches, ``fetched_keys`` what is known. Here both come together: somebody
is begun where nobody fetches, is told when and what to ask, and what is answered is taken over.

Two locks are held, neither while anything is fetched: that of every key set while keys are
replaced, and then the crew's. A look takes the latter alone, to begin a thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDone
from typing import Any

from ...event_loop import has_event_loop
from ..living import LivingKeySet
from .answers import FetchFailed
from .fetch_crew import FetchCrew
from .fetched_keys import FetchedKeys, logger
from .fetcher import FetchThread
from .fetching_protocol import Fetcher
from .key_url import KeyUrl

__all__ = ["BackgroundKeySet"]

_LONGEST_GOODBYE = 1.0  # seconds


class BackgroundKeySet(LivingKeySet):
    """Keep the keys of a URL as they are there. What is set here is set by the subclass."""

    __slots__ = (
        "_crew",
        "_fetch",
        "_holds_keys",
        "_is_async",
        "_known",
        "_timeout",
        "_timer",
        "_url",
    )
    _crew: FetchCrew
    _fetch: Callable[..., Any] | None
    _holds_keys: bool
    _is_async: bool
    _known: FetchedKeys
    _timeout: float
    _timer: Callable[[], float]
    _url: KeyUrl

    # Before and after a fork.

    def pause(self) -> None:
        """Break a fetch off before a fork, so that a child inherits no connection in use."""
        if self._crew.pause():
            self._known.schedule.break_off()
        # No change is then half done. A subscriber that takes longer is not waited for.
        self._holds_keys = self._lock.acquire(timeout=_LONGEST_GOODBYE)
        self._crew.lock.acquire()

    def go_on(self) -> None:
        """Fetch again, after the fork, in the parent."""
        self._crew.lock.release()
        if self._holds_keys:
            self._lock.release()
        if self._crew.go_on():
            self._see_to_fetcher(self._timer())

    def renew(self) -> None:
        """Begin anew in a child of a fork, with locks of its own and nobody who fetches."""
        super().renew()
        self._crew.renew()
        self._known.schedule.break_off()

    # Who fetches.

    def _see_to_fetcher(self, now: float) -> None:
        """See to it that somebody fetches, and wakes up where that is due."""
        crew, schedule = self._crew, self._known.schedule
        if crew.pid != os.getpid():  # Forked by a server that runs no hooks of Python.
            self.renew()
        due_at = schedule.due_at()
        lacks_fetcher = crew.lacks_fetcher(now, due_at)
        if not lacks_fetcher or (self._is_async and not has_event_loop()):
            if now >= due_at and (fetcher := crew.fetcher) is not None:
                fetcher.wake()
            return
        with crew.lock:
            if not crew.lacks_fetcher(now, schedule.due_at()) or not crew.may_abandon(now):
                return
            before = self._let_go()
            if before is not None and before.stands_still(now):
                self._fail(f"a fetch has not returned within {self._timeout:g} seconds")
            try:
                crew.begin(self._make_fetcher)
            except RuntimeError as error:  # There is no room for another thread.
                self._known.tell_once("thread", f"cannot be fetched at the moment: {error}")

    def _make_fetcher(self) -> Fetcher:
        if not self._is_async or self._fetch is None:
            return FetchThread(self, self._url, self._fetch, self._timeout, self._timer)
        from .fetch_task import FetchTask  # which needs asyncio

        return FetchTask(self, self._url, self._fetch, self._timeout, self._timer)

    def _let_go(self) -> Fetcher | None:
        """Have whoever fetches end by itself. The caller holds the crew's lock."""
        self._known.schedule.break_off()
        return self._crew.let_go()

    # What whoever fetches asks and tells.

    def _seconds_left(self) -> float:
        """Return the seconds until the next fetch is to begin."""
        return self._known.schedule.due_at() - self._timer()

    def _begin_fetch(self, fetcher: Fetcher) -> dict[str, str] | None:
        """Return the header of a request; None where it is another's to make one."""
        crew = self._crew
        with crew.lock:
            if crew.fetcher is not fetcher or crew.is_closed:
                return None
            self._known.schedule.begin(self._timer())
            crew.note_begin()
            return self._known.headers()

    def _end_fetch(self, fetcher: Fetcher, outcome: Any) -> None:
        """Take over what was fetched, or note why nothing was."""
        crew, known = self._crew, self._known
        if crew.fetcher is not fetcher:
            return
        if isinstance(outcome, FetchFailed):
            # Not raised: by its traceback a set that was dropped would live until garbage goes.
            self._note_end(fetcher, str(outcome))
            return
        failure: str | None = None
        try:
            answer, listed = known.read(outcome)
            with self._lock:
                with crew.lock:
                    if crew.fetcher is not fetcher:
                        return
                    known.take_over(answer, listed)
                self._take(known.succession.keys, None)
        except FetchFailed as error:
            failure = str(error)
        except Exception as error:  # of a clock or a subscriber
            logger.exception("the keys of %s came, and then something failed", self._url)
            failure = f"{type(error).__name__} was raised"
        except BaseException as error:  # Whoever fetches ends by it, and the next one waits.
            failure = f"{type(error).__name__} was raised"
            raise
        finally:
            self._note_end(fetcher, failure)

    def _note_end(self, fetcher: Fetcher, failure: str | None) -> None:
        crew = self._crew
        with crew.lock:
            if crew.fetcher is not fetcher:
                return
            if failure is not None and self._known.schedule.is_fetching:
                self._fail(failure)
            else:
                crew.note_end(None)

    def _fail(self, reason: str) -> None:
        """Note why a fetch has failed. The caller holds the crew's lock."""
        self._known.fail(reason)
        self._crew.note_end(reason)

    def _drop_missing(self, now: float) -> None:
        """Let the keys go that an answer did not list, unless another thread is at it."""
        if self._lock.acquire(blocking=False):
            try:
                self._known.succession.drop_missing(now)
                self._take(self._known.succession.keys, None)
            except Exception:  # of a subscriber, which no read must suffer from
                logger.exception("keys of %s have gone, and then something failed", self._url)
            finally:
                self._lock.release()

    # Who waits.

    def _first_attempt(self) -> Future[str | None] | None:
        """Have somebody fetch. Return what the first attempt will be known by, until it is over."""
        crew, schedule = self._crew, self._known.schedule
        crew.is_closed = False
        if crew.is_tried:
            self._see_to_fetcher(self._timer())
            return None
        with crew.lock:
            if crew.is_tried:
                return None
            attempt = crew.expect(anew=False)
            if not crew.is_busy:
                schedule.want_now(self._timer())
        self._see_to_fetcher(self._timer())
        return None if crew.fetcher is None else attempt

    def _ask_at_once(self) -> Future[str | None]:
        crew = self._crew
        crew.is_closed = False
        with crew.lock:
            attempt = crew.expect(anew=True)
            self._known.schedule.want_now(self._timer())
        self._see_to_fetcher(self._timer())
        return attempt

    def _wait(self, attempt: Future[str | None], longest: float) -> str | None:
        """Return why a fetch has failed, or None."""
        try:
            return attempt.result(longest)
        except NotDone:
            return self._late(attempt, longest)

    async def _wait_async(self, attempt: Future[str | None], longest: float) -> str | None:
        import asyncio

        wrapped = asyncio.wrap_future(attempt)
        try:
            await asyncio.wait((wrapped,), timeout=longest)
            return wrapped.result() if wrapped.done() else self._late(attempt, longest)
        finally:
            wrapped.cancel()  # It must not be told anything once the loop is closed.

    def _late(self, attempt: Future[str | None], longest: float) -> str:
        attempt.cancel()
        reason = f"no whole answer came within {longest:g} seconds"
        with self._crew.lock:
            self._crew.is_tried = True
            self._known.tell_failure(reason)
        return reason
