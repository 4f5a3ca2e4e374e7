"""A logout by the refresh token alone (RFC 7009): whom ``end`` ends, and that it harms nobody else.

What holds where it fails on its way is in ``test_half_done.py``.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.places import PLACES, Driven, SqlitePlace, opened
from tests.servers import needs_server, until
from tests.support import SECRET, FakeClock, secret_of
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    Key,
    KeySet,
    MemoryStorage,
    RevocationList,
    Session,
    SessionEvent,
    SessionManager,
    SessionNotFound,
    StorageUnavailable,
)

Make = Callable[..., Any]


def refuses(manager: Any, access_token: str) -> bool:
    try:
        manager.read(access_token)
    except AccessTokenRevoked:
        return True
    return False


@pytest.mark.parametrize("held", [0, 1, 2], ids=["the first", "one replaced", "the current one"])
def test_any_refresh_token_that_a_session_ever_had_ends_it(place: Any, held: int) -> None:
    here, there = place.open(reuse_grace=0), place.open(reuse_grace=0)
    other = here.create(subject="ann")
    issued = [here.create(subject="ann")]
    for _ in range(2):
        issued.append(here.update(issued[-1].refresh_token))
    last = here.read_all("ann")[issued[0].session_id]
    ended = there.end(issued[held].refresh_token)
    assert type(ended) is Session
    assert ended == last
    assert there.read_all("ann").keys() == {other.session_id}
    for manager in (there, here):
        for tokens in issued:
            until(lambda m=manager, t=tokens: refuses(m, t.access_token))  # type: ignore[misc]
        assert not refuses(manager, other.access_token)
        assert manager.end(issued[held].refresh_token) is None
        with pytest.raises(SessionNotFound, match="no session is open"):
            manager.update(issued[-1].refresh_token)
    assert here.update(other.refresh_token).session_id == other.session_id


class Scene:
    """A manager over a storage in memory, and a session of ann's that nothing must change."""

    def __init__(self, make: Make, clock: FakeClock, **options: Any) -> None:
        self.clock = clock
        self.storage = MemoryStorage()
        self.manager = make(storage=self.storage, **options)
        first = self.manager.create(subject="ann")
        self.tokens = self.manager.update(first.refresh_token)
        self.record = self.storage.read(self.tokens.session_id, clock.now)
        self.told: list[Any] = []
        for event in SessionEvent:
            self.manager.on(event, self.told.append)

    def ends_nothing(self, refresh_token: Any, manager: Any = None) -> None:
        """Check that what is shown ends nothing, and changes nothing."""
        assert (manager or self.manager).end(refresh_token) is None
        assert self.storage.read(self.tokens.session_id, self.clock.now) == self.record
        assert len(self.manager.revocations) == 0
        assert self.told == []
        assert not refuses(self.manager, self.tokens.access_token)


class Text(str):
    """A text that says that it is another."""

    __slots__ = ()

    def __str__(self) -> str:
        return "another"

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


def test_what_is_no_refresh_token_ends_nothing(make: Make, clock: FakeClock) -> None:
    scene = Scene(make, clock)
    token = scene.tokens.refresh_token
    for given in (
        None, "", "x", 5, True, token.encode(), [token], token + "\n", " " + token, f'"{token}"',
        "Bearer " + token, token[:-1] + "\ud800", token + "é", token[:-2] + "+/", Text("x"),
        scene.tokens.access_token, scene.tokens.session_id, object(), "A" * 5_000,
    ):  # fmt: skip
        scene.ends_nothing(given)


def test_a_refresh_token_that_was_cut_or_lengthened_on_its_way_ends_nothing(
    make: Make, clock: FakeClock
) -> None:
    scene = Scene(make, clock)
    token = scene.tokens.refresh_token
    for length in range(len(token)):
        scene.ends_nothing(token[:length])
    for more in ("A", "AA", "AAA", "AAAA", "-_-_", token):
        scene.ends_nothing(token + more)


def test_a_guess_ends_nothing(make: Make, clock: FakeClock) -> None:
    scene = Scene(make, clock)
    token = scene.tokens.refresh_token
    stranger = make().create(subject="eve").refresh_token
    scene.ends_nothing(token[:16] + stranger[16:])
    scene.ends_nothing(token[:16] + stranger[16:36] + token[36:])
    scene.ends_nothing(stranger[:16] + token[16:])
    scene.ends_nothing("A" * len(token))
    scene.ends_nothing(stranger)


def test_a_refresh_token_with_the_right_family_alone_is_one_the_session_may_have_had(
    make: Make, clock: FakeClock
) -> None:
    scene = Scene(make, clock)
    token = scene.tokens.refresh_token
    ended = scene.manager.end(token[:36] + "A" * len(token[36:]))
    assert ended.id == scene.tokens.session_id


def test_a_text_counts_by_its_characters(make: Make, clock: FakeClock) -> None:
    scene = Scene(make, clock)
    ended = scene.manager.end(Text(scene.tokens.refresh_token))
    assert ended.id == scene.tokens.session_id


def test_a_session_that_is_over_is_not_ended_once_more(make: Make, clock: FakeClock) -> None:
    class Hoarder(MemoryStorage):
        def read(self, session_id: str, now: float) -> Any:
            return super().read(session_id, 0)

    manager = make(storage=Hoarder(), refresh_ttl=1_000)
    token = manager.create(subject="ann").refresh_token
    clock.advance(1_000)
    assert manager.end(token) is None
    assert len(manager.revocations) == 0
    clock.advance(-1)
    assert manager.end(token).subject == "ann"


def test_a_session_of_another_service_in_the_same_storage_is_left_alone(
    make: Make, clock: FakeClock
) -> None:
    scene = Scene(make, clock)
    other = make(storage=scene.storage, issuer="another service")
    scene.ends_nothing(scene.tokens.refresh_token, other)


def test_a_record_that_nobody_with_the_storage_key_has_written_is_left_alone(
    make: Make, clock: FakeClock
) -> None:
    scene = Scene(make, clock, storage_key=secret_of("one key").encode())
    other = make(storage=scene.storage, storage_key=secret_of("another key").encode())
    scene.ends_nothing(scene.tokens.refresh_token, other)
    assert other.broken_records == 1


def test_a_manager_with_public_keys_alone_ends_sessions(make: Make) -> None:
    storage, key = MemoryStorage(), Key.generate("ES256", kid="k")
    revocations = RevocationList()
    login = make(KeySet(key), storage=storage, revocations=revocations)
    resource_server = make(KeySet(key.public()), storage=storage, revocations=revocations)
    tokens = login.create(subject="ann")
    assert resource_server.end(tokens.refresh_token).id == tokens.session_id
    assert refuses(login, tokens.access_token)


def test_listeners_hear_once_that_the_session_was_deleted(make: Make, clock: FakeClock) -> None:
    scene = Scene(make, clock)
    ended = scene.manager.end(scene.tokens.refresh_token)
    assert [(event.session, event.reason) for event in scene.told] == [(ended, "deleted")]
    assert scene.manager.end(scene.tokens.refresh_token) is None
    assert len(scene.told) == 1


def test_of_ends_in_several_threads_exactly_one_gets_the_session(tmp_path: Any) -> None:
    place = SqlitePlace(SessionManager, tmp_path / "sessions.db")
    managers = [place.open() for _ in range(4)]
    try:
        for _ in range(10):
            token = managers[0].create(subject="ann").refresh_token
            together = threading.Barrier(len(managers))
            answers: list[Any] = []

            def end(manager: Driven, token: str, together: Any, answers: list[Any]) -> None:
                together.wait()
                answers.append(manager.end(token))

            threads = [
                threading.Thread(target=end, args=(manager, token, together, answers))
                for manager in managers
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(answer is None for answer in answers) == [False, True, True, True]
    finally:
        place.close()


@pytest.mark.parametrize("where", PLACES)
def test_of_ends_in_several_tasks_exactly_one_gets_the_session(
    request: pytest.FixtureRequest, where: str
) -> None:
    with opened(where, AsyncSessionManager, request) as place:
        here, there = place.open(), place.open()
        for _ in range(10):
            token = here.create(subject="ann").refresh_token
            answers = here.together([here.manager.end(token) for _ in range(5)])
            assert [type(answer) for answer in answers if answer is not None] == [Session]
        assert there.read_all("ann") == {}


DAMAGED = [
    *itertools.product(
        ["memory", "file"],
        [{"salt": b"x"}, {"generation": -1}, {"context": b"\xff{"}, {"ends_at": 2**62}],
    ),
    pytest.param("server", {"generation": 2**32 - 1}, marks=needs_server),
]


@pytest.mark.parametrize("where, damage", DAMAGED)
def test_a_damaged_session_is_ended_where_its_family_still_tells_and_the_caller_is_told(
    request: pytest.FixtureRequest, kind: type, where: str, damage: dict[str, Any]
) -> None:
    with opened(where, kind, request) as place:
        manager = place.open()
        told: list[Any] = []
        manager.on(SessionEvent.SESSION_INVALIDATED, told.append)
        first = manager.create(subject="ann")
        tokens = manager.update(first.refresh_token)
        guess = first.refresh_token[:16] + manager.create(subject="eve").refresh_token[16:]
        place.damage(tokens.session_id, **damage)
        assert manager.end(guess) is None
        assert not refuses(manager, tokens.access_token)
        with pytest.raises(StorageUnavailable, match="damaged"):
            manager.end(first.refresh_token)
        assert refuses(manager, tokens.access_token)
        assert manager.end(first.refresh_token) is None
        assert told == []


@pytest.mark.parametrize("damage", [b"x" * 31, None, 5, "x" * 32], ids=repr)
def test_a_session_of_which_the_family_cannot_be_read_is_left_as_it_is(
    request: pytest.FixtureRequest, kind: type, damage: Any
) -> None:
    with opened("memory", kind, request) as place:
        manager = place.open()
        tokens = manager.create(subject="ann")
        place.damage(tokens.session_id, family_hash=damage)
        for _ in range(2):
            with pytest.raises(StorageUnavailable, match="damaged"):
                manager.end(tokens.refresh_token)
        assert not refuses(manager, tokens.access_token)
        assert manager.delete_one("ann", tokens.session_id) is True


def test_a_storage_that_cannot_be_asked_is_told_and_the_tokens_are_refused_here(
    make: Make,
) -> None:
    class Down(MemoryStorage):
        is_down = False

        def read(self, session_id: str, now: float) -> Any:
            if self.is_down:
                raise OSError("the disk is full")
            return super().read(session_id, now)

    storage = Down()
    manager = make(storage=storage)
    tokens = manager.create(subject="ann")
    storage.is_down = True
    with pytest.raises(StorageUnavailable, match="the call can be made again"):
        manager.end(tokens.refresh_token)
    assert refuses(manager, tokens.access_token)
    storage.is_down = False
    assert manager.end(tokens.refresh_token).id == tokens.session_id


def test_an_end_that_is_cancelled_can_be_made_again() -> None:
    async def main() -> None:
        class Slow:
            def __init__(self) -> None:
                self.kept = MemoryStorage()
                self.asked = asyncio.Event()

            async def insert(self, *arguments: Any) -> Any:
                return self.kept.insert(*arguments)

            async def read(self, *arguments: Any) -> Any:
                return self.kept.read(*arguments)

            async def read_all(self, *arguments: Any) -> Any:
                return self.kept.read_all(*arguments)

            async def replace(self, *arguments: Any) -> Any:
                return self.kept.replace(*arguments)

            async def delete(self, *arguments: Any) -> Any:
                self.asked.set()
                await asyncio.sleep(0)
                return self.kept.delete(*arguments)

        storage = Slow()
        async with AsyncSessionManager(
            SECRET, issuer="i", audience="a", storage=storage
        ) as manager:
            tokens = await manager.create(subject="ann")
            task = asyncio.create_task(manager.end(tokens.refresh_token))
            await storage.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert refuses(manager, tokens.access_token)
            ended = await manager.end(tokens.refresh_token)
            assert ended is not None
            assert ended.id == tokens.session_id

    asyncio.run(main())
