"""The applications of ``examples/``, each behind the real server that it is tried with."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest.mock import patch

from tests.web import servers
from tests.web.servers import EXAMPLES, Command, Server, serving
from tests.web.tls import Certificate
from tokenwheel import Key

HOST = "app.example.test"


class Example(NamedTuple):
    """An application, and the real server that it is tried with."""

    application: str
    command: Command
    workers: int
    has_socket: bool = True

    def __str__(self) -> str:
        framework = self.application.partition("_app")[0]
        return f"{framework}-{self.command.__name__}"


# gunicorn's sync workers are for behind a proxy that waits for slow clients: a connection that a
# browser opens in advance, or a slow one, holds up a whole worker.
SERVED = [
    Example("fastapi_app:app", servers.uvicorn, 2),
    Example("starlette_app:app", servers.hypercorn, 1),
    Example("flask_app:app", servers.gunicorn_threads, 1),
    Example("quart_app:app", servers.hypercorn, 1),
    Example("django_app:asgi", servers.uvicorn, 1),
    Example("django_app:wsgi", servers.gunicorn_threads, 2, has_socket=False),
]


class Site(NamedTuple):
    """An example that is served, and where its sessions lie."""

    server: Server
    folder: Path
    origin: str
    has_socket: bool = True


@contextmanager
def served(
    example: Example, folder: Path, certificate: Certificate | None, **environment: str
) -> Iterator[Site]:
    """Serve the example, with keys and sessions in a folder of its own."""
    make_keys(folder)
    with serving(
        example.command,
        example.application,
        folder,
        certificate=certificate,
        workers=example.workers,
        environment={"SESSIONS_FOLDER": str(folder), **environment},
    ) as server:
        yield Site(server, folder, server.origin(HOST), example.has_socket)


def make_keys(folder: Path) -> None:
    """Make the two keys that an example finds in its folder."""
    for name, algorithm in (("keys.json", "ES256"), ("storage.jwk", "HS256")):
        (folder / name).write_text(json.dumps(Key.generate(algorithm).to_jwk(private=True)))


@contextmanager
def loaded(name: str, folder: Path) -> Iterator[ModuleType]:
    """Import an example into this process, with keys and sessions in a folder of its own."""
    make_keys(folder)
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Annotations of a module are looked up in what is imported.
    with patch.dict(sys.modules, {name: module}):
        with patch.dict(os.environ, {"SESSIONS_FOLDER": str(folder)}):
            specification.loader.exec_module(module)
        yield module
