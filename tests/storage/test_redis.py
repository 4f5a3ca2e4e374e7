"""RedisStorage: the contract on real servers, blocking and async, alone and as a cluster; one round trip a call; and what it leaves
behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import redis
import redis.asyncio
import valkey
from hypothesis import settings

from tests.servers import Node, empty, needs_server
from tokenwheel import RedisStorage
from tokenwheel.testing import StorageContract

from .twice import Twice

pytestmark = needs_server


class OverClient(StorageContract):
    """The contract over whatever client a subclass makes."""

    nodes: Sequence[Node]
    client: Any

    def make_client(self, port: int) -> Any:
        raise NotImplementedError

    def make_storage(self) -> RedisStorage:
        empty(*self.nodes)
        self.client = self.make_client(self.nodes[0].port)
        return RedisStorage(self.client)

    def teardown_method(self) -> None:
        self.wait(getattr(self.client, "aclose", self.client.close)())
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
        # Several commands at once as the very first can lose their connection: redis-py 8.1 then makes its nodes several times over.
        return self.wait(redis.asyncio.RedisCluster(host="127.0.0.1", port=port).initialize())


class TwiceOverServer(Twice):
    node: ClassVar[Node]

    def __init__(self) -> None:
        empty(self.node)
        super().__init__()

    def open(self) -> RedisStorage:
        return RedisStorage(self.node.client())

    def close(self, storage: RedisStorage) -> None:
        storage._server.client.close()


class TestTwice(TwiceOverServer.TestCase):  # type: ignore[misc]
    settings = settings(stateful_step_count=30)

    @pytest.fixture(autouse=True)
    def find(self, server: Node) -> None:
        TwiceOverServer.node = server
