"""Every public call and every option of the managers, with whatever a caller may hand in.

Invariant: what counts as a text, a number, a mapping or a sequence is taken for its characters, its
number, its items at one look; the answer is the same as for the plain value, and nothing of the
caller's own type stays. Anything else is refused by an error of the library's own, in the same
words by both implementations and both managers, and nothing was done.

Methods, options and parameters are found by ``inspect``: a new one needs a line in ``ARGUMENTS`` or
in ``OPTIONS``, and fails here until it has one.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import secret_of
from tokenwheel import AsyncSessionManager, SessionManager

from .guises import HOSTILE, Pick, disguised, disguised_mapping, hostile, pick_from
from .worlds import TWINS, Error, World, answer_of, library_of, plain_parts

WORLDS = [(implementation, is_async) for implementation in TWINS for is_async in (False, True)]
CLAIMS = {"role": "user", "n": 7, "of": ["a", 1.5, {"b": None}], "is": True}
Disguise = Callable[[World, Any, Pick], Any]


def _with_names(_: World, claims: Any, pick: Pick) -> Any:
    """Disguise the names of claims, and the mapping. Their values are plain JSON or refused."""
    return disguised_mapping(claims, pick, lambda value, _: value)


def _with_values(_: World, claims: Any, pick: Pick) -> Any:
    return {name: disguised(value, pick) for name, value in claims.items()}


def _context(world: World, context: Any, pick: Pick) -> Any:
    device = context.device
    return world.library.SessionContext(
        disguised(context.ip, pick),
        world.library.Device(
            disguised(device.name, pick),
            disguised(device.type, pick),
            _with_names(world, device.extra, pick),
        ),
        disguised(context.location, pick),
    )


def _token(_: World, token: Any, pick: Pick) -> Any:
    return disguised(token.encode() if pick(["text", "octets"]) == "octets" else token, pick)


def _as_it_is(_: World, value: Any, pick: Pick) -> Any:
    return value


# What each parameter is given, and how that is disguised where `disguised` does not know it.
ARGUMENTS: dict[str, Callable[[World], Any]] = {
    "access_token": lambda world: world.ann.access_token,
    "access_ttl": lambda world: 60,
    "audience": lambda world: ["rest", "other"],
    "claims": lambda world: CLAIMS,
    "context": lambda world: world.context(),
    "event": lambda world: world.library.SessionEvent.SESSION_CREATED,
    "keep": lambda world: world.ann.session_id,
    "leeway": lambda world: 2.5,
    "listener": lambda world: world.listen,
    "refresh_token": lambda world: world.ann.refresh_token,
    "refresh_ttl": lambda world: 600,
    "session_id": lambda world: world.ann.session_id,
    "subject": lambda world: "ann",
}
ARGUMENTS_OF: dict[tuple[str, str], Callable[[World], Any]] = {
    ("restrict_one", "claims"): lambda world: {"sub": "ann", "sid": world.ann.session_id},
}
DISGUISES: dict[str, Disguise] = {
    "access_token": _token,
    "claims": _with_names,
    "context": _context,
    "event": _as_it_is,
    "listener": _as_it_is,
}
DISGUISES_OF: dict[tuple[str, str], Disguise] = {("restrict_one", "claims"): _with_values}

OPTIONS: dict[str, Any] = {
    "keys": secret_of("an option"),
    "algorithm": "HS256",
    "issuer": "i\u00e9\U0001f600",
    "audience": ["auth", "b"],
    "accept_audience": ["auth", "c"],
    "access_ttl": 60,
    "refresh_ttl": 600,
    "idle_ttl": 120,
    "refresh_token_length": 20,
    "rotate_refresh_tokens": False,
    "reuse_grace": 5.5,
    "max_sessions": 9,
    "when_full": "evict_oldest",
    "leeway": 3,
    "storage": None,
    "storage_key": [secret_of("stored"), secret_of("before").encode()],
    "revocations": None,
    "refresh_hook": lambda session, context: None,
    "verified_cache_size": 7,
    "clock": lambda: 1_700_000_000.0,
}


def _methods() -> list[str]:
    return [
        name
        for name, method in inspect.getmembers(SessionManager, inspect.isfunction)
        if not name.startswith("_")
    ]


def _signature(method: str) -> dict[str, inspect.Parameter]:
    """Return the parameters of a method but for ``self``."""
    return dict([*inspect.signature(getattr(SessionManager, method)).parameters.items()][1:])


DOORS = [(method, name) for method in _methods() for name in _signature(method)]


def _value(world: World, method: str, name: str) -> Any:
    return ARGUMENTS_OF.get((method, name), ARGUMENTS[name])(world)


def _disguise(world: World, method: str, name: str, pick: Pick) -> Any:
    chosen = DISGUISES_OF.get((method, name), DISGUISES.get(name))
    value = _value(world, method, name)
    return disguised(value, pick) if chosen is None else chosen(world, value, pick)


@pytest.fixture(autouse=True, scope="module")
def _silence() -> Iterator[None]:
    """Silence what is logged of listeners, whose errors are not the matter here."""
    logging.getLogger("tokenwheel").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("tokenwheel").setLevel(logging.NOTSET)


def test_every_method_and_option_of_the_managers_is_driven() -> None:
    """A new parameter needs a line in ``ARGUMENTS``, a new option one in ``OPTIONS``."""
    assert {name for _, name in DOORS} <= {*ARGUMENTS}
    assert [*inspect.signature(SessionManager).parameters] == [*OPTIONS]
    for method in _methods():
        awaited = inspect.signature(getattr(AsyncSessionManager, method))
        assert [*awaited.parameters][1:] == [*_signature(method)]


@cache
def _plain_answer(method: str, names: tuple[str, ...]) -> Any:
    with World(TWINS[0], is_async=False) as world:
        arguments = {name: _value(world, method, name) for name in names}
        return _answer(world, method, arguments), len(world.manager.revocations)


def _answer(world: World, method: str, arguments: dict[str, Any]) -> Any:
    """Return what a call answers, in plain types and without what is random in it."""
    answer = answer_of(world.library, lambda: world.ask(method, **arguments))
    if method in ("on", "off") and type(answer) is not Error:
        return None  # the listener, or what takes one
    assert plain_parts(answer)
    return world.told(answer)


@given(data=st.data())
def test_an_argument_under_another_guise_gives_the_same_answer(data: st.DataObject) -> None:
    method = data.draw(st.sampled_from(_methods()), "method")
    names = tuple(
        name
        for name, its in _signature(method).items()
        if its.default is its.empty or data.draw(st.booleans(), name)
    )
    expected = _plain_answer(method, names)
    for implementation, is_async in WORLDS:
        with World(implementation, is_async) as world:
            arguments = {name: _disguise(world, method, name, pick_from(data)) for name in names}
            assert (_answer(world, method, arguments), len(world.manager.revocations)) == expected
            assert plain_parts(world.records())


@given(
    door=st.sampled_from(DOORS),
    name=st.sampled_from([*HOSTILE]),
    is_alone=st.booleans(),
)
def test_a_hostile_argument_is_refused_alike_and_nothing_was_done(
    door: tuple[str, str], name: str, is_alone: bool
) -> None:
    method, parameter = door
    answers = []
    for implementation, is_async in WORLDS:
        with World(implementation, is_async) as world:
            arguments = {
                other: _value(world, method, other)
                for other, its in _signature(method).items()
                if its.default is its.empty or not is_alone
            }
            arguments[parameter] = hostile(name)
            before = world.state()
            answer = _answer(world, method, arguments)
            if isinstance(answer, Error):
                assert world.state() == before
                secrets = (world.ann.access_token, world.ann.refresh_token, secret_of("doors"))
                assert not [secret for secret in secrets if secret[-12:] in answer.words]
            answers.append(answer)
    assert all(answer == answers[0] for answer in answers[1:])


@pytest.mark.long
@pytest.mark.parametrize("door", DOORS, ids=" ".join)
def test_each_hostile_argument_at_each_door(door: tuple[str, str]) -> None:
    try_it = test_a_hostile_argument_is_refused_alike_and_nothing_was_done.hypothesis.inner_test
    for name in HOSTILE:
        for is_alone in (True, False):
            try_it(door, name, is_alone)


def _scenario(world: World) -> Any:
    """Return what a manager answers in the course of a session."""
    library, manager = world.library, world.manager
    tokens = world.ann
    calls: list[Callable[[], Any]] = [
        lambda: manager.read(tokens.access_token),
        lambda: manager.read(tokens.access_token, audience="b"),
        lambda: world.ask("update", refresh_token=tokens.refresh_token, context=world.context()),
        lambda: world.ask("create", subject="ann"),
        lambda: len(world.ask("read_all", subject="ann")),
        lambda: world.ask("delete_all", subject="ann"),
        lambda: manager.read(tokens.access_token),
    ]
    return [world.told(answer_of(library, call)) for call in calls]


def _options(names: Any, pick: Pick | None = None) -> dict[str, Any]:
    """Return some of the options. Those that None stands for are left out."""
    given_options = {name: OPTIONS[name] for name in names if OPTIONS[name] is not None}
    if pick is None:
        return given_options
    return {
        name: value if callable(value) else disguised(value, pick)
        for name, value in given_options.items()
    }


@given(data=st.data())
def test_an_option_under_another_guise_makes_the_same_manager(data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from([*OPTIONS]), min_size=1), "options")
    with World(TWINS[0], is_async=False, **_options(names)) as world:
        expected = _scenario(world)
    for implementation, is_async in WORLDS:
        options = _options(sorted(names), pick_from(data))
        with World(implementation, is_async, **options) as world:
            assert _scenario(world) == expected
            assert plain_parts(world.records())


@given(option=st.sampled_from([*OPTIONS]), name=st.sampled_from([*HOSTILE]))
def test_a_hostile_option_is_refused_alike_or_serves_alike(option: str, name: str) -> None:
    answers = []
    for implementation, is_async in WORLDS:
        world = answer_of(
            library_of(implementation),
            partial(World, implementation, is_async, **{option: hostile(name)}),
        )
        if isinstance(world, Error):
            answers.append(world)
            continue
        with world:
            answers.append(_scenario(world))
    assert all(answer == answers[0] for answer in answers[1:])


@pytest.mark.long
@pytest.mark.parametrize("option", OPTIONS)
def test_each_hostile_option_at_each_door(option: str) -> None:
    try_it = test_a_hostile_option_is_refused_alike_or_serves_alike.hypothesis.inner_test
    for name in HOSTILE:
        try_it(option, name)
