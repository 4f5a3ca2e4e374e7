"""Threads on one list of revocations and its subscribers, on a key set, and on who listens."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest

from tests.support import SECRET, secret_of
from tests.threads.hammering import THREADS, Shared, at_once, beside, turns
from tokenwheel import (
    AccessTokenRevoked,
    InvalidAccessToken,
    Key,
    KeySet,
    Revocation,
    RevocationList,
    SessionCreated,
    SessionEvent,
    SessionManager,
)


def session_id_of(number: int) -> str:
    return f"{number:016d}"


class Echo:
    """A feed without a wire: what one list publishes, the others take in at their next lookup."""

    def __init__(self, log: list[Revocation]) -> None:
        self._log = log
        self._place = 0
        self._apply: Any = None

    def start(self, apply: Callable[[Sequence[Revocation]], None]) -> None:
        self._apply = apply

    def publish(self, revocations: Sequence[Revocation]) -> None:
        self._log.extend(revocations)

    def poll(self) -> None:
        # Taken in twice, by two threads at once, it does no harm; taken in too late it would.
        place = len(self._log)
        self._apply(self._log[self._place : place])
        self._place = place

    def close(self) -> None:
        pass


def test_a_list_without_a_feed_has_told_its_subscribers_once_when_revoke_returns() -> None:
    revocations = RevocationList()
    told: list[str] = []
    fleeting: list[str] = []
    numbers = count()
    revocations.subscribe(lambda session_id, before: told.append(session_id))

    def revoke() -> list[str]:
        mine = []
        for _ in range(turns(100)):
            session_id = session_id_of(next(numbers))
            revocations.revoke(session_id, 3600)
            assert session_id in told[-1_000:]
            mine.append(session_id)
        return mine

    def come_and_go() -> None:
        def hear(session_id: str, before: int | None) -> None:
            fleeting.append(session_id)

        revocations.subscribe(hear)
        revocations.unsubscribe(hear)

    revoked = beside(lambda: at_once(revoke, revoke), come_and_go, come_and_go)
    assert Counter(told) == Counter(session_id for mine in revoked for session_id in mine)
    heard = len(fleeting)
    revocations.revoke(session_id_of(next(numbers)), 3600)
    assert len(fleeting) == heard


def test_lists_with_a_feed_refuse_in_every_thread_what_another_list_has_published() -> None:
    log: list[Revocation] = []
    lists = [RevocationList(Echo(log)) for _ in range(2)]
    told: list[list[str]] = [[], []]
    for revocations, heard in zip(lists, told, strict=True):
        revocations.subscribe(lambda session_id, before, heard=heard: heard.append(session_id))
    revoked: Shared[str] = Shared()
    numbers = count()

    def revoke() -> None:
        for number in range(turns(200)):
            session_id = session_id_of(next(numbers))
            lists[number % 2].revoke(session_id, 3600)
            revoked.put(session_id)

    def look() -> None:
        choose = random.Random()
        for _ in range(20):
            if (session_id := revoked.pick(choose)) is not None:
                assert lists[0].is_revoked(session_id)
                assert lists[1].is_revoked(session_id)

    beside(lambda: at_once(revoke, revoke), look, look)
    for revocations in lists:
        revocations.is_revoked(session_id_of(10**15))
        revocations.close()  # which tells first what was taken in
    everything = Counter(session_id_of(number) for number in range(turns(200) * 2))
    assert [Counter(heard) for heard in told] == [everything, everything]


def test_close_beside_lookups_and_subscriptions_leaves_nobody_to_be_told() -> None:
    for _ in range(turns(5)):
        revocations = RevocationList(Echo([]))
        told: list[str] = []

        def revoke(revocations: RevocationList = revocations) -> None:
            for number in range(100):
                revocations.revoke(session_id_of(number), 3600)
                assert revocations.is_revoked(session_id_of(number))

        revocations.subscribe(lambda session_id, before, told=told: told.append(session_id))
        at_once(revoke, revoke, revocations.close)
        assert len(told) == len(set(told))
        heard = len(told)
        revocations.revoke(session_id_of(200), 3600)
        assert revocations.is_revoked(session_id_of(200))
        assert len(told) == heard


def test_two_managers_follow_a_key_set_in_rotation_while_threads_read_and_create() -> None:
    keys = KeySet(Key.from_secret(SECRET, kid="0"))
    first, second = (SessionManager(keys, issuer="i", audience="a") for _ in range(2))
    live: Shared[str] = Shared()
    refused: Shared[str] = Shared()

    def rotate() -> None:
        for number in range(1, turns(40)):
            of_old_key = first.create(subject="ann").access_token
            keys.add(Key.from_secret(secret_of(f"key {number}"), kid=str(number)))
            keys.sign_with(str(number))
            if number % 5:
                keys.remove(str(number - 1))
                refused.put(of_old_key)
        assert keys.signing is not None

    def read_and_create() -> None:
        choose = random.Random()
        for manager, other in ((first, second), (second, first)):
            token = manager.create({"n": 7}, subject="ann").access_token
            live.put(token)
            try:
                assert other.read(token)["n"] == 7
            except InvalidAccessToken:  # Its key may have been removed by now.
                assert len(keys) >= 1
            if (known := refused.pick(choose)) is not None:
                for reader in (first, second):
                    with pytest.raises(InvalidAccessToken):
                        reader.read(known)
            assert len(list(keys)) >= 1
            assert keys.jwks() == {"keys": []}

    def subscribe() -> None:
        def hear() -> None:
            pass

        keys.subscribe(hear)

    beside(rotate, read_and_create, read_and_create, subscribe)
    kept = [key.kid for key in keys]
    assert len(kept) == 1 + len([n for n in range(1, turns(40)) if not n % 5])
    assert first.read(second.create(subject="bob").access_token).subject == "bob"


def test_listeners_that_threads_add_and_remove_at_once_are_all_there_or_gone() -> None:
    manager = SessionManager(SECRET, issuer="i", audience="a")
    told: list[str] = []

    def listen() -> Callable[[SessionCreated], None]:
        def hear(event: SessionCreated) -> None:
            told.append(event.session.id)

        def other(event: SessionCreated) -> None:
            raise AssertionError("it was taken off before anything happened")

        for _ in range(turns(200)):
            manager.on(SessionEvent.SESSION_CREATED, other)
            manager.on(SessionEvent.SESSION_REFRESHED, other)
            manager.off(SessionEvent.SESSION_CREATED, other)
            manager.off(SessionEvent.SESSION_REFRESHED, other)
        return manager.on(SessionEvent.SESSION_CREATED, hear)

    listeners = at_once(*[listen] * THREADS)
    created = manager.create(subject="ann")
    manager.update(created.refresh_token)
    assert told == [created.session_id] * THREADS
    for listener in listeners:
        manager.off(SessionEvent.SESSION_CREATED, listener)
    manager.create(subject="ann")
    assert len(told) == THREADS


def test_records_that_nobody_had_sealed_are_all_counted() -> None:
    manager = SessionManager(SECRET, issuer="i", audience="a", storage_key=secret_of("seal", 64))
    tokens = manager.create(subject="ann")
    storage: Any = manager.storage
    record = storage.read(tokens.session_id, 0)
    storage.replace(record._replace(version=record.version + 1, mac=b"x" * len(record.mac)), 0)

    def ask() -> None:
        for _ in range(turns(200)):
            assert manager.read_all("ann") == {}

    at_once(*[ask] * THREADS)
    assert manager.broken_records == THREADS * turns(200)


def test_a_token_that_was_read_before_its_logout_is_refused_in_every_thread_after_it() -> None:
    manager = SessionManager(SECRET, issuer="i", audience="a", verified_cache_size=64)
    live: Shared[str] = Shared()
    ended: Shared[str] = Shared()

    def live_on() -> None:
        for number in range(turns(200)):
            tokens = manager.create(subject="ann")
            live.put(tokens.access_token)
            if number % 3 == 0:
                manager.restrict_one({"sub": "ann", "sid": tokens.session_id})
            elif number % 3 == 1:
                assert manager.delete_one("ann", tokens.session_id) is True
            else:
                assert manager.update(tokens.refresh_token).session_id == tokens.session_id
                continue
            ended.put(tokens.access_token)

    def read() -> None:
        choose = random.Random()
        for _ in range(20):
            if (token := ended.pick(choose)) is not None:
                with pytest.raises(AccessTokenRevoked):
                    manager.read(token)
            if (token := live.pick(choose)) is not None:
                try:
                    assert manager.read(token).subject == "ann"
                except AccessTokenRevoked:
                    pass

    beside(lambda: at_once(live_on, live_on), read, read)
