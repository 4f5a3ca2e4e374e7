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

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CORE, LOAD_CORE = (CORES[0], CORES[1]) if len(CORES) > 1 else (None, None)


def pin(pid: int, core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(pid, {core})


class Server:
    """A uvicorn process that serves one case."""

    def __init__(self, case: str, secret: str) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.server.application",
                    case,
                    str(listening.fileno()),
                ],
                pass_fds=[listening.fileno()],
                env={**os.environ, SECRET_VARIABLE: secret},
            )
        pin(self.process.pid, SERVER_CORE)

    def status(self, token: str = "") -> int:
        """Return what the server answers to a request with this token."""
        request = urllib.request.Request(
            self.url, headers={"Authorization": f"Bearer {token}"} if token else {}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def cpu_seconds(self) -> float | None:
        """Return the seconds its main thread has run on a core, or None where nobody says."""
        accounts = Path(f"/proc/{self.process.pid}/schedstat")
        return int(accounts.read_text().split()[0]) / 1e9 if accounts.exists() else None

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def serving(cases: list[str], secret: str) -> Iterator[dict[str, Server]]:
    """Run all the cases at once.

    Between its rounds a server costs the others nothing but a tick of uvicorn's, ten times a
    second.
    """
    with ExitStack() as stack:
        servers = {}
        for case in cases:
            servers[case] = Server(case, secret)
            stack.callback(servers[case].stop)
        yield servers


def run_load(command: list[str]) -> str:
    """Run a load generator on the other core, and return what it printed."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        pin(process.pid, LOAD_CORE)
        output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{command[0]} failed:\n{output}")
    return output
