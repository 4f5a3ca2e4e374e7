"""One connection that is watched: what it was admitted with, and whether that still holds.

Who looks after all of them, and when, is in ``watch.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from .._impl import Claims
from ..conformance import is_coroutine_function
from ..errors import InvalidArgument
from ..session.arguments import check_identity, shown_token

if TYPE_CHECKING:
    from .watch import Watches

__all__ = ["NOT_SIGNED_IN", "Reason", "Watched"]

NOT_SIGNED_IN: Final = 4401
"""The code with which a WebSocket is closed whose client is not, or no longer, signed in.

It is 401 among the codes for applications (RFC 6455, section 7.4.2).
"""

Reason = Literal["revoked", "expired"]

_NOT_READ = "claims must be what read returned, so that it is known when the connection ends"


class Watched:
    """One connection, of which somebody is told when it has to end.

    Made by :meth:`Watches.watch`. All methods may be called from any thread.

    Attributes:
        subject: whose connection it is.
        session_id: the session it belongs to.
    """

    __slots__ = (
        "_ended",
        "_expires_at",
        "_generation",
        "_is_stopped",
        "_on_end",
        "_watches",
        "session_id",
        "subject",
    )

    def __init__(
        self, watches: Watches, claims: Claims, on_end: Callable[[Reason], object]
    ) -> None:
        shown = shown_token(claims)
        if shown is None:
            raise InvalidArgument(_NOT_READ)
        self.subject, self.session_id = check_identity(claims)
        if not callable(on_end) or is_coroutine_function(on_end):
            raise InvalidArgument(
                "on_end must be a callable that takes the reason, and not async: "
                "a thread calls it, which awaits nothing"
            )
        self._generation, self._expires_at = shown
        self._on_end = on_end
        self._watches = watches
        self._ended: Reason | None = None
        self._is_stopped = False

    @property
    def ended(self) -> Reason | None:
        """Why the connection has to end, or None where it may go on.

        ``"revoked"``: its session was ended or restricted. ``"expired"``: the last access token
        that was admitted has expired, or the manager was closed, which hears of no logout any more.
        It is looked up, so nothing later than a ``read`` would refuse is missed. Once there is a
        reason it stays, and is told to ``on_end``. After :meth:`stop` nothing is looked up.
        """
        if self._ended is None and not self._is_stopped:
            self._watches._look_now(self)
        return self._ended

    def admit(self, access_token: str | bytes) -> Claims:
        """Verify a newer access token of the same session, and go on until that expires.

        A connection that has ended stays so.

        Args:
            access_token: the JWT that the client got by a refresh.

        Returns:
            Its claims.

        Raises:
            InvalidArgument: the token is of another session or another subject.
            InvalidAccessToken: it is not good, has expired or was revoked. The connection goes on
                for as long as it would have.
            StorageUnavailable: this process cannot tell whether the token was revoked.
        """
        try:
            claims = self._watches.manager.read(access_token)
        finally:
            del access_token  # No error shows it.
        if (claims.subject, claims.session_id) != (self.subject, self.session_id):
            raise InvalidArgument(
                "access_token must be of the session that has opened the connection"
            )
        shown = shown_token(claims)
        if shown is None:
            raise InvalidArgument(_NOT_READ)
        with self._watches._lock:  # Another thread may admit an older token at the same time.
            # First the generation: an end that moves on its own shows nothing that is revoked.
            self._generation = max(self._generation, shown.generation)
            self._expires_at = max(self._expires_at, shown.expires_at)
        return claims

    def stop(self) -> None:
        """Watch the connection no more, as it is over. Can be called again.

        The thread may be calling ``on_end`` just then.
        """
        self._is_stopped = True

    def _reason(self, lowest: int | None, now: float) -> Reason | None:
        """Return why the connection has to end.

        Args:
            lowest: the lowest generation of its session that is not refused, None for none.
            now: Unix seconds by the manager's clock.
        """
        if self._ended is not None:
            return self._ended
        if lowest is None or self._generation < lowest:
            return "revoked"
        return "expired" if self._expires_at <= now else None
