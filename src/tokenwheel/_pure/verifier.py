"""Verifies access tokens: PyJWT for the signature, behind and before the checks that are tokenwheel's own.

The readable twin of ``ext/verifier.pyx``. The order of checks is: shape and size, header, signature, claims, time, revocation. No byte of
the payload is parsed before its signature was verified (RFC 8725, section 3.1). The algorithm comes from the key, never from
the token (RFC 8725, 3.1); ``typ`` keeps other JWTs of the same issuer out (RFC 8725, 3.11; RFC 9068, section 4).

A token that verified is remembered, under its whole text. What can change is checked on every read: time, audience and revocation.
Nothing in here issues a token or knows a session's storage.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, Protocol

import jwt
import orjson
from jwt.algorithms import Algorithm

from ..errors import (
    AccessTokenExpired,
    AccessTokenNotYetValid,
    AccessTokenRevoked,
    InvalidAccessToken,
    InvalidArgument,
)
from ..fork_safety import hold_lock_during_fork
from .revocations import RevocationTable
from .tokens import decode, is_canonical

__all__ = ["MAX_NESTING", "MAX_TOKEN_LENGTH", "Claims", "Verifier"]

MAX_TOKEN_LENGTH = 8192  # bytes, 8 KiB
MAX_NESTING = 32  # levels of JSON objects and arrays, the claims themselves being the first
CACHE_BYTES = 67_108_864  # 64 MiB
_LARGEST_DATE = 2**53  # seconds; larger numbers lose whole seconds on their way through JSON
_LARGEST_GENERATION = 2**32 - 2
_LONGEST_SUBJECT = 255
_TOKEN_TYPE = "at+jwt"
_REMEMBERED_OVERHEAD = 576  # bytes: the claims' objects beside their text, which counts twice
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{16}")


class _VerificationKey(Protocol):
    """What the verifier needs of a key: see :class:`tokenwheel.Key`."""

    @property
    def kid(self) -> str | None: ...

    @property
    def algorithm(self) -> str: ...

    @property
    def _secret(self) -> bytes | None: ...

    def verify(self, message: bytes, signature: bytes, /) -> bool: ...


class Claims(Mapping[str, Any]):
    """The claims of a verified access token: a mapping that nobody can change.

    A value that is an object or an array is handed out as a copy, so that what one caller does to it reaches no other.
    ``Claims(mapping)`` makes one of claims that were not verified here, for an application's own tests; it needs ``sub``, ``sid``, ``iat``
    and ``exp``.
    """

    __slots__ = ("_claims",)
    _claims: dict[str, Any]

    def __init__(self, claims: Mapping[str, Any]) -> None:
        if hasattr(self, "_claims"):
            raise AttributeError("Claims cannot be changed; to_dict() gives a copy that can")
        copied = {name: _copy(value) for name, value in claims.items()}
        for name, kind in (
            ("sub", str),
            ("sid", str),
            ("iat", (int, float)),
            ("exp", (int, float)),
        ):
            if not isinstance(copied.get(name), kind):
                raise InvalidArgument(
                    f"claims must have {name!r}, of the type it has in an access token"
                )
        object.__setattr__(self, "_claims", copied)

    @classmethod
    def _adopt(cls, claims: dict[str, Any]) -> Claims:
        """Claims around a dict that nobody else holds."""
        made = cls.__new__(cls)
        object.__setattr__(made, "_claims", claims)
        return made

    @property
    def subject(self) -> str:
        """``sub``: the user or account."""
        subject: str = self._claims["sub"]
        return subject

    @property
    def session_id(self) -> str:
        """``sid``: the public id of the session."""
        session_id: str = self._claims["sid"]
        return session_id

    @property
    def issued_at(self) -> int:
        """``iat`` in Unix seconds."""
        return int(self._claims["iat"])

    @property
    def expires_at(self) -> int:
        """``exp`` in Unix seconds."""
        return int(self._claims["exp"])

    def to_dict(self) -> dict[str, Any]:
        """A private copy, nested values included, that may be changed."""
        return {name: _copy(value) for name, value in self._claims.items()}

    def __getitem__(self, name: str) -> Any:
        return _copy(self._claims[name])

    def __contains__(self, name: object) -> bool:
        return name in self._claims

    def __iter__(self) -> Iterator[str]:
        return iter(self._claims)

    def __len__(self) -> int:
        return len(self._claims)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mapping):
            return self.to_dict() == dict(
                other
            )  # A copy, since what stands in the other may be asked to compare itself.
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Claims of session {self.session_id!r}>"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("Claims cannot be changed; to_dict() gives a copy that can")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("Claims cannot be changed; to_dict() gives a copy that can")

    def __copy__(self) -> Claims:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Claims:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("Claims cannot be pickled; to_dict() gives a dict that can")


class _Remembered:
    """A token whose signature and claims were found good, with what must be checked at each read."""

    __slots__ = (
        "asked_for", "audience", "claims", "cost", "expires_at", "generation", "has_accepted_audience", "session_id", "starts_at",
    )  # fmt: skip

    def __init__(
        self,
        claims: Claims,
        starts_at: float,
        expires_at: float,
        session_id: str,
        generation: int,
        audience: tuple[str, ...],
        has_accepted_audience: bool,
        cost: int,
    ) -> None:
        self.claims = claims
        self.starts_at = starts_at
        self.expires_at = expires_at
        self.session_id = session_id
        self.generation = generation
        self.audience = audience
        self.has_accepted_audience = has_accepted_audience
        self.cost = cost
        self.asked_for = False  # since it last came to the front of the queue


class _KeyAlgorithm(Algorithm):
    """Lets PyJWT's JWS verify with a key that knows its own algorithm."""

    def prepare_key(self, key: Any) -> Any:
        return key

    def sign(self, msg: bytes, key: Any) -> NoReturn:
        raise NotImplementedError("a verifier signs nothing")

    def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
        verified: bool = key.verify(msg, sig)
        return verified

    @staticmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> NoReturn:
        raise NotImplementedError("a verifier gives out no keys")

    @staticmethod
    def from_jwk(jwk: Any) -> NoReturn:
        raise NotImplementedError("a verifier takes in no keys")


class Verifier:
    """Verifies the access tokens of one issuer, and remembers those that verified.

    Args:
        keys: the keys by which a token may be signed, at most one of them without a ``kid``.
        issuer: what ``iss`` must be.
        audience: ``aud`` must hold one of these.
        leeway: seconds tolerated on ``exp``, ``nbf`` and ``iat``.
        largest_leeway: the most that a single call may ask for, in seconds.
        cache_size: how many tokens are remembered; 0 for none.
        cache_bytes: how much memory they may take, as estimated from their length.
        clock: returns Unix seconds.
        revocations: asked at every read.
    """

    __slots__ = (
        "__weakref__",
        "_audience",
        "_cache_bytes",
        "_cache_size",
        "_cached_bytes",
        "_clock",
        "_issuer",
        "_jws",
        "_keys",
        "_largest_leeway",
        "_leeway",
        "_lock",
        "_remembered",
        "_revocations",
        "_shares_clock",
    )  # fmt: skip

    def __init__(
        self,
        keys: Sequence[_VerificationKey],
        *,
        issuer: str,
        audience: tuple[str, ...],
        leeway: float,
        largest_leeway: float,
        cache_size: int,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float],
        revocations: RevocationTable,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway
        self._largest_leeway = largest_leeway
        self._clock = clock
        self._revocations = revocations
        self._shares_clock = revocations.clock is clock
        self._remembered: OrderedDict[str, _Remembered] = (
            OrderedDict()
        )  # a queue: second chance, as in the compiled twin
        self._cache_size = cache_size
        self._cache_bytes = cache_bytes
        self._cached_bytes = 0
        self._lock = threading.Lock()
        hold_lock_during_fork(self, "_lock")
        self.set_keys(keys)

    def __repr__(self) -> str:
        return f"<Verifier with {len(self._keys)} keys, {len(self._remembered)} tokens remembered>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Verifier cannot be copied or pickled")

    @property
    def remembered(self) -> int:
        """How many tokens are remembered."""
        return len(self._remembered)

    @property
    def remembered_bytes(self) -> int:
        """How much memory they are estimated to take."""
        return self._cached_bytes

    def set_keys(self, keys: Sequence[_VerificationKey]) -> None:
        """Verifies by these keys from now on, and forgets every token that verified by others."""
        jws = jwt.PyJWS(algorithms=[])
        for algorithm in {key.algorithm for key in keys}:
            jws.register_algorithm(algorithm, _KeyAlgorithm())
        with self._lock:
            self._jws = jws
            self._keys = {key.kid: key for key in keys}
            self._remembered.clear()
            self._cached_bytes = 0

    def verify(
        self,
        access_token: str,
        *,
        audience: str | Sequence[str] | None = None,
        leeway: float | None = None,
    ) -> Claims:
        """The claims of an access token that is good now. See :meth:`tokenwheel.SessionManager.read`."""
        leeway = self._leeway if leeway is None else _check_leeway(leeway, self._largest_leeway)
        if type(access_token) is not str:
            if not isinstance(access_token, str):
                raise InvalidAccessToken("an access token is a str")
            access_token = str.__str__(access_token)
        known = self._remembered.get(access_token)
        if known is None:
            known = self._verify_unseen(access_token)
        else:
            known.asked_for = True
        if audience is None:
            accepted = known.has_accepted_audience
        else:
            accepted = not set(_check_audience(audience)).isdisjoint(known.audience)
        if not accepted:
            raise InvalidAccessToken("the access token is for another audience")
        now = self._clock()
        if not now - leeway < known.expires_at:
            raise AccessTokenExpired("the access token has expired")
        if known.starts_at > now + leeway:
            raise AccessTokenNotYetValid("the access token is not valid yet")
        if self._revocations._refuses(
            known.session_id, known.generation, now if self._shares_clock else None
        ):
            raise AccessTokenRevoked("the access token has been revoked")
        return known.claims

    def _remember(
        self, token: str, known: _Remembered, keys: dict[str | None, _VerificationKey]
    ) -> None:
        """Remembers a token, unless the keys have changed since it was verified by ``keys``."""
        with self._lock:
            if (
                self._keys is not keys
                or token in self._remembered
                or not self._cache_size
                or known.cost > self._cache_bytes
            ):
                return
            while (
                len(self._remembered) >= self._cache_size
                or self._cached_bytes + known.cost > self._cache_bytes
            ):
                self._drop_one()
            self._remembered[token] = known
            self._cached_bytes += known.cost

    def _drop_one(self) -> None:
        """Drops the first token that nobody asked for since it last came to the front; those asked for go to the end of the queue."""
        while True:
            token, known = self._remembered.popitem(last=False)
            if not known.asked_for:
                self._cached_bytes -= known.cost
                return
            known.asked_for = False
            self._remembered[token] = known

    def _verify_unseen(self, token: str) -> _Remembered:
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidAccessToken(f"an access token has at most {MAX_TOKEN_LENGTH} bytes")
        keys, jws = self._keys, self._jws
        key = _key_for(token, keys)
        payload = None
        try:
            payload = jws.decode(token, key, algorithms=[key.algorithm])  # type: ignore[arg-type]
        except jwt.PyJWTError:
            pass  # raised below, so that the error carries nothing of the token along as its context
        if payload is None:
            raise InvalidAccessToken("the access token's signature is not by a key of this service")
        known = self._check_claims(payload, len(token))
        self._remember(token, known, keys)
        return known

    def _check_claims(self, payload: bytes, length: int) -> _Remembered:
        claims = _parse_object(payload)
        if claims is None:
            raise InvalidAccessToken(
                "the access token's claims are not one well-formed JSON object"
            )
        if claims.get("iss") != self._issuer:
            raise InvalidAccessToken("the access token is of another issuer")
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        if (
            not isinstance(audiences, list)
            or not all(isinstance(one, str) and one for one in audiences)
            or not audiences
        ):
            raise InvalidAccessToken("the access token's 'aud' is missing or malformed")
        subject = claims.get("sub")
        if (
            not isinstance(subject, str)
            or not 0 < len(subject) <= _LONGEST_SUBJECT
            or "\0" in subject
        ):
            raise InvalidAccessToken("the access token's 'sub' is missing or malformed")
        session_id = claims.get("sid")
        if not isinstance(session_id, str) or not _SESSION_ID.fullmatch(session_id):
            raise InvalidAccessToken("the access token's 'sid' is missing or malformed")
        generation = claims.get("gen", 0)
        if type(generation) is not int or not 0 <= generation <= _LARGEST_GENERATION:
            raise InvalidAccessToken("the access token's 'gen' is malformed")
        if not isinstance(claims.get("jti", ""), str):
            raise InvalidAccessToken("the access token's 'jti' is malformed")
        expires_at = int(_date(claims, "exp"))
        issued_at = _date(claims, "iat")
        not_before = _date(claims, "nbf") if "nbf" in claims else 0
        return _Remembered(
            Claims._adopt(claims),
            max(issued_at, not_before),
            expires_at,
            session_id,
            generation,
            tuple(audiences),
            not set(audiences).isdisjoint(self._audience),
            length + 2 * len(payload) + _REMEMBERED_OVERHEAD,
        )


def _key_for(token: str, keys: Mapping[str | None, _VerificationKey]) -> _VerificationKey:
    """The key a token names, after checks of the token's shape and header alone (RFC 7515, sections 4.1 and 5.2)."""
    parts = token.split(".", 3)
    if len(parts) != 3:
        raise InvalidAccessToken("an access token has three parts")
    if not all(part and is_canonical(part) for part in parts):
        raise InvalidAccessToken("the access token is not canonical base64url")
    header = _parse_object(decode(parts[0]))
    if header is None:
        raise InvalidAccessToken("the access token's header is not one well-formed JSON object")
    kid = header.get("kid")
    key = keys.get(kid) if isinstance(kid, str) or "kid" not in header else None
    if key is None:
        raise InvalidAccessToken("the access token names no key of this service")
    if header.get("alg") != key.algorithm:
        raise InvalidAccessToken("the access token's 'alg' is not that of its key")
    if header.get("typ") != _TOKEN_TYPE:
        raise InvalidAccessToken(
            "the token was not issued as an access token: its 'typ' is another"
        )
    if "crit" in header or "b64" in header:
        raise InvalidAccessToken("the access token demands an extension this service does not know")
    return key


def _parse_object(text: bytes) -> dict[str, Any] | None:
    """A JSON object without duplicate names or unreasonable nesting; None where it is anything else."""
    try:
        parsed = orjson.loads(text)
    except ValueError:
        return None
    if type(parsed) is not dict:
        return None
    members = _count_members(parsed, 1)
    # Strings can hold colons, so there may be more than members; that there are no more settles it without a look at the strings.
    if members < 0 or (
        members != text.count(b":") and members != _STRING.sub(b"", text).count(b":")
    ):
        return None
    return parsed


def _count_members(value: Any, depth: int) -> int:
    """How many members the objects in a parsed value have in all; -1 where they are nested too deeply.

    A text with more than these had a name twice in one object: its later value would have hidden the earlier one.
    """
    if depth > MAX_NESTING:
        return -1
    members = 0
    if type(value) is dict:
        members = len(value)
        value = value.values()
    for item in value:
        if type(item) is dict or type(item) is list:
            found = _count_members(item, depth + 1)
            if found < 0:
                return -1
            members += found
    return members


def _date(claims: Mapping[str, Any], name: str) -> int | float:
    """A NumericDate (RFC 7519, section 2) of sensible size."""
    date = claims.get(name)
    if (type(date) is not int and type(date) is not float) or not 0 <= date <= _LARGEST_DATE:
        raise InvalidAccessToken(f"the access token's {name!r} is missing or malformed")
    return date


def _copy(value: Any) -> Any:
    if type(value) is dict:
        return {name: _copy(item) for name, item in value.items()}
    if type(value) is list:
        return [_copy(item) for item in value]
    return value


def _check_leeway(leeway: object, largest: float) -> float:
    if (
        isinstance(leeway, bool)
        or not isinstance(leeway, int | float)
        or not 0 <= leeway <= largest
    ):
        raise InvalidArgument(f"leeway must be a number of seconds from 0 to {largest:g}")
    return leeway


def _check_audience(audience: object) -> tuple[str, ...]:
    several = (
        (audience,)
        if isinstance(audience, str)
        else tuple(audience)
        if isinstance(audience, Sequence)
        else ()
    )
    if (
        not several
        or not all(isinstance(one, str) and one for one in several)
        or isinstance(audience, bytes)
    ):
        raise InvalidArgument("audience must be a non-empty str or a non-empty sequence of such")
    return several
