"""Who is told what a manager does, how long it takes, and which requests a gate refuses.

This is what metrics and traces hook into (``tokenwheel.metrics``). Where nobody listens, a call of
a manager costs one look at an empty tuple. ``read`` is not told of at all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import GeneratorType, TracebackType
from typing import Any, NamedTuple, cast

from ..errors import TokenwheelError
from ..fork_safety import hold_lock_during_fork
from ..seconds import steady_time
from .revoking import Flow
from .steps import (
    Delete,
    Insert,
    KeepAccessLifetime,
    Read,
    ReadAll,
    Replace,
    Revoke,
    RevokeAndDelete,
    RevokeAndReplace,
    Step,
)

__all__ = ["Observer", "Observers", "StorageCall", "name_of"]

logger = logging.getLogger("tokenwheel")


class StorageCall(NamedTuple):
    """A call of the storage, or of the feed, within an operation of a manager."""

    name: str
    """The method: ``insert``, ``read``, ``read_all``, ``replace``, ``delete``,
    ``keep_access_lifetime``; or ``publish`` of the feed."""
    by: str
    """The class that carries it out, such as ``SqliteStorage``."""
    system: str | None = None
    """The kind of database it calls: the ``db_system`` of that object, or None where it has
    none."""


class Observer:
    """Is told what managers and gates do. Each method does nothing here, and may be overridden.

    What a method raises is logged, and disturbs nobody. They are called in the thread, or the task,
    of whoever calls the manager. No argument tells of a subject, a session, a token or an address.
    """

    def begin_operation(self, operation: str) -> Any:
        """Hear that a method of a manager begins. What is returned, ``end_operation`` is given.

        Args:
            operation: the method: ``create``, ``read_all``, ``update``, ``delete_one``,
                ``delete_all``, ``end``, ``restrict_one`` or ``restrict_all``.
        """
        return None

    def end_operation(self, begun: Any, operation: str, outcome: str, seconds: float) -> None:
        """Hear that a method of a manager has ended.

        Args:
            begun: what ``begin_operation`` returned.
            operation: the method.
            outcome: ``"ok"``, or the ``code`` of the error that it raised. ``"error"`` for an error
                that is not this library's, ``"cancelled"`` for a call that was cancelled.
            seconds: how long it took.
        """

    def begin_call(self, call: StorageCall) -> Any:
        """Hear that a call of the storage begins. What is returned, ``end_call`` is given."""
        return None

    def end_call(
        self,
        begun: Any,
        call: StorageCall,
        outcome: str,
        seconds: float,
        error: type[BaseException] | None,
    ) -> None:
        """Hear that a call of the storage has ended.

        Args:
            begun: what ``begin_call`` returned.
            call: the call.
            outcome: as :meth:`end_operation` is told it.
            seconds: how long it took.
            error: the class of what it raised, a client library's for example; None for nothing.
        """

    def refused(self, code: str, transport: str) -> None:
        """Hear that a gate has refused a request.

        Args:
            code: the error's ``code``.
            transport: how the request presented its token: ``"bearer"``, ``"cookie"``; or
                ``"none"`` where it presented none.
        """


class Observers:
    """The observers of one manager or one gate.

    Args:
        storage: the manager's storage.
        feed: the manager's feed, or None without one.
        timer: returns seconds that nobody sets.
    """

    __slots__ = ("__weakref__", "_feed", "_lock", "_storage", "all", "timer")

    def __init__(
        self,
        storage: object = None,
        feed: object = None,
        timer: Callable[[], float] = steady_time,
    ) -> None:
        self._storage = storage
        self._feed = feed
        self.timer = timer
        self._lock = threading.Lock()
        hold_lock_during_fork(self, "_lock")
        self.all: tuple[Observer, ...] = ()
        """Who is told. Empty where nobody is."""

    def add(self, observer: Observer) -> None:
        """Tell an observer from now on. Once only, though it is added again."""
        with self._lock:
            if not any(other is observer for other in self.all):
                self.all = (*self.all, observer)

    def remove(self, observer: Observer) -> None:
        """Tell an observer no more. Do nothing where it wasn't told."""
        with self._lock:
            self.all = tuple(other for other in self.all if other is not observer)

    def operation(self, operation: str) -> Observed:
        """Return a context in which a method of a manager runs."""
        return Observed(self, "operation", operation)

    def call(self, step: Step[Any]) -> Observed | None:
        """Return a context in which a step is carried out, or None where it calls no storage."""
        kind = type(step)
        if kind is Revoke:
            return None if self._feed is None else self._observed("publish", self._feed)
        name = _METHODS.get(kind)
        return None if name is None else self._observed(name, self._storage)

    def _observed(self, name: str, owner: object) -> Observed:
        # Asked for at each call: some know only once they are connected.
        system = getattr(owner, "db_system", None)
        known = system if isinstance(system, str) else None
        return Observed(self, "call", StorageCall(name, type(owner).__name__, known))

    def refused(self, error: TokenwheelError, transport: str) -> None:
        """Tell that a request was refused. Each error is told once, wherever it passes by."""
        marks = vars(error)
        if not self.all or marks.get("_is_told"):
            return
        marks["_is_told"] = True
        for observer in self.all:
            _tell(observer.refused, error.code, transport)


class Observed:
    """What observers are told of: begins when it is entered, and ends when it is left.

    Args:
        observers: who is told.
        kind: ``"operation"`` or ``"call"``.
        what: the operation, or the call.
    """

    __slots__ = ("_begun", "_kind", "_observers", "_started", "_what")

    def __init__(self, observers: Observers, kind: str, what: Any) -> None:
        self._observers = observers
        self._kind = kind
        self._what = what

    def __enter__(self) -> None:
        name = f"begin_{self._kind}"
        self._begun = [
            (observer, _tell(getattr(observer, name), self._what))
            for observer in self._observers.all
        ]
        self._started = self._observers.timer()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = self._observers.timer() - self._started
        outcome = _outcome_of(kind)
        for observer, begun in reversed(self._begun):
            if self._kind == "call":
                _tell(observer.end_call, begun, self._what, outcome, seconds, kind)
            else:
                _tell(observer.end_operation, begun, self._what, outcome, seconds)


_METHODS: dict[type[Step[Any]], str] = {
    Insert: "insert",
    Read: "read",
    ReadAll: "read_all",
    Replace: "replace",
    Delete: "delete",
    KeepAccessLifetime: "keep_access_lifetime",
    RevokeAndReplace: "replace",
    RevokeAndDelete: "delete",
}


def name_of(flow: Flow[Any]) -> str:
    """Return which method of a manager a flow is of. Both are called alike."""
    return cast("GeneratorType[Any, Any, Any]", flow).gi_code.co_name


def _outcome_of(kind: type[BaseException] | None) -> str:
    if kind is None:
        return "ok"
    if issubclass(kind, TokenwheelError):
        return kind.code
    return "error" if issubclass(kind, Exception) else "cancelled"


def _tell(method: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return method(*arguments)
    except Exception:
        logger.exception("an observer of sessions raised")
        return None
