"""A refusal names the mistake and the call that would be right, and tells nothing of the key.

What was handed in is the key of a stranger's deployment, in whatever form it came. Each form is
tried at each door that it can come in by. The sentences are written out, so that a change of one is
seen here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.keys.made_keys import (
    P256,
    PASSWORD,
    TRADITIONAL,
    certificate,
    private,
    public,
)
from tests.keys.mistaken_texts import OF_DER, WANTING_JSON, WANTING_PEM
from tests.keys.refusals import (
    EC_KEY,
    JWK,
    PATH,
    RSA_JWK,
    refused,
)
from tokenwheel import ConfigurationError, Key, KeySet


@pytest.mark.parametrize("mistake", WANTING_PEM)
def test_what_is_no_pem_is_named(mistake: str, caplog: pytest.LogCaptureFixture) -> None:
    value, sentence = WANTING_PEM[mistake]
    caplog.set_level(logging.DEBUG)
    for algorithm in ("ES256", "RS256", "EdDSA"):
        for make in (Key.from_pem, KeySet.from_pem):
            for options in ({}, {"kid": "a"}, {"password": PASSWORD}):
                refused(
                    lambda m=make, a=algorithm, o=options: m(value, a, **o),
                    f"pem {sentence}", value, caplog,
                )  # fmt: skip


@pytest.mark.parametrize("mistake", WANTING_JSON)
def test_what_is_no_json_object_is_named(mistake: str, caplog: pytest.LogCaptureFixture) -> None:
    value, sentence = WANTING_JSON[mistake]
    caplog.set_level(logging.DEBUG)
    for make in (Key.from_jwk, KeySet.from_jwk):
        refused(lambda m=make: m(value), f"jwk {sentence}", value, caplog)
        refused(lambda m=make: m(value, "ES256"), f"jwk {sentence}", value, caplog)
    refused(lambda: KeySet.from_jwks(value), f"jwks {sentence}", value, caplog)


@pytest.mark.parametrize("form", OF_DER)
def test_der_is_named_with_the_command_that_writes_it_as_pem(form: str) -> None:
    octets, command = OF_DER[form]
    name = form.replace("PKCS #1 public", "public").replace("PKCS #1 key", "private key")
    says = f"is {name.replace('SEC 1 key', 'private key')}: `{command} -in FILE` writes it as PEM"
    for pem in (Key.from_pem, KeySet.from_pem):
        refused(lambda m=pem: m(octets, "ES256"), f"pem {says}", octets)
    for make in (Key.from_jwk, KeySet.from_jwk):
        refused(lambda m=make: m(octets), f"jwk {says}, which Key.from_pem takes", octets)


ENCRYPTED = private(P256, password=PASSWORD)
MISSING = "pem is encrypted, and password= is missing: Key.from_pem(pem, algorithm, password=...)"
WRONG = "password is not the one that pem is encrypted with"


@pytest.mark.parametrize("make", [Key.from_pem, KeySet.from_pem], ids=["Key", "KeySet"])
@pytest.mark.parametrize(
    "pem",
    [ENCRYPTED, private(P256, TRADITIONAL, PASSWORD), ENCRYPTED + certificate(P256)],
    ids=["PKCS #8", "Proc-Type", "with certificate"],
)
def test_a_password_that_is_missing_wrong_or_empty_is_named(make: Any, pem: bytes) -> None:
    refused(lambda: make(pem, "ES256"), MISSING, pem)
    for password in ("Wr0ng-and-not-to-be-seen", b"Wr0ng-and-not-to-be-seen"):
        refused(lambda p=password: make(pem, "ES256", password=p), WRONG, password)
    empty = MISSING.replace("password= is missing", "password is empty")
    for password in ("", b""):
        refused(lambda p=password: make(pem, "ES256", password=p), empty, pem)
    refused(lambda: make(pem, "ES256", password=7), "password must be str or bytes, not int", pem)


@pytest.mark.parametrize("pem", [EC_KEY, public(P256), certificate(P256)])
def test_a_password_that_is_not_needed_is_named(pem: bytes) -> None:
    for make in (Key.from_pem, KeySet.from_pem):
        for password in (PASSWORD, PASSWORD.encode(), ""):
            refused(
                lambda m=make, p=password: m(pem, "ES256", password=p),
                "pem is not encrypted: leave password= out",
                pem,
            )


def test_no_file_is_looked_at_to_tell_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: Any, **__: Any) -> None:
        raise AssertionError("the disk was touched")

    with monkeypatch.context() as patched:
        for name in ("os.stat", "os.open", "builtins.open", "os.path.exists", "pathlib.Path.stat"):
            patched.setattr(name, touched)
        errors = []
        for value in (Path(__file__), __file__, "keys/private.pem"):
            try:
                Key.from_pem(value, "ES256")  # type: ignore[arg-type]
            except ConfigurationError as error:
                errors.append(str(error))
    assert [PATH in error for error in errors] == [True] * 3


@pytest.mark.parametrize("unit", ["(", "{", "[", '"', "\\n", "a.", "/", "A", " ", "\t-----BEGIN ",
                                  "${", "<", "eyJ", "-----BEGIN A-----", "\n ",
                                  "0\x82"])  # fmt: skip
def test_a_long_text_is_told_in_no_time_that_grows_faster_than_it(unit: str) -> None:
    """What took the square of the length would not come back from this."""
    text = unit * (1_000_000 // len(unit))
    for make in (lambda: Key.from_pem(text, "ES256"), lambda: Key.from_jwk(text)):
        with pytest.raises(ConfigurationError):
            make()


@given(
    value=st.one_of(
        st.binary(max_size=200), st.text(max_size=200), st.none(), st.integers(),
        st.recursive(
            st.none() | st.booleans() | st.text(max_size=5) | st.sampled_from(["EC", "RSA"]),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*JWK, *RSA_JWK, "keys", "k"]), inner, max_size=6),
        ),
    ),
    algorithm=st.sampled_from([None, "ES256", "RS256", "HS256"]),
)  # fmt: skip
def test_any_value_is_a_key_or_a_refusal(value: Any, algorithm: Any) -> None:
    doors: list[Callable[[], Any]] = [
        lambda: Key.from_jwk(value, algorithm),
        lambda: KeySet.from_jwk(value, algorithm),
        lambda: KeySet.from_jwks(value),
        lambda: Key.from_pem(value, algorithm or "EdDSA"),
        lambda: Key.from_secret(value),
    ]
    for door in doors:
        try:
            door()
        except ConfigurationError:
            continue
