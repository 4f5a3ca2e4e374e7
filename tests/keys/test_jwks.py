"""JSON Web Key Sets as the world writes them (RFC 7517, section 5).

What cannot be used here is passed over, with a reason. What is left is taken, whatever else stands
beside it. Nothing of a key is ever told.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import SECRET, base64url, secret_of
from tokenwheel import ConfigurationError, InvalidAccessToken, Key, KeySet, SessionManager
from tokenwheel.keys import LivingKeySet
from tokenwheel.keys.forms.jwks import PassedOver, read_jwks, tell_passed_over

EC = Key.generate("ES256", kid="ec")
ED = Key.generate("EdDSA", kid="ed")
RSA = Key.generate("RS256", kid="rsa")
SHARED = Key.from_secret(secret_of("jwks"), kid="shared")
GOOD = ED.to_jwk()
EC_JWK, RSA_JWK = EC.to_jwk(), RSA.to_jwk()
PUBLISHED_RSA = {  # RFC 7515, appendix A.2
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt"
    "0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z"
    "5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhy"
    "xXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
    "alg": "RS256",
}


def without(jwk: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in names}


def kids_and_algorithms(keys: KeySet) -> list[tuple[str | None, str]]:
    return [(key.kid, key.algorithm) for key in keys]


PASSED_OVER: dict[str, tuple[Any, str]] = {
    "text": ("key", "it is no JSON object"),
    "null": (None, "it is no JSON object"),
    "number": (7, "it is no JSON object"),
    "list": ([EC_JWK], "it is no JSON object"),
    "names that are no text": ({7: "EC"}, "it is no JSON object"),
    "empty": ({}, "it has no 'kty'"),
    "no kty": (without(EC_JWK, "kty"), "it has no 'kty'"),
    "post-quantum kty": (
        {"kty": "AKP", "alg": "ML-DSA-65", "pub": "A" * 2604, "kid": "k"},
        "its 'kty' is 'AKP'",
    ),
    "kty of another case": ({**EC_JWK, "kty": "ec"}, "its 'kty' is 'ec'"),
    "kty that is a number": ({**EC_JWK, "kty": 2}, "its 'kty' is no name that is known"),
    "for encryption": ({**RSA_JWK, "use": "enc"}, "it is for encryption"),
    "another use": ({**RSA_JWK, "use": "tls"}, "its 'use' is not 'sig'"),
    "use that is no text": ({**RSA_JWK, "use": ["sig"]}, "the jwk's 'use' must be 'sig'"),
    "other operations": (
        {**EC_JWK, "key_ops": ["deriveKey"]},
        "its 'key_ops' have neither sign nor verify",
    ),
    "no operations": ({**EC_JWK, "key_ops": []}, "its 'key_ops' have neither sign nor verify"),
    "operations that are no list": ({**EC_JWK, "key_ops": "verify"}, "its 'key_ops' allow verify"),
    "post-quantum alg": ({**EC_JWK, "alg": "ML-DSA-65"}, "its 'alg' is 'ML-DSA-65'"),
    "RSA-OAEP": ({**without(RSA_JWK, "use"), "alg": "RSA-OAEP"}, "for encryption, as its 'alg'"),
    "ECDH-ES": ({**EC_JWK, "alg": "ECDH-ES+A256KW"}, "for encryption, as its 'alg'"),
    "none": ({**EC_JWK, "alg": "none"}, "its 'alg' is 'none'"),
    "alg of another case": ({**EC_JWK, "alg": "es256"}, "its 'alg' is 'es256'"),
    "alg that is a number": ({**EC_JWK, "alg": -7}, "its 'alg' is no name that is known"),
    "alg that is long": ({**EC_JWK, "alg": "x" * 43}, "its 'alg' is no name that is known"),
    "X25519": (
        {"kty": "OKP", "crv": "X25519", "x": GOOD["x"]},
        "for encryption, as its 'crv' says",
    ),
    "P-256K": ({**without(EC_JWK, "alg"), "crv": "P-256K"}, "its 'crv' is 'P-256K'"),
    "brainpool": ({**EC_JWK, "crv": "brainpoolP256r1"}, "its 'crv' is 'brainpoolP256r1'"),
    "no crv": (without(EC_JWK, "crv"), "its 'crv' is no name that is known"),
    "malformed": ({**EC_JWK, "x": "!"}, "the jwk's 'x' is not base64url"),
    "no coordinate": (without(EC_JWK, "y"), "the jwk has no 'y'"),
    "only a certificate": ({"kty": "RSA", "x5c": ["MIIB"], "kid": "k"}, "the jwk has no 'n'"),
    "off the curve": (
        {**EC_JWK, "x": base64url(b"\0" * 31 + b"\1"), "y": base64url(b"\0" * 31 + b"\1")},
        "the jwk is malformed",
    ),
    "small RSA": (
        {"kty": "RSA", "n": base64url(b"\xc1" * 128), "e": "AQAB"},
        "must have at least 2048 bits",
    ),
    "published": (PUBLISHED_RSA, "is an example from a standard"),
    "small order": (
        {"kty": "OKP", "crv": "Ed25519", "x": base64url(b"\1" + bytes(31))},
        "is a point of small order",
    ),
    "weak secret": ({"kty": "oct", "k": base64url(b"s" * 32)}, "is a pattern"),
    "short secret": ({"kty": "oct", "k": base64url(b"short")}, "must have at least 32 bytes"),
    "alg of another kind": ({**RSA_JWK, "alg": "ES256"}, "ES256 needs"),
    "alg of another curve": ({**EC_JWK, "alg": "ES384"}, "ES384 needs"),
    "empty kid": ({**EC_JWK, "kid": ""}, "kid must be 1 to 128 printable ASCII"),
    "long kid": ({**EC_JWK, "kid": "x" * 129}, "kid must be 1 to 128 printable ASCII"),
    "kid that is not ASCII": ({**EC_JWK, "kid": "clé"}, "kid must be 1 to 128 printable ASCII"),
    "kid with a line feed": ({**EC_JWK, "kid": "a\nb"}, "kid must be 1 to 128 printable ASCII"),
    "kid that is a number": ({**EC_JWK, "kid": 7}, "kid must be 1 to 128 printable ASCII"),
    "signs from a text": (
        {**EC_JWK, "tokenwheel_signs_from": "1700000000"},
        "its 'tokenwheel_signs_from' is no time in Unix seconds",
    ),
    "signs from milliseconds": (
        {**EC_JWK, "tokenwheel_signs_from": 1_700_000_000_000},
        "its 'tokenwheel_signs_from' is no time in Unix seconds",
    ),
    "signs from null": (
        {**EC_JWK, "tokenwheel_signs_from": None},
        "its 'tokenwheel_signs_from' is no time in Unix seconds",
    ),
}  # fmt: skip
FOR_SOMETHING_ELSE = {
    *("for encryption", "another use", "other operations", "no operations", "RSA-OAEP", "ECDH-ES"),
    "X25519",
}


@pytest.mark.parametrize("what", PASSED_OVER)
def test_what_cannot_be_used_is_passed_over_and_the_rest_is_taken(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    entry, reason = PASSED_OVER[what]
    with caplog.at_level(logging.INFO, "tokenwheel"):
        keys = KeySet.from_jwks({"keys": [entry, GOOD]})
    assert kids_and_algorithms(keys) == [("ed", "EdDSA")]
    told = [record for record in caplog.records if reason in record.getMessage()]
    assert len(told) == len(caplog.records) == 1
    assert told[0].levelno == (logging.INFO if what in FOR_SOMETHING_ELSE else logging.WARNING)
    assert told[0].name == "tokenwheel"
    with pytest.raises(ConfigurationError, match=r"^jwks has no key that can be used here\. ") as e:
        KeySet.from_jwks({"keys": [entry]})
    assert reason in str(e.value)


@pytest.mark.parametrize("what", [what for what in PASSED_OVER if what != "names that are no text"])
def test_a_set_says_the_same_as_a_mapping_a_text_and_octets(what: str) -> None:
    jwks = {"keys": [GOOD, PASSED_OVER[what][0]], "tokenwheel_updated_at": 5}
    text = json.dumps(jwks)
    said = [
        ([listed.key.to_jwk() for listed in keys.keys], keys.updated_at, keys.passed_over)
        for keys in map(
            read_jwks,
            (jwks, text, text.encode(), "\ufeff" + text, b"\xef\xbb\xbf" + text.encode()),
        )
    ]
    assert said == said[:1] * 5
    assert said[0][:2] == ([GOOD], 5)


@pytest.mark.parametrize(
    "jwks, reason",
    [
        ({"keys": []}, r"jwks has no key: its member 'keys' is empty"),
        ({"keys": {}}, "jwks must have a member 'keys' that is an array"),
        ({"keys": "[]"}, "jwks must have a member 'keys' that is an array"),
        ({"keys": None}, "jwks must have a member 'keys' that is an array"),
        (EC_JWK, "jwks is a single JSON Web Key: KeySet.from_jwk takes it"),
        (
            {"issuer": "https://x", "jwks_uri": "https://x/jwks"},
            r"RemoteKeySet.metadata\['jwks_uri'\]",
        ),
        (
            {"a": "-----BEGIN CERTIFICATE-----\nMII", "b": 5},
            "jwks is JSON that has PEM texts in it: hand over each of them by Key.from_pem",
        ),
        ([EC_JWK], "jwks is a list: "),
        ({"keys": [None] * 8193}, "an array of at most 8192 keys"),
        ("[]", "jwks is a list: "),
        ('{"keys": [', "jwks is broken JSON at line 1, column 11: "),
        (None, "jwks is None: set the environment variable"),
    ],
)
def test_what_is_no_set_is_refused(jwks: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        KeySet.from_jwks(jwks)


def test_a_set_of_which_nothing_is_left_says_why_for_each() -> None:
    entries = [PASSED_OVER["for encryption"][0], 7, {**EC_JWK, "alg": "ML-DSA-44"}]
    with pytest.raises(ConfigurationError) as caught:
        KeySet.from_jwks({"keys": entries})
    assert str(caught.value) == (
        "jwks has no key that can be used here. rsa: it is for encryption; "
        "key 2: it is no JSON object; ec: its 'alg' is 'ML-DSA-44'"
    )
    assert caught.value.__context__ is None


def test_of_many_the_first_ten_are_told_and_how_many_more() -> None:
    with pytest.raises(ConfigurationError) as caught:
        KeySet.from_jwks({"keys": [{} for _ in range(25)]})
    assert str(caught.value).count("it has no 'kty'") == 10
    assert str(caught.value).endswith("key 10: it has no 'kty'; and 15 more")


@pytest.mark.parametrize(
    "kid, name",
    [
        ("clé\n\x1b[31m", r"cl\xe9\n\x1b[31m"),
        ("x" * 1000, "x" * 64),
        ("\U0001f511" * 30, (r"\U0001f511" * 7)[:64]),
        ("\udc80", r"\udc80"),
        ("it's", "it's"),
        ("", "key 1"),
        (7, "key 1"),
        (["k"], "key 1"),
    ],
    ids=ascii,
)
def test_a_kid_is_told_in_printable_ascii_and_cut(
    kid: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    KeySet.from_jwks({"keys": [{**EC_JWK, "x": "!", "kid": kid}, GOOD]})
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f"a key of the set is passed over: {name}: the jwk's 'x' is "
    )


def test_each_key_that_is_passed_over_is_told_once_while_it_is_remembered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: set[tuple[str, str]] = set()
    keys = [PassedOver("a", "because"), PassedOver("b", "because"), PassedOver("a", "for another")]
    for _ in range(3):
        tell_passed_over(keys, told)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "a: because",
        "b: because",
        "a: for another",
    ]


def test_members_that_are_not_understood_are_passed_over() -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    more = {
        "x5c": ["MII"], "x5t": "x", "x5t#S256": 7, "x5u": {}, "ext": True, "issuer": "https://i",
        "nbf": "soon", "exp": 1, "revoked": {"reason": 1}, "deep": deep, "": None,
    }  # fmt: skip
    for jwks in (
        {"keys": [{**EC_JWK, **more}], **without(more, "deep")},
        json.dumps({"keys": [{**EC_JWK, **more}], **more}),
    ):
        (key,) = KeySet.from_jwks(jwks)
        assert key.to_jwk() == EC_JWK


@pytest.mark.parametrize(
    "made, expected",
    [
        (Key.generate("ES384"), "ES384"), (Key.generate("ES512"), "ES512"), (EC, "ES256"),
        (Key.generate("ES256K"), "ES256K"), (ED, "EdDSA"), (Key.generate("Ed448"), "EdDSA"),
        (RSA, "RS256"), (Key.generate("PS512"), "RS256"), (SHARED, "HS256"),
        (Key.generate("HS512"), "HS256"),
    ],
)  # fmt: skip
def test_a_key_without_alg_is_for_what_its_kind_and_curve_tell(made: Key, expected: str) -> None:
    jwk = without(made.to_jwk(private=True), "alg")
    assert Key.from_jwk(jwk).algorithm == expected
    assert [key.algorithm for key in KeySet.from_jwks({"keys": [jwk]})] == [expected]


def test_a_key_without_alg_is_for_the_first_algorithm_given_that_fits_its_kind() -> None:
    rsa, ec = without(RSA_JWK, "alg"), without(EC_JWK, "alg")
    for algorithms, expected in (
        (["PS256", "RS256"], "PS256"),
        (("ES256", "RS512", "PS256"), "RS512"),
        ({"PS256", "RS256", "RS512"}, "RS256"),  # A set has no order: the usual one counts.
        (frozenset({"PS384", "PS256"}), "PS256"),
    ):
        keys = KeySet.from_jwks({"keys": [rsa]}, algorithms=algorithms)
        assert kids_and_algorithms(keys) == [("rsa", expected)]
    keys = KeySet.from_jwks({"keys": [rsa, ec]}, algorithms=["ES256"])
    assert kids_and_algorithms(keys) == [("ec", "ES256")]
    with pytest.raises(ConfigurationError, match=r"rsa: .* must be one of ES256, HS256"):
        KeySet.from_jwks({"keys": [rsa]}, algorithms=["ES256", "HS256"])


def test_only_the_algorithms_given_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    both = {"keys": [RSA_JWK, {**RSA_JWK, "alg": "PS256"}, EC_JWK, SHARED.to_jwk(private=True)]}
    with caplog.at_level(logging.INFO):
        keys = KeySet.from_jwks(both, algorithms=["PS256", "HS256"])
    assert kids_and_algorithms(keys) == [("rsa", "PS256"), ("shared", "HS256")]
    said = "is none of the algorithms that are taken"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"a key of the set is passed over: rsa: RS256 {said}"),
        ("INFO", f"a key of the set is passed over: ec: ES256 {said}"),
    ]


@pytest.mark.parametrize(
    "algorithms, reason",
    [
        ("ES256", r"must be a list of names, as in algorithms=\['ES256'\], not str"),
        (b"ES256", "must be a list of names, .*, not bytes"),
        (7, "must be a list of names, .*, not int"),
        ([], "must be a list of names, .*, not an empty one"),
        (set(), "must be a list of names, .*, not an empty one"),
        ({"ES256": 1}, "must be a list of names, .*, not dict"),
        (["ES256", "none"], "algorithm must be one of"),
        (["es256"], "algorithm must be one of"),
        ([None], "algorithm must be one of .*, not NoneType"),
        ({"ES256", 7}, "algorithm must be one of .*, not int"),
        (["ES256"] * 65, "must be a list of names"),
    ],
)
def test_algorithms_that_are_none_are_refused(algorithms: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        KeySet.from_jwks({"keys": [EC_JWK]}, algorithms=algorithms)


def test_the_same_key_twice_is_one_and_the_private_copy_counts() -> None:
    public, private = EC_JWK, EC.to_jwk(private=True)
    for entries in ([public, public], [public, private], [private, public], [private, private]):
        keys = read_jwks({"keys": [GOOD, *entries]})
        assert [listed.key.kid for listed in keys.keys] == ["ed", "ec"]
        assert keys.keys[1].key.can_sign == (private in entries)
        assert keys.passed_over == ()
    shared = SHARED.to_jwk(private=True)
    assert len(KeySet.from_jwks({"keys": [shared, shared]})) == 1


def test_of_a_key_that_stands_in_the_set_twice_each_says_what_the_other_does_not() -> None:
    private = {**EC.to_jwk(private=True), "iat": 7}
    public = {**EC_JWK, "iat": 5, "tokenwheel_signs_from": 9}
    for entries in ([private, public], [public, private]):
        (listed,) = read_jwks({"keys": entries}).keys
        assert (listed.key.can_sign, listed.made_at, listed.signs_from) == (True, 7, 9)


def test_of_two_keys_with_one_kid_and_algorithm_the_first_is_taken() -> None:
    other = {**Key.generate("ES256").to_jwk(private=True), "kid": "ec"}
    for entries in ([EC_JWK, other], [other, EC_JWK]):
        keys = read_jwks({"keys": entries})
        assert [listed.key.to_jwk()["x"] for listed in keys.keys] == [entries[0]["x"]]
        assert keys.passed_over == (
            PassedOver("ec", "another key of the set has its kid and its algorithm"),
        )
    broken = {**other, "x": "!"}
    keys = read_jwks({"keys": [broken, EC_JWK]})
    assert [listed.key.to_jwk() for listed in keys.keys] == [EC_JWK]


def test_one_kid_may_name_keys_of_several_kinds_and_algorithms() -> None:
    pairs = [EC, ED, RSA]
    jwks = {"keys": [{**key.to_jwk(private=True), "kid": "k"} for key in pairs]}
    jwks["keys"].append({**jwks["keys"][2], "alg": "PS256"})
    keys = KeySet.from_jwks(jwks)
    assert kids_and_algorithms(keys) == [
        ("k", "ES256"), ("k", "EdDSA"), ("k", "RS256"), ("k", "PS256"),
    ]  # fmt: skip
    with SessionManager(keys, issuer="i", audience="a") as manager:
        for jwk in jwks["keys"]:
            signing = KeySet.from_jwk(jwk)
            with SessionManager(signing, issuer="i", audience="a") as login:
                token = login.create(subject="ann").access_token
            assert manager.read(token).subject == "ann"
        stranger = Key.generate("ES256", kid="k")
        with SessionManager(KeySet(stranger), issuer="i", audience="a") as login:
            token = login.create(subject="ann").access_token
        with pytest.raises(InvalidAccessToken, match="signature is not by a key"):
            manager.read(token)


def test_several_secrets_without_a_kid_are_one_for_each_algorithm() -> None:
    jwks = [
        without(Key.generate(name).to_jwk(private=True), "kid")
        for name in ("HS256", "HS512", "HS256")
    ]
    keys = read_jwks({"keys": jwks})
    assert [listed.key.algorithm for listed in keys.keys] == ["HS256", "HS512"]
    assert [key.kid for key in keys.passed_over] == ["key 3"]


def test_times_are_read_and_nonsense_in_them_is_simply_not_said() -> None:
    for written, read in (
        (0, 0), (1_700_000_000, 1_700_000_000), (1.7e9, 1_700_000_000), (1.5, None), (-1, None),
        (True, None), ("7", None), (None, None), ([], None), (1e300, None), (10**400, None),
        (float("nan"), None), (float("inf"), None), (1_700_000_000_000, None),
    ):  # fmt: skip
        jwks = {"keys": [{**EC_JWK, "iat": written}], "tokenwheel_updated_at": written}
        for keys in (read_jwks(jwks), read_jwks(json.dumps(jwks))):
            assert (keys.keys[0].made_at, keys.updated_at) == (read, read)
            assert type(keys.updated_at) is type(read)
        if read is not None:
            jwks = {"keys": [{**EC_JWK, "tokenwheel_signs_from": written}]}
            assert read_jwks(jwks).keys[0].signs_from == read


def test_a_set_signs_with_the_key_that_began_last_where_it_says_so() -> None:
    def private(kid: str, signs_from: int | None) -> dict[str, Any]:
        said = {} if signs_from is None else {"tokenwheel_signs_from": signs_from}
        return {**EC.to_jwk(private=True), "kid": kid, **said}

    never = 99_999_999_999
    for entries, expected in (
        ([private("a", None), private("b", None)], "a"),
        ([private("a", None), private("b", 5)], "b"),
        ([private("a", 9), private("b", 5)], "a"),
        ([private("a", never), private("b", None)], "b"),
        ([private("a", never), private("b", never - 1)], "b"),
        ([{**EC_JWK, "kid": "p", "tokenwheel_signs_from": 5}, private("b", None)], "b"),
    ):
        signing = KeySet.from_jwks({"keys": entries}).signing
        assert signing is not None
        assert signing.kid == expected
        told = KeySet.from_jwks({"keys": entries}, signing="b").signing
        assert told is not None
        assert told.kid == "b"
    for signing_kid in ("p", "z", "", ["b"]):
        with pytest.raises(ConfigurationError, match="signing must be the kid of a key that can"):
            KeySet.from_jwks({"keys": [*entries]}, signing=signing_kid)  # type: ignore[arg-type]


def test_a_set_that_anybody_can_read_has_only_public_keys_taken() -> None:
    jwks = {"keys": [SHARED.to_jwk(private=True), EC.to_jwk(private=True), GOOD]}
    keys = read_jwks(jwks, only_public=True)
    assert [listed.key.kid for listed in keys.keys] == ["ed"]
    assert keys.passed_over == (
        PassedOver("shared", "a shared secret, which anybody can read there: make another"),
        PassedOver("ec", "a private key, which anybody can read there: make another"),
    )
    with pytest.raises(ConfigurationError, match="shared: a shared secret, which anybody") as e:
        read_jwks({"keys": jwks["keys"][:2]}, only_public=True)
    assert EC.to_jwk(private=True)["d"] not in str(e.value)


def test_a_public_key_is_not_taken_either_where_its_private_part_can_be_read_beside_it() -> None:
    private = EC.to_jwk(private=True)
    for entries in ([private, EC_JWK, GOOD], [{**EC_JWK, "kid": "x"}, GOOD, private]):
        keys = read_jwks({"keys": entries}, only_public=True)
        assert [listed.key.kid for listed in keys.keys] == ["ed"]
        assert {why for _, why, _ in keys.passed_over} == {
            "a private key, which anybody can read there: make another",
            "anybody can read its private part there: make another",
        }
    for more in ({"kid": ""}, {"use": "enc"}, {"alg": "ECDH-ES"}, {"tokenwheel_signs_from": "x"}):
        keys = read_jwks({"keys": [EC_JWK, {**private, **more}, GOOD]}, only_public=True)
        assert [listed.key.kid for listed in keys.keys] == ["ed"]
    for more in ({"x": f"{EC_JWK['x']}="}, {"d": ED.to_jwk(private=True)["d"]}):  # It isn't tried.
        keys = read_jwks({"keys": [EC_JWK, {**private, **more}, GOOD]}, only_public=True)
        assert [listed.key.kid for listed in keys.keys] == ["ed"]


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth"])
def test_any_private_member_makes_a_key_private_to_those_who_read_in_public(member: str) -> None:
    keys = read_jwks({"keys": [{**RSA_JWK, member: "AQAB"}, GOOD]}, only_public=True)
    assert [listed.key.kid for listed in keys.keys] == ["ed"]


def test_a_set_of_a_thousand_keys_is_taken_whole() -> None:
    jwk = EC_JWK
    jwks = {"keys": [{**jwk, "kid": str(number)} for number in range(1000)]}
    assert [key.kid for key in KeySet.from_jwks(json.dumps(jwks))] == [*map(str, range(1000))]


def test_a_subclass_makes_itself_and_a_set_that_was_read_can_be_changed() -> None:
    class Mine(KeySet):
        __slots__ = ()

    keys = Mine.from_jwks({"keys": [EC.to_jwk(private=True), {**RSA_JWK, "kid": "ec"}]})
    assert type(keys) is Mine
    keys.add(Key.from_secret(SECRET), sign=True)
    keys.remove("ec")
    assert kids_and_algorithms(keys) == [(None, "HS256")]


def test_a_set_that_follows_something_is_not_made_of_another() -> None:
    with pytest.raises(ConfigurationError, match=r"KeySet\.from_jwks reads a set once"):
        LivingKeySet.from_jwks({"keys": [EC_JWK]})


def test_what_is_published_is_taken_again_whole(generated: Callable[[], KeySet]) -> None:
    keys = generated()
    again = KeySet.from_jwks(json.dumps(keys.jwks()))
    assert again.jwks() == keys.jwks()


@pytest.fixture
def generated() -> Callable[[], KeySet]:
    return lambda: KeySet(EC, ED, RSA, SHARED, Key.generate("Ed448"), Key.generate("PS384"))


ABSENT = dict.fromkeys(
    ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "crv", "x", "y", "x5c", "x5t", "key_ops", "iat")
)


def test_a_member_that_is_null_is_none() -> None:
    """As .NET writes a key whole, the private members that a public one does not have among it."""
    jwk = RSA_JWK | ABSENT | {"alg": None}
    assert Key.from_jwk(jwk).kid == next(iter(KeySet.from_jwks({"keys": [jwk]}))).kid == "rsa"
    for given in ({"keys": [jwk]}, json.dumps({"keys": [jwk]})):
        read = read_jwks(given, only_public=True)
        assert [listed.key.kid for listed in read.keys] == ["rsa"]
        assert not read.passed_over
    with pytest.raises(ConfigurationError, match="the jwk has no 'n'"):
        Key.from_jwk(RSA_JWK | {"n": None})


@pytest.mark.parametrize("alg", ["HS256", "HS257"])
def test_a_kid_that_is_the_secret_of_its_key_is_never_shown(
    alg: str, caplog: pytest.LogCaptureFixture
) -> None:
    for member, key in {"k": SHARED, "d": EC}.items():
        jwk = key.to_jwk(private=True) | {"alg": alg}
        secret = jwk[member]
        for kid in (secret, f"my-{secret}"):
            read = read_jwks({"keys": [jwk | {"kid": kid}, GOOD]})
            tell_passed_over(read.passed_over, set())
            assert [listed.key.kid for listed in read.keys] == ["ed"]
            assert secret not in str(read.passed_over)
    assert "key 1" in caplog.text
    assert SHARED.to_jwk(private=True)["k"] not in caplog.text


def test_a_kid_that_ends_a_line_or_moves_the_cursor_is_told_in_plain_letters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kid = "a\r\nERROR \x1b]0;x\x07\u202e%s"
    tell_passed_over(read_jwks({"keys": [EC_JWK | {"kid": kid}, GOOD]}).passed_over, set())
    assert [record.getMessage().isprintable() for record in caplog.records] == [True]
