"""Options and arguments that make no sense are refused at once, by name, with nothing done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from tests.support import SECRET
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    Device,
    InvalidArgument,
    Key,
    MemoryStorage,
    SessionContext,
    SessionEvent,
    SessionManager,
    SessionNotFound,
)

Make = Callable[..., Any]
nan, infinite = float("nan"), float("inf")


@pytest.mark.parametrize(
    "option, values",
    [
        ("issuer", ["", None, 7, b"x"]),
        ("audience", ["", None, [], [""], [7], ["a", None], b"a", {"a"}, 7]),
        ("accept_audience", ["", [], [""], 7]),
        ("access_ttl", [0, -1, 1.5, True, "900", None, 10**12, nan]),
        ("refresh_ttl", [0, -1, 1.5, True, "900", None, 10**12]),
        ("idle_ttl", [0, -1, 1.5, True, "900"]),
        ("refresh_token_length", [0, 14, 15.0, True, None, 10**6]),
        ("rotate_refresh_tokens", [None, 1, "yes"]),
        ("reuse_grace", [-1, 10**400, nan, infinite, True, None, "10"]),
        ("max_sessions", [0, -1, True, 1.0, "3"]),
        ("when_full", [None, "", "evict", True]),
        ("leeway", [-1, 10**400, nan, infinite, True, None, "0", 10**9]),
        ("storage", [object(), "memory", {}]),
        ("revocations", [object(), set()]),
        ("refresh_hook", ["same", 7]),
        ("verified_cache_size", [-1, True, 1.5, None, 10**12]),
        ("clock", ["now", 7]),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(
    make: Make, option: str, values: list[Any]
) -> None:
    for value in values:
        with pytest.raises(ConfigurationError, match=option):
            make(**{option: value})


@pytest.mark.parametrize(
    "keys, algorithm, reason",
    [
        ("short", "HS256", "must have at least 32 bytes"),
        ("x" * 47, "HS384", "must have at least 48 bytes"),
        (SECRET, "RS256", "algorithm must be one of HS256, HS384, HS512"),
        (SECRET, "none", "algorithm must be one of HS256, HS384, HS512"),
        (SECRET, "None", "algorithm must be one of HS256, HS384, HS512"),
        (SECRET, None, "algorithm must be one of HS256, HS384, HS512"),
        (7, "HS256", "keys must be a shared secret"),
        (None, "HS256", "keys is None: set the environment variable"),
        ("", "HS256", "a shared secret is empty: set the environment variable"),
    ],
)
def test_a_key_or_algorithm_that_cannot_be_used_is_refused(
    make: Make, keys: Any, algorithm: Any, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        make(keys, algorithm=algorithm)


def test_the_largest_and_smallest_sensible_options_are_taken(make: Make) -> None:
    manager = make(
        access_ttl=1, refresh_ttl=100 * 31_557_600, idle_ttl=1, refresh_token_length=15,
        reuse_grace=0.5, max_sessions=1, leeway=0.5, verified_cache_size=0, audience=("a",),
        accept_audience="a",
    )  # fmt: skip
    assert manager.read(manager.create(subject="uid1").access_token, leeway=5).subject == "uid1"


def test_the_bounds_of_the_options_and_of_one_calls_lifetimes_are_taken(make: Make) -> None:
    longest = 100 * 31_557_600  # seconds: 100 years
    manager = make(refresh_ttl=1, max_sessions=2**31)
    for seconds in (1, longest):
        tokens = manager.create(subject="uid1", access_ttl=seconds, refresh_ttl=seconds)
        assert manager.update(tokens.refresh_token, access_ttl=seconds).session_id
    assert manager.create(subject="uid1").session_id
    with pytest.raises(ConfigurationError, match=f"max_sessions must be an int from 1 to {2**31}"):
        make(max_sessions=2**31 + 1)


def test_a_single_key_stands_for_a_set_of_it(make: Make) -> None:
    manager = make(Key.generate("ES256"))
    assert manager.read(manager.create(subject="uid1").access_token).subject == "uid1"


@pytest.mark.parametrize("subject", ["", "a" * 256, "a\0b", "\ud800", "a\udfff", None, 7, b"uid1"])
def test_a_subject_that_cannot_be_used_is_refused_everywhere(manager: Any, subject: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: manager.create(subject=subject),
        lambda: manager.read_all(subject),
        lambda: manager.delete_one(subject, "A" * 16),
        lambda: manager.delete_all(subject),
        lambda: manager.restrict_all(subject),
        lambda: manager.restrict_one({"sub": subject, "sid": "A" * 16}),
    ]
    for call in calls:
        with pytest.raises(InvalidArgument, match="subject"):
            call()


@pytest.mark.parametrize(
    "subject",
    ["a", "é" * 255, "😀", "a@b:*", " ", "\n", "null", "../..", "'; DROP TABLE sessions; --"],
)
def test_a_subject_of_any_other_characters_goes_all_the_way(manager: Any, subject: str) -> None:
    tokens = manager.create(subject=subject)
    assert manager.read(tokens.access_token).subject == subject
    assert manager.update(tokens.refresh_token, subject=subject).session_id == tokens.session_id
    assert manager.read_all(subject)[tokens.session_id].subject == subject
    assert manager.delete_all(subject) == 1


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "claims",
    [
        {"a": nan},
        {"a": infinite},
        {"a": [1, -infinite]},
        {"a": {1}},
        {"a": b"x"},
        {"a": object()},
        {"a": 10**5000},
        {"a": -(10**5000)},
        {"a": "\ud800"},
        {"a": {1: 2}},
        {"a": {"\udfff": 2}},
        {"a": deep(32)},
        {"a": "x" * 8000},
        {7: 1},
        {"\ud800": 1},
        [("a", 1)],
        "a",
        7,
        {"a": type("T", (dict,), {})()},
    ],
)
def test_claims_that_would_not_come_back_as_they_went_in_are_refused_and_nothing_is_stored(
    manager: Any, claims: Any
) -> None:
    with pytest.raises(InvalidArgument, match="claim"):
        manager.create(claims, subject="uid1")
    assert manager.read_all("uid1") == {}


@pytest.mark.parametrize(
    "value",
    [
        deep(31),
        2**64 - 1,
        -(2**63),
        10**4299,
        1.5,
        -0.0,
        "",
        "é😀\0",
        True,
        None,
        [],
        {},
        {"": {"a": [1, "b", None]}},
        "x" * 5000,
    ],
)
def test_claims_come_back_as_they_went_in(manager: Any, value: Any) -> None:
    assert manager.read(manager.create({"a": value}, subject="uid1").access_token)["a"] == value


def test_claims_may_be_any_mapping_and_have_names_of_any_characters(manager: Any) -> None:
    claims = MappingProxyType({"rôle 😀": "user"})
    assert manager.read(manager.create(claims, subject="uid1").access_token)["rôle 😀"] == "user"


@pytest.mark.parametrize("kind, given", [("str", "a"), ("int", 7), ("list", [("a", 1)])])
def test_a_refusal_names_the_type_that_was_given(manager: Any, kind: str, given: Any) -> None:
    with pytest.raises(InvalidArgument, match=f"claims must be a mapping, not {kind}"):
        manager.create(given, subject="uid1")
    with pytest.raises(InvalidArgument, match=f"context must be a SessionContext, not {kind}"):
        manager.create(subject="uid1", context=given)
    with pytest.raises(InvalidArgument, match=rf"context\.device must be a Device, not {kind}"):
        manager.create(subject="uid1", context=SessionContext(device=given))


@pytest.mark.parametrize("name", ["access_ttl", "refresh_ttl"])
@pytest.mark.parametrize("seconds", [0, -1, 1.5, True, "900", 10**12])
def test_a_lifetime_that_cannot_be_used_is_refused(manager: Any, name: str, seconds: Any) -> None:
    with pytest.raises(InvalidArgument, match=name):
        manager.create(subject="uid1", **{name: seconds})
    assert manager.read_all("uid1") == {}


@pytest.mark.parametrize(
    "context",
    [
        "127.0.0.1",
        {"ip": "x"},
        SessionContext(ip=7),
        SessionContext(ip="a\0"),
        SessionContext(location="\ud800"),
        SessionContext(ip="x" * 2000),
        SessionContext(device="Pixel"),
        SessionContext(device=Device(None, "phone")),
        SessionContext(device=Device("Pixel", 7)),
        SessionContext(device=Device("Pixel", "phone", {"a": nan})),
        SessionContext(device=Device("Pixel", "phone", {"a": object()})),
        SessionContext(device=Device("Pixel", "phone", {"a": "x" * 5000})),
        SessionContext(device=Device("Pixel", "phone", [1])),
    ],
)
def test_a_context_that_cannot_be_stored_is_refused(manager: Any, context: Any) -> None:
    with pytest.raises(InvalidArgument, match="context"):
        manager.create(subject="uid1", context=context)
    tokens = manager.create(subject="uid1")
    with pytest.raises(InvalidArgument, match="context"):
        manager.update(tokens.refresh_token, context=context)


@pytest.mark.parametrize("part", ["name", "type"])
@pytest.mark.parametrize("text", ["a\0", "\ud800", "x" * 1025])
def test_a_device_whose_name_or_type_cannot_be_stored_is_refused(
    manager: Any, part: str, text: str
) -> None:
    device = Device(**{"name": "Pixel", "type": "phone", part: text})
    with pytest.raises(InvalidArgument, match=rf"context\.device\.{part} must be a str of at most"):
        manager.create(subject="uid1", context=SessionContext(device=device))


def test_a_context_may_be_as_large_as_is_said(manager: Any) -> None:
    extra = {"a": "x" * (4096 - len('{"a":""}'))}
    text = "x" * 1024
    context = SessionContext(text, Device(text, text, extra), text)
    tokens = manager.create(subject="uid1", context=context)
    assert manager.read_all("uid1")[tokens.session_id].device == context.device
    extra["a"] += "x"
    with pytest.raises(InvalidArgument, match="at most 4096 bytes of JSON, and has 4097"):
        manager.create(subject="uid1", context=context)


def test_a_device_may_be_nested_as_deeply_as_claims(manager: Any) -> None:
    for levels, is_taken in ((31, True), (32, False)):
        context = SessionContext(device=Device("Pixel", "phone", {"a": deep(levels)}))
        if is_taken:
            manager.create(subject="uid1", context=context)
        else:
            with pytest.raises(InvalidArgument, match="nested deeper than 32 levels"):
                manager.create(subject="uid1", context=context)


@pytest.mark.parametrize(
    "session_id",
    ["", "A" * 15, "A" * 17, "A" * 15 + "=", "A" * 15 + " ", "é" * 16, None, 7, b"A" * 16],
)
def test_a_session_id_that_cannot_be_one_is_refused(manager: Any, session_id: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"session_id must be a session id \(16 base64url"):
        manager.delete_one("uid1", session_id)


@pytest.mark.parametrize(
    "claims, reason",
    [
        (None, "claims must be"),
        (7, "claims must be"),
        ("x", "claims must be"),
        ({}, "subject must be"),
        ({"sub": "uid1"}, "session_id must be"),
        ({"sid": "A" * 16}, "subject must be"),
        ({"sub": "uid1", "sid": "A"}, "session_id must be"),
    ],
)
def test_claims_that_name_no_session_are_refused(manager: Any, claims: Any, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        manager.restrict_one(claims)


@pytest.mark.parametrize("leeway", [-1, 10**400, nan, infinite, True, "1", 61])
def test_a_leeway_that_cannot_be_used_is_refused(manager: Any, leeway: Any) -> None:
    with pytest.raises(InvalidArgument, match="leeway"):
        manager.read(manager.create(subject="uid1").access_token, leeway=leeway)


def test_a_wrong_subject_type_at_update_is_refused_and_a_wrong_subject_not_found(
    manager: Any,
) -> None:
    tokens = manager.create(subject="uid1")
    with pytest.raises(InvalidArgument, match="subject must be a str, not int"):
        manager.update(tokens.refresh_token, subject=7)
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(tokens.refresh_token, subject="uid2")


class AwaitedStorage(MemoryStorage):
    async def read(self, session_id: str, now: float) -> Any:  # type: ignore[override]
        return super().read(session_id, now)


async def async_hook(session: Any, context: Any) -> None:
    await asyncio.sleep(0)


def test_a_blocking_manager_takes_nothing_that_must_be_awaited() -> None:
    options: dict[str, Any] = {"issuer": "i", "audience": "a"}
    with pytest.raises(ConfigurationError, match="storage"):
        SessionManager(SECRET, storage=AwaitedStorage(), **options)
    with pytest.raises(ConfigurationError, match="refresh_hook"):
        SessionManager(SECRET, refresh_hook=async_hook, **options)
    with pytest.raises(InvalidArgument, match="listener"):
        SessionManager(SECRET, **options).on(SessionEvent.SESSION_CREATED, async_hook)
    AsyncSessionManager(SECRET, storage=AwaitedStorage(), refresh_hook=async_hook, **options)


def test_a_hook_that_turns_out_to_be_async_refuses_in_a_blocking_manager() -> None:
    manager = SessionManager(
        SECRET,
        refresh_hook=lambda *both: async_hook(*both),  # noqa: PLW0108 - hides that it is async
        issuer="i",
        audience="a",
    )
    tokens = manager.create(subject="uid1")
    with pytest.raises(ConfigurationError, match="hook"):
        manager.update(tokens.refresh_token)


@pytest.mark.parametrize(
    "event, listener, reason",
    [
        ("session_created", print, "event must be a SessionEvent"),
        (None, print, "event must be a SessionEvent"),
        (SessionEvent.SESSION_CREATED, 7, "listener must be a callable"),
    ],
)
def test_a_subscription_that_cannot_be_used_is_refused(
    manager: Any, event: Any, listener: Any, reason: str
) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        manager.on(event, listener)
    if not isinstance(event, SessionEvent):
        with pytest.raises(InvalidArgument, match=reason):
            manager.off(event, listener)
