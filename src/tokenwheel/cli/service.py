"""Where a service keeps its sessions and revocations, opened for a command.

It is a SQLite file, or a Redis or Valkey server.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError, StorageUnavailable
from ..redis import RedisFeed, RedisStorage
from ..redis.client import RedisClient, Script, call
from ..redis.key_names import PREFIX, KeyNames
from ..revocation import RevocationList
from ..sqlite import SqliteFeed, SqliteStorage

__all__ = ["add_places", "is_url", "open_client", "open_revocations", "open_storage"]

_LONGEST_WAIT = 5  # seconds for a server's answer
_NO_URL = "that is not the URL of a server: redis://host:6379/0"
_PASSWORD = "REDISCLI_AUTH"  # as redis-cli has it
_ERRORS_OF_CLUSTERS = {"ClusterCrossSlotError", "ClusterDownError", "MovedError"}
# Older releases of redis-py have no types for some of these.
_ANSWERS_OF_CLUSTERS = ("CROSSSLOT ", "CLUSTERDOWN ", "MOVED ")
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
    if is_url(arguments.database):
        with (
            open_client(arguments.database, arguments.prefix) as client,
            closing(RedisStorage(client, prefix=arguments.prefix)) as storage,
        ):
            yield storage
        return
    with closing(SqliteStorage(_existing(arguments.database))) as file_storage:
        yield file_storage


@contextmanager
def open_revocations(arguments: argparse.Namespace) -> Iterator[RevocationList]:
    place = arguments.feed or arguments.database
    if is_url(place):
        with (
            open_client(place, arguments.prefix) as client,
            closing(RevocationList(RedisFeed(client, prefix=arguments.prefix))) as revocations,
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
    with closing(RevocationList(SqliteFeed(path))) as revocations:
        yield revocations


def is_url(place: str) -> bool:
    """Return True for a server's URL, and False for the path of a file."""
    return "://" in place


def _existing(place: str) -> Path:
    """Return the path of a file that is there: a mistyped name must not make one."""
    path = Path(place)
    if not path.exists():
        raise ConfigurationError("there is no such database file")
    return path


@contextmanager
def open_client(url: str, prefix: str) -> Iterator[Any]:
    """Yield a client of the server, or of the cluster that it belongs to."""
    try:
        parts = urlsplit(url)
    except ValueError:  # Whose text may hold some of the URL.
        raise ConfigurationError(_NO_URL) from None
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
    client: Any = None
    options = {
        "password": os.environ.get(_PASSWORD),
        "socket_timeout": _LONGEST_WAIT,
        "socket_connect_timeout": _LONGEST_WAIT,
    }
    address = scheme + url[len(parts.scheme) :]
    # An error of the library's may hold some of the URL in its text, and must not be the context.
    with suppress(ValueError):
        client = library.Redis.from_url(address, **options)
    if client is None:
        raise ConfigurationError(_NO_URL)
    try:
        if _is_in_cluster(client, KeyNames(prefix)):
            client.close()
            client = library.RedisCluster.from_url(address, **options)
        yield client
    except library.RedisError as error:
        raise StorageUnavailable(
            f"the server could not be reached or answered an error ({type(error).__name__})"
        ) from error
    finally:
        client.close()


def _is_in_cluster(client: Any, names: KeyNames) -> bool:
    """Return True if the server belongs to a cluster, by what a service must be allowed to ask."""
    server = RedisClient(client)
    apart = tuple(f"{names.stream}:{place}" for place in "ab")  # in two slots
    try:
        server.run(call(Script.of("return #KEYS"), apart))
    except Exception as error:
        # It only says that the keys are apart, or where one of them is, where slots matter.
        if type(error).__name__ in _ERRORS_OF_CLUSTERS or str(error).startswith(
            _ANSWERS_OF_CLUSTERS
        ):
            return True
        raise
    finally:
        server.close()
    return False


def _library() -> Any:
    try:
        return importlib.import_module("redis")
    except ImportError:
        raise ConfigurationError(
            "for a server's URL redis-py is needed: pip install 'tokenwheel[redis]'"
        ) from None
