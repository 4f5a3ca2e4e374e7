"""What the text of a key file says, be it a JWK, a JWK Set or PEM."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.support import secret_of
from tokenwheel import ConfigurationError, Key
from tokenwheel.keys.file.file_text import LONGEST_KEY_TEXT, read_key_text

EC = Key.generate("ES256", kid="ec")
SHARED = Key.from_secret(secret_of("file"), kid="shared")
RSA = Key.generate("RS256", kid="rsa")
TIMES = {"iat": 1_700_000_000, "tokenwheel_signs_from": 1_700_003_600}
MARK = b"\xef\xbb\xbf"


def _jwk(key: Key = EC, **more: Any) -> bytes:
    return json.dumps(key.to_jwk(private=key.can_sign) | more, indent=1).encode()


def _jwks(*jwks: bytes, **more: Any) -> bytes:
    return json.dumps({"keys": [json.loads(jwk) for jwk in jwks]} | more, indent=1).encode()


def _refusal(text: bytes, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_key_text(text, **options)
    assert caught.value.__cause__ is None
    return str(caught.value)


FORMS = {"a JWK": _jwk(), "a JWK Set": _jwks(_jwk()), "PEM": EC.to_pem(private=True)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mark", [b"", MARK], ids=["", "byte order mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_each_form_is_read_with_whatever_an_editor_puts_there(
    form: str, mark: bytes, end: bytes
) -> None:
    text = mark + end + FORMS[form].replace(b"\n", end) + end * 2
    (listed,) = read_key_text(text).keys
    assert listed.key.to_jwk() | {"kid": "ec"} == EC.to_jwk()
    assert listed.key.can_sign


@pytest.mark.parametrize("wrap", [lambda jwk: jwk, _jwks], ids=["a JWK", "a JWK Set"])
def test_the_times_of_a_key_come_along(wrap: Any) -> None:
    (listed,) = read_key_text(wrap(_jwk(**TIMES))).keys
    assert (listed.made_at, listed.signs_from) == (1_700_000_000, 1_700_003_600)


def test_a_jwk_is_a_set_of_one_and_may_say_when_it_was_changed() -> None:
    assert read_key_text(_jwk(tokenwheel_updated_at=1_700_000_001)).updated_at == 1_700_000_001
    text = _jwks(_jwk(), tokenwheel_updated_at=1_700_000_001)
    assert read_key_text(text).updated_at == 1_700_000_001


NO_TIMES = [True, 1.5, -1, 10**12, 10**400, "1700000000", [], {}]


@pytest.mark.parametrize("time", NO_TIMES, ids=lambda time: str(time)[:9])
def test_a_time_of_ours_that_is_none_is_refused_by_its_name(time: Any) -> None:
    """It would decide who signs. So no other key of the set is taken either."""
    for member in ("tokenwheel_signs_from", "tokenwheel_updated_at"):
        assert f"'{member}'" in _refusal(_jwk(**{member: time}))
    assert "'tokenwheel_signs_from'" in _refusal(
        _jwks(_jwk(SHARED), _jwk(tokenwheel_signs_from=time))
    )
    assert "'tokenwheel_updated_at'" in _refusal(_jwks(_jwk(), tokenwheel_updated_at=time))


@pytest.mark.parametrize("time", NO_TIMES, ids=lambda time: str(time)[:9])
@pytest.mark.parametrize("wrap", [lambda jwk: jwk, _jwks], ids=["a JWK", "a JWK Set"])
def test_another_member_that_is_no_time_is_passed_over(time: Any, wrap: Any) -> None:
    """Others write an ``iat`` of their own, and nothing is decided by it here."""
    (listed,) = read_key_text(wrap(_jwk(iat=time))).keys
    assert listed.made_at is None


def test_all_keys_of_a_pem_are_taken() -> None:
    text = b"".join(key.to_pem(private=key is not RSA) for key in (EC, RSA)) + EC.to_pem()
    listed = read_key_text(text).keys
    assert [(each.key.algorithm, each.key.can_sign) for each in listed] == [
        ("ES256", True),
        ("RS256", False),
    ]


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "ES256K", "EdDSA", "RS256"])
@pytest.mark.parametrize("private", [True, False], ids=["private", "public"])
def test_a_pem_needs_no_algorithm(algorithm: str, private: bool) -> None:
    key = RSA if algorithm == "RS256" else Key.generate(algorithm)
    (listed,) = read_key_text(key.to_pem(private=private)).keys
    assert (listed.key.algorithm, listed.key.can_sign) == (algorithm, private)
    assert listed.key.to_jwk() | {"kid": "k"} == key.to_jwk() | {"kid": "k"}


def test_an_algorithm_that_is_given_is_what_an_rsa_key_is_for() -> None:
    (of_pem,) = read_key_text(RSA.to_pem(private=True), algorithm="PS512").keys
    assert of_pem.key.algorithm == "PS512"
    without = {name: value for name, value in RSA.to_jwk(private=True).items() if name != "alg"}
    (of_jwk,) = read_key_text(json.dumps(without).encode(), algorithm="PS512").keys
    assert of_jwk.key.algorithm == "PS512"
    text = _jwks(json.dumps(without).encode(), _jwk(SHARED), _jwk())
    assert [listed.key.algorithm for listed in read_key_text(text, algorithm="PS512").keys] == [
        "PS512",
        "HS256",
        "ES256",
    ]


def test_an_encrypted_key_is_read_with_its_password() -> None:
    password = secret_of("password", 12)
    encrypted = RSA._private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )
    for given_password in (password, password.encode()):
        (listed,) = read_key_text(encrypted, password=given_password).keys
        assert listed.key.can_sign
    for wrong in (None, "another"):
        assert password not in _refusal(encrypted, password=wrong)


def test_a_password_for_what_is_not_encrypted_is_refused() -> None:
    assert "leave password= out" in _refusal(_jwk(), password="p")


def test_what_is_no_key_file_is_refused() -> None:
    assert _refusal(b" \r\n") == "the key file is empty"
    assert _refusal(MARK) == "the key file is empty"
    assert f"{LONGEST_KEY_TEXT} bytes" in _refusal(b" " * (LONGEST_KEY_TEXT + 1))
    assert "the key file is a list" in _refusal(b"[]")
    assert "algorithm must be one of" in _refusal(_jwk(), algorithm="none")
    for text in (b"secret", _jwk()[:-5], b"<html>", _jwk().decode().encode("utf-16"), b"\0" * 9):
        assert _refusal(text)


def test_a_weak_key_is_refused_as_anywhere() -> None:
    weak = rsa.generate_private_key(65537, 1024).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    assert "2048 bits" in _refusal(weak)


@given(
    text=st.binary(max_size=60)
    | st.builds(
        lambda form, at, octets: FORMS[form][:at] + octets + FORMS[form][at:],
        st.sampled_from([*FORMS]),
        st.integers(0, 400),
        st.binary(max_size=4),
    )
)
def test_any_text_is_read_or_refused_without_showing_it(text: bytes) -> None:
    said = ""
    try:
        assert read_key_text(text).keys
    except ConfigurationError as error:
        said = f"{error!r} {error.__context__!r}"
    assert EC.to_jwk(private=True)["d"] not in said
