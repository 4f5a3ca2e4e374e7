"""What RedisFeed makes of its stream.

How it is kept short, which entries are none of ours, and how a loss is noticed and made good.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.servers import Node, empty, needs_server, until
from tokenwheel import ConfigurationError, RedisFeed, Revocation, RevocationList, StorageUnavailable
from tokenwheel.revocation.message import pack

pytestmark = needs_server

STREAM = "tokenwheel:revocations"
FAR = 4_000_000_000.0  # Unix seconds
ONE, TWO, THREE = "A" * 16, "B" * 16, "C" * 16

Join = Callable[[], RevocationList]


@pytest.fixture
def client(server: Node) -> Iterator[redis.Redis]:
    empty(server)
    with server.client() as client:
        yield client


@pytest.fixture
def join(client: redis.Redis) -> Iterator[Join]:
    """Return what makes nodes that have looked something up already, and so follow the stream."""
    lists: list[RevocationList] = []

    def make() -> RevocationList:
        lists.append(RevocationList(RedisFeed(client)))
        lists[-1].is_revoked(ONE)
        return lists[-1]

    yield make
    for revocations in lists:
        revocations.close()


def feed_of(node: RevocationList) -> RedisFeed:
    assert isinstance(node.feed, RedisFeed)
    return node.feed


def entry(*revocations: Revocation, ends: int = 2**45) -> dict[Any, Any]:
    return {"r": b"".join(map(pack, revocations)), "e": ends}


def test_what_one_node_revokes_all_refuse_and_one_that_joins_late_from_its_first_lookup(
    join: Join,
) -> None:
    first, second = join(), join()
    first.revoke(ONE, 900, before=3)
    until(lambda: second.is_revoked(ONE, 2))
    assert not second.is_revoked(ONE, 3)
    assert join().is_revoked(ONE, 2)


def test_a_feed_serves_one_list(client: redis.Redis) -> None:
    feed = RedisFeed(client)
    RevocationList(feed)
    with pytest.raises(ConfigurationError, match="one RevocationList"):
        RevocationList(feed)


def test_its_stats_tell_how_it_stands(client: redis.Redis, join: Join) -> None:
    first, second = join(), join()
    for number in range(5):
        first.revoke(f"{number:016d}", 900)
    until(lambda: feed_of(second).stats().entries == 5)
    stats = feed_of(second).stats()
    assert (stats.lag, stats.reconnects, stats.skipped, stats.replays) == (0, 0, 0, 0)
    assert stats.last_id == client.xinfo_stream(STREAM)["last-generated-id"].decode()
    assert 0 <= stats.staleness < 60
    client.client_kill_filter(_type="normal", skipme=True)
    until(lambda: feed_of(second).stats().reconnects == 1)
    first.revoke(ONE, 900)
    until(lambda: second.is_revoked(ONE))


def test_many_at_once_take_few_entries_and_few_round_trips(client: redis.Redis, join: Join) -> None:
    first, second = join(), join()
    feed_of(first).publish([Revocation(f"{number:016d}", FAR, None) for number in range(1_000)])
    assert client.xlen(STREAM) == 4
    until(lambda: len(second) == 1_000)


def test_what_is_over_is_trimmed_beside_what_comes(client: redis.Redis, join: Join) -> None:
    for number in range(200):
        client.xadd(
            STREAM,
            entry(Revocation(ONE, FAR, None), ends=1_000),
            id=f"1-{number}" if number else "0-1",
        )
    node = join()
    for number in range(4):
        node.revoke(f"{number:016d}", 900)
    assert client.xlen(STREAM) == 4


def test_one_that_lives_long_is_not_trimmed_and_keeps_no_others(
    client: redis.Redis, join: Join
) -> None:
    client.xadd(STREAM, entry(Revocation(TWO, FAR, None)), id="1-1")
    for number in range(2, 20):
        client.xadd(STREAM, entry(Revocation(THREE, FAR, None), ends=1_000), id=f"1-{number}")
    node = join()
    node.revoke(ONE, 900)
    assert client.xlen(STREAM) == 2
    late = join()
    assert late.is_revoked(TWO)
    until(lambda: node.is_revoked(TWO))
    assert (feed_of(node).stats().replays, feed_of(late).stats().replays) == (0, 0)


def test_the_stream_of_a_service_that_is_no_more_goes_by_itself(
    client: redis.Redis, join: Join
) -> None:
    node = join()
    node.revoke(ONE, 900)
    short = client.pttl(STREAM)
    assert 86_400_000 < short < 90_000_000
    node.revoke(TWO, 90_000)
    assert client.pttl(STREAM) > 170_000_000
    node.revoke(THREE, 60)
    assert client.pttl(STREAM) > 170_000_000


STRANGE: list[dict[Any, Any]] = [
    {"x": "y"},
    {"r": "", "e": 1},
    {"r": b"\x01" + bytes(24), "e": 2**45},
    {"r": b"\x02" * 25, "e": 2**45},
    {"r": b"\xff" * 50, "e": 2**45},
    {"r": pack(Revocation(TWO, FAR, None))[:-1], "e": 2**45},
    {"r": pack(Revocation(TWO, FAR, None))},
    {"e": 2**45, "r": pack(Revocation(TWO, FAR, None))},
    {"r": pack(Revocation(TWO, FAR, None)), "e": 2**45, "and": "more"},
    {"r": pack(Revocation(TWO, FAR, None)) + b"\x01" + b"\xff" * 24, "e": 2**45},
    {"r": bytes(2**21), "e": 2**45},
]


def test_what_is_none_of_ours_is_passed_over_counted_and_said_once(
    client: redis.Redis, join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "tokenwheel")
    node = join()
    for fields in STRANGE:
        client.xadd(STREAM, fields)
        client.xadd(STREAM, entry(Revocation(ONE, FAR, None)))
    until(lambda: feed_of(node).stats().skipped == len(STRANGE))
    assert node.is_revoked(ONE)
    assert not node.is_revoked(TWO)
    assert len([message for message in caplog.messages if "none" in message]) == 1
    late = join()
    assert late.is_revoked(ONE)
    assert not late.is_revoked(TWO)
    assert feed_of(late).stats().skipped == len(STRANGE)
    node.revoke(THREE, 900)  # And trimming is not put off by them.
    until(lambda: late.is_revoked(THREE))


def test_a_stream_that_is_lost_is_noticed_and_made_good_by_those_who_knew(
    client: redis.Redis, join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = join(), join()
    for number in range(600):
        (first, second)[number % 2].revoke(f"{number:016d}", 900)
    until(lambda: len(first) == len(second) == 600)
    client.flushall()
    until(lambda: client.exists(STREAM))
    until(lambda: len(_joining(client)) == 600)
    assert feed_of(first).stats().replays + feed_of(second).stats().replays >= 1
    assert any("put back" in message for message in caplog.messages)


def test_a_stream_that_was_replaced_by_another_is_read_from_its_start(
    client: redis.Redis, join: Join
) -> None:
    node = join()
    node.revoke(ONE, 900)
    until(lambda: feed_of(node).stats().entries == 1)
    client.delete(STREAM)
    # The entry is of an earlier time, as on a server whose clock is behind.
    client.xadd(STREAM, entry(Revocation(TWO, FAR, None)), id="1-1")
    until(lambda: node.is_revoked(TWO))
    until(lambda: _joining(client).is_revoked(ONE))


def test_a_stream_rolled_back_and_written_on_is_read_from_its_start(
    client: redis.Redis, join: Join
) -> None:
    """As by a failover to a replica that lacked the last entry: the next takes its very place."""
    node = join()
    node.revoke(ONE, 900)
    node.revoke(TWO, 900)
    until(lambda: feed_of(node).stats().entries == 2)
    (first, last) = client.xrange(STREAM)
    with_lock = client.pipeline()
    with_lock.delete(STREAM)
    with_lock.xadd(STREAM, first[1], id=first[0])
    with_lock.xadd(STREAM, entry(Revocation(THREE, FAR, None)), id=last[0])
    with_lock.execute()
    until(lambda: node.is_revoked(THREE))
    until(lambda: _joining(client).is_revoked(TWO))


def test_what_was_trimmed_before_a_node_had_heard_it_makes_it_read_all_there_is(
    client: redis.Redis, join: Join
) -> None:
    node = join()
    node.revoke(ONE, 900)
    until(lambda: feed_of(node).stats().entries == 1)
    with client.pipeline() as at_once:
        at_once.xadd(STREAM, entry(Revocation(TWO, FAR, None)))
        at_once.xadd(STREAM, entry(Revocation(THREE, FAR, None)))
        at_once.xtrim(STREAM, maxlen=1, approximate=False)
        at_once.execute()
    until(lambda: node.is_revoked(THREE))
    until(lambda: feed_of(node).stats().replays >= 1)
    until(lambda: _joining(client).is_revoked(ONE))


def test_a_key_of_another_kind_in_the_way_is_said_clearly_and_no_node_crashes(
    client: redis.Redis, join: Join
) -> None:
    node = join()
    node.revoke(ONE, 900)
    client.delete(STREAM)
    client.set(STREAM, "in the way")
    with pytest.raises(StorageUnavailable, match="the revocation feed could not be reached"):
        RevocationList(RedisFeed(client))
    with pytest.raises(StorageUnavailable, match="the revocation feed could not be reached"):
        node.revoke(TWO, 900)
    assert node.is_revoked(TWO)
    client.delete(STREAM)
    until(lambda: len(_joining(client)) == 2)


def test_a_list_without_room_loses_nothing(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []
    is_full = [True]

    def apply(revocations: Any) -> None:
        batch = list(revocations)
        if is_full[0] and batch:
            raise MemoryError("no memory for another revocation")
        heard.extend(batch)

    feed = RedisFeed(client)
    feed.start(apply)
    feed.poll()
    client.xadd(STREAM, entry(Revocation(ONE, FAR, None)))
    until(lambda: "MemoryError" in caplog.text)
    is_full[0] = False
    until(lambda: heard)
    assert heard == [Revocation(ONE, FAR, None)]
    feed.close()


def test_a_process_that_only_revokes_follows_too_so_that_it_knows_what_has_arrived(
    client: redis.Redis,
) -> None:
    node = RevocationList(RedisFeed(client))
    for number in range(20):
        node.revoke(f"{number:016d}", 900)
    feed = feed_of(node)
    until(lambda: feed.stats().entries == 20)
    until(lambda: not feed._reader._sent)
    node.close()


def test_what_a_server_lost_before_anybody_had_heard_it_is_put_back(client: redis.Redis) -> None:
    feed = RedisFeed(client)
    node = RevocationList(feed)
    node.revoke(ONE, 900)
    client.flushall()
    until(lambda: _joining(client).is_revoked(ONE))
    node.close()


def test_closing_leaves_no_thread_and_no_connection(client: redis.Redis) -> None:
    def names() -> list[str]:
        return sorted(thread.name for thread in threading.enumerate())

    before, connected = names(), len(client.client_list())
    nodes = [RevocationList(RedisFeed(client)) for _ in range(3)]
    assert names() == before
    for node in nodes:
        node.is_revoked(ONE)
    assert len(names()) == len(before) + 3
    nodes[0].revoke(ONE, 900)
    for node in nodes:
        until(lambda: node.is_revoked(ONE))
        node.close()
        node.close()
        assert node.is_revoked(ONE)
    assert names() == before
    until(lambda: len(client.client_list()) == connected)


def _joining(client: redis.Redis) -> RevocationList:
    """Return the list of a node that joined, took in what the stream knows, and left at once."""
    node = RevocationList(RedisFeed(client))
    node.feed.close()  # type: ignore[union-attr]
    return node


def test_the_clock_of_a_node_that_publishes_says_how_long_an_entry_is_kept(
    client: redis.Redis,
) -> None:
    moment = 1_000_000.0  # in 1970: the server's clock shows something else
    feed = RedisFeed(client, clock=lambda: moment)
    feed.start(lambda revocations: None)
    feed.publish([Revocation(ONE, moment + 100, None), Revocation(TWO, moment + 50, None)])
    ((_, fields),) = client.xrange(STREAM)
    assert int(fields[b"e"]) / 1000 == pytest.approx(time.time() + 100 + 900, abs=30)
    feed.close()
