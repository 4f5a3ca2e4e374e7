from collections.abc import Callable, Iterable
from typing import NoReturn, Self

from typing_extensions import Buffer, disjoint_base

__all__ = ["LARGEST_GENERATION", "LONGEST_LIFETIME", "RevocationTable"]

LONGEST_LIFETIME: int
"""The longest ``ttl`` that a revocation may have, in seconds: 100 years."""
LARGEST_GENERATION: int
"""The largest number of a generation that an access token may carry: 2**32 - 2."""

@disjoint_base
class RevocationTable:
    """The sessions whose access tokens are refused, each up to a generation and until a time.

    A session counts generations, and each of its access tokens carries the number of its own. To
    revoke is to refuse the generations below a number, or all of them. Several threads may use the
    table at once.

    Args:
        clock: returns Unix time in seconds, by default that of ``time.time`` as it stands at each
            call: freezegun and time-machine move it.
        before_lookup: called without arguments before each lookup, so that revocations made
            elsewhere can be taken in first, or None. What it raises, the lookup raises. See
            :meth:`watch`.
        timer: returns seconds that no one sets, by default the system's, which no test moves. By
            it the table knows a clock that was put ahead for a while, and forgets nothing
            meanwhile.

    Raises:
        ConfigurationError: an argument cannot be called, or this table has been made already.
    """

    @property
    def before_lookup(self) -> Callable[[], object] | None:
        """What is called before each lookup, so that news can be taken in first, or None."""

    @before_lookup.setter
    def before_lookup(self, call: Callable[[], object] | None) -> None: ...
    def watch(self, doorbell: Buffer | None) -> None:
        """Call ``before_lookup`` only when a doorbell has rung, instead of before each lookup.

        A doorbell is eight bytes of memory, shared with whoever rings it by changing them. The next
        lookup calls ``before_lookup`` in any case. After that, one calls it if the bytes have
        changed, or if they have been taken at their word for a second.

        Args:
            doorbell: a buffer of eight bytes, or None to call ``before_lookup`` before each lookup.

        Raises:
            ConfigurationError: ``doorbell`` is neither None nor a buffer of eight bytes.
        """

    def _take_news(self, now: float) -> None: ...
    def _observe(self, now: float) -> bool: ...
    def _report_to(self, report: Callable[[tuple[str, int | None]], object] | None) -> None: ...
    def __new__(cls, *arguments: object, **options: object) -> Self: ...
    def __init__(
        self,
        clock: Callable[[], float] = ...,
        before_lookup: Callable[[], object] | None = None,
        timer: Callable[[], float] = ...,
    ) -> None: ...
    @property
    def clock(self) -> Callable[[], float]:
        """The clock that the table was made with, which returns Unix time in seconds."""
    def revoke(self, session_id: str, ttl: float, *, before: int | None = None) -> None:
        """Refuse a session's access tokens for ``ttl`` seconds.

        If the session is revoked already, the higher ``before`` counts and the later end.

        Args:
            session_id: the session's id, 16 base64url characters.
            ttl: seconds, more than 0 and at most 100 years.
            before: the generations below this number are refused, from 1 to 2**32 - 2, or None for
                every generation.

        Raises:
            InvalidArgument: an argument cannot be used.
            MemoryError: there is no memory for another entry. Nothing was changed: no entry is ever
                dropped to make room.
        """

    def revoke_until(
        self, session_id: str, expires_at: float, *, before: int | None = None
    ) -> None:
        """Refuse a session's access tokens until a Unix time.

        A time that has passed already refuses nothing. If the session is revoked already, the
        higher ``before`` counts and the later end.

        Args:
            session_id: the session's id, 16 base64url characters.
            expires_at: Unix time in seconds, from 0 to 1e11.
            before: the generations below this number are refused, from 1 to 2**32 - 2, or None for
                every generation.

        Raises:
            InvalidArgument: an argument cannot be used.
            MemoryError: there is no memory for another entry. Nothing was changed: no entry is ever
                dropped to make room.
        """

    def revoke_each(self, revocations: Iterable[tuple[str, float, int | None]]) -> None:
        """Refuse the access tokens of several sessions, by one reading of the clock.

        Args:
            revocations: ``(session_id, expires_at, before)`` for each session. Its generations
                below ``before``, or all of them if that is None, are refused until the Unix time
                ``expires_at``, in seconds.

        Raises:
            InvalidArgument: a revocation cannot be used. Those before it have taken effect.
            MemoryError: there is no memory for another entry. The revocations before it have taken
                effect.
        """

    def is_revoked(self, session_id: str, generation: int = 0) -> bool:
        """Return True if a session's access tokens of ``generation`` are refused now.

        Args:
            session_id: the session's id, 16 base64url characters.
            generation: the number that the token carries, from 0 to 2**32 - 2.

        Raises:
            InvalidArgument: ``session_id`` or ``generation`` is not of that form.
        """

    def lowest_generation(self, session_id: str) -> int | None:
        """Return the lowest generation of a session whose access tokens are not refused now.

        Only what the table knows counts: ``before_lookup`` is not called.

        Args:
            session_id: the session's id, 16 base64url characters.

        Returns:
            The generation: 0 where none is refused. None where every generation is refused.

        Raises:
            InvalidArgument: ``session_id`` is not of that form.
        """

    def expire(self) -> int:
        """Forget revocations that are over. Return how many ended since the last call.

        One that is over is kept for as long as the clock may still be put back to before its end.
        """

    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int:
        """The memory that the table takes, in bytes. The pure implementation estimates it."""

    def __reduce__(self) -> NoReturn: ...
    def _check(self) -> None: ...
