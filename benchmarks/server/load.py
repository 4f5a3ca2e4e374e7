"""The load: ``wrk``, or where it cannot be had a generator in Python.

The latter reaches less and says so in the report.

    python -m benchmarks.server.load URL CONNECTIONS SECONDS FILE

sends the requests of the file in turn, keeps one request on its way on every connection, and prints
what was measured as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from .requests import Request, read_requests

CONNECTIONS = 32


class Measured(NamedTuple):
    """A round of one case."""

    requests: int
    seconds: float
    failed: int
    p50_us: float
    p99_us: float


def command(wrk: str | None, url: str, seconds: int, requests: Path) -> list[str]:
    if wrk is None:
        return [
            sys.executable,
            "-m",
            "benchmarks.server.load",
            url,
            str(CONNECTIONS),
            str(seconds),
            str(requests),
        ]
    script = str(Path(__file__).with_name("load.lua"))
    return [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, url, "--", str(requests)]


def measured(output: str) -> Measured:
    return Measured(**json.loads(output.rpartition("JSON ")[2]))


class Client(asyncio.Protocol):
    """A connection, with one request on its way.

    An answer may arrive in two pieces: the first counts.
    """

    def __init__(
        self, requests: cycle[bytes], latencies: list[float], failures: list[bytes]
    ) -> None:
        self.requests, self.latencies, self.failures = requests, latencies, failures

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(next(self.requests))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 "):
            return
        self.latencies.append(time.perf_counter() - self.sent_at)
        if not data.startswith(b"HTTP/1.1 200"):
            self.failures.append(data)
        self.send()


def as_bytes(request: Request) -> bytes:
    lines = [
        f"{request.method} / HTTP/1.1",
        *(f"{name}: {value}" for name, value in request.headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def generate(
    url: str, connections: int, seconds: float, requests_sent: list[Request]
) -> Measured:
    requests = cycle([as_bytes(request) for request in requests_sent])
    latencies: list[float] = []
    failures: list[bytes] = []
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    opened = [
        await loop.create_connection(
            lambda: Client(requests, latencies, failures), address.hostname, address.port
        )
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    took = time.perf_counter() - started
    for transport, _ in opened:
        transport.abort()
    latencies.sort()
    return Measured(
        len(latencies),
        took,
        len(failures),
        latencies[len(latencies) // 2] * 1e6,
        latencies[len(latencies) * 99 // 100] * 1e6,
    )


if __name__ == "__main__":
    import uvloop

    url, connections, seconds, file = sys.argv[1:]
    print(
        "JSON",
        json.dumps(
            uvloop.run(
                generate(url, int(connections), float(seconds), read_requests(Path(file)))
            )._asdict()
        ),
    )
