"""Another call is promised to help only where it can. What was given wrongly is named."""

from __future__ import annotations

import asyncio
import errno
import gc
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.servers import Node, needs_server, no_retry, serving
from tests.support import secret_of
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    Device,
    InvalidArgument,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionContext,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)

AGAIN = "the call can be made again"
OPTIONS: dict[str, Any] = {"issuer": "i", "audience": "a"}


def manager_over(storage: Any, **options: Any) -> SessionManager:
    return SessionManager(secret_of("words"), storage=storage, **OPTIONS, **options)


class NoAnswer(Exception):
    """What a library might raise that nobody here knows."""


class ProgrammingError(Exception):
    """As every database library has it (PEP 249)."""


class Failing(MemoryStorage):
    """A storage that fails in one way.

    Args:
        error: what it raises.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def read_all(self, subject: str, now: float) -> Any:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("no route to host"),
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        TimeoutError(),
        OSError(errno.EIO, "input/output error"),
        NoAnswer(),
        redis.ConnectionError("reset"),
        redis.TimeoutError(),
        redis.BusyLoadingError(),
        redis.exceptions.ClusterDownError("CLUSTERDOWN The cluster is down"),
        redis.ResponseError("BUSY Redis is busy running a script"),
        redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        redis.ResponseError("ERR Error running script: NOREPLICAS Not enough good replicas"),
        sqlite3.OperationalError("database is locked"),
        RuntimeError("can't start new thread"),
    ],
    ids=repr,
)
def test_what_may_pass_is_said_to_be_worth_another_call(error: Exception) -> None:
    with (
        manager_over(Failing(error)) as manager,
        pytest.raises(StorageUnavailable, match=AGAIN) as caught,
    ):
        manager.read_all("ann")
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        AttributeError("'NoneType' object has no attribute 'x'"),
        TypeError("takes 1 positional argument but 2 were given"),
        NotImplementedError(),
        KeyError("id"),
        NameError("name 'x' is not defined"),
        ImportError("no such module"),
        ValueError("not JSON"),
        AssertionError(),
        ZeroDivisionError(),
        RecursionError(),
        RuntimeError("the pool is closed"),
        InvalidArgument("what was stored cannot be used"),
        FileNotFoundError(errno.ENOENT, "no such file"),
        PermissionError(errno.EACCES, "permission denied"),
        IsADirectoryError(errno.EISDIR, "is a directory"),
        OSError(errno.EROFS, "read-only file system"),
        ProgrammingError(),
        sqlite3.IntegrityError("UNIQUE constraint failed"),
        redis.AuthenticationError("invalid username-password pair"),
        redis.exceptions.NoPermissionError("this user has no permissions"),
        redis.exceptions.ReadOnlyError("You can't write against a read only replica."),
        redis.ResponseError("WRONGTYPE Operation against a key"),
        redis.ResponseError("ERR unknown command"),
        redis.DataError("Invalid input of type"),
    ],
    ids=repr,
)
def test_what_another_call_would_meet_as_well_is_not_said_to_be_worth_one(
    error: Exception,
) -> None:
    with (
        manager_over(Failing(error)) as manager,
        pytest.raises(StorageUnavailable, match="another call would meet as well") as caught,
    ):
        manager.read_all("ann")
    assert type(error).__name__ in str(caught.value)
    assert AGAIN not in str(caught.value)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with serving(tmp_path / "node") as server:
        yield server


def wrong_password(node: Node) -> dict[str, Any]:
    with node.client() as client:
        client.execute_command("ACL", "SETUSER", "ann", "on", ">right", "~*", "+@all")
    return {"username": "ann", "password": "wrong"}


def no_permission(node: Node) -> dict[str, Any]:
    with node.client() as client:
        client.execute_command("ACL", "SETUSER", "bob", "on", ">right", "~other:*", "+@all")
    return {"username": "bob", "password": "right"}


def wrong_type(node: Node) -> dict[str, Any]:
    from tokenwheel.redis.key_names import KeyNames

    with node.client() as client:
        client.set(KeyNames("tokenwheel").index("ann"), "no index")
        client.set("tokenwheel:revocations", "no stream")
    return {}


def read_only(node: Node) -> dict[str, Any]:
    with node.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
    return {}


@needs_server
@pytest.mark.parametrize("make", [wrong_password, no_permission, wrong_type, read_only])
def test_what_a_server_will_go_on_refusing_is_not_said_to_be_worth_another_call(
    node: Node, library: ModuleType, make: Callable[[Node], dict[str, Any]]
) -> None:
    options = make(node)
    client = library.Redis(port=node.port, retry=no_retry(library), **options)

    def check(error: StorageUnavailable) -> None:
        assert AGAIN not in str(error)
        assert "another call would meet as well" in str(error)
        assert "wrong" not in str(error)

    async def serve() -> None:
        manager = AsyncSessionManager(
            secret_of("words"), storage=RedisStorage(client), storage_key=secret_of("k"), **OPTIONS
        )
        with pytest.raises(StorageUnavailable) as caught:
            await manager.create(subject="ann")
        check(caught.value)
        await manager.close()
        await client.aclose()

    if library is redis.asyncio:
        asyncio.run(serve())
        return
    storage = RedisStorage(client)
    with (
        manager_over(storage, storage_key=secret_of("k")) as manager,
        pytest.raises(StorageUnavailable) as caught,
    ):
        manager.create(subject="ann")
    check(caught.value)
    if make is not read_only:
        with pytest.raises(StorageUnavailable) as caught:
            RevocationList(RedisFeed(client))
        check(caught.value)
    client.close()


@needs_server
def test_a_server_that_is_down_is_said_to_be_worth_another_call(node: Node) -> None:
    client = node.client(retry=no_retry())
    with manager_over(RedisStorage(client), storage_key=secret_of("k")) as manager:
        node.kill()
        with pytest.raises(StorageUnavailable, match=AGAIN):
            manager.create(subject="ann")
    client.close()


@pytest.mark.parametrize(
    "give",
    [
        lambda: manager_over(MemoryStorage),
        lambda: manager_over(SqliteStorage),
        lambda: manager_over(None, revocations=RevocationList),
        lambda: RevocationList(SqliteFeed),  # type: ignore[arg-type]
        lambda: RevocationList(RedisFeed),  # type: ignore[arg-type]
        lambda: RedisStorage(redis.Redis),
        lambda: RedisFeed(redis.asyncio.Redis),
        lambda: SqliteStorage(Path),  # type: ignore[arg-type]
    ],
)
def test_a_class_where_an_instance_belongs_is_named(give: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"an instance, and is the class \w+: write \w+\("):
        give()


@pytest.mark.parametrize("kind", [RedisStorage, RedisFeed])
def test_a_url_is_no_client_and_is_not_repeated(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="from_url") as caught:
        kind("redis://:secret@host:6379/0")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "context, reason",
    [
        (SessionContext, "context must be a SessionContext, not the class SessionContext"),
        (SessionContext(device=Device), "context.device must be a Device, not the class Device"),  # type: ignore[arg-type]
    ],
    ids=["context", "device"],
)
def test_a_class_as_a_context_is_named(context: Any, reason: str) -> None:
    with manager_over(None) as manager, pytest.raises(InvalidArgument, match=reason):
        manager.create(subject="ann", context=context)


def step_by_hand(awaitable: Any) -> None:
    """Run what is awaited without an event loop, as another library than asyncio would."""
    with suppress(StopIteration):
        awaitable.send(None)
    awaitable.close()


@needs_server
def test_an_event_loop_that_is_missing_is_said_to_be(node: Node) -> None:
    client = redis.asyncio.Redis(port=node.port)
    manager = AsyncSessionManager(
        secret_of("words"), storage=RedisStorage(client), storage_key=secret_of("k"), **OPTIONS
    )
    with pytest.raises(ConfigurationError, match="needs a running asyncio event loop") as caught:
        step_by_hand(manager.create(subject="ann"))
    assert AGAIN not in str(caught.value)
    listening = AsyncSessionManager(
        secret_of("words"), revocations=RevocationList(RedisFeed(client)), **OPTIONS
    )
    with pytest.raises(ConfigurationError, match="needs a running asyncio event loop") as caught:
        step_by_hand(listening.create(subject="ann"))
    assert AGAIN not in str(caught.value)
    asyncio.run(close(listening, manager, client))


async def close(*closing: Any) -> None:
    for each in closing:
        await (each.aclose() if hasattr(each, "aclose") else each.close())


@needs_server
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_client_of_another_event_loop_is_said_to_be_that(node: Node) -> None:
    def said_at_the_second_time() -> str:
        client = redis.asyncio.Redis(port=node.port, retry=no_retry(redis.asyncio))
        manager = AsyncSessionManager(
            secret_of("words"), storage=RedisStorage(client), storage_key=secret_of("k"), **OPTIONS
        )
        asyncio.run(manager.create(subject="ann"))
        with pytest.raises(StorageUnavailable) as caught:
            asyncio.run(manager.create(subject="ann"))
        return str(caught.value)

    said = said_at_the_second_time()
    gc.collect()  # Nobody can close what belongs to an event loop that is closed.
    assert "make its client within the asyncio.run(...) that uses it" in said
    assert AGAIN not in said


def test_a_full_disk_a_damaged_file_and_a_busy_one_are_told_apart() -> None:
    from tokenwheel.sqlite.failures import unavailable

    def of(code: int) -> str:
        error = sqlite3.OperationalError("what was stored")
        error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_NAME"
        return str(unavailable(error))

    assert of(sqlite3.SQLITE_FULL).endswith("no room on the disk; once there is, " + AGAIN)
    assert of(sqlite3.SQLITE_CORRUPT).endswith("a backup has to be restored")
    assert of(sqlite3.SQLITE_IOERR_WRITE).endswith("SQLITE_NAME; " + AGAIN)
    assert of(sqlite3.SQLITE_CONSTRAINT).endswith("SQLITE_NAME")
    assert of(sqlite3.SQLITE_ERROR).endswith("SQLITE_NAME")
    assert "allowed" in of(sqlite3.SQLITE_READONLY_DIRECTORY)
    assert "another application" in of(sqlite3.SQLITE_READONLY_ROLLBACK)
