"""Every kind of client that a service may bring, for the contracts that must hold over each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
import redis
import redis.asyncio
import valkey

from tests.servers import Node


class ClientKind(NamedTuple):
    """How to make a client from the port of one server, and the fixture that starts the servers."""

    make: Callable[[int], Any]
    servers: str = "server"


def make_cluster_client(port: int) -> redis.RedisCluster:
    return redis.RedisCluster(host="127.0.0.1", port=port)


def make_async_cluster_client(port: int) -> Any:
    """Return an awaitable that makes the client.

    The client is ready before it is used. Where several commands at once are its very first,
    redis-py 8.1 makes its nodes several times over, and a command can lose its connection.
    """
    return redis.asyncio.RedisCluster(host="127.0.0.1", port=port).initialize()


KINDS = {
    "redis": ClientKind(lambda port: redis.Redis(port=port)),
    "redis-decoding": ClientKind(
        lambda port: redis.Redis(port=port, decode_responses=True, protocol=3)
    ),
    "redis-asyncio": ClientKind(lambda port: redis.asyncio.Redis(port=port)),
    "valkey": ClientKind(lambda port: valkey.Valkey(port=port)),
    "valkey-asyncio": ClientKind(lambda port: valkey.asyncio.Valkey(port=port)),
    "redis-cluster": ClientKind(make_cluster_client, "cluster"),
    "redis-asyncio-cluster": ClientKind(make_async_cluster_client, "cluster"),
}


class OverEachClient:
    """Runs the tests of a contract's class over every kind of client.

    It is mixed into that class, before the contract.
    """

    wait: Callable[[Any], Any]
    kind: ClientKind
    nodes: Sequence[Node]

    @pytest.fixture(autouse=True, scope="class", params=KINDS)
    @classmethod
    def choose_kind(cls, request: pytest.FixtureRequest) -> None:
        cls.kind = KINDS[request.param]
        servers = request.getfixturevalue(cls.kind.servers)
        cls.nodes = [servers] if isinstance(servers, Node) else servers

    def make_client(self) -> Any:
        return self.wait(self.kind.make(self.nodes[0].port))

    def close_client(self, client: Any) -> None:
        self.wait(getattr(client, "aclose", client.close)())
