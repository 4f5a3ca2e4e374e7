"""RedisFeed: the contract on real servers, blocking and async, alone and as a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import redis
import redis.asyncio
import valkey

from tests.servers import Node, empty, needs_server
from tokenwheel import RedisFeed
from tokenwheel.testing import FeedContract

pytestmark = needs_server


class OverClient(FeedContract):
    """The contract over two clients of whatever kind a subclass makes."""

    is_immediate = False
    nodes: Sequence[Node]

    def make_client(self, port: int) -> Any:
        raise NotImplementedError

    def make_feeds(self) -> tuple[RedisFeed, RedisFeed]:
        empty(*self.nodes)
        self.clients = [self.make_client(self.nodes[0].port) for _ in range(2)]
        one, other = map(RedisFeed, self.clients)
        return one, other

    def teardown_method(self) -> None:
        for feed, client in zip((self.one, self.other), self.clients, strict=True):
            self.wait(feed.close())
            self.wait(getattr(client, "aclose", client.close)())
        super().teardown_method()


class OverServer(OverClient):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def find(cls, server: Node) -> None:
        cls.nodes = [server]


class OverCluster(OverClient):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def find(cls, cluster: Sequence[Node]) -> None:
        cls.nodes = cluster


class TestBlocking(OverServer):
    def make_client(self, port: int) -> Any:
        return redis.Redis(port=port)


class TestDecoding(OverServer):
    def make_client(self, port: int) -> Any:
        return redis.Redis(port=port, decode_responses=True, protocol=3)


class TestAsync(OverServer):
    def make_client(self, port: int) -> Any:
        return redis.asyncio.Redis(port=port)


class TestValkey(OverServer):
    def make_client(self, port: int) -> Any:
        return valkey.Valkey(port=port)


class TestAsyncValkey(OverServer):
    def make_client(self, port: int) -> Any:
        return valkey.asyncio.Valkey(port=port)


class TestBlockingCluster(OverCluster):
    def make_client(self, port: int) -> Any:
        return redis.RedisCluster(host="127.0.0.1", port=port)


class TestAsyncCluster(OverCluster):
    def make_client(self, port: int) -> Any:
        return redis.asyncio.RedisCluster(host="127.0.0.1", port=port)
