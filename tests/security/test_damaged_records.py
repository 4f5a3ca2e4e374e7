"""Records damaged by a failing disk, or by whoever can write to the storage.

No caller is to blame for them. They keep no other session from ending, and are ended themselves
where their id can still be read.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from math import inf, nan
from typing import Any

import pytest
import redis.asyncio

from tests.places import (
    KINDS,
    PLACES,
    Driven,
    Place,
    RedisPlace,
    SqlitePlace,
    UncheckedStorage,
    opened,
)
from tests.servers import LONGEST_WAIT, Node, empty, needs_server, until
from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    InvalidAccessToken,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionNotFound,
    StorageUnavailable,
)
from tokenwheel.redis.key_names import KeyNames
from tokenwheel.session.arguments import LONGEST_LIFETIME

# What all three storages can come to hold.
NUMBERS: dict[str, dict[str, Any]] = {
    "an access token that lives past every clock": {"access_expires_at": 2 * 10**11},
    "an access token that lives for ever": {"access_expires_at": 2**63 - 1},
    "an access token of before 1970": {"access_expires_at": -(2**63)},
    "a generation above all": {"generation": 2**32 - 1},
    "a login at no time": {"created_at": inf},
    "a refresh before time began": {"last_used_at": -inf},
    "the last version": {"version": 2**32 - 1},
    "no version": {"version": 0},
    "an end past every clock": {"ends_at": 2**62, "expires_at": 2**62},
}
# What a column of SQLite takes whatever its type, and the memory of a process by way of a bug.
VALUES: dict[str, dict[str, Any]] = {
    "a negative generation": {"generation": -1},
    "a generation of many digits": {"generation": 2**63 - 1},
    "a generation in words": {"generation": "many"},
    "a fraction of a generation": {"generation": 0.5},
    "a short salt": {"salt": b"x"},
    "a salt in words": {"salt": "x" * 16},
    "a cut hash": {"secret_hash": b"x" * 31},
    "a hash in words": {"family_hash": "x" * 32},
    "a hash before that is cut": {"previous_hash": b""},
    "a version in words": {"version": "x"},
    "a version of many digits": {"version": 2**63 - 1},
    "a version in bytes": {"version": b"\xff"},
    "a time in words": {"last_used_at": "yesterday"},
    "a rotation at no time": {"rotated_at": inf},
    "an end in words": {"ends_at": "never"},
    "an end in bytes": {"access_expires_at": b"\xff\xff"},
    "a context that is none": {"context": b"\xff{"},
    "a context of another shape": {"context": b'[1, 2, "three"]'},
    "a context in words": {"context": "nowhere"},
    "a device without a name": {"context": b'[null, [1, "phone", {}], null]'},
}
# A few shapes for each kind of column: those that have a type, and those that take anything.
IN_TYPED_COLUMNS = [
    "a generation above all",
    "a generation of many digits",
    "a login at no time",
    "an end past every clock",
    "a short salt",
    "a context that is none",
]
IN_ANY_COLUMNS = [
    "a generation in words",
    "a hash in words",
    "a time in words",
    "an end in words",
    "a context in words",
    "a version in words",
    "a version in bytes",
]
# The bytes on a server have room for numbers of their own size only.
SHAPES = [
    *itertools.product(["memory", "file"], [*NUMBERS, *VALUES]),
    *itertools.product(["postgres"], IN_TYPED_COLUMNS),
    *itertools.product(["sqlalchemy"], IN_ANY_COLUMNS),
    *(pytest.param(("server", shape), marks=needs_server) for shape in NUMBERS),
]


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


@pytest.fixture
def file(request: pytest.FixtureRequest, kind: type) -> Iterator[SqlitePlace]:
    with opened("file", kind, request) as place:
        yield place


@pytest.fixture
def server_place(request: pytest.FixtureRequest, kind: type) -> Iterator[RedisPlace]:
    with opened("server", kind, request) as place:
        yield place


class Scene:
    """Two processes; three sessions of ann, the second of them damaged, and one of bob."""

    def __init__(self, place: Any, **options: Any) -> None:
        self.place = place
        self.here: Driven = place.open(**options)
        self.there: Driven = place.open(**options)
        self.tokens = [self.here.create(subject="ann") for _ in range(3)]
        self.damaged = self.tokens[1]
        self.whole = self.tokens[::2]
        self.bobs = self.there.create(subject="bob")

    def damage(self, **fields: Any) -> None:
        self.place.damage(self.damaged.session_id, **fields)

    def refuses(self, manager: Driven, tokens: Any) -> bool:
        try:
            manager.read(tokens.access_token)
        except AccessTokenRevoked:
            return True
        except InvalidAccessToken as error:
            raise AssertionError("refused for another reason") from error
        return False

    def refused(self, *tokens: Any) -> None:
        """Check that both processes refuse these access tokens."""
        assert all(self.refuses(self.here, refused) for refused in tokens)
        until(lambda: all(self.refuses(self.there, refused) for refused in tokens))

    def only_bob_is_left(self) -> None:
        self.refused(*self.tokens)
        for tokens in self.tokens:
            with pytest.raises(SessionNotFound, match="no session is open"):
                self.there.update(tokens.refresh_token)
        self.bob_is_untouched()

    def bob_is_untouched(self) -> None:
        assert not self.refuses(self.here, self.bobs)
        assert not self.refuses(self.there, self.bobs)
        assert self.here.read_all("bob").keys() == {self.bobs.session_id}
        assert self.there.update(self.bobs.refresh_token).session_id == self.bobs.session_id

    def reports_damage(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Check that a call says which record is damaged, and nothing of what is in it."""
        with pytest.raises(StorageUnavailable, match="damaged") as caught:
            call(*arguments)
        text = str(caught.value) + repr(caught.value)
        secrets = [tokens.refresh_token[16:32] for tokens in self.tokens]
        assert not [secret for secret in secrets if secret in text]


@pytest.fixture(params=SHAPES, ids="-".join)
def scene(request: pytest.FixtureRequest, kind: type) -> Iterator[Scene]:
    """Yield a scene for each place and each shape of damage."""
    where, shape = request.param
    with opened(where, kind, request) as place:
        scene = Scene(place)
        scene.damage(**(NUMBERS.get(shape) or VALUES[shape]))
        yield scene


@pytest.mark.parametrize("where", ["memory", "file"])
@pytest.mark.parametrize("shape", ["a generation above all", "no version", "a short salt"])
def test_with_a_storage_key_a_damaged_record_serves_and_ends_nothing_but_the_rest_ends(
    request: pytest.FixtureRequest, kind: type, where: str, shape: str
) -> None:
    with opened(where, kind, request) as place:
        scene = Scene(place, storage_key="7hHfaBwF3YtUo7dzkQpkP1TzE0M9Zx2W")
        scene.damage(**(NUMBERS.get(shape) or VALUES[shape]))
        with pytest.raises(SessionNotFound, match="no session is open"):
            scene.here.update(scene.damaged.refresh_token)
        assert len(scene.here.read_all("ann")) == 2
        assert scene.here.delete_one("ann", scene.damaged.session_id) is False
        assert scene.here.delete_all("ann") == 2
        scene.refused(*scene.whole)
        assert not scene.refuses(scene.here, scene.damaged)
        scene.bob_is_untouched()


def test_a_damaged_record_keeps_no_session_from_ending(scene: Scene) -> None:
    assert scene.here.delete_all("ann") == 3
    scene.only_bob_is_left()
    assert scene.here.delete_all("ann") == 0


def test_a_session_with_a_damaged_record_is_ended_by_its_id(scene: Scene) -> None:
    assert scene.here.delete_one("bob", scene.damaged.session_id) is False
    assert not scene.refuses(scene.here, scene.damaged)
    assert scene.here.delete_one("ann", scene.damaged.session_id) is True
    scene.refused(scene.damaged)
    assert scene.here.read_all("ann").keys() == {tokens.session_id for tokens in scene.whole}
    scene.bob_is_untouched()


def test_a_damaged_record_keeps_no_token_from_being_refused(scene: Scene) -> None:
    scene.reports_damage(scene.here.restrict_all, "ann")
    scene.refused(*scene.tokens)
    for tokens in scene.whole:
        fresh = scene.there.update(tokens.refresh_token)
        assert scene.here.read(fresh.access_token).session_id == tokens.session_id
    scene.bob_is_untouched()


def test_a_token_of_a_session_with_a_damaged_record_is_refused_by_its_claims(scene: Scene) -> None:
    claims = scene.here.read(scene.damaged.access_token)
    scene.reports_damage(scene.here.restrict_one, claims)
    scene.refused(scene.damaged)
    scene.reports_damage(scene.there.restrict_one, dict(claims))
    scene.bob_is_untouched()


def test_nothing_is_issued_or_listed_by_a_damaged_record(scene: Scene) -> None:
    scene.reports_damage(scene.here.update, scene.damaged.refresh_token)
    scene.reports_damage(scene.here.read_all, "ann")
    scene.bob_is_untouched()


def test_a_damaged_record_is_the_first_to_be_evicted(scene: Scene) -> None:
    evicting = scene.place.open(max_sessions=3, when_full="evict_oldest")
    fourth = evicting.create(subject="ann")
    kept = {tokens.session_id for tokens in (*scene.whole, fourth)}
    assert scene.here.read_all("ann").keys() == kept
    until(lambda: scene.refuses(scene.here, scene.damaged))
    scene.bob_is_untouched()


def test_an_end_of_the_last_token_that_was_put_back_shortens_no_logout(place: Any) -> None:
    scene = Scene(place)
    scene.damage(access_expires_at=1)
    assert scene.here.delete_all("ann") == 3
    scene.only_bob_is_left()


def test_a_generation_at_its_end_is_refused_entirely(place: Any) -> None:
    scene = Scene(place)
    scene.damage(generation=2**32 - 2)
    scene.reports_damage(scene.here.restrict_all, "ann")
    scene.refused(*scene.tokens)
    assert scene.here.delete_all("ann") == 3


def test_no_revocation_of_a_damaged_record_lasts_longer_than_any_token(memory: Place) -> None:
    published = []
    scene = Scene(memory)
    publish = memory.revocations.publish
    memory.revocations.publish = lambda each, now: (published.extend(each), publish(each, now))[1]  # type: ignore[method-assign]
    here = memory.open()
    scene.damage(access_expires_at=9 * 10**10)
    now = scene.tokens[0].access_expires_at - 900
    assert here.delete_all("ann") == 3
    assert published
    assert all(
        now + 900 <= revocation.expires_at <= now + LONGEST_LIFETIME + 90
        for revocation in published
    )


def test_a_time_that_is_no_number_neither_refreshes_nor_keeps_from_ending(memory: Place) -> None:
    scene = Scene(memory)
    scene.damage(rotated_at=nan, previous_hash=bytes(32), salt=bytes(16))
    scene.reports_damage(scene.here.update, scene.damaged.refresh_token)
    assert scene.here.delete_all("ann") == 3
    scene.only_bob_is_left()


class ForeignStorage(UncheckedStorage):
    """A storage of somebody else's, which knows nothing of damage."""

    foreign: Any = None

    def read_all(self, subject: str, now: float) -> Any:
        others = [] if self.foreign is None else [self.foreign]
        return [*super().read_all(subject, now), *others]


def test_a_session_that_is_listed_under_another_subject_is_left_alone(memory: Place) -> None:
    memory.storage = storage = ForeignStorage()
    scene = Scene(memory)
    storage.foreign = storage.read(scene.bobs.session_id, 0)
    scene.reports_damage(scene.here.delete_all, "ann")
    scene.refused(*scene.tokens)
    assert not scene.refuses(scene.here, scene.bobs)
    assert storage.read(scene.bobs.session_id, 0) is not None


@pytest.mark.parametrize("broken", ["", "x", "é" * 16, "A" * 15 + "=", 7, None, b"A" * 16])
def test_an_id_that_is_none_keeps_no_session_from_ending(memory: Place, broken: Any) -> None:
    memory.storage = storage = ForeignStorage()
    scene = Scene(memory)
    storage.foreign = storage.read(scene.damaged.session_id, 0)._replace(id=broken)
    for call in (scene.here.restrict_all, scene.here.delete_all):
        scene.reports_damage(call, "ann")
        scene.refused(*scene.tokens)
    storage.foreign = None
    assert scene.here.delete_all("ann") == 0


# A file


@pytest.mark.parametrize("column", ["salt", "previous_hash", "context", "last_used_at"])
def test_text_that_is_not_utf8_keeps_no_session_from_ending(file: SqlitePlace, column: str) -> None:
    scene = Scene(file)
    session_id = scene.damaged.session_id
    file.execute(f"UPDATE sessions SET {column} = CAST(X'FFFE' AS TEXT) WHERE id = ?", session_id)
    scene.reports_damage(scene.here.read_all, "ann")
    assert scene.here.delete_all("ann") >= 2
    scene.refused(*scene.whole)
    scene.bob_is_untouched()


def test_an_end_that_was_put_back_hides_no_session_from_a_logout(file: SqlitePlace) -> None:
    scene = Scene(file)
    scene.damage(ends_at=1)
    assert scene.here.delete_all("ann") == 2
    scene.only_bob_is_left()


@pytest.mark.parametrize("broken", ["CAST(X'FFFE' AS TEXT)", "X'FFFE'", "7", "''", "'short'"])
def test_an_id_that_was_overwritten_is_reported_and_the_rest_is_ended(
    file: SqlitePlace, broken: str
) -> None:
    scene = Scene(file)
    file.execute(f"UPDATE sessions SET id = {broken} WHERE id = ?", scene.damaged.session_id)
    scene.reports_damage(scene.here.delete_all, "ann")
    scene.refused(*scene.whole)
    # Its access tokens cannot be refused by a row that doesn't tell their session.
    assert not scene.refuses(scene.here, scene.damaged)
    scene.bob_is_untouched()


@pytest.mark.parametrize("broken", ["X'FFFE'", "''", "CAST(X'FFFE' AS TEXT)"])
def test_a_subject_that_was_overwritten_leaves_no_token_accepted(
    file: SqlitePlace, broken: str
) -> None:
    scene = Scene(file)
    file.execute(f"UPDATE sessions SET subject = {broken} WHERE id = ?", scene.damaged.session_id)
    assert scene.here.delete_all("ann") == 2
    scene.reports_damage(scene.here.delete_one, "ann", scene.damaged.session_id)
    scene.refused(*scene.tokens)
    scene.reports_damage(scene.here.update, scene.damaged.refresh_token)


def test_a_file_that_holds_a_subject_of_another_is_not_believed(file: SqlitePlace) -> None:
    scene = Scene(file)
    assert scene.here.delete_one("ann", scene.bobs.session_id) is False
    scene.bob_is_untouched()


# A server


@needs_server
def test_bytes_cut_anywhere_keep_no_session_from_ending(server_place: RedisPlace) -> None:
    scene = Scene(server_place)
    whole = server_place.client.get(server_place.names.session(scene.damaged.session_id))
    for length in (0, 1, 4, 5, 20, 52, 100, len(whole) - 1):
        session_id = scene.here.create(subject="ann").session_id
        server_place.set(session_id, whole[:length])
    server_place.set(scene.damaged.session_id, whole[:60])
    assert scene.here.delete_all("ann") == 11
    scene.only_bob_is_left()
    assert scene.here.delete_all("ann") == 0


@needs_server
@pytest.mark.parametrize("value", [b"", b"\x01", b"\x07" + bytes(300), b"\xff" * 300, b"garbage"])
def test_bytes_that_are_no_record_are_ended_by_their_id(
    server_place: RedisPlace, value: bytes
) -> None:
    scene = Scene(server_place)
    server_place.set(scene.damaged.session_id, value)
    scene.reports_damage(scene.here.delete_one, "bob", scene.damaged.session_id)
    assert scene.here.delete_one("ann", scene.damaged.session_id) is True
    scene.refused(scene.damaged)
    assert scene.here.read_all("ann").keys() == {tokens.session_id for tokens in scene.whole}


@needs_server
def test_a_list_under_the_name_of_a_session_keeps_no_session_from_ending(
    server_place: RedisPlace,
) -> None:
    scene = Scene(server_place)
    name = server_place.names.session(scene.damaged.session_id)
    server_place.client.delete(name)
    server_place.client.rpush(name, "x")
    scene.reports_damage(scene.here.read_all, "ann")
    scene.reports_damage(scene.here.update, scene.damaged.refresh_token)
    assert scene.here.delete_all("ann") == 3
    scene.only_bob_is_left()


@needs_server
def test_names_that_are_none_in_an_index_keep_no_session_from_ending(
    server_place: RedisPlace,
) -> None:
    scene = Scene(server_place)
    index = server_place.names.index("ann")
    for member in (b"", b"\xff\xfe", b"abc", b"abc" + b"A" * 15, b"abc" + b"=" * 16):
        server_place.client.zadd(index, {member: 4_000_000_000})
        server_place.client.set(b"tokenwheel:{" + member[:3] + b"}:" + member[3:], "x")
    scene.reports_damage(scene.here.restrict_all, "ann")
    scene.reports_damage(scene.here.delete_all, "ann")
    scene.only_bob_is_left()


@needs_server
def test_a_session_of_another_in_an_index_is_left_alone(server_place: RedisPlace) -> None:
    scene = Scene(server_place)
    member = server_place.names.member(scene.bobs.session_id)
    server_place.client.zadd(server_place.names.index("ann"), {member: 4_000_000_000})
    scene.reports_damage(scene.here.delete_all, "ann")
    scene.only_bob_is_left()


@needs_server
def test_over_an_asyncio_client_a_damaged_record_keeps_no_session_from_ending(server: Node) -> None:
    empty(server)

    async def use() -> None:
        async with redis.asyncio.Redis(port=server.port) as client:
            revocations = RevocationList(RedisFeed(client))
            async with AsyncSessionManager(
                SECRET,
                issuer="i",
                audience="a",
                storage=RedisStorage(client),
                revocations=revocations,
            ) as manager:
                tokens = [await manager.create(subject="ann") for _ in range(3)]
                await client.set(KeyNames("tokenwheel").session(tokens[1].session_id), "x")
                with pytest.raises(StorageUnavailable, match="damaged"):
                    await manager.restrict_all("ann")
                with pytest.raises(StorageUnavailable, match="damaged"):
                    await manager.read_all("ann")
                assert await manager.delete_all("ann") == 3
                assert await manager.read_all("ann") == {}
                for each in tokens:
                    with pytest.raises(AccessTokenRevoked):
                        manager.read(each.access_token)

    asyncio.run(asyncio.wait_for(use(), LONGEST_WAIT))
