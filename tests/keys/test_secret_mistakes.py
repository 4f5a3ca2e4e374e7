"""A path, a URL or a variable in place of a shared secret is refused, though it is long enough."""

from __future__ import annotations

from base64 import b32encode, b64encode, b85encode, urlsafe_b64encode
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.keys.refusals import (
    JWK,
    PATH,
    PLACEHOLDER,
    UNSET,
    refused,
)
from tokenwheel import AsyncSessionManager, ConfigurationError, Key, KeySet, SessionManager

SETTINGS: dict[str, Any] = {"issuer": "i", "audience": "a"}

SECRETS_THAT_ARE_NONE = {
    "None": (None, f"is None: {UNSET}"),
    "nothing": ("", f"is empty: {UNSET}"),
    "a Path": (Path("keys/secret.txt"), PATH + "path.read_bytes()"),
    "a path": ("/etc/tokenwheel/keys/jwt-signing-secret.key", PATH + "Path(path).read_bytes()"),
    "a path of Docker": ("/run/secrets/signing_secret_of_2026", PATH + "Path(path).read_bytes()"),
    "a path of Windows": (
        r"C:\Program Files\Service\keys\jwt secret", PATH + "Path(path).read_bytes()",
    ),
    "a URL": (
        "https://login.example.com/.well-known/jwks.json",
        "is a URL, which is no secret: RemoteKeySet(url) follows the keys that are there",
    ),
    "a variable": ("${TOKENWHEEL_JWT_SIGNING_SECRET_OF_2026}", PLACEHOLDER),
    "a command": ("$(cat /run/secrets/jwt_signing_secret_of_2026)", PLACEHOLDER),
    "a template": ("{{ .Values.tokenwheel.signing.secret }}", PLACEHOLDER),
}  # fmt: skip


@pytest.mark.parametrize("mistake", SECRETS_THAT_ARE_NONE)
def test_a_place_in_place_of_a_shared_secret_is_named(mistake: str) -> None:
    """It is as long as a secret and known to everybody who can read the deployment."""
    value, sentence = SECRETS_THAT_ARE_NONE[mistake]
    for make in (Key.from_secret, KeySet.from_secret):
        refused(lambda m=make: m(value), f"a shared secret {sentence}", value)
    name = "a shared secret" if isinstance(value, str) else "keys"
    for manager in (SessionManager, AsyncSessionManager):
        refused(lambda m=manager: m(value, **SETTINGS), f"{name} {sentence}", value)


@given(octets=st.binary(min_size=32, max_size=64), name=st.sampled_from([
    bytes, b64encode, urlsafe_b64encode, b32encode, b85encode, bytes.hex]))  # fmt: skip
def test_random_bytes_are_taken_for_no_place_in_any_spelling(octets: bytes, name: Any) -> None:
    from tokenwheel.keys.forms.mistakes import mistake_in_secret

    spelled = name(octets)
    text = spelled.encode() if isinstance(spelled, str) else spelled
    if name is not bytes:
        assert mistake_in_secret(text) is None


def test_keys_that_are_no_set_are_told_the_call_that_makes_one() -> None:
    takes = "keys must be a shared secret (str or bytes), a Key or a KeySet, not "
    for value, sentence in (
        ([Key.generate("ES256")], takes + "list: KeySet(*keys) takes several Key"),
        (JWK, takes + "dict: Key.from_jwk takes a JSON Web Key"),
        (7, takes + "int"),
    ):
        refused(lambda v=value: SessionManager(v, **SETTINGS), sentence, None)


def test_a_public_key_where_one_must_sign_is_named() -> None:
    key = Key.from_jwk(JWK)
    refused(
        lambda: KeySet(key.public(), Key.generate("EdDSA", kid="b"), signing="ec"),
        "signing must be the kid of a key that can sign, and the key of that kid is public: hand "
        "over its private key",
        None,
    )
    refused(
        lambda: KeySet(key, signing="other"), "signing must be the kid of a key that can sign", None
    )
    with SessionManager(KeySet(key.public()), **SETTINGS) as manager:
        refused(
            lambda: manager.create(subject="ann"),
            "keys has only public keys: this manager reads, deletes and restricts, and cannot "
            "issue tokens",
            None,
        )


@pytest.mark.parametrize(
    "spell", [str, "svc-{}".format, lambda text: b64encode(text.encode()).decode()]
)
def test_a_secret_is_no_name_of_its_key(spell: Any) -> None:
    """Each token would show it."""
    secret = urlsafe_b64encode(token_bytes(40)).decode()
    sentence = "has the secret in it, which every token would show: make another key, and give it a"
    for make in (Key, KeySet):
        with pytest.raises(ConfigurationError, match=f"kid {sentence}") as caught:
            make.from_secret(secret, kid=spell(secret))
        assert secret not in str(caught.value)
        jwk = Key.generate("HS256").to_jwk(private=True)
        with pytest.raises(ConfigurationError, match=f"kid'? {sentence}"):
            make.from_jwk(jwk | {"kid": spell(jwk["k"])})
    assert Key.from_secret(secret, kid="2030-01").kid == "2030-01"
