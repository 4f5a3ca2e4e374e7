"""What outlives a process: sessions and revocations in SQLite, or on a Redis or Valkey server.

The first is for the workers of one machine, the second for many machines.
"""

from __future__ import annotations

import pytest

from .race import FOLDER, OTHER_CORES
from .tokens import write_tokens


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
@pytest.mark.parametrize(
    "contender", ["memory", "sqlite_full", "sqlite_normal", "redis", "sql_postgres"]
)
def test_last(race, contender, operation):
    """A session opened, refreshed, ended: in memory; in SQLite, on the disk before the call
    returns; in SQLite, safe from all but a loss of power; on a server, for every machine: Redis or
    Valkey, or PostgreSQL, on the disk before the call returns.

    With FULL a commit waits for the disk, so what is measured is the disk. To end a session takes
    two commits: revoked, then deleted. In Redis, over loopback here, it takes two round trips:
    found, then revoked and deleted. Sessions grow once, with the first refresh, by what a reused
    refresh token is told by.
    """
    path = str(write_tokens(FOLDER, "HS256", 1))
    race(
        "lasting:Lasting",
        operation=operation,
        rounds=9,
        baseline="memory",
        tokens=path,
        cores=OTHER_CORES,
    )


@pytest.mark.parametrize(
    "contender", ["tokenwheel", "tokenwheel_fed", "redis_fed", "redis_fed_refusing", "sql_fed"]
)
def test_read_fed(race, contender):
    """A token seen before, with and without a feed: what it costs each request that a logout holds
    in every process of the machine, and with RedisFeed or SqlFeed on every machine.

    These two hear of logouts in a thread of their own, so a request has nothing to ask; nor has it
    where it must not be answered once the node was cut off for too long.
    """
    race(
        "lasting:Fed",
        operation="read",
        rounds=31,
        tokens=str(write_tokens(FOLDER, "HS256", 1)),
        cores=OTHER_CORES,
    )


@pytest.mark.parametrize(
    "contender", ["tokenwheel_fed", "redis_fed", "redis_fed_packed", "sql_fed"]
)
def test_replay(race, contender):
    """A million live revocations taken in by a process that starts, all before its first read:
    after a deployment, the time until the process can serve.

    RedisFeed has each in an entry of its own, as one logout after the other writes them; and 250 in
    an entry, as many at once are.
    """
    race(
        "lasting:Replaying",
        operation="replay",
        rounds=3,
        alone=True,
        baseline="tokenwheel_fed",
        size=1_000_000,
        cores=OTHER_CORES,
    )
