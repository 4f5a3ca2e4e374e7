"""The keys of one service: one signs and all verify.

So a key can be replaced without logging anyone out.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import MethodType
from typing import Any, NoReturn

from ..errors import ConfigurationError, InvalidArgument
from ..exact import is_instance, named, text_of
from ..fork_safety import renew_after_fork
from ..hidden import clears_locals
from ..seconds import wall_time
from .checks import check_algorithm, check_bool
from .forms.jwks import KeyList, ListedKey, read_jwks, tell_passed_over, write_jwks
from .forms.pem import parse_pems
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

    __slots__ = ("__weakref__", "_keys", "_lock", "_signing", "_subscribers")

    @clears_locals
    def __init__(self, *keys: Key, signing: str | None = None) -> None:
        for key in keys:
            if not is_instance(key, Key):
                raise ConfigurationError(f"keys must be one or more Key, not {named(key)}")
        if not keys:
            raise ConfigurationError("keys must be one or more Key")
        kids = {key.kid for key in keys}
        if len(kids) < len(keys):
            lacking = sum(key.kid is None for key in keys)
            raise ConfigurationError(
                "keys must have a kid of their own each; at most one may have none"
                f"{'; ' + _SHARED_WITHOUT_KID if lacking > 1 else ''}"
            )
        self._begin(keys, _signing_of(keys, signing))

    def _begin(self, keys: Sequence[Key], signing: Key | None) -> None:
        """Fill a new set. Several keys may have one kid, each for another algorithm."""
        self._subscribers: list[Callable[[], Callable[[], None] | None]] = []
        self._put(keys, signing)
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Begin anew in a child of a fork, where another thread of the parent may hold the lock."""
        self._lock = threading.RLock()

    def _put(self, keys: Sequence[Key], signing: Key | None) -> None:
        self._keys = tuple(keys)
        self._signing = signing

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
        """Return a set of all keys in a PEM text.

        Args:
            pem: the text. A private key, its public key and its certificate are one key.
            algorithm: what the keys are for.
            kid: the name of the key in a token's header, where there is one key; by default each
                has its thumbprint.
            password: what the text is encrypted with.

        Raises:
            ConfigurationError: :meth:`Key.from_pem` refuses it, or there are several keys for one
                kid.
        """
        parts = parse_pems(pem, check_algorithm(algorithm), password)
        if kid is not None and len(parts) > 1:
            raise ConfigurationError(
                f"pem holds {len(parts)} keys, and kid names one: leave it out, and each has its "
                "thumbprint"
            )
        return cls(*(Key._make(part, kid) for part in parts))

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
        cls,
        jwks: Mapping[str, Any] | str | bytes,
        *,
        signing: str | None = None,
        algorithms: Collection[str] | None = None,
    ) -> KeySet:
        """Return the keys of a JSON Web Key Set (RFC 7517, section 5).

        A key that cannot be used here, as one for encryption, is passed over, which is logged. One
        without ``alg`` is for what is usual for its kind and curve: RS256, ES256, ES384, ES512,
        ES256K, EdDSA or HS256. Several may have one kid where each is for another algorithm.

        Args:
            jwks: the JSON object, as a mapping or as its text.
            signing: the kid of the key that signs. By default it is the first key that can; where
                keys say from when they sign (``tokenwheel_signs_from``, in Unix seconds), the one
                that began last when the set is read. A :class:`KeyFile` follows these times.
            algorithms: the only algorithms that are taken; None for all. A key without ``alg`` is
                for the first of these that fits its kind.

        Raises:
            ConfigurationError: no JWK Set, one with no key that can be used, which says why for
                each, or arguments that do not fit it.
        """
        read = read_jwks(jwks, algorithms=algorithms)
        keys = [listed.key for listed in read.keys]
        begun = read.signing_at(wall_time())
        chosen = begun.key if signing is None and begun else _signing_of(keys, signing)
        tell_passed_over(read.passed_over, set())
        made = cls.__new__(cls)
        made._begin(keys, chosen)
        return made

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
            if key.kid in self:
                raise InvalidArgument(
                    f"the set has a key without kid already; {_SHARED_WITHOUT_KID}"
                    if key.kid is None
                    else "the set has a key with this kid already"
                )
            if sign and not key.can_sign:
                raise InvalidArgument("a public key cannot sign")
            self._put((*self._keys, key), key if sign else self._signing)
            self._announce()

    def sign_with(self, kid: str | None) -> None:
        """Sign with the key of this kid from now on.

        Raises:
            InvalidArgument: no such key, or one that cannot sign.
        """
        with self._lock:
            able = [key for key in self._find(kid) if key.can_sign]
            if not able:
                raise InvalidArgument("a public key cannot sign")
            self._put(self._keys, able[0])
            self._announce()

    def remove(self, kid: str | None) -> None:
        """Refuse tokens signed by the key of this kid from now on.

        Raises:
            InvalidArgument: no such key, the one that signs, or the last one.
        """
        with self._lock:
            gone = self._find(kid)
            if self._signing in gone or len(self._keys) == len(gone):
                raise InvalidArgument("the key that signs, and the last one, cannot be removed")
            self._put([key for key in self._keys if key not in gone], self._signing)
            self._announce()

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JSON Web Key Set, for others to verify by.

        Shared secrets are left out.
        """
        return write_jwks(KeyList(tuple(map(ListedKey, self))))

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

    def _find(self, kid: str | None) -> list[Key]:
        name = text_of(kid)
        found = [key for key in self._keys if key.kid == name]
        if not found or (name is None and kid is not None):
            raise InvalidArgument("kid must be that of a key of the set")
        return found

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
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, kid: object) -> bool:
        """Return True where the set has a key of this kid; of None, one that has none."""
        name = text_of(kid)
        return (name is not None or kid is None) and any(key.kid == name for key in self._keys)

    def __repr__(self) -> str:
        return f"<KeySet of {len(self)} keys>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a KeySet cannot be copied or pickled: keys do not belong where pickles go")


def _signing_of(keys: Sequence[Key], signing: object) -> Key | None:
    """Return the key that signs: that of a kid, or the first one that can.

    Raises:
        ConfigurationError: a kid was given, and no key that can sign has it.
    """
    able = [key for key in keys if key.can_sign]
    if signing is None:
        return able[0] if able else None
    kid = text_of(signing)
    for key in able:
        if kid is not None and key.kid == kid:
            return key
    if kid is not None and any(key.kid == kid for key in keys):
        raise ConfigurationError(
            "signing must be the kid of a key that can sign, and the key of that kid is public: "
            "hand over its private key"
        )
    raise ConfigurationError("signing must be the kid of a key that can sign")
