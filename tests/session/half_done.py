"""Nodes of a service whose storage and feed fail when they are told to.

Each node has a manager, a revocation list and a feed of its own. All share one storage in memory
and one log of revocations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from tokenwheel import AccessTokenRevoked, MemoryStorage, Revocation, RevocationList

When = Literal["before", "after"]


class OutOfReach(Exception):
    """What a client would raise."""


class Faults:
    """Let the request with a number, counted from 0, fail before or after it takes effect."""

    def __init__(self) -> None:
        self.disarm()

    def arm(self, number: int, when: When, *, lasts: bool = False) -> None:
        """Let one request fail; or, where it lasts, each one from that on."""
        self._number, self._when, self._lasts = number, when, lasts
        self.requests = 0

    def disarm(self) -> None:
        self._number: int | None = None
        self.requests = 0

    def meet(self, request: Callable[[], Any]) -> Any:
        number, self.requests = self.requests, self.requests + 1
        fails = self._number is not None and (
            number == self._number or (self._lasts and number > self._number)
        )
        if fails and self._when == "before":
            raise OutOfReach
        answer = request()
        if fails:
            raise OutOfReach
        return answer


class Log:
    """What all nodes have published."""

    def __init__(self) -> None:
        self.revocations: list[Revocation] = []


class Feed:
    """Follows the log, and remembers nothing of what could not be published."""

    def __init__(self, log: Log, faults: Faults) -> None:
        self.log = log
        self._faults = faults
        self._position = 0
        self._apply: Callable[[Iterable[Revocation]], None]

    def start(self, apply: Callable[[Iterable[Revocation]], None]) -> None:
        self._apply = apply
        self.poll()

    def publish(self, revocations: Sequence[Revocation]) -> None:
        self._faults.meet(lambda: self.log.revocations.extend(revocations))

    def poll(self) -> None:
        news = self.log.revocations[self._position :]
        self._position += len(news)
        self._apply(news)

    def close(self) -> None: ...


class Storage:
    """A storage in memory; with ``at_once`` it publishes to the log in the same step."""

    def __init__(self, kept: MemoryStorage, faults: Faults, *, at_once: bool) -> None:
        self.kept = kept
        self._faults = faults
        self._at_once = at_once
        self.before_read: Callable[[], object] = lambda: None

    def publishes_to(self, feed: Any) -> bool:
        return self._at_once

    def insert(self, record: Any, limit: int | None, now: float) -> bool:
        return bool(self._faults.meet(lambda: self.kept.insert(record, limit, now)))

    def read(self, session_id: str, now: float) -> Any:
        self.before_read()
        return self._faults.meet(lambda: self.kept.read(session_id, now))

    def read_all(self, subject: str, now: float) -> Any:
        return self._faults.meet(lambda: self.kept.read_all(subject, now))

    def replace(self, record: Any, now: float, feed: Any = None, revocations: Any = ()) -> Any:
        def work() -> bool:
            is_replaced = self.kept.replace(record, now)
            if is_replaced and feed is not None:
                feed.log.revocations.extend(revocations)
            return is_replaced

        return self._faults.meet(work)

    def delete(self, records: Any, now: float, feed: Any = None, revocations: Any = ()) -> Any:
        def work() -> Sequence[str]:
            deleted = self.kept.delete(records, now)
            if feed is not None:
                feed.log.revocations.extend(r for r in revocations if r.session_id in deleted)
            return deleted

        return self._faults.meet(work)


class Node:
    """A process of the service.

    Args:
        make: makes the manager, from its options.
        kept: the storage that all nodes share.
        log: the log that all nodes share.
        clock: the node's clock.
        at_once: to change a session and to publish is one step.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        kept: MemoryStorage,
        log: Log,
        clock: Callable[[], float],
        *,
        at_once: bool = False,
    ) -> None:
        self.faults = Faults()
        self.revocations = RevocationList(Feed(log, self.faults), clock=clock)
        self.storage = Storage(kept, self.faults, at_once=at_once)
        self.manager = make(storage=self.storage, revocations=self.revocations, clock=clock)

    def accepts(self, token: str) -> bool:
        try:
            self.manager.read(token)
        except AccessTokenRevoked:
            return False
        return True
