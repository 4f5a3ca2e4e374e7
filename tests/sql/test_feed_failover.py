"""The primary dies, and a replica takes over that lacks its last transactions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from math import inf

import pytest

from tests.databases import Database, Postgres
from tests.servers import Proxy, proxied, until
from tests.sql.nodes import Nodes, is_accepted, refuses, stats_of, tables_in
from tokenwheel import StorageUnavailable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="as on servers")


class Replica(Postgres):
    """A server that follows another one, from a copy of it, until it is promoted."""

    def __init__(self, primary: Postgres) -> None:
        super().__init__(fsync="on")
        self._primary = primary

    def prepare(self) -> None:
        self._run(
            str(self.binary("pg_basebackup")),
            *(f"--pgdata={self.folder / 'data'}", "--write-recovery-conf", "--wal-method=stream"),
            *("--host=127.0.0.1", f"--port={self._primary.port}", f"--username={self.user}"),
            "--checkpoint=fast",
        )

    def has_all(self) -> bool:
        """Return True if it has replayed all that the primary has written by now."""
        (written,) = ask(self._primary, "SELECT pg_current_wal_lsn()")
        (has_all,) = ask(self, f"SELECT pg_last_wal_replay_lsn() >= '{written}'")
        return bool(has_all)

    def promote(self) -> None:
        (is_promoted,) = ask(self, "SELECT pg_promote()")
        assert is_promoted


def says_it_takes_no_writes(nodes: Nodes) -> bool:
    with pytest.raises(StorageUnavailable) as caught:
        nodes.join()
    return "takes no writes" in f"{caught.value} {caught.value.__cause__}"


def ask(server: Postgres, question: str) -> tuple[object, ...]:
    with closing(server.connect("postgres")) as connection:
        answer: tuple[object, ...] = connection.execute(question).fetchone()
        return answer


@pytest.fixture
def two_servers() -> Iterator[tuple[Database, Replica, Proxy]]:
    """Start a primary with the tables, its replica, and the way to whichever is in charge."""
    with (
        Postgres(fsync="on", synchronous_commit="on") as primary,
        tables_in(primary) as tables,
        replica_of(primary) as replica,
        proxied(primary.port) as proxy,
    ):
        yield tables, replica, proxy


@contextmanager
def replica_of(primary: Postgres) -> Iterator[Replica]:
    with Replica(primary) as replica:
        yield replica


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_nodes_put_back_what_the_new_primary_never_got(
    two_servers: tuple[Database, Replica, Proxy], driver: str
) -> None:
    tables, replica, proxy = two_servers
    with Nodes(tables, driver, port=proxy.port) as nodes:
        first, second = nodes.join(), nodes.join()
        kept, ended, lost, later = (first.create(subject="ann") for _ in range(4))
        for node in (first, second):
            assert is_accepted(node, lost.access_token)
        first.delete_one("ann", ended.session_id)
        until(replica.has_all, "that the replica follows")
        replica.kill()
        second.delete_one("ann", lost.session_id)
        refused = [tokens.access_token for tokens in (ended, lost)]
        for node in (first, second):
            nodes.until(lambda: all(refuses(node, token) for token in refused))
        tables.server.kill()
        replica.start()
        proxy.lead_to(replica.port)
        # It is a replica still, whose news may be old: nobody takes it for the log.
        nodes.until(lambda: says_it_takes_no_writes(nodes), "that a replica is refused")
        assert stats_of(first).lag == stats_of(second).lag == inf
        replica.promote()
        for node in (first, second):
            nodes.until(lambda: stats_of(node).lag == 0, "that the nodes are connected again")
        late = nodes.insist(nodes.join)
        for node in (first, second, late):
            nodes.until(
                lambda: all(refuses(node, token) for token in refused),
                "that the nodes put back what they know",
            )
            assert is_accepted(node, kept.access_token)
        nodes.insist(lambda: second.delete_one("ann", later.session_id))
        for node in (first, second, late):
            nodes.until(lambda: refuses(node, later.access_token), "that nodes hear each other")
