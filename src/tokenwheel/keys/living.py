"""Key sets that follow something outside the process: a file, or a URL.

Managers look at such a set at most once a second while they verify, and each time they sign. So
nothing has to run in the background for a set to be found too old, or whoever fetches it to have
died. Nothing here reads a file or a URL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from ..errors import ConfigurationError, InvalidArgument
from ..hidden import clears_locals
from .key import Key
from .keyset import KeySet

__all__ = ["LivingKeySet"]


class LivingKeySet(KeySet):
    """A key set that is changed by what it follows, and by nobody else."""

    __slots__ = ()
    _follows = "something else"  # as a message calls it
    waits = False
    """``close`` may wait, so that an event loop has it called from a worker thread."""

    def look(self) -> None:
        """See to it that the keys are followed, and that they may be relied on. Never wait.

        Raises:
            StorageUnavailable: there are no keys yet, or they are too old.
        """
        raise NotImplementedError

    def miss(self) -> None:
        """Take note that a token names a key which the set has not. Never wait.

        Raises:
            StorageUnavailable: there are no keys yet, or they are too old.
        """
        raise NotImplementedError

    def start(self) -> None:
        """Fetch the keys for the first time, if that was not done yet. Whatever fails is logged."""

    async def start_async(self) -> None:
        """Fetch the keys for the first time, on an event loop, which goes on meanwhile.

        If that was done before, do nothing. Whatever fails is logged.
        """

    def close(self) -> Any:
        """Stop following. Can be called again.

        Returns:
            None, or an awaitable of it.
        """

    @classmethod
    @clears_locals
    def from_jwks(cls, *arguments: object, **options: object) -> NoReturn:
        """Refuse: such a set is made of what it follows.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            f"a {cls.__name__} follows {cls._follows}: KeySet.from_jwks reads a set once"
        )

    def add(self, key: Key, *, sign: bool = False) -> NoReturn:
        """Refuse: the set is what it follows.

        Raises:
            InvalidArgument: always.
        """
        self._refuse()

    def sign_with(self, kid: str | None) -> NoReturn:
        """Refuse: the set is what it follows.

        Raises:
            InvalidArgument: always.
        """
        self._refuse()

    def remove(self, kid: str | None) -> NoReturn:
        """Refuse: the set is what it follows.

        Raises:
            InvalidArgument: always.
        """
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise InvalidArgument(f"this key set follows {self._follows}: change that instead")

    @clears_locals
    def _take(self, keys: Sequence[Key], signing: Key | None) -> None:
        """Verify by these keys from now on, and sign by that one. Subscribers are told of changes.

        A key that the set has already stays the object that it is, so that nothing is forgotten of
        tokens where no key has left or come.

        Args:
            keys: all the keys; none of them makes a set that refuses every token.
            signing: the one of them that signs, or None.
        """
        with self._lock:
            had = {_parts_of(key): key for key in self._keys}
            kept = [had.get(_parts_of(key), key) for key in keys]
            signer = None if signing is None else had.get(_parts_of(signing), signing)
            if tuple(kept) == self._keys and signer is self._signing:
                return
            self._put(kept, signer)
            self._announce()


def _parts_of(key: Key) -> frozenset[tuple[str, Any]]:
    """Return all that a key consists of, to be compared."""
    return frozenset(key.to_jwk(private=key.can_sign).items())
