"""Python's development mode finds nothing to complain of, however a process ends with its managers.

``python -X dev -W error`` tells of every file, connection, task and thread that somebody forgot.
The clients are closed here, since they are the user's. The managers are closed, or not.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from itertools import product
from math import inf
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.servers import Node, needs_server
from tests.support import SECRET, secret_of
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
)

ROOT = Path(__file__).parents[2]
KINDS = ["blocking", "async"]
ENDINGS = ["closed", "left", "dropped", "kept"]
PLACES = ["memory", "sqlite", "redis", "redis.asyncio"]
_kept: list[Any] = []


@needs_server
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_manager_leaves_anything_to_complain_of(
    tmp_path: Path, server: Node, kind: str, ending: str
) -> None:
    """Every storage is combined with every feed.

    A manager is closed, left by ``with``, dropped with its loop's end, or kept until the process
    ends.
    """
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", _SCRIPT, kind, ending, tmp_path],
        env={**os.environ, "PORT": str(server.port)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said = ran.stdout.splitlines()
    assert said == [f"{storage} and {feed}" for storage, feed in combinations(kind)]
    assert ran.returncode == 0


_SCRIPT = "import sys; from tests.processes import test_silence; test_silence.run(*sys.argv[1:])"


def combinations(kind: str) -> Sequence[tuple[str, str]]:
    """Return which storages and feeds a manager of this kind takes together."""
    places = PLACES if kind == "async" else PLACES[:-1]
    return [*product(places, places)]


def run(kind: str, ending: str, folder: str) -> None:
    """Use a manager of each combination, and name it before whatever it may complain of."""
    for number, (storage, feed) in enumerate(combinations(kind)):
        sys.stdout.write(f"{storage} and {feed}\n")
        sys.stdout.flush()
        use: Callable[..., None] = use_on_loop if kind == "async" else use_blocking
        use(storage, feed, ending, Path(folder, f"{number}.db"))
        gc.collect()


def use_blocking(storage: str, feed: str, ending: str, path: Path) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis(port=int(os.environ["PORT"])))
        manager: Any = SessionManager(
            SECRET, issuer="i", audience="a", **parts(storage, feed, path, {"redis": client})
        )
        if ending == "left":
            stack.enter_context(manager)
        tokens = manager.create(subject="ann")
        assert manager.read(tokens.access_token).subject == "ann"
        manager.delete_all("ann")
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)
        end(manager, ending)


def use_on_loop(storage: str, feed: str, ending: str, path: Path) -> None:
    async def main() -> None:
        # How fast this machine is at this moment proves nothing.
        asyncio.get_running_loop().slow_callback_duration = inf
        async with AsyncExitStack() as stack:
            port = int(os.environ["PORT"])
            clients = {
                "redis": stack.enter_context(redis.Redis(port=port)),
                "redis.asyncio": await stack.enter_async_context(redis.asyncio.Redis(port=port)),
            }
            manager: Any = AsyncSessionManager(
                SECRET, issuer="i", audience="a", **parts(storage, feed, path, clients)
            )
            if ending == "left":
                await stack.enter_async_context(manager)
            tokens = await manager.create(subject="ann")
            assert manager.read(tokens.access_token).subject == "ann"
            await manager.delete_all("ann")
            with pytest.raises(AccessTokenRevoked):
                manager.read(tokens.access_token)
            closing = end(manager, ending)
            if closing is not None:
                await closing

    asyncio.run(main())


def end(manager: Any, ending: str) -> Any:
    if ending == "kept":
        _kept.append(manager)
    return manager.close() if ending == "closed" else None


def parts(storage: str, feed: str, path: Path, clients: dict[str, Any]) -> dict[str, Any]:
    """Return the storage and the revocations of a manager."""
    storages: dict[str, Callable[[], Any]] = {
        "memory": MemoryStorage,
        "sqlite": lambda: SqliteStorage(path),
    }
    feeds: dict[str, Callable[[], Any]] = {
        "memory": lambda: None,
        "sqlite": lambda: SqliteFeed(path),
    }
    return {
        "storage": storages.get(storage, lambda: RedisStorage(clients[storage]))(),
        "storage_key": secret_of("storage"),
        "revocations": RevocationList(feeds.get(feed, lambda: RedisFeed(clients[feed]))()),
    }
