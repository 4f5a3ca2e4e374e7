"""``update`` with a callable that is asked for the claims: when, on what, and if it refuses."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support import SECRET, FakeClock, secret_of
from tokenwheel import (
    AsyncSessionManager,
    ContextMismatch,
    Device,
    InvalidArgument,
    MemoryStorage,
    RefreshTokenReused,
    Session,
    SessionContext,
    SessionEvent,
    SessionManager,
    SessionNotFound,
    SqliteStorage,
    StorageUnavailable,
    TooManySessions,
)

Make = Callable[..., Any]
ASYNC = "claims must not be async in a SessionManager; AsyncSessionManager takes it"


class Asked:
    """A callable that answers with claims, and notes what it was given."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = {"role": "admin"} if answer is None else answer
        self.sessions: list[Session] = []

    def __call__(self, session: Session) -> Any:
        self.sessions.append(session)
        return self.answer


def test_the_callable_is_given_the_session_and_its_answer_is_in_the_token(place: Any) -> None:
    manager = place.open()
    phone = SessionContext("::1", Device("Pixel", "phone", {"os": "Android"}), "Paris")
    tokens = manager.create({"role": "user"}, subject="ann", context=phone)
    session = manager.read_all("ann")[tokens.session_id]
    ask = Asked()
    fresh = manager.update(tokens.refresh_token, ask, context=phone)
    assert ask.sessions == [session]
    assert type(ask.sessions[0]) is Session
    assert manager.read(fresh.access_token)["role"] == "admin"


def test_what_the_callable_does_to_the_session_changes_nothing_that_is_stored(
    manager: Any,
) -> None:
    device = SessionContext(device=Device("Pixel", "phone", {"os": "Android"}))
    tokens = manager.create(subject="ann", context=device)

    def change(session: Session) -> None:
        assert session.device is not None
        extra: Any = session.device.extra
        extra["os"] = "changed"

    manager.update(tokens.refresh_token, change, context=device)
    kept = manager.read_all("ann")[tokens.session_id]
    assert kept.device.extra == {"os": "Android"}


def test_a_callable_may_answer_that_there_are_no_claims(manager: Any) -> None:
    tokens = manager.create({"role": "user"}, subject="ann")
    fresh = manager.update(tokens.refresh_token, lambda session: None)
    assert "role" not in manager.read(fresh.access_token)


def test_a_retry_within_the_grace_asks_as_well(manager: Any) -> None:
    tokens = manager.create(subject="ann")
    first = manager.update(tokens.refresh_token)
    ask = Asked()
    again = manager.update(tokens.refresh_token, ask)
    assert again.refresh_token == first.refresh_token
    assert len(ask.sessions) == 1
    assert manager.read(again.access_token)["role"] == "admin"


def test_whoever_shows_no_good_refresh_token_has_nobody_asked(make: Make, clock: FakeClock) -> None:
    manager = make(reuse_grace=0, refresh_ttl=100)
    ask = Asked()
    tokens = manager.create(subject="ann")
    forged = tokens.refresh_token[:16] + manager.create(subject="eve").refresh_token[16:]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("", {}), ("x", {}), (forged, {}), (tokens.refresh_token[:-4], {}),
        (tokens.refresh_token, {"subject": "bob"}),
    ]  # fmt: skip
    for refresh_token, options in calls:
        with pytest.raises(SessionNotFound, match="no session is open"):
            manager.update(refresh_token, ask, **options)
    manager.update(tokens.refresh_token)
    with pytest.raises(RefreshTokenReused):
        manager.update(tokens.refresh_token, ask)
    over = manager.create(subject="ann")
    clock.advance(100)
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(over.refresh_token, ask)
    assert ask.sessions == []


def test_the_refresh_hook_is_asked_first_and_where_it_refuses_nobody_else_is(make: Make) -> None:
    order: list[str] = []

    def hook(session: Session, context: SessionContext) -> None:
        order.append("hook")
        if context.ip is None:
            raise LookupError

    manager = make(refresh_hook=hook)
    tokens = manager.create(subject="ann")

    def ask(session: Session) -> None:
        order.append("claims")

    with pytest.raises(ContextMismatch):
        manager.update(tokens.refresh_token, ask)
    assert order == ["hook"]
    manager.update(tokens.refresh_token, ask, context=SessionContext(ip="::1"))
    assert order == ["hook", "hook", "claims"]


class HTTPException(Exception):
    """What a web framework turns into an answer."""


@pytest.mark.parametrize(
    "raised",
    [HTTPException(403), SessionNotFound("x"), TooManySessions("x"), StorageUnavailable("x"),
     InvalidArgument("x"), ContextMismatch("x"), KeyError("role"), OSError(5)],
    ids=lambda raised: type(raised).__name__,
)  # fmt: skip
def test_what_the_callable_raises_reaches_the_caller_as_it_is_and_changes_nothing(
    make: Make, clock: FakeClock, raised: Exception
) -> None:
    storage = MemoryStorage()
    manager = make(storage=storage)
    heard: list[Any] = []
    for event in SessionEvent:
        manager.on(event, heard.append)
    tokens = manager.create(subject="ann")
    record = storage.read(tokens.session_id, clock.now)

    def refuse(session: Session) -> Any:
        raise raised

    with pytest.raises(type(raised)) as caught:
        manager.update(tokens.refresh_token, refuse)
    assert caught.value is raised
    assert raised.__cause__ is None
    assert storage.read(tokens.session_id, clock.now) == record
    assert len(heard) == 1
    assert manager.update(tokens.refresh_token, Asked()).session_id == tokens.session_id


def test_an_iteration_that_stops_in_the_callable_is_an_error_and_no_answer(manager: Any) -> None:
    tokens = manager.create(subject="ann")
    with pytest.raises(RuntimeError, match="StopIteration"):
        manager.update(tokens.refresh_token, lambda session: next(iter(())))
    assert manager.update(tokens.refresh_token).session_id == tokens.session_id


@pytest.mark.parametrize(
    "answer, reason",
    [
        (5, "claims must be a mapping, not int"),
        ("role", "claims must be a mapping, not str"),
        (Asked(), "claims must be a mapping, not Asked"),
        ({"sub": "eve"}, "claim 'sub' is the library's own"),
        ({"role": object()}, "claim"),
        ({5: "x"}, "names of type str"),
        ({"big": "x" * 9_000}, "bytes"),
    ],
)
def test_an_answer_that_cannot_be_claims_is_refused_and_changes_nothing(
    make: Make, clock: FakeClock, answer: Any, reason: str
) -> None:
    storage = MemoryStorage()
    manager = make(storage=storage)
    tokens = manager.create(subject="ann")
    record = storage.read(tokens.session_id, clock.now)
    with pytest.raises(InvalidArgument, match=reason):
        manager.update(tokens.refresh_token, Asked(answer))
    assert storage.read(tokens.session_id, clock.now) == record


def test_a_mapping_that_can_be_called_is_taken_for_a_mapping(manager: Any) -> None:
    class Calling(dict[str, Any]):
        def __call__(self, session: Session) -> Any:
            raise AssertionError("called")

    tokens = manager.create(subject="ann")
    fresh = manager.update(tokens.refresh_token, Calling(role="user"))
    assert manager.read(fresh.access_token)["role"] == "user"


def test_claims_of_a_login_are_given_and_not_asked_for(manager: Any) -> None:
    with pytest.raises(InvalidArgument, match="claims must be a mapping, not Asked"):
        manager.create(Asked(), subject="ann")


async def look_up(session: Session, role: str = "admin") -> Mapping[str, Any]:
    await asyncio.sleep(0)
    return {"role": role}


class LookUp:
    async def __call__(self, session: Session) -> Mapping[str, Any]:
        return await look_up(session)

    async def method(self, session: Session) -> Mapping[str, Any]:
        return await look_up(session)

    def returns_a_coroutine(self, session: Session) -> Any:
        return look_up(session)


class Answer:
    def __await__(self) -> Any:
        return look_up(None).__await__()  # type: ignore[arg-type]


CODE_THAT_AWAITS: dict[str, Any] = {
    "a coroutine function": look_up,
    "a partial of one": functools.partial(look_up, role="admin"),
    "an object that is one": LookUp(),
    "a bound method": LookUp().method,
}
ANSWERS_TO_AWAIT: dict[str, Any] = {
    "a lambda": lambda session: look_up(session, "admin"),
    "a method": LookUp().returns_a_coroutine,
    "an awaitable object": lambda session: Answer(),
}


@pytest.mark.parametrize("how", [*CODE_THAT_AWAITS, *ANSWERS_TO_AWAIT])
def test_an_async_manager_awaits_the_answer(how: str) -> None:
    ask = (CODE_THAT_AWAITS | ANSWERS_TO_AWAIT)[how]

    async def main() -> None:
        async with AsyncSessionManager(SECRET, issuer="i", audience="a") as manager:
            tokens = await manager.create(subject="ann")
            fresh = await manager.update(tokens.refresh_token, ask)
            assert manager.read(fresh.access_token)["role"] == "admin"

    asyncio.run(main())


@pytest.mark.parametrize("how", [*CODE_THAT_AWAITS, *ANSWERS_TO_AWAIT])
def test_a_blocking_manager_refuses_what_would_have_to_be_awaited_before_anything_changes(
    how: str, clock: FakeClock
) -> None:
    storage = MemoryStorage()
    with SessionManager(SECRET, issuer="i", audience="a", storage=storage, clock=clock) as manager:
        tokens = manager.create(subject="ann")
        record = storage.read(tokens.session_id, clock.now)
        with pytest.raises(InvalidArgument, match=ASYNC):
            manager.update(tokens.refresh_token, (CODE_THAT_AWAITS | ANSWERS_TO_AWAIT)[how])
        assert storage.read(tokens.session_id, clock.now) == record


@pytest.mark.parametrize("how", CODE_THAT_AWAITS)
def test_a_blocking_manager_says_so_at_the_first_call_whatever_token_is_shown(how: str) -> None:
    with (
        SessionManager(SECRET, issuer="i", audience="a") as manager,
        pytest.raises(InvalidArgument, match=ASYNC),
    ):
        manager.update("no token", CODE_THAT_AWAITS[how])


def test_the_callable_runs_on_the_event_loop_and_not_on_a_thread_of_the_storage(
    tmp_path: Any,
) -> None:
    threads: list[threading.Thread] = []

    async def ask(session: Session) -> None:
        asyncio.get_running_loop()
        threads.append(threading.current_thread())

    def ask_at_once(session: Session) -> None:
        asyncio.get_running_loop()
        threads.append(threading.current_thread())

    async def main() -> None:
        storage = SqliteStorage(tmp_path / "s.db")
        async with AsyncSessionManager(
            SECRET, issuer="i", audience="a", storage=storage, storage_key=secret_of("storage")
        ) as manager:
            tokens = await manager.create(subject="ann")
            tokens = await manager.update(tokens.refresh_token, ask)
            await manager.update(tokens.refresh_token, ask_at_once)

    asyncio.run(main())
    assert threads == [threading.main_thread()] * 2


def meanwhile(
    manager: Any,
    clock: FakeClock,
    act: Callable[[], Any],
    answer: Callable[[], Any],
    seconds: float = 0,
) -> Any:
    """Return what notes the sessions that it is given, and lets something happen the first time.

    It answers with what was true before that, after some seconds.
    """
    sessions: list[Session] = []

    def ask(session: Session) -> Any:
        sessions.append(session)
        known = answer()
        if len(sessions) == 1:
            act()
            clock.advance(seconds)
        return known

    async def ask_async(session: Session) -> Any:
        sessions.append(session)
        known = answer()
        if len(sessions) == 1:
            await act()
            clock.advance(seconds)
        return known

    asks: Any = ask if isinstance(manager, SessionManager) else ask_async
    return asks, sessions


def undriven(manager: Any) -> Any:
    """Return the manager itself, whose methods are awaited where they are async."""
    return getattr(manager, "manager", manager)


def test_a_refresh_that_came_in_time_is_not_too_late_since_the_callable_took_long(
    make: Make, clock: FakeClock
) -> None:
    """Two tabs: the second is asked for its claims until after the grace of the first."""
    manager = make(reuse_grace=10)
    other = undriven(make(storage=manager.storage, reuse_grace=10))
    tokens = manager.create(subject="ann")

    def overtake() -> Any:
        return other.update(tokens.refresh_token)

    ask, sessions = meanwhile(manager, clock, overtake, dict, seconds=60)
    lost = manager.update(tokens.refresh_token, ask)
    assert len(sessions) == 1
    assert manager.update(lost.refresh_token).session_id == tokens.session_id


def test_the_grace_begins_when_the_successor_is_made_and_not_when_the_claims_were_asked_for(
    make: Make, clock: FakeClock
) -> None:
    manager = make(reuse_grace=10)
    tokens = manager.create(subject="ann")
    fresh = manager.update(tokens.refresh_token, lambda session: clock.advance(60))
    assert fresh.access_expires_at == int(clock.now) + 900
    clock.advance(9)
    assert manager.update(tokens.refresh_token).refresh_token == fresh.refresh_token


def test_a_session_that_ends_while_the_claims_are_asked_for_is_not_refreshed(
    make: Make, clock: FakeClock
) -> None:
    manager = make(refresh_ttl=50)
    tokens = manager.create(subject="ann")
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(tokens.refresh_token, lambda session: clock.advance(60))


def test_claims_from_before_a_restriction_are_in_no_token_that_is_good_after_it(
    make: Make, clock: FakeClock
) -> None:
    """A role is taken away while a refresh has just read it."""
    manager = make()
    other = undriven(make(storage=manager.storage, revocations=manager.revocations))
    tokens = manager.create(subject="ann")
    claims = {"role": "admin"}

    def take_away() -> Any:
        claims["role"] = "user"
        return other.restrict_all("ann")

    ask, sessions = meanwhile(manager, clock, take_away, lambda: dict(claims))
    fresh = manager.update(tokens.refresh_token, ask)
    assert manager.read(fresh.access_token)["role"] == "user"
    assert [session.generation for session in sessions] == [0, 1]
