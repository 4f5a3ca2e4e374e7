"""JSON Web Key Sets (RFC 7517, section 5), read and written.

Beside the keys a set may say three times, each in Unix seconds: of a key, when it was made
(``iat``) and from when it signs (``tokenwheel_signs_from``); of the set, when it was last changed
(``tokenwheel_updated_at``), by which an old copy is told from a new one. The latter two are members
of ours, which others pass over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from ...errors import ConfigurationError, InvalidArgument
from ...exact import items_of, members_of, number_of, text_of, text_or_bytes_of
from ...hidden import clears_locals
from ...seconds import FURTHEST
from ..checks import ALGORITHMS
from ..key import Key
from .jwk import read_json_object
from .jwk_algorithms import (
    ForSomethingElse,
    algorithm_of,
    check_algorithms,
    check_purpose,
    fitting_algorithms,
)
from .jwk_mistakes import no_key_set
from .known_keys import KnownKeys
from .passed_over import PassedOver, name_in_set, shown, tell_passed_over, told_together
from .private_parts import (
    PRIVATE_MEMBERS,
    PublicPart,
    has_secret_for_kid,
    public_part,
    with_private,
)

__all__ = [
    "KeyList",
    "ListedKey",
    "PassedOver",
    "read_jwks",
    "seconds_in",
    "tell_passed_over",
    "write_jwks",
]

_MOST_KEYS = 8192
_MOST_MEMBERS = 8192
# Of RSA keys that somebody else may have made up. The time that each takes goes by the cube of its
# length: some 500 keys of 2048 bits, 60 of 4096, 8 of 8192.
_MOST_RSA_WORK: Final = 512 * 2048**3
_KINDS: Final = frozenset({"EC", "OKP", "RSA", "oct"})
_MATERIAL: Final = PRIVATE_MEMBERS | {"kty", "crv", "x", "y", "n", "e", "k"}
_UNDERSTOOD: Final = _MATERIAL | {"use", "key_ops", "alg", "kid", "iat", "tokenwheel_signs_from"}


class ListedKey(NamedTuple):
    """A key of a set, and what the set says of it."""

    key: Key
    made_at: int | None = None
    """When it was made, in Unix seconds; None where nobody said."""
    signs_from: int | None = None
    """From when it signs, in Unix seconds; None where it may at once."""


class KeyList(NamedTuple):
    """What a JWK Set says."""

    keys: tuple[ListedKey, ...]
    updated_at: int | None = None
    """When the set was last changed, in Unix seconds; None where nobody said."""
    passed_over: tuple[PassedOver, ...] = ()

    def signing_at(self, now: float) -> ListedKey | None:
        """Return the key that signs at a moment, or None where all are public.

        It is the one that began last; of several that say nothing, the first. Where none may sign
        yet, it is the one that will begin first, since nobody could log in otherwise.

        Args:
            now: the moment in Unix seconds.
        """
        able = [listed for listed in self.keys if listed.key.can_sign]
        begun = [listed for listed in able if (listed.signs_from or 0) <= now]
        if begun:
            return max(begun, key=lambda listed: listed.signs_from or 0)
        return min(able, key=lambda listed: listed.signs_from or 0, default=None)


@clears_locals
def read_jwks(
    jwks: Mapping[str, Any] | str | bytes,
    *,
    algorithms: Collection[str] | None = None,
    only_public: bool = False,
    known: KnownKeys | None = None,
) -> KeyList:
    """Return what a JWK Set says. A key that cannot be used here is passed over.

    A key that stands in it twice is taken once; as a private and as a public key, that is the
    private one. Of two keys with the same kid and algorithm the first is taken.

    Args:
        jwks: the JSON object, as a mapping or as its text.
        algorithms: the algorithms that are taken; None for all. A key without ``alg`` is for the
            first of these that fits its kind.
        only_public: True where anybody can read the set, so that all but public keys are passed
            over.
        known: the keys of an older text of the set, which are not made anew.

    Raises:
        ConfigurationError: no JWK Set, or one with no key that can be used; or ``algorithms`` that
            are none.
    """
    taken_algorithms = check_algorithms(algorithms)
    members = _members_of_set(jwks)
    entries = items_of(members.get("keys"), _MOST_KEYS)
    if entries is None:
        raise ConfigurationError(
            no_key_set(members)
            or f"jwks must have a member 'keys' that is an array of at most {_MOST_KEYS} keys"
        )
    if not entries:
        raise ConfigurationError("jwks has no key: its member 'keys' is empty")
    understood = [*map(_understood, entries)]
    readable = with_private(understood) if only_public else None
    reading = _Reading(taken_algorithms, readable, known)
    for place, jwk in enumerate(understood, 1):
        reading.take(jwk, place)
    if not reading.taken:
        raise ConfigurationError(
            f"jwks has no key that can be used here. {told_together(reading.passed_over)}"
        )
    return KeyList(
        tuple(reading.taken.values()),
        seconds_in(members.get("tokenwheel_updated_at")),
        tuple(reading.passed_over),
    )


class _Reading:
    """The keys of a set that were taken so far, and those that were passed over."""

    def __init__(
        self,
        algorithms: tuple[str, ...] | None,
        readable: set[PublicPart] | None,
        known: KnownKeys | None,
    ) -> None:
        self._algorithms = algorithms
        self._known = known
        # Of a set that anybody can read, the public keys whose private part stands in it as well.
        self._readable = readable
        self._rsa_work = 0
        self.taken: dict[tuple[str | None, str], ListedKey] = {}
        self.passed_over: list[PassedOver] = []

    def take(self, jwk: dict[str, Any] | None, place: int) -> None:
        """Take a key of the set, or note why it is passed over."""
        kid = None if jwk is None or has_secret_for_kid(jwk) else jwk.get("kid")
        name = name_in_set(kid, place)
        try:
            if jwk is None:
                raise ConfigurationError("it is no JSON object")
            listed = self._listed(jwk)
            named_by = (listed.key.kid, listed.key.algorithm)
            known = self.taken.get(named_by)
            if known is not None and not _is_same(known.key, listed.key):
                raise ConfigurationError("another key of the set has its kid and its algorithm")
        except ConfigurationError as refusal:
            is_mistake = type(refusal) is not ForSomethingElse
            self.passed_over.append(PassedOver(name, str(refusal), is_mistake))
            return
        self.taken[named_by] = listed if known is None else _merged(known, listed)

    def _listed(self, jwk: dict[str, Any]) -> ListedKey:
        """Return a key, and what the set says of it.

        Raises:
            ConfigurationError: it cannot be used here.
        """
        algorithm = self._algorithm_of(jwk)
        if self._readable is not None and ("k" in jwk or not PRIVATE_MEMBERS.isdisjoint(jwk)):
            kind = "a shared secret" if "k" in jwk else "a private key"
            raise ConfigurationError(f"{kind}, which anybody can read there: make another")
        if self._readable is not None and algorithm[:2] in ("RS", "PS"):
            self._rsa_work += (len(text_of(jwk.get("n")) or "") * 6) ** 3  # 6 bits in a letter
            if self._rsa_work > _MOST_RSA_WORK:
                raise ConfigurationError("the set has more and longer RSA keys than are read")
        signs_from = None
        if "tokenwheel_signs_from" in jwk:
            signs_from = seconds_in(jwk["tokenwheel_signs_from"])
            if signs_from is None:
                raise ConfigurationError("its 'tokenwheel_signs_from' is no time in Unix seconds")
        make = Key.from_jwk if self._known is None else self._known.made_of
        key = make(jwk, algorithm)
        if self._readable and public_part(jwk) in self._readable:
            raise ConfigurationError("anybody can read its private part there: make another")
        return ListedKey(key, seconds_in(jwk.get("iat")), signs_from)

    def _algorithm_of(self, jwk: dict[str, Any]) -> str:
        """Return what a key of the set is for.

        Raises:
            ConfigurationError: it is for no signatures, or for none that can be verified here.
        """
        if "kty" not in jwk:
            raise ConfigurationError("it has no 'kty'")
        if text_of(jwk["kty"]) not in _KINDS:
            raise ConfigurationError(f"its 'kty' is {shown(jwk['kty'])}")
        check_purpose(jwk)
        if "alg" in jwk and text_of(jwk["alg"]) not in ALGORITHMS:
            raise ConfigurationError(f"its 'alg' is {shown(jwk['alg'])}")
        if not fitting_algorithms(jwk):
            raise ConfigurationError(f"its 'crv' is {shown(jwk.get('crv'))}")
        algorithm = algorithm_of(jwk, self._algorithms)
        if self._algorithms is not None and algorithm not in self._algorithms:
            raise ForSomethingElse(f"{algorithm} is none of the algorithms that are taken")
        return algorithm


def _members_of_set(jwks: object) -> dict[str, Any]:
    """Return the members of a JWK Set. What is in a mapping is the caller's own.

    Raises:
        ConfigurationError: it is no JSON object.
    """
    if text_or_bytes_of(jwks) is None:
        with suppress(InvalidArgument):
            return members_of(jwks, "jwks", _MOST_MEMBERS)
    text = text_of(jwks)
    return read_json_object(jwks if text is None else text.removeprefix("\ufeff"), "jwks")


def _understood(entry: object) -> dict[str, Any] | None:
    """Return what is understood of a key of a set, in plain types; None for no JSON object."""
    with suppress(InvalidArgument, ConfigurationError):
        members = members_of(entry, "a key", _MOST_MEMBERS)
        # Some libraries write the members that a key does not have as null.
        known = {
            name: value
            for name, value in members.items()
            if name in _UNDERSTOOD and (value is not None or name == "tokenwheel_signs_from")
        }
        return read_json_object(known, "a key")
    return None


def _is_same(first: Key, second: Key) -> bool:
    """Return True for the same shared secret, or two copies of the same pair or public key."""
    if first._public is None or second._public is None:
        return first._secret == second._secret
    return first.to_pem() == second.to_pem()


def _merged(first: ListedKey, second: ListedKey) -> ListedKey:
    """Return a key that stands in the set twice, as a private key if it is one of them."""
    more, other = (
        (second, first) if second.key.can_sign and not first.key.can_sign else (first, second)
    )
    return ListedKey(
        more.key,
        other.made_at if more.made_at is None else more.made_at,
        other.signs_from if more.signs_from is None else more.signs_from,
    )


def seconds_in(value: object) -> int | None:
    """Return a time in Unix seconds, or None for what is none. JSON may write it as 1e9."""
    number = number_of(value)
    if number is None or not 0 <= number <= FURTHEST or number != int(number):
        return None
    return int(number)


def write_jwks(keys: KeyList, *, private: bool = False) -> dict[str, Any]:
    """Return a set of keys as a JWK Set.

    Args:
        keys: the keys, and what is said of them.
        private: False for the public keys, without shared secrets; True for all of each key.
    """
    written = []
    for key, made_at, signs_from in keys.keys:
        if not private and key._public is None:
            continue
        jwk = key.to_jwk(private=private and key.can_sign)
        if made_at is not None:
            jwk["iat"] = made_at
        if signs_from is not None:
            jwk["tokenwheel_signs_from"] = signs_from
        written.append(jwk)
    updated = {} if keys.updated_at is None else {"tokenwheel_updated_at": keys.updated_at}
    return {"keys": written, **updated}
