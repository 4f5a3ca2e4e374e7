"""Options that no manager can serve with, each refused when it is made, in words that help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.liars import Agreeing, Octets, Text
from tests.support import SECRET, secret_of
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    InvalidArgument,
    Key,
    SessionEvent,
    SessionManager,
)

LIFETIME = (
    "a whole number of seconds from 1 to 3155760000 (100 years), or a timedelta of whole seconds"
)
TOLERANCE = "a number of seconds from 0 to 86400, or a timedelta of whole seconds"
OPTIONS: dict[str, Any] = {"issuer": "i", "audience": "a"}


@pytest.fixture(params=[SessionManager, AsyncSessionManager], ids=["blocking", "asyncio"])
def refuse(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Return what makes a manager in vain, and tells in which words it was refused."""

    def refused(keys: Any = SECRET, **options: Any) -> str:
        with pytest.raises(ConfigurationError) as caught:
            request.param(keys, **(OPTIONS | options))
        return str(caught.value)

    return refused


@pytest.fixture
def make() -> Iterator[Callable[..., SessionManager]]:
    with ExitStack() as stack:
        yield lambda keys=SECRET, **options: stack.enter_context(
            SessionManager(keys, **(OPTIONS | options))
        )


@pytest.mark.parametrize("text", ["a\0b", "\0", "a\ud800", "\udfff", Text("\ud800"), Text("\0")])
def test_an_issuer_or_audience_with_nul_or_a_lone_surrogate_is_refused(
    refuse: Callable[..., str], text: str
) -> None:
    """No JSON can hold the second, and a storage may end a text at the first."""
    for option in ("issuer", "audience", "accept_audience"):
        assert "without NUL or a lone surrogate" in refuse(**{option: text})
    for option in ("audience", "accept_audience"):
        assert "without NUL or a lone surrogate" in refuse(**{option: ["a", text]})


def test_audiences_that_would_fill_every_token_are_refused(
    refuse: Callable[..., str], make: Callable[..., SessionManager]
) -> None:
    for audience in ("x" * 4097, ["x" * 2048, "y" * 2049]):
        assert "audience must have at most 4096 characters" in refuse(audience=audience)
    manager = make(audience="x" * 4096)
    assert manager.read(manager.create(subject="ann").access_token)["aud"] == "x" * 4096


@pytest.mark.parametrize(
    "option, value, said",
    [
        ("issuer", b"i", "not bytes"),
        ("audience", 7, "not int"),
        ("leeway", "5", f"{TOLERANCE}, not str"),
        ("leeway", -1, f"{TOLERANCE}, and is -1"),
        ("leeway", 86_401.5, f"{TOLERANCE}, and is 86401.5"),
        ("leeway", 10**400, f"{TOLERANCE}, and is far out of it"),
        ("access_ttl", 1.5, f"{LIFETIME}, and is 1.5"),
        ("access_ttl", 0, f"{LIFETIME}, and is 0"),
        ("verified_cache_size", None, "an int from 0 to 16777216, not NoneType"),
        ("rotate_refresh_tokens", 1, "True or False, and is 1"),
        ("storage_key", 7, "a sequence of these, not int"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_refusal_says_what_was_given_and_what_is_allowed(
    refuse: Callable[..., str], option: str, value: Any, said: str
) -> None:
    words = refuse(**{option: value})
    assert option in words
    assert all(part in words for part in said.split(" .* "))


def test_keys_of_no_kind_are_named_by_their_type(refuse: Callable[..., str]) -> None:
    for keys in (7, [SECRET], bytearray(SECRET.encode())):
        assert f"or a KeySet, not {type(keys).__name__}" in refuse(keys)
    assert refuse(None).startswith("keys is None: set the environment variable")


@pytest.mark.parametrize("shape", [Text, lambda text: Octets(text.encode())])
def test_a_secret_of_a_subclass_signs_as_its_characters_do(
    refuse: Callable[..., str], make: Callable[..., SessionManager], shape: Callable[[str], Any]
) -> None:
    secret = secret_of("of a subclass")
    given, plain = make(shape(secret)), make(secret)
    assert plain.read(given.create(subject="ann").access_token).subject == "ann"
    assert "at least 32 bytes" in refuse(shape("short"))


def test_a_storage_key_of_a_subclass_seals_as_its_characters_do(
    make: Callable[..., SessionManager],
) -> None:
    secret = secret_of("seals")
    first = make(storage_key=Text(secret))
    tokens = first.create(subject="ann")
    for storage_key in (secret, [Key.from_secret(secret)], (Octets(secret.encode()),)):
        other = make(storage=first.storage, storage_key=storage_key)
        assert [*other.read_all("ann")] == [tokens.session_id]
        assert other.broken_records == 0


class Listener:
    """A listener that says that it is equal to every other, and can be told nothing of."""

    __signature__ = property(lambda self: 1 / 0)

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def __call__(self, event: Any) -> None:
        self.heard.append(event)

    def hear(self, event: Any) -> None:
        self.heard.append(event)

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("how", ["itself", "method", "method of C", "the call itself"])
def test_off_silences_the_very_listener_and_no_other(
    make: Callable[..., SessionManager], how: str
) -> None:
    """A bound method is made anew each time it is looked up, and is the same all the same."""
    look_up: Callable[[Any], Any] = {
        "itself": lambda listener: listener,
        "method": lambda listener: listener.hear,
        "method of C": lambda listener: listener.heard.append,
        "the call itself": lambda listener: listener.__call__,
    }[how]
    kept, silenced = Listener(), Listener()
    manager = make()
    for listener in (kept, silenced):
        manager.on(SessionEvent.SESSION_CREATED, look_up(listener))
    manager.off(SessionEvent.SESSION_CREATED, look_up(Listener()))
    manager.off(SessionEvent.SESSION_REFRESHED, look_up(kept))
    manager.off(SessionEvent.SESSION_CREATED, look_up(silenced))
    manager.create(subject="ann")
    assert (len(kept.heard), len(silenced.heard)) == (1, 0)


@pytest.mark.parametrize("event", ["session_created", Agreeing("session_created"), None, 7])
def test_an_event_that_only_looks_like_one_is_refused_with_its_type(
    make: Callable[..., SessionManager], event: Any
) -> None:
    manager = make()
    kind = type(event).__name__
    for call in (manager.on, manager.off):
        with pytest.raises(InvalidArgument, match=f"event must be a SessionEvent, .*, not {kind}"):
            call(event, print)


def test_a_listener_whose_call_is_a_coroutine_is_refused_by_a_blocking_manager(
    make: Callable[..., SessionManager],
) -> None:
    class Awaited:
        async def __call__(self, event: Any) -> None: ...

    with pytest.raises(InvalidArgument, match="listener must not be a coroutine function"):
        make().on(SessionEvent.SESSION_CREATED, Awaited())
    AsyncSessionManager(SECRET, **OPTIONS).on(SessionEvent.SESSION_CREATED, Awaited())


@pytest.mark.parametrize("audience", [["a", 7], ["a", ""], [], ("a", None)])
def test_a_sequence_with_a_mistake_in_it_is_not_blamed_for_being_one(
    refuse: Callable[..., str], audience: Any
) -> None:
    for option in ("audience", "accept_audience"):
        words = refuse(**{option: audience})
        assert words.endswith("a non-empty sequence of such, without NUL or a lone surrogate")
