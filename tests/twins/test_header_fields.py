"""Requests with plain header fields, verified at one look: both twins, and beside the gate.

What is found is told by the subject of the token that was found. None is what the gate has to look
at.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Event, Thread
from types import ModuleType
from typing import Any

import jwt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.security.exposure import Secrets, exposed_by
from tests.support import KEY, SECRET, FakeClock
from tests.twins.differential import NOW, TWINS, make_verifier
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenNotYetValid,
    AccessTokenRevoked,
    Claims,
    InvalidAccessToken,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.errors import TokenwheelError
from tokenwheel.web import Cookies, Gate

Find = Callable[..., str | None]
Pairs = list[tuple[bytes, bytes]]

NAME = b"__Host-tw-access"


def token_of(subject: str, **changes: Any) -> str:
    claims = {
        "iss": "i",
        "aud": ["a"],
        "sub": subject,
        "sid": "A" * 16,
        "iat": NOW - 100,
        "exp": NOW + 900,
        **changes,
    }
    return jwt.encode(claims, SECRET, headers={"typ": "at+jwt"})


ANN, BOB = token_of("ann").encode(), token_of("bob").encode()
FORGED = ANN[:-8] + b"A" * 8


@pytest.fixture
def verifier(implementation: str) -> Any:
    return make_verifier(implementation, [KEY])


@pytest.fixture
def found(verifier: Any) -> Find:
    """Return what tells whose token is found in the fields of ASGI."""

    def find(
        method: str, *pairs: Any, cookie: bytes | None = NAME, bearer: bool = True
    ) -> str | None:
        claims = verifier.verify_request(cookie, bearer, method, list(pairs))
        return None if claims is None else str(claims.subject)

    return find


@pytest.fixture
def found_in(verifier: Any) -> Find:
    """Return what tells whose token is found in the environment of WSGI."""

    def find(
        method: str, environ: Any, cookie: bytes | None = NAME, bearer: bool = True
    ) -> str | None:
        claims = verifier.verify_request(cookie, bearer, method, environ)
        return None if claims is None else str(claims.subject)

    return find


def test_a_bearer_is_found(found: Find) -> None:
    assert found("POST", (b"host", b"a"), (b"authorization", b"Bearer " + ANN)) == "ann"


@pytest.mark.parametrize(
    "cookie", [NAME + b"=%b", b"a=1;" + NAME + b" \t=\t%b ;b", b" " + NAME + b"=%b"]
)
def test_a_cookie_is_found_as_the_gate_finds_it(found: Find, cookie: bytes) -> None:
    assert found("GET", (b"cookie", cookie % ANN)) == "ann"


def test_a_bearer_decides_alone(found: Find) -> None:
    cookie = (b"cookie", NAME + b"=" + ANN)
    assert found("GET", cookie, (b"authorization", b"Bearer " + BOB)) == "bob"
    assert found("GET", cookie, (b"authorization", b"Basic " + BOB)) is None
    assert found("GET", cookie, (b"authorization", b"Basic " + BOB), bearer=False) == "ann"


def test_without_the_name_of_a_cookie_none_is_looked_at(found: Find, found_in: Find) -> None:
    assert found("GET", (b"cookie", NAME + b"=" + ANN), cookie=None) is None
    environ = {"HTTP_COOKIE": f"{NAME.decode()}={ANN.decode()}"}
    assert found_in("GET", environ) == "ann"
    assert found_in("GET", environ, cookie=None) is None


class Octets(bytes):
    """Octets that are no plain ones."""


MEMBER = NAME + b"=" + ANN
BEARER = b"Bearer " + ANN


@pytest.mark.parametrize(
    "pairs",
    [
        [(b"authorization", BEARER), (b"authorization", BEARER)],
        [(b"authorization", BEARER), (b"authorization", b"")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"bearer " + ANN)],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"")],
        [(b"cookie", MEMBER), (b"cookie", MEMBER)],
        [(b"cookie", MEMBER + b"; " + MEMBER)],
        [(b"cookie", NAME + b"=; " + MEMBER)],
        [(b"cookie", NAME + b"=")],
        [(b"cookie", NAME)],
        [(b"cookie", NAME + b"es=" + ANN)],
        [(b"cookie", MEMBER.lower())],
        [(b"cookie", b"")],
        [(b"Cookie", MEMBER)],
        [("cookie", MEMBER.decode())],
        [[b"cookie", MEMBER]],
        [(b"cookie", MEMBER, b"")],
        [(b"cookie", bytearray(MEMBER))],
        [(b"cookie", memoryview(MEMBER))],
        [(b"cookie", Octets(MEMBER))],
        [(Octets(b"cookie"), MEMBER)],
        [(b"cookie", MEMBER), None],
        [],
    ],
)
def test_what_is_not_plain_is_left_to_the_gate(found: Find, pairs: list[Any]) -> None:
    assert found("GET", *pairs) is None


@pytest.mark.parametrize(
    "fields", [((b"cookie", MEMBER),), iter([(b"cookie", MEMBER)]), None, "cookie", {}, [None]]
)
def test_fields_that_are_no_list_are_left_to_the_gate(found_in: Find, fields: Any) -> None:
    assert found_in("GET", fields) is None
    assert found_in("GET", type("Fields", (list,), {})([(b"cookie", MEMBER)])) is None
    assert found_in("GET", [(b"cookie", MEMBER)]) == "ann"


OWN_PAGE = [
    ([("sec-fetch-site", "same-origin")], True),
    ([("sec-fetch-site", "same-origin"), ("origin", "https://a.example")], True),
    ([("sec-fetch-site", "same-origin"), ("origin", "null")], False),
    ([("sec-fetch-site", "same-origin"), ("origin", "https://a, null")], False),
    ([("sec-fetch-site", "same-site")], False),
    ([("sec-fetch-site", "cross-site")], False),
    ([("origin", "https://a.example")], False),
    ([], False),
]


@pytest.mark.parametrize(
    "said, counts",
    [
        *OWN_PAGE,
        ([("sec-fetch-site", "same-origin")] * 2, False),
        ([("sec-fetch-site", "same-origin"), *[("origin", "https://a.example")] * 2], False),
    ],
)
@pytest.mark.parametrize("method", ["POST", "get", type("Text", (str,), {})("GET"), None])
def test_a_cookie_counts_for_an_unsafe_method_only_from_the_same_origin(
    found: Find, said: list[tuple[str, str]], counts: bool, method: Any
) -> None:
    fields = [(name.encode(), value.encode()) for name, value in said]
    assert found(method, (b"cookie", MEMBER), *fields) == ("ann" if counts else None)


@pytest.mark.parametrize("said, counts", OWN_PAGE)
def test_a_cookie_in_the_environment_counts_for_an_unsafe_method_from_the_same_origin(
    found_in: Find, said: list[tuple[str, str]], counts: bool
) -> None:
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in said}
    environ["HTTP_COOKIE"] = MEMBER.decode()
    assert found_in("POST", environ) == ("ann" if counts else None)
    assert found_in("GET", environ) == "ann"


@pytest.mark.parametrize(
    "environ, subject",
    [
        ({"HTTP_AUTHORIZATION": BEARER.decode()}, "ann"),
        ({"HTTP_AUTHORIZATION": BEARER.decode(), "HTTP_COOKIE": "\xe9"}, "ann"),
        ({"HTTP_AUTHORIZATION": f"{BEARER.decode()}\xe9"}, None),
        ({"HTTP_AUTHORIZATION": BEARER}, None),
        ({"HTTP_AUTHORIZATION": type("Text", (str,), {})(BEARER.decode())}, None),
        ({"HTTP_COOKIE": MEMBER.decode()}, "ann"),
        ({"HTTP_COOKIE": f"{MEMBER.decode()}; a=\xe9"}, None),
        ({"HTTP_COOKIE": MEMBER}, None),
        ({"HTTP_AUTHORIZATION": "Basic eDp5", "HTTP_COOKIE": MEMBER.decode()}, None),
        ({"HTTP_AUTHORIZATION": "", "HTTP_COOKIE": MEMBER.decode()}, None),
        ({"REQUEST_METHOD": "GET"}, None),
        ({}, None),
    ],
)
def test_the_environment_of_wsgi_is_read_as_the_fields_of_asgi(
    found_in: Find, environ: dict[str, Any], subject: str | None
) -> None:
    assert found_in("GET", environ) == subject


def test_what_is_not_plain_beside_a_cookie_in_the_environment_is_left_to_the_gate(
    found_in: Find,
) -> None:
    environ: dict[str, Any] = {"HTTP_COOKIE": MEMBER.decode()}
    assert found_in("POST", {**environ, "HTTP_SEC_FETCH_SITE": b"same-origin"}) is None
    environ["HTTP_SEC_FETCH_SITE"] = "same-origin"
    assert found_in("POST", {**environ, "HTTP_ORIGIN": "https://\xe9"}) is None
    assert found_in("POST", environ) == "ann"


# Tokens that are not good.


@pytest.mark.parametrize(
    "token, expected",
    [
        (FORGED, InvalidAccessToken),
        (b"x", InvalidAccessToken),
        (b"x" * 9_000, InvalidAccessToken),
        (token_of("ann", exp=NOW - 100).encode(), AccessTokenExpired),
        (token_of("ann", nbf=NOW + 100).encode(), AccessTokenNotYetValid),
        (token_of("ann", aud="c").encode(), InvalidAccessToken),
    ],
)
def test_a_bearer_that_is_not_good_is_refused_for_the_reason_that_verify_gives(
    verifier: Any, found: Find, found_in: Find, token: bytes, expected: type[Exception]
) -> None:
    with pytest.raises(expected) as of_verify:
        verifier.verify(token.decode())
    for ask in (
        lambda: found("GET", (b"authorization", b"Bearer " + token)),
        lambda: found_in("GET", {"HTTP_AUTHORIZATION": f"Bearer {token.decode()}"}),
    ):
        with pytest.raises(expected) as refused:
            ask()
        assert type(refused.value) is type(of_verify.value)
        assert str(refused.value) == str(of_verify.value)


@pytest.mark.parametrize("token", [b"a b", b" " + ANN, ANN + b" ", b"\xe9", b"=", b"a=b", b"a,b"])
def test_a_bearer_of_the_wrong_shape_is_left_to_the_gate_which_says_so(
    found: Find, token: bytes
) -> None:
    assert found("GET", (b"authorization", b"Bearer " + token)) is None


def test_a_cookie_that_is_not_good_is_left_to_the_gate_which_may_renew_it(found: Find) -> None:
    for token in (FORGED, token_of("ann", exp=NOW - 100).encode()):
        assert found("GET", (b"cookie", NAME + b"=" + token)) is None


def test_what_fails_is_no_token_that_is_not_good(
    load: Callable[[str], ModuleType], made: Any
) -> None:
    class Broken(FakeClock):
        def __call__(self) -> float:
            raise ZeroDivisionError

    table = made.Table(clock=FakeClock(NOW))
    verifier = made.Verifier([KEY], **made.options(clock=Broken(NOW), revocations=table))
    for fields in ([(b"authorization", BEARER)], [(b"cookie", MEMBER)]):
        with pytest.raises(ZeroDivisionError):
            verifier.verify_request(NAME, True, "GET", fields)


def test_no_error_shows_the_fields(verifier: Any) -> None:
    secrets = Secrets()
    secrets.add_access_token(FORGED.decode())
    fields = [(b"authorization", b"Bearer " + FORGED)]
    with pytest.raises(InvalidAccessToken) as caught:
        verifier.verify_request(NAME, True, "GET", fields)
    assert exposed_by(caught.value, secrets) == []


def test_a_revoked_bearer_is_refused(made: Any) -> None:
    clock = FakeClock(NOW)
    table = made.Table(clock=clock)
    verifier = made.Verifier([KEY], **made.options(clock=clock, revocations=table))
    fields = [(b"authorization", BEARER)]
    assert verifier.verify_request(None, True, "GET", fields).subject == "ann"
    table.revoke("A" * 16, 900)
    with pytest.raises(AccessTokenRevoked):
        verifier.verify_request(None, True, "GET", fields)


def test_a_remembered_token_keeps_no_header_field_alive(verifier: Any) -> None:
    value = b"Bearer " + ANN
    before = sys.getrefcount(value)
    claims = verifier.verify_request(None, True, "GET", [(b"authorization", value)])
    assert sys.getrefcount(value) == before
    text = value.decode()
    before = sys.getrefcount(text)
    assert verifier.verify_request(None, True, "GET", {"HTTP_AUTHORIZATION": text}) == claims
    assert sys.getrefcount(text) == before
    cookies = b"a=b; " + NAME + b"=" + BOB + b"; c=" + b"d" * 4000
    before = sys.getrefcount(cookies)
    assert verifier.verify_request(NAME, True, "GET", [(b"cookie", cookies)]).subject == "bob"
    assert sys.getrefcount(cookies) == before
    assert verifier.remembered == 2


def test_fields_that_another_thread_changes_meanwhile_give_one_token_or_none(
    verifier: Any,
) -> None:
    fields: list[Any] = [(b"authorization", BEARER)]
    is_over = Event()

    def change() -> None:
        while not is_over.is_set():
            fields[:] = [(b"authorization", b"Bearer " + bytes(BOB))]
            fields.clear()
            fields.extend([(b"host", b"a"), (b"authorization", b"Bearer " + bytes(ANN))])

    thread = Thread(target=change)
    thread.start()
    try:
        for _ in range(20_000):
            claims = verifier.verify_request(None, True, "GET", fields)
            assert claims is None or claims.subject in {"ann", "bob"}
    finally:
        is_over.set()
        thread.join()


# Beside the gate.

# It takes long until the last of all tests has run.
MANAGER = SessionManager(SECRET, issuer="i", audience="a", access_ttl=86_400)
TOKEN = MANAGER.create({}, subject="ann").access_token.encode()
OTHER = MANAGER.create({}, subject="bob").access_token.encode()


@pytest.mark.parametrize("name", ["admit", "admit_optional"])
def test_a_subclass_that_admits_in_its_own_way_is_never_passed_by(name: str) -> None:
    def close(*_: Any, **__: Any) -> Claims:
        raise StorageUnavailable("closed")

    pairs = [(b"authorization", b"Bearer " + TOKEN)]
    assert Gate(MANAGER).admit_plain("GET", pairs) is not None
    assert type("Closed", (Gate,), {name: close})(MANAGER).admit_plain("GET", pairs) is None


def test_a_manager_that_reads_in_its_own_way_is_never_passed_by() -> None:
    class Careful(SessionManager):
        def read(self, *_: Any, **__: Any) -> Claims:
            raise AccessTokenRevoked("none is let in today")

    pairs = [(b"authorization", b"Bearer " + TOKEN)]
    replaced = SessionManager(SECRET, issuer="i", audience="a")
    replaced.read = Careful.read.__get__(replaced)  # type: ignore[method-assign]
    for manager in (Careful(SECRET, issuer="i", audience="a"), replaced):
        gate = Gate(manager)
        assert gate.admit_plain("GET", pairs) is None
        with pytest.raises(AccessTokenRevoked, match="none is let in today"):
            gate.admit("GET", headers_of(pairs))


def test_cookies_for_localhost_are_left_to_the_gate_which_looks_at_the_host() -> None:
    gate = Gate(MANAGER, cookies=Cookies(insecure_localhost=True))
    assert gate.admit_plain("GET", [(b"cookie", b"tw-access=" + TOKEN)]) is None


# What requests are made of: most of it fits together, and all else is near it.
BLANK = st.sampled_from([b"", b" ", b"\t", b"  ", b"\x0b", b"\xa0"])
VALUE = st.sampled_from([TOKEN, OTHER, b"", b"x", TOKEN + b"=", b'"' + TOKEN + b'"', TOKEN[:-1]])
MEMBERS = st.builds(
    lambda a, name, b, equals, c, value, d: a + name + b + equals + c + value + d,
    *(BLANK, st.sampled_from([NAME, NAME.lower(), NAME[:-1], b"a", b""]), BLANK),
    *(st.sampled_from([b"=", b"=", b"", b"=="]), BLANK, VALUE, BLANK),
)
COOKIE = st.lists(MEMBERS, max_size=4).map(b";".join)
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
METHOD = st.sampled_from(["GET", "POST", "OPTIONS", "get"])
GATES = [
    Gate(MANAGER),
    Gate(MANAGER, cookies=Cookies()),
    Gate(MANAGER, cookies=Cookies(), bearer=False, trusted_origins=["https://b.example"]),
]
# What the twins verify by, at the time of the manager's tokens.
VERIFIERS = [make_verifier(name, [KEY], clock=MANAGER._clock) for name in TWINS]


def headers_of(pairs: Any) -> Callable[[str], str | None]:
    """Return what joins fields of one name, as ``web/scopes.py`` does."""

    def get(name: str) -> str | None:
        values = [value.decode("latin-1") for key, value in pairs if key == name.encode()]
        return ("; " if name == "cookie" else ", ").join(values) if values else None

    return get


def answer(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return the claims, None, or the kind of an error and what it says."""
    try:
        return call(*arguments)
    except TokenwheelError as error:
        return type(error), str(error)


def check_beside_gate(gate: Gate, method: str, fields: Any, headers: Any) -> None:
    """Check that the twins agree, and that what is not left to the gate is what it answers.

    Of an error, the twins agree on its kind: a signature in no canonical base64url is to the
    compiled verifier one that is wrong.
    """
    cookie = None if gate.cookies is None else NAME
    by_twins = [
        answer(verifier.verify_request, cookie, gate.takes_bearer, method, fields)
        for verifier in VERIFIERS
    ]
    kinds = [found[0] if isinstance(found, tuple) else found for found in by_twins]
    assert kinds == kinds[:1] * len(kinds)
    at_one_look = answer(gate.admit_plain, method, fields)
    assert at_one_look == by_twins[0]
    if at_one_look is not None:
        assert at_one_look == answer(gate.admit, method, headers)
        assert at_one_look == answer(gate.admit_optional, method, headers)


@given(st.sampled_from(GATES), METHOD, REQUEST)
@example(GATES[1], "GET", [(b"cookie", NAME + b"=" + TOKEN)])
@example(GATES[1], "GET", [(b"authorization", b"Bearer " + TOKEN)])
@example(GATES[1], "GET", [(b"authorization", b"Bearer " + TOKEN[:-1])])
@settings(max_examples=1_000)
def test_what_it_answers_the_gate_answers_too_and_the_twins_agree(
    gate: Gate, method: str, pairs: Pairs
) -> None:
    check_beside_gate(gate, method, pairs, headers_of(pairs))


@given(st.sampled_from(GATES), METHOD, REQUEST)
@example(GATES[1], "POST", [(b"cookie", NAME + b"=" + TOKEN), (b"sec-fetch-site", b"same-origin")])
@settings(max_examples=1_000)
def test_what_it_answers_by_the_environment_the_gate_answers_too(
    gate: Gate, method: str, pairs: Pairs
) -> None:
    environ: dict[str, str] = {}
    for name, value in pairs:  # Servers of WSGI join what comes twice.
        key = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    get = environ.get
    check_beside_gate(
        gate, method, environ, lambda name: get(f"HTTP_{name.upper().replace('-', '_')}")
    )
