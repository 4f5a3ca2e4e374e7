"""The clocks of two nodes, seen to differ by more than the leeway: said once, in the log.

Tokens that one node has just issued are then refused by another, and nothing else tells an operator
why. What is seen is a date in what a node of this service has made, never that of a forgery.
"""

from __future__ import annotations

import logging

__all__ = ["ClocksApart"]

logger = logging.getLogger("tokenwheel")


class ClocksApart:
    """Says, once, that another node's clock is ahead of this one's.

    Args:
        leeway: seconds by which clocks may differ.
    """

    __slots__ = ("_is_told", "_leeway")

    def __init__(self, leeway: float) -> None:
        self._leeway = leeway
        self._is_told = False

    def see(self, dated: float, now: float) -> None:
        """Log it, the first time that a date lies ahead by more than the leeway.

        Args:
            dated: when, by the clock of the node that made it, something was made; Unix seconds.
            now: Unix seconds by this node's clock.
        """
        if dated - now > self._leeway and not self._is_told:
            self._is_told = True
            logger.warning(
                "another node's clock is about %.1f seconds ahead of this one's, and leeway is %g: "
                "fresh access tokens are refused. Keep all clocks in step by NTP, or give every "
                "manager a larger leeway. (This is said once.)",
                dated - now,
                self._leeway,
            )
