"""Threads on one manager: whatever their order, no guarantee breaks."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    MemoryStorage,
    RefreshTokenReused,
    SessionManager,
    SessionNotFound,
    SessionTokens,
    TooManySessions,
)

THREADS = 8


def make(**options: Any) -> SessionManager:
    return SessionManager(SECRET, issuer="i", audience="a", **options)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Start all calls together. Return what each returned or raised."""
    gate = threading.Barrier(len(calls))

    def start(call: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(start, calls))


def test_parallel_refreshes_of_one_token_all_get_the_one_live_successor() -> None:
    manager = make()
    tokens = manager.create(subject="uid1")
    for _ in range(50):
        answers = at_once(*[lambda: manager.update(tokens.refresh_token)] * THREADS)
        assert len({answer.refresh_token for answer in answers}) == 1
        for answer in answers:
            assert manager.read(answer.access_token).session_id == tokens.session_id
        tokens = answers[0]
    assert len(manager.read_all("uid1")) == 1


def test_of_parallel_deletions_one_returns_true() -> None:
    manager = make()
    for _ in range(50):
        session_id = manager.create(subject="uid1").session_id
        answers = at_once(*[lambda: manager.delete_one("uid1", session_id)] * THREADS)
        assert sorted(answers) == [False] * (THREADS - 1) + [True]


def test_of_a_refresh_racing_a_deletion_no_token_survives() -> None:
    manager = make()
    for _ in range(200):
        tokens = manager.create(subject="uid1")
        refreshed, deleted = at_once(
            lambda: manager.update(tokens.refresh_token),
            lambda: manager.delete_one("uid1", tokens.session_id),
        )
        assert deleted is True
        for survivor in (tokens, refreshed):
            if isinstance(survivor, SessionTokens):
                with pytest.raises(AccessTokenRevoked):
                    manager.read(survivor.access_token)
                with pytest.raises(SessionNotFound, match="no session is open"):
                    manager.update(survivor.refresh_token)
            else:
                assert type(survivor) is SessionNotFound


@pytest.mark.parametrize("when_full", ["reject", "evict_oldest"])
def test_max_sessions_holds_under_parallel_logins(when_full: Any) -> None:
    manager = make(max_sessions=3, when_full=when_full)
    for turn in range(20):
        log_in = partial(manager.create, subject=str(turn))
        answers = at_once(*[log_in] * THREADS)
        live = manager.read_all(str(turn))
        assert len(live) == 3
        opened = {
            answer.session_id: answer for answer in answers if isinstance(answer, SessionTokens)
        }
        assert len(opened) == (3 if when_full == "reject" else THREADS)
        assert all(isinstance(answer, SessionTokens | TooManySessions) for answer in answers)
        for session_id, tokens in opened.items():
            if session_id in live:
                assert manager.read(tokens.access_token).session_id == session_id
            else:
                with pytest.raises(AccessTokenRevoked):
                    manager.read(tokens.access_token)


def hammer(manager: SessionManager, seed: int, carry_on: Callable[[int], bool]) -> int:
    """Make random calls for subjects of this thread's own and for one that all threads share.

    Each answer is checked against what this thread knows.
    """
    choose = random.Random(seed)
    mine: dict[str, SessionTokens] = {}
    refused: list[str] = []
    subject, calls = f"thread {seed}", 0
    while carry_on(calls):
        calls += 1
        action = choose.random()
        if action < 0.2 or not mine:
            tokens = manager.create({"seed": seed}, subject=subject)
            mine[tokens.session_id] = tokens
        elif action < 0.6:
            tokens = choose.choice(list(mine.values()))
            claims = manager.read(tokens.access_token)
            assert (claims.subject, claims.session_id, claims["seed"]) == (
                subject,
                tokens.session_id,
                seed,
            )
        elif action < 0.75:
            tokens = manager.update(
                choose.choice(list(mine.values())).refresh_token, {"seed": seed}
            )
            mine[tokens.session_id] = tokens
        elif action < 0.85:
            tokens = mine.pop(choose.choice(list(mine)))
            assert manager.delete_one(subject, tokens.session_id) is True
            refused.append(tokens.access_token)
        elif action < 0.9:
            assert manager.read_all(subject).keys() == mine.keys()
        elif action < 0.95:
            refused += [tokens.access_token for tokens in mine.values()]
            manager.restrict_all(subject)
            mine = {
                session_id: manager.update(tokens.refresh_token, {"seed": seed})
                for session_id, tokens in mine.items()
            }
        elif action < 0.97:
            refused += [tokens.access_token for tokens in mine.values()]
            assert manager.delete_all(subject) == len(mine)
            mine.clear()
        else:
            shared = manager.create(subject="shared by all")
            manager.delete_all("shared by all")
            refused.append(shared.access_token)
        for token in choose.sample(refused, min(3, len(refused))):
            with pytest.raises(AccessTokenRevoked):
                manager.read(token)
        del refused[:-1000]
    return calls


def test_eight_threads_on_one_manager_break_no_guarantee() -> None:
    manager = make(verified_cache_size=64)
    with ThreadPoolExecutor(THREADS) as pool:
        assert (
            sum(
                pool.map(
                    lambda seed: hammer(manager, seed, lambda calls: calls < 300), range(THREADS)
                )
            )
            == THREADS * 300
        )


@pytest.mark.long
def test_eight_threads_hammering_one_manager_for_a_minute_break_no_guarantee() -> None:
    manager = make(verified_cache_size=512)
    end = time.monotonic() + 60
    with ThreadPoolExecutor(THREADS) as pool:
        list(
            pool.map(
                lambda seed: hammer(manager, seed, lambda calls: time.monotonic() < end),
                range(THREADS),
            )
        )


def test_a_replayed_ancestor_takes_the_session_down_once_under_parallel_replays() -> None:
    manager = make()
    ancestor = manager.create(subject="uid1")
    tokens = manager.update(manager.update(ancestor.refresh_token).refresh_token)
    answers = at_once(*[lambda: manager.update(ancestor.refresh_token)] * THREADS)
    assert all(isinstance(answer, SessionNotFound) for answer in answers)
    assert any(isinstance(answer, RefreshTokenReused) for answer in answers)
    with pytest.raises(AccessTokenRevoked):
        manager.read(tokens.access_token)


def test_managers_in_one_process_share_nothing() -> None:
    first, second = make(storage=MemoryStorage()), make(storage=MemoryStorage())
    tokens = first.create(subject="uid1")
    first.delete_all("uid1")
    assert second.read(tokens.access_token).subject == "uid1"
    assert second.read_all("uid1") == {}
