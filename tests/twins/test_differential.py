"""The compiled verifier, its pure twin and PyJWT, over damaged and hostile tokens.

Invariant: what the compiled verifier accepts, PyJWT accepts with the same options and gives the
same claims; and the twins agree on every token, on the claims of those they accept and on the kind
of error for the others.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.support import secret_of
from tests.twins.differential import (
    LEEWAY,
    NOW,
    TWINS,
    StandingStill,
    decoded_by_pyjwt,
    make_verifier,
    outcome,
)
from tokenwheel import InvalidAccessToken, Key

KEYS = [
    Key.from_secret(secret_of("k")),
    Key.from_secret(secret_of("n", 48), "HS384", kid="n"),
    Key.from_secret(secret_of("m", 64), "HS512", kid="m"),
    Key.generate("ES256", kid="e"),
    Key.generate("EdDSA", kid="d"),
    Key.generate("RS256", kid="r"),
    Key.generate("PS256", kid="p"),
]


@pytest.fixture(autouse=True, scope="module")
def _pyjwt_stands_still() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jwt.api_jwt.datetime", StandingStill)
        yield


VERIFIERS = [make_verifier(name, KEYS) for name in TWINS]

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=5),
    st.sampled_from([2**53, 2**53 + 1, 2**63, 2**64, -(2**70), 10**400, 1e300]),
    st.sampled_from([NOW, NOW + 900, NOW - 900, NOW + 0.5]),
    st.sampled_from(["i", "a", "b", "A" * 16, "at+jwt", "HS256", "\0", "x" * 256]),
)  # fmt: skip
DATES = st.one_of(
    st.sampled_from(
        [
            NOW + LEEWAY,
            NOW + LEEWAY + 0.5,
            NOW + LEEWAY + 1,
            NOW - LEEWAY,
            NOW - LEEWAY + 0.5,
            NOW - LEEWAY + 1,
            0,
            -0.0,
            2**53,
        ]
    ),
    st.integers(NOW - 20, NOW + 20),
    st.floats(NOW - 20, NOW + 20),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(["iss", "aud", "sub", "sid", "gen", "iat", "exp", "nbf", "jti", "role"])
DAMAGES = ["header", "claims", "dates", "missing", "header text", "claims text", "signer", "token"]
MEMBERS = st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "cty", "x5c"])


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@st.composite
def tokens(draw: st.DrawFn, separators: tuple[str, str] | None = None) -> tuple[str, Key]:
    """Return a good token with something hostile done to it, and the key that signed it.

    At most three of its parts are changed before it is signed, and the whole afterwards. Without
    white space between its members, a header is the one that this service writes.
    """
    wrong = draw(st.sets(st.sampled_from(DAMAGES), max_size=3))
    key = draw(st.sampled_from(KEYS))
    header: Any = {"alg": key.algorithm, "typ": "at+jwt", **({"kid": key.kid} if key.kid else {})}
    claims: Any = {
        "iss": "i",
        "aud": ["a", "c"],
        "sub": "uid1",
        "sid": "A" * 16,
        "iat": NOW - 1,
        "exp": NOW + 900,
    }
    if "header" in wrong:
        header.update(draw(st.dictionaries(MEMBERS, SCALARS, min_size=1, max_size=2)))
    if "claims" in wrong:
        claims.update(draw(st.dictionaries(NAMES, VALUES, min_size=1, max_size=2)))
    if "dates" in wrong:
        claims.update(
            draw(
                st.dictionaries(
                    st.sampled_from(["iat", "nbf", "exp"]), DATES, min_size=1, max_size=3
                )
            )
        )
    if "missing" in wrong:
        claims.pop(draw(NAMES), None)
    texts = [
        json.dumps(header, separators=separators).encode(),
        json.dumps(claims, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass"),
    ]
    for part, name in enumerate(["header text", "claims text"]):
        if name in wrong:
            texts[part] = draw(damaged(texts[part]))
    signed = ".".join(map(b64, texts))
    signature = (draw(st.sampled_from(KEYS)) if "signer" in wrong else key).sign(signed.encode())
    token = f"{signed}.{b64(signature)}"
    return (draw(damaged(token)) if "token" in wrong else token), key


@st.composite
def damaged(draw: st.DrawFn, text: Any) -> Any:
    """Return the text with a stretch of it taken out, repeated or replaced.

    What replaces it has a meaning there.
    """
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 8)))
    pieces = [
        "",
        " ",
        "\n",
        '"',
        ":",
        ",",
        "{",
        "}",
        "[",
        "\\u0000",
        "\\ud800",
        "A",
        "=",
        "-",
        ".",
        "é",
        "1e999",
        '"sub":"root",',
    ]
    piece = draw(st.sampled_from(pieces))
    between: Any = piece if isinstance(text, str) else piece.encode()
    return text[:start] + (between or text[start:end] * 2) + text[end:]


@given(case=tokens())
def test_nothing_is_accepted_that_pyjwt_refuses_and_the_twins_agree(case: tuple[str, Key]) -> None:
    check_against_pyjwt(case)


@given(case=tokens(separators=(",", ":")))
def test_nor_is_it_where_the_header_is_the_one_that_this_service_writes(
    case: tuple[str, Key],
) -> None:
    check_against_pyjwt(case)


def check_against_pyjwt(case: tuple[str, Key]) -> None:
    token, key = case
    first = [outcome(verifier, token) for verifier in VERIFIERS]
    again = [outcome(verifier, token) for verifier in VERIFIERS]
    assert all(answer == first[0] for answer in first + again)
    event("accepted" if isinstance(first[0], dict) else first[0].__name__)
    if isinstance(first[0], dict):
        assert decoded_by_pyjwt(token, key) == first[0]


SIGNATURES = {
    "none": lambda text: "",
    "cut": lambda text: text[:-4],
    "one digit less": lambda text: text[:-1],
    "lengthened": lambda text: text + "AAAA",
    "padded": lambda text: text + "=" * (-len(text) % 4 or 1),
    "other last bits": lambda text: text[:-1] + chr(ord(text[-1]) + 1),
    "in the other alphabet": lambda text: "+" + text[1:],
    "white space": lambda text: text[:4] + "\n" + text[4:],
    "zeros": lambda text: "A" * len(text),
    "twice": lambda text: text + text,
    "no ASCII": lambda text: "\u0131" + text[1:],
}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
@pytest.mark.parametrize("damage", SIGNATURES)
def test_a_signature_has_one_spelling_and_pyjwt_raises_nothing_here(key: Key, damage: str) -> None:
    header = {"alg": key.algorithm, "typ": "at+jwt", **({"kid": key.kid} if key.kid else {})}
    claims = {"iss": "i", "aud": "a", "sub": "u", "sid": "A" * 16, "iat": NOW, "exp": NOW + 9}
    signed = ".".join(
        b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)
    )
    good = b64(key.sign(signed.encode()))
    for verifier in VERIFIERS:
        assert outcome(verifier, f"{signed}.{good}") == claims
        assert outcome(verifier, f"{signed}.{SIGNATURES[damage](good)}") is InvalidAccessToken


def test_the_tokens_tried_are_both_good_and_bad() -> None:
    """A differential test that never saw a good token would prove nothing."""
    for key in KEYS:
        claims = {
            "iss": "i",
            "aud": ["a", "c"],
            "sub": "uid1",
            "sid": "A" * 16,
            "iat": NOW - 1,
            "exp": NOW + 900,
        }
        header = {"alg": key.algorithm, "typ": "at+jwt", **({"kid": key.kid} if key.kid else {})}
        signed = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
        token = f"{signed}.{b64(key.sign(signed.encode()))}"
        assert [outcome(verifier, token) for verifier in VERIFIERS] == [claims] * len(VERIFIERS)
        assert decoded_by_pyjwt(token, key) == claims
