"""Every kind of client that a service may bring, for the contracts that must hold over each: mixed into a contract's class, before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import redis
import redis.asyncio
import valkey

from tests.servers import Node


class _OnServer:
    nodes: Sequence[Node]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def find(cls, server: Node) -> None:
        cls.nodes = [server]


class _OnCluster:
    nodes: Sequence[Node]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def find(cls, cluster: Sequence[Node]) -> None:
        cls.nodes = cluster


class Blocking(_OnServer):
    def make_client(self, port: int) -> Any:
        return redis.Redis(port=port)


class Decoding(_OnServer):
    def make_client(self, port: int) -> Any:
        return redis.Redis(port=port, decode_responses=True, protocol=3)


class Asyncio(_OnServer):
    def make_client(self, port: int) -> Any:
        return redis.asyncio.Redis(port=port)


class OfValkey(_OnServer):
    def make_client(self, port: int) -> Any:
        return valkey.Valkey(port=port)


class AsyncioOfValkey(_OnServer):
    def make_client(self, port: int) -> Any:
        return valkey.asyncio.Valkey(port=port)


class BlockingCluster(_OnCluster):
    def make_client(self, port: int) -> Any:
        return redis.RedisCluster(host="127.0.0.1", port=port)


class AsyncioCluster(_OnCluster):
    wait: Any

    def make_client(self, port: int) -> Any:
        # Several commands at once as the very first can lose their connection: redis-py 8.1 then makes its nodes several times over.
        return self.wait(redis.asyncio.RedisCluster(host="127.0.0.1", port=port).initialize())
