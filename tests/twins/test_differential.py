"""The compiled verifier, its pure twin and PyJWT, over damaged, re-signed and hand-made hostile tokens.

Invariant: what the compiled verifier accepts, PyJWT accepts with the same options and gives the same claims; and the twins
agree on every token, on the claims of those they accept and on the kind of error for the others.
"""

from __future__ import annotations

import base64
import importlib
import json
import time
import warnings
from typing import Any

import jwt
from hypothesis import given
from hypothesis import strategies as st

from tests.twins.conftest import TWINS
from tokenwheel import Key, TokenwheelError

KEYS = [
    Key.from_secret("k" * 32),
    Key.from_secret("n" * 48, "HS384", kid="n"),
    Key.from_secret("m" * 64, "HS512", kid="m"),
    Key.generate("ES256", kid="e"),
    Key.generate("EdDSA", kid="d"),
    Key.generate("RS256", kid="r"),
    Key.generate("PS256", kid="p"),
]
NOW = int(time.time())
LEEWAY = 5


def make(implementation: str) -> Any:
    module = importlib.import_module(f"tokenwheel._{implementation}.verifier")
    revocations = importlib.import_module(f"tokenwheel._{implementation}.revocations").RevocationTable()
    return module.Verifier(
        KEYS, issuer="i", audience=("a", "b"), leeway=LEEWAY, largest_leeway=60, cache_size=50, clock=time.time, revocations=revocations
    )


VERIFIERS = [make(name) for name in TWINS]

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=5),
    st.sampled_from([2**53, 2**53 + 1, 2**63, 2**64, 1e300, NOW, NOW + 900, NOW - 900, NOW + 0.5]),
    st.sampled_from(["i", "a", "b", "A" * 16, "at+jwt", "HS256", "\0", "x" * 256]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=6
)
NAMES = st.sampled_from(["iss", "aud", "sub", "sid", "gen", "iat", "exp", "nbf", "jti", "role"])
MEMBERS = st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "cty", "x5c"])


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@st.composite
def tokens(draw: st.DrawFn) -> tuple[str, Key]:
    key = draw(st.sampled_from(KEYS))
    header: Any = {"alg": key.algorithm, "typ": "at+jwt", **({"kid": key.kid} if key.kid else {})}
    header.update(draw(st.dictionaries(MEMBERS, SCALARS, max_size=1)))
    claims: Any = {"iss": "i", "aud": ["a", "c"], "sub": "uid1", "sid": "A" * 16, "iat": NOW - 1, "exp": NOW + 900}
    claims.update(draw(st.dictionaries(NAMES, VALUES, max_size=2)))
    for name in draw(st.sets(NAMES, max_size=1)):
        if draw(st.booleans()):
            claims.pop(name, None)
    texts = [json.dumps(header).encode(), json.dumps(claims, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")]
    part = draw(st.sampled_from([0, 1, 1]))
    texts[part] = draw(st.one_of(st.just(texts[part]), damaged(texts[part])))
    signed = ".".join(map(b64, texts))
    signature = draw(st.sampled_from([key, key, key, key, KEYS[0]])).sign(signed.encode())
    token = f"{signed}.{b64(signature)}"
    return draw(st.one_of(st.just(token), st.just(token), damaged(token))), key


@st.composite
def damaged(draw: st.DrawFn, text: Any) -> Any:
    """The text with a stretch of it taken out, repeated, or replaced by something that has a meaning there."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 8)))
    pieces = ["", " ", "\n", '"', ":", ",", "{", "}", "[", "\\u0000", "\\ud800", "A", "=", "-", ".", "é", "1e999", '"sub":"root",']
    piece = draw(st.sampled_from(pieces))
    between: Any = piece if isinstance(text, str) else piece.encode()
    return text[:start] + (between or text[start:end] * 2) + text[end:]


def outcome(verifier: Any, token: str) -> Any:
    try:
        return verifier.verify(token).to_dict()
    except TokenwheelError as error:
        return type(error)


@given(case=tokens())
def test_nothing_is_accepted_that_pyjwt_refuses_and_the_twins_agree(case: tuple[str, Key]) -> None:
    token, key = case
    first = [outcome(verifier, token) for verifier in VERIFIERS]
    again = [outcome(verifier, token) for verifier in VERIFIERS]
    assert all(one == first[0] for one in first + again)
    if isinstance(first[0], dict):
        material = key._public if key._secret is None else key._secret
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoded = jwt.decode(
                token, material, [key.algorithm], audience=["a", "b"], issuer="i", leeway=LEEWAY, options={"require": ["exp", "iat"]}
            )
        assert decoded == first[0]


def test_the_tokens_tried_are_both_good_and_bad() -> None:
    """A differential test that never saw a good token would prove nothing."""
    for key in KEYS:
        claims = {"iss": "i", "aud": ["a", "c"], "sub": "uid1", "sid": "A" * 16, "iat": NOW - 1, "exp": NOW + 900}
        header = {"alg": key.algorithm, "typ": "at+jwt", **({"kid": key.kid} if key.kid else {})}
        signed = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
        token = f"{signed}.{b64(key.sign(signed.encode()))}"
        assert [outcome(verifier, token) for verifier in VERIFIERS] == [claims] * len(VERIFIERS)
