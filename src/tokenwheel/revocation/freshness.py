"""How fresh a node's knowledge of a log is, and whether lookups may rely on it.

A node that is cut off from the server hears of no revocation. It then goes on with what it knows,
or refuses every token, as the user chose. Nothing here connects or reads: ``tail.py`` reports what
becomes of the connection, and the reader of the log up to when nothing was missed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from math import inf

from ..errors import StorageUnavailable
from .log_protocol import LogReader
from .stats import FeedStats

__all__ = ["Freshness"]

logger = logging.getLogger("tokenwheel")

# Seconds: a node that is connected hears at least so often that there is no news, and then some.
_LONGEST_SILENCE = 5.0


class Freshness:
    """Measure how long ago a node was sure to have missed nothing, and judge lookups by it.

    Args:
        reader: what the node knows of the log.
        timer: returns seconds that never run back; the one that the reader uses.
        max_staleness: seconds after which the node counts as stale.
        refuses: True to refuse lookups of a stale node, False to let them go by what is known.
    """

    def __init__(
        self,
        reader: LogReader,
        timer: Callable[[], float],
        max_staleness: float,
        *,
        refuses: bool,
    ) -> None:
        self._reader = reader
        self._timer = timer
        self._max_staleness = max_staleness
        self._refuses = refuses
        self._is_cut_off = False
        self._has_complained = False
        self._reconnects = 0
        self._doorbell = memoryview(bytearray(8))
        self._number = self._doorbell.cast("Q")

    @property
    def doorbell(self) -> memoryview | None:
        """Eight bytes that change when the node is cut off, and when it is back.

        None where the node may have to refuse soon: each lookup then has to ask.
        """
        may_refuse_soon = self._refuses and self.staleness >= self._max_staleness / 2
        return None if may_refuse_soon else self._doorbell

    def follow(self, reader: LogReader) -> None:
        """Go by another reader, which reads the log from its start."""
        self._reader = reader

    def tell_nobody_listens(self, reason: str) -> None:
        """Say once that nobody reads the log; it is said that somebody does again."""
        if not self._has_complained:
            logger.warning("nobody listens to the feed of revocations: %s", reason)
        self._has_complained = True

    def check(self) -> None:
        """Refuse a lookup of a stale node, where the user chose that.

        Raises:
            StorageUnavailable: the node was cut off for longer than ``max_staleness``.
        """
        if self._refuses and self.staleness > self._max_staleness:
            raise StorageUnavailable(
                f"no revocations were heard for more than the {self._max_staleness:g} seconds of "
                "max_staleness, so every access token is refused until the feed is back"
            )

    def report(self, error: Exception | None) -> None:
        """Take note of what has become of the connection, and ring the doorbell.

        A lookup has to know, since it may have to be refused.

        Args:
            error: what broke the connection; None where all that the log holds was taken in.
        """
        self._is_cut_off = error is not None
        if error is None:
            if self._has_complained:
                logger.warning("the feed of revocations is connected again")
            self._has_complained = False
        else:
            self._reconnects += 1
            if not self._has_complained:
                logger.warning(
                    "the feed of revocations is cut off (%s), and tries to connect anew",
                    type(error).__name__,
                )
            self._has_complained = True
        self._ring()

    def stop(self) -> None:
        """Take note that nobody reads the log now, and ring the doorbell.

        The next connection is a first one, and counts as no reconnect.
        """
        self._is_cut_off = False
        self._ring()

    def stats(self) -> FeedStats:
        """Return how far the node has read the log."""
        reader = self._reader
        return FeedStats(
            lag=inf if self._is_cut_off or self.staleness > _LONGEST_SILENCE else reader.lag,
            staleness=self.staleness,
            reconnects=self._reconnects,
            entries=reader.entries,
            skipped=reader.skipped,
            replays=reader.replays,
            last_id=reader.last_id,
        )

    @property
    def staleness(self) -> float:
        """Seconds since the node was last sure to have missed nothing."""
        return max(self._timer() - self._reader.fresh_at, 0)

    def _ring(self) -> None:
        # One that was never there before: two threads that count up at once could ring as one.
        self._number[0] = int.from_bytes(os.urandom(8), "little")
