"""Key files: what the text of one says, be it a JWK, a JWK Set or PEM.

A JWK counts as a set of one, so it may say the same times as the keys of a set. Nothing here opens
a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ConfigurationError
from ...exact import items_of
from ...hidden import clears_locals
from ..checks import check_algorithm
from ..forms.jwk import read_json_object
from ..forms.jwk_algorithms import fitting_algorithms
from ..forms.jwks import KeyList, ListedKey, read_jwks, seconds_in
from ..forms.known_keys import KnownKeys
from ..forms.pem import parse_pems
from ..key import Key

__all__ = ["LONGEST_KEY_TEXT", "read_key_text"]

LONGEST_KEY_TEXT = 1_048_576  # bytes, 1 MiB
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MOST_KEYS = LONGEST_KEY_TEXT  # Of longer sets there is no text.


@clears_locals
def read_key_text(
    text: bytes,
    *,
    algorithm: str | None = None,
    password: str | bytes | None = None,
    known: KnownKeys | None = None,
) -> KeyList:
    """Return the keys in the text of a key file, and what is said of them.

    Args:
        text: a JWK, a JWK Set or PEM, in UTF-8. A byte order mark is passed over.
        algorithm: what a key is for that doesn't say so itself. By default it is what the curve
            tells, RS256 for RSA and HS256 for a shared secret.
        password: what keys in PEM form are encrypted with.
        known: the keys of an older text of the file, of which JWKs are not made anew.

    Raises:
        ConfigurationError: it is none of these, is longer than 1 MiB, no key in it can be used, or
            it tells a time of ours that is none.
    """
    given = None if algorithm is None else check_algorithm(algorithm)
    if len(text) > LONGEST_KEY_TEXT:
        raise ConfigurationError(f"a key file has at most {LONGEST_KEY_TEXT} bytes")
    plain = text.removeprefix(_BYTE_ORDER_MARK).strip()
    if not plain:
        raise ConfigurationError("the key file is empty")
    if not plain.startswith((b"{", b"[")):
        pairs = parse_pems(plain, given, password)
        return KeyList(tuple(ListedKey(Key._make(parts, None)) for parts in pairs))
    if password is not None:
        raise ConfigurationError("a JWK or a JWK Set is not encrypted: leave password= out")
    members = read_json_object(plain, "the key file")
    if "keys" in members:
        return _read_set(members, given, known or KnownKeys())
    return _read_single(members, given, known or KnownKeys())


def _read_single(jwk: dict[str, Any], algorithm: str | None, known: KnownKeys) -> KeyList:
    """Return the key that a JWK is, with the times that it tells."""
    signs_from = _time_in(jwk, "tokenwheel_signs_from")
    made_at = seconds_in(jwk.get("iat"))
    listed = ListedKey(known.made_of(jwk, algorithm), made_at, signs_from)
    return KeyList((listed,), _time_in(jwk, "tokenwheel_updated_at"))


def _read_set(members: dict[str, Any], algorithm: str | None, known: KnownKeys) -> KeyList:
    """Return the keys of a set, with the times that it tells.

    A wrong time would decide who signs. So it is not a key that is passed over, but all of the file
    that cannot be used.
    """
    _time_in(members, "tokenwheel_updated_at")
    jwks = items_of(members["keys"], _MOST_KEYS)
    if jwks is not None:
        for jwk in jwks:
            if type(jwk) is dict:
                _time_in(jwk, "tokenwheel_signs_from")
        members = members | {"keys": [_with_algorithm(jwk, algorithm) for jwk in jwks]}
    return read_jwks(members, known=known)


def _with_algorithm(jwk: Any, algorithm: str | None) -> Any:
    """Return a key of a set with this ``alg``, where it states none and can be for it."""
    if algorithm is None or type(jwk) is not dict or jwk.get("alg") is not None:
        return jwk
    return jwk | {"alg": algorithm} if algorithm in fitting_algorithms(jwk) else jwk


def _time_in(members: Mapping[str, Any], name: str) -> int | None:
    """Return a time of ours in Unix seconds, or None where nothing is said.

    Raises:
        ConfigurationError: it is no time.
    """
    time = seconds_in(members.get(name))
    if time is None and members.get(name) is not None:
        raise ConfigurationError(f"'{name}' must be a time in whole Unix seconds")
    return time
