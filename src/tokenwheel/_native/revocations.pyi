from collections.abc import Callable, Iterable
from typing import NoReturn

from typing_extensions import Buffer, disjoint_base

__all__ = ["LARGEST_GENERATION", "LONGEST_LIFETIME", "RevocationTable"]

LONGEST_LIFETIME: int
"""Seconds: 100 years."""
LARGEST_GENERATION: int

@disjoint_base
class RevocationTable:
    """Which sessions' access tokens are refused, and below which generation.

    Args:
        clock: returns Unix seconds.
        before_lookup: called before each lookup, so that news from elsewhere can be taken in first; see :meth:`watch`.
    """

    before_lookup: Callable[[], object] | None
    def watch(self, doorbell: Buffer | None) -> None:
        """Calls ``before_lookup`` only where these eight bytes have changed since, or a second has passed; None: before each lookup again.

        Raises:
            ConfigurationError: not a buffer of eight bytes.
        """

    def _take_news(self, now: float) -> None: ...
    def __init__(
        self, clock: Callable[[], float] = ..., before_lookup: Callable[[], object] | None = None
    ) -> None: ...
    @property
    def clock(self) -> Callable[[], float]: ...
    def revoke(self, session_id: str, ttl: float, *, before: int | None = None) -> None:
        """Refuses a session's generations below ``before``, or all of them, for ``ttl`` seconds.

        Where there is an entry already, the higher generation and the later end count.

        Args:
            session_id: 16 base64url characters.
            ttl: seconds, more than 0 and at most 100 years.
            before: 1 to 2**32 - 2, or None for every generation.

        Raises:
            InvalidArgument: an argument that cannot be used.
            MemoryError: no room; nothing was changed. No entry is ever dropped to make some.
        """

    def revoke_until(
        self, session_id: str, expires_at: float, *, before: int | None = None
    ) -> None:
        """The same until a Unix time. One that is past already refuses nothing.

        Raises:
            InvalidArgument, MemoryError: as :meth:`revoke`.
        """

    def revoke_each(self, revocations: Iterable[tuple[str, float, int | None]]) -> None:
        """The same for each ``(session_id, expires_at, before)`` of an iterable, all by one reading of the clock.

        Raises:
            InvalidArgument, MemoryError: as :meth:`revoke`; those before it were revoked.
        """

    def is_revoked(self, session_id: str, generation: int = 0) -> bool:
        """Whether access tokens of that generation of the session are refused now.

        Raises:
            InvalidArgument: a session id that is not 16 base64url characters, or a generation that is not an int from 0 to 2**32 - 2.
        """

    def expire(self) -> int:
        """Gives back the memory of every revocation that is over; how many there were."""

    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int:
        """How much memory the table takes, in bytes; the pure twin estimates."""

    def __reduce__(self) -> NoReturn: ...
    def _check(self) -> None: ...
