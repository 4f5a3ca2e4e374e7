"""Whether the file can be read, and what lookups do where it can't.

They are refused, or go on with what is known, as the user chose. Nothing here reads a file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf

from ..errors import StorageUnavailable

__all__ = ["Reachability"]

logger = logging.getLogger("tokenwheel")

_LOOKED_AGAIN_AFTER = 0.9  # seconds: a little less than a list goes without a look
_LONGEST_WAIT = 1.0  # seconds


class Reachability:
    """Judge lookups by whether the last look at the file succeeded.

    Args:
        timer: returns seconds that never run back.
        refuses: True to refuse lookups while the file can't be read, False to let them go by what
            is known.

    Attributes:
        reconnects: how often the file could be read again after a failure.
    """

    def __init__(self, timer: Callable[[], float], *, refuses: bool) -> None:
        self._timer = timer
        self._refuses = refuses
        self._is_failing = False
        self._look_again_at = -inf
        self.reconnects = 0

    def is_to_look(self) -> bool:
        """Return False where the file could not be read a moment ago, and lookups go on."""
        return self._timer() >= self._look_again_at

    @property
    def longest_wait(self) -> float | None:
        """For how many seconds a lookup may wait for the file; None for as long as it takes."""
        if self._refuses:
            return None
        return 0 if self._is_failing else _LONGEST_WAIT

    def take_failure(self, error: StorageUnavailable, *, began: float) -> None:
        """Take note that the file could not be read.

        Args:
            error: what was met.
            began: when the look began, by the timer. After a long one as much time goes by until
                the next, so that lookups do not spend it all on waiting.

        Raises:
            StorageUnavailable: the error, where lookups are refused.
        """
        if not self._is_failing:
            logger.warning(
                "the file of revocations cannot be read, so %s: %s",
                "every access token is refused"
                if self._refuses
                else "access tokens are judged by what is known",
                error,
            )
        self._is_failing = True
        if self._refuses:
            raise error
        now = self._timer()
        self._look_again_at = now + max(now - began, _LOOKED_AGAIN_AFTER)

    def take_success(self) -> None:
        """Take note that all that the file holds was taken in."""
        if self._is_failing:
            logger.warning("the file of revocations can be read again")
            self.reconnects += 1
        self._is_failing = False
        self._look_again_at = -inf
