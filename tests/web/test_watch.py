"""A connection is told to end when its session does, or its access token, and only then."""

from __future__ import annotations

import gc
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.processes.support import make_manager, run_apart
from tests.servers import until
from tests.support import SECRET, FakeClock, forge, with_claims
from tests.web.watching import Told, signed_in, threads, until_no_thread_is_left
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenRevoked,
    AsyncSessionManager,
    Claims,
    InvalidAccessToken,
    InvalidArgument,
    Revocation,
    RevocationList,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.web import Gate
from tokenwheel.web.watch import Watches
from tokenwheel.web.watched import Watched

Make = Callable[..., SessionManager]
OPTIONS: dict[str, Any] = {"issuer": "i", "audience": "a"}
has_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Make]:
    """Return what makes managers, which are closed in the end, and leave no thread behind."""
    managers: list[SessionManager] = []

    def make_manager(**options: Any) -> SessionManager:
        managers.append(SessionManager(SECRET, **{**OPTIONS, "clock": clock, **options}))
        return managers[-1]

    yield make_manager
    for manager in managers:
        manager.close()
    until_no_thread_is_left()


@pytest.fixture
def manager(make: Make) -> SessionManager:
    return make()


@pytest.fixture
def watches(manager: SessionManager) -> Watches:
    return Watches(manager)


def goes_on(watches: Watches, *connections: Watched) -> bool:
    """Return True if none of these is told to end, once the thread has looked at all of them.

    It has when it has let go of another connection, which was stopped.
    """
    manager: Any = watches.manager
    told = Told()
    look = weakref.ref(told)
    watches.watch(signed_in(manager, "another"), told).stop()
    del told
    until(lambda: look() is None, "a look at all connections")
    return all(watched.ended is None for watched in connections)


def test_nobody_is_told_while_the_session_lives(watches: Watches, manager: SessionManager) -> None:
    told = Told()
    assert goes_on(watches, watches.watch(signed_in(manager), told))
    assert told == []


@pytest.mark.parametrize(
    "end",
    [
        lambda manager, tokens: manager.delete_one("ann", tokens.session_id),
        lambda manager, tokens: manager.delete_all("ann"),
        lambda manager, tokens: manager.end(tokens.refresh_token),
        lambda manager, tokens: manager.restrict_all("ann"),
        lambda manager, tokens: manager.restrict_one(manager.read(tokens.access_token)),
        lambda manager, tokens: manager.revocations.revoke(tokens.session_id, 60),
    ],
    ids=["delete_one", "delete_all", "end", "restrict_all", "restrict_one", "revoke"],
)
def test_every_way_of_refusing_its_token_ends_a_connection_once(
    watches: Watches, manager: SessionManager, end: Callable[..., Any]
) -> None:
    tokens, told = manager.create(subject="ann"), Told()
    watched = watches.watch(manager.read(tokens.access_token), told)
    end(manager, tokens)
    assert watched.ended == "revoked"  # at once, as for a read
    until(lambda: told, "the end")
    manager.delete_all("ann")
    assert goes_on(watches)
    assert told == ["revoked"]
    assert told.thread is not threading.current_thread()
    assert told.thread is not None
    assert told.thread.name == "tokenwheel-watch"


def test_only_the_connections_of_that_session_end(
    watches: Watches, manager: SessionManager
) -> None:
    first, second = signed_in(manager), signed_in(manager)
    told = [Told(), Told(), Told()]
    watches.watch(first, told[0])
    watches.watch(first, told[1])
    other = watches.watch(second, told[2])
    manager.delete_one("ann", first.session_id)
    until(lambda: told[:2] == [["revoked"], ["revoked"]], "the end of both")
    assert goes_on(watches, other)
    assert told[2] == []


def test_a_revocation_between_admission_and_watch_is_seen_at_once(
    watches: Watches, manager: SessionManager
) -> None:
    claims, told = signed_in(manager), Told()
    manager.delete_all("ann")
    watched = watches.watch(claims, told)
    assert watched.ended == "revoked"
    until(lambda: told == ["revoked"], "the end")


def test_a_revocation_wakes_the_thread_that_looks_at_all_now_and_then(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same one before the watch, and after it."""
    monkeypatch.setattr("tokenwheel.web.watch._LOOKS_EVERY", 1e6)
    manager = make()
    watches, earlier, later = Watches(manager), Told(), Told()
    tokens = manager.create(subject="ann")
    claims = manager.read(tokens.access_token)
    try:
        watches.watch(claims, later)
        manager.restrict_all("ann")
        until(lambda: later == ["revoked"], "the end")
        watches.watch(claims, earlier)
        until(lambda: earlier == ["revoked"], "the end")
    finally:
        manager.close()
        watches._hear(tokens.session_id, None)  # Wakes the thread, so that it ends.


def test_a_connection_of_the_generation_after_a_restriction_goes_on(
    watches: Watches, manager: SessionManager
) -> None:
    tokens = manager.create(subject="ann")
    old = watches.watch(manager.read(tokens.access_token), Told())
    manager.restrict_all("ann")
    new = watches.watch(manager.read(manager.update(tokens.refresh_token).access_token), Told())
    until(lambda: old.ended == "revoked", "the end")
    assert goes_on(watches, new)


def test_a_connection_expires_when_its_token_does_by_the_manager_s_clock(
    watches: Watches, manager: SessionManager, clock: FakeClock
) -> None:
    told = Told()
    watched = watches.watch(signed_in(manager), told)
    clock.advance(899.9)
    assert goes_on(watches, watched)
    clock.advance(0.1)
    until(lambda: told == ["expired"], "the end")
    assert watched.ended == "expired"


def test_a_token_that_expired_between_admission_and_watch_is_seen_at_once(
    watches: Watches, manager: SessionManager, clock: FakeClock
) -> None:
    claims = signed_in(manager)
    clock.advance(901)
    assert watches.watch(claims, Told()).ended == "expired"


def test_an_end_stays_though_the_clock_is_put_back(
    watches: Watches, manager: SessionManager, clock: FakeClock
) -> None:
    told = Told()
    watched = watches.watch(signed_in(manager), told)
    clock.advance(1000)
    assert watched.ended == "expired"
    clock.advance(-1000)
    until(lambda: told == ["expired"], "the end")
    assert watched.ended == "expired"


def test_a_refresh_ends_nothing(watches: Watches, manager: SessionManager) -> None:
    tokens = manager.create(subject="ann")
    watched = watches.watch(manager.read(tokens.access_token), Told())
    manager.update(tokens.refresh_token)
    assert goes_on(watches, watched)


def test_a_newer_token_of_the_session_moves_the_end(
    watches: Watches, manager: SessionManager, clock: FakeClock
) -> None:
    tokens, told = manager.create(subject="ann"), Told()
    watched = watches.watch(manager.read(tokens.access_token), told)
    clock.advance(600)
    tokens = manager.update(tokens.refresh_token)
    assert watched.admit(tokens.access_token) == manager.read(tokens.access_token)
    clock.advance(899)
    assert goes_on(watches, watched)
    clock.advance(1)
    until(lambda: told == ["expired"], "the end")


def test_a_token_that_expires_sooner_moves_no_end(
    watches: Watches, manager: SessionManager, clock: FakeClock
) -> None:
    tokens = manager.create(subject="ann")
    watched = watches.watch(manager.read(tokens.access_token), Told())
    watched.admit(manager.update(tokens.refresh_token, access_ttl=10).access_token)
    clock.advance(800)
    assert goes_on(watches, watched)


def test_a_token_from_after_a_restriction_is_admitted_before_the_old_one_is_missed(
    watches: Watches, manager: SessionManager
) -> None:
    """Whoever admits in time goes on: what is known of the newer token is not of the older."""
    tokens = manager.create(subject="ann")
    claims = manager.read(tokens.access_token)
    watched = Watched(watches, claims, Told())
    manager.restrict_all("ann")
    watched.admit(manager.update(tokens.refresh_token).access_token)
    assert watched.ended is None


def test_a_token_of_another_session_or_subject_is_not_admitted(
    watches: Watches, manager: SessionManager
) -> None:
    watched = watches.watch(signed_in(manager), Told())
    for subject in ("ann", "bob"):
        other = manager.create(subject=subject).access_token
        with pytest.raises(InvalidArgument, match="of the session that has opened") as caught:
            watched.admit(other)
        assert other not in str(caught.value)
    assert watched.ended is None


def test_a_token_of_the_session_under_another_subject_is_not_admitted(clock: FakeClock) -> None:
    with SessionManager(SECRET, **OPTIONS, clock=clock) as manager:
        claims = signed_in(manager)
        watched = Watches(manager).watch(claims, Told())
        forged = forge(with_claims(sub="bob", sid=claims.session_id, iat=int(clock.now)))
        assert manager.read(forged).session_id == claims.session_id
        with pytest.raises(InvalidArgument, match="of the session that has opened"):
            watched.admit(forged)
    until_no_thread_is_left()


def test_what_read_refuses_is_not_admitted_and_the_connection_goes_on(
    watches: Watches, manager: SessionManager, clock: FakeClock
) -> None:
    tokens = manager.create(subject="ann", access_ttl=60)
    first = manager.update(tokens.refresh_token)
    watched = watches.watch(manager.read(first.access_token), Told())
    clock.advance(120)
    with pytest.raises(AccessTokenExpired):
        watched.admit(tokens.access_token)
    with pytest.raises(InvalidAccessToken, match="token"):
        watched.admit("not a token")
    assert watched.ended is None
    manager.restrict_all("ann")
    with pytest.raises(AccessTokenRevoked):
        watched.admit(first.access_token)


def test_a_connection_that_has_ended_stays_so_whatever_is_admitted(
    watches: Watches, manager: SessionManager
) -> None:
    tokens = manager.create(subject="ann")
    watched = watches.watch(manager.read(tokens.access_token), Told())
    manager.restrict_all("ann")
    assert watched.ended == "revoked"
    assert watched.admit(manager.update(tokens.refresh_token).access_token)["gen"] == 1
    assert watched.ended == "revoked"


def test_after_stop_nobody_is_told(
    watches: Watches, manager: SessionManager, clock: FakeClock
) -> None:
    told = Told()
    watched = watches.watch(signed_in(manager), told)
    watched.stop()
    watched.stop()
    manager.delete_all("ann")
    clock.advance(1000)
    assert goes_on(watches)
    assert told == []
    assert watched.ended is None


def test_what_was_stopped_is_let_go(watches: Watches, manager: SessionManager) -> None:
    kept = watches.watch(signed_in(manager), Told())
    connection = Told()
    gone = weakref.ref(connection)
    watched = watches.watch(signed_in(manager), connection)
    watched.stop()
    del connection, watched
    until(lambda: gc.collect() >= 0 and gone() is None, "the end of the callback")
    assert kept.ended is None


def test_one_that_raises_is_logged_and_keeps_none_from_being_told(
    watches: Watches, manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    claims, told = signed_in(manager), Told()

    def fail(reason: str) -> None:
        raise SystemExit(reason)

    watches.watch(claims, fail)
    watches.watch(claims, told)
    with caplog.at_level(logging.ERROR, "tokenwheel"):
        manager.delete_all("ann")
        until(lambda: told == ["revoked"], "the end")
    assert "a connection that had to end could not be told" in caplog.text


def test_claims_that_were_not_read_are_refused(watches: Watches, manager: SessionManager) -> None:
    claims = signed_in(manager)
    for other in ({}, None, "claims", claims.to_dict()):
        with pytest.raises(InvalidArgument, match="claims must be"):
            watches.watch(other, Told())  # type: ignore[arg-type]
    assert watches.watch(Claims(claims.to_dict()), Told()).ended is None  # in a user's own tests


async def never_awaited(reason: str) -> None: ...


@pytest.mark.parametrize("on_end", [None, "x", never_awaited])
def test_what_cannot_be_called_with_the_reason_is_refused(
    watches: Watches, manager: SessionManager, on_end: Any
) -> None:
    with pytest.raises(InvalidArgument, match="on_end must be a callable"):
        watches.watch(signed_in(manager), on_end)


def test_a_gate_has_watches_and_no_thread_until_something_is_watched(
    manager: SessionManager,
) -> None:
    gate = Gate(manager)
    claims = signed_in(manager)
    assert threads() == []
    watched = gate.watches.watch(claims, Told())
    assert threads() == ["tokenwheel-watch"]
    watched.stop()
    until_no_thread_is_left()  # while the manager is open
    gate.watches.watch(claims, Told())
    assert threads() == ["tokenwheel-watch"]


def test_one_thread_watches_all_connections(watches: Watches, manager: SessionManager) -> None:
    told = [Told() for _ in range(2000)]
    connections = [
        watches.watch(signed_in(manager, f"user {number % 500}"), told[number])
        for number in range(2000)
    ]
    assert threads() == ["tokenwheel-watch"]
    for subject in ("user 7", "user 77"):
        manager.delete_all(subject)
    until(lambda: sum(map(len, told)) == 8, "the end of 8 connections")
    ended = [number for number, reasons in enumerate(told) if reasons]
    assert ended == [n for n in range(2000) if n % 500 in (7, 77)]
    for watched in connections:
        watched.stop()


def test_a_connection_ends_as_expired_when_the_manager_is_closed(clock: FakeClock) -> None:
    manager = SessionManager(SECRET, **OPTIONS, clock=clock)
    claims, told = signed_in(manager), Told()
    watches = Watches(manager)
    watched = watches.watch(claims, told)
    manager.close()
    until(lambda: told == ["expired"], "the end")
    assert watched.ended == "expired"
    until_no_thread_is_left()
    with pytest.raises(StorageUnavailable, match="the manager was closed"):
        watches.watch(claims, told)


def test_an_async_manager_s_connections_end_too(clock: FakeClock) -> None:
    manager = AsyncSessionManager(SECRET, **OPTIONS, clock=clock)
    watches, told = Watches(manager), Told()
    watches.watch(Claims(with_claims()), told)
    manager.revocations.revoke("A" * 16, 60)
    until(lambda: told == ["revoked"], "the end")
    until_no_thread_is_left()


class Feed:
    """Brings what a test puts into it, or fails."""

    def __init__(self) -> None:
        self.coming: list[Revocation] = []
        self.error: Exception | None = None

    def start(self, apply: Callable[[Iterable[Revocation]], None]) -> None:
        self._apply = apply

    def publish(self, revocations: Sequence[Revocation]) -> None:
        if self.error is not None:
            raise self.error

    def poll(self) -> None:
        if self.error is not None:
            raise self.error
        coming, self.coming = self.coming, []
        self._apply(coming)

    def close(self) -> None: ...


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def fed(make: Make, feed: Feed, clock: FakeClock) -> SessionManager:
    return make(revocations=RevocationList(feed, clock=clock))


def test_news_of_another_process_ends_a_connection_though_nobody_reads(
    fed: SessionManager, feed: Feed, clock: FakeClock
) -> None:
    claims, told = signed_in(fed), Told()
    Watches(fed).watch(claims, told)
    feed.coming.append(Revocation(claims.session_id, clock.now + 900, 1))
    until(lambda: told == ["revoked"], "the end")


def test_who_asks_whether_a_connection_has_ended_has_news_fetched_as_a_read_does(
    fed: SessionManager, feed: Feed, clock: FakeClock
) -> None:
    claims = signed_in(fed)
    watched = Watches(fed).watch(claims, Told())
    feed.coming.append(Revocation(claims.session_id, clock.now + 900, 1))
    assert watched.ended == "revoked"


def test_a_connection_goes_on_while_the_feed_is_out_of_reach_and_ends_by_what_is_known(
    fed: SessionManager, feed: Feed, clock: FakeClock
) -> None:
    watches = Watches(fed)
    claims = [signed_in(fed) for _ in range(3)]
    feed.error = StorageUnavailable("cut off")
    told = [Told(), Told(), Told()]
    for each, told_of_it in zip(claims, told, strict=True):
        assert watches.watch(each, told_of_it).ended is None
    with pytest.raises(StorageUnavailable):
        fed.delete_one("ann", claims[0].session_id)  # which holds in this process
    until(lambda: told == [["revoked"], [], []], "what is known")
    feed.error = None
    feed.coming.append(Revocation(claims[1].session_id, clock.now + 900, None))
    until(lambda: told == [["revoked"], ["revoked"], []], "what was missed")
    feed.error = StorageUnavailable("cut off")
    clock.advance(900)
    until(lambda: told[2] == ["expired"], "the end of the token")


def test_nothing_is_watched_where_the_list_was_closed(fed: SessionManager) -> None:
    claims = signed_in(fed)
    fed.revocations.close()
    watches = Watches(fed)
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="list of revocations was closed"):
            watches.watch(claims, Told())


def test_nothing_is_watched_where_there_is_no_room_for_a_thread(
    watches: Watches, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    claims, told = signed_in(manager), Told()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_room)
        with pytest.raises(StorageUnavailable, match="no room for a thread"):
            watches.watch(claims, told)
    watches.watch(claims, told)
    manager.delete_all("ann")
    until(lambda: told == ["revoked"], "the end")


class CountedClock(FakeClock):
    """A clock that knows how often it was asked."""

    asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return super().__call__()


def test_a_clock_that_tells_no_time_ends_nothing_and_is_logged_once(
    make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenwheel.web.watch._LOOKS_EVERY", 0.01)
    clock = CountedClock(1_700_000_000.0)
    manager = make(clock=clock)
    watches, told = Watches(manager), Told()
    watched = watches.watch(signed_in(manager), told)
    good, clock.now = clock.now, float("nan")
    with caplog.at_level(logging.ERROR, "tokenwheel"):
        clock.asked = 0
        until(lambda: clock.asked > 10, "looks at a broken clock")
        assert watched.ended is None
    assert caplog.text.count("the watch of connections goes on") == 1
    clock.now = good
    assert goes_on(watches, watched)
    clock.now = good + 900
    until(lambda: told == ["expired"], "the end")


def watch_in_a_child() -> None:
    with SessionManager(SECRET, **OPTIONS) as manager:
        watches, told = Watches(manager), Told()
        claims = signed_in(manager)
        watches.watch(claims, told)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert threads() == []
                manager.delete_one("ann", claims.session_id)  # in the child's memory alone
                own, told_of_own = signed_in(manager), Told()
                watches.watch(own, told_of_own)
                manager.delete_one("ann", own.session_id)
                until(lambda: told_of_own == ["revoked"], "the end in the child")
                assert told == []
                until_no_thread_is_left()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert told == []
        manager.delete_all("ann")
        until(lambda: told == ["revoked"], "the end in the parent")


@has_fork
def test_a_child_of_a_fork_has_watched_connections_of_its_own_alone() -> None:
    run_apart(watch_in_a_child)


def leave_no_thread_in_a_child(path: Path) -> None:
    manager = make_manager(path)
    claims, told = signed_in(manager), Told()
    watches = Watches(manager)
    watches.watch(claims, told)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            until_no_thread_is_left()
            own, told_of_own = signed_in(manager), Told()
            watches.watch(own, told_of_own)
            assert "tokenwheel-watch" in threads()
            manager.delete_one("ann", own.session_id)
            until(lambda: told_of_own == ["revoked"], "the end in the child")
            until_no_thread_is_left()
            manager.delete_one("ann", claims.session_id)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    until(lambda: told == ["revoked"], "the end in the parent")
    manager.close()


@has_fork
def test_a_child_that_watches_nothing_has_no_thread_for_it_beside_a_feed(tmp_path: Path) -> None:
    run_apart(leave_no_thread_in_a_child, tmp_path / "sessions.db")


def test_threads_that_watch_stop_and_log_out_lose_no_end(
    watches: Watches, manager: SessionManager
) -> None:
    """What was watched and not stopped is told once, what was stopped before the end is not."""
    failures: list[str] = []

    def come_and_go(name: str) -> None:
        for number in range(60):
            claims = signed_in(manager, name)
            kept, left = Told(), Told()
            watches.watch(claims, kept)
            watched = watches.watch(claims, left)
            watched.stop()
            if number % 2:
                manager.delete_one(name, claims.session_id)
            else:
                manager.restrict_one(claims)
            until(lambda: kept, "the end")
            if kept != ["revoked"] or left:
                failures.append(f"{kept} {left}")

    runners = [threading.Thread(target=come_and_go, args=(f"u{n}",)) for n in range(6)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert failures == []
