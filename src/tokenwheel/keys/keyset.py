"""The keys of one service: one signs and all verify.

So a key can be replaced without logging anyone out.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from types import MethodType
from typing import Any, NoReturn

from ..errors import ConfigurationError, InvalidArgument
from ..exact import is_instance, named, text_of
from ..hidden import clears_locals
from .checks import check_bool
from .formats import read_json_object
from .key import Key

__all__ = ["KeySet"]

_SHARED_WITHOUT_KID = (
    "a shared secret has no kid of its own: give all but one of them a kid, as in "
    "Key.from_secret(secret, kid='2030-01')"
)


class KeySet:
    """Keys by their ``kid``, which at most one of them may lack.

    A set can be changed while it is in use: managers follow at once. To replace a key, ``add`` the
    new one everywhere, then ``sign_with`` it, and ``remove`` the old one once its last token has
    expired.

    Args:
        keys: one or more.
        signing: the kid of the key that signs; by default the first key that can. With public keys
            only, none does.

    Raises:
        ConfigurationError: no key, two keys with one kid, or a ``signing`` that names no key that
            can sign.
    """

    __slots__ = ("__weakref__", "_by_kid", "_lock", "_signing", "_subscribers")

    @clears_locals
    def __init__(self, *keys: Key, signing: str | None = None) -> None:
        for key in keys:
            if not is_instance(key, Key):
                raise ConfigurationError(f"keys must be one or more Key, not {named(key)}")
        if not keys:
            raise ConfigurationError("keys must be one or more Key")
        self._lock = threading.RLock()
        self._by_kid = {key.kid: key for key in keys}
        self._subscribers: list[Callable[[], Callable[[], None] | None]] = []
        if len(self._by_kid) < len(keys):
            lacking = sum(key.kid is None for key in keys)
            raise ConfigurationError(
                "keys must have a kid of their own each; at most one may have none"
                f"{'; ' + _SHARED_WITHOUT_KID if lacking > 1 else ''}"
            )
        if signing is None:
            self._signing = next((key for key in keys if key.can_sign), None)
        else:
            chosen = self._by_kid.get(text_of(signing) or "")
            self._signing = chosen if chosen is not None and chosen.can_sign else None
            if self._signing is None:
                raise ConfigurationError("signing must be the kid of a key that can sign")

    @classmethod
    @clears_locals
    def from_secret(
        cls, secret: str | bytes, algorithm: str = "HS256", *, kid: str | None = None
    ) -> KeySet:
        """Return a set of one shared secret. The arguments are those of :meth:`Key.from_secret`."""
        return cls(Key.from_secret(secret, algorithm, kid=kid))

    @classmethod
    @clears_locals
    def from_pem(
        cls,
        pem: str | bytes,
        algorithm: str,
        *,
        kid: str | None = None,
        password: str | bytes | None = None,
    ) -> KeySet:
        """Return a set of one key in PEM form. The arguments are those of :meth:`Key.from_pem`."""
        return cls(Key.from_pem(pem, algorithm, kid=kid, password=password))

    @classmethod
    @clears_locals
    def from_jwk(
        cls,
        jwk: Mapping[str, Any] | str | bytes,
        algorithm: str | None = None,
        *,
        kid: str | None = None,
    ) -> KeySet:
        """Return a set of one JSON Web Key. The arguments are those of :meth:`Key.from_jwk`."""
        return cls(Key.from_jwk(jwk, algorithm, kid=kid))

    @classmethod
    @clears_locals
    def from_jwks(
        cls, jwks: Mapping[str, Any] | str | bytes, *, signing: str | None = None
    ) -> KeySet:
        """Return the keys of a JSON Web Key Set (RFC 7517, section 5).

        Args:
            jwks: the JSON object, as a mapping or as its text. Each of its keys has an ``alg``.
            signing: the kid of the key that signs; by default the first key that can.

        Raises:
            ConfigurationError: no JWK Set, or keys that cannot be used or not together.
        """
        members = read_json_object(jwks, "jwks").get("keys")
        if type(members) is not list:
            raise ConfigurationError("jwks must have a member 'keys' that is an array")
        return cls(*(Key.from_jwk(member) for member in members), signing=signing)

    @property
    def signing(self) -> Key | None:
        """The key that signs, or None where all keys are public."""
        return self._signing

    @clears_locals
    def add(self, key: Key, *, sign: bool = False) -> None:
        """Verify by this key too from now on.

        Args:
            key: the key.
            sign: True to sign with it from now on as well.

        Raises:
            InvalidArgument: not a Key, a kid that the set has already, or a key that is to sign and
                cannot; or a ``sign`` that is no ``bool``.
        """
        if not is_instance(key, Key):
            raise InvalidArgument(f"key must be a Key, not {named(key)}")
        check_bool("sign", sign)
        with self._lock:
            if key.kid is None and None in self._by_kid:
                raise InvalidArgument(
                    f"the set has a key without kid already; {_SHARED_WITHOUT_KID}"
                )
            if key.kid in self._by_kid:
                raise InvalidArgument("the set has a key with this kid already")
            if sign and not key.can_sign:
                raise InvalidArgument("a public key cannot sign")
            self._by_kid = {**self._by_kid, key.kid: key}
            if sign:
                self._signing = key
            self._announce()

    def sign_with(self, kid: str | None) -> None:
        """Sign with the key of this kid from now on.

        Raises:
            InvalidArgument: no such key, or one that cannot sign.
        """
        with self._lock:
            key = self._find(kid)
            if not key.can_sign:
                raise InvalidArgument("a public key cannot sign")
            self._signing = key
            self._announce()

    def remove(self, kid: str | None) -> None:
        """Refuse tokens signed by the key of this kid from now on.

        Raises:
            InvalidArgument: no such key, the one that signs, or the last one.
        """
        with self._lock:
            key = self._find(kid)
            if key is self._signing or len(self._by_kid) == 1:
                raise InvalidArgument("the key that signs, and the last one, cannot be removed")
            self._by_kid = {name: kept for name, kept in self._by_kid.items() if kept is not key}
            self._announce()

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """Return the public keys as a JSON Web Key Set, for others to verify by.

        Shared secrets are left out.
        """
        return {"keys": [key.to_jwk() for key in self if key._public is not None]}

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after each change of the set, which has then taken effect.

        What it raises leaves the call that changed the set, after every other one was called.

        The set holds it weakly: it is called as long as the function lives, or, for a bound method,
        the object it is bound to.

        Raises:
            InvalidArgument: it cannot be called, or not be held weakly.
        """
        if not callable(callback):
            raise InvalidArgument(
                f"callback must be a callable without arguments, not {named(callback)}"
            )
        try:
            reference: weakref.ref[Callable[[], None]] = (
                weakref.WeakMethod(callback)
                if type(callback) is MethodType
                else weakref.ref(callback)
            )
        except TypeError as error:
            raise InvalidArgument(
                "callback must be a function or a method of an object that can be held weakly, "
                f"not {named(callback)}"
            ) from error
        with self._lock:
            alive = [other for other in self._subscribers if other() is not None]
            self._subscribers = [*alive, reference]

    def _find(self, kid: str | None) -> Key:
        name = text_of(kid)
        key = None if name is None and kid is not None else self._by_kid.get(name)
        if key is None:
            raise InvalidArgument("kid must be that of a key of the set")
        return key

    def _announce(self) -> None:
        """Call every subscriber that is still alive.

        The caller holds the lock. So a change has reached the subscribers before it returns, and
        before another begins.
        """
        alive = [
            (reference, callback)
            for reference in self._subscribers
            if (callback := reference()) is not None
        ]
        self._subscribers = [reference for reference, _ in alive]
        with ExitStack() as stack:  # Whoever raises keeps nobody from being told.
            for _, callback in reversed(alive):
                stack.callback(callback)

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._by_kid.values()))

    def __len__(self) -> int:
        return len(self._by_kid)

    def __contains__(self, kid: object) -> bool:
        """Return True where the set has a key of this kid; of None, one that has none."""
        name = text_of(kid)
        return (name is not None or kid is None) and name in self._by_kid

    def __repr__(self) -> str:
        return f"<KeySet of {len(self)} keys>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a KeySet cannot be copied or pickled: keys do not belong where pickles go")
