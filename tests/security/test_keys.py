"""Keys that must be refused before they are used, and what must never be seen of a key.

See RFC 7518, RFC 8725 and the advisories of peers.
"""

from __future__ import annotations

import json
import traceback
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from tests.support import SECRET, secret_of
from tokenwheel import ConfigurationError, Key, KeySet, SessionManager

OPTIONS = {"issuer": "i", "audience": "a"}


def pem_of(private: Any) -> bytes:
    pem: bytes = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem


def b64(number: int, length: int) -> str:
    return urlsafe_b64encode(number.to_bytes(length, "big")).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm, length", [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_an_hmac_secret_shorter_than_its_hash_refuses_to_start(algorithm: str, length: int) -> None:
    with pytest.raises(ConfigurationError, match=str(length)):
        Key.from_secret("s" * (length - 1), algorithm)
    assert Key.from_secret(secret_of("s", length), algorithm).can_sign
    short = {
        "kty": "oct",
        "k": urlsafe_b64encode(b"s" * (length - 1)).decode().rstrip("="),
        "alg": algorithm,
    }
    with pytest.raises(ConfigurationError, match=str(length)):
        Key.from_jwk(short)


def test_cve_2022_29217_a_public_key_used_as_an_hmac_secret_is_refused_in_every_form() -> None:
    for key in (Key.generate("ES256"), Key.generate("RS256"), Key.generate("EdDSA")):
        spki = key._public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        private_der = key._private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        ssh = key._public.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        forms = [
            key.to_pem(),
            b"\n " + key.to_pem(),
            key.to_pem(private=True),
            ssh,
            b" " + ssh,
            spki,
            json.dumps(key.to_jwk()).encode(),
        ]
        forms += [
            private_der,
            json.dumps(KeySet(key).jwks()).encode(),
            b"---- BEGIN SSH2 PUBLIC KEY ----\n" + ssh.split()[1],
        ]
        forms += [
            json.dumps(key.to_jwk(private=True), indent=4).encode(),
            key.to_pem().replace(b"\n", b"\r\n"),
        ]
        for form in forms:
            for algorithm in ("HS256", "HS384"):
                if len(form) >= 48:
                    with pytest.raises(ConfigurationError, match="PEM, SSH, DER or JWK"):
                        Key.from_secret(form, algorithm)
                with pytest.raises(ConfigurationError, match="PEM, SSH, DER or JWK"):
                    SessionManager(form, algorithm=algorithm, **OPTIONS)  # type: ignore[arg-type]


def test_rsa_under_2048_bits_refuses_to_start() -> None:
    weak = rsa.generate_private_key(65537, 1024)
    public = weak.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for pem in (pem_of(weak), public):
        with pytest.raises(ConfigurationError, match="2048"):
            Key.from_pem(pem, "RS256")
    strong = rsa.generate_private_key(65537, 2048)
    assert Key.from_pem(pem_of(strong), "PS512").can_sign


@pytest.mark.parametrize(
    "algorithm, curve",
    [
        ("ES256", ec.SECP384R1()),
        ("ES384", ec.SECP256R1()),
        ("ES512", ec.SECP256K1()),
        ("ES256K", ec.SECP256R1()),
    ],
)
def test_a_key_on_another_curve_than_the_algorithms_is_refused(
    algorithm: str, curve: ec.EllipticCurve
) -> None:
    with pytest.raises(ConfigurationError, match="curve"):
        Key.from_pem(pem_of(ec.generate_private_key(curve)), algorithm)


def test_a_key_of_another_kind_than_the_algorithms_is_refused() -> None:
    kinds = {
        "RS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        "ed448": ed448.Ed448PrivateKey.generate(),
        "dsa": dsa.generate_private_key(2048),
    }
    for algorithm in ("RS256", "PS256", "ES256", "ES256K", "EdDSA", "Ed25519", "Ed448", "HS256"):
        for kind, private in kinds.items():
            fits = kind == algorithm or (kind, algorithm) in {
                ("RS256", "PS256"),
                ("ed448", "EdDSA"),
                ("ed448", "Ed448"),
                ("EdDSA", "Ed25519"),
            }
            if fits:
                assert Key.from_pem(pem_of(private), algorithm).can_sign
            else:
                with pytest.raises(ConfigurationError, match=f"^{algorithm} needs an? "):
                    Key.from_pem(pem_of(private), algorithm)
    with pytest.raises(ConfigurationError, match="and not with RS256"):
        Key.from_secret(secret_of("s", 64), "RS256")


@pytest.mark.parametrize(
    "algorithm",
    ["none", "None", "NONE", "nOnE", "", "HS1", "hs256", "RS257", "dir", None, 7, ["HS256"]],
)
def test_no_algorithm_but_the_listed_ones_exists_in_any_spelling(algorithm: Any) -> None:
    for make in (
        lambda: Key.generate(algorithm),
        lambda: Key.from_secret(secret_of("s", 64), algorithm),
        lambda: Key.from_pem(b"", algorithm),
    ):
        with pytest.raises(ConfigurationError, match="algorithm"):
            make()
    if algorithm is not None:  # As an 'alg' that is null, it is none.
        with pytest.raises(ConfigurationError, match=r"'alg' must be one of|for encryption"):
            Key.from_jwk({"kty": "oct", "k": "A" * 86, "alg": algorithm})


def test_an_off_curve_point_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="malformed"):
        Key.from_jwk(
            {"kty": "EC", "crv": "P-256", "x": b64(1, 32), "y": b64(1, 32), "alg": "ES256"}
        )


@pytest.mark.parametrize("algorithm, part", [("ES256", "x"), ("EdDSA", "x"), ("RS256", "n")])
def test_a_private_key_whose_public_part_is_anothers_is_refused(algorithm: str, part: str) -> None:
    mine, theirs = Key.generate(algorithm).to_jwk(private=True), Key.generate(algorithm).to_jwk()
    public = {name: theirs[name] for name in theirs if name not in ("kid", "alg", "use")}
    for change in ({part: theirs[part]}, public):
        with pytest.raises(ConfigurationError, match="do not belong together"):
            Key.from_jwk({**mine, **change})


def test_a_certificate_used_as_an_hmac_secret_is_refused() -> None:
    private, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")]),
    )
    day = datetime(2026, 1, 1, tzinfo=UTC)
    unsigned = x509.CertificateBuilder(
        name, name, private.public_key(), 1, day, day + timedelta(days=1)
    )
    certificate = unsigned.sign(private, hashes.SHA256())
    for encoding in (serialization.Encoding.DER, serialization.Encoding.PEM):
        with pytest.raises(ConfigurationError, match="PEM, SSH, DER or JWK"):
            Key.from_secret(certificate.public_bytes(encoding))


def test_a_jwk_for_one_algorithm_serves_no_other() -> None:
    jwk = Key.generate("RS256").to_jwk()
    assert Key.from_jwk(jwk, "RS256").algorithm == "RS256"
    for other in ("PS256", "RS512", "HS256"):
        with pytest.raises(ConfigurationError, match="alg"):
            Key.from_jwk(jwk, other)


def test_key_ops_must_allow_what_the_key_would_do() -> None:
    private, shared = Key.generate("ES256"), Key.generate("HS256")
    for jwk, allowed in (
        (private.to_jwk(private=True), ["sign"]),
        (private.to_jwk(), ["verify"]),
        (shared.to_jwk(private=True), ["sign", "verify"]),
    ):
        assert Key.from_jwk({**jwk, "key_ops": allowed}).algorithm == jwk["alg"]
        for operations in (
            [],
            allowed[:-1],
            ["deriveKey"],
            "sign verify",
            {"sign": 1, "verify": 1},
        ):
            with pytest.raises(ConfigurationError, match="key_ops"):
                Key.from_jwk({**jwk, "key_ops": operations})


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"use": "enc"}, "'use' must be 'sig'"),
        ({"key_ops": ["encrypt"]}, "'key_ops' allow sign"),
        ({"key_ops": "sign"}, "'key_ops' allow sign"),
        ({"alg": "ES384"}, "ES384 needs an elliptic-curve key on P-384, and the jwk is"),
        ({"kty": "oct"}, "ES256 needs an elliptic-curve key on P-256, and the jwk is a sh"),
        ({"kty": "RSA"}, "ES256 needs an elliptic-curve key on P-256, and the jwk is an R"),
        ({"crv": "P-384"}, "and the jwk is an elliptic-curve key on P-384"),
        ({"x": "!"}, "'x' is not base64url"),
        ({"x": None}, "has no 'x'"),
        ({"kid": ""}, "kid must be 1 to 128 printable ASCII characters"),
        ({"kid": 7}, "kid must be 1 to 128 printable ASCII characters"),
    ],
)
def test_a_jwk_that_is_not_for_this_is_refused(change: dict[str, Any], reason: str) -> None:
    jwk = Key.generate("ES256").to_jwk(private=True)
    with pytest.raises(ConfigurationError, match=reason):
        Key.from_jwk({**jwk, **change})


@pytest.mark.parametrize(
    "text", ["", "x", b"\xff", "[]", "7", "null", "[" * 100_000, None, 7, "{}"]
)
def test_what_is_no_key_at_all_is_refused(text: Any) -> None:
    for make, reason in (
        (lambda: Key.from_jwk(text, "ES256"), "jwk (must be|is) |the jwk has no 'kty'"),
        (lambda: Key.from_pem(text, "ES256"), "pem (must be|is) "),
        (lambda: KeySet.from_jwks(text), "jwks (must be|is|must have a member 'keys') ?"),
        (lambda: KeySet.from_jwk(text), "jwk (must be|is) |the jwk has no 'kty'"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            make()


@pytest.mark.parametrize("kid", ["", "x" * 129, "é", "a\nb", "a\0", 7, b"a"])
def test_a_kid_that_cannot_be_one_is_refused(kid: Any) -> None:
    with pytest.raises(ConfigurationError, match="kid"):
        Key.from_secret(SECRET, kid=kid)


def test_nothing_of_a_key_is_in_a_repr_or_an_error() -> None:
    secret = "correct horse battery staple and more"
    pem = Key.generate("ES256").to_pem(private=True).decode()
    jwk = Key.generate("ES256").to_jwk(private=True)
    said = [
        repr(Key.from_secret(secret)),
        repr(KeySet.from_secret(secret)),
        repr(Key.from_pem(pem, "ES256")),
        repr(Key.from_jwk(jwk)),
    ]
    attempts = [
        (lambda: Key.from_secret(secret, "HS512"), "must have at least 64 bytes"),
        (lambda: Key.from_secret(secret + "\udc80"), "without lone surrogates"),
        (lambda: Key.from_secret(pem), "PEM, SSH, DER or JWK"),
        (lambda: Key.from_pem(pem[:-40], "ES256"), "pem is cut off"),
        (lambda: Key.from_pem(pem, "RS256"), "needs an RSA key"),
        (lambda: Key.from_pem(pem[:60] + "\udc80" + pem[60:], "ES256"), "pem is damaged"),
        (lambda: Key.from_pem(pem, "ES256", password=secret + "\udc80"), "pem is not encr"),
        (lambda: Key.from_pem(pem, "ES256", password=secret), "pem is not encrypted"),
        (lambda: Key.from_jwk({**jwk, "d": jwk["d"][:-2]}), "'d' is not base64url"),
        (lambda: Key.from_jwk({**jwk, "alg": "ES384"}), "needs an elliptic-curve key on P-384"),
        (lambda: Key.from_jwk(json.dumps(jwk)[:-5]), "jwk is broken JSON"),
        (lambda: KeySet.from_jwks({"keys": [{**jwk, "x": jwk["d"]}]}), "the jwk is malformed"),
    ]
    for attempt, reason in attempts:
        with pytest.raises(ConfigurationError, match=reason) as caught:
            attempt()
        said.append("".join(traceback.format_exception(caught.value)).replace("\n", " "))
        error: BaseException | None = caught.value
        while error is not None:
            said.append(f"{error!s} {error.args} {vars(error)}")
            error = error.__cause__ or error.__context__
    pieces = [secret[:13], jwk["d"][:10], pem.splitlines()[1][:16]]
    for text in said:
        assert not [piece for piece in pieces if piece in text]
