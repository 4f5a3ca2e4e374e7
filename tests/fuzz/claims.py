"""JSON means the same to both twins as to PyJWT, whatever text is signed as a token's claims.

The bytes of the fuzzer are what follows the claims that a good token has, within the same object;
or they are the whole payload. What is taken as claims is also handed out as it was read.
"""

from __future__ import annotations

import importlib
import json
from typing import Any

from tests.fuzz.access_tokens import KEYS, judge
from tests.fuzz.draw import Draw
from tests.support import base64url
from tests.twins.differential import NOW, TWINS
from tokenwheel import InvalidArgument

HEADER = base64url(b'{"alg":"HS256","typ":"at+jwt"}')
GOOD = {"iss": "i", "aud": "a", "sub": "u", "sid": "A" * 16, "iat": NOW, "exp": NOW + 900}
BEGUN = json.dumps(GOOD)[:-1].encode()
CLAIMS = [importlib.import_module(f"tokenwheel._{name}.verifier").Claims for name in TWINS]


def check(data: bytes) -> None:
    draw = Draw(data)
    kind = draw.below(3)
    rest = draw.rest()
    if kind == 2:
        check_mapping(rest)
        return
    text = f"{HEADER}.{base64url(rest if kind else BEGUN + b',' + rest + b'}')}"
    judge(f"{text}.{base64url(KEYS[0].sign(text.encode()))}")


def check_mapping(data: bytes) -> None:
    """Make claims of a mapping that was never a token."""
    draw = Draw(data)
    changes: Any = {draw.choice([*GOOD, "nbf", "x"]): draw.json() for _ in range(draw.below(4))}
    answers = [claims_of(twin, {**GOOD, **changes}) for twin in CLAIMS]
    assert all(answer == answers[0] for answer in answers), answers


def claims_of(twin: Any, mapping: Any) -> Any:
    """Return what the claims show of themselves, or None where they cannot be."""
    try:
        claims = twin(mapping)
    except InvalidArgument:
        return None
    shown = claims.subject, claims.session_id, claims.issued_at, claims.expires_at
    # Not a number is equal to nothing, and yet the same to both.
    return shown, repr(claims.to_dict()), list(claims), len(claims)
