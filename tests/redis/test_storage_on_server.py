"""What RedisStorage does to its server.

That is how often it asks, what it leaves there and for how long, and what it makes of what it
finds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers import Node, empty, needs_server, serving
from tests.support import SECRET, FakeClock
from tokenwheel import (
    AccessTokenRevoked,
    ConfigurationError,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionContext,
    SessionManager,
    SessionRecord,
    StorageUnavailable,
    TooManySessions,
)
from tokenwheel._impl import encode
from tokenwheel.redis.key_names import slot_of_id, slot_of_subject, tags
from tokenwheel.redis.record import ISSUER_PLACE, pack_issuer
from tokenwheel.testing import NOW, following, make_record

pytestmark = needs_server

STREAM = "tokenwheel:revocations"


@pytest.fixture
def client(server: Node) -> Iterator[redis.Redis]:
    empty(server)
    with server.client() as client:
        yield client


def over(client: Any, **options: Any) -> SessionManager:
    revocations = RevocationList(RedisFeed(client), clock=options.get("clock", time.time))
    return SessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=RedisStorage(client),
        revocations=revocations,
        **options,
    )


def sessions_and_indexes(client: Any) -> tuple[list[bytes], list[bytes]]:
    names = sorted(client.keys("tokenwheel:{*"))
    return [name for name in names if name[16:17] == b":"], [
        name for name in names if name[16:17] == b"@"
    ]


class Counting(redis.Redis):
    """A client that counts what it asks.

    Each command waits for its answer, so each is one round trip.
    """

    asked = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.asked += 1
        return super().execute_command(*args, **options)

    def takes(self, count: int, call: Any, *arguments: Any, **options: Any) -> Any:
        before = self.asked
        answer = call(*arguments, **options)
        assert self.asked - before == count
        return answer


def test_each_call_of_the_storage_is_one_round_trip(server: Node, client: redis.Redis) -> None:
    with Counting(port=server.port) as counting:
        storage = RedisStorage(counting)
        storage.insert(make_record(0), 3, NOW)  # after which the server knows the scripts
        storage.replace(following(make_record(0)), NOW)
        storage.read_all("uid1", NOW)
        storage.delete([make_record(9)], NOW)
        records = [make_record(number) for number in (1, 2)]
        for record in records:
            assert counting.takes(1, storage.insert, record, 3, NOW) is True
        assert counting.takes(1, storage.insert, make_record(3), 3, NOW) is False
        assert counting.takes(1, storage.read, records[0].id, NOW) == records[0]
        assert len(counting.takes(1, storage.read_all, "uid1", NOW)) == 3
        assert counting.takes(1, storage.replace, following(records[0]), NOW) is True
        assert len(counting.takes(1, storage.delete, [following(records[0]), records[1]], NOW)) == 2


def test_revoking_and_changing_the_storage_is_one_round_trip_besides_the_reading(
    server: Node, client: redis.Redis
) -> None:
    with Counting(port=server.port) as counting, over(counting) as manager:
        warm = manager.create(subject="ann")
        manager.restrict_all("ann")
        manager.update(warm.refresh_token)
        manager.delete_all("ann")
        tokens = [counting.takes(1, manager.create, subject="ann") for _ in range(4)]
        counting.takes(2, manager.update, tokens[0].refresh_token)
        counting.takes(2, manager.restrict_one, manager.read(tokens[1].access_token))
        assert counting.takes(2, manager.delete_one, "ann", tokens[2].session_id) is True
        assert counting.takes(2, manager.delete_all, "ann") == 3
        for opened in tokens:
            with pytest.raises(AccessTokenRevoked):
                counting.takes(0, manager.read, opened.access_token)
        assert client.xlen(STREAM) >= 4


def test_what_cannot_be_published_is_not_deleted_and_the_call_can_be_made_again(
    client: redis.Redis,
) -> None:
    with over(client) as manager:
        tokens = manager.create(subject="ann")
        client.set(STREAM, "in the way")
        for call in (
            lambda: manager.delete_one("ann", tokens.session_id),
            lambda: manager.restrict_all("ann"),
        ):
            with pytest.raises(
                StorageUnavailable, match="the session storage could not be reached"
            ):
                call()
        assert [session.generation for session in manager.read_all("ann").values()] == [0]
        client.delete(STREAM)
        assert manager.delete_one("ann", tokens.session_id) is True
        assert client.xlen(STREAM) == 1


def test_sessions_and_revocations_may_be_on_two_servers(
    client: redis.Redis, tmp_path: Path
) -> None:
    with serving(tmp_path) as apart, apart.client() as other:
        revocations = RevocationList(RedisFeed(other))
        with SessionManager(
            SECRET, issuer="i", audience="a", storage=RedisStorage(client), revocations=revocations
        ) as manager:
            tokens = manager.create(subject="ann")
            manager.restrict_all("ann")
            assert manager.delete_one("ann", tokens.session_id) is True
        assert client.keys() == [b"tokenwheel:access-lifetime:i"]
        assert other.xlen(STREAM) == 2


def test_scripts_that_the_server_has_forgotten_are_taught_again(client: redis.Redis) -> None:
    with over(client) as manager:
        tokens = manager.create(subject="ann")
        for call in (
            lambda: manager.create(subject="ann"),
            lambda: manager.read_all("ann"),
            lambda: manager.update(tokens.refresh_token),
            lambda: manager.restrict_all("ann"),
            lambda: manager.delete_all("ann"),
        ):
            client.script_flush()
            call()
        assert manager.read_all("ann") == {}


def test_a_login_whose_answer_was_lost_can_be_asked_for_again(client: redis.Redis) -> None:
    storage = RedisStorage(client)
    assert storage.insert(make_record(), 1, NOW) is True
    assert storage.insert(make_record(), 1, NOW) is True
    assert len(storage.read_all("uid1", NOW)) == 1
    with pytest.raises(KeyError, match="exists already"):
        storage.insert(make_record(ends_at=int(NOW) + 5), None, NOW)


def test_the_server_forgets_a_session_some_time_after_its_end_and_the_index_with_the_last(
    client: redis.Redis,
) -> None:
    storage = RedisStorage(client)
    storage.insert(make_record(1, ends_at=int(NOW) + 1000), None, NOW)
    storage.insert(make_record(2, ends_at=int(NOW) + 100), None, NOW)
    (first, second), (index,) = sessions_and_indexes(client)
    lives = 999.5 + 900  # the 15 minutes by which clocks may differ
    assert client.pttl(first) == pytest.approx(lives * 1000, abs=30_000)
    assert client.pttl(second) == pytest.approx((lives - 900) * 1000, abs=30_000)
    assert client.pttl(index) == pytest.approx(lives * 1000, abs=30_000)
    storage.replace(following(make_record(1, ends_at=int(NOW) + 5000)), NOW)
    assert client.pttl(index) == pytest.approx((lives + 4000) * 1000, abs=30_000)
    storage.delete([following(make_record(1))], NOW)
    storage.delete([make_record(2)], NOW)
    assert client.keys() == []


def test_the_index_lets_go_of_the_dead_whoever_comes_next(client: redis.Redis) -> None:
    storage = RedisStorage(client)
    later = NOW + 10 + 901
    living = make_record(0, ends_at=int(NOW) + 100_000)
    for come in (
        lambda: storage.insert(make_record(3, ends_at=int(later) + 5), None, later),
        lambda: storage.replace(following(living), later),
        lambda: storage.read_all("uid1", later),
    ):
        client.flushall()
        storage.insert(living, None, NOW)
        for number in (1, 2):
            storage.insert(make_record(number, ends_at=int(NOW) + 10), None, NOW)
        _, (index,) = sessions_and_indexes(client)
        come()
        listed = [member[3:].decode() for member in client.zrange(index, 0, -1)]
        assert living.id in listed
        assert not {make_record(1).id, make_record(2).id} & set(listed)


def test_a_session_that_the_server_has_lost_takes_nobodys_place(client: redis.Redis) -> None:
    storage = RedisStorage(client)
    for number in (1, 2):
        storage.insert(make_record(number), 2, NOW)
    assert storage.insert(make_record(3), 2, NOW) is False
    (first, _), (index,) = sessions_and_indexes(client)
    client.delete(first)
    assert storage.insert(make_record(3), 2, NOW) is True
    client.delete(sessions_and_indexes(client)[0][0])
    assert len(storage.read_all("uid1", NOW)) == 1
    assert client.zcard(index) == 1


def test_on_a_cluster_too_a_session_that_was_lost_takes_nobodys_place(
    cluster: Sequence[Node],
) -> None:
    empty(*cluster)
    with redis.RedisCluster(host="127.0.0.1", port=cluster[0].port) as client:
        storage = RedisStorage(client)

        def record(number: int) -> SessionRecord:
            prefix = storage.session_id_prefix("uid1")
            return make_record(number)._replace(id=encode(prefix + number.to_bytes(10, "big")))

        for number in (1, 2):
            assert storage.insert(record(number), 2, NOW) is True
        assert storage.insert(record(3), 2, NOW) is False
        client.delete(storage._names.session(record(1).id))
        assert storage.insert(record(3), 2, NOW) is True
        client.delete(storage._names.session(record(2).id))
        assert [kept.id for kept in storage.read_all("uid1", NOW)] == [record(3).id]
        assert client.zcard(storage._names.index("uid1")) == 1


def test_a_session_that_is_over_on_one_clock_still_counts_and_is_still_found_on_another(
    client: redis.Redis,
) -> None:
    behind, ahead = FakeClock(NOW), FakeClock(NOW + 300)
    slow, fast = (
        over(client, clock=clock, leeway=300, refresh_ttl=60, max_sessions=1)
        for clock in (behind, ahead)
    )
    with slow, fast:
        tokens = slow.create(subject="ann")
        fast.read_all("ann")
        fast.create(subject="ann")  # For it there is none.
        slow.read(tokens.access_token)
        with pytest.raises(TooManySessions):
            slow.create(subject="ann")
        slow.delete_all("ann")
        with pytest.raises(AccessTokenRevoked):
            slow.read(tokens.access_token)


def test_every_key_of_a_subject_is_in_the_slot_that_its_sessions_ids_name(
    client: redis.Redis,
) -> None:
    with over(client) as manager:
        for subject in ("ann", "b}{o*b:", "{x}", "Zoë 😀", "}"):
            tokens = [manager.create(subject=subject) for _ in range(2)]
            sessions, indexes = sessions_and_indexes(client)
            named = {slot_of_id(opened.session_id) for opened in tokens}
            assert named == {slot_of_subject(subject)}
            assert {name.split(b"{")[1][:3].decode() for name in sessions + indexes} == {
                tags()[slot_of_subject(subject)]
            }
            assert len(indexes) == 1
            assert manager.delete_all(subject) == 2


def test_a_hash_tag_falls_into_its_slot(cluster: Any) -> None:
    with cluster[0].client() as client:
        for slot in (0, 1, 5_000, 9_999, 16_383):
            assert (
                client.execute_command("CLUSTER", "KEYSLOT", f"tokenwheel:{{{tags()[slot]}}}:x")
                == slot
            )
    assert len(set(tags())) == 16_384


def test_session_ids_keep_eighty_random_bits(client: redis.Redis) -> None:
    with over(client) as manager:
        ids = {manager.create(subject="ann").session_id for _ in range(200)}
    assert (
        len({session_id[:2] for session_id in ids}) == 1
    )  # twelve of the sixteen bits that the subject decides
    assert all(len({session_id[place] for session_id in ids}) > 30 for place in range(3, 16))


def test_no_secret_and_no_token_is_on_the_server(client: redis.Redis) -> None:
    with over(client) as manager:
        tokens = manager.create(
            {"role": "user"}, subject="ann", context=SessionContext("203.0.113.7")
        )
        fresh = manager.update(tokens.refresh_token)
        manager.restrict_all("ann")
        names = client.keys()
        held = b"".join([*names, *(client.dump(name) or b"" for name in names)])
        for token in (tokens, fresh):
            secret = token.refresh_token[16:].encode()
            assert all(secret[start : start + 12] not in held for start in range(len(secret) - 12))
            assert token.access_token.split(".")[2].encode()[:12] not in held
        assert tokens.session_id.encode() in held


@pytest.mark.parametrize("value", [b"", b"x" * 300, b"\x02" + bytes(300), b"\x01" + bytes(20)])
def test_what_cannot_be_a_session_is_said_to_be_none(client: redis.Redis, value: bytes) -> None:
    storage = RedisStorage(client)
    storage.insert(make_record(), None, NOW)
    (name,), _ = sessions_and_indexes(client)
    client.set(name, value)
    for read in (
        lambda: storage.read(make_record().id, NOW),
        lambda: storage.read_all("uid1", NOW),
    ):
        with pytest.raises(StorageUnavailable, match="cannot be one"):
            read()


@pytest.mark.parametrize("prefix", ["", "a{b", "a}", "a b", "é", "x" * 65, "a*", None, b"a"])
def test_a_prefix_that_makes_no_names_is_refused(client: redis.Redis, prefix: Any) -> None:
    for kind in (RedisStorage, RedisFeed):
        with pytest.raises(ConfigurationError, match="prefix"):
            kind(client, prefix=prefix)


@pytest.mark.parametrize("client", [None, object(), "redis://localhost", RedisStorage])
def test_what_is_no_client_is_refused(client: Any) -> None:
    for kind in (RedisStorage, RedisFeed):
        with pytest.raises(ConfigurationError, match="client"):
            kind(client)


def test_an_asyncio_client_is_refused_by_a_blocking_manager_when_it_is_made() -> None:
    client = redis.asyncio.Redis()
    with pytest.raises(ConfigurationError, match="storage must not be async"):
        SessionManager(SECRET, issuer="i", audience="a", storage=RedisStorage(client))
    with pytest.raises(ConfigurationError, match="revocations must not be async"):
        SessionManager(
            SECRET, issuer="i", audience="a", revocations=RevocationList(RedisFeed(client))
        )


def test_on_a_cluster_an_id_from_elsewhere_is_refused_clearly(cluster: Any) -> None:
    with (
        redis.RedisCluster(host="127.0.0.1", port=cluster[0].port) as client,
        pytest.raises(ValueError, match="session_id_prefix"),
    ):
        RedisStorage(client).insert(make_record(), None, NOW)


def test_its_repr_tells_no_address_and_no_password() -> None:
    client = redis.Redis(host="example", password="correct-horse")
    assert repr(RedisStorage(client, prefix="shop")) == "<RedisStorage 'shop'>"
    assert repr(RedisFeed(client, prefix="shop")) == "<RedisFeed 'shop'>"


def test_a_session_of_the_layout_before_is_read_and_goes_on(client: redis.Redis) -> None:
    """It has no issuer and no MAC. What is written from then on has both places."""
    manager = over(client, clock=time.time)
    tokens = manager.create(subject="ann")
    (name,) = client.keys("tokenwheel:{???}:????????????????")
    packed = client.get(name)
    assert isinstance(packed, bytes)
    issuer = pack_issuer("i")
    assert packed[ISSUER_PLACE:].startswith(issuer)
    before = b"\1" + packed[1:ISSUER_PLACE] + packed[ISSUER_PLACE + len(issuer) :]
    client.set(name, before)
    assert list(manager.read_all("ann")) == [tokens.session_id]
    manager.update(tokens.refresh_token)
    packed = client.get(name)
    assert isinstance(packed, bytes)
    assert packed[0] == 2
    assert packed[ISSUER_PLACE:].startswith(issuer)
    manager.close()
