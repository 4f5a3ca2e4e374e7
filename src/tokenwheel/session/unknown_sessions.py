"""How many sessions that no storage knows a subject may have refused.

A session that the storage has lost is revoked all the same: its access tokens may live. But anybody
who is logged in can make up ids. Each would fill a row of memory in every process, and of the log.
So a subject may name only so many within the time that such a revocation is kept. Beyond that the
call says so: nothing that lives is dropped, and nobody is told of a logout that did not happen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .._impl import ExpiringCache
from ..errors import InvalidArgument
from ..fork_safety import hold_lock_during_fork
from .arguments import LONGEST_LIFETIME

__all__ = ["MOST_OF_A_SUBJECT", "UnknownSessions"]

MOST_OF_A_SUBJECT = 100  # ids that live at once
_MOST_SUBJECTS = 4096  # that are counted at once, with at most 20 KB each
_SHORTEST_LIFETIME = 0.001  # seconds: the least that an ExpiringCache takes


class UnknownSessions:
    """Count the unknown sessions that each subject has had refused in this process.

    Args:
        clock: returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        hold_lock_during_fork(self, "_lock")
        self._ends_by_subject: ExpiringCache[str, dict[str, float]] = ExpiringCache(
            _MOST_SUBJECTS, clock=clock
        )

    def admit(
        self, subject: str, session_id: str, until: float, now: float, *, is_genuine: bool
    ) -> bool:
        """Count a session that is about to be refused, unless it was counted and still is.

        Args:
            subject: who names it.
            session_id: the session.
            until: Unix seconds, the end of its revocation.
            now: Unix seconds.
            is_genuine: there was such a session, so it may be one too many.

        Returns:
            False where it is refused already.

        Raises:
            InvalidArgument: the subject has named too many.
        """
        with self._lock:
            known = self._ends_by_subject.get(subject, {})
            ends = {other: end for other, end in known.items() if end > now}
            if session_id in ends:
                return False
            if len(ends) >= MOST_OF_A_SUBJECT and not is_genuine:
                raise InvalidArgument(
                    f"session_id names no session, and neither did {MOST_OF_A_SUBJECT} others of "
                    "this subject: nothing was revoked; sessions that exist can still be ended"
                )
            ends[session_id] = until
            lasting = min(max(max(ends.values()) - now, _SHORTEST_LIFETIME), LONGEST_LIFETIME)
            self._ends_by_subject.set(subject, ends, lasting)
            return True
