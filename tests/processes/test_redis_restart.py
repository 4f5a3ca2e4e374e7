"""All processes of a service are gone and it is started anew.

What was revoked stays refused from the first read, and sessions go on.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import redis
import redis.asyncio

from tests.servers import Node, empty, needs_server, serving, until
from tokenwheel import (
    AsyncSessionManager,
    RedisFeed,
    Revocation,
    RevocationList,
    SessionNotFound,
    SessionTokens,
)
from tokenwheel.redis.key_names import PREFIX, KeyNames
from tokenwheel.revocation.message import pack

from .support import Board, employed, make_server_manager, refuses, serve

WORKERS = 3
BEGUN, KNOWN = range(2)  # where the board tells that a node has begun, and how much it knows
STREAM = KeyNames(PREFIX).stream

pytestmark = needs_server


@pytest.mark.parametrize("restarts_server", [False, True], ids=["alone", "with its server"])
def test_a_service_that_is_started_anew_refuses_what_was_revoked_from_its_first_read(
    restarts_server: bool, tmp_path: Path
) -> None:
    with serving(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        with ExitStack() as stack:
            first, second, third = (
                stack.enter_context(employed(work, server.port)) for _ in range(WORKERS)
            )
            deleted, ended, restricted, kept = (
                first.create(subject=subject) for subject in ("ann", "bob", "cid", "dan")
            )
            assert first.delete_one("ann", deleted.session_id) is True
            assert second.delete_all("bob") == 1
            third.restrict_one({"sub": "cid", "sid": restricted.session_id})
            refreshed = second.update(restricted.refresh_token)
        if restarts_server:  # The workers were killed; so is it.
            server.kill()
            server.start()
        refused, good = (
            [tokens.access_token for tokens in (deleted, ended, restricted)],
            [refreshed, kept],
        )
        with ExitStack() as stack:
            for worker in (
                stack.enter_context(employed(work, server.port)) for _ in range(WORKERS)
            ):
                assert all(refuses(worker, token) for token in refused)
                assert [worker.read(tokens.access_token)["sid"] for tokens in good] == [
                    tokens.session_id for tokens in good
                ]
            for tokens in (deleted, ended):
                with pytest.raises(SessionNotFound, match="no session is open"):
                    worker.update(tokens.refresh_token)
            assert worker.update(refreshed.refresh_token).session_id == restricted.session_id
            assert worker.read_all("dan").keys() == {kept.session_id}
        asyncio.run(read_anew(server.port, refused, good))


async def read_anew(port: int, refused: list[str], good: list[SessionTokens]) -> None:
    """As the first thing that an async service does."""
    async with redis.asyncio.Redis(port=port) as client:
        manager: AsyncSessionManager = make_server_manager(client)
        async with manager:
            assert all(refuses(manager, token) for token in refused)
            assert [manager.read(tokens.access_token)["sid"] for tokens in good] == [
                tokens.session_id for tokens in good
            ]


def work(port: int, connection: Connection) -> None:
    with redis.Redis(port=port) as client, make_server_manager(client) as manager:
        serve(manager, connection)


def test_a_service_starts_anew_where_much_that_was_over_has_been_trimmed(
    server: Node, tmp_path: Path
) -> None:
    empty(server)
    board = Board(tmp_path / "board")
    live = [f"{number:016d}" for number in range(2_000)]  # several times what is read at once
    with server.client() as client:
        over = pack(Revocation("A" * 16, time.time(), None))
        for _ in range(100):
            client.xadd(STREAM, {"r": over, "e": 1})
        with closing(RevocationList(RedisFeed(client))) as revocations:
            for session_id in live:
                revocations.revoke(session_id, 3600)
        assert client.xlen(STREAM) == len(live)
    with employed(begin, server.port, tmp_path / "board", live):
        until(lambda: board[BEGUN], "that it has begun")
        assert board[KNOWN] == len(live)


def begin(port: int, path: Path, live: list[str], _: Connection) -> None:
    board = Board(path)
    with (
        redis.Redis(port=port) as client,
        closing(RevocationList(RedisFeed(client))) as revocations,
    ):
        board[KNOWN] = sum(revocations.is_revoked(session_id) for session_id in live)
        board[BEGUN] = 1
