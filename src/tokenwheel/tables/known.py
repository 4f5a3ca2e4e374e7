"""What a process knows of a log, what the log may lack of that, and what it waits to hear.

Each process remembers every revocation that lives, ``MESSAGE_BYTES`` each. A log that was restored
from a backup may lack some of them. Then they are lost until they are heard from it again, or put
back. A revocation that this process published may be lost before any process heard it. So it is
expected until it is heard. What stays away for two looks is overdue, and is published again.

Nothing here reads or writes the log.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

from ..fork_safety import hold_lock_during_fork
from ..revocation.heard import HeardRevocations

__all__ = ["KnownRevocations"]


class KnownRevocations:
    """Hold messages: heard, lost, sent and overdue. Other threads may say what they send."""

    def __init__(self) -> None:
        self._heard = HeardRevocations()
        # What was heard of logs that were restored or replaced, until it is put back.
        self._lost: list[HeardRevocations] = []
        # Meanwhile: what the log holds now, whoever put it there.
        self._in_log: set[bytes] = set()
        # What this process published since the last look, and what before, until it is heard.
        self._sent: set[bytes] = set()
        self._overdue: set[bytes] = set()
        # Held to change these two: other threads publish.
        self._expecting = threading.Lock()
        hold_lock_during_fork(self, "_expecting")

    def successor(self) -> KnownRevocations:
        """Return what takes the place of this where the log is read anew by somebody else."""
        known = KnownRevocations()
        known._lost = [*self._lost, self._heard]
        with self._expecting:
            known._overdue = self._overdue | self._sent
        return known

    def begin_anew(self) -> None:
        """Count as lost all that was heard: the log is read from its start."""
        self._lost.append(self._heard)
        self._heard = HeardRevocations()
        self._in_log.clear()

    def expect(self, messages: Iterable[bytes]) -> None:
        """Wait to hear what this process publishes."""
        with self._expecting:
            self._sent.update(messages)

    def expect_no_more(self, messages: Iterable[bytes]) -> None:
        """Take back :meth:`expect`."""
        messages = set(messages)
        with self._expecting:
            self._sent -= messages
            self._overdue -= messages

    def hear(self, messages: Collection[bytes], ends: Iterable[float]) -> None:
        """Take note of what the log holds.

        Args:
            messages: the new ones.
            ends: when the revocation of each is over, in Unix seconds.
        """
        for message, expires_at in zip(messages, ends, strict=True):
            self._heard.add(message, expires_at)
        if self._lost:
            self._in_log.update(messages)
        self.expect_no_more(messages)

    def forget(self, now: float) -> None:
        """Forget what is over, by a clock that is surely not ahead."""
        self._heard.forget(now)

    def is_in_log(self, message: bytes) -> bool:
        """Return True if this was heard since there are lost messages."""
        return message in self._in_log

    @property
    def has_lost(self) -> bool:
        """True until what was heard of lost logs is put back."""
        return bool(self._lost)

    def lost(self) -> tuple[int, set[bytes]]:
        """Return how many logs were lost, and the messages of these that the log now lacks."""
        lost = list(self._lost)
        return len(lost), {message for heard in lost for message in heard} - self._in_log

    def have_put_back(self, logs: int) -> None:
        """Forget what the first so many lost logs held. What was lost since then stays."""
        del self._lost[:logs]
        if not self._lost:
            self._in_log.clear()

    def overdue(self) -> set[bytes]:
        """Return the messages that two looks did not bring."""
        with self._expecting:
            return set(self._overdue)

    def is_overdue(self, message: bytes) -> bool:
        """Return True if two looks did not bring this, nor one after them."""
        with self._expecting:
            return message in self._overdue

    def end_look(self, sent_again: Iterable[bytes]) -> None:
        """Count what was sent as overdue from now on.

        Args:
            sent_again: what was overdue until now.
        """
        with self._expecting:
            self._overdue.difference_update(sent_again)
            self._overdue |= self._sent
            self._sent.clear()
