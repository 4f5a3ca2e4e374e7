"""What ``tokenwheel doctor`` says of the place where a service keeps its sessions.

A file is opened for reading alone, and a server is only asked. So neither is changed, and a
mistyped name makes no file. Of SQL databases ``examined_database.py`` has more.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, TokenwheelError
from ..redis.key_names import KeyNames
from ..sqlite.schema import VERSION, check_schema
from .examined_database import examine_database
from .findings import Finding, good, note, wrong
from .redis_server import open_client
from .service import is_of_sql, is_url

__all__ = ["examine_place"]

_LARGEST_DIFFERENCE = 5  # seconds: the default leeway of a manager
_LONGEST_WAIT = 5  # seconds for another process that writes


def examine_place(place: str, prefix: str) -> Iterator[Finding]:
    """Yield what a file's path, or a server's URL, leads to, and how that stands."""
    try:
        is_file = not is_url(place)
    except ConfigurationError as error:
        yield wrong("server", str(error))
        return
    if is_file:
        yield from _examine_file(Path(place))
    elif is_of_sql(place):
        yield from examine_database(place)
    else:
        yield from _examine_server(place, prefix)


def _examine_file(path: Path) -> Iterator[Finding]:
    if not path.is_file():
        yield wrong("file", "there is no such file")
        return
    yield from _rights(path)
    address = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_LONGEST_WAIT)) as connection:
            yield from _contents(connection)
    except (sqlite3.Error, ConfigurationError) as error:
        said = str(error) if isinstance(error, ConfigurationError) else _of_sqlite(error)
        yield wrong("contents", said)
        return
    has_doorbell = path.with_name(f"{path.name}-doorbell").exists()
    yield (
        good("revocations", "a service listens, or has listened, for them at this file")
        if has_doorbell
        else note("revocations", "no SqliteFeed has been opened at this file")
    )


def _of_sqlite(error: sqlite3.Error) -> str:
    """Return what SQLite met, by its name alone: its text may hold a path."""
    return f"SQLite can't read it ({getattr(error, 'sqlite_errorname', type(error).__name__)})"


def _rights(path: Path) -> Iterator[Finding]:
    may_write = os.access(path, os.W_OK)
    yield (
        good("file", "this user may read and write it")
        if may_write
        else wrong("file", "this user may not write it: run this as the service's user")
    )
    yield (
        good("folder", "this user may write in it")
        if os.access(path.resolve().parent, os.W_OK)
        else wrong("folder", "this user may not write in it, as SQLite and the doorbell must")
    )
    if path.stat().st_nlink > 1:
        yield wrong("links", "the file has a second name (a hard link): remove one of them")


def _contents(connection: sqlite3.Connection) -> Iterator[Finding]:
    version = check_schema(connection)
    if version == 0:
        yield note("contents", "empty: no service has kept sessions in it")
        return
    text = f"version {version}"
    yield (
        good("contents", text)
        if version == VERSION
        else note("contents", f"{text}; the next process that opens it makes it {VERSION}")
    )
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    yield (
        good("journal", "WAL")
        if journal == "wal"
        else wrong("journal", f"{journal}, and has to be WAL: is the file on a network?")
    )
    for name, table, end in (
        ("sessions", "sessions", "ends_at"),
        ("revocations kept", "revocations", "expires_at"),
    ):
        query = f"SELECT count(*) FROM {table} WHERE {end} > ?"  # noqa: S608 - of the two above
        (count,) = connection.execute(query, (time.time(),)).fetchone()
        yield good(name, f"{count:,}")


def _examine_server(url: str, prefix: str) -> Iterator[Finding]:
    try:
        with open_client(url, prefix) as client:
            servers = _servers(client)
            for number, server in enumerate(servers, 1):
                name = "server" if len(servers) == 1 else f"server {number} of {len(servers)}"
                yield good(name, _round_trip(server))
                yield from _settings(server)
                yield from _clock(server)
            yield _stream(client, KeyNames(prefix).stream)
    except TokenwheelError as error:
        yield wrong("server", str(error))


def _servers(client: Any) -> list[Any]:
    """Return a client of each server that takes writes: of a cluster, of each primary."""
    if not hasattr(client, "get_primaries"):
        return [client]
    return [client.get_redis_connection(node) for node in client.get_primaries()]


def _ask(question: Callable[[], Any]) -> Any:
    """Return the answer to a question; None where this user may not ask it, or it is unknown."""
    from redis.exceptions import ResponseError

    try:
        return question()
    except ResponseError:
        return None


def _round_trip(server: Any) -> str:
    start = time.perf_counter()
    _ask(server.ping)
    milliseconds = (time.perf_counter() - start) * 1000
    return f"it answers; a round trip took {milliseconds:.1f} ms"


def _settings(server: Any) -> Iterator[Finding]:
    info = _ask(server.info)
    if info is None:
        yield note("settings", "this user may not ask for them: `INFO` is refused")
        return
    name = "Valkey" if "valkey_version" in info else "Redis"
    yield good("release", f"{name} {info.get('valkey_version', info.get('redis_version', '?'))}")
    if info.get("role") not in {None, "master"}:
        yield wrong("role", "a replica, which takes no writes: give the primary")
    policy = info.get("maxmemory_policy", "noeviction")
    yield (
        good("eviction", "none (maxmemory-policy noeviction)")
        if policy == "noeviction"
        else wrong("eviction", f"maxmemory-policy {policy} loses sessions: set noeviction")
    )
    yield (
        good("durability", "every write is kept (appendonly yes)")
        if info.get("aof_enabled")
        else note(
            "durability",
            "a restart loses what was written last: set appendonly yes",
        )
    )


def _clock(server: Any) -> Iterator[Finding]:
    answer = _ask(server.time)
    if answer is None:
        yield note(
            "clock", "this user may not ask for it: `TIME` is refused, which a service needs"
        )
        return
    seconds, microseconds = answer
    difference = abs(seconds + microseconds / 1_000_000 - time.time())
    yield (
        good("clock", f"within {_LARGEST_DIFFERENCE} s of this machine's")
        if difference <= _LARGEST_DIFFERENCE
        else wrong("clock", f"{difference:,.0f} s from this machine's: put one of them right")
    )


def _stream(client: Any, name: str) -> Finding:
    answer = _ask(lambda: client.xinfo_stream(name))
    if answer is None:
        return note(
            "revocations kept",
            "none: nobody has logged out under this prefix, or this user may not ask",
        )
    return good("revocations kept", f"{answer['length']:,}")
