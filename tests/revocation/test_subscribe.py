"""Subscribers to a RevocationList are told of each revocation that the process takes in."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.servers import until
from tests.support import FakeClock, secret_of
from tokenwheel import (
    InvalidArgument,
    Revocation,
    RevocationList,
    SessionManager,
    SqliteFeed,
    StorageUnavailable,
)

FIRST, SECOND = "AAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAC"
THREADS = ["tokenwheel-subscribers", "tokenwheel-watcher"]


class Feed:
    """Brings what a test puts into it, by the next poll alone, as a user's own feed does."""

    def __init__(self) -> None:
        self.coming: list[Revocation] = []
        self.polls = 0
        self.error: BaseException | None = None
        self.lock = threading.Lock()  # held while it applies, as real feeds do

    def start(self, apply: Callable[[Iterable[Revocation]], None]) -> None:
        self._apply = apply

    def publish(self, revocations: Sequence[Revocation]) -> None:
        self.coming += revocations  # Each process hears its own once more.

    def poll(self) -> None:
        self.polls += 1
        if self.error is not None:
            raise self.error
        with self.lock:
            while self.coming:
                self._apply([self.coming[0]])
                del self.coming[0]

    def close(self) -> None: ...


class Told(list[tuple[str, int | None]]):
    """What a callback was told, and in which threads."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()

    def __call__(self, session_id: str, before: int | None) -> None:
        self.append((session_id, before))
        self.threads.add(threading.current_thread().name)


def threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name in THREADS)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def fed(feed: Feed, clock: FakeClock) -> Iterator[RevocationList]:
    """Return a list beside a feed, which looks for news by itself only where it has a thread."""
    with closing(RevocationList(feed, clock=clock)) as revocations:
        yield revocations
    until(lambda: not threads(), "the end of the thread")


def test_without_a_feed_a_subscriber_is_told_before_the_call_returns(clock: FakeClock) -> None:
    revocations, told = RevocationList(clock=clock), Told()
    revocations.subscribe(told)
    revocations.revoke(FIRST, 60, before=2)
    assert told == [(FIRST, 2)]
    revocations.publish([Revocation(SECOND, clock.now + 60, None)], clock.now)
    assert told == [(FIRST, 2), (SECOND, None)]
    assert told.threads == {threading.current_thread().name}
    assert not threads()


def test_a_manager_s_logout_is_told_without_a_feed() -> None:
    told = Told()
    with SessionManager(secret_of("subscribe"), issuer="i", audience="a") as manager:
        manager.revocations.subscribe(told)
        tokens = manager.create(subject="ann")
        manager.restrict_all("ann")
        assert told == [(tokens.session_id, 1)]
        manager.update(tokens.refresh_token)
        assert manager.delete_one("ann", tokens.session_id)
        assert told == [(tokens.session_id, 1), (tokens.session_id, 2)]


def test_only_what_refuses_more_is_told(clock: FakeClock) -> None:
    revocations, told = RevocationList(clock=clock), Told()
    revocations.subscribe(told)
    revocations.revoke(FIRST, 60, before=3)
    revocations.revoke(FIRST, 60, before=3)
    revocations.revoke(FIRST, 60, before=2)
    revocations.revoke(FIRST, 600, before=3)  # longer, and no more
    assert told == [(FIRST, 3)]
    revocations.revoke(FIRST, 60, before=4)
    revocations.revoke(FIRST, 60)
    revocations.revoke(FIRST, 60)
    assert told == [(FIRST, 3), (FIRST, 4), (FIRST, None)]


def test_what_is_past_is_not_told_and_what_follows_an_end_is(clock: FakeClock) -> None:
    revocations, told = RevocationList(clock=clock, timer=clock), Told()
    revocations.subscribe(told)
    revocations.revoke_until(FIRST, clock.now - 1)
    revocations.revoke_each([(FIRST, clock.now, None)])
    assert told == []
    revocations.revoke(FIRST, 60, before=2)
    clock.advance(61)
    revocations.revoke(FIRST, 60, before=2)
    assert told == [(FIRST, 2), (FIRST, 2)]


def test_those_before_one_that_cannot_be_used_are_told(clock: FakeClock) -> None:
    revocations, told = RevocationList(clock=clock), Told()
    revocations.subscribe(told)
    with pytest.raises(InvalidArgument, match="session_id must be"):
        revocations.revoke_each([(FIRST, clock.now + 9, None), ("short", clock.now + 9, None)])
    assert told == [(FIRST, None)]


def test_beside_a_feed_a_thread_tells_what_comes_though_nobody_looks_up(
    fed: RevocationList, feed: Feed, clock: FakeClock
) -> None:
    told = Told()
    fed.subscribe(told)
    for number in range(10):
        feed.coming.append(Revocation(f"{number:016}", clock.now + 60, number + 1))
        until(lambda number=number: len(told) == number + 1)
    assert told == [(f"{number:016}", number + 1) for number in range(10)]
    assert told.threads == {THREADS[0]}


def test_one_s_own_revocation_is_told_once_though_the_feed_brings_it_again(
    fed: RevocationList, feed: Feed, clock: FakeClock
) -> None:
    told = Told()
    fed.subscribe(told)
    fed.revoke(FIRST, 60)
    fed.publish([Revocation(FIRST, clock.now + 60, None)], clock.now)
    polls = feed.polls
    until(lambda: feed.polls > polls + 2)
    assert told == [(FIRST, None)]
    assert told.threads == {THREADS[0]}


def test_what_a_feed_could_not_publish_is_told(
    fed: RevocationList, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(revocations: object) -> None:
        raise ConnectionError

    told = Told()
    fed.subscribe(told)
    monkeypatch.setattr(feed, "publish", fail)
    with pytest.raises(StorageUnavailable):
        fed.revoke(FIRST, 60)
    until(lambda: told == [(FIRST, None)])


def test_a_read_that_fetches_news_calls_no_subscriber(
    fed: RevocationList, feed: Feed, clock: FakeClock
) -> None:
    is_called, may_go_on = threading.Event(), threading.Event()

    def hangs(session_id: str, before: int | None) -> None:
        is_called.set()
        assert may_go_on.wait(60)

    fed.subscribe(hangs)
    feed.coming.append(Revocation(FIRST, clock.now + 60, None))
    assert fed.is_revoked(FIRST)
    assert is_called.wait(60)
    feed.coming.append(Revocation(SECOND, clock.now + 60, None))
    assert fed.is_revoked(SECOND)  # while the other is still being told
    may_go_on.set()


@pytest.mark.parametrize("has_feed", [False, True])
def test_a_subscriber_may_call_the_list(has_feed: bool, feed: Feed, clock: FakeClock) -> None:
    revocations = RevocationList(feed if has_feed else None, clock=clock)
    told, other = Told(), Told()

    def calls(session_id: str, before: int | None) -> None:
        assert revocations.is_revoked(session_id)
        assert len(revocations) >= 1
        assert not feed.lock.locked()
        revocations.revoke(session_id, 60)
        revocations.revoke(SECOND, 60)
        revocations.subscribe(other)
        revocations.unsubscribe(other)
        told(session_id, before)

    revocations.subscribe(calls)
    revocations.revoke(FIRST, 60, before=1)
    until(lambda: len(told) == 3)
    assert sorted(told, key=str) == [(FIRST, 1), (FIRST, None), (SECOND, None)]
    assert other == []
    revocations.close()
    until(lambda: not threads())


@pytest.mark.parametrize("has_feed", [False, True])
def test_a_subscriber_may_unsubscribe_or_close(
    has_feed: bool, feed: Feed, clock: FakeClock
) -> None:
    for leaves in ("unsubscribe", "close"):
        revocations = RevocationList(Feed() if has_feed else None, clock=clock)
        told = Told()

        def once(session_id: str, before: int | None) -> None:
            told(session_id, before)
            if leaves == "close":
                revocations.close()
            else:
                revocations.unsubscribe(once)

        revocations.subscribe(once)
        revocations.revoke(FIRST, 60)
        until(lambda: told)
        revocations.revoke(SECOND, 60)
        until(lambda: not threads())
        assert told == [(FIRST, None)]
        revocations.close()


@pytest.mark.parametrize("has_feed", [False, True])
@pytest.mark.parametrize("error", [ValueError("v"), SystemExit(1), asyncio.CancelledError()])
def test_what_a_subscriber_raises_is_logged_and_disturbs_nobody(
    has_feed: bool,
    error: BaseException,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(session_id: str, before: int | None) -> None:
        raise error

    told = Told()
    with closing(RevocationList(Feed() if has_feed else None, clock=clock)) as revocations:
        revocations.subscribe(fails)
        revocations.subscribe(told)
        with caplog.at_level(logging.ERROR, "tokenwheel"):
            revocations.revoke(FIRST, 60)
            revocations.revoke(SECOND, 60)
            until(lambda: len(told) == 2)
        assert revocations.is_revoked(FIRST)
    assert [record.getMessage() for record in caplog.records] == [
        "a subscriber to revocations raised"
    ] * 2


def test_an_interrupt_reaches_whoever_revokes_once_all_are_told(clock: FakeClock) -> None:
    def interrupted(session_id: str, before: int | None) -> None:
        raise KeyboardInterrupt

    revocations, told = RevocationList(clock=clock), Told()
    revocations.subscribe(interrupted)
    revocations.subscribe(told)
    with pytest.raises(KeyboardInterrupt):
        revocations.revoke_each([(FIRST, clock.now + 9, None), (SECOND, clock.now + 9, None)])
    assert told == [(FIRST, None), (SECOND, None)]


def test_a_feed_that_fails_is_asked_until_it_brings_what_was_missed(
    fed: RevocationList, feed: Feed, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    for error in (ConnectionError("redis://:secret@host"), StorageUnavailable("stale")):
        feed.error = error
        fed.subscribe(told)
        polls = feed.polls
        until(lambda polls=polls: feed.polls > polls + 2)
        feed.coming.append(Revocation(FIRST, clock.now + 60, None))
        feed.error = None
        until(lambda: told == [(FIRST, None)])
    assert [record.getMessage() for record in caplog.records] == [
        f"subscribers hear of no revocation from others until the feed is back ({name})"
        for name in ("ConnectionError", "StorageUnavailable")
    ]


def test_a_logout_here_is_told_at_once_while_the_feed_does_not_answer(
    fed: RevocationList,
) -> None:
    is_asked, may_answer = threading.Event(), threading.Event()

    def hang() -> None:
        is_asked.set()
        assert may_answer.wait(60)

    told = Told()
    fed.before_lookup = hang
    fed.subscribe(told)
    assert is_asked.wait(60)
    fed.revoke(FIRST, 60)
    until(lambda: told == [(FIRST, None)])
    may_answer.set()


def test_where_no_thread_can_be_started_nobody_is_subscribed(
    fed: RevocationList, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    told = Told()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(StorageUnavailable, match="there is no room for a thread"):
            fed.subscribe(told)
    fed.revoke(FIRST, 60)
    fed.subscribe(told)
    fed.revoke(SECOND, 60)
    until(lambda: told == [(SECOND, None)])


def test_who_subscribes_late_is_not_told_of_what_was_revoked(
    fed: RevocationList, feed: Feed, clock: FakeClock
) -> None:
    feed.coming.append(Revocation(FIRST, clock.now + 60, None))
    assert fed.is_revoked(FIRST)
    told = Told()
    fed.subscribe(told)
    fed.revoke(FIRST, 60)
    fed.revoke(SECOND, 60)
    until(lambda: told)
    assert told == [(SECOND, None)]


def test_each_subscription_counts_and_is_ended_by_itself(clock: FakeClock) -> None:
    revocations, told = RevocationList(clock=clock), Told()
    revocations.subscribe(told)
    revocations.subscribe(told)
    revocations.revoke(FIRST, 60)
    assert told == [(FIRST, None)] * 2
    revocations.unsubscribe(told)
    revocations.revoke(SECOND, 60)
    assert told == [(FIRST, None)] * 2 + [(SECOND, None)]
    revocations.unsubscribe(told)
    revocations.unsubscribe(told)  # which is no error
    revocations.revoke(SECOND[::-1], 60)
    assert len(told) == 3


def test_methods_of_the_same_object_are_the_same_callback_and_others_are_not(
    clock: FakeClock,
) -> None:
    class Same(Told):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

        def call(self, session_id: str, before: int | None) -> None:
            self(session_id, before)

    class Hostile(Told):
        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

    revocations = RevocationList(clock=clock)
    first, second, hostile = Same(), Same(), Hostile()
    for callback in (first.call, hostile, second.call):
        revocations.subscribe(callback)
    revocations.unsubscribe(first.call)
    revocations.unsubscribe(lambda session_id, before: None)
    revocations.revoke(FIRST, 60)
    assert (len(first), len(hostile), len(second)) == (0, 1, 1)
    revocations.unsubscribe(hostile)
    revocations.unsubscribe(second.call)
    revocations.revoke(SECOND, 60)
    assert (len(first), len(hostile), len(second)) == (0, 1, 1)


async def awaited(session_id: str, before: int | None) -> None: ...


class AwaitedCall:
    async def __call__(self, session_id: str, before: int | None) -> None: ...


@pytest.mark.parametrize(
    "callback, reason",
    [
        (None, r"callback must be a callable that takes \(session_id, before\)"),
        (FIRST, "callback must be a callable"),
        (lambda: None, "callback must take positional arguments: session_id, before"),
        (lambda revocation: None, "callback must take positional arguments"),
        (awaited, "callback must not be a coroutine function.*call_soon_threadsafe"),
        (AwaitedCall(), "callback must not be a coroutine function"),
        (functools.partial(awaited), "callback must not be a coroutine function"),
    ],
)
def test_what_cannot_be_called_is_refused_and_the_right_way_named(
    callback: Any, reason: str, fed: RevocationList
) -> None:
    for revocations in (RevocationList(), fed):
        with pytest.raises(InvalidArgument, match=reason):
            revocations.subscribe(callback)
    assert not threads()


def test_a_coroutine_that_a_callback_returns_is_closed_and_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    revocations = RevocationList()
    revocations.subscribe(lambda session_id, _: awaited(session_id, None))
    revocations.revoke(FIRST, 60)
    assert "a subscriber returned a coroutine" in caplog.text


def test_the_thread_runs_only_while_somebody_subscribes(fed: RevocationList, feed: Feed) -> None:
    assert not threads()
    first, second = Told(), Told()
    for _ in range(3):
        fed.subscribe(first)
        fed.subscribe(second)
        until(lambda: threads() == THREADS)
        fed.unsubscribe(first)
        assert threads() == THREADS
        fed.unsubscribe(second)
        until(lambda: not threads())
        polls = feed.polls
        fed.revoke(FIRST, 60)
        assert feed.polls == polls
    assert first == second == []


def test_what_was_taken_in_before_the_list_is_closed_is_told(feed: Feed, clock: FakeClock) -> None:
    for _ in range(20):
        revocations, told = RevocationList(feed, clock=clock), Told()
        revocations.subscribe(told)
        revocations.revoke(FIRST, 60)
        revocations.close()
        assert told == [(FIRST, None)]
        assert not threads()
        with pytest.raises(StorageUnavailable, match="the list of revocations was closed"):
            revocations.subscribe(told)
        revocations.close()
        assert not threads()


def test_a_list_that_is_closed_while_others_read_and_subscribe_leaves_no_thread(
    clock: FakeClock,
) -> None:
    for _ in range(30):
        revocations, told = RevocationList(Feed(), clock=clock), Told()
        revocations.subscribe(told)
        is_over = threading.Event()

        def read(revocations: RevocationList = revocations, over: Any = is_over) -> None:
            while not over.is_set():
                revocations.is_revoked(FIRST)

        def subscribe(revocations: RevocationList = revocations, over: Any = is_over) -> None:
            while not over.is_set():
                with suppress(StorageUnavailable):
                    revocations.subscribe(Told())

        others = [threading.Thread(target=target) for target in (read, subscribe)]
        for other in others:
            other.start()
        revocations.close()
        is_over.set()
        for other in others:
            other.join()
        until(lambda: not threads())


def test_a_list_that_is_dropped_unclosed_leaves_no_thread(feed: Feed) -> None:
    class Holder:
        def __init__(self) -> None:
            self.revocations = RevocationList(feed)
            self.revocations.subscribe(self.told)

        def told(self, session_id: str, before: int | None) -> None: ...

    holder = weakref.ref(Holder())

    def is_gone() -> bool:
        feed.__dict__.pop("_apply", None)  # which is the list's own
        gc.collect()
        return holder() is None

    until(is_gone, interval=0.05)
    until(lambda: not threads())


def test_a_finalizer_may_revoke_in_the_midst_of_anything(clock: FakeClock) -> None:
    revocations, told = RevocationList(clock=clock), Told()
    revocations.subscribe(told)
    numbers = iter(range(10**6))

    class Revokes:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            revocations.revoke(f"b{next(numbers):015}", 60)

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(500):
            Revokes()
            revocations.revoke(f"a{number:015}", 60)
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    revocations.revoke(FIRST, 60)
    made = next(numbers)
    assert len(told) == len(set(told)) == len(revocations) == 501 + made


def test_threads_that_subscribe_and_revoke_at_once_miss_nothing(clock: FakeClock) -> None:
    with closing(RevocationList(Feed(), clock=clock)) as revocations:
        always = Told()
        revocations.subscribe(always)

        def work(number: int) -> None:
            for count in range(200):
                passing = Told()
                revocations.subscribe(passing)
                revocations.revoke(f"{number:03}{count:013}", 60)
                revocations.unsubscribe(passing)

        workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        until(lambda: len(always) == 800)
        assert len(set(always)) == 800


def test_a_restored_file_brings_what_was_missed_and_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "revocations.db"
    with (
        closing(RevocationList(SqliteFeed(path))) as ours,
        closing(RevocationList(SqliteFeed(path))) as theirs,
    ):
        told = Told()
        ours.subscribe(told)
        theirs.revoke(FIRST, 60)
        until(lambda: told)
        assert ours.feed is not None
        ours.feed.rewind()  # type: ignore[attr-defined]
        theirs.revoke(SECOND, 60)
        until(lambda: len(told) == 2)
        assert told == [(FIRST, None), (SECOND, None)]
