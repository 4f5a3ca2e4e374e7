"""What verification adds to a request, measured without a server: ``--in-process``.

    python -m benchmarks.server.in_process FAMILY ROUNDS

All cases of a family are in one process, and take turns of some fifty requests in an order drawn
anew each time. The scopes and environments of a turn are made before its time begins, of objects
that no other request has seen, as a server makes them. Time is the thread's own on a core, which
leaves out what the machine did for others meanwhile. Such a figure strays far less than requests
per second do, but it has no server beside it: shares come out lower than under load.
"""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import uvloop

from .application import SECRET_VARIABLE
from .cases import CASES, Case
from .requests import Request, Served

BATCH = 50
TOKENS = 1_000

Environment = dict[str, Any]


def scope_of(request: Request) -> Environment:
    """Return a scope as uvicorn would make it, of new objects."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 40_000),
        "scheme": "http",
        "root_path": "",
        "method": request.method,
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [
            (name.lower().encode("ascii"), value.encode("ascii")) for name, value in request.headers
        ],
        "state": {},
    }


def environ_of(request: Request) -> Environment:
    """Return an environment as gunicorn would make it, of new objects."""
    environ = {
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input": io.BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.url_scheme": "http",
        "SERVER_SOFTWARE": "gunicorn",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": "",
        "RAW_URI": "/",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "PATH_INFO": "/",
        "SCRIPT_NAME": "",
    }
    for name, value in request.headers:
        variable = name.upper().replace("-", "_")
        prefix = "" if variable in {"CONTENT_LENGTH", "CONTENT_TYPE"} else "HTTP_"
        environ[prefix + variable] = value.encode("ascii").decode("ascii")
    return environ


class Runner:
    """Hands requests to one application, and knows their answers."""

    def __init__(self, case: Case, secret: str) -> None:
        self.case = case
        self.served: Served = case.make(secret)
        self.requests = self.served.requests(TOKENS)
        self.make = scope_of if case.interface == "ASGI" else environ_of
        self.at = 0

    def batch(self, count: int) -> list[Environment]:
        chosen = [self.requests[(self.at + n) % TOKENS] for n in range(count)]
        self.at += count
        return [self.make(request) for request in chosen]

    def serve(self, environments: list[Environment], loop: asyncio.AbstractEventLoop) -> float:
        """Answer these requests one after another, and return the seconds that it took."""
        if self.case.interface == "ASGI":
            took, statuses = loop.run_until_complete(
                serve_asgi(self.served.application, environments)
            )
        else:
            took, statuses = serve_wsgi(self.served.application, environments)
        if statuses != [200] * len(environments):
            raise SystemExit(f"{self.case.name} answers {sorted(set(statuses))}")
        return took


class Exchange:
    """A request without a body, and its answer: the two callables of ASGI."""

    __slots__ = ("asked", "complete", "status", "waiting")

    def __init__(self) -> None:
        self.asked = self.complete = False
        self.status = 0
        self.waiting: asyncio.Future[None] | None = None

    async def receive(self) -> dict[str, Any]:
        """Return the empty body, and from then on the end of the connection, after the answer."""
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if not self.complete:
            self.waiting = asyncio.get_running_loop().create_future()
            await self.waiting
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif not message.get("more_body"):
            self.complete = True
            if self.waiting is not None:
                self.waiting.set_result(None)


async def serve_asgi(application: Any, environments: list[Environment]) -> tuple[float, list[int]]:
    calls = [(scope, Exchange()) for scope in environments]
    began = time.thread_time()
    for scope, exchange in calls:
        await application(scope, exchange.receive, exchange.send)
    return time.thread_time() - began, [exchange.status for _, exchange in calls]


def serve_wsgi(application: Any, environments: list[Environment]) -> tuple[float, list[int]]:
    statuses: list[int] = []

    def start_response(status: str, *_: Any) -> Callable[[bytes], object]:
        statuses.append(int(status[:3]))
        return write

    began = time.thread_time()
    for environ in environments:
        answer = application(environ, start_response)
        b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
    return time.thread_time() - began, statuses


def write(_: bytes) -> None:
    """Take a body by WSGI's old way, which nobody here uses."""


def measure(family: str, secret: str, rounds: int) -> dict[str, list[float]]:
    """Return the microseconds a request of each case, round by round."""
    runners = [
        Runner(case, secret)
        for case in CASES.values()
        if case.family == family and (case.needs is None or find_spec(case.needs))
    ]
    times: dict[str, list[float]] = {runner.case.name: [] for runner in runners}
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    for number in range(-3, rounds):
        for runner in random.sample(runners, len(runners)):
            runner.served.activate()
            environments = runner.batch(BATCH if number >= 0 else TOKENS)
            gc.disable()
            took = runner.serve(environments, loop)
            gc.enable()
            if number >= 0:
                times[runner.case.name].append(took / BATCH * 1e6)
    loop.close()
    return times


def run(family: str, secret: str, rounds: int) -> dict[str, list[float]]:
    """Measure a family in a process of its own."""
    completed = subprocess.run(
        [sys.executable, "-m", "benchmarks.server.in_process", family, str(rounds)],
        env={**os.environ, SECRET_VARIABLE: secret},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if completed.returncode:
        raise SystemExit(f"{family} failed:\n{completed.stdout}")
    times: dict[str, list[float]] = json.loads(completed.stdout.rpartition("JSON ")[2])
    return times


def main() -> None:
    family, rounds = sys.argv[1:]
    del sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    times = measure(family, os.environ[SECRET_VARIABLE], int(rounds))
    print("JSON", json.dumps(times))


if __name__ == "__main__":
    main()
