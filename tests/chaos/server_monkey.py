"""What befalls a server of sessions and revocations and the network before it."""

from __future__ import annotations

import time
from typing import Any

from tests.servers import Node as Server
from tests.servers import Proxy

from .judge import HEALING
from .monkey import Action, Monkey

_LONGEST_DELAY = 0.3  # seconds


class ServerMonkey(Monkey):
    """Does at random what may befall nodes over one server.

    Args:
        server: the server.
        network: what some of the nodes reach it through.
    """

    def __init__(self, server: Server, network: Proxy, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._server = server
        self._network = network

    @property
    def actions(self) -> dict[str, Action]:
        return super().actions | {
            "kill_server": Action(2, self.kill_server),
            "freeze_server": Action(2, self.freeze_server),
            "flush": Action(1, self.flush),
            "kill_clients": Action(3, self.kill_clients),
            "drop_packets": Action(2, self.drop_packets),
            "sever_connections": Action(2, self.sever_connections),
            "delay_packets": Action(2, self.delay_packets),
        }

    def kill_server(self) -> None:
        if not self.is_going_on("server"):
            self._server.kill()
            self.begin("server", "killed", self._server.start, 4.0)

    def freeze_server(self) -> None:
        if not self.is_going_on("server"):
            self._server.freeze()
            self.begin("server", "frozen", self._server.thaw, 6.0)

    def flush(self) -> None:
        """Empty the server. Nobody is killed until the nodes have put back what they know."""
        self.calm()
        begun = time.monotonic()
        with self._server.client() as client:
            client.flushall()
        self.note("flush", begun)
        self.wait(HEALING / 2)

    def kill_clients(self) -> None:
        if self.is_going_on("server"):
            return
        begun = time.monotonic()
        with self._server.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal")
        self.note("network", begun, "connections were killed")

    def drop_packets(self) -> None:
        if not self.is_going_on("network"):
            self._network.drop()
            self.begin("network", "packets are dropped", self._network.heal, 6.0)

    def sever_connections(self) -> None:
        if not self.is_going_on("network"):
            self._network.sever()
            self.begin("network", "connections are severed", self._network.heal, 4.0)

    def delay_packets(self) -> None:
        if not self.is_going_on("network"):
            self._network.delay(self.chance.uniform(0, _LONGEST_DELAY))
            self.begin("network", "packets are delayed", self._network.heal, 4.0)
