"""Logouts of sessions that the storage does not know.

It may have lost them, so their access tokens are refused all the same: as long as such a token can
live, and no longer. Anybody who is logged in can make up ids, so there is a bound for each subject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.places import KINDS, PLACES, Driven, Place, RedisPlace, SqlitePlace, opened
from tests.servers import needs_server, until
from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    InvalidArgument,
    Key,
    KeySet,
    MemoryStorage,
    RevocationList,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel._impl import random_bytes
from tokenwheel.session.refresh_tokens import new_refresh_token
from tokenwheel.session.unknown_sessions import MOST_OF_A_SUBJECT

DAY = 86_400  # seconds
TOO_MANY = "names no session, and neither did 100 others"


@pytest.fixture(params=KINDS, ids=["blocking", "asyncio"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, kind: type) -> Iterator[Any]:
    with opened(request.param, kind, request) as place:
        yield place


@pytest.fixture
def memory(request: pytest.FixtureRequest, kind: type) -> Iterator[Place]:
    with opened("memory", kind, request) as place:
        yield place


def made_up() -> str:
    return new_refresh_token(24).session_id


def refuses(manager: Driven, access_token: str) -> bool:
    try:
        manager.read(access_token)
    except AccessTokenRevoked:
        return True
    return False


def ends_of(manager: Driven) -> list[float]:
    """Return a list that grows by the end of each revocation that the manager makes."""
    ends: list[float] = []
    seen = set()
    refuse = manager.revocations.refuse

    def noted(revocations: Any, now: float) -> None:
        for revocation in revocations:
            # To publish is to refuse once more, at the same moment.
            if (revocation.session_id, now) not in seen:
                seen.add((revocation.session_id, now))
                ends.append(revocation.expires_at - now)
        refuse(revocations, now)

    manager.revocations.refuse = noted
    return ends


def test_filling_every_process_with_ids_that_were_made_up(place: Any) -> None:
    here, there = place.open(), place.open()
    tokens = here.create(subject="eve")
    for number in range(MOST_OF_A_SUBJECT):
        if number % 2:
            assert here.delete_one("eve", made_up()) is False
        else:
            here.restrict_one({"sub": "eve", "sid": made_up()})
    for call in (
        lambda: here.delete_one("eve", made_up()),
        lambda: here.delete_one("eve", new_refresh_token(24).to_text()),
        lambda: here.restrict_one({"sub": "eve", "sid": made_up()}),
    ):
        with pytest.raises(InvalidArgument, match=TOO_MANY):
            call()
    assert len(here.revocations) == MOST_OF_A_SUBJECT
    # Whoever did it can still log out, and so can everybody else.
    assert here.delete_one("eve", tokens.session_id) is True
    assert refuses(here, tokens.access_token)
    assert here.delete_one("ann", made_up()) is False
    until(lambda: refuses(there, tokens.access_token))


def test_logging_out_of_one_lost_session_over_and_over_fills_nothing(place: Any) -> None:
    manager = place.open()
    tokens = manager.create(subject="ann")
    place.lose(tokens.session_id)
    ends = ends_of(manager)
    for _ in range(300):
        assert manager.delete_one("ann", tokens.session_id) is False
        assert manager.delete_one("ann", tokens.refresh_token) is False
    assert len(ends) == 1
    assert refuses(manager, tokens.access_token)


def test_filling_at_once_from_many_tasks_or_threads() -> None:
    manager = Driven(AsyncSessionManager(SECRET, issuer="i", audience="a"))
    calls = [manager.manager.delete_one("eve", made_up()) for _ in range(300)]
    answers = manager.together(calls)
    assert sum(answer is False for answer in answers) == MOST_OF_A_SUBJECT
    assert sum(isinstance(answer, InvalidArgument) for answer in answers) == 200
    assert len(manager.manager.revocations) == MOST_OF_A_SUBJECT
    manager.shut()


def test_the_bound_is_for_as_long_as_such_a_revocation_lives(memory: Place) -> None:
    now = [1_700_000_000.0]
    memory.revocations = RevocationList(clock=lambda: now[0])
    manager = memory.open(clock=lambda: now[0])
    manager.create(subject="bob")
    for _ in range(MOST_OF_A_SUBJECT):
        manager.delete_one("eve", made_up())
    now[0] += 900
    with pytest.raises(InvalidArgument, match=TOO_MANY):
        manager.delete_one("eve", made_up())
    now[0] += 900 + 61
    assert manager.delete_one("eve", made_up()) is False


def test_counting_subjects_without_end_takes_no_memory_without_end(memory: Place) -> None:
    manager = memory.open()
    for number in range(5000):
        manager.delete_one(f"eve{number}", "A" * 16)
    assert len(manager.manager._flow._unknown._ends_by_subject) <= 4096


def test_verified_tokens_of_lost_sessions_are_never_too_many(memory: Place) -> None:
    manager = memory.open()
    lost = [manager.create(subject="ann") for _ in range(MOST_OF_A_SUBJECT + 5)]
    for tokens in lost:
        claims = manager.read(tokens.access_token)
        memory.lose(tokens.session_id)
        manager.restrict_one(claims)
        assert refuses(manager, tokens.access_token)
    with pytest.raises(InvalidArgument, match=TOO_MANY):
        manager.delete_one("ann", made_up())


def test_a_made_up_logout_lasts_as_long_as_an_access_token_and_not_as_a_session(
    place: Any,
) -> None:
    manager = place.open()
    manager.create(subject="ann")
    ends = ends_of(manager)
    manager.delete_one("eve", made_up())
    manager.restrict_one({"sub": "eve", "sid": made_up()})
    assert len(ends) == 2
    assert all(900 + 60 <= lasting < 2 * 3600 for lasting in ends)


def create_for_a_day(manager: Driven) -> Any:
    return manager.create(subject="ann", access_ttl=DAY)


def update_for_a_day(manager: Driven) -> Any:
    return manager.update(manager.create(subject="ann").refresh_token, access_ttl=DAY)


@pytest.mark.parametrize("issue", [create_for_a_day, update_for_a_day])
def test_a_lost_session_whose_token_another_process_let_live_for_longer(
    place: Any, issue: Callable[[Driven], Any]
) -> None:
    here, there = place.open(), place.open()
    here.create(subject="bob")
    there.create(subject="bob")
    tokens = issue(there)
    place.lose(tokens.session_id)
    ends = ends_of(here)
    here.delete_one("ann", tokens.session_id)
    assert len(ends) == 1
    assert DAY + 60 <= ends[0] < DAY + 3600
    assert refuses(here, tokens.access_token)
    until(lambda: refuses(there, tokens.access_token))


def test_a_lost_session_whose_token_outlives_the_restart_of_all_processes(place: Any) -> None:
    tokens = place.open(access_ttl=DAY).create(subject="ann")
    storage = place.storage
    while place.managers:
        place.managers.pop().shut()
    place.storage = storage
    place.revocations = RevocationList()
    place.lose(tokens.session_id)
    later = place.open()
    later.create(subject="bob")
    ends = ends_of(later)
    later.delete_one("ann", tokens.session_id)
    assert DAY + 60 <= ends[0] < DAY + 3600


def test_a_resource_server_refuses_for_as_long_as_the_service_issues(place: Any) -> None:
    key = Key.generate("EdDSA")
    service = place.open(keys=KeySet(key), access_ttl=DAY)
    resource_server = place.open(keys=KeySet(key.public()))
    tokens = service.create(subject="ann")
    place.lose(tokens.session_id)
    ends = ends_of(resource_server)
    resource_server.delete_one("ann", tokens.session_id)
    assert DAY + 60 <= ends[0] < DAY + 3600
    assert refuses(resource_server, tokens.access_token)


def test_the_lifetimes_of_another_issuer_say_nothing(place: Any) -> None:
    place.open(issuer="other", access_ttl=DAY).create(subject="ann")
    manager = place.open(refresh_ttl=2 * DAY)
    ends = ends_of(manager)
    manager.delete_one("eve", made_up())
    manager.create(subject="ann")
    manager.delete_one("eve", made_up())
    # Where nothing is kept yet, a token may live as long as a session.
    assert ends[0] > 2 * DAY
    assert ends[1] < 3600


def test_a_kept_lifetime_that_was_damaged_shortens_no_logout(place: Any) -> None:
    manager = place.open(access_ttl=DAY)
    manager.create(subject="ann")
    spoil(place)
    other = place.open()
    other.create(subject="ann")
    ends = ends_of(other)
    other.delete_one("eve", made_up())
    assert ends[0] > DAY


def test_a_kept_lifetime_that_an_older_backup_lacks_is_put_back(place: Any) -> None:
    here, there = place.open(), place.open()
    here.create(subject="ann")
    tokens = there.create(subject="ann", access_ttl=DAY)
    place.lose(tokens.session_id)
    place.keep_access_lifetime("i", 900)
    ends = ends_of(there)
    there.delete_one("ann", tokens.session_id)
    assert DAY + 60 <= ends[0] < DAY + 3600
    ends = ends_of(here)
    here.delete_one("ann", tokens.session_id)
    assert DAY + 60 <= ends[0] < DAY + 3600


@needs_server
def test_a_kept_lifetime_never_expires_and_may_be_of_another_type(
    request: pytest.FixtureRequest, kind: type
) -> None:
    with opened("server", kind, request) as place:
        place.open().create(subject="ann")
        name = place.names.access_lifetime("i")
        assert place.client.get(name) == b"900"
        assert place.client.ttl(name) == -1
        place.client.delete(name)
        place.client.rpush(name, "x")
        other = place.open()
        other.create(subject="ann")
        ends = ends_of(other)
        other.delete_one("eve", made_up())
        assert ends[0] > DAY


def spoil(place: Any) -> None:
    """Have the storage answer with what is no lifetime."""
    if type(place) is Place:
        place.storage._access_lifetimes.clear()
        place.storage.keep_access_lifetime = lambda issuer, seconds: "many"
    elif isinstance(place, SqlitePlace | RedisPlace):
        place.keep_access_lifetime("i", "many")
    else:  # A column of numbers takes no words. No lifetime is this long.
        place.keep_access_lifetime("i", 2**62)


class Counting(MemoryStorage):
    """Counts how often it is asked for a lifetime, and is down for a while."""

    asked = 0
    is_down = False

    def keep_access_lifetime(self, issuer: str, seconds: int) -> int:
        self.asked += 1
        if self.is_down:
            raise OSError
        return super().keep_access_lifetime(issuer, seconds)


def test_a_lifetime_is_kept_before_a_token_is_issued_and_only_when_it_is_longer(
    memory: Place,
) -> None:
    memory.storage = storage = Counting()
    manager = memory.open()
    for _ in range(3):
        manager.update(manager.create(subject="ann").refresh_token)
        manager.create(subject="ann", access_ttl=60)
    assert storage.asked == 1
    storage.is_down = True
    count = len(manager.read_all("ann"))
    with pytest.raises(StorageUnavailable, match="could not be reached"):
        manager.create(subject="ann", access_ttl=901)
    assert len(manager.read_all("ann")) == count
    manager.create(subject="ann")
    storage.is_down = False
    manager.create(subject="ann", access_ttl=901)
    assert storage.keep_access_lifetime("i", 0) == 901


def test_a_storage_that_cannot_say_keeps_no_logout_from_happening(memory: Place) -> None:
    memory.storage = storage = Counting()
    manager = memory.open()
    tokens = manager.create(subject="ann")
    memory.lose(tokens.session_id)
    storage.is_down = True
    ends = ends_of(manager)
    assert manager.delete_one("ann", tokens.session_id) is False
    assert refuses(manager, tokens.access_token)
    assert ends[0] > 29 * DAY


class WithoutLifetimes:
    """A storage with the five methods that each must have, and no more."""

    def __init__(self) -> None:
        kept = MemoryStorage()
        self.insert, self.read, self.read_all = kept.insert, kept.read, kept.read_all
        self.replace, self.delete = kept.replace, kept.delete


def test_with_a_storage_that_keeps_no_lifetime_a_logout_lasts_as_long_as_a_session(
    memory: Place,
) -> None:
    memory.storage = WithoutLifetimes()
    manager = memory.open()
    ends = ends_of(manager)
    manager.create(subject="ann", access_ttl=DAY)
    manager.delete_one("eve", made_up())
    assert ends[0] > 29 * DAY


class Feed:
    """A feed that can be down."""

    def __init__(self) -> None:
        self.is_down = False
        self.published: list[Any] = []

    def start(self, apply: Any) -> None: ...

    def publish(self, revocations: Any) -> None:
        if self.is_down:
            raise OSError
        self.published += revocations

    def poll(self) -> None: ...

    def close(self) -> None: ...


def test_a_made_up_logout_that_nobody_heard_is_published_by_the_next_try(kind: Any) -> None:
    feed = Feed()
    manager = Driven(kind(SECRET, issuer="i", audience="a", revocations=RevocationList(feed)))
    session_id = made_up()
    feed.is_down = True
    with pytest.raises(StorageUnavailable, match="feed"):
        manager.delete_one("ann", session_id)
    feed.is_down = False
    assert manager.delete_one("ann", session_id) is False
    assert [revocation.session_id for revocation in feed.published] == [session_id]
    assert manager.delete_one("ann", session_id) is False
    assert len(feed.published) == 1
    manager.shut()


def test_a_down_feed_does_not_lift_the_bound() -> None:
    feed = Feed()
    feed.is_down = True
    manager = SessionManager(SECRET, issuer="i", audience="a", revocations=RevocationList(feed))
    for _ in range(MOST_OF_A_SUBJECT):
        with pytest.raises(StorageUnavailable, match="feed"):
            manager.delete_one("eve", made_up())
    with pytest.raises(InvalidArgument, match=TOO_MANY):
        manager.delete_one("eve", made_up())
    assert len(manager.revocations) == MOST_OF_A_SUBJECT


def test_a_token_that_lives_for_a_century_is_refused_where_its_feed_is_down(kind: Any) -> None:
    feed = Feed()
    longest = 100 * 31_557_600
    options = {"access_ttl": longest, "refresh_ttl": longest}
    revocations = RevocationList(feed)
    manager = Driven(kind(SECRET, issuer="i", audience="a", revocations=revocations, **options))
    tokens = manager.create(subject="ann")
    claims = manager.read(tokens.access_token)
    feed.is_down = True
    for call in (
        lambda: manager.restrict_one(claims),
        lambda: manager.delete_one("ann", tokens.session_id),
        lambda: manager.delete_one("ann", random_id()),
    ):
        with pytest.raises(StorageUnavailable, match="feed"):
            call()
        assert refuses(manager, tokens.access_token)
    manager.shut()


def random_id() -> str:
    return new_refresh_token(24, random_bytes(2)).session_id
