"""Random JWK Sets, assembled of good, broken and foreign keys.

Invariant: what is taken is what a dull model says, and nothing else. Whatever a set holds, it is
read or refused by a ConfigurationError. No message and no log shows anything private of a key.
"""

from __future__ import annotations

import json
import logging
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenwheel import ConfigurationError, Key, KeySet
from tokenwheel.keys.forms.jwks import read_jwks

PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "k"]
NAMES = ["ES256", "ES384", "EdDSA", "Ed25519", "Ed448", "RS256", "HS256", "HS512"]
KEYS = [Key.generate(name) for name in (*NAMES, "ES256", "EdDSA", "HS256")]
TWO_OF_A_KIND = [0, NAMES.index("HS256"), len(NAMES), len(KEYS) - 1]  # so that these often meet
INFERRED = {"RSA": "RS256", "oct": "HS256", "P-256": "ES256", "P-384": "ES384",
            "Ed25519": "EdDSA", "Ed448": "EdDSA"}  # fmt: skip
SECRETS = [
    value
    for key in KEYS
    for name, value in key.to_jwk(private=True).items()
    if name in PRIVATE_MEMBERS
]


class Entry(NamedTuple):
    """A key of a set, and what a reader who does no cryptography expects of it."""

    jwk: Any
    pair: int  # which of KEYS it is; of no use where is_good is False
    is_good: bool
    is_whole: bool = True  # Its material is that of the pair, so that whoever reads it has it.


@st.composite
def good(draw: st.DrawFn) -> Entry:
    """Draw a key that can be used, private or public, with or without ``alg``, under some kid."""
    pair = draw(st.sampled_from([*range(len(KEYS)), *TWO_OF_A_KIND * 3]))
    is_private = draw(st.booleans()) or KEYS[pair]._secret is not None
    jwk = KEYS[pair].to_jwk(private=is_private)
    jwk["kid"] = draw(st.sampled_from(["a", "b"]))
    for name in draw(st.sets(st.sampled_from(["alg", "use"]))):
        del jwk[name]
    jwk |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "iat": st.sampled_from([5, "soon", None, -1]),
                "tokenwheel_signs_from": st.sampled_from([0, 7, 99_999_999_999]),
                "x5c": st.just(["MIIB"]),
                "key_ops": st.sampled_from([["sign", "verify"], ["verify", "sign", "wrapKey"]]),
                "future": st.just({"a": [1]}),
            },
        )
    )
    return Entry(jwk, pair, True)


BROKEN: list[dict[str, Any]] = [
    {"use": "enc"}, {"use": 7}, {"kty": "AKP"}, {"kty": None}, {"kty": ["EC"]},
    {"alg": "ML-DSA-65"}, {"alg": "none"}, {"alg": 7}, {"alg": "RSA-OAEP"}, {"alg": ""},
    {"key_ops": ["encrypt"]},
    {"key_ops": []}, {"kid": ""}, {"kid": 7}, {"kid": "é"}, {"kid": "k" * 500},
    {"kid": "a\nb"}, {"kid": []}, {"tokenwheel_signs_from": "soon"}, {"tokenwheel_signs_from": -1},
    {"tokenwheel_signs_from": None},
    *({name: value} for name in ("x", "n", "k", "e", "y") for value in ("!", "", None, 7, "AQ")),
    {"crv": "P-192"}, {"crv": "X448"}, {"crv": 7},
    {"d": "AQ"}, {"d": ""}, {"oth": []},
]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> Entry:
    """Draw a key of which a member is spoiled that its kind has, so that it can't be used."""
    entry = draw(good())
    change = draw(st.sampled_from(BROKEN))
    (name,) = change
    is_everywhere = name in ("use", "kty", "alg", "key_ops", "kid", "tokenwheel_signs_from")
    if not is_everywhere and name not in entry.jwk:
        change = {"kty": "unknown"}
    if "oth" in change and "d" not in entry.jwk:
        change = {"kty": "unknown"}
    is_whole = next(iter(change)) not in ("x", "n", "k", "e", "y")
    return Entry({**entry.jwk, **change}, entry.pair, False, is_whole)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["kty", "alg", "kid", "k", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FOREIGN = JSON.map(lambda value: Entry(value, 0, False, False))
ENTRIES = st.lists(st.one_of(good(), good(), broken(), FOREIGN), max_size=12)
ALGORITHMS = st.none() | st.lists(st.sampled_from(NAMES), min_size=1, unique=True)


def fits(algorithm: str, jwk: dict[str, Any]) -> bool:
    kinds = {"RS256": "RSA", "HS256": "oct", "HS512": "oct", "ES256": "P-256", "ES384": "P-384"}
    kind = jwk["kty"] if jwk["kty"] in ("RSA", "oct") else jwk["crv"]
    if algorithm == "EdDSA":
        return kind in ("Ed25519", "Ed448")
    return kinds.get(algorithm, algorithm) == kind


def expected_algorithm(jwk: dict[str, Any], algorithms: list[str] | None) -> str | None:
    """Return what a good key is for, or None where that is not among the algorithms given."""
    kind = jwk["kty"] if jwk["kty"] in ("RSA", "oct") else jwk["crv"]
    if "alg" in jwk:
        name = jwk["alg"]
        return name if algorithms is None or name in algorithms else None
    if algorithms is None:
        return INFERRED[kind]
    return next((name for name in algorithms if fits(name, jwk)), None)


def model(
    entries: list[Entry], algorithms: list[str] | None, only_public: bool
) -> tuple[dict[tuple[str, str], tuple[int, bool]], int]:
    """Return by kid and algorithm which pair is taken, and whether its private part is.

    Also how many entries of the set are passed over.
    """
    passed_over = 0
    taken: dict[tuple[str, str], tuple[int, bool]] = {}
    readable = {
        entry.pair for entry in entries if only_public and entry.is_whole and "d" in entry.jwk
    }
    for jwk, pair, is_good, _ in entries:
        name = expected_algorithm(jwk, algorithms) if is_good else None
        if name is None or (name == "HS512" and len(jwk["k"]) < 86):
            passed_over += 1
            continue
        is_private = "d" in jwk or "k" in jwk
        if only_public and (is_private or pair in readable):
            passed_over += 1
            continue
        known = taken.setdefault((jwk["kid"], name), (pair, is_private))
        if known[0] == pair:
            taken[jwk["kid"], name] = (pair, is_private or known[1])
        else:
            passed_over += 1
    return taken, passed_over


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=ENTRIES,
    algorithms=ALGORITHMS,
    only_public=st.booleans(),
    as_text=st.booleans(),
)
def test_what_is_taken_is_what_a_dull_model_says(
    entries: list[Entry],
    algorithms: list[str] | None,
    only_public: bool,
    as_text: bool,
) -> None:
    jwks: Any = {"keys": [entry.jwk for entry in entries]}
    expected, passed_over = model(entries, algorithms, only_public)
    given_set = json.dumps(jwks) if as_text else jwks
    if not expected:
        with pytest.raises(ConfigurationError, match=r"^jwks has no key"):
            read_jwks(given_set, algorithms=algorithms, only_public=only_public)
        return
    keys = read_jwks(given_set, algorithms=algorithms, only_public=only_public)
    assert [(listed.key.kid, listed.key.algorithm) for listed in keys.keys] == [*expected]
    for listed, (pair, is_private) in zip(keys.keys, expected.values(), strict=True):
        assert listed.key.can_sign == is_private
        assert (listed.key._secret, listed.key._public) == (
            KEYS[pair]._secret, KEYS[pair]._public
        )  # fmt: skip
    assert len(keys.passed_over) == passed_over


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=ENTRIES,
    algorithms=ALGORITHMS,
    data=st.data(),
)
def test_nothing_private_is_ever_told(
    caplog: pytest.LogCaptureFixture,
    entries: list[Entry],
    algorithms: list[str] | None,
    data: st.DataObject,
) -> None:
    """Not even where a private value stands in the place of a name."""
    jwks = [entry.jwk for entry in entries]
    for jwk in jwks:
        if type(jwk) is dict and data.draw(st.booleans()):
            place = data.draw(st.sampled_from(["alg", "kty", "crv", "use", "x", "n", "iat"]))
            jwk[place] = data.draw(st.sampled_from(SECRETS))
    caplog.clear()
    said = []
    context = None
    with caplog.at_level(logging.DEBUG):
        try:
            keys = KeySet.from_jwks({"keys": jwks}, algorithms=algorithms)
            said += [repr(keys), *map(repr, keys)]
        except ConfigurationError as error:
            said += [str(error), repr(error)]
            context = error.__context__
    assert context is None
    said += [record.getMessage() for record in caplog.records]
    for text in said:
        assert not [secret for secret in SECRETS if secret[:16] in text]


@given(value=JSON, member=st.sampled_from(["keys", "tokenwheel_updated_at", "other"]))
def test_any_json_is_read_or_refused(value: Any, member: str) -> None:
    good_jwk = KEYS[0].to_jwk()
    for jwks in (value, {"keys": value}, {"keys": [good_jwk], member: value}):
        for written in (jwks, json.dumps(jwks)):
            try:
                keys = read_jwks(written)
            except ConfigurationError:
                continue
            assert keys.keys
