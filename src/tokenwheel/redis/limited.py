"""A blocking client whose calls end in time, made from the user's client.

A blocking call can only be ended by its socket. The user's sockets may wait for ever, or be tried
again for a minute, and other code relies on that. So the calls of this library go over connections
of its own, to the same server and with the same options. Each waits no longer than the call has
time left (``deadline.py``).

Nothing here is a client of its own. The classes are those of the user's client, connections and
pool, each with a little on top: what an application has built into them, such as tracing, goes on
working. Nothing imports a client library either.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Any
from weakref import WeakValueDictionary, finalize

from ..fork_safety import renew_after_fork
from .deadline import is_over
from .limited_pool import (
    WaitingPool,
    limited_connection_class,
    own_options,
    waiting_pool_class,
)

__all__ = ["OwnConnections"]

_KEPT_OF_CLUSTER = {
    "cluster_error_retry_attempts",
    "load_balancing_strategy",
    "read_from_replicas",
    "retry",
    "user_on_connect_func",
}
"""What a client of a cluster is told about nodes and tries, beside how to reach them."""


class OwnConnections:
    """Hold a client like the user's, whose connections are others and end in time.

    Args:
        client: the user's client, a blocking one. It is taken as it is where it has no pool.
        timeout: seconds that a call may take.
    """

    def __init__(self, client: Any, timeout: float) -> None:
        self._users = client
        self._timeout = timeout
        self._lock = threading.Lock()
        self._limited: Any = None
        self._close: Callable[[], Any] | None = None
        renew_after_fork(self)

    @classmethod
    def beside(cls, client: Any, timeout: float) -> OwnConnections:
        """Return what all hold in common that use this client with this timeout."""
        key = id(client), timeout  # Who holds the connections holds the client.
        return _held.get(key) or _held.setdefault(key, cls(client, timeout))

    @property
    def client(self) -> Any:
        """The client whose calls end in time, made when it is first asked for."""
        limited = self._limited
        if limited is None:
            with self._lock:
                limited = self._limited
                if limited is None:
                    limited = self._limited = _limited(self._users, self._timeout)
                    # Also for whoever forgets to close it, and before anything could warn of that.
                    self._close = finalize(self, _close_idle, limited)
        return limited

    def close(self) -> None:
        """Close them all, those in use as soon as they are given back. Can be called again.

        Whoever calls later opens new ones.
        """
        with self._lock:
            self._limited = None
            if self._close is not None:
                self._close()

    def renew(self) -> None:
        """Begin anew in a child of a fork, with a lock of its own and no connection."""
        self._lock = threading.Lock()
        self._limited = self._close = None


_held: WeakValueDictionary[tuple[int, float], OwnConnections] = WeakValueDictionary()


def _limited(client: Any, longest: float) -> Any:
    """Return a client like the user's, of which one step takes ``longest`` seconds at most."""
    if callable(getattr(client, "get_node_from_key", None)):
        # After a node that hangs there is as much time again, to ask another one what is what.
        return _limited_cluster(client, longest / 2)
    pool = getattr(client, "connection_pool", None)
    return client if pool is None else _limited_single(client, _limited_pool(pool, longest))


def _close_idle(limited: Any) -> None:
    for pool in _pools_of(limited):
        pool.disconnect(inuse_connections=False)


def _pools_of(limited: Any) -> Iterator[Any]:
    """Yield every pool of a limited client; none of one that is the user's."""
    if hasattr(limited, "nodes_manager"):
        for node in limited.get_nodes():
            # It is called after the library.
            of_node = getattr(node, "redis_connection", None) or getattr(
                node, "valkey_connection", None
            )
            if of_node is not None:
                yield of_node.connection_pool
        return
    pool = getattr(limited, "connection_pool", None)
    if isinstance(pool, WaitingPool):
        yield pool
        for sentinel in getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()):
            yield from _pools_of(sentinel)


def _limited_single(client: Any, pool: Any) -> Any:
    """Return an object that is the user's client in all but the pool.

    Both have the same state, so what a subclass counts or keeps is counted and kept in one place.
    """
    limited = object.__new__(_over_pool(_kind_of(client)))
    limited.__dict__ = client.__dict__
    limited.limited_pool = pool
    return limited


@lru_cache(maxsize=64)
def _over_pool(kind: Any) -> Any:
    """Return the class of clients that take connections from ``limited_pool``."""
    return type(
        kind.__name__,
        (kind,),
        {
            "__slots__": ("limited_pool",),
            "connection_pool": property(attrgetter("limited_pool")),
            # The connection that a client keeps for all its calls, and the lock before that, which
            # may be held long.
            "connection": property(lambda _: None),
            "_single_connection_client": property(lambda _: False),
            "single_connection_client": property(lambda _: False),
        },
    )


def _limited_pool(pool: Any, longest: float) -> Any:
    """Return a pool for the same server, with connections of its own."""
    options = own_options(pool, longest)
    options["connection_class"] = limited_connection_class(pool.connection_class)
    options["max_connections"] = pool.max_connections
    manager = getattr(pool, "sentinel_manager", None)
    if manager is None:
        return waiting_pool_class(_ancestor(type(pool), "ConnectionPool"))(**options)
    options.update(is_master=pool.is_master, check_connection=pool.check_connection)
    options.pop("connection_pool", None)  # which is how its connections know the pool
    limited_manager = copy.copy(manager)
    # One that hangs must leave time for the others.
    share = longest / (len(manager.sentinels) + 1)
    limited_manager.sentinels = [_limited(sentinel, share) for sentinel in manager.sentinels]
    return waiting_pool_class(_ancestor(type(pool), "SentinelConnectionPool"))(
        pool.service_name, limited_manager, **options
    )


def _limited_cluster(client: Any, longest: float) -> Any:
    """Return a client for the same cluster, which looks its nodes up over its own connections."""
    manager = client.nodes_manager
    first, *others = {**manager.startup_nodes, **manager.nodes_cache}.values()
    get_client = getattr(client, "get_redis_connection", None) or client.get_valkey_connection
    model = get_client(first).connection_pool

    def make_pool(*, host: str, port: int, **_: Any) -> Any:
        pool = _limited_pool(model, longest)
        pool.connection_kwargs.update(host=host, port=port)
        return pool

    kind = _kind_of(client)
    limited = object.__new__(_ending_in_time(kind))
    limited.__dict__.update(client.__dict__)
    host = f"[{first.host}]" if ":" in first.host else first.host
    _ancestor(kind, "RedisCluster", "ValkeyCluster").__init__(
        limited,
        # Only with a URL the pools are made by the class that it is given.
        url=f"redis://{host}:{first.port}",
        startup_nodes=[type(node)(node.host, node.port) for node in others],
        connection_pool_class=make_pool,
        require_full_coverage=manager._require_full_coverage,
        dynamic_startup_nodes=manager._dynamic_startup_nodes,
        address_remap=manager.address_remap,
        reinitialize_steps=client.reinitialize_steps,
    )
    for name in _KEPT_OF_CLUSTER & client.__dict__.keys():
        setattr(limited, name, getattr(client, name))
    return limited


@lru_cache(maxsize=64)
def _ending_in_time(kind: Any) -> Any:
    """Return the class of cluster clients that try no other node once the time is over."""

    def execute_in_time(self: Any, *arguments: Any, **options: Any) -> Any:
        if is_over():  # Each node and try after the first would still take a moment.
            raise TimeoutError
        return kind._execute_command(self, *arguments, **options)

    return type(kind.__name__, (kind,), {"_execute_command": execute_in_time})


def _kind_of(client: Any) -> Any:
    return type(client)


def _ancestor(kind: Any, *names: str) -> Any:
    """Return the class of the client library, by its name in either, that ``kind`` comes from."""
    return next((base for base in kind.__mro__ if base.__name__ in names), kind)
