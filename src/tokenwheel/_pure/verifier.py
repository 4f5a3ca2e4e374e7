"""Verifies access tokens: the readable twin of ``verifier.pyx``.

A key checks the signature, with ``hmac`` or ``cryptography``. Before and behind it stand the checks
that are tokenwheel's own. Nothing here issues a token or knows a session's storage.

The order of checks is: shape and size, header, signature, claims, audience, time, revocation. No
byte of the payload is parsed before its signature was verified. The algorithm comes from the key,
never from the token (RFC 8725, section 3.1). The header's ``typ`` keeps other JWTs of the same
issuer out (RFC 8725, section 3.11; RFC 9068, section 4).

A token that verified is remembered, under its whole text. What can change is checked on every read:
audience, time and revocation.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from math import inf
from traceback import clear_frames
from typing import NoReturn, Protocol, Self

from ..clocks_apart import ClocksApart
from ..errors import (
    AccessTokenExpired,
    AccessTokenNotYetValid,
    AccessTokenRevoked,
    ConfigurationError,
    InvalidAccessToken,
    InvalidArgument,
    TokenwheelError,
)
from ..exact import as_given, bytes_of, is_instance, text_of, texts_of, type_name_of
from ..fork_safety import hold_lock_during_fork
from ..json_text import loads
from ..seconds import FURTHEST, checked_clock, duration_of, number_of, reading, wall_time
from ..wrapping import wrapping_of
from .claim_values import (
    audiences_in,
    check_subject,
    check_token_id,
    date_in,
    generation_in,
    session_id_in,
)
from .claims import Claims
from .header_fields import find_token, is_b64token
from .json_object import parse_object
from .revocations import RevocationTable
from .tokens import decode_canonical, encode, is_canonical

__all__ = ["MAX_TOKEN_LENGTH", "Claims", "Verifier"]

MAX_TOKEN_LENGTH = 8192  # bytes, 8 KiB
CACHE_BYTES = 67_108_864  # 64 MiB
LARGEST_CACHE = 2**31 - 1  # tokens
LARGEST_CACHE_BYTES = 2**62
# Seconds between two looks. What a source puts off a little counts within one second all the same.
_LOOK_AFTER_KEYS = 0.9
_LONGEST_LEEWAY = 3_155_760_000  # seconds: 100 years of 365.25 days
_TOKEN_TYPE = "at+jwt"
_REMEMBERED_OVERHEAD = 576  # bytes: the claims' objects beside their text, which counts twice


class _VerificationKey(Protocol):
    """What the verifier needs of a key: see :class:`tokenwheel.Key`."""

    @property
    def kid(self) -> str | None: ...

    @property
    def algorithm(self) -> str: ...

    @property
    def _secret(self) -> bytes | None: ...

    def verify(self, message: bytes, signature: bytes, /) -> bool: ...


class _KeySource(Protocol):
    """What keys come from, where they change by themselves: see ``tokenwheel.keys.living``."""

    def look(self) -> None: ...

    def miss(self) -> None: ...


class _VerifiedToken:
    """A token whose signature and claims are good, with what must be checked at each read."""

    __slots__ = (
        "asked_for",
        "audience",
        "claims",
        "cost",
        "expires_at",
        "generation",
        "has_accepted_audience",
        "session_id",
        "starts_at",
    )

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


class _Memory:
    """Some keys, and the tokens that were verified by them. Other keys come with another memory."""

    __slots__ = ("bytes_held", "headers", "is_changing", "keys", "tokens")

    def __init__(self, keys: Sequence[_VerificationKey]) -> None:
        # One kid may be that of several keys, each for another algorithm.
        self.keys: dict[str | None, dict[str, _VerificationKey]] = {}
        # Headers as this service writes them, which need no parsing.
        self.headers: dict[str, _VerificationKey] = {}
        for key in keys:
            self.keys.setdefault(key.kid, {}).setdefault(key.algorithm, key)
            self.headers.setdefault(_header_for(key), key)
        # A queue that gives each token a second chance, as the compiled twin's does.
        self.tokens: OrderedDict[str, _VerifiedToken] = OrderedDict()
        self.bytes_held = 0
        self.is_changing = False

    def make_room(self) -> None:
        """Drop the first token that nobody asked for since it last came to the front.

        Tokens before it that were asked for go to the end of the queue.
        """
        while True:
            token, verified = self.tokens.popitem(last=False)
            if not verified.asked_for:
                self.bytes_held -= verified.cost
                return
            verified.asked_for = False
            self.tokens[token] = verified


class Verifier:
    """Verifies the access tokens of one issuer, and remembers those that verified.

    Args:
        keys: the keys that a token may be signed with, at most one of them without a ``kid``.
        issuer: what a token's ``iss`` must be.
        audience: the names of which a token's ``aud`` must hold at least one.
        leeway: seconds of tolerance on ``exp``, ``nbf`` and ``iat``, for clocks that differ.
        largest_leeway: the most seconds of leeway that a call of :meth:`verify` may ask for.
        cache_size: how many tokens are remembered at most, or 0 for none.
        cache_bytes: how much memory remembered tokens may take, as estimated from their length.
        clock: returns Unix time in seconds.
        revocations: the table of revoked sessions, which is asked about every token.
        key_source: what the keys come from, where they change by themselves. Its ``look`` is called
            before a token is verified, once in 0.9 seconds at most while it raises nothing; its
            ``miss`` where a token names a key that is not among them.

    Raises:
        ConfigurationError: an argument cannot be used, or this verifier has been made already.
    """

    __slots__ = (
        "__weakref__",
        "_audience",
        "_cache_bytes",
        "_cache_size",
        "_clock",
        "_clocks_apart",
        "_is_default_clock",
        "_is_made",
        "_issuer",
        "_key_source",
        "_largest_leeway",
        "_leeway",
        "_lock",
        "_looked_at",
        "_memory",
        "_revocations",
        "_shares_clock",
    )

    def __new__(cls, *arguments: object, **options: object) -> Self:
        self = super().__new__(cls)
        self._begin()
        return self

    def _begin(self) -> None:
        """Hold nothing, and refuse whatever is asked before ``__init__``."""
        self._is_made = False
        self._is_default_clock = True
        self._key_source: _KeySource | None = None
        self._memory = _Memory([])
        # A finalizer that the garbage collector runs may verify in the midst of a change.
        self._lock = threading.RLock()

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
        key_source: _KeySource | None = None,
    ) -> None:
        checked_issuer = _check_issuer(issuer)
        accepted = _check_accepted(audience)
        tolerated = _check_tolerance("leeway", leeway)
        most_tolerated = _check_tolerance("largest_leeway", largest_leeway)
        most = _check_size("cache_size", cache_size, LARGEST_CACHE)
        most_bytes = _check_size("cache_bytes", cache_bytes, LARGEST_CACHE_BYTES)
        their_clock = _check_table(clock, revocations)
        memory = _Memory(keys)
        if self._is_made:
            raise ConfigurationError("a Verifier can be constructed only once")
        self._is_made = True
        self._issuer = checked_issuer
        self._audience = accepted
        self._leeway = tolerated
        self._largest_leeway = most_tolerated
        self._clocks_apart = ClocksApart(tolerated)
        self._cache_size = most
        self._cache_bytes = most_bytes
        self._clock = checked_clock(clock)
        self._is_default_clock = clock is wall_time
        self._revocations = revocations
        self._shares_clock = their_clock is clock
        self._key_source = key_source
        self._looked_at = -inf  # by the clock; minus infinity where the last look has failed
        self._memory = memory
        hold_lock_during_fork(self, "_lock")

    def __repr__(self) -> str:
        memory = self._memory
        return f"<Verifier with {len(memory.headers)} keys, {len(memory.tokens)} tokens remembered>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Verifier cannot be copied or pickled")

    @property
    def clocks_apart(self) -> ClocksApart:
        """What is shown dates that other nodes have set, and says so where their clocks differ."""
        return self._clocks_apart

    @property
    def remembered(self) -> int:
        """The number of tokens that are remembered."""
        return len(self._memory.tokens)

    @property
    def remembered_bytes(self) -> int:
        """The memory that remembered tokens are estimated to take, in bytes."""
        return self._memory.bytes_held

    def set_keys(self, keys: Sequence[_VerificationKey]) -> None:
        """Verify by these keys from now on, and forget every remembered token.

        Args:
            keys: the keys that a token may be signed with, at most one of them without a ``kid``.
        """
        memory = _Memory(keys)
        self._check_made()
        self._memory = memory

    def _check_made(self) -> None:
        if not self._is_made:
            raise ConfigurationError("a Verifier must be constructed before it is used")

    def verify(
        self,
        access_token: str | bytes,
        *,
        audience: str | Sequence[str] | None = None,
        leeway: float | timedelta | None = None,
    ) -> Claims:
        """Return the claims of an access token that is valid now.

        Of a token that was verified before, only audience, time and revocation are checked again.

        Args:
            access_token: the token's text, or its octets.
            audience: the names of which the token's ``aud`` must hold at least one. If left out,
                those that the verifier was made with.
            leeway: seconds of tolerance on ``exp``, ``nbf`` and ``iat``, for clocks that differ. If
                left out, those that the verifier was made with.

        Raises:
            InvalidAccessToken: the token is malformed, not signed by a key of this service, of
                another issuer, or for another audience.
            AccessTokenExpired: the token has expired.
            AccessTokenNotYetValid: its ``nbf`` or ``iat`` lies in the future.
            AccessTokenRevoked: it has been revoked.
            InvalidArgument: ``audience`` or ``leeway`` cannot be used.
        """
        try:
            if leeway is not None:
                self._check_made()
                leeway = _check_leeway(leeway, self._largest_leeway)
            if self._is_default_clock:
                now = time.time()
                if type(now) is not float or not 0.0 < now < FURTHEST:
                    now = reading(now)
            else:
                now = self._clock()
            if self._key_source is not None and not 0 <= now - self._looked_at < _LOOK_AFTER_KEYS:
                self._look_after_keys(now, self._key_source)
            verified = self._memory.tokens.get(access_token) if type(access_token) is str else None
            if verified is None:
                verified = self._verify_text(access_token)
            else:
                verified.asked_for = True
            if audience is None:
                accepted = verified.has_accepted_audience
            else:
                accepted = not set(_check_audience(audience)).isdisjoint(verified.audience)
            if not accepted:
                raise InvalidAccessToken("the access token is for another audience")
            if not verified.starts_at <= now < verified.expires_at:
                self._check_times(verified, now, self._leeway if leeway is None else leeway)
            revocations = self._revocations
            # What nobody has revoked, and of which no news can come, takes no call.
            if (
                verified.session_id in revocations._entries
                or revocations._news is not None
                or not self._shares_clock
            ):
                by_table = now if self._shares_clock else revocations._now()
                if revocations._refuses(verified.session_id, verified.generation, by_table, now):
                    raise AccessTokenRevoked("the access token has been revoked")
            return verified.claims
        finally:
            del access_token  # No error shows it.

    def _look_after_keys(self, now: float, source: _KeySource) -> None:
        """Have the keys looked after. If that raises, so does every read until a look succeeds.

        After a look that succeeded, only the first to find it too old waits for the next one.
        Meanwhile others, and what reads in the midst of it, take the keys that are there.
        """
        succeeded = self._looked_at > -inf
        if succeeded:
            self._looked_at = now
        try:
            source.look()
        except BaseException:
            self._looked_at = -inf
            raise
        if not succeeded:
            self._looked_at = now

    def _check_times(self, verified: _VerifiedToken, now: float, leeway: float) -> None:
        """Check that a token is valid now, give or take the leeway."""
        if not now - leeway < verified.expires_at:
            raise AccessTokenExpired("the access token has expired")
        if verified.starts_at > now + leeway:
            self._clocks_apart.see(verified.claims._claims["iat"], now)
            raise AccessTokenNotYetValid("the access token is not valid yet")

    def _verify_text(self, access_token: object) -> _VerifiedToken:
        """Return what is remembered of a token, or verify it and remember it."""
        token = None
        try:
            self._check_made()
            token = text_of(access_token)
            if token is None:
                token = _text_in(access_token)
            if token is None:
                raise InvalidAccessToken(
                    f"an access token is a str or bytes, not {type_name_of(access_token)}"
                )
            memory = self._memory
            verified = memory.tokens.get(token)
            if verified is not None:
                verified.asked_for = True
                return verified
            try:
                return self._verify_unseen(token, memory)
            except BaseException as error:
                clear_frames(error.__traceback__)  # They have the token in their locals.
                raise
        finally:
            del token, access_token

    def verify_request(
        self, cookie: bytes | None, bearer: bool, method: object, fields: object
    ) -> Claims | None:
        """Return the claims of a request with plain header fields, or None.

        None says nothing: others have to look at the request, and to decide about it. So it is with
        a token in a cookie that is not good, which may be worth a refresh, or count as nobody's.

        Args:
            cookie: the name of the cookie that may hold the token, or None.
            bearer: whether ``Authorization`` is taken; it then decides alone where there is one.
            method: the request's method. A cookie counts for one that changes nothing, or where a
                page of the same origin has made the request.
            fields: the raw fields of ASGI, a list of tuples ``(name in lower case, value)``; or a
                dict, the environment of WSGI (PEP 3333).

        Raises:
            TokenwheelError: what ``verify`` raises for a bearer.
        """
        self._check_made()
        found = None
        try:
            found = find_token(fields, cookie, bearer, method)
            return None if found is None else self.verify(found.token)
        except TokenwheelError:
            if found is not None and found.is_bearer and is_b64token(found.token):
                raise
            return None
        finally:
            fields = found = None  # No error shows it.

    def _remember(self, token: str, verified: _VerifiedToken, memory: _Memory) -> None:
        """Remember a token beside the keys that verified it. It is lost once those have changed."""
        with self._lock:
            if (
                memory.is_changing
                or token in memory.tokens
                or not self._cache_size
                or verified.cost > self._cache_bytes
            ):
                return
            memory.is_changing = True
            try:
                while (
                    len(memory.tokens) >= self._cache_size
                    or memory.bytes_held + verified.cost > self._cache_bytes
                ):
                    memory.make_room()
                memory.tokens[token] = verified
                memory.bytes_held += verified.cost
            finally:
                memory.is_changing = False

    def _spare_counts(self, *objects: object) -> None:
        """Do nothing: see the compiled twin."""

    def _check(self) -> None:
        """Verify every invariant of the memory of verified tokens, for tests.

        Raises:
            AssertionError: with a sentence that says what is broken.
        """
        self._check_made()
        with self._lock:
            tokens = self._memory.tokens
            bytes_held = sum(verified.cost for verified in tokens.values())
            assert bytes_held == self._memory.bytes_held, "the memory has miscounted its bytes"
            assert len(tokens) <= self._cache_size, "more tokens are remembered than allowed"
            assert bytes_held <= self._cache_bytes, (
                "the tokens remembered take more bytes than allowed"
            )

    def _verify_unseen(self, token: str, memory: _Memory) -> _VerifiedToken:
        if not _is_bare(token):
            _check_shape(token)
        parts = token.split(".", 3)
        if len(parts) != 3:
            raise InvalidAccessToken("an access token has three parts")
        header, encoded, signature = parts
        key = memory.headers.get(header)
        if not (
            (key is not None or (header and is_canonical(header)))
            and (encoded and is_canonical(encoded))
            and (signature and is_canonical(signature))
        ):
            raise InvalidAccessToken("the access token is not canonical base64url")
        if key is None:
            key, has_kid = _key_for(header, memory.keys)
            if key is None and self._key_source is not None:
                self._key_source.miss()
                if self._memory is not memory:
                    memory = self._memory
                    key, has_kid = _key_for(header, memory.keys)
            if key is None:
                raise InvalidAccessToken(
                    "the access token's 'alg' is not that of its key"
                    if has_kid
                    else "the access token names no key of this service"
                )
        message = token[: -len(signature) - 1].encode()
        if not key.verify(message, decode_canonical(signature)):
            raise InvalidAccessToken("the access token's signature is not by a key of this service")
        verified = self._check_claims(decode_canonical(encoded), len(token))
        self._remember(token, verified, memory)
        return verified

    def _check_claims(self, payload: bytes, length: int) -> _VerifiedToken:
        claims = parse_object(payload, loads)
        if claims is None:
            raise InvalidAccessToken(
                "the access token's claims are not one well-formed JSON object"
            )
        if claims.get("iss") != self._issuer:
            raise InvalidAccessToken("the access token is of another issuer")
        audiences = audiences_in(claims)
        check_subject(claims)
        session_id = session_id_in(claims)
        generation = generation_in(claims)
        check_token_id(claims)
        expires_at = int(date_in(claims, "exp"))
        issued_at = date_in(claims, "iat")
        not_before = date_in(claims, "nbf") if "nbf" in claims else 0
        return _VerifiedToken(
            Claims._adopt(claims),
            # As floats, since these are compared with the clock at each read: exact up to 2**53.
            float(max(issued_at, not_before)),
            float(expires_at),
            session_id,
            generation,
            audiences,
            not set(audiences).isdisjoint(self._audience),
            length + 2 * len(payload) + _REMEMBERED_OVERHEAD,
        )


def _is_bare(token: str) -> bool:
    """Return True where nothing speaks against a token yet: its length, its characters, its ends.

    A header is a JSON object, whose base64url begins with ``e`` unless there are blanks in it. Of
    what is left around a token by mistake, all is below ``-``, and so is no base64url.
    """
    return (
        0 < len(token) <= MAX_TOKEN_LENGTH
        and token[0] == "e"
        and token[-1] >= "-"
        and token.isascii()
    )


def _check_shape(token: str) -> None:
    """Check that a text is not too long, has nothing around it and is ASCII."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidAccessToken(f"an access token has at most {MAX_TOKEN_LENGTH} bytes")
    wrapping = wrapping_of(token)
    if wrapping is not None:
        raise InvalidAccessToken(wrapping)
    if not token.isascii():
        raise InvalidAccessToken("the access token is not canonical base64url")


def _header_for(key: _VerificationKey) -> str:
    """Return the header of tokens that this service signs with a key, as it stands in them."""
    header = {"alg": key.algorithm, "typ": _TOKEN_TYPE}
    if key.kid is not None:
        header["kid"] = key.kid
    return encode(json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode())


def _key_for(
    encoded: str, keys: Mapping[str | None, Mapping[str, _VerificationKey]]
) -> tuple[_VerificationKey | None, bool]:
    """Return the key that a token's header names (RFC 7515, sections 4.1 and 5.2).

    Returns:
        The key, or None where there is none; and whether there is one of that kid.
    """
    header = parse_object(decode_canonical(encoded))
    if header is None:
        raise InvalidAccessToken("the access token's header is not one well-formed JSON object")
    kid = header.get("kid")
    named = keys.get(kid) if isinstance(kid, str) or "kid" not in header else None
    algorithm = header.get("alg")
    key = named.get(algorithm) if named is not None and isinstance(algorithm, str) else None
    if key is None:
        return None, named is not None
    if header.get("typ") != _TOKEN_TYPE:
        raise InvalidAccessToken(
            "the token was not issued as an access token: its 'typ' is another"
        )
    if "crit" in header or "b64" in header:
        raise InvalidAccessToken("the access token demands an extension this service does not know")
    return key, True


def _text_in(octets: object) -> str | None:
    """Return the text in octets, or None for what are none. What is not ASCII makes no good one."""
    plain = bytes_of(octets)
    if plain is None:
        return None
    return plain[: MAX_TOKEN_LENGTH + 1].decode("ascii", "surrogateescape")


def _check_leeway(leeway: object, largest: float) -> float:
    seconds = duration_of(leeway)
    if not 0 <= seconds <= largest:
        raise InvalidArgument(
            f"leeway must be a number of seconds from 0 to {largest:g}, "
            f"or a timedelta of whole seconds, {as_given(leeway)}"
        )
    return seconds


def _check_audience(audience: object) -> tuple[str, ...]:
    accepted = texts_of(audience)
    if accepted is None:
        raise InvalidArgument("audience must be a non-empty str or a non-empty sequence of such")
    return accepted


# What a verifier is made with.


def _check_issuer(issuer: object) -> str:
    text = text_of(issuer)
    if text is None:
        raise ConfigurationError("issuer must be a str")
    return text


def _check_accepted(audience: object) -> tuple[str, ...]:
    names = [text_of(name) for name in audience] if type(audience) is tuple else [None]
    accepted = tuple(name for name in names if name is not None)
    if len(accepted) < len(names):
        raise ConfigurationError("audience must be a tuple of str")
    return accepted


def _check_tolerance(name: str, leeway: object) -> float:
    seconds = number_of(leeway)
    if not 0 <= seconds <= _LONGEST_LEEWAY:
        raise ConfigurationError(f"{name} must be a number of seconds from 0 to {_LONGEST_LEEWAY}")
    return seconds


def _check_size(name: str, size: object, largest: int) -> int:
    kind = type(size)
    number = -1
    if issubclass(kind, int) and kind is not bool:
        number = int.__index__(size)  # type: ignore[arg-type]
    if not 0 <= number <= largest:
        raise ConfigurationError(f"{name} must be a whole number from 0 to {largest}")
    return number


def _check_table(clock: object, revocations: object) -> object:
    """Return the clock of a table of revocations that has been made."""
    if not callable(clock):
        raise ConfigurationError("clock must be a callable that returns Unix seconds")
    if not is_instance(revocations, RevocationTable):
        raise ConfigurationError("revocations must be a RevocationTable")
    if not revocations._is_made:
        raise ConfigurationError("a RevocationTable must be constructed before it is used")
    return revocations._clock
