"""A clock that runs ahead and is put right again makes nobody forget a logout.

Each node has a clock of its own, which the test sets, and a timer, which nobody sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from tests.processes.support import refuses
from tests.servers import Node, empty, needs_server, until
from tests.support import SECRET, FakeClock
from tokenwheel import (
    RedisFeed,
    RedisStorage,
    Revocation,
    RevocationList,
    SessionManager,
)
from tokenwheel.revocation.message import pack

pytestmark = needs_server

STREAM = "tokenwheel:revocations"
JUMPS = [1_200, 3 * 3_600]  # seconds: 20 minutes and three hours
FAR = 4_000_000_000.0


class Machine:
    """A node whose wall clock can be set, while time goes on by its timer."""

    def __init__(self, client: redis.Redis, timer: FakeClock, ahead: float = 0) -> None:
        self.ahead = ahead

        def clock() -> float:
            return timer() + self.ahead

        self.feed = RedisFeed(client, clock=clock, timer=timer)
        self.manager = SessionManager(
            SECRET,
            issuer="i",
            audience="a",
            storage=RedisStorage(client),
            revocations=RevocationList(self.feed, clock=clock, timer=timer),
            clock=clock,
        )

    def refuses(self, token: str) -> bool:
        return refuses(self.manager, token)


@pytest.fixture
def client(server: Node) -> Iterator[redis.Redis]:
    empty(server)
    with server.client() as client:
        yield client


@pytest.fixture
def timer(client: redis.Redis) -> FakeClock:
    """Return a timer that begins at the server's time."""
    seconds, _ = client.time()
    return FakeClock(float(seconds))


@pytest.fixture
def join(client: redis.Redis, timer: FakeClock) -> Iterator[Callable[..., Machine]]:
    with ExitStack() as stack:

        def make(ahead: float = 0) -> Machine:
            machine = Machine(client, timer, ahead)
            stack.callback(machine.manager.close)
            return machine

        yield make


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_ran_ahead_and_is_put_right_forgets_no_logout(
    join: Callable[[], Machine], timer: FakeClock, jump: float
) -> None:
    wrong, right = join(), join()
    before, while_ahead, good = (right.manager.create(subject="ann") for _ in range(3))
    assert not wrong.refuses(before.access_token)
    right.manager.delete_one("ann", before.session_id)
    until(lambda: wrong.refuses(before.access_token))
    wrong.ahead = jump
    timer.advance(5)
    wrong.manager.delete_one("ann", while_ahead.session_id)
    for _ in range(20):  # Each trims the stream.
        doomed = wrong.manager.create(subject="bob")
        wrong.manager.delete_one("bob", doomed.session_id)
        wrong.feed.poll()
    timer.advance(5)
    wrong.ahead = 0.0
    timer.advance(5)
    late = join()
    for machine in (wrong, right, late):
        for tokens in (before, while_ahead):
            until(lambda: machine.refuses(tokens.access_token))
        assert not machine.refuses(good.access_token)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_node_that_is_started_while_its_clock_is_ahead_trims_nothing_that_lives(
    join: Callable[..., Machine], timer: FakeClock, jump: float
) -> None:
    right = join()
    ended, other = (right.manager.create(subject="ann") for _ in range(2))
    right.manager.delete_one("ann", ended.session_id)
    wrong = join(jump)
    for _ in range(5):
        wrong.feed.publish([Revocation("B" * 16, timer() + jump + 60, None)])
    wrong.manager.close()
    late = join()
    assert late.refuses(ended.access_token)
    assert not late.refuses(other.access_token)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_login_while_a_clock_is_ahead_takes_no_session_out_of_the_users_list(
    join: Callable[[], Machine], jump: float
) -> None:
    right, wrong = join(), join()
    short = right.manager.create(subject="ann", refresh_ttl=600)
    wrong.ahead = jump
    wrong.manager.create(subject="ann")
    wrong.manager.read_all("ann")
    wrong.ahead = 0.0
    assert short.session_id in right.manager.read_all("ann")
    assert right.manager.delete_all("ann") == 2
    assert right.refuses(short.access_token)


def test_the_server_s_clock_alone_lets_no_entry_go(
    client: redis.Redis, join: Callable[[], Machine], timer: FakeClock
) -> None:
    """An entry that is over by the server's clock, and lives by that of the node which comes."""
    server_is_ahead = 7_200.0
    timer.advance(-server_is_ahead)
    living = pack(Revocation("A" * 16, timer() + 600, None))
    client.xadd(STREAM, {"r": living, "e": f"{(timer() + 600 + 900) * 1000:.0f}"}, id="1-1")
    node = join()
    node.feed.publish([Revocation("B" * 16, timer() + 600, None)])
    assert living in [fields[b"r"] for _, fields in client.xrange(STREAM)]


def test_an_entry_outlives_a_server_s_clock_that_is_behind_and_put_right(
    client: redis.Redis, join: Callable[[], Machine], timer: FakeClock
) -> None:
    timer.advance(7_200)
    node = join()
    node.feed.publish([Revocation("A" * 16, timer() + 600, None)])
    ((_, fields),) = client.xrange(STREAM)
    assert float(fields[b"e"]) / 1000 >= timer() + 600


LARGEST = "18446744073709551615-18446744073709551615"


def test_a_stream_that_takes_no_entry_any_more_is_made_anew_of_what_lives(
    client: redis.Redis,
) -> None:
    heard = RevocationList(RedisFeed(client))
    heard.revoke("A" * 16, 900)
    kept_until = client.pttl(STREAM)
    over = {"r": pack(Revocation("C" * 16, FAR, None)), "e": "1000"}
    client.xadd(STREAM, over, id="18446744073709551615-1")
    client.xadd(STREAM, {"x": "y"}, id=LARGEST)
    heard.revoke("B" * 16, 900)
    late: Any = RevocationList(RedisFeed(client))
    assert [late.is_revoked(letter * 16) for letter in "ABC"] == [True, True, False]
    assert client.xlen(STREAM) == 2
    assert client.pttl(STREAM) > kept_until - 60_000
    late.revoke("D" * 16, 900)
    until(lambda: heard.is_revoked("D" * 16))
    heard.close()
    late.close()


def test_a_stream_of_nothing_but_the_largest_entry_is_made_anew(client: redis.Redis) -> None:
    client.xadd(STREAM, {"x": "y"}, id=LARGEST)
    node = RevocationList(RedisFeed(client))
    node.revoke("A" * 16, 900)
    assert client.xlen(STREAM) == 1
    assert 86_400_000 < client.pttl(STREAM) < 90_000_000
    node.close()
