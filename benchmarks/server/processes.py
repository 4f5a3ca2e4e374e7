"""Servers and load in processes of their own, each kept on a core where the system can do that."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .application import SECRET_VARIABLE
from .requests import Request

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CORE, LOAD_CORE = (CORES[0], CORES[1]) if len(CORES) > 1 else (None, None)


def pin(pid: int, core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(pid, {core})


def family_of(pid: int) -> list[int]:
    """Return the process and its children: gunicorn serves in one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


class Server:
    """A server that serves one case, and the requests that it lets through."""

    def __init__(self, case: str, secret: str, folder: Path, count: int) -> None:
        self.requests = folder / f"{case}.txt"
        with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.server.application",
                    case,
                    str(listening.fileno()),
                    str(self.requests),
                    str(count),
                ],
                pass_fds=[listening.fileno()],
                env={**os.environ, SECRET_VARIABLE: secret},
            )
        pin(self.process.pid, SERVER_CORE)

    def status(self, request: Request) -> int:
        """Return what the server answers to a request."""
        asked = urllib.request.Request(
            self.url, headers=dict(request.headers), method=request.method
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def wait(self) -> None:
        """Wait until it answers, whatever it does."""
        self.status(Request("GET", (("Host", "localhost"),), ""))

    def few_requests(self, count: int) -> Path:
        """Return the file of its requests, cut to so many."""
        lines = self.requests.read_text().splitlines(keepends=True)
        if count == len(lines):
            return self.requests
        path = self.requests.with_suffix(f".{count}")
        path.write_text("".join(lines[:count]))
        return path

    def cpu_seconds(self) -> float | None:
        """Return the seconds its processes' threads have run on a core, or None if not known."""
        try:
            return sum(
                int(account.read_text().split()[0]) / 1e9
                for pid in family_of(self.process.pid)
                for account in Path(f"/proc/{pid}/task").glob("*/schedstat")
            )
        except FileNotFoundError:
            return None

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def serving(cases: list[str], secret: str, folder: Path, count: int) -> Iterator[dict[str, Server]]:
    """Run all the cases at once.

    Between its rounds a server costs the others nothing but a tick of uvicorn's, ten times a
    second.
    """
    with ExitStack() as stack:
        servers = {}
        for case in cases:
            servers[case] = Server(case, secret, folder, count)
            stack.callback(servers[case].stop)
        for server in servers.values():
            server.wait()
        yield servers


def run_load(command: list[str]) -> str:
    """Run a load generator on the other core, and return what it printed."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        pin(process.pid, LOAD_CORE)
        output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{command[0]} failed:\n{output}")
    return output
