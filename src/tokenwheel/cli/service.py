"""Where a service keeps its sessions and revocations, opened for a command.

It is a SQLite file, or a Redis or Valkey server.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError, StorageUnavailable
from ..redis import RedisFeed, RedisStorage
from ..redis.key_names import PREFIX
from ..revocation import RevocationList
from ..sqlite import SqliteFeed, SqliteStorage

__all__ = ["add_places", "open_revocations", "open_storage"]

_LONGEST_WAIT = 5  # seconds for a server's answer
_PASSWORD = "REDISCLI_AUTH"  # as redis-cli has it
_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
}


def add_places(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--database",
        required=True,
        metavar="FILE|URL",
        help="the file given to SqliteStorage, or the server of RedisStorage: redis://host:6379/0; "
        f"its password in {_PASSWORD}",
    )
    command.add_argument(
        "--feed", metavar="FILE|URL", help="what is given to the feed, where that is another one"
    )
    command.add_argument(
        "--prefix",
        default=PREFIX,
        help=f"on a server: of the names of its keys, {PREFIX} where none was given",
    )


@contextmanager
def open_storage(arguments: argparse.Namespace) -> Iterator[SqliteStorage | RedisStorage]:
    if _is_url(arguments.database):
        with _client(arguments.database) as client:
            yield RedisStorage(client, prefix=arguments.prefix)
        return
    storage = SqliteStorage(_existing(arguments.database))
    try:
        yield storage
    finally:
        storage.close()


@contextmanager
def open_revocations(arguments: argparse.Namespace) -> Iterator[RevocationList]:
    place = arguments.feed or arguments.database
    if _is_url(place):
        with (
            _client(place) as client,
            _listening(RevocationList(RedisFeed(client, prefix=arguments.prefix))) as revocations,
        ):
            yield revocations
        return
    path = _existing(place)
    if not path.with_name(f"{path.name}-doorbell").exists():
        print(
            "tokenwheel: no service has listened for revocations at this file; "
            "is it the one given to SqliteFeed?",
            file=sys.stderr,
        )
    with _listening(RevocationList(SqliteFeed(path))) as revocations:
        yield revocations


@contextmanager
def _listening(revocations: RevocationList) -> Iterator[RevocationList]:
    try:
        yield revocations
    finally:
        revocations.close()


def _is_url(place: str) -> bool:
    return "://" in place


def _existing(place: str) -> Path:
    """Return the path of a file that is there: a mistyped name must not make one."""
    path = Path(place)
    if not path.exists():
        raise ConfigurationError("there is no such database file")
    return path


@contextmanager
def _client(url: str) -> Iterator[Any]:
    """Yield a client of the server, or of the cluster that it belongs to."""
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None:
        raise ConfigurationError(
            f"a server's URL must begin with one of {', '.join(f'{name}://' for name in _SCHEMES)}"
        )
    if parts.password or "password=" in parts.query:
        print(
            f"tokenwheel: every user of this machine can see a password in a command; "
            f"{_PASSWORD} keeps it out of sight",
            file=sys.stderr,
        )
    library: Any = _library()
    options = {
        "password": os.environ.get(_PASSWORD),
        "socket_timeout": _LONGEST_WAIT,
        "socket_connect_timeout": _LONGEST_WAIT,
    }
    address = scheme + url[len(parts.scheme) :]
    try:
        client = library.Redis.from_url(address, **options)
        if client.info("cluster")["cluster_enabled"]:
            client.close()
            client = library.RedisCluster.from_url(address, **options)
    except ValueError:  # Whose text may hold some of the URL.
        raise ConfigurationError("that is not the URL of a server: redis://host:6379/0") from None
    except library.RedisError as error:
        raise StorageUnavailable(
            f"the server could not be reached or answered an error ({type(error).__name__})"
        ) from error
    try:
        yield client
    finally:
        client.close()


def _library() -> Any:
    try:
        return importlib.import_module("redis")
    except ImportError:
        raise ConfigurationError(
            "for a server's URL redis-py is needed: pip install 'tokenwheel[redis]'"
        ) from None
