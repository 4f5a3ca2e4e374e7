"""Integers of more than 64 bits, which come back as PyJWT gives them, and never as doubles."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import redis

from tests.servers import Node, needs_server
from tests.support import KEY, SECRET, FakeClock, forge, refused, secret_of, with_claims
from tokenwheel import (
    Claims,
    Device,
    InvalidArgument,
    MemoryStorage,
    RedisStorage,
    SessionContext,
    SessionManager,
    SqliteStorage,
)
from tokenwheel._impl import decode

EDGES = [edge + step for edge in (2**63, 2**64, -(2**63)) for step in (-1, 0, 1)]
LARGE = [*EDGES, 10**30, -(10**308), 10**309, -(10**400), 10**4299]
"""The largest of these has as many digits as Python reads; doubles end at 309 digits."""
TOO_LARGE = 10**4300


def size_of(number: int) -> str:
    return f"{number.bit_length()} bits"


@pytest.fixture
def read() -> Iterator[Callable[[str], Claims]]:
    clock = FakeClock(1_700_000_000)
    with SessionManager(SECRET, issuer="i", audience="a", clock=clock) as manager:
        yield manager.read


@pytest.fixture
def digits_limit() -> Iterator[Callable[[int], None]]:
    """Return what sets how many digits Python reads, until the test is over."""
    before = sys.get_int_max_str_digits()
    yield sys.set_int_max_str_digits
    sys.set_int_max_str_digits(before)


def decoded_by_pyjwt(token: str) -> Any:
    return jwt.decode(token, SECRET, [KEY.algorithm], audience="a", issuer="i")


def as_written(value: str) -> str:
    """Return a token that has the claim ``v`` as this JSON."""
    return forge(json.dumps(with_claims())[:-1] + f', "v": {value}}}')


@pytest.mark.parametrize("number", LARGE, ids=size_of)
def test_an_integer_of_any_size_comes_back_from_a_created_token(manager: Any, number: int) -> None:
    for value in (number, [1, {"x": [number, "1" * 400]}]):
        claims = manager.read(manager.create({"v": value}, subject="ann").access_token)
        assert repr(claims["v"]) == repr(value)


@pytest.mark.parametrize("number", LARGE, ids=size_of)
def test_an_integer_of_any_size_is_read_as_pyjwt_reads_it(
    read: Callable[[str], Claims], number: int
) -> None:
    for value in (number, [1, number], {"a": {"b": [number, float(2**70)]}}):
        token = forge(with_claims(v=value))
        assert repr(read(token)["v"]) == repr(value)
        assert read(token) == decoded_by_pyjwt(token)


@pytest.mark.parametrize(
    "written",
    [
        *("1e300", "1E5", "10.0", "-0.0", "-0", "1e-400", "18446744073709551616.0"),
        *(f"0.{'9' * 400}", f"1.5e-{'0' * 400}1", f'"{"9" * 400}"'),
        *(f'"\\"{"9" * 400}"', f'["\\\\", {"9" * 400}]'),
    ],
)
def test_other_numbers_and_digits_in_texts_are_read_as_pyjwt_reads_them(
    read: Callable[[str], Claims], written: str
) -> None:
    token = as_written(written)
    assert repr(read(token)["v"]) == repr(decoded_by_pyjwt(token)["v"])


@pytest.mark.parametrize(
    "written",
    [
        *("1e400", "-1e400", f"{'9' * 400}.5", f"{'9' * 400}e1", f"0{'9' * 400}"),
        *(f"-{'9' * 400}-", f'[{"9" * 400}, "\\ud800"]', f"[{'9' * 400}, NaN]"),
        *(f"[{'9' * 400}, 1e400]", f"1e{'9' * 400}", f"1.5E+{'9' * 400}"),
    ],
)
def test_a_large_integer_lets_nothing_else_through(
    read: Callable[[str], Claims], written: str
) -> None:
    refused(read, as_written(written), "not one well-formed JSON object")


def test_a_name_that_stands_twice_is_refused_beside_a_large_integer(
    read: Callable[[str], Claims],
) -> None:
    for digits in (30, 400):
        twice = f'{{"x": {"9" * digits}, "x": 1}}'
        refused(read, as_written(twice), "not one well-formed JSON object")


@pytest.mark.parametrize("number", [TOO_LARGE, -TOO_LARGE, 10**6000, 10**100_000], ids=size_of)
def test_more_digits_than_python_reads_cannot_be_claimed(manager: Any, number: int) -> None:
    for claims in ({"v": number}, {"v": [{"x": number}]}):
        with pytest.raises(InvalidArgument, match=r"more than 4300 digits|at most 6144 bytes"):
            manager.create(claims, subject="ann")
    with pytest.raises(InvalidArgument, match=r"more than 4300 digits|at most 6144 bytes"):
        Claims({"sub": "ann", "sid": "A" * 16, "iat": 1, "exp": 2, "v": number})


def test_more_digits_than_python_reads_are_refused_in_a_token(
    read: Callable[[str], Claims],
) -> None:
    for written in ("9" * 4301, f"-{'9' * 5000}", f'[{{"x": {"9" * 4301}}}]'):
        refused(read, as_written(written), "not one well-formed JSON object")


def test_how_many_digits_python_reads_is_the_applications_choice(
    manager: Any, read: Callable[[str], Claims], digits_limit: Callable[[int], None]
) -> None:
    digits_limit(700)
    refused(read, as_written("9" * 701), "not one well-formed JSON object")
    with pytest.raises(InvalidArgument, match="'v' has an integer of more than 700 digits"):
        manager.create({"v": 10**700}, subject="ann")
    digits_limit(0)
    assert read(as_written("9" * 5000))["v"] == 10**5000 - 1
    created = manager.create({"v": 10**5000}, subject="ann")
    assert manager.read(created.access_token)["v"] == 10**5000
    with pytest.raises(InvalidArgument, match="at most 6144 bytes"):
        manager.create({"v": 10**6200}, subject="ann")


@pytest.mark.parametrize("claim", ["iat", "exp", "nbf"])
@pytest.mark.parametrize("number", [2**63, 2**64, 10**30, -(2**64), 10**400], ids=size_of)
def test_a_date_of_more_than_64_bits_is_malformed(
    read: Callable[[str], Claims], claim: str, number: int
) -> None:
    refused(read, forge(with_claims(**{claim: number})), f"'{claim}' is (missing or )?malformed")


def test_claims_made_by_hand_end_a_session_whatever_their_integers(manager: Any) -> None:
    tokens = manager.create(subject="ann")
    forever = Claims({"sub": "ann", "sid": tokens.session_id, "iat": 1, "exp": 10**400})
    manager.restrict_one(forever)
    refused_now = manager.read_all("ann")[tokens.session_id].generation
    assert refused_now == 1


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=needs_server)])
def open_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Return what opens a storage; all that it opens are of one place."""
    memory = MemoryStorage()
    if request.param == "redis":
        server: Node = request.getfixturevalue("server")
        with redis.Redis(port=server.port) as client:
            yield lambda: RedisStorage(client)
    elif request.param == "sqlite":
        yield lambda: SqliteStorage(tmp_path / "sessions.db")
    else:
        yield lambda: memory


@pytest.mark.parametrize("storage_key", [None, secret_of("storage key")], ids=["plain", "sealed"])
def test_what_a_device_says_of_itself_has_integers_of_any_size(
    open_storage: Callable[[], Any], storage_key: str | None
) -> None:
    extra = {"in": [{"x": -(10**400)}, 2**63, 1e300], "serial": 2**64 + 1, "text": "9" * 400}
    context = SessionContext(device=Device("Pixel", "phone", extra))
    subject = f"ann {storage_key}"
    tokens = None
    for _ in range(2):  # The second manager finds what the first has stored.
        with SessionManager(
            SECRET, issuer="i", audience="a", storage=open_storage(), storage_key=storage_key
        ) as manager:
            if tokens is None:
                tokens = manager.create(subject=subject, context=context)
            tokens = manager.update(tokens.refresh_token, context=context)
            device = manager.read_all(subject)[tokens.session_id].device
            assert device == context.device
            assert repr(device.extra) == repr(extra)


def test_what_a_device_says_is_measured_with_all_its_digits(manager: Any) -> None:
    for extra in ({"v": 10**4200}, {"v": TOO_LARGE}):
        context = SessionContext(device=Device("Pixel", "phone", extra))
        with pytest.raises(InvalidArgument, match=r"bytes of JSON|more than 4300 digits"):
            manager.create(subject="ann", context=context)


@pytest.mark.parametrize("number, spelt", [(1e16, "1e+16"), (1e-7, "1e-7"), (1.5, "1.5")])
def test_a_number_in_a_token_is_spelt_as_ever_wherever_it_stands(
    manager: Any, number: float, spelt: str
) -> None:
    for claims, written in (
        ({"v": number}, f'"v":{spelt}}}'),
        ({"a": "1e5", "v": [number]}, f'"a":"1e5","v":[{spelt}]}}'),
        ({"v": {"x": {"y": number}}, "a": 1}, f'"v":{{"x":{{"y":{spelt}}}}},"a":1}}'),
    ):
        payload = manager.create(claims, subject="ann").access_token.split(".")[1]
        assert decode(payload).decode().endswith("," + written)
