"""Every public call and option of gates and cookies, with whatever a caller may hand in.

Invariant: a text counts for its characters and a number for its number, whatever a subclass says of
them. Anything else is refused by an error of the library's own, which repeats no token.

Methods and parameters are found by ``inspect``: a new one needs a line in ``ARGUMENTS``, and fails
here until it has one.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doors.guises import HOSTILE, Pick, disguised, hostile, pick_from
from tests.support import SECRET, FakeClock
from tokenwheel import SessionManager, TokenwheelError
from tokenwheel.web import Answer, Cookies, Gate, MalformedCredentials

CLOCK = FakeClock(1_700_000_000.25)
MANAGER = SessionManager(SECRET, issuer="i", audience="a", clock=CLOCK)
TOKENS = MANAGER.create({"scope": "admin"}, subject="ann")
CLAIMS = MANAGER.read(TOKENS.access_token)
COOKIE = f"__Host-tw-access={TOKENS.access_token}; __Host-tw-refresh={TOKENS.refresh_token}"
FIELDS = {"cookie": COOKIE, "host": "app.example", "sec-fetch-site": "same-origin"}
SECRETS = (TOKENS.access_token[-20:], TOKENS.refresh_token[-20:])

ARGUMENTS: dict[str, Any] = {
    "access_token": TOKENS.access_token,
    "body": b"",
    "claims": CLAIMS,
    "error": MalformedCredentials("said"),
    "header": COOKIE,
    "headers": FIELDS.get,
    "host": "localhost",
    "lifetime": 60,
    "max_age": 300,
    "method": "POST",
    "refresh_token": TOKENS.refresh_token,
    "scopes": ["admin"],
    "tokens": TOKENS,
    "via": "cookie",
    "websocket": False,
}
OPTIONS: dict[type, dict[str, Any]] = {
    Gate: {
        "manager": MANAGER,
        "cookies": Cookies(),
        "bearer": True,
        "trusted_origins": ["https://shop.example"],
        "scopes": lambda claims: ["admin"],
        "renew": lambda session: {},
    },
    Cookies: {
        "access": "__Host-a",
        "refresh": "__Host-b",
        "same_site": "Strict",
        "domain": None,
        "refresh_path": "/",
        "persistent": False,
        "partitioned": True,
        "insecure_localhost": False,
    },
}
# What is the caller's own, or a value of one type and no other.
AS_THEY_ARE = {"body", "claims", "error", "headers", "tokens", "websocket"}
MADE = {Gate: Gate(MANAGER, cookies=Cookies(), renew=lambda session: {}), Cookies: Cookies()}


def parameters_of(kind: type, method: str) -> list[str]:
    return [*inspect.signature(getattr(kind, method)).parameters][1:]


METHODS = [
    (kind, method)
    for kind in MADE
    for method, _ in inspect.getmembers(kind, inspect.isfunction)
    if not method.startswith("_")
]
DOORS = [(kind, method, name) for kind, method in METHODS for name in parameters_of(kind, method)]


@pytest.fixture(autouse=True, scope="module")
def _silence() -> Iterator[None]:
    """Silence what is logged of mistakes in the configuration."""
    logging.getLogger("tokenwheel").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("tokenwheel").setLevel(logging.NOTSET)


def ask(kind: type, method: str, arguments: dict[str, Any]) -> Any:
    signature = inspect.signature(getattr(kind, method))
    by_place = [
        arguments.pop(name)
        for name, its in signature.parameters.items()
        if its.kind is its.POSITIONAL_OR_KEYWORD and name in arguments
    ]
    return getattr(MADE[kind], method)(*by_place, **arguments)


def told(answer: Any) -> Any:
    return (answer.status, answer.headers, answer.body) if isinstance(answer, Answer) else answer


def test_every_method_and_option_is_driven() -> None:
    assert {name for _, _, name in DOORS} == {*ARGUMENTS}
    for kind, options in OPTIONS.items():
        assert [*inspect.signature(kind).parameters] == [*options]


@given(data=st.data())
def test_an_argument_under_another_guise_gives_the_same_answer(data: st.DataObject) -> None:
    kind, method = data.draw(st.sampled_from(METHODS), "method")
    names = parameters_of(kind, method)
    expected = told(ask(kind, method, {name: ARGUMENTS[name] for name in names}))
    pick: Pick = pick_from(data)
    given_arguments = {
        name: ARGUMENTS[name] if name in AS_THEY_ARE else disguised(ARGUMENTS[name], pick)
        for name in names
    }
    assert told(ask(kind, method, given_arguments)) == expected


@given(door=st.sampled_from(DOORS), name=st.sampled_from([*HOSTILE]))
def test_a_hostile_argument_is_refused_in_our_own_words(
    door: tuple[type, str, str], name: str
) -> None:
    kind, method, parameter = door
    arguments = {other: ARGUMENTS[other] for other in parameters_of(kind, method)}
    arguments[parameter] = hostile(name)
    said = ""
    try:
        ask(kind, method, arguments)
    except TokenwheelError as error:
        said = str(error)
    assert not [secret for secret in SECRETS if secret in said]


@pytest.mark.parametrize("kind", OPTIONS)
@given(data=st.data())
def test_a_hostile_option_is_refused_or_makes_a_gate_that_works(
    kind: type, data: st.DataObject
) -> None:
    options = dict(OPTIONS[kind])
    options[data.draw(st.sampled_from([*options]), "option")] = hostile(
        data.draw(st.sampled_from([*HOSTILE]), "what")
    )
    by_place = [options.pop("manager")] if kind is Gate else []
    made: Any = None
    try:
        made = kind(*by_place, **options)
    except TokenwheelError:
        return
    calls: list[Callable[[], Any]] = (
        [lambda: made.admit("GET", FIELDS.get, scopes=["admin"]), made.farewell, made.jwks]
        if kind is Gate
        else [made.delete, lambda: made.write("a", "r", 60), lambda: made.read_access(COOKIE)]
    )
    for call in calls:
        try:
            call()
        except TokenwheelError:
            pass


@pytest.mark.long
@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door[0].__name__} {door[1]} {door[2]}")
def test_each_hostile_argument_at_each_door(door: tuple[type, str, str]) -> None:
    try_it = test_a_hostile_argument_is_refused_in_our_own_words.hypothesis.inner_test
    for name in HOSTILE:
        try_it(door, name)
