"""No node is deaf without knowing it: whatever befalls its listener, it hears again or says so."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.processes.support import nobody_waits_for_interpreter, refuses, run_apart
from tests.servers import LONGEST_WAIT, Node, empty, needs_server, until
from tests.support import SECRET, FakeClock
from tokenwheel import (
    AsyncSessionManager,
    RedisFeed,
    RedisStorage,
    Revocation,
    RevocationList,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.redis.entry import REVOCATIONS_PER_ENTRY
from tokenwheel.revocation.message import pack

pytestmark = [needs_server, pytest.mark.skipif(sys.platform != "linux", reason="as on servers")]

STREAM = "tokenwheel:revocations"
FAR = 4_000_000_000.0


def manager_over(client: Any, **options: Any) -> SessionManager:
    return SessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=RedisStorage(client),
        revocations=RevocationList(RedisFeed(client, **options)),
    )


def test_a_logout_of_many_sessions_goes_out_in_entries_that_every_node_understands(
    server: Node,
) -> None:
    empty(server)
    with server.client() as client, manager_over(client) as one, manager_over(client) as other:
        sessions = [one.create(subject="ann") for _ in range(2 * REVOCATIONS_PER_ENTRY + 1)]
        assert not refuses(other, sessions[0].access_token)
        assert one.delete_all("ann") == len(sessions)
        until(lambda: all(refuses(other, tokens.access_token) for tokens in sessions))
        entries = client.xrange(STREAM)
        assert len(entries) == 3
        assert max(len(fields[b"r"]) for _, fields in entries) == 25 * REVOCATIONS_PER_ENTRY
        feed: Any = other._revocations.feed
        assert feed.stats().skipped == 0


def test_an_entry_of_more_revocations_than_a_node_writes_is_heard_all_the_same(
    server: Node,
) -> None:
    """As an older node wrote it: one entry for a logout of 42,500 sessions."""
    empty(server)
    with server.client() as client:
        heard = RevocationList(RedisFeed(client))
        heard.is_revoked("A" * 16)
        ids = [f"{number:016d}" for number in range(42_500)]
        messages = b"".join(pack(Revocation(session_id, FAR, None)) for session_id in ids)
        client.xadd(STREAM, {"r": messages, "e": f"{FAR * 1000:.0f}"})
        until(lambda: heard.is_revoked(ids[-1]))
        assert all(map(heard.is_revoked, ids))
        heard.close()


def test_a_node_without_room_for_a_thread_says_so_and_hears_as_soon_as_there_is(
    server: Node,
) -> None:
    empty(server)
    run_apart(read_without_room, server.port)


def read_without_room(port: int) -> None:
    complaints = complaints_of(logging.getLogger("tokenwheel"))
    with redis.Redis(port=port) as client, redis.Redis(port=port) as other_client:
        elsewhere = manager_over(other_client)
        manager = manager_over(client, max_staleness=1.0, when_stale="refuse")
        tokens = [elsewhere.create(subject="ann") for _ in range(2)]
        elsewhere.read(tokens[0].access_token)  # Its own listener has begun.
        with no_room_for_threads():
            assert not refuses(manager, tokens[0].access_token)
            elsewhere.delete_one("ann", tokens[0].session_id)
            until(lambda: is_unavailable(manager, tokens[0].access_token))
        assert sum("nobody listens to the feed" in complaint for complaint in complaints) == 1
        until(lambda: is_refused_as_revoked(manager, tokens[0].access_token))
        assert not refuses(manager, tokens[1].access_token)
        manager.close()
        elsewhere.close()


def test_a_node_that_never_had_a_thread_closes_and_forks(server: Node) -> None:
    empty(server)
    run_apart(close_without_room, server.port)


def close_without_room(port: int) -> None:
    with redis.Redis(port=port) as client:
        manager, other = manager_over(client), manager_over(client)
        tokens = manager.create(subject="ann")
        with no_room_for_threads():
            manager.read(tokens.access_token)
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
            manager.read(tokens.access_token)
            manager.close()
        other.read(tokens.access_token)
        other.close()


class no_room_for_threads:  # noqa: N801 -- used as a function is
    """Let this process have no more address space than it has, so that no thread finds a stack."""

    def __enter__(self) -> None:
        self._limits = resource.getrlimit(resource.RLIMIT_AS)
        threading.stack_size(512 * 2**20)
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + 64 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, self._limits[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_AS, self._limits)
        threading.stack_size(0)


def complaints_of(logger: logging.Logger) -> list[str]:
    complaints: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complaints.append(record.getMessage())

    logger.addHandler(Handler())
    return complaints


def is_unavailable(manager: Any, token: str) -> bool:
    try:
        manager.read(token)
    except StorageUnavailable:
        return True
    return False


def is_refused_as_revoked(manager: Any, token: str) -> bool:
    try:
        return refuses(manager, token)
    except StorageUnavailable:
        return False


def test_a_child_of_a_server_that_runs_no_hooks_hears_by_itself(server: Node) -> None:
    empty(server)
    run_apart(fork_without_hooks, server.port)


def fork_without_hooks(port: int) -> None:
    with redis.Redis(port=port) as client, redis.Redis(port=port) as other_client:
        manager, elsewhere = manager_over(client), manager_over(other_client)
        ended, tokens = elsewhere.create(subject="ann"), elsewhere.create(subject="ann")
        assert not refuses(manager, tokens.access_token)
        elsewhere.delete_one("ann", ended.session_id)
        until(lambda: refuses(manager, ended.access_token))
        until(nobody_waits_for_interpreter)
        receiving, sending = os.pipe()
        pid = ctypes.PyDLL(None).fork()
        if pid == 0:
            ends_well(lambda: see_logout(manager, tokens.access_token, sending))
        assert os.read(receiving, 1) == b"r"  # The child has read, as its parent had.
        elsewhere.delete_one("ann", tokens.session_id)
        until(lambda: refuses(manager, tokens.access_token))
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        manager.close()
        elsewhere.close()


def see_logout(manager: SessionManager, token: str, ready: int) -> None:
    assert not refuses(manager, token)
    os.write(ready, b"r")
    until(lambda: refuses(manager, token))
    manager.close()


def ends_well(act: Callable[[], None]) -> None:
    """End this process; with 0 where nothing was raised."""
    try:
        act()
    except BaseException as error:
        os.write(2, f"in the child: {error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def test_an_async_manager_hears_on_the_loop_it_is_used_on_while_its_first_one_stands_still(
    server: Node,
) -> None:
    """As in a start-up script, a notebook, or Celery."""
    empty(server)
    timer = FakeClock(time.monotonic())
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    client = redis.asyncio.Redis(port=server.port)
    manager = AsyncSessionManager(
        SECRET,
        issuer="i",
        audience="a",
        revocations=RevocationList(RedisFeed(client, timer=timer)),
    )
    tokens = first.run_until_complete(enter_and_create(manager))
    with server.client() as blocking:
        elsewhere = RevocationList(RedisFeed(blocking))

        async def use() -> bool:
            manager.read(tokens.access_token)
            elsewhere.revoke(tokens.session_id, 900)
            timer.advance(10)
            for _ in range(300):
                if refuses(manager, tokens.access_token):
                    return True
                await asyncio.sleep(0.05)
            return False

        assert second.run_until_complete(use())
        elsewhere.close()
    second.run_until_complete(manager.close())
    first.run_until_complete(asyncio.sleep(0))
    first.run_until_complete(client.aclose())
    for loop in (first, second):
        loop.close()


async def enter_and_create(manager: AsyncSessionManager) -> Any:
    await manager.__aenter__()
    return await manager.create(subject="ann")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_listener_whose_thread_was_ended_is_begun_anew(
    server: Node, caplog: pytest.LogCaptureFixture
) -> None:
    empty(server)
    with server.client() as client, manager_over(client) as manager:
        tokens = [manager.create(subject="ann") for _ in range(2)]
        assert not refuses(manager, tokens[0].access_token)
        # While it connects, what ends it would leave a socket of redis-py's open.
        until(lambda: listens(client))
        listener = listener_of_feeds()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(listener.ident or 0), ctypes.py_object(SystemExit)
        )
        listener.join()
        RedisFeed(client).publish([Revocation(tokens[0].session_id, FAR, None)])
        until(lambda: refuses(manager, tokens[0].access_token))
        assert not refuses(manager, tokens[1].access_token)
    assert "its thread has ended or stands still, so it is begun anew" in caplog.text


def listens(client: redis.Redis) -> bool:
    return any(other["cmd"] == "xread" and "b" in other["flags"] for other in client.client_list())


def listener_of_feeds() -> threading.Thread:
    (listener,) = [
        thread for thread in threading.enumerate() if thread.name == "tokenwheel-revocations"
    ]
    return listener


def test_a_listener_whose_task_somebody_has_cancelled_is_begun_anew(server: Node) -> None:
    empty(server)

    async def cancel_and_listen() -> None:
        client = redis.asyncio.Redis(port=server.port)
        revocations = RevocationList(RedisFeed(client))
        async with AsyncSessionManager(
            SECRET, issuer="i", audience="a", revocations=revocations
        ) as manager:
            tokens = await manager.create(subject="ann")
            manager.read(tokens.access_token)
            (listener,) = [
                task for task in asyncio.all_tasks() if task.get_name() == "tokenwheel-revocations"
            ]
            with server.client() as blocking:
                await asyncio.to_thread(until, lambda: listens(blocking))
                listener.cancel()
                RedisFeed(blocking).publish([Revocation(tokens.session_id, FAR, None)])
            for _ in range(LONGEST_WAIT * 100):
                if refuses(manager, tokens.access_token):
                    break
                await asyncio.sleep(0.01)
            assert refuses(manager, tokens.access_token)
        await client.aclose()

    asyncio.run(cancel_and_listen())


def test_an_event_loop_that_ends_without_a_close_leaves_no_complaint(server: Node) -> None:
    empty(server)
    script = f"""
import asyncio, gc, logging
import redis.asyncio
from tokenwheel import AsyncSessionManager, RedisFeed, RevocationList
logging.basicConfig()
loop = asyncio.new_event_loop()
client = redis.asyncio.Redis(port={server.port})
manager = AsyncSessionManager(
    "a-secret-of-at-least-thirty-two-bytes!", issuer="i", audience="a",
    revocations=RevocationList(RedisFeed(client)),
)
async def use():
    tokens = await manager.create(subject="ann")
    manager.read(tokens.access_token)
    await client.aclose()
loop.run_until_complete(use())
loop.close()
del manager, client
gc.collect()
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=LONGEST_WAIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_read_after_the_list_was_made_waits_for_no_server(tmp_path: Path) -> None:
    node = Node(tmp_path)
    try:
        with node.client(socket_timeout=LONGEST_WAIT) as client:
            manager = manager_over(client)
            tokens = manager.create(subject="ann")
            node.freeze()
            before = time.monotonic()
            assert not refuses(manager, tokens.access_token)
            # The server answers nobody for as long as the test lasts.
            assert time.monotonic() - before < 1
            node.thaw()
            manager.close()
    finally:
        node.kill()


def test_its_stats_move_while_the_server_is_away(tmp_path: Path) -> None:
    node = Node(tmp_path)
    try:
        with node.client() as client:
            revocations = RevocationList(RedisFeed(client))
            feed: Any = revocations.feed
            revocations.is_revoked("A" * 16)
            until(lambda: feed.stats().last_id and feed.stats().reconnects == 0)
            assert feed.stats().lag == 0
            node.kill()
            until(lambda: feed.stats().lag == inf)
            until(lambda: feed.stats().reconnects >= 2)
            assert feed.stats().staleness > 0
            node.start()
            until(lambda: feed.stats().lag == 0)
            revocations.close()
    finally:
        node.kill()


def test_a_listener_whose_thread_stands_still_is_begun_anew(server: Node) -> None:
    """As after a fork without hooks, or in a look-up of a name that hangs."""
    empty(server)
    timer = FakeClock(time.monotonic())
    with server.client() as client, standing_still(client, timer) as heard:
        timer.advance(20)
        until(lambda: heard.is_revoked("A" * 16))


def test_a_listener_whose_thread_stands_still_holds_up_no_close_for_good(server: Node) -> None:
    empty(server)
    timer = FakeClock(time.monotonic())
    with server.client() as client, standing_still(client, timer) as heard:
        closing = threading.Thread(target=heard.close)
        closing.start()
        timer.advance(20)
        closing.join(LONGEST_WAIT)
        assert not closing.is_alive()


@contextmanager
def standing_still(client: redis.Redis, timer: FakeClock) -> Iterator[RevocationList]:
    """Have the thread of a feed stand still until the end of the block, amid taking something in.

    Another thread of the feed does not.
    """
    stands_still, goes_on = threading.Event(), threading.Event()
    heard = RevocationList(RedisFeed(client, timer=timer))
    feed: Any = heard.feed
    heard.is_revoked("A" * 16)
    until(lambda: feed.stats().staleness < 1)
    thread = listener_of_feeds()
    taken_in = feed._reader._apply

    def stand_still(revocations: Any) -> None:
        if threading.current_thread() is thread:
            stands_still.set()
            goes_on.wait(2 * LONGEST_WAIT)
        taken_in(revocations)

    feed._reader._apply = stand_still
    RedisFeed(client).publish([Revocation("A" * 16, FAR, None)])
    assert stands_still.wait(LONGEST_WAIT)
    try:
        yield heard
    finally:
        goes_on.set()
        thread.join()
        heard.close()
