"""What a block that watches its connection shares, be it awaited or not."""

from __future__ import annotations

from typing import ClassVar

from .._impl import Claims
from ..errors import InvalidArgument
from .watch import Watches
from .watched import Reason, Watched

__all__ = ["WatchedBlock"]


class WatchedBlock:
    """A connection that is watched while a block or a stream lasts; for one of them only.

    Args:
        watches: those of the gate.
        claims: what the connection was admitted with.
    """

    _statement: ClassVar[str]
    """What begins the block, for errors."""

    def __init__(self, watches: Watches, claims: Claims) -> None:
        self._watches = watches
        self._claims = claims
        self._watched: Watched | None = None
        self._is_left = False

    @property
    def ended(self) -> Reason | None:
        """Why the connection has to end, ``"revoked"`` or ``"expired"``; None where it may go on.

        It is looked up each time, as ``read`` would.
        """
        return None if self._watched is None else self._watched.ended

    def admit(self, access_token: str | bytes) -> Claims:
        """Verify a newer access token of the same session, and go on until that expires.

        A client that refreshes while it is connected sends its new access token.

        Returns:
            The claims of the token.

        Raises:
            InvalidArgument: the token is of another session; or this is not within the block.
            InvalidAccessToken: it is not good, has expired or was revoked. The connection goes on
                for as long as it would have.
            StorageUnavailable: this process cannot tell whether the token was revoked.
        """
        try:
            if self._watched is None:
                raise InvalidArgument(f"admit is for use within {self._statement!r} of the watch")
            return self._watched.admit(access_token)
        finally:
            del access_token  # No error shows it.

    def _check_unused(self) -> None:
        if self._watched is not None:
            raise InvalidArgument("a watch is for one block: make another one")

    def _goes_on(self) -> bool:
        return not self._is_left and self.ended is None
