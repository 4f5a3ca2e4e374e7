"""What happened, as values, and who is told.

An event is delivered after what it tells of has taken effect. It holds nothing secret.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from types import BuiltinMethodType, MethodType, MethodWrapperType
from typing import Any, Literal

from .fork_safety import hold_lock_during_fork
from .models import Session

__all__ = [
    "AllSessionsInvalidated",
    "Event",
    "InvalidationReason",
    "Listener",
    "Listeners",
    "RefreshTokenReuse",
    "RemovalReason",
    "SessionCreated",
    "SessionEvent",
    "SessionInvalidated",
    "SessionRefreshed",
]

InvalidationReason = Literal["deleted", "evicted", "reused"]

logger = logging.getLogger("tokenwheel")


class RemovalReason(enum.Enum):
    """Why an entry left an :class:`~tokenwheel.ExpiringCache`."""

    EXPIRED = "expired"
    """Its lifetime was over."""
    DELETED = "deleted"
    """It was deleted, popped or cleared."""
    REPLACED = "replaced"
    """Its key was set again."""
    EVICTED = "evicted"
    """``maxsize`` was reached, and of all entries this one was to expire soonest."""


class SessionEvent(enum.Enum):
    """What a listener can subscribe to."""

    SESSION_CREATED = "session_created"
    SESSION_REFRESHED = "session_refreshed"
    SESSION_INVALIDATED = "session_invalidated"
    ALL_SESSIONS_INVALIDATED = "all_sessions_invalidated"
    REFRESH_TOKEN_REUSED = "refresh_token_reused"


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """A session was opened."""

    session: Session


@dataclass(frozen=True, slots=True)
class SessionRefreshed:
    """A session got a fresh access token."""

    session: Session
    retried: bool = False
    """The refresh token was the one before the current, which may be retried within its grace.

    An answer got lost, or two tabs refreshed at once.
    """


@dataclass(frozen=True, slots=True)
class SessionInvalidated:
    """A session was ended before its time."""

    session: Session
    reason: InvalidationReason = "deleted"
    """``"deleted"`` by ``delete_one`` or ``end``, ``"evicted"`` since its subject had
    ``max_sessions``, ``"reused"`` since a refresh token that had been replaced was used again."""


@dataclass(frozen=True, slots=True)
class AllSessionsInvalidated:
    """Every session of a subject was ended, but for the one that was to be kept."""

    subject: str
    sessions: tuple[Session, ...]
    """Those that were ended."""
    kept: str | None = None
    """The id of the session that lives on, or None where none was to, or there was none of it."""


@dataclass(frozen=True, slots=True)
class RefreshTokenReuse:
    """A refresh token came back after its grace (RFC 9700, section 4.14.2).

    The session has been ended.
    """

    session: Session


Event = (
    SessionCreated
    | SessionRefreshed
    | SessionInvalidated
    | AllSessionsInvalidated
    | RefreshTokenReuse
)
Listener = Callable[[Any], Any]

_SUBSCRIPTIONS: dict[type[Any], SessionEvent] = {
    SessionCreated: SessionEvent.SESSION_CREATED,
    SessionRefreshed: SessionEvent.SESSION_REFRESHED,
    SessionInvalidated: SessionEvent.SESSION_INVALIDATED,
    AllSessionsInvalidated: SessionEvent.ALL_SESSIONS_INVALIDATED,
    RefreshTokenReuse: SessionEvent.REFRESH_TOKEN_REUSED,
}

# Two of these are equal where they are bound to the very same object: no code of its runs.
_BOUND_IN_C = (BuiltinMethodType, MethodWrapperType)


class Listeners:
    """The listeners of each kind of event.

    Whoever subscribes while an event is being delivered hears of the next one.
    """

    __slots__ = ("__weakref__", "_by_event", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held while they change, and not to look who listens
        hold_lock_during_fork(self, "_lock")
        # Only kinds of events that somebody listens to.
        self._by_event: dict[SessionEvent, tuple[Listener, ...]] = {}

    def add(self, event: SessionEvent, listener: Listener) -> None:
        """Tell a listener of events of this kind."""
        with self._lock:
            self._by_event[event] = (*self._by_event.get(event, ()), listener)

    def remove(self, event: SessionEvent, listener: Listener) -> None:
        """Tell a listener no more. Do nothing where it wasn't told of events of this kind."""
        with self._lock:
            # It lives until the lock is free again: to let go of a listener may run its code.
            listeners = self._by_event.get(event, ())
            remaining = tuple(other for other in listeners if not _is_same(other, listener))
            if remaining:
                self._by_event[event] = remaining
            else:
                self._by_event.pop(event, None)

    def want(self, event: SessionEvent) -> bool:
        """Return True where anybody listens, since an event that nobody hears need not be made."""
        return bool(self._by_event) and event in self._by_event

    def of(self, event: Event) -> tuple[SessionEvent, list[tuple[Listener, Event]]]:
        """Return an event's kind, and who listens to it, each with an event of its own.

        What one listener does to the extra fields of a device reaches no other.
        """
        subscription = _SUBSCRIPTIONS[type(event)]
        listeners = self._by_event.get(subscription, ())
        if len(listeners) > 1 and _has_device(event):
            return subscription, [(listener, deepcopy(event)) for listener in listeners]
        return subscription, [(listener, event) for listener in listeners]


def _is_same(subscribed: Any, listener: Any) -> bool:
    """Return True for the very same listener, whatever it says that it is equal to.

    A bound method is made anew each time it is looked up. It is the same where the function is, and
    the object that it is bound to.
    """
    if subscribed is listener:
        return True
    kind = type(listener)
    if type(subscribed) is not kind:
        return False
    if kind is MethodType:
        return subscribed.__self__ is listener.__self__ and subscribed.__func__ is listener.__func__
    return kind in _BOUND_IN_C and bool(subscribed == listener)


def _has_device(event: Event) -> bool:
    """Return True where an event holds something that its receiver could change."""
    sessions = event.sessions if isinstance(event, AllSessionsInvalidated) else (event.session,)
    return any(session.device is not None for session in sessions)
