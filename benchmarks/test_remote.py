"""Sessions and revocations on a server that all nodes of a service share.

It is Redis or Valkey, or PostgreSQL, reached over loopback.
"""

from __future__ import annotations

import pytest

from .race import CORES, FOLDER, OTHER_CORES
from .tokens import write_tokens


def tokens(count: int) -> str:
    return str(write_tokens(FOLDER, "HS256", count))


@pytest.mark.parametrize(
    "operation",
    ["ping", "create", "read", "update", "read_all", "delete_one", "delete_all", "restrict_one"],
)
@pytest.mark.parametrize("contender", ["redis", "sql_postgres"])
def test_remote_calls(race, contender, operation):
    """Each call of a manager on a server, with a blocking client: its time, how often it waits for
    the server, and the processor time it takes there. Beside it a bare `PING` or `SELECT 1`, since
    most of the time is the way there and back, and in PostgreSQL a commit that waits for the disk.

    Round trips are what counts where the server is further away than here. Each subject of
    `read_all` and `delete_all` has three sessions.
    """
    race(
        "remote:Calls",
        operation=operation,
        rounds=15,
        baseline="redis",
        tokens=tokens(1),
        cores=OTHER_CORES,
    )


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
@pytest.mark.parametrize("contender", ["redis", "redis_threads", "sql_postgres", "sql_threads"])
def test_remote_rate(race, contender, operation):
    """What one process gets done on a server when it does nothing else: the time by the calls done.

    Logins and refreshes, which a node does once in a while, beside the reads that need no server.
    """
    race(
        "remote:FullSpeed",
        operation=operation,
        rounds=9,
        baseline="redis",
        tokens=tokens(1),
        cores=OTHER_CORES,
    )


@pytest.mark.parametrize("operation", ["p50", "p90", "p99", "max"])
@pytest.mark.parametrize("contender", ["redis", "sql_postgres"])
def test_logout(race, contender, operation):
    """Eight nodes under load, each a process of its own: the time from when `delete_one` has
    returned on one of them until a read on each of the others refuses the token; 0 where all of
    them did before.

    Until then somebody who has logged out, or was thrown out, is still let in somewhere. Each node
    does 1,000 reads, 10 `create` and 10 `update` a second, at moments of its own, and all together
    100 logouts. The eight and the server share the cores of this machine, so most of the time is
    waiting for one.
    """
    options = {"nodes": 8, "logouts": 4_000, "seconds": 41.0}
    race(
        "logging_out:LoggingOut",
        operation=operation,
        rounds=1,
        baseline="redis",
        tokens=tokens(1),
        cores=CORES,
        **options,
    )


@pytest.mark.parametrize("operation", ["seen", "unseen"])
@pytest.mark.parametrize("contender", ["redis_fed", "pyjwt_blocklist", "pyjwt"])
def test_read_blocklist(race, contender, operation):
    """A token seen before and tokens never seen: beside RedisFeed; with PyJWT and a blocklist in
    Redis looked up at each request, which is the usual way today; and with PyJWT alone, where a
    logout holds nowhere.

    Both of the first two refuse what was revoked on another node. The feed tells each node
    beforehand, so no request has to ask.
    """
    race(
        "blocklist:Blocklist",
        operation=operation,
        rounds=15,
        baseline="redis_fed",
        seen=tokens(1),
        unseen=tokens(1_000),
        cores=OTHER_CORES,
    )
