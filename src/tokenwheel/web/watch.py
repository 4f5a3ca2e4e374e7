"""Connections that outlive their request, and end when their session or their access token does.

A request is checked once, when it comes. A WebSocket or a stream of events goes on for hours, and
nobody asks ``read`` again when its user logs out. So each gate has its :class:`Watches`, with one
thread while anything is watched. The list of revocations wakes it for each revocation that this
process takes in, whichever process has made it. It also looks at all that is watched a few times a
second: by the manager's clock, since a clock may be put right, and in the list, since one more look
costs less than a connection that was missed. A look is a lookup in a dict for each session: 10,000
connections take about a hundredth of a core.

Only that thread changes what is watched, so none of it needs a lock. Who watches or stops hands it
over and goes on: both may happen on an event loop, or in a finalizer.

Nothing here knows a framework, an event loop or a socket: see ``async_watch.py`` and
``blocking_watch.py``. What is known of one connection is in ``watched.py``.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from .._impl import Claims, RevocationTable
from ..errors import InvalidArgument, StorageUnavailable
from ..fork_safety import renew_after_fork, restart_after_fork
from ..seconds import checked_clock, steady_time
from .demands import Manager
from .watched import Reason, Watched

__all__ = ["Watches"]

logger = logging.getLogger("tokenwheel")

_LOOKS_EVERY = 0.4  # seconds
_LINGERS = 3  # looks at nothing, after which the thread ends


class Watches:
    """The connections of one gate that are watched. Safe to use from any thread.

    A process that is forked begins with none: the connections are its parent's.

    Args:
        manager: what has verified their access tokens. When it is closed, they end as expired.
    """

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        self._revocations = manager.revocations
        # What the table knows. To have news fetched is for the list, which does so on a thread or
        # on the event loop of its feed.
        self._lowest_known = partial(RevocationTable.lowest_generation, manager.revocations)
        self._clock = checked_clock(manager._clock)
        self._begin()
        renew_after_fork(self)
        restart_after_fork(self)

    def watch(self, claims: Claims, on_end: Callable[[Reason], object]) -> Watched:
        """Watch a connection that was admitted with these claims.

        ``on_end(reason)`` is called once, within a second of the end, in a thread that all
        connections share: it must be quick, and hand over to the connection's own thread or event
        loop what is not. What it raises is logged. It is not called after :meth:`Watched.stop`. A
        revocation since the claims were read counts, too.

        Args:
            claims: what ``read`` returned.
            on_end: takes the reason, as :attr:`Watched.ended` has it.

        Raises:
            InvalidArgument: claims that ``read`` has not returned, or ``on_end`` cannot be called.
            StorageUnavailable: the manager was closed and hears of no logout any more, or the
                system has no room for a thread.
        """
        watched = Watched(self, claims, on_end)
        if self._pid != os.getpid():  # Forked by a server that runs no hooks of Python.
            self.renew()
            self.restart()
        if self.manager._usage.has_ended:
            raise StorageUnavailable(
                "the manager was closed, so nobody could tell when the connection has to end"
            )
        with self._lock:
            self._see_to_thread()
            self._newcomers.append(watched)
        self._look_now(watched)
        return watched

    def renew(self) -> None:
        """Forget the connections of the parent, in a child of a fork."""
        self._begin()

    def restart(self) -> None:
        """Let the list of a child of a fork tell nobody, as nothing is watched there yet."""
        self._revocations.unsubscribe(self._hear)

    def _begin(self) -> None:
        # A finalizer may watch while this thread holds it.
        self._lock = threading.RLock()
        self._news: SimpleQueue[str | Watched] = SimpleQueue()
        self._newcomers: deque[Watched] = deque()
        self._by_session: dict[str, list[Watched]] = {}
        self._thread: threading.Thread | None = None
        self._is_subscribed = False
        self._has_failed = False
        self._pid = os.getpid()  # Last, as another thread goes by it.

    def _see_to_thread(self) -> None:
        """See to it that the thread runs and is told. Whoever calls it holds the lock."""
        if not self._is_subscribed:
            self._revocations.subscribe(self._hear)
            self._is_subscribed = True
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="tokenwheel-watch", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:
                self._let_go()
                raise StorageUnavailable(
                    "there is no room for a thread that ends connections"
                ) from error

    def _let_go(self) -> None:
        self._thread = None
        self._is_subscribed = False
        self._revocations.unsubscribe(self._hear)

    def _hear(self, session_id: str, _: int | None) -> None:
        self._news.put(session_id)

    def _look_now(self, watched: Watched) -> None:
        """Look whether a connection has to end, with what a ``read`` would know."""
        with suppress(Exception):  # Where the feed has failed, what is known counts.
            self._revocations.is_revoked(watched.session_id)
        reason = None
        with suppress(InvalidArgument):  # A clock told no time. The thread says so, and goes on.
            reason = watched._reason(self._lowest_known(watched.session_id), self._clock())
        if reason is not None:
            self._settle(watched, reason)
            self._news.put(watched)

    def _settle(self, watched: Watched, reason: Reason) -> Reason:
        """Let a connection end for this reason, unless there was another one first."""
        with self._lock:
            if watched._ended is None:
                watched._ended = reason
            return watched._ended

    def _run(self) -> None:
        """Look after what is watched, until that has been nothing for a while."""
        looks_at = steady_time()
        looks_at_nothing = 0
        while True:
            news = self._wait(looks_at - steady_time())
            is_closed = self.manager._usage.has_ended
            try:
                self._take_in_newcomers()
                if is_closed:
                    self._end_all()
                self._look_at({_session_of(item) for item in news})
                if steady_time() >= looks_at:
                    looks_at = steady_time() + _LOOKS_EVERY
                    self._look_at(self._due())
                    looks_at_nothing = 0 if self._by_session else looks_at_nothing + 1
                self._has_failed = False
            except BaseException:  # Without this thread no connection would end.
                if not self._has_failed:
                    logger.exception("the watch of connections goes on after an error")
                self._has_failed = True
                looks_at = max(looks_at, steady_time() + _LOOKS_EVERY)
            if (is_closed or looks_at_nothing >= _LINGERS) and self._may_end():
                return

    def _wait(self, seconds: float) -> list[str | Watched]:
        """Return what there is to look at, once there is anything or the time is over."""
        news: list[str | Watched] = []
        with suppress(Empty):
            news.append(self._news.get(timeout=max(seconds, 0)))
            while True:
                news.append(self._news.get_nowait())
        return news

    def _may_end(self) -> bool:
        """Let go, unless somebody watches again."""
        with self._lock:
            if self._newcomers or self._by_session:
                return False
            if self._thread is threading.current_thread():
                self._let_go()
            return True

    def _take_in_newcomers(self) -> None:
        with suppress(IndexError):
            while True:
                watched = self._newcomers.popleft()
                self._by_session.setdefault(watched.session_id, []).append(watched)

    def _due(self) -> list[str]:
        """Return the sessions of which a connection is over, or has to end."""
        now, lowest_known = self._clock(), self._lowest_known
        due = []
        for session_id, connections in self._by_session.items():
            lowest = lowest_known(session_id)
            for watched in connections:
                # A call for each of them would double what all this costs.
                if (
                    watched._is_stopped
                    or watched._expires_at <= now
                    or lowest is None
                    or watched._generation < lowest
                ):
                    due.append(session_id)
                    break
        return due

    def _look_at(self, session_ids: Iterable[str]) -> None:
        """End what has to end of these sessions, and forget what was stopped."""
        now = self._clock()
        for session_id in session_ids:
            connections = self._by_session.get(session_id)
            if connections is None:
                continue
            lowest = self._lowest_known(session_id)
            for watched in connections:
                if not watched._is_stopped:
                    reason = watched._reason(lowest, now)
                    if reason is not None:
                        self._end(watched, reason)
            self._forget_stopped(session_id, connections)

    def _forget_stopped(self, session_id: str, connections: list[Watched]) -> None:
        left = [watched for watched in connections if not watched._is_stopped]
        if left:
            self._by_session[session_id] = left
        else:
            del self._by_session[session_id]

    def _end_all(self) -> None:
        """End every connection, as nobody hears any more whether its session was ended."""
        for session_id, connections in list(self._by_session.items()):
            for watched in connections:
                if not watched._is_stopped:
                    self._end(watched, "expired")
            self._forget_stopped(session_id, connections)

    def _end(self, watched: Watched, reason: Reason) -> None:
        reason = self._settle(watched, reason)
        watched._is_stopped = True
        try:
            watched._on_end(reason)
        except BaseException:
            logger.exception("a connection that had to end could not be told")


def _session_of(news: str | Watched) -> str:
    return news if isinstance(news, str) else news.session_id
