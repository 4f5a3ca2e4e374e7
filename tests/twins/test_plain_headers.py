"""Requests with plain header fields, admitted at one look: both twins beside the gate."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import SECRET
from tests.twins.differential import TWINS
from tokenwheel import AccessTokenRevoked, Claims, SessionManager, StorageUnavailable
from tokenwheel.errors import TokenwheelError
from tokenwheel.web import Cookies, Gate

Admit = Callable[..., bytes | None]
Pairs = list[tuple[bytes, bytes]]

NAME = b"__Host-tw-access"
MANAGER = SessionManager(SECRET, issuer="i", audience="a")
TOKEN = MANAGER.create({}, subject="ann").access_token.encode()
OTHER = MANAGER.create({}, subject="bob").access_token.encode()


@pytest.fixture
def token_of(load: Callable[[str], ModuleType]) -> Admit:
    """Return what finds the token that would be read."""
    admit_plain = load("plain_headers").admit_plain
    return lambda method, *pairs, cookie=NAME, bearer=True: admit_plain(
        bytes, cookie, bearer, method, list(pairs)
    )


@pytest.fixture
def token_of_environ(load: Callable[[str], ModuleType]) -> Admit:
    """Return what finds the token in the environment of WSGI."""
    return partial(_find_in, load("plain_headers").admit_plain)


def _find_in(admit_plain: Admit, method: str, environ: dict[str, Any]) -> bytes | None:
    return admit_plain(bytes, NAME, True, method, environ)


def test_a_bearer_is_found(token_of: Admit) -> None:
    assert token_of("POST", (b"host", b"a"), (b"authorization", b"Bearer abc")) == b"abc"


@pytest.mark.parametrize(
    "cookie",
    [b"__Host-tw-access=abc", b"a=1;__Host-tw-access \t=\tabc ;b", b" __Host-tw-access=abc"],
)
def test_a_cookie_is_found_as_the_gate_finds_it(token_of: Admit, cookie: bytes) -> None:
    assert token_of("GET", (b"cookie", cookie)) == b"abc"


def test_a_bearer_decides_alone(token_of: Admit) -> None:
    cookie = (b"cookie", b"__Host-tw-access=abc")
    assert token_of("GET", cookie, (b"authorization", b"Bearer def")) == b"def"
    assert token_of("GET", cookie, (b"authorization", b"Basic def")) is None
    assert token_of("GET", cookie, (b"authorization", b"Basic def"), bearer=False) == b"abc"


@pytest.mark.parametrize(
    "pairs",
    [
        [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer a")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"bearer a")],
        [(b"authorization", b"Bearer")],
        [(b"cookie", b"__Host-tw-access=a"), (b"cookie", b"__Host-tw-access=a")],
        [(b"cookie", b"__Host-tw-access=a; __Host-tw-access=a")],
        [(b"cookie", b"__Host-tw-access=; __Host-tw-access=a")],
        [(b"cookie", b"__Host-tw-access=")],
        [(b"cookie", b"__Host-tw-access")],
        [(b"cookie", b"__Host-tw-accesses=a")],
        [(b"cookie", b"__host-tw-access=a")],
        [(b"cookie", b"")],
        [(b"Cookie", b"__Host-tw-access=a")],
        [("cookie", "__Host-tw-access=a")],
        [[b"cookie", b"__Host-tw-access=a"]],
        [(b"cookie", b"__Host-tw-access=a", b"")],
        [(b"cookie", bytearray(b"__Host-tw-access=a"))],
        [],
    ],
)
def test_what_is_not_plain_is_left_to_the_gate(token_of: Admit, pairs: list[Any]) -> None:
    assert token_of("GET", *pairs) is None


@pytest.mark.parametrize(
    "fields, counts",
    [
        ([(b"sec-fetch-site", b"same-origin")], True),
        ([(b"sec-fetch-site", b"same-origin"), (b"origin", b"https://a.example")], True),
        ([(b"sec-fetch-site", b"same-origin"), (b"origin", b"null")], False),
        ([(b"sec-fetch-site", b"same-origin"), (b"origin", b"https://a, null")], False),
        ([(b"sec-fetch-site", b"same-site")], False),
        ([(b"sec-fetch-site", b"same-origin")] * 2, False),
        ([(b"sec-fetch-site", b"same-origin"), *[(b"origin", b"https://a.example")] * 2], False),
        ([(b"origin", b"https://a.example")], False),
        ([], False),
    ],
)
def test_a_cookie_counts_for_an_unsafe_method_only_from_the_same_origin(
    token_of: Admit, fields: Pairs, counts: bool
) -> None:
    request = [(b"cookie", b"__Host-tw-access=a"), *fields]
    assert token_of("POST", *request) == (b"a" if counts else None)
    assert token_of("get", *request) == (b"a" if counts else None)


def test_a_token_that_is_refused_is_left_to_the_gate(load: Callable[[str], ModuleType]) -> None:
    admit_plain = load("plain_headers").admit_plain

    def refuse(error: type[Exception], _: bytes) -> None:
        raise error("no")

    request = ("GET", [(b"authorization", b"Bearer a")])
    for error in (AccessTokenRevoked, StorageUnavailable):
        assert admit_plain(partial(refuse, error), None, True, *request) is None
    with pytest.raises(ZeroDivisionError):
        admit_plain(partial(refuse, ZeroDivisionError), None, True, *request)


@pytest.mark.parametrize(
    "environ, found",
    [
        ({"HTTP_AUTHORIZATION": "Bearer a"}, b"a"),
        ({"HTTP_AUTHORIZATION": "Bearer a", "HTTP_COOKIE": "\xe9"}, None),
        ({"HTTP_AUTHORIZATION": "Bearer \xe9"}, None),
        ({"HTTP_AUTHORIZATION": b"Bearer a"}, None),
        ({"HTTP_AUTHORIZATION": type("Text", (str,), {})("Bearer a")}, None),
        ({"HTTP_COOKIE": "__Host-tw-access=a"}, b"a"),
        ({"HTTP_AUTHORIZATION": "Basic eDp5", "HTTP_COOKIE": "__Host-tw-access=a"}, None),
        ({"REQUEST_METHOD": "GET"}, None),
        ({}, None),
    ],
)
def test_the_environment_of_wsgi_is_read_as_the_fields_of_asgi(
    token_of_environ: Admit, environ: dict[str, Any], found: bytes | None
) -> None:
    assert token_of_environ("GET", environ) == found


@pytest.mark.parametrize(
    "fields, counts",
    [
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, True),
        ({"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_ORIGIN": "null"}, False),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, False),
        ({"HTTP_ORIGIN": "https://a.example"}, False),
        ({}, False),
    ],
)
def test_a_cookie_in_the_environment_counts_for_an_unsafe_method_from_the_same_origin(
    token_of_environ: Admit, fields: dict[str, str], counts: bool
) -> None:
    environ = {"HTTP_COOKIE": "__Host-tw-access=a", **fields}
    assert token_of_environ("POST", environ) == (b"a" if counts else None)


def test_an_admit_of_a_subclass_is_never_passed_by() -> None:
    class Closed(Gate):
        def admit(self, *_: Any, **__: Any) -> Claims:
            raise StorageUnavailable("closed")

    pairs = [(b"authorization", b"Bearer " + TOKEN)]
    assert Gate(MANAGER).admit_plain("GET", pairs) is not None
    assert Closed(MANAGER).admit_plain("GET", pairs) is None


def test_cookies_for_localhost_are_left_to_the_gate_which_looks_at_the_host() -> None:
    gate = Gate(MANAGER, cookies=Cookies(insecure_localhost=True))
    assert gate.admit_plain("GET", [(b"cookie", b"tw-access=" + TOKEN)]) is None


# What requests are made of: most of it fits together, and all else is near it.
BLANK = st.sampled_from([b"", b" ", b"\t", b"  ", b"\x0b", b"\xa0"])
VALUE = st.sampled_from([TOKEN, OTHER, b"", b"x", TOKEN + b"=", b'"' + TOKEN + b'"', TOKEN[:-1]])
MEMBER = st.builds(
    lambda a, name, b, equals, c, value, d: a + name + b + equals + c + value + d,
    *(BLANK, st.sampled_from([NAME, NAME.lower(), NAME[:-1], b"a", b""]), BLANK),
    *(st.sampled_from([b"=", b"=", b"", b"=="]), BLANK, VALUE, BLANK),
)
COOKIE = st.lists(MEMBER, max_size=4).map(b";".join)
AUTHORIZATION = st.builds(
    lambda scheme, blank, value: scheme + blank + value,
    *(st.sampled_from([b"Bearer", b"bearer", b"Basic", b"DPoP", b""]), BLANK, VALUE),
)
FIELD = st.one_of(
    st.tuples(st.just(b"cookie"), COOKIE),
    st.tuples(st.just(b"authorization"), AUTHORIZATION),
    st.tuples(
        st.just(b"sec-fetch-site"), st.sampled_from([b"same-origin", b"none", b"cross-site", b""])
    ),
    st.tuples(
        st.just(b"origin"),
        st.sampled_from([b"null", b"https://a.example", b"https://b.example", b"a,b"]),
    ),
    st.tuples(st.just(b"host"), st.sampled_from([b"a.example", b"c.example"])),
    st.tuples(st.binary(max_size=8), st.binary(max_size=8)),
)
REQUEST = st.lists(FIELD, max_size=6)
GATES = [
    Gate(MANAGER),
    Gate(MANAGER, cookies=Cookies()),
    Gate(MANAGER, cookies=Cookies(), bearer=False, trusted_origins=["https://b.example"]),
]


def headers_of(pairs: Pairs) -> Callable[[str], str | None]:
    """Return what joins fields of one name, as ``web/scopes.py`` does."""

    def get(name: str) -> str | None:
        values = [value.decode("latin-1") for key, value in pairs if key == name.encode()]
        return ("; " if name == "cookie" else ", ").join(values) if values else None

    return get


@given(st.sampled_from(GATES), st.sampled_from(["GET", "POST", "OPTIONS", "get"]), REQUEST)
@example(GATES[1], "GET", [(b"cookie", NAME + b"=" + TOKEN)])
@example(GATES[1], "GET", [(b"authorization", b"Bearer " + TOKEN)])
@settings(max_examples=1_000)
def test_whom_it_admits_the_gate_admits_as_the_same_and_the_twins_agree(
    gate: Gate, method: str, pairs: Pairs
) -> None:
    cookie = None if gate.cookies is None else NAME
    twins = [importlib.import_module(f"tokenwheel._{name}.plain_headers") for name in TWINS]
    found = [twin.admit_plain(bytes, cookie, gate.takes_bearer, method, pairs) for twin in twins]
    assert found == found[:1] * len(twins)
    claims = gate.admit_plain(method, pairs)
    if claims is not None:
        try:
            expected = gate.admit(method, headers_of(pairs))
        except TokenwheelError as error:
            pytest.fail(f"the gate refuses it: {error}")
        assert claims == expected


@given(st.sampled_from(GATES), st.sampled_from(["GET", "POST", "OPTIONS", "get"]), REQUEST)
@example(GATES[1], "POST", [(b"cookie", NAME + b"=" + TOKEN), (b"sec-fetch-site", b"same-origin")])
@settings(max_examples=1_000)
def test_whom_it_admits_by_the_environment_the_gate_admits_as_the_same(
    gate: Gate, method: str, pairs: Pairs
) -> None:
    cookie = None if gate.cookies is None else NAME
    environ: dict[str, str] = {}
    for name, value in pairs:  # Servers of WSGI join what comes twice.
        key = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    twins = [importlib.import_module(f"tokenwheel._{name}.plain_headers") for name in TWINS]
    bearer = gate.takes_bearer
    found = [twin.admit_plain(bytes, cookie, bearer, method, environ) for twin in twins]
    assert found == found[:1] * len(twins)
    claims = gate.admit_plain(method, environ)
    if claims is not None:
        get = environ.get
        try:
            expected = gate.admit(
                method, lambda name: get(f"HTTP_{name.upper().replace('-', '_')}")
            )
        except TokenwheelError as error:
            pytest.fail(f"the gate refuses it: {error}")
        assert claims == expected
