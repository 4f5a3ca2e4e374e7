"""Where a service keeps its sessions, for tests that hold over all of these places.

A place opens managers as processes of their own would, in both colours, and can damage what it
holds as a failing disk or an intruder would: by direct SQL, and by ``SET`` on the real server.
"""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Node, empty, needs_server
from tests.support import SECRET
from tokenwheel import (
    AsyncSessionManager,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
)
from tokenwheel.redis.key_names import KeyNames

# Where fields of a fixed size stand in the bytes that a server holds (``redis/record.py``).
_PLACES_IN_BYTES = {
    "version": (1, ">I"),
    "ends_at": (5, ">q"),
    "expires_at": (13, ">q"),
    "access_expires_at": (21, ">q"),
    "created_at": (29, ">d"),
    "last_used_at": (37, ">d"),
    "generation": (45, ">I"),
}


class UncheckedStorage(MemoryStorage):
    """A storage in memory that may hold anything, and leaves it to the manager to find that out."""

    is_checked = False

    def read(self, session_id: str, now: float) -> Any:
        return self._records.get(session_id)

    def read_all(self, subject: str, now: float) -> Any:
        return self._all_live(subject)

    def _live(self, session_id: str) -> Any:
        return self._records.get(session_id)


class Driven:
    """A manager of either colour, whose methods all block.

    Args:
        manager: of either colour.
        is_awaited: True where its storage is awaited, too.
    """

    def __init__(self, manager: Any, is_awaited: bool = False) -> None:
        self.manager = manager
        self.disposed_of: list[Any] = []
        """Engines, once the manager is closed."""
        self._loop = None if isinstance(manager, SessionManager) else asyncio.new_event_loop()
        self._is_awaited = is_awaited
        if is_awaited:
            self._wait(manager.__aenter__())

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.manager, name)
        if self._loop is None or not callable(method):
            return method

        def call(*arguments: Any, **options: Any) -> Any:
            if self._is_awaited:  # What it hears of others, it hears while the loop runs.
                self._wait(asyncio.sleep(0))
            return self._wait(method(*arguments, **options))

        return call

    def together(self, calls: list[Any]) -> list[Any]:
        """Await coroutines of the manager at once. Return their answers or errors, in order."""
        assert self._loop is not None

        async def gather() -> list[Any]:
            return await asyncio.gather(*calls, return_exceptions=True)

        return self._loop.run_until_complete(gather())

    def shut(self) -> None:
        self.close()
        for engine in self.disposed_of:
            self._wait(engine.dispose())
        if self._loop is not None:
            self._loop.close()

    def _wait(self, answer: Any) -> Any:
        if self._loop is None or not inspect.isawaitable(answer):
            return answer
        return self._loop.run_until_complete(answer)


class Place:
    """Sessions in the memory of one process, shared by its managers."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.managers: list[Driven] = []
        self.storage: Any = UncheckedStorage()
        self.revocations = RevocationList()

    def open(self, **options: Any) -> Driven:
        """Return a manager as another process of the service would have it."""
        storage, revocations = self._parts()
        options = {"issuer": "i", "audience": "a", **options}
        keys = options.pop("keys", SECRET)
        manager = self.kind(keys, storage=storage, revocations=revocations, **options)
        self.managers.append(Driven(manager, getattr(storage, "is_async", False)))
        return self.managers[-1]

    def close(self) -> None:
        while self.managers:
            self.managers.pop().shut()

    def damage(self, session_id: str, **fields: Any) -> None:
        """Change fields of a stored record behind everybody's back."""
        record = self.storage.read(session_id, time.time())
        self.storage._records[session_id] = record._replace(**fields)

    def lose(self, session_id: str) -> None:
        """Have the storage lose a session, as one restored from an older backup would."""
        self.storage._forget(session_id)

    def keep_access_lifetime(self, issuer: str, seconds: Any) -> None:
        """Have the storage keep another lifetime, or what is none, behind everybody's back."""
        self.storage._access_lifetimes[issuer] = seconds

    def _parts(self) -> tuple[Any, Any]:
        return self.storage, self.revocations


class SqlitePlace(Place):
    """Sessions and revocations in a file."""

    def __init__(self, kind: type, path: Path) -> None:
        super().__init__(kind)
        self.path = path

    def damage(self, session_id: str, **fields: Any) -> None:
        assignments = ", ".join(f"{name} = ?" for name in fields)
        self.execute(
            f"UPDATE sessions SET {assignments} WHERE id = ?", *fields.values(), session_id
        )

    def lose(self, session_id: str) -> None:
        self.execute("DELETE FROM sessions WHERE id = ?", session_id)

    def keep_access_lifetime(self, issuer: str, seconds: Any) -> None:
        self.execute("UPDATE access_lifetimes SET seconds = ? WHERE issuer = ?", seconds, issuer)

    def execute(self, statement: str, *arguments: Any) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement, arguments)

    def _parts(self) -> tuple[Any, Any]:
        storage = SqliteStorage(self.path, synchronous="NORMAL")
        return storage, RevocationList(SqliteFeed(self.path, synchronous="NORMAL"))


class RedisPlace(Place):
    """Sessions and revocations on a server."""

    def __init__(self, kind: type, node: Node) -> None:
        super().__init__(kind)
        empty(node)
        self.node = node
        self.client = node.client()
        self.names = KeyNames("tokenwheel")

    def close(self) -> None:
        super().close()
        self.client.close()

    def damage(self, session_id: str, **fields: Any) -> None:
        name = self.names.session(session_id)
        value = bytearray(self.client.get(name))
        for field, content in fields.items():
            place, form = _PLACES_IN_BYTES[field]
            struct.pack_into(form, value, place, content)
        self.set(session_id, bytes(value))

    def set(self, session_id: str, value: bytes) -> None:
        """Put other bytes under the name of a session."""
        self.client.set(self.names.session(session_id), value, keepttl=True)

    def lose(self, session_id: str) -> None:
        self.client.delete(self.names.session(session_id))

    def keep_access_lifetime(self, issuer: str, seconds: Any) -> None:
        self.client.set(self.names.access_lifetime(issuer), seconds)

    def _parts(self) -> tuple[Any, Any]:
        return RedisStorage(self.client), RevocationList(RedisFeed(self.client))


KINDS = (SessionManager, AsyncSessionManager)
PLACES = (
    "memory",
    "file",
    pytest.param("server", marks=needs_server),
    "postgres",
    "mariadb",
    "sqlalchemy",
)
"""What :func:`opened` opens, as parameters of a fixture. Sessions are in a file by SQLAlchemy."""


@contextmanager
def opened(where: str, kind: type, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Open one of ``PLACES`` for managers of a kind. Close what it opened in the end."""
    place = Place(kind)
    if where in {"postgres", "mariadb", "sqlalchemy"}:
        from tests.sql_places import place_in, place_on

        if where == "sqlalchemy":
            place = place_in(request.getfixturevalue("tmp_path") / "sqlalchemy.db", kind)
        else:
            place = place_on(request.getfixturevalue(f"{where}_tables"), kind)
    elif where == "file":
        place = SqlitePlace(kind, request.getfixturevalue("tmp_path") / "sessions.db")
    elif where == "server":
        place = RedisPlace(kind, request.getfixturevalue("server"))
    try:
        yield place
    finally:
        place.close()
