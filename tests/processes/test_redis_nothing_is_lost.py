"""Of many revocations none is lost, whatever becomes of nodes, network and server meanwhile.

Several processes publish at once and others listen. Some listen from the start and undisturbed,
some are cut off for a while, each in another way, and some join late. In the middle the server is
killed, and comes back with what it had kept, or with nothing. In the end every process refuses all
that was published.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers import Node, Proxy, needs_server, no_retry, proxied, serving, until
from tokenwheel import RedisFeed, RevocationList, StorageUnavailable

from .support import Board, employed, serve

TTL = 3600  # seconds
PUBLISHERS = 3
STALENESS = 2.0  # seconds: makes a node notice within one that nothing is answered
KEPT = ["--appendonly", "yes", "--appendfsync", "everysec"]
OPTIONS = [pytest.param(KEPT, id="kept"), pytest.param([], id="emptied")]

pytestmark = needs_server


@pytest.mark.parametrize("options", OPTIONS)
def test_no_revocation_is_lost(options: list[str], tmp_path: Path) -> None:
    publish_amid_faults(options, tmp_path, 4_000)


@pytest.mark.long
@pytest.mark.parametrize("options", OPTIONS)
def test_of_a_hundred_thousand_revocations_none_is_lost(options: list[str], tmp_path: Path) -> None:
    publish_amid_faults(options, tmp_path, 100_000)


def test_what_a_server_forgets_is_put_back_by_a_process_that_only_publishes(tmp_path: Path) -> None:
    with serving(tmp_path) as server, joined(server.port) as publisher:
        for turn in range(3):
            publisher.publish_one(turn)
            server.kill()
            server.start()
            until(lambda: is_all_there(server, range(turn + 1)), "that the server has all back")


def publish_amid_faults(options: list[str], folder: Path, count: int) -> None:
    board = Board(folder / "board")

    def published() -> int:
        return sum(board[number] for number in range(PUBLISHERS))

    def reach(percent: int) -> None:
        while published() * 100 < percent * count:
            before = published()
            until(lambda: published() > before, "another revocation")

    with ExitStack() as stack:
        server = stack.enter_context(serving(folder / "server", *options))
        dropped, severed, delayed, truncated = (
            stack.enter_context(proxied(server.port)) for _ in range(4)
        )
        ports = [
            server.port,
            dropped.port,
            severed.port,
            delayed.port,
            truncated.port,
            server.port,
            severed.port,
            truncated.port,
        ]
        steady, *others = [stack.enter_context(joined(port)) for port in ports]
        behind, publishers = others[:-PUBLISHERS], others[-PUBLISHERS:]
        for node in (steady, *behind):
            node.missing(1)
        for number, node in enumerate(publishers):
            node.publish(number, count, folder / "board")

        reach(5)
        give_trouble(dropped, severed, delayed, truncated)
        reach(20)
        late = stack.enter_context(joined(server.port))
        late.missing(1)
        reach(30)
        server.kill()
        server.start()
        reach(40)
        later = stack.enter_context(joined(server.port))
        for proxy in (dropped, severed, delayed, truncated):
            proxy.heal()
        reach(100)

        nodes: dict[str, Any] = {"steady": steady, "late": late, "later": later}
        nodes |= dict(zip(("dropped", "severed", "delayed", "truncated"), behind, strict=True))
        nodes |= {f"publisher {number}": worker for number, worker in enumerate(publishers)}
        for name, node in nodes.items():
            until(lambda: node.missing(count) == 0, f"that the {name} node knows all")
        assert min(node.reconnects() for node in (steady, *behind)) > 0
        until(lambda: is_all_there(server, range(count)), "that the server has all back")
        assert stack.enter_context(joined(server.port)).missing(count) == 0


def give_trouble(dropped: Proxy, severed: Proxy, delayed: Proxy, truncated: Proxy) -> None:
    delayed.delay(0.05)
    truncated.truncate(1_500)
    severed.sever()
    seen = dropped.accepted
    dropped.drop()
    until(lambda: dropped.accepted > seen, "that the node took its connection for lost")


def joined(port: int) -> AbstractContextManager[Any]:
    """Start a node in a process of its own, which begins to listen with the first question."""
    return employed(listen, port)


def listen(port: int, connection: Connection) -> None:
    serve(Listening(port), connection)


class Listening:
    def __init__(self, port: int) -> None:
        self._feed = RedisFeed(
            redis.Redis(port=port, retry=no_retry(), socket_timeout=1), max_staleness=STALENESS
        )
        self._revocations = RevocationList(self._feed)

    def publish(self, publisher: int, count: int, path: Path) -> None:
        """Begins with this publisher's share of the revocations."""
        threading.Thread(
            target=self._publish, args=(publisher, count, Board(path)), daemon=True
        ).start()

    def _publish(self, publisher: int, count: int, board: Board) -> None:
        for done, number in enumerate(range(publisher, count, PUBLISHERS), 1):
            self.publish_one(number)
            board[publisher] = done

    def publish_one(self, number: int) -> None:
        while True:
            try:
                return self._revocations.revoke(session_id(number), TTL)
            except StorageUnavailable:  # The call can be made again.
                time.sleep(0.01)

    def missing(self, count: int) -> int:
        return sum(not self._revocations.is_revoked(session_id(number)) for number in range(count))

    def reconnects(self) -> int:
        return self._feed.stats().reconnects


def is_all_there(server: Node, numbers: Iterable[int]) -> bool:
    with server.client() as client:
        revocations = RevocationList(RedisFeed(client))
        try:
            return all(revocations.is_revoked(session_id(number)) for number in numbers)
        finally:
            revocations.close()


def session_id(number: int) -> str:
    return f"{number:016d}"
