"""Threads that share managers over a Redis or Valkey server."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import redis

from tests.processes.support import refuses
from tests.servers import Node, empty, needs_server, until
from tests.support import SECRET
from tokenwheel import RedisFeed, RedisStorage, RevocationList, SessionManager

pytestmark = needs_server

THREADS = 8


def over(client: redis.Redis) -> SessionManager:
    return SessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=RedisStorage(client),
        revocations=RevocationList(RedisFeed(client)),
    )


def test_threads_that_read_at_once_begin_one_listener_and_hear_what_came_before_it_began(
    server: Node,
) -> None:
    empty(server)
    with server.client() as client, over(client) as first:
        for _ in range(10):
            tokens = first.create(subject="ann")
            with over(client) as second:
                # The other has taken in all there was, and has not read yet.
                first.delete_one("ann", tokens.session_id)
                gate = threading.Barrier(THREADS)

                def hear(
                    manager: SessionManager = second,
                    token: str = tokens.access_token,
                    gate: threading.Barrier = gate,
                ) -> bool:
                    gate.wait()
                    return bool(until(lambda: refuses(manager, token)))

                with ThreadPoolExecutor(THREADS) as pool:
                    assert all(pool.map(lambda _: hear(), range(THREADS)))
                assert (
                    sum(thread.name == "tokenwheel-revocations" for thread in threading.enumerate())
                    <= 2
                )


def test_threads_open_refresh_and_end_sessions_of_one_subject_and_every_logout_is_heard(
    server: Node,
) -> None:
    empty(server)
    with server.client() as client, over(client) as first, over(client) as second:

        def live(number: int) -> list[str]:
            manager, ended = (first, second)[number % 2], []
            for turn in range(20):
                tokens = manager.create(subject="ann")
                fresh = manager.update(tokens.refresh_token)
                manager.read(fresh.access_token)
                if turn % 3:
                    assert manager.delete_one("ann", fresh.session_id) is True
                    ended += [tokens.access_token, fresh.access_token]
            return ended

        with ThreadPoolExecutor(THREADS) as pool:
            ended = [token for tokens in pool.map(live, range(THREADS)) for token in tokens]
        assert len(first.read_all("ann")) == THREADS * 7
        for manager in (first, second):
            until(
                lambda manager=manager: all(  # type: ignore[misc]
                    refuses(manager, token) for token in ended
                )
            )
        assert first.delete_all("ann") == THREADS * 7
        assert second.read_all("ann") == {}
