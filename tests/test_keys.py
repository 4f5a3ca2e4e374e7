"""Keys and sets of them: made, read, written, replaced while in use."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import threading
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448
from jwt.algorithms import get_default_algorithms

from tests.support import SECRET, pyjws, secret_of
from tokenwheel import ConfigurationError, InvalidArgument, Key, KeySet
from tokenwheel.keys.key_parts import KeyParts

ALGORITHMS = [
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "ES256K",
    "EdDSA",
    "Ed25519",
    "Ed448",
]
ASYMMETRIC = [name for name in ALGORITHMS if not name.startswith("HS")]

RFC_7515_A1 = {
    "kty": "oct",
    "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
}
RFC_7515_A1_TOKEN = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c"
    "nVlfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
RFC_7515_A2 = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP"
    "1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHS"
    "XndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5I"
    "hlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
RFC_7515_A2_TOKEN = (
    "eyJhbGciOiJSUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c"
    "nVlfQ"
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2"
    "Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQ"
    "BMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6Ie"
    "YI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
RFC_7515_A3 = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
RFC_7515_A3_TOKEN = (
    "eyJhbGciOiJFUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c"
    "nVlfQ"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
RFC_7515_A4 = {
    "kty": "EC",
    "crv": "P-521",
    "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
}
RFC_7515_A4_TOKEN = (
    "eyJhbGciOiJFUzUxMiJ9"
    ".UGF5bG9hZA"
    ".AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtA"
    "G8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)
RFC_8037 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC_8037_PRIVATE = {**RFC_8037, "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}
RFC_8037_TOKEN = (
    "eyJhbGciOiJFZERTQSJ9"
    ".RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


def unchecked(jwk: dict[str, str], algorithm: str) -> Key:
    """Return the key of a JWK that is refused, since anybody has it, but whose use is known."""
    material = get_default_algorithms()[algorithm].from_jwk(jwk)
    if jwk["kty"] == "oct":
        parts = KeyParts(algorithm, secret=material)
    elif "d" in jwk:
        parts = KeyParts(algorithm, private=material, public=material.public_key())
    else:
        parts = KeyParts(algorithm, public=material)
    return Key._make(parts, None)


@pytest.fixture(scope="module")
def generated() -> Callable[[str], Key]:
    made: dict[str, Key] = {}
    return lambda algorithm: made.setdefault(algorithm, Key.generate(algorithm, kid=algorithm))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_verifies_what_it_signed_and_nothing_else(
    generated: Callable[[str], Key], algorithm: str
) -> None:
    key = generated(algorithm)
    signature = key.sign(b"message")
    assert key.verify(b"message", signature) is True
    for message, wrong in (
        (b"massage", signature),
        (b"message", signature[:-1]),
        (b"message", signature + b"\0"),
        (b"message", b""),
        (b"message", signature[::-1]),
    ):
        assert key.verify(message, wrong) is False


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pyjwt_and_a_key_agree(generated: Callable[[str], Key], algorithm: str) -> None:
    key = generated(algorithm)
    material = key._secret if key._secret is not None else key.to_pem(private=True)
    token = pyjws().encode(b'{"a":1}', material, algorithm)
    signed, _, signature = token.rpartition(".")
    assert key.verify(signed.encode(), jwt.utils.base64url_decode(signature))
    verifier = material if key._secret is not None else key.to_pem()
    ours = f"{signed}.{jwt.utils.base64url_encode(key.sign(signed.encode())).decode()}"
    assert pyjws().decode(ours, verifier, [algorithm]) == b'{"a":1}'


@pytest.mark.parametrize(
    "jwk, algorithm, token",
    [
        (RFC_7515_A1, "HS256", RFC_7515_A1_TOKEN),
        (RFC_7515_A2, "RS256", RFC_7515_A2_TOKEN),
        (RFC_7515_A3, "ES256", RFC_7515_A3_TOKEN),
        (RFC_7515_A4, "ES512", RFC_7515_A4_TOKEN),
        (RFC_8037, "EdDSA", RFC_8037_TOKEN),
    ],
)
def test_the_examples_of_the_rfcs_verify(jwk: dict[str, str], algorithm: str, token: str) -> None:
    signed, _, signature = token.rpartition(".")
    assert unchecked(jwk, algorithm).verify(signed.encode(), jwt.utils.base64url_decode(signature))


@pytest.mark.parametrize(
    "jwk, algorithm, token",
    [(RFC_7515_A1, "HS256", RFC_7515_A1_TOKEN), (RFC_8037_PRIVATE, "EdDSA", RFC_8037_TOKEN)],
)
def test_the_examples_of_the_rfcs_are_signed_alike(
    jwk: dict[str, str], algorithm: str, token: str
) -> None:
    signed, _, signature = token.rpartition(".")
    assert unchecked(jwk, algorithm).sign(signed.encode()) == jwt.utils.base64url_decode(signature)


def test_the_thumbprint_is_that_of_rfc_8037_appendix_a_3() -> None:
    assert unchecked(RFC_8037, "EdDSA").kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_key_pair_goes_through_pem_and_jwk_and_back(
    generated: Callable[[str], Key], algorithm: str
) -> None:
    key = generated(algorithm)
    signature = key.sign(b"message")
    private = [
        Key.from_pem(key.to_pem(private=True), algorithm),
        Key.from_jwk(key.to_jwk(private=True)),
        Key.from_jwk(json.dumps(key.to_jwk(private=True))),
    ]
    public = [
        Key.from_pem(key.to_pem().decode(), algorithm),
        Key.from_jwk(key.to_jwk()),
        key.public(),
    ]
    for twin in private:
        assert twin.can_sign
        assert key.verify(b"message", twin.sign(b"message"))
    for twin in public:
        assert not twin.can_sign
        assert twin.verify(b"message", signature)
        with pytest.raises(ConfigurationError, match="a public key signs nothing"):
            twin.sign(b"message")
        with pytest.raises(ConfigurationError, match="a public key has no private part"):
            twin.to_jwk(private=True)
        with pytest.raises(ConfigurationError, match="has no such part in PEM form"):
            twin.to_pem(private=True)
    assert private[1].kid == public[1].kid == public[2].kid == algorithm
    assert private[0].kid == public[0].kid
    assert set(key.to_jwk()) - {"crv", "e", "n", "x", "y"} == {"kty", "kid", "alg", "use"}
    assert set(key.to_jwk(private=True)) - set(key.to_jwk()) == (
        {"d"} if "e" not in key.to_jwk() else {"d", "p", "q", "dp", "dq", "qi"}
    )


def test_an_ed448_key_pair_goes_through_pem_and_jwk_and_back() -> None:
    pem = ed448.Ed448PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = Key.from_pem(pem, "EdDSA")
    published = key.to_jwk()
    assert (published["crv"], published["kid"]) == ("Ed448", key.kid)
    assert Key.from_jwk(published).verify(
        b"message", Key.from_jwk(key.to_jwk(private=True)).sign(b"message")
    )


def test_a_shared_secret_goes_through_jwk_and_has_no_public_part() -> None:
    key = Key.from_secret(secret_of("s").encode(), kid="one")
    assert Key.from_jwk(key.to_jwk(private=True)).sign(b"m") == key.sign(b"m")
    for publish, reason in (
        (key.public, "a shared secret has no public part"),
        (key.to_jwk, "a shared secret has no public part"),
        (key.to_pem, "has no such part in PEM form"),
        (lambda: key.to_pem(private=True), "has no such part in PEM form"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            publish()


def test_a_secret_without_a_kid_has_none_in_its_jwk() -> None:
    assert "kid" not in Key.from_secret(secret_of("s").encode()).to_jwk(private=True)


def test_a_kid_that_is_given_counts_more_than_that_of_the_key_itself() -> None:
    key = Key.generate("ES256", kid="own")
    longest = "k" * 128
    for pem in (key.to_pem(), key.to_pem(private=True)):
        assert Key.from_pem(pem, "ES256", kid=longest).kid == longest
    assert Key.from_jwk(key.to_jwk(), kid="given").kid == "given"
    with pytest.raises(ConfigurationError, match="kid must be 1 to 128 printable ASCII"):
        Key.from_jwk(key.to_jwk(), kid=longest + "k")


def test_a_shared_secrets_jwk_must_allow_both_to_sign_and_to_verify() -> None:
    for operations, is_taken in (
        (["sign", "verify"], True),
        (["sign"], False),
        (["verify"], False),
    ):
        jwk = {**Key.generate("HS256").to_jwk(private=True), "key_ops": operations}
        if is_taken:
            assert Key.from_jwk(jwk, "HS256").can_sign
        else:
            with pytest.raises(ConfigurationError, match="its 'key_ops' allow sign and verify"):
                Key.from_jwk(jwk, "HS256")


def test_a_jwk_without_its_secret_is_told_which_member_it_lacks() -> None:
    with pytest.raises(ConfigurationError, match="the jwk has no 'k'"):
        Key.from_jwk({"kty": "oct"}, "HS256")


@pytest.mark.parametrize("pem, password", [(7, None), (None, None), ("pem", 7), (7, "secret")])
def test_a_pem_or_password_that_is_no_text_is_refused(pem: Any, password: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"must be str or bytes, not int|pem is None"):
        Key.from_pem(pem, "ES256", password=password)


def test_a_generated_rsa_key_has_3072_bits() -> None:
    assert Key.generate("RS256")._public.key_size == 3072


def test_the_repr_of_a_key_says_of_what_kind_it_is() -> None:
    private = Key.generate("ES256", kid="a")
    secret = Key.from_secret(secret_of("s").encode())
    assert [repr(key) for key in (secret, private, private.public())] == [
        "<Key HS256, shared secret, kid=None>",
        "<Key ES256, private, kid='a'>",
        "<Key ES256, public, kid='a'>",
    ]


def test_an_encrypted_pem_needs_its_password() -> None:
    key = Key.generate("ES256")
    pem = key._private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"correct horse"),
    )
    assert Key.from_pem(pem, "ES256", password="correct horse").kid == key.kid
    for password, reason in (
        (None, "password= is missing"),
        ("wrong", "password is not the one"),
        (b"wrong", "password is not the one"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            Key.from_pem(pem, "ES256", password=password)
    assert [one.kid for one in KeySet.from_pem(pem, "ES256", password="correct horse")] == [key.kid]


def test_a_key_cannot_be_changed_pickled_or_made_by_hand() -> None:
    key = Key.from_secret(SECRET)
    with pytest.raises(AttributeError, match="a Key cannot be changed"):
        key.algorithm = "none"
    with pytest.raises(AttributeError, match="a Key cannot be changed"):
        del key.kid
    for secret_holder in (key, KeySet(key)):
        with pytest.raises(TypeError, match="do not belong where pickles go"):
            pickle.dumps(secret_holder)
    assert copy.copy(key) is copy.deepcopy(key) is key
    with pytest.raises(ConfigurationError, match="a Key is made by from_secret"):
        Key()


def test_a_set_signs_with_the_first_key_that_can_unless_told() -> None:
    public, first, second = (
        Key.generate("ES256", kid="p").public(),
        Key.generate("ES256", kid="a"),
        Key.generate("EdDSA", kid="b"),
    )
    assert KeySet(public, first, second).signing is first
    assert KeySet(public, first, second, signing="b").signing is second
    assert KeySet(public).signing is None
    keys = KeySet(public, first, second)
    assert (len(keys), list(keys), "a" in keys, "z" in keys) == (
        3,
        [public, first, second],
        True,
        False,
    )


def test_a_set_that_makes_no_sense_is_refused() -> None:
    key = Key.generate("ES256", kid="a")
    unnamed = Key.from_secret(SECRET)
    for arguments, signing, reason in (
        ((), None, "one or more Key"),
        ((key, key), None, "a kid of their own each"),
        ((unnamed, Key.from_secret(secret_of("t"))), None, "a kid of their own each"),
        ((key,), "z", "the kid of a key that can sign"),
        ((key,), ["a"], "the kid of a key that can sign"),
        ((key.public(),), "a", "the kid of a key that can sign"),
        (("a",), None, "one or more Key"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            KeySet(*arguments, signing=signing)  # type: ignore[arg-type]


def test_jwks_gives_the_public_keys_and_nothing_private() -> None:
    keys = KeySet(
        Key.generate("ES256", kid="a"), Key.from_secret(SECRET), Key.generate("EdDSA", kid="b")
    )
    published = keys.jwks()
    assert [(jwk["kid"], jwk["alg"], jwk["use"]) for jwk in published["keys"]] == [
        ("a", "ES256", "sig"),
        ("b", "EdDSA", "sig"),
    ]
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & {
        name for jwk in published["keys"] for name in jwk
    }
    verifying = KeySet.from_jwks(json.dumps(published))
    assert verifying.signing is None
    assert [key.kid for key in verifying] == ["a", "b"]


def test_the_constructors_of_a_set_make_one_key() -> None:
    key = Key.generate("ES256")
    assert KeySet.from_secret(SECRET).signing is not None
    for keys in (
        KeySet.from_pem(key.to_pem(private=True), "ES256"),
        KeySet.from_jwk(key.to_jwk(private=True)),
    ):
        assert [member.kid for member in keys] == [key.kid]
    unnamed = {name: value for name, value in key.to_jwk().items() if name not in {"alg", "kid"}}
    for keys in (
        KeySet.from_secret(secret_of("s", 64), "HS512", kid="a"),
        KeySet.from_pem(key.to_pem(), "ES256", kid="a"),
        KeySet.from_jwk(unnamed, "ES256", kid="a"),
    ):
        assert [member.kid for member in keys] == ["a"]
    assert [member.algorithm for member in KeySet.from_secret(secret_of("s", 64), "HS512")] == [
        "HS512"
    ]
    whole = [Key.generate("ES256", kid=kid).to_jwk(private=True) for kid in ("a", "b")]
    for kid in ("a", "b"):
        signing = KeySet.from_jwks({"keys": whole}, signing=kid).signing
        assert signing is not None
        assert signing.kid == kid


def test_a_set_changes_while_in_use_and_tells_its_subscribers() -> None:
    class Follower:
        def __init__(self, keys: KeySet) -> None:
            self.saw: list[list[str | None]] = []
            self.keys = keys
            keys.subscribe(self.follow)

        def follow(self) -> None:
            self.saw.append([key.kid for key in self.keys])

    keys = KeySet(Key.generate("ES256", kid="a"))
    follower = Follower(keys)
    added = Key.generate("ES256", kid="b")
    keys.add(added, sign=True)
    assert keys.signing is added
    keys.sign_with("a")
    assert keys.signing is not None
    assert keys.signing.kid == "a"
    keys.remove("b")
    assert follower.saw == [["a", "b"], ["a", "b"], ["a"]]
    del follower
    gc.collect()
    keys.add(Key.generate("ES256", kid="c"))
    assert keys._subscribers == []


def test_a_subscriber_may_change_the_set_and_subscribe_others() -> None:
    keys, calls = KeySet(Key.generate("ES256", kid="a")), []
    spare = Key.generate("ES256", kid="b")

    def second() -> None:
        calls.append("second")

    def first() -> None:
        calls.append("first")
        if "b" not in keys:
            keys.subscribe(second)
            keys.add(spare)

    keys.subscribe(first)
    keys.sign_with("a")
    assert calls == ["first", "first", "second"]
    calls.clear()
    keys.remove("b")
    assert "b" in keys
    assert set(calls) == {"first", "second"}


def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing() -> None:
    keys = KeySet(Key.generate("ES256", kid="a"), Key.generate("ES256", kid="p").public())
    unknown = "kid must be that of a key of the set"
    changes: list[tuple[Callable[[], Any], str]] = [
        (lambda: keys.add(Key.generate("EdDSA", kid="a")), "has a key with this kid already"),
        (lambda: keys.add(Key.generate("EdDSA", kid="q").public(), sign=True), "cannot sign"),
        (lambda: keys.add("key"), "key must be a Key"),  # type: ignore[arg-type]
        (lambda: keys.sign_with("p"), "a public key cannot sign"),
        (lambda: keys.sign_with("z"), unknown),
        (lambda: keys.remove("a"), "the key that signs, and the last one, cannot be removed"),
        (lambda: keys.remove("z"), unknown),
        (lambda: keys.remove(None), unknown),
        (lambda: keys.sign_with(["a"]), unknown),  # type: ignore[arg-type]
    ]
    for change, reason in changes:
        with pytest.raises(InvalidArgument, match=reason):
            change()
    assert [key.kid for key in keys] == ["a", "p"]
    only = KeySet(Key.generate("ES256", kid="a").public())
    with pytest.raises(InvalidArgument, match="the last one, cannot be removed"):
        only.remove("a")


def test_keys_added_by_many_threads_all_arrive() -> None:
    keys = KeySet(Key.from_secret(SECRET))
    more = [Key.from_secret(secret_of("t"), kid=str(number)) for number in range(64)]
    threads = [
        threading.Thread(target=lambda part=part: [keys.add(key) for key in more[part::8]])
        for part in range(8)
    ]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 65
