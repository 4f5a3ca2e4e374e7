"""Signing, and the HMAC that signs and verifies. Both twins.

PyJWT agrees on every byte, whichever libcrypto is at hand, or none.
"""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from types import ModuleType
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.processes.support import run_apart
from tests.support import pyjws
from tokenwheel import ConfigurationError, Key
from tokenwheel.json_text import dumps
from tokenwheel.keys.checks import ALGORITHMS

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture
def make(load: Callable[[str], ModuleType]) -> Callable[[Key], Any]:
    signer: Callable[[Key], Any] = load("signer").Signer
    return signer


def read_by_pyjwt(token: str, key: Key) -> bytes:
    material = key._secret if key._secret is not None else key._public
    payload: bytes = pyjws().decode(token, material, algorithms=[key.algorithm])
    return payload


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_pyjwt_reads_what_it_signs_with_each_algorithm(
    make: Callable[[Key], Any], algorithm: str
) -> None:
    key = Key.generate(algorithm, kid="one")
    token = make(key).sign(b'{"a":1}')
    assert read_by_pyjwt(token, key) == b'{"a":1}'
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "at+jwt", "kid": "one"}


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("secret_length", [64, 65, 127, 128, 129, 1000])
def test_pyjwt_reads_payloads_of_any_length_under_secrets_shorter_and_longer_than_a_block(
    make: Callable[[Key], Any], algorithm: str, secret_length: int
) -> None:
    key = Key.from_secret(os.urandom(secret_length), algorithm)
    signer = make(key)
    for length in (*range(0, 140, 3), 20_000):
        payload = os.urandom(length)
        assert read_by_pyjwt(signer.sign(payload), key) == payload


def test_threads_that_share_it_do_not_mix_their_signatures(make: Callable[[Key], Any]) -> None:
    key = Key.generate("HS256")
    signer = make(key)
    start = threading.Barrier(8)

    def sign(number: int) -> bool:
        start.wait()
        return all(
            read_by_pyjwt(signer.sign(b"%d" % (number * 1000 + n)), key)
            == b"%d" % (number * 1000 + n)
            for n in range(200)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(sign, range(8)))


@needs_fork
def test_a_child_process_signs_and_verifies_with_what_it_inherited(
    make: Callable[[Key], Any],
) -> None:
    run_apart(sign_in_parent_and_child, make)


def sign_in_parent_and_child(make: Callable[[Key], Any]) -> None:
    key = Key.generate("HS256")
    signer = make(key)
    child = os.fork()
    if child == 0:
        os._exit(0 if read_by_pyjwt(signer.sign(b"child"), key) == b"child" else 1)
    assert read_by_pyjwt(signer.sign(b"parent"), key) == b"parent"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_it_shows_nothing_of_its_key_and_keeps_it(make: Callable[[Key], Any]) -> None:
    key = Key.from_secret("a shared secret that nobody may see in a message")
    signer = make(key)
    assert repr(signer) == f"<Signer with {key!r}>"
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            attempt(signer)
    with pytest.raises(ConfigurationError, match="cannot be given another key"):
        signer.__init__(Key.generate("HS256"))
    assert read_by_pyjwt(signer.sign(b"{}"), key) == b"{}"


WITHOUT_OPENSSL = """
import sys
if sys.argv[2] == "no hashlib module of OpenSSL's":
    sys.modules["_hashlib"] = None
else:
    import _hashlib
    _hashlib.__file__ = sys.argv[2]
from importlib import import_module
from tokenwheel import AccessTokenRevoked, InvalidAccessToken, Key, KeySet, SessionManager
import hashlib, jwt
for algorithm in ("HS256", "HS384", "HS512"):
    secret = hashlib.shake_256(b"k").digest(200)
    key = Key.from_secret(secret, algorithm)
    manager = SessionManager(KeySet(key), issuer="i", audience="a")
    token = manager.create({"role": "user"}, subject="ann").access_token
    decoded = jwt.decode(token, secret, [algorithm], issuer="i", audience="a")
    assert decoded["role"] == "user"
    assert manager.read(token)["role"] == "user"
    changed = token[:-1] + ("A" if token[-1] != "A" else "Q")
    for bad in (token[:-1], changed, token + "A", token.rpartition(".")[0] + "."):
        try:
            manager.read(bad)
        except InvalidAccessToken:
            continue
        raise SystemExit("accepted")
    signer = import_module(f"tokenwheel._{sys.argv[1]}.signer").Signer(key)
    assert signer.sign(b"{}").count(".") == 2
print("same")
"""


@pytest.mark.parametrize(
    "lost", ["no hashlib module of OpenSSL's", "/nowhere/_hashlib.so", sys.executable]
)
def test_hmac_stays_the_same_where_openssl_is_out_of_reach(implementation: str, lost: str) -> None:
    command = [sys.executable, "-c", WITHOUT_OPENSSL, implementation, lost]
    done = subprocess.run(
        command,
        env={**os.environ, "TOKENWHEEL_IMPL": implementation},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("same\n", "")


# Every octet, those of each escape among them, and integers around where words and digits end.
_TEXTS = st.text(max_size=20) | st.text(st.characters(max_codepoint=0x80), max_size=40)
_INTEGERS = st.integers() | st.sampled_from(
    [0, -1, 9, 10, 99, 100, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**15, -(10**18), 2**64]
)
_SINGLE = (
    _TEXTS | _INTEGERS | st.booleans() | st.none() | st.floats(allow_nan=False).filter(isfinite)
)
_CLAIMS = st.dictionaries(
    _TEXTS,
    _SINGLE
    | st.lists(_TEXTS, max_size=4)
    | st.lists(_SINGLE, max_size=3)
    | st.dictionaries(_TEXTS, _SINGLE, max_size=2),
    max_size=8,
)
KEY = Key.from_secret(os.urandom(64), "HS256")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(claims=_CLAIMS)
def test_claims_are_signed_octet_for_octet_as_json_text_writes_them(
    make: Callable[[Key], Any], claims: dict[str, Any]
) -> None:
    assert read_by_pyjwt(make(KEY).sign_claims(claims), KEY) == dumps(claims)


@pytest.mark.parametrize("beside", [{}, {"n": -(2**63)}, {"t": True, "l": ["a"] * 3}, {"e": []}])
def test_claims_of_any_length_are_signed_as_json_text_writes_them(
    make: Callable[[Key], Any], beside: dict[str, Any]
) -> None:
    signer = make(KEY)
    for length in (0, 1, 7, 8, 9, 64, *range(6090, 6150), 20_000):
        for claims in ({"a": "x" * length, **beside}, {"x" * length: 1, **beside}, beside):
            assert read_by_pyjwt(signer.sign_claims(claims), KEY) == dumps(claims)
    for count in (1, 1534, *range(2030, 2050), 10_000):
        for claims in ({"a": [""] * count}, {f"{n:x}": None for n in range(count)}):
            assert read_by_pyjwt(signer.sign_claims(claims), KEY) == dumps(claims)


@pytest.mark.parametrize("place", range(9))
def test_no_character_is_taken_for_plain_that_json_escapes(
    make: Callable[[Key], Any], place: int
) -> None:
    signer = make(KEY)
    for code in range(256):
        text = "a" * place + chr(code) + "z" * (8 - place)
        for claims in ({"a": text, text: 1}, {"a": ["b", text]}):
            assert read_by_pyjwt(signer.sign_claims(claims), KEY) == dumps(claims)
