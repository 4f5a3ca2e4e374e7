"""What is asked of a token's claims, in any order, of both twins and of Python's own JSON reader.

What is signed, and in which order it is asked, is the matter of each test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.support import KEY, forge
from tests.twins.differential import NOW, TWINS, make_verifier
from tokenwheel import TokenwheelError

__all__ = ["GOOD", "REMEMBERING", "SID", "USES", "VERIFIERS", "check_alike", "shown", "signed"]

HEADER = b'{"alg":"HS256","typ":"at+jwt"}'
SID = "AbC-_0123456789z"
GOOD = (
    '"iss":"i"', '"aud":["a","c"]', '"sub":"uid1"', f'"sid":"{SID}"', f'"iat":{NOW}',
    f'"exp":{NOW + 900}',
)  # fmt: skip
"""The members of a good payload, in the form in which the compiled twin reads them in place."""
VERIFIERS = {name: make_verifier(name, [KEY], cache_size=0) for name in TWINS}
REMEMBERING = {name: make_verifier(name, [KEY], cache_size=5) for name in TWINS}


def signed(payload: bytes | str) -> str:
    return forge(payload, KEY, HEADER)


def answer(verifier: Any, token: str | bytes) -> Any:
    try:
        return verifier.verify(token)
    except TokenwheelError as error:
        return f"{type(error).__name__}: {error}"


def single(claims: Any, name: Any) -> Any:
    try:
        return claims[name]
    except KeyError as error:
        return f"KeyError{error.args!r}"


USES: dict[str, Callable[[Any, Any], Any]] = {
    "subject": lambda claims, name: claims.subject,
    "session_id": lambda claims, name: claims.session_id,
    "issued_at": lambda claims, name: claims.issued_at,
    "expires_at": lambda claims, name: claims.expires_at,
    "item": single,
    "get": lambda claims, name: claims.get(name, "nothing"),
    "in": lambda claims, name: name in claims,
    "len": lambda claims, name: len(claims),
    "iter": lambda claims, name: list(claims),
    "items": lambda claims, name: list(claims.items()),
    "values": lambda claims, name: list(claims.values()),
    "dict": lambda claims, name: dict(claims),
    "to_dict": lambda claims, name: claims.to_dict(),
    "==": lambda claims, name: (claims == claims.to_dict(), claims == {}),
    "repr": lambda claims, name: repr(claims),
}


def shown(claims: Any, steps: Sequence[tuple[str, Any]]) -> list[str]:
    return [repr(USES[use](claims, name)) for use, name in steps]


def check_alike(payload: bytes, steps: Sequence[tuple[str, Any]], verifiers: dict[str, Any]) -> Any:
    """Check that both twins say the same of a payload. Return the claims of the first."""
    token = signed(payload)
    answers = [answer(verifier, token) for verifier in verifiers.values()]
    if isinstance(answers[0], str):
        assert [*{str(other) for other in answers}] == [answers[0]]
        return None
    whole = [(use, name) for use in ("items", "len", "issued_at", "subject") for name in [""]]
    looks = [shown(claims, [*steps, *whole]) for claims in answers]
    assert all(look == looks[0] for look in looks), payload
    assert repr(answers[0].to_dict()) == repr(json.loads(payload))
    return answers[0]
