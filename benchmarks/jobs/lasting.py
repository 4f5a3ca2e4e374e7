"""Sessions and revocations that outlive a process."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.claims import APPLICATION
from benchmarks.peers.jwt_libraries import Material, make_manager
from benchmarks.places import server_of
from benchmarks.postgres import Postgres
from benchmarks.timing import Batch, time_calls, time_round

from .job import Job

SESSIONS = {"sqlite_normal": 20_000, "redis": 50_000, "sql_postgres": 10_000}
"""How many are held by those whose size is measured."""
AT_ONCE = 10_000
CALLS = 50


class Lasting(Job):
    """A service's sessions: opened, refreshed and ended.

    Storage and feed are those of one file, or of one server.
    """

    def __init__(self, peer: str, *, tokens: str, cores: Sequence[int]) -> None:
        self.peer = peer
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "sessions.db")
        self.server = server_of(peer, cores)
        self.manager = make_manager(Material.read_from(tokens), **self.options())
        self.numbers = itertools.count()
        size = SESSIONS.get(peer, CALLS)
        held = [self.bytes_held()]
        self.held = [self.create(next(self.numbers)) for _ in range(size)]
        held.append(self.bytes_held())
        if self.server is not None:
            for place in range(size):
                self.update(place)
            held.append(self.bytes_held())
        names = ("bytes_per_session", "bytes_per_refreshed") if size > CALLS else ()
        self.sizes = {
            name: (bytes_held - held[0]) / size
            for name, bytes_held in zip(names, held[1:], strict=False)
        }

    def options(self) -> dict[str, Any]:
        if self.peer == "memory":
            return {}
        if self.server is not None:
            return self.server.options()
        from tokenwheel import RevocationList, SqliteFeed, SqliteStorage

        synchronous: Any = self.peer.removeprefix("sqlite_").upper()
        feed = SqliteFeed(self.file, synchronous=synchronous)
        return {
            "storage": SqliteStorage(self.file, synchronous=synchronous),
            "revocations": RevocationList(feed),
        }

    def bytes_held(self) -> int:
        if self.server is not None:
            return self.server.bytes_held()
        return sum(
            file.stat().st_size
            for file in self.file.parent.glob(f"{self.file.name}*")
            if not file.name.endswith("-shm")
        )

    def facts(self) -> dict[str, Any]:
        return {**self.sizes, **({} if self.server is None else {"server": self.server.version})}

    def create(self, number: int) -> Any:
        return self.manager.create(APPLICATION, subject=f"uid{number}")

    def update(self, place: int) -> None:
        self.held[place] = self.manager.update(self.held[place].refresh_token, APPLICATION)

    def end(self, opened: tuple[str, str]) -> None:
        assert self.manager.delete_one(*opened)

    def round(self) -> dict[str, float]:
        numbers = [next(self.numbers) for _ in range(CALLS)]
        opened: list[tuple[str, str]] = []

        def open_one(number: int) -> None:
            opened.append((f"uid{number}", self.create(number).session_id))

        return {
            "create": time_calls(open_one, numbers),
            "update": time_calls(self.update, range(CALLS)),
            "delete": time_calls(self.end, opened),
        }


class Replaying(Job):
    """What a process does when it starts.

    It takes in every revocation that lives, before its first read.
    """

    def __init__(self, peer: str, *, size: int, cores: Sequence[int]) -> None:
        from tokenwheel import Revocation, SqliteFeed

        self.peer = peer
        self.size = size
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "revocations.db")
        self.server = server_of(peer, cores)
        self.before = self.bytes_held()
        end = time.time() + 86_400
        feed: Any = (
            SqliteFeed(self.file, synchronous="NORMAL")
            if self.server is None
            else self.server.feed()
        )
        for start in range(0, size, AT_ONCE):
            revocations = [
                Revocation(os.urandom(8).hex(), end, None)
                for _ in range(min(AT_ONCE, size - start))
            ]
            if peer == "redis_fed":
                publish_each(feed, revocations)
            else:
                feed.publish(revocations)
        feed.close()

    def bytes_held(self) -> int:
        if self.server is not None:
            return self.server.bytes_held()
        return self.file.stat().st_size if self.file.exists() else 0

    def facts(self) -> dict[str, Any]:
        server = {} if self.server is None else {"server": self.server.version}
        return {"bytes_per_revocation": (self.bytes_held() - self.before) / self.size, **server}

    def round(self) -> dict[str, float]:
        from tokenwheel import RevocationList, SqliteFeed

        start = time.perf_counter()
        revocations = RevocationList(
            SqliteFeed(self.file) if self.server is None else self.server.feed()
        )
        spent = time.perf_counter() - start
        assert len(revocations) == self.size
        revocations.close()
        return {"replay": spent}


def publish_each(feed: Any, revocations: Sequence[Any]) -> None:
    """Publish each revocation in an entry of its own, as one logout after the other would.

    Unlike there, nobody waits for an answer before the next is sent.
    """
    from tokenwheel.redis.scripts import APPEND

    pipeline = feed.client.adapted.pipeline(transaction=False)
    pipeline.script_load(APPEND.text)
    for revocation in revocations:
        stream, lasting, messages = feed.entry_for([revocation])
        pipeline.execute_command("EVALSHA", APPEND.sha, 1, stream, lasting, *messages)
    pipeline.execute()


class Fed(Job):
    """A token seen before, read in a process whose list is tied to others by a feed.

    The feed is none, SQLite's, or Redis's.
    """

    def __init__(self, peer: str, *, tokens: str, cores: Sequence[int]) -> None:
        self.peer = peer
        file = json.loads(Path(tokens).read_text())
        self.raw = file["good"][0].encode()
        self.folder = tempfile.TemporaryDirectory()
        self.server = server_of(peer, cores)
        self.read = make_manager(Material.read_from(tokens), **self.options()).read
        self.read(file["good"][0])
        time_round(self.make_batch, 0.2)

    def options(self) -> dict[str, Any]:
        if self.peer == "tokenwheel":
            return {}
        from tokenwheel import RedisFeed, RevocationList, SqlFeed, SqliteFeed

        if self.server is None:
            return {
                "revocations": RevocationList(SqliteFeed(Path(self.folder.name, "revocations.db")))
            }
        if isinstance(self.server, Postgres):
            return {"revocations": RevocationList(SqlFeed(self.server.engine()))}
        when_stale: Any = "refuse" if self.peer == "redis_fed_refusing" else "accept"
        return {
            "revocations": RevocationList(RedisFeed(self.server.client(), when_stale=when_stale))
        }

    def facts(self) -> dict[str, Any]:
        return {} if self.server is None else {"server": self.server.version}

    def make_batch(self) -> Batch:
        return self.read, [self.raw.decode() for _ in range(100)]

    def round(self) -> dict[str, float]:
        return {"read": time_round(self.make_batch)}
