"""RevocationList: which sessions' tokens are refused, as ``read`` asks it, and who is told of that.

The table is in memory; a feed ties it to those of other processes. What is revoked here holds here
first, and is told to the others then. Where telling them fails, the caller hears of it and this
process goes on refusing: never the other way round.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from inspect import isawaitable
from types import CoroutineType
from typing import Any, NamedTuple

from .._impl import RevocationTable
from ..conformance import check_conforms, conforms, is_coroutine_function
from ..errors import ConfigurationError, StorageUnavailable, TokenwheelError
from ..exact import plain_of
from ..failures import meaning_of
from ..fork_safety import hold_lock_during_fork
from ..hidden import clears_locals
from ..option_checks import check_clocks
from ..seconds import duration_of, number_of, reading, steady_time, wall_time
from .message import plain_revocations
from .protocol import (
    AwaitableFeed,
    DoorbellFeed,
    ReplayingFeed,
    Revocation,
    RevocationFeed,
    RewindingFeed,
    Row,
)
from .subscribers import Subscriber, Subscribers, check_subscriber
from .watcher import Watcher

__all__ = ["RevocationList", "RevocationStats"]

_UNREACHABLE = "the revocation feed could not be reached or answered an error"
_NOT_AWAITED = (
    "the feed's {} has to be awaited, and nothing does here: "
    "AsyncSessionManager awaits publish and close"
)
_ANY_SESSION = "A" * 16
_FEED_METHODS = ("start", "publish", "poll", "close")


class RevocationStats(NamedTuple):
    """How a list stands."""

    entries: int
    """Sessions some of whose access tokens are refused now."""
    nbytes: int
    """Memory they take, in bytes; estimated by the pure implementation."""


class RevocationList(RevocationTable):
    """What ``read`` consults. Safe to share between managers and threads of one process.

    Args:
        feed: ties this list to those of other processes; with None it stands alone.
        clock: returns Unix seconds, by default those of ``time.time`` as it stands at each call:
            freezegun and time-machine move it.
        timer: returns seconds that no one sets, by default the system's, which no test moves. By
            it a clock that was put ahead for a while is known, and nothing is forgotten meanwhile.

    Raises:
        ConfigurationError: an option makes no sense.
        StorageUnavailable: the feed could not replay what is already revoked.
    """

    def __init__(
        self,
        feed: RevocationFeed | None = None,
        *,
        clock: Callable[[], float] = wall_time,
        timer: Callable[[], float] = steady_time,
    ) -> None:
        check_clocks(clock=clock, timer=timer)
        if feed is not None:
            try:
                _check_feed(feed)
            except ConfigurationError:
                del feed  # It may be a server's URL, with a password in it.
                raise
        before_lookup = None if feed is None else feed.poll
        super().__init__(clock=clock, before_lookup=before_lookup, timer=timer)
        self._feed = feed
        if feed is None:
            # Without news to be had, the table's own answer spares each refresh a call.
            vars(self)["lowest_generation"] = super().lowest_generation
        self._watched: Any = None  # the buffer, as the feed gave it
        self._watching = threading.RLock()  # held while another one comes to be watched
        hold_lock_during_fork(self, "_watching")
        self._subscribers = Subscribers()
        self._watcher = None if feed is None else Watcher(self._subscribers, self._look)
        self._is_closed = False
        if feed is not None:
            _call(feed, "start", self.revoke_each)
            self._watch_doorbell()

    def revoke(self, session_id: str, ttl: float | timedelta, *, before: int | None = None) -> None:
        """Refuse a session's access tokens for ``ttl`` seconds, here and wherever the feed reaches.

        If the session is revoked already, the higher ``before`` counts and the later end.

        Args:
            session_id: the session's id, 16 base64url characters.
            ttl: seconds, or a timedelta of whole seconds: more than 0 and at most 100 years.
            before: the generations below this number are refused, from 1 to 2**32 - 2, or None for
                every generation.

        Raises:
            InvalidArgument: an argument that cannot be used.
            ConfigurationError: the feed has to be awaited; an async manager does.
            StorageUnavailable: the feed failed. In this process the session is refused all the
                same. The error says where the call can be made again.
        """
        # The table and the feed look at the same ones, so they must not answer as they like.
        session_id, lifetime, before = plain_of(session_id), duration_of(ttl), plain_of(before)
        super().revoke(session_id, lifetime, before=before)
        self._tell()
        if self._feed is not None:
            expires_at = reading(self.clock()) + lifetime
            _call(self._feed, "publish", [Revocation(session_id, expires_at, before)])

    def revoke_until(
        self, session_id: str, expires_at: float, *, before: int | None = None
    ) -> None:
        """Refuse a session's access tokens until a Unix time, in this process alone.

        Args:
            session_id: the session's id, 16 base64url characters.
            expires_at: Unix time in seconds, from 0 to 1e11. One that has passed refuses nothing.
            before: the generations below this number are refused, from 1 to 2**32 - 2, or None for
                every generation.

        Raises:
            InvalidArgument: an argument cannot be used.
        """
        super().revoke_until(session_id, expires_at, before=before)
        self._tell()

    def revoke_each(self, revocations: Iterable[Row]) -> None:
        """Refuse the access tokens of several sessions, in this process alone.

        Args:
            revocations: the fields of a :class:`Revocation` for each session.

        Raises:
            InvalidArgument: a revocation cannot be used. Those before it have taken effect.
        """
        try:
            super().revoke_each(revocations)
        finally:
            self._tell()

    def subscribe(self, callback: Subscriber) -> None:
        """Call ``callback(session_id, before)`` for each revocation that this process takes in.

        It is called within a second, whether the session was revoked here or in another process,
        and though nobody reads tokens here: this is what closes open connections. ``before`` is the
        generation below which the session's access tokens are refused, or None where all are. A
        revocation that refuses nothing more than before is not told, such as one that is heard
        again. Nor is what was revoked already: ask :meth:`is_revoked` after subscribing.

        A list without a feed calls it in the thread that revokes, before that call returns. A list
        with a feed calls it in a thread of its own, which runs while there are subscribers, also in
        a process that is forked (by a server without Python's hooks: from its first lookup on). So
        it must be safe to call from any thread, and quick: the others wait. From there an event
        loop is reached by its ``call_soon_threadsafe``. No lock is held, so it may call this list.
        What it raises is logged and disturbs nobody else, but for a ``KeyboardInterrupt`` in the
        thread that revokes.

        Args:
            callback: a function. Subscribed twice, it is called twice.

        Raises:
            InvalidArgument: it does not take these two arguments, or is a coroutine function.
            StorageUnavailable: the list was closed and hears nothing any more, or the system has no
                room for a thread.
        """
        callback = check_subscriber(callback)
        with self._subscribers.lock:
            self._subscribers.add(callback)
            # Beside a feed another thread tells. Without one whoever revokes does, and returns no
            # earlier: had it put this where others look, one of them might still be telling it.
            self._report_to(
                self._subscribers.put if self._feed is None else self._subscribers.queue.put
            )
        if self._watcher is not None:
            self._note_loop(self._watcher)
            try:
                self._watcher.start()
            except RuntimeError as error:
                self.unsubscribe(callback)
                raise StorageUnavailable("there is no room for a thread that tells it") from error
            if self._is_closed:
                self.unsubscribe(callback)
                raise StorageUnavailable(
                    "the list of revocations was closed, so it hears nothing from its feed"
                )

    def unsubscribe(self, callback: Subscriber) -> None:
        """End one subscription of a callback. Do nothing where it isn't subscribed.

        Another thread may be calling it just then, for the last time.

        Args:
            callback: what was subscribed: the same object, method of the same object, or an equal
                one.
        """
        self._subscribers.remove(callback)
        if self._subscribers:
            return
        if self._watcher is not None:
            self._watcher.stop(waits=False)
        with self._subscribers.lock:
            if not self._subscribers:
                self._report_to(None)
            elif self._watcher is not None:  # Another thread has subscribed meanwhile.
                self._watcher.restart()

    def publish(self, revocations: Sequence[Revocation], now: float) -> Any:
        """Refuse access tokens in this process, then tell the feed.

        Args:
            revocations: what is refused, and until when by the caller's clock.
            now: Unix seconds by the caller's clock. Where this list's clock shows another time, an
                entry is kept until it is over by both.

        Returns:
            What the feed's ``publish`` returned, to be awaited where it is awaitable.

        Raises:
            InvalidArgument: a revocation cannot be used, or ``now`` or what this list's clock tells
                is no time.
            StorageUnavailable: the feed failed. In this process the tokens are refused all the
                same. What is awaited raises the feed's own errors.
        """
        revocations = plain_revocations(revocations)
        self.refuse(revocations, now)
        if self._feed is None:
            return None
        try:
            return self._feed.publish(revocations)
        except TokenwheelError:
            raise
        except Exception as error:
            raise meaning_of(_UNREACHABLE, error) from error

    def refuse(self, revocations: Sequence[Revocation], now: float) -> None:
        """Refuse access tokens in this process, and tell no feed.

        The caller tells the feed, or has a storage do so. Arguments are those of :meth:`publish`.

        Raises:
            InvalidArgument: a revocation cannot be used, or ``now`` or what this list's clock tells
                is no time.
        """
        ahead = max(reading(self.clock()) - reading(now), 0)
        self.revoke_each(
            (session_id, number_of(expires_at) + ahead, before)
            for session_id, expires_at, before in plain_revocations(revocations)
        )

    def lowest_generation(self, session_id: str) -> int | None:
        """Return the lowest generation of a session whose access tokens are not refused now.

        Revocations made elsewhere are taken in first. Where the feed fails at that, what this
        process knows has to do.

        Args:
            session_id: the session's id, 16 base64url characters.

        Returns:
            The generation: 0 where none is refused. None where every generation is refused.

        Raises:
            InvalidArgument: ``session_id`` is not of that form.
        """
        with suppress(Exception):  # Where the feed has failed, whoever reads is told.
            if not self.is_revoked(session_id):
                return 0
        return super().lowest_generation(session_id)

    async def replay(self) -> None:
        """Have a feed that must be awaited take in what is already revoked, if it hasn't yet.

        An async manager awaits this before anything else. From then on its event loop is the one
        on which the feed is asked for what subscribers are told.

        Raises:
            StorageUnavailable: the feed could not be reached, or answered an error.
        """
        if self._watcher is not None:
            self._note_loop(self._watcher)
        if conforms(self._feed, ReplayingFeed):
            try:
                await self._feed.replay()
            except TokenwheelError:
                raise
            except Exception as error:
                raise meaning_of(_UNREACHABLE, error) from error

    @property
    def feed(self) -> RevocationFeed | None:
        """The feed that ties this list to those of other processes, or None."""
        return self._feed

    def stats(self) -> RevocationStats:
        """Return how many revocations live now, and the memory they take.

        Returns:
            ``entries``, a number of sessions, and ``nbytes``, in bytes. Both are this process's.
        """
        return RevocationStats(len(self), self.nbytes)

    def close(self) -> Any:
        """Stop the feed, and tell subscribers no more. Can be called again.

        They are told first what was taken in so far.

        Returns:
            What the feed's ``close`` returned, to be awaited where it is awaitable.
        """
        self._is_closed = True
        if self._watcher is not None:
            self._watcher.close()
        with self._subscribers.lock:
            self._subscribers.clear()
            self._report_to(None)
        answer = None if self._feed is None else self._feed.close()
        self._watch_doorbell()  # which may be gone
        return answer

    def _tell(self) -> None:
        """Tell subscribers what this thread has revoked. Beside a feed another thread does so."""
        if self._feed is None and self._subscribers:
            self._subscribers.tell_waiting()

    def _note_loop(self, watcher: Watcher) -> None:
        if conforms(self._feed, AwaitableFeed) and self._feed.is_async:
            watcher.note_loop()

    def _look(self) -> None:
        """Take in what has come, as a lookup does."""
        self.is_revoked(_ANY_SESSION)

    def _take_news(self, now: float) -> None:
        if self._watcher is not None:
            self._watcher.restart()
        if self._observe(now) and conforms(self._feed, RewindingFeed):
            # What seemed over when it was heard may not be over.
            self._feed.rewind()
        super()._take_news(now)
        self._watch_doorbell()

    def _watch_doorbell(self) -> None:
        if not conforms(self._feed, DoorbellFeed):
            return
        # Two threads that find two doorbells must not leave the table with the earlier.
        with self._watching:
            doorbell = self._feed.doorbell
            if doorbell is not self._watched:
                self._watched = doorbell
                self.watch(doorbell)


@clears_locals
def _check_feed(feed: RevocationFeed) -> None:
    check_conforms("feed", feed, RevocationFeed, _FEED_METHODS)
    if is_coroutine_function(feed.poll):  # It would never bring anything, and never say so.
        raise ConfigurationError(_NOT_AWAITED.format("poll"))


def _call(feed: RevocationFeed, name: str, *arguments: Any) -> None:
    try:
        answer = getattr(feed, name)(*arguments)
    except TokenwheelError:
        raise
    except Exception as error:
        raise meaning_of(_UNREACHABLE, error) from error
    if isawaitable(answer):
        if isinstance(answer, CoroutineType):
            answer.close()
        raise ConfigurationError(_NOT_AWAITED.format(name))
