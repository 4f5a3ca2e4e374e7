"""RedisStorage: the contract on real servers, blocking and async, alone and as a cluster; one round trip a call; and what it leaves
behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import settings

from tests.clients import (
    Asyncio,
    AsyncioCluster,
    AsyncioOfValkey,
    Blocking,
    BlockingCluster,
    Decoding,
    OfValkey,
)
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


class TestBlocking(Blocking, OverClient):
    pass


class TestDecoding(Decoding, OverClient):
    pass


class TestAsync(Asyncio, OverClient):
    pass


class TestValkey(OfValkey, OverClient):
    pass


class TestAsyncValkey(AsyncioOfValkey, OverClient):
    pass


class TestBlockingCluster(BlockingCluster, OverClient):
    pass


class TestAsyncCluster(AsyncioCluster, OverClient):
    pass


class TwiceOverServer(Twice):
    node: ClassVar[Node]

    def __init__(self) -> None:
        empty(self.node)
        super().__init__()

    def open(self) -> RedisStorage:
        return RedisStorage(self.node.client())

    def close(self, storage: RedisStorage) -> None:
        storage._client.adapted.close()


class TestTwice(TwiceOverServer.TestCase):  # type: ignore[misc]
    settings = settings(stateful_step_count=30)

    @pytest.fixture(autouse=True)
    def find(self, server: Node) -> None:
        TwiceOverServer.node = server
