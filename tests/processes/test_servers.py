"""The README's application under the README's commands.

The servers are real, each with four workers, of which any may get the next request.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Node, empty, free_port, needs_server, until

README = Path(__file__).resolve().parent.parent.parent / "README.md"
WORKERS = 4
REQUESTS = 60
AT_ONCE = 12  # over connections of their own, so that one worker alone is not quick enough for all
WORKER_ENDPOINT = """

@app.get("/worker")
async def worker():
    return __import__("os").getpid()
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a shell")


def shown(language: str, containing: str) -> str:
    """Return the first block of the README that has this in it. What builds on it comes later."""
    blocks = re.findall(
        rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return next(block for block in blocks if containing in block)


def application(over: str = "SqliteFeed(") -> str:
    """Return the application of the README, with ``sessions`` made as another section says.

    These are the sections on several workers and on several machines.
    """
    program = replace_assignment(shown("python", "FastAPI()"), "sessions", shown("python", over))
    if over == "RedisFeed(":
        program = replace_assignment(program, "app", shown("python", "lifespan="))
    return program + WORKER_ENDPOINT


def replace_assignment(program: str, name: str, replacement: str) -> str:
    """Return the program with the one statement that assigns to the name replaced as a whole."""
    (statement,) = (
        statement
        for statement in ast.parse(program).body
        if isinstance(statement, ast.Assign)
        and [target.id for target in statement.targets if isinstance(target, ast.Name)] == [name]
    )
    lines = program.splitlines()
    lines[statement.lineno - 1 : statement.end_lineno] = [replacement]
    return "\n".join(lines)


def ask(port: int, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
    )
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def ask_often(port: int, path: str, token: str = "") -> list[tuple[int, Any]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda _: ask(port, "GET", path, token=token), range(REQUESTS)))


def statuses(port: int, token: str) -> set[int]:
    return {status for status, _ in ask_often(port, "/me", token)}


@contextmanager
def serving(command: str, folder: Path, port: int) -> Iterator[None]:
    name, *arguments = shlex.split(command)
    where = ["--port", str(port)] if name == "uvicorn" else ["--bind", f"127.0.0.1:{port}"]
    with (folder / "log").open("a") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", name, *arguments, *where],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(
            lambda: answers(server, port, folder / "log"),
            "the application's first answer",
            interval=0.05,
        )
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def answers(server: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    try:
        ask(port, "GET", "/worker")
    except OSError:
        return False
    return True


def prepare(program: str, text: str, folder: Path) -> str:
    """Write the application and its keys into a folder. Return the command that serves it."""
    for name in (program, "fastapi"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    (folder / "app.py").write_text(text, encoding="utf-8")
    for line in shown("sh", "keys new").splitlines():
        if "keys new" in line:
            command = [sys.executable, "-m", *shlex.split(line)]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return shown("sh", f"{program} app:app --workers")


@needs_server
@pytest.mark.parametrize("program", ["uvicorn", "gunicorn"])
def test_workers_over_a_server_obey_a_logout_and_those_that_start_later_from_their_first_request(
    program: str, server: Node, tmp_path: Path
) -> None:
    empty(server)
    command = prepare(
        program,
        application("RedisFeed(").replace("localhost:6379", f"127.0.0.1:{server.port}"),
        tmp_path,
    )
    port = free_port()
    with serving(command, tmp_path, port):
        for _ in range(3):
            status, tokens = ask(
                port, "POST", "/login", {"name": "ann", "password": "correct horse"}
            )
            assert status == 200, tokens
            access = tokens["access_token"]
            assert statuses(port, access) == {200}
            assert ask(port, "POST", "/session/logout", token=access)[0] == 204
            until(lambda: statuses(port, access) == {401})
        status, kept = ask(port, "POST", "/login", {"name": "bob", "password": "correct horse"})
    with serving(command, tmp_path, port):
        assert statuses(port, access) == {401}
        assert (
            ask(port, "POST", "/session/refresh", {"refresh_token": kept["refresh_token"]})[0]
            == 200
        )
        ended = shlex.split(
            shown("sh", "redis://")
            .replace(" ann ", " bob ")
            .replace("localhost:6379", f"127.0.0.1:{server.port}")
        )
        subprocess.run(
            [sys.executable, "-m", *ended], cwd=tmp_path, check=True, capture_output=True
        )
        until(lambda: statuses(port, kept["access_token"]) == {401})


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_the_readmes_workers_obey_a_logout_at_once_and_after_a_restart(
    server: str, tmp_path: Path
) -> None:
    command, port = prepare(server, application(), tmp_path), free_port()
    with serving(command, tmp_path, port):
        workers: set[int] = set()
        while len(workers) < 2:  # They start one after the other.
            workers |= {worker for _, worker in ask_often(port, "/worker")}
        for _ in range(5):
            status, tokens = ask(
                port, "POST", "/login", {"name": "ann", "password": "correct horse"}
            )
            assert status == 200, tokens
            access = tokens["access_token"]
            assert statuses(port, access) == {200}
            assert ask(port, "POST", "/session/logout", token=access)[0] == 204
            assert statuses(port, access) == {401}
        status, kept = ask(port, "POST", "/login", {"name": "bob", "password": "correct horse"})
    with serving(command, tmp_path, port):
        assert statuses(port, access) == {401}
        assert ask(port, "GET", "/me", token=kept["access_token"])[0] == 200
        assert (
            ask(port, "POST", "/session/refresh", {"refresh_token": kept["refresh_token"]})[0]
            == 200
        )
        ended = shlex.split(shown("sh", "sessions list").splitlines()[1].replace(" ann ", " bob "))
        subprocess.run(
            [sys.executable, "-m", *ended], cwd=tmp_path, check=True, capture_output=True
        )
        assert statuses(port, kept["access_token"]) == {401}
