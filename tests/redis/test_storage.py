"""RedisStorage on real servers: the contract, blocking and async, alone and as a cluster."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import settings

from tests.clients import OverEachClient
from tests.servers import Node, empty, needs_server
from tests.storage.own_copies import OwnCopiesContract
from tests.storage.twice import Twice
from tokenwheel import RedisStorage

pytestmark = needs_server


class TestOverEachClient(OverEachClient, OwnCopiesContract):
    def make_storage(self) -> RedisStorage:
        empty(*self.nodes)
        self.client = self.make_client()
        return RedisStorage(self.client)

    def teardown_method(self) -> None:
        self.wait(self.storage.close())
        self.close_client(self.client)
        super().teardown_method()


class TwiceOverServer(Twice):
    node: ClassVar[Node]

    def __init__(self) -> None:
        empty(self.node)
        self.clients: list[Any] = []
        super().__init__()

    def open(self) -> RedisStorage:
        self.clients.append(self.node.client())
        return RedisStorage(self.clients[-1])

    def teardown(self) -> None:
        super().teardown()
        for client in self.clients:
            client.close()


class TestTwice(TwiceOverServer.TestCase):  # type: ignore[misc]
    settings = settings(stateful_step_count=30)

    @pytest.fixture(autouse=True)
    def find(self, server: Node) -> None:
        TwiceOverServer.node = server
