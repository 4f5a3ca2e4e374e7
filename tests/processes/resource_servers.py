"""Login services and resource servers as processes of their own, and their clients."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import jwt

from tests.servers import LONGEST_WAIT, free_port, until

__all__ = ["ROOT", "SERVERS", "Client", "Served", "kid_of", "log_in", "run_keys", "serving"]

ROOT = Path(__file__).resolve().parent.parent.parent
KEEP_ALIVE = str(LONGEST_WAIT)
UVICORN = ["--no-access-log", "--timeout-keep-alive", KEEP_ALIVE]
SERVERS = {
    "login": ["uvicorn", "tests.processes.login_service:app", *UVICORN],
    "asgi": ["uvicorn", "tests.processes.resource_asgi:app", *UVICORN],
    "wsgi": [
        *["gunicorn", "tests.processes.resource_wsgi:app", "--preload", "--workers=2"],
        *["--worker-class=gthread", "--threads=4", "--keep-alive", KEEP_ALIVE],
    ],
}


class Client:
    """One connection, kept alive, over which one thread makes its requests.

    The servers share the machine with it, so it does no more than it has to.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), LONGEST_WAIT)
        self._answers = self._socket.makefile("rb")
        self.worker = b""  # which of the server's processes has answered, where it has several

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()

    def ask(self, path: str, token: str = "", method: str = "GET") -> tuple[int, str]:
        """Return the status and the text of an answer."""
        fields = f"Authorization: Bearer {token}\r\n" if token else ""
        # A server may send the fields of an answer and its body apart, and then the body waits for
        # the client's word that the fields have come, which comes late by default.
        if sys.platform == "linux":
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self._socket.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()
        )
        status_line = self._answers.readline().split()
        if len(status_line) < 2:
            raise ConnectionResetError("the server has closed the connection")
        length = 0
        while (field := self._answers.readline().rstrip().lower()) != b"":
            if field.startswith(b"content-length:"):
                length = int(field.partition(b":")[2])
            elif field.startswith(b"worker:"):
                self.worker = field
        return int(status_line[1]), self._answers.read(length).decode()


class Served:
    """A server's process, which can be killed and started again on its port."""

    def __init__(self, kind: str, folder: Path, *options: str, **environment: str) -> None:
        self.port = free_port()
        self._workers = 2 if kind == "wsgi" else 1
        where = f"--bind=127.0.0.1:{self.port}" if kind == "wsgi" else f"--port={self.port}"
        self._command = [sys.executable, "-m", *SERVERS[kind], where, *options]
        self._environment = {**os.environ, **environment}
        self._log = folder / f"{kind}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._answers, "the server's first answer", interval=0.05)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the process, with all that it has started if it is killed."""
        if self._process is not None:
            send = os.killpg if how == signal.SIGKILL else os.kill
            send(self._process.pid, how)
            self._process.wait(LONGEST_WAIT)
            self._process = None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text()

    def client(self) -> Client:
        return Client(self.port)

    def ask(self, path: str, token: str = "", method: str = "GET") -> tuple[int, str]:
        """Return the status and the text of an answer, over a connection of its own."""
        with self.client() as client:
            return client.ask(path, token, method)

    def ask_each(self, path: str, token: str = "") -> list[tuple[int, str]]:
        """Return the answer of each process of a resource server.

        Which of them takes a connection is left to chance.
        """
        answers = {}

        def have_answered() -> bool:
            with self.client() as client:
                answer = client.ask(path, token)
                answers[client.worker] = answer
            return len(answers) == self._workers

        until(have_answered, "an answer of each process")
        return list(answers.values())

    def stats(self) -> list[dict[str, Any]]:
        """Return how the keys stand in each process of a resource server."""
        return [json.loads(text) for _, text in self.ask_each("/stats")]

    def _answers(self) -> bool:
        assert self.is_alive, self.log
        try:
            self.ask("/")
        except OSError:
            return False
        return True


@contextmanager
def serving(kind: str, folder: Path, *options: str, **environment: str) -> Iterator[Served]:
    """Serve one of ``SERVERS`` for a while."""
    server = Served(kind, folder, *options, **environment)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def log_in(client: Client | Served) -> str:
    """Return an access token."""
    status, token = client.ask("/login", method="POST")
    assert status == 200, token
    return token


def kid_of(token: str) -> str:
    """Return the kid that the header of a token names."""
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def run_keys(*arguments: str | Path, later: float = 0) -> str:
    """Run ``tokenwheel keys``, as an operator does, perhaps some seconds later.

    Returns:
        What it says.
    """
    program = (
        "import runpy, time, time_machine\n"
        f"with time_machine.travel(time.time() + {later}):\n"
        "    runpy.run_module('tokenwheel', run_name='__main__', alter_sys=True)"
    )
    how = ["-c", program] if later else ["-m", "tokenwheel"]
    done = subprocess.run(
        [sys.executable, *how, "keys", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
