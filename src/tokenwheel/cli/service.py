"""Where a service keeps its sessions and revocations, opened for a command.

It is a SQLite file, a Redis or Valkey server, or a SQL database.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from ..errors import ConfigurationError
from ..redis import RedisFeed, RedisStorage
from ..redis.key_names import PREFIX
from ..revocation import RevocationFeed, RevocationList
from ..sqlite import SqliteFeed, SqliteStorage
from ..storage import SessionStorage
from . import redis_server, sql_database

__all__ = [
    "ABOUT_URLS",
    "CountingStorage",
    "add_places",
    "is_of_sql",
    "is_url",
    "open_revocations",
    "open_storage",
]

ABOUT_URLS = (
    "redis://host:6379/0, or the database of SqlStorage or DjangoStorage: "
    "postgresql://user@host/name, mysql://user@host/name. "
    f"A password comes from {redis_server.PASSWORD}, {sql_database.PASSWORDS}"
)


class CountingStorage(SessionStorage, Protocol):
    """Keep sessions, and tell how many live."""

    def count(self, now: float) -> int:
        """Return how many sessions live."""
        ...


def add_places(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--database",
        required=True,
        metavar="FILE|URL",
        help=f"the file given to SqliteStorage, or the server of RedisStorage: {ABOUT_URLS}",
    )
    command.add_argument(
        "--feed", metavar="FILE|URL", help="what is given to the feed, where that is another one"
    )
    command.add_argument(
        "--prefix",
        default=PREFIX,
        help=f"on a Redis server: of the names of its keys, {PREFIX} where none was given",
    )


@contextmanager
def open_storage(arguments: argparse.Namespace) -> Iterator[CountingStorage]:
    place = arguments.database
    if not is_url(place):
        with closing(SqliteStorage(_existing(place))) as storage:
            yield storage
    elif is_of_sql(place):
        with sql_database.open_engine(place) as engine:
            from ..sql import SqlStorage

            with closing(SqlStorage(engine)) as of_database:
                yield of_database
    else:
        with (
            redis_server.open_client(place, arguments.prefix) as client,
            closing(RedisStorage(client, prefix=arguments.prefix)) as of_server,
        ):
            yield of_server


@contextmanager
def open_revocations(arguments: argparse.Namespace) -> Iterator[RevocationList]:
    with (
        _open_feed(arguments.feed or arguments.database, arguments.prefix) as feed,
        closing(RevocationList(feed)) as revocations,
    ):
        yield revocations


@contextmanager
def _open_feed(place: str, prefix: str) -> Iterator[RevocationFeed]:
    if not is_url(place):
        yield _feed_of_file(_existing(place))
    elif is_of_sql(place):
        with sql_database.open_engine(place) as engine:
            from ..sql import SqlFeed

            yield SqlFeed(engine)
    else:
        with redis_server.open_client(place, prefix) as client:
            yield RedisFeed(client, prefix=prefix)


def _feed_of_file(path: Path) -> SqliteFeed:
    if not path.with_name(f"{path.name}-doorbell").exists():
        print(
            "tokenwheel: no service has listened for revocations at this file; "
            "is it the one given to SqliteFeed?",
            file=sys.stderr,
        )
    return SqliteFeed(path)


def is_url(place: str) -> bool:
    """Return True for a URL that leads somewhere, and False for the path of a file.

    Raises:
        ConfigurationError: it is a URL of a kind that is not known.
    """
    scheme, is_there, _ = place.partition("://")
    if is_there and scheme not in redis_server.SCHEMES and not is_of_sql(place):
        known = ", ".join(f"{name}://" for name in (*redis_server.SCHEMES, *sql_database.SCHEMES))
        raise ConfigurationError(f"a URL must begin with one of {known}")
    return bool(is_there)


def is_of_sql(url: str) -> bool:
    """Return True for the URL of a SQL database, with or without the name of a driver."""
    return url.partition("://")[0].partition("+")[0] in sql_database.SCHEMES


def _existing(place: str) -> Path:
    """Return the path of a file that is there: a mistyped name must not make one."""
    path = Path(place)
    if not path.exists():
        raise ConfigurationError("there is no such database file")
    return path
