"""A Redis or Valkey server, or a cluster of them, opened for a command by its URL."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError, StorageUnavailable
from ..redis.client import RedisClient, Script, call
from ..redis.key_names import KeyNames

__all__ = ["PASSWORD", "SCHEMES", "open_client"]

PASSWORD = "REDISCLI_AUTH"  # as redis-cli has it
SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
}
"""What a URL may begin with, and what redis-py calls it."""

_LONGEST_WAIT = 5  # seconds for a server's answer
_NO_URL = "that is not the URL of a server: redis://host:6379/0"
_ERRORS_OF_CLUSTERS = {"ClusterCrossSlotError", "ClusterDownError", "MovedError"}
# Older releases of redis-py have no types for some of these.
_ANSWERS_OF_CLUSTERS = ("CROSSSLOT ", "CLUSTERDOWN ", "MOVED ")


@contextmanager
def open_client(url: str, prefix: str) -> Iterator[Any]:
    """Yield a client of the server, or of the cluster that it belongs to."""
    try:
        parts = urlsplit(url)
    except ValueError:  # Whose text may hold some of the URL.
        raise ConfigurationError(_NO_URL) from None
    scheme = SCHEMES[parts.scheme]
    if parts.password or "password=" in parts.query:
        print(
            f"tokenwheel: every user of this machine can see a password in a command; "
            f"{PASSWORD} keeps it out of sight",
            file=sys.stderr,
        )
    library: Any = _library()
    client: Any = None
    options = {
        "password": os.environ.get(PASSWORD),
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
