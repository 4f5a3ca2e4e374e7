"""Random tokens never repeat and leave nothing behind; base64url has one spelling. Both twins."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twins.conftest import TWINS
from tokenwheel import InvalidArgument

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture
def tokens(load: Callable[[str], ModuleType]) -> Any:
    return load("tokens")


@pytest.mark.parametrize("nbytes", [1, 2, 3, 15, 16, 24, 63, 64, 65, 100, 4095, 4096, 4097, 65_536])
def test_a_token_is_urlsafe_text_of_the_bytes_asked_for(tokens: Any, nbytes: int) -> None:
    token = tokens.new_token(nbytes)
    assert re.fullmatch("[A-Za-z0-9_-]+", token)
    assert len(tokens.decode(token)) == nbytes
    assert len(tokens.random_bytes(nbytes)) == nbytes


@pytest.mark.parametrize("nbytes", [0, -1, 65_537, 10**30, True, 1.0, "16", None, b"16"])
def test_a_size_that_makes_no_sense_is_refused(tokens: Any, nbytes: Any) -> None:
    for function in (tokens.new_token, tokens.random_bytes):
        with pytest.raises(InvalidArgument, match="nbytes"):
            function(nbytes)


def test_no_token_ever_comes_twice_across_many_blocks(tokens: Any) -> None:
    assert len({tokens.new_token(12) for _ in range(5000)}) == 5000


def test_stretches_of_the_block_never_overlap_whatever_the_sizes(tokens: Any) -> None:
    drawn = b"".join(tokens.random_bytes(size % 97 + 8) for size in range(2000))
    eights = [drawn[start : start + 8] for start in range(0, len(drawn) - 7, 4)]
    assert len(set(eights)) == len(eights)


def test_every_byte_of_a_draw_is_random(tokens: Any) -> None:
    for position in zip(*(tokens.random_bytes(16) for _ in range(2000)), strict=True):
        assert len(set(position)) > 200


def test_threads_never_share_bytes(tokens: Any) -> None:
    gate = threading.Barrier(8)

    def draw(_: int) -> list[str]:
        gate.wait()
        return [tokens.new_token(9) for _ in range(3000)]

    with ThreadPoolExecutor(8) as pool:
        drawn = [token for some in pool.map(draw, range(8)) for token in some]
    assert len(set(drawn)) == 24_000


FORKS = """
import os, sys, importlib
tokens = importlib.import_module("tokenwheel._%s.tokens")
tokens.new_token(16)
if "%s" == "os":
    fork = os.fork
else:
    import ctypes
    fork = ctypes.PyDLL(None).fork  # past Python's own hooks
for _ in range(5):
    child = fork()
    if child == 0:
        break
# Written at once: it is shorter than PIPE_BUF.
os.write(1, "".join(tokens.new_token(16) + "\\n" for _ in range(20)).encode())
if child == 0:
    os._exit(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


@needs_fork
@pytest.mark.parametrize("by", ["os", "C"])
def test_a_forked_child_never_hands_out_the_bytes_of_its_parent(
    implementation: str, by: str
) -> None:
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS % (implementation, by)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    drawn = output.split()
    assert len(drawn) == 6 * 20
    assert len(set(drawn)) == len(drawn)


# Looks for the bytes where they lie, without copying them: what a search copied, it would find.
FIND_IN_MEMORY = """
import ctypes, importlib, sys
tokens = importlib.import_module("tokenwheel._%s.tokens")
for _ in range(10):
    taken = tokens.random_bytes(200)
memmem = ctypes.CDLL(None).memmem
memmem.restype = ctypes.c_void_p
memmem.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
found = []
with open("/proc/self/maps") as maps:
    regions = [line.split() for line in maps]
for region in regions:
    start, end = (int(one, 16) for one in region[0].split("-"))
    if not region[1].startswith("rw") or region[-1].startswith("[v") or end - start > 1 << 30:
        continue
    at = memmem(start, end - start, taken, 200)
    while at:
        found.append(at - id(taken))
        at = memmem(at + 1, end - at - 1, taken, 200)
print(found == [sys.getsizeof(taken) - 201])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="it reads all memory, and AddressSanitizer forbids just that",
)
def test_bytes_handed_out_are_wiped_from_wherever_they_were_held(implementation: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIND_IN_MEMORY % implementation],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "True\n"


SUBINTERPRETER = """
import importlib
try:
    interpreters = importlib.import_module("_interpreters")
except ImportError:
    interpreters = importlib.import_module("_xxsubinterpreters")
tokens = importlib.import_module("tokenwheel._native.tokens")
code = f'''
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
name = "tokenwheel._native.tokens"
try:
    module_from_spec(spec_from_loader(name, ExtensionFileLoader(name, {tokens.__file__!r})))
except ImportError as error:
    print(error, flush=True)
'''
run = interpreters.exec if hasattr(interpreters, "exec") else interpreters.run_string
run(interpreters.create(), code)
"""


def test_a_second_interpreter_in_the_process_is_refused(implementation: str) -> None:
    if implementation == "pure":
        pytest.skip("a pure module shares nothing between interpreters")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SUBINTERPRETER],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "interpreter" in ran.stdout, ran.stderr


@given(data=st.binary(max_size=200))
def test_what_is_encoded_decodes_again_and_has_no_other_spelling(data: bytes) -> None:
    from tokenwheel._pure import tokens as pure

    twins = [pure]
    if os.environ.get("TOKENWHEEL_IMPL") != "pure":
        from tokenwheel._native import tokens as native

        twins.append(native)  # type: ignore[arg-type]
    for tokens in twins:
        text = tokens.encode(data)
        assert text == base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        assert tokens.decode(text) == data


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AAAAA",
        "AA==",
        "AAA=",
        "AB",
        "AAB",
        "A A",
        " AA",
        "AA\n",
        "A+",
        "A/",
        "AAA.",
        "é" * 4,
        "AA\0A",
        "\ud800AAA",
        b"AAAA",
        None,
        7,
    ],
)
def test_any_other_spelling_is_refused_without_repeating_it(tokens: Any, text: Any) -> None:
    with pytest.raises(ValueError, match=r"^not canonical base64url$"):
        tokens.decode(text)


def test_every_last_character_but_the_canonical_ones_is_refused(tokens: Any) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for prefix, canonical in (("A", "AQgw"), ("AA", "AEIMQUYcgkosw048")):
        for character in alphabet:
            if character in canonical:
                assert tokens.encode(tokens.decode(prefix + character)) == prefix + character
            else:
                with pytest.raises(ValueError, match="canonical"):
                    tokens.decode(prefix + character)


def test_bytes_of_every_value_in_every_place_go_there_and_back(tokens: Any) -> None:
    for length in range(9):
        for value in range(256):
            data = bytes([value]) * length
            assert tokens.decode(tokens.encode(data)) == data


@pytest.mark.parametrize("length", [16, 19, 20, 36, 67])
def test_wherever_a_character_stands_it_is_decoded_or_refused(tokens: Any, length: int) -> None:
    for place in range(length - 1):  # of the last one, the tests above tell
        for code in range(256):
            text = "A" * place + chr(code) + "A" * (length - 1 - place)
            if chr(code) in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
                assert tokens.decode(text) == base64.urlsafe_b64decode(text + "=" * (-length % 4))
            else:
                with pytest.raises(ValueError, match="canonical"):
                    tokens.decode(text)


def test_the_digest_is_sha_256(tokens: Any) -> None:
    assert tokens.digest(b"abc") == hashlib.sha256(b"abc").digest()


@given(key=st.binary(max_size=200), message=st.binary(max_size=300))
def test_hashes_are_those_of_the_standard_library(key: bytes, message: bytes) -> None:
    for tokens in (importlib.import_module(f"tokenwheel._{name}.tokens") for name in TWINS):
        assert tokens.digest(message) == hashlib.sha256(message).digest()
        assert tokens.hmac_sha256(key, message) == hmac.digest(key, message, "sha256")


@given(
    session_id=st.binary(min_size=12, max_size=12),
    family=st.binary(min_size=15, max_size=15),
    secret=st.binary(min_size=15, max_size=1024),
)
@pytest.mark.parametrize("name", TWINS)
def test_a_refresh_token_is_taken_apart_into_what_it_was_made_of(
    name: str, session_id: bytes, family: bytes, secret: bytes
) -> None:
    tokens = importlib.import_module(f"tokenwheel._{name}.tokens")
    text = tokens.encode(session_id + family + secret)
    hashed = hashlib.sha256(family + len(secret).to_bytes(2, "big")).digest()
    assert tokens.take_apart(text) == (tokens.encode(session_id), family, secret, hashed)
    assert len(text) <= 1402


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 55,  # 41 bytes: one less than there must be
        "A" * 1404,  # 1053 bytes: more than there can be
        "A" * 1403,
        "A" * 57,  # no text of whole bytes
        "A" * 57 + "B",  # bits after the last byte
        "A" * 60 + "=",
        " " + "A" * 63,
        "A" * 63 + "\u0131",
        "A" * 63 + "\ud800",
        "A" * 63 + "+",
    ],
)
def test_what_cannot_be_a_refresh_token_is_not_taken_apart(tokens: Any, text: str) -> None:
    assert tokens.take_apart("A" * 56) is not None
    assert tokens.take_apart("A" * 1400) is not None
    assert tokens.take_apart(text) is None
