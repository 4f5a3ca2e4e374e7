"""Who is told of what, and when; and that a listener can disturb nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import SECRET, FakeClock
from tokenwheel import (
    AccessTokenRevoked,
    AllSessionsInvalidated,
    AsyncSessionManager,
    RefreshTokenReuse,
    RefreshTokenReused,
    Session,
    SessionCreated,
    SessionEvent,
    SessionInvalidated,
    SessionRefreshed,
)

Make = Callable[..., Any]


@pytest.fixture
def heard(manager: Any) -> list[Any]:
    events: list[Any] = []
    for event in SessionEvent:
        manager.on(event, events.append)
    return events


def test_each_event_is_told_once_as_a_frozen_value(
    manager: Any, heard: list[Any], clock: FakeClock
) -> None:
    first = manager.create(subject="uid1")
    manager.update(first.refresh_token)
    second = manager.create(subject="uid1")
    manager.delete_one("uid1", second.session_id)
    clock.advance(11)
    with pytest.raises(RefreshTokenReused):
        manager.update(first.refresh_token)
    third = manager.create(subject="uid1")
    manager.delete_all("uid1")
    assert [
        (type(event), getattr(event, "session", None) and event.session.id) for event in heard
    ] == [
        (SessionCreated, first.session_id),
        (SessionRefreshed, first.session_id),
        (SessionCreated, second.session_id),
        (SessionInvalidated, second.session_id),
        (SessionInvalidated, first.session_id),
        (RefreshTokenReuse, first.session_id),
        (SessionCreated, third.session_id),
        (AllSessionsInvalidated, None),
    ]
    assert (heard[-1].subject, [session.id for session in heard[-1].sessions]) == (
        "uid1",
        [third.session_id],
    )
    for event in heard:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(event, dataclasses.fields(event)[0].name, None)


def test_an_evicted_session_is_told_as_invalidated(make: Make, clock: FakeClock) -> None:
    manager = make(max_sessions=1, when_full="evict_oldest")
    heard: list[Any] = []
    manager.on(SessionEvent.SESSION_INVALIDATED, heard.append)
    first = manager.create(subject="uid1")
    manager.create(subject="uid1")
    assert [(event.session.id, event.reason) for event in heard] == [(first.session_id, "evicted")]


def test_the_reason_of_an_invalidation_tells_why_a_session_ended(place: Any) -> None:
    manager = place.open(max_sessions=2, when_full="evict_oldest", reuse_grace=0)
    heard: list[SessionInvalidated] = []
    manager.on(SessionEvent.SESSION_INVALIDATED, heard.append)
    by_id, by_token = (manager.create(subject="uid1") for _ in range(2))
    manager.delete_one("uid1", by_id.session_id)
    manager.end(by_token.refresh_token)
    reused = manager.create(subject="uid1")
    manager.update(reused.refresh_token)
    with pytest.raises(RefreshTokenReused):
        manager.update(reused.refresh_token)
    evicted = manager.create(subject="uid1")
    for _ in range(2):
        manager.create(subject="uid1")
    manager.delete_all("uid1")
    assert [(event.session.id, event.reason) for event in heard] == [
        (by_id.session_id, "deleted"),
        (by_token.session_id, "deleted"),
        (reused.session_id, "reused"),
        (evicted.session_id, "evicted"),
    ]


def test_a_restriction_invalidates_no_session(manager: Any, heard: list[Any]) -> None:
    tokens = manager.create(subject="uid1")
    manager.restrict_one({"sub": "uid1", "sid": tokens.session_id})
    manager.restrict_all("uid1")
    assert [type(event) for event in heard] == [SessionCreated]


def test_a_refresh_is_told_as_retried_where_the_token_before_the_current_was_shown(
    place: Any,
) -> None:
    manager = place.open()
    heard: list[SessionRefreshed] = []
    manager.on(SessionEvent.SESSION_REFRESHED, heard.append)
    first = manager.create(subject="uid1")
    second = manager.update(first.refresh_token)
    manager.update(first.refresh_token)
    manager.update(second.refresh_token)
    manager.update(second.refresh_token)
    assert [event.retried for event in heard] == [False, True, False, True]


def test_a_refresh_that_replaces_no_token_is_never_retried(make: Make) -> None:
    manager = make(rotate_refresh_tokens=False)
    heard: list[SessionRefreshed] = []
    manager.on(SessionEvent.SESSION_REFRESHED, heard.append)
    tokens = manager.create(subject="uid1")
    for _ in range(2):
        manager.update(tokens.refresh_token)
    assert [event.retried for event in heard] == [False, False]


def test_events_made_by_hand_need_no_more_than_before() -> None:
    session = Session("A" * 16, "uid1", 1.0, 2.0, 1.0)
    assert SessionInvalidated(session).reason == "deleted"
    assert SessionRefreshed(session).retried is False
    assert AllSessionsInvalidated("uid1", (session,)).kept is None


def test_a_listener_runs_after_the_fact_has_taken_effect(manager: Any) -> None:
    tokens = manager.create(subject="uid1")
    seen: list[bool] = []

    @manager.on(SessionEvent.SESSION_INVALIDATED)
    def listener(event: SessionInvalidated) -> None:
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)
        seen.append(True)

    manager.delete_one("uid1", tokens.session_id)
    assert seen == [True]
    assert callable(listener)


def test_a_listener_that_raises_is_logged_and_disturbs_nobody(
    manager: Any, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []

    def broken(event: Any) -> None:
        raise RuntimeError("broken listener")

    manager.on(SessionEvent.SESSION_CREATED, broken)
    manager.on(SessionEvent.SESSION_CREATED, heard.append)
    with caplog.at_level(logging.ERROR, "tokenwheel"):
        tokens = manager.create(subject="uid1")
    assert manager.read(tokens.access_token).subject == "uid1"
    assert len(heard) == 1
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("tokenwheel", "a listener for SESSION_CREATED raised")
    ]


def test_off_ends_a_subscription_and_is_harmless_without_one(manager: Any) -> None:
    heard: list[Any] = []
    manager.on(SessionEvent.SESSION_CREATED, heard.append)
    manager.off(SessionEvent.SESSION_CREATED, heard.append)
    manager.off(SessionEvent.SESSION_CREATED, heard.append)
    manager.create(subject="uid1")
    assert heard == []


def test_an_async_manager_awaits_coroutine_listeners_and_hooks() -> None:
    async def main() -> list[str]:
        order: list[str] = []

        async def hook(session: Any, context: Any) -> None:
            await asyncio.sleep(0)
            order.append("hook")

        manager = AsyncSessionManager(SECRET, issuer="i", audience="a", refresh_hook=hook)

        @manager.on(SessionEvent.SESSION_REFRESHED)
        async def listener(event: SessionRefreshed) -> None:
            await asyncio.sleep(0)
            order.append("listener")

        async with manager:
            tokens = await manager.create(subject="uid1")
            await manager.update(tokens.refresh_token)
            order.append("returned")
        return order

    assert asyncio.run(main()) == ["hook", "listener", "returned"]


def test_a_blocking_manager_is_a_context_manager_and_closes_twice(make: Make) -> None:
    manager = make()
    manager.close()
    manager.close()


def test_an_async_hook_that_fails_refuses() -> None:
    async def main() -> None:
        async def hook(session: Any, context: Any) -> None:
            await asyncio.sleep(0)
            raise OSError("no answer")

        manager = AsyncSessionManager(SECRET, issuer="i", audience="a", refresh_hook=hook)
        tokens = await manager.create(subject="uid1")
        from tokenwheel import ContextMismatch

        with pytest.raises(ContextMismatch, match="the refresh hook refused"):
            await manager.update(tokens.refresh_token)

    asyncio.run(main())
