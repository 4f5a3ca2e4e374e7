"""Ed25519 and Ed448 as algorithms of their own (RFC 9864, section 2.2), beside EdDSA.

A key of one of these names writes that name and accepts no other, though the signature would be
good. No key of one curve is taken for the other's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jwt
import pytest

from tests.support import CLAIMS, SECRET, base64url, forge, pyjws
from tests.twins.differential import TWINS, make_verifier
from tokenwheel import ConfigurationError, InvalidAccessToken, Key, KeySet, SessionManager
from tokenwheel.keys.key_parts import KeyParts

NAMES = ["Ed25519", "Ed448"]
FAMILY = [*NAMES, "EdDSA"]
OTHER_CURVE = {"Ed25519": "Ed448", "Ed448": "Ed25519"}
MESSAGE = b"message"


@pytest.fixture(params=TWINS)
def verifier(request: pytest.FixtureRequest) -> Callable[[Sequence[Key]], Any]:
    return lambda keys: make_verifier(request.param, tuple(keys))


@pytest.mark.parametrize("name", NAMES)
def test_a_generated_key_has_the_curve_that_its_algorithm_names(name: str) -> None:
    key = Key.generate(name)
    assert key.to_jwk() == {
        "kty": "OKP", "crv": name, "x": key.to_jwk()["x"], "kid": key.kid, "alg": name, "use": "sig"
    }  # fmt: skip
    assert len(key.sign(MESSAGE)) == {"Ed25519": 64, "Ed448": 114}[name]
    assert key.verify(MESSAGE, key.sign(MESSAGE))


@pytest.mark.parametrize("name", NAMES)
def test_a_key_comes_back_from_jwk_and_pem_as_what_it_is(name: str) -> None:
    key = Key.generate(name, kid="k")
    signature = key.sign(MESSAGE)
    for again in (
        Key.from_jwk(key.to_jwk(private=True)),
        Key.from_jwk(key.to_jwk()),
        Key.from_pem(key.to_pem(private=True), name, kid="k"),
        Key.from_pem(key.to_pem(), name, kid="k"),
        key.public(),
    ):
        assert (again.algorithm, again.kid) == (name, "k")
        assert again.verify(MESSAGE, signature)


@pytest.mark.parametrize("name", NAMES)
def test_a_key_of_the_other_curve_is_refused(name: str) -> None:
    other = Key.generate(OTHER_CURVE[name])
    unnamed = {member: value for member, value in other.to_jwk().items() if member != "alg"}
    for make in (
        lambda: Key.from_pem(other.to_pem(), name),
        lambda: Key.from_pem(other.to_pem(private=True), name),
        lambda: Key.from_jwk(unnamed, name),
        lambda: Key.from_jwk({**unnamed, "alg": name}),
        lambda: KeySet.from_jwks({"keys": [{**unnamed, "alg": name}]}),
    ):
        with pytest.raises(ConfigurationError, match=f"{name} needs an {name} key"):
            make()


@pytest.mark.parametrize("name", FAMILY)
def test_a_key_of_another_kind_is_refused(name: str) -> None:
    for other in (Key.generate("ES256"), Key.generate("RS256")):
        with pytest.raises(ConfigurationError, match=f"{name} needs an Ed"):
            Key.from_pem(other.to_pem(), name)
    with pytest.raises(ConfigurationError, match=f"and not with {name}"):
        Key.from_secret(SECRET, name)


def test_a_key_without_alg_is_for_eddsa_unless_the_caller_says_otherwise() -> None:
    for name in NAMES:
        jwk = Key.generate(name).to_jwk()
        del jwk["alg"]
        assert Key.from_jwk(jwk).algorithm == "EdDSA"
        assert Key.from_jwk(jwk, name).algorithm == name
        taken = KeySet.from_jwks({"keys": [jwk]}, algorithms=["ES256", name])
        assert [key.algorithm for key in taken] == [name]


def test_a_point_of_small_order_is_refused_under_the_new_names_as_well() -> None:
    for name, length in (("Ed25519", 32), ("Ed448", 57)):
        x = base64url(b"\1" + bytes(length - 1))
        with pytest.raises(ConfigurationError, match="is a point of small order"):
            Key.from_jwk({"kty": "OKP", "crv": name, "x": x, "alg": name})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("written", FAMILY)
def test_a_token_is_accepted_only_under_the_name_of_its_key(
    verifier: Callable[[Sequence[Key]], Any], name: str, written: str
) -> None:
    """The signature is good each time: it is the name alone that decides."""
    key = Key.generate(name, kid="k")
    for signs, verifies in ((key, key), (key, key.public())):
        token = forge(key=signs, alg=written)
        if written == name:
            assert verifier([verifies]).verify(token).subject == CLAIMS["sub"]
        else:
            with pytest.raises(InvalidAccessToken, match="'alg' is not that of its key"):
                verifier([verifies]).verify(token)


@pytest.mark.parametrize("written", NAMES)
def test_a_key_for_eddsa_accepts_no_newer_name(
    verifier: Callable[[Sequence[Key]], Any], written: str
) -> None:
    key = Key.generate("EdDSA", kid="k")
    assert verifier([key]).verify(forge(key=key)).subject == CLAIMS["sub"]
    with pytest.raises(InvalidAccessToken, match="'alg' is not that of its key"):
        verifier([key]).verify(forge(key=key, alg=written))


@pytest.mark.parametrize("name", NAMES)
def test_one_pair_may_be_in_a_set_under_both_names(
    verifier: Callable[[Sequence[Key]], Any], name: str
) -> None:
    key = Key.generate(name, kid="k")
    keys = KeySet.from_jwks({"keys": [key.to_jwk(), {**key.to_jwk(), "alg": "EdDSA"}]})
    assert [each.algorithm for each in keys] == [name, "EdDSA"]
    made = verifier([*keys])
    for written in (name, "EdDSA"):
        assert made.verify(forge(key=key, alg=written)).subject == CLAIMS["sub"]


@pytest.mark.parametrize("name", NAMES)
def test_the_tokens_of_a_manager_bear_the_name_and_pyjwt_reads_them_once_it_knows_it(
    name: str,
) -> None:
    key = Key.generate(name)
    with SessionManager(KeySet(key), issuer="i", audience="a") as manager:
        token = manager.create(subject="ann").access_token
        assert manager.read(token).subject == "ann"
        assert manager.jwks()["keys"] == [key.to_jwk()]
    assert jwt.get_unverified_header(token) == {"alg": name, "typ": "at+jwt", "kid": key.kid}
    assert b'"sub":"ann"' in pyjws().decode(token, key._public, [name])
    with pytest.raises(jwt.InvalidAlgorithmError, match="not supported"):
        jwt.PyJWS().decode(token, key._public, [name])
    with pytest.raises(jwt.InvalidAlgorithmError, match="not allowed"):
        pyjws().decode(token, key._public, ["EdDSA"])


def test_ed448_verifies_by_a_manager_under_either_name() -> None:
    pair = Key.generate("Ed448")
    for name in ("Ed448", "EdDSA"):
        key = Key._make(KeyParts(name, private=pair._private, public=pair._public), "k")
        with SessionManager(KeySet(key), issuer="i", audience="a") as manager:
            assert manager.read(manager.create(subject="ann").access_token).subject == "ann"
