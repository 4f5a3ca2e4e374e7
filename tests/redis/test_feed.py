"""RedisFeed: the contract on real servers, blocking and async, alone and as a cluster."""

from __future__ import annotations

from tests.clients import OverEachClient
from tests.servers import empty, needs_server
from tokenwheel import RedisFeed
from tokenwheel.testing import FeedContract

pytestmark = needs_server


class TestOverEachClient(OverEachClient, FeedContract):
    is_immediate = False

    def make_feeds(self) -> tuple[RedisFeed, RedisFeed]:
        empty(*self.nodes)
        self.clients = [self.make_client() for _ in range(2)]
        first, second = map(RedisFeed, self.clients)
        return first, second

    def teardown_method(self) -> None:
        for feed, client in zip((self.one, self.other), self.clients, strict=True):
            self.wait(feed.close())
            self.close_client(client)
        super().teardown_method()
