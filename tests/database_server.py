"""What the database servers of the tests have in common.

A server is a process with a folder and a port of its own, which ends with the block that started
it. Which servers there are is in ``tests/databases.py``.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.servers import LONGEST_WAIT, free_port, until


@dataclass(frozen=True)
class Database:
    """A database on a server."""

    server: DatabaseServer
    name: str

    def url(self, driver: str, *, port: int = 0) -> str:
        """Return SQLAlchemy's URL, by a driver such as ``asyncpg``, through another port if any."""
        server = self.server
        place = f"127.0.0.1:{port or server.port}"
        return f"{server.dialect}+{driver}://{server.login}@{place}/{self.name}"

    @property
    def django(self) -> dict[str, Any]:
        """An entry of Django's ``DATABASES``."""
        server = self.server
        return {
            "ENGINE": f"django.db.backends.{server.django_backend}",
            "HOST": "127.0.0.1",
            "PORT": server.port,
            "USER": server.user,
            "PASSWORD": server.password,
            "NAME": self.name,
        }

    def connect(self) -> Any:
        """Return a blocking connection of the plain driver, which commits each statement."""
        return self.server.connect(self.name)

    def execute(self, statement: str, *arguments: Any) -> list[Any]:
        """Run a statement on a connection of its own. Return its rows, if it has any."""
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement, arguments or None)
            return list(cursor.fetchall()) if cursor.description else []


class DatabaseServer:
    """A server process, which can be stopped, killed and started again on its port and folder."""

    dialect: str
    django_backend: str
    user: str
    password = ""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        # pytest's own folders can be entered only by who runs the tests.
        self.folder = Path(tempfile.mkdtemp(prefix="tokenwheel-"))
        if os.name == "posix" and os.geteuid() == 0:
            shutil.chown(self.folder, "nobody")

    def __enter__(self) -> Self:
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def login(self) -> str:
        return f"{self.user}:{self.password}" if self.password else self.user

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def prepare(self) -> None:
        """Make what the folder needs before the first start."""

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def connect(self, database: str) -> Any:
        raise NotImplementedError

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=self.folder, stdout=log, stderr=log, **self._identity()
            )
        until(self._answers, "the server's answer", 0.01)

    def stop(self) -> None:
        """End the server as its administrator would, with all connections."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server, with no time to put anything in order."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Answer nothing from here on, and break no connection."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Make a new database, and drop it in the end."""
        database = Database(self, f"tests_{secrets.token_hex(6)}")
        self._administer(f"CREATE DATABASE {database.name}")
        try:
            yield database
        finally:
            if self._process is not None:
                self._drop(database.name)

    def _administer(self, statement: str) -> None:
        raise NotImplementedError

    def _drop(self, name: str) -> None:
        raise NotImplementedError

    def _end(self, how: int) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(LONGEST_WAIT)
            self._process = None

    def _run(self, *command: str) -> None:
        subprocess.run(
            command,
            cwd=self.folder,
            check=True,
            timeout=LONGEST_WAIT,
            capture_output=True,
            **self._identity(),
        )

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            self._administer("SELECT 1")
        except Exception:  # Each driver has errors of its own, and all are looked at again.
            return False
        return True

    def _identity(self) -> dict[str, Any]:
        """Return as whom the server runs, in ``subprocess``'s words."""
        if os.name == "posix" and os.geteuid() == 0:
            return {"user": "nobody", "group": self.folder.group(), "extra_groups": []}
        return {}
