"""RedisFeed: the contract on real servers, blocking and async, alone and as a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
