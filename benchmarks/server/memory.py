"""Whether memory stays flat while an adapter answers request after request.

    python -m benchmarks.server.memory [--requests 1000000] [--cases TEXT]

Each case runs in a process of its own, which calls the application without a server, with a
thousand tokens in turn. After a warm-up it notes how much memory the process has, how many objects
the collector knows, and how many blocks Python has allocated; and again after all requests. Every
tenth request is refused: no token, a forged one, one that has expired long ago.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import secrets
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from .application import SECRET_VARIABLE
from .cases import CASES
from .in_process import Runner, serve_asgi, serve_wsgi
from .requests import CREDENTIALS, Request

WARM_UP = 20_000  # requests: by then all tokens are remembered, and all pools are of their size
BATCH = 1_000
REFUSED_EVERY = 10


class Usage(NamedTuple):
    """What a process has."""

    resident: int  # bytes
    objects: int
    blocks: int


class Growth(NamedTuple):
    """What a case had more after its requests than before."""

    case: str
    requests: int
    seconds: float
    bytes: int
    objects: int
    blocks: int


def usage() -> Usage:
    gc.collect()
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    size = pages * os.sysconf("SC_PAGE_SIZE") if pages else 0
    return Usage(size, len(gc.get_objects()), sys.getallocatedblocks())


def bad_requests(good: Request) -> list[Request]:
    body, _, signature = good.token.rpartition(".")
    return [
        good.without(CREDENTIALS),
        good.with_token(f"{body}.{signature[:-8]}{'A' * 8}"),
        good.with_token("x"),
    ]


async def serve(runner: Runner, count: int) -> None:
    """Answer so many requests, and check what they are answered."""
    application: Any = runner.served.application
    bad = bad_requests(runner.requests[0])
    for first in range(0, count, BATCH):
        environments = runner.batch(min(BATCH, count - first))
        refused = range(0, len(environments), REFUSED_EVERY)
        for number, place in enumerate(refused):
            environments[place] = runner.make(bad[number % len(bad)])
        if runner.case.interface == "ASGI":
            _, statuses = await serve_asgi(application, environments)
        else:
            _, statuses = await asyncio.to_thread(serve_wsgi, application, environments)
        for place, status in enumerate(statuses):
            expected = (
                {200} if place not in refused or not runner.case.verifies else {400, 401, 403}
            )
            if status not in expected:
                raise SystemExit(f"{runner.case.name} answers {status}, not {expected}")


async def measure(name: str, secret: str, count: int) -> Growth:
    """Return how much a case has grown after so many requests."""
    runner = Runner(CASES[name], secret)
    runner.served.activate()
    await serve(runner, min(WARM_UP, count))
    before = usage()
    began = time.monotonic()
    await serve(runner, count)
    took = time.monotonic() - began
    after = usage()
    return Growth(name, count, took, *(b - a for a, b in zip(before, after, strict=True)))


def run(name: str, count: int) -> Growth:
    """Measure a case in a process of its own."""
    output = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.server.memory",
            "--measure",
            name,
            "--requests",
            str(count),
        ],
        env={**os.environ, SECRET_VARIABLE: secrets.token_urlsafe(32)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return Growth(**json.loads(output.rpartition("JSON ")[2]))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server.memory", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--requests", type=int, default=1_000_000, help="of each case")
    parser.add_argument(
        "--cases", default="-tokenwheel", metavar="TEXT", help="whose name has this"
    )
    parser.add_argument("--measure", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    del sys.argv[1:]
    if arguments.measure:
        secret = os.environ[SECRET_VARIABLE]
        growth = asyncio.run(measure(arguments.measure, secret, arguments.requests))
        print("JSON", json.dumps(growth._asdict()))
        return
    print("| case | requests | resident | objects | blocks | seconds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, case in CASES.items():
        if arguments.cases in name and (case.needs is None or find_spec(case.needs)):
            grown = run(name, arguments.requests)
            print(
                f"| {name} | {grown.requests:,} | {grown.bytes / 1024:+,.0f} KiB "
                f"| {grown.objects:+,} | {grown.blocks:+,} | {grown.seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
