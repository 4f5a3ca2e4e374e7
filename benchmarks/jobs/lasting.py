"""Sessions and revocations that outlive a process."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.claims import APPLICATION
from benchmarks.peers.jwt_libraries import Material, make_manager
from benchmarks.timing import Batch, time_calls, time_round

from .job import Job

SESSIONS = 20_000
AT_ONCE = 10_000
CALLS = 50


class Lasting(Job):
    """A service's sessions: opened, refreshed and ended, on the storage and the feed of one file."""

    def __init__(self, peer: str, *, tokens: str) -> None:
        self.peer = peer
        file = json.loads(Path(tokens).read_text())
        material = Material(*(file[name] for name in Material._fields))
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "sessions.db")
        self.manager = make_manager(material, **self.options())
        self.numbers = itertools.count()
        before = self.bytes_held()
        self.held = [self.create(next(self.numbers)) for _ in range(SESSIONS if peer == "sqlite_normal" else CALLS)]
        self.bytes_per_session = (self.bytes_held() - before) / len(self.held)

    def options(self) -> dict[str, Any]:
        if self.peer == "memory":
            return {}
        from tokenwheel import RevocationList, SqliteFeed, SqliteStorage

        synchronous: Any = self.peer.removeprefix("sqlite_").upper()
        feed = SqliteFeed(self.file, synchronous=synchronous)
        return {"storage": SqliteStorage(self.file, synchronous=synchronous), "revocations": RevocationList(feed)}

    def bytes_held(self) -> int:
        return sum(one.stat().st_size for one in self.file.parent.glob(f"{self.file.name}*") if not one.name.endswith("-shm"))

    def facts(self) -> dict[str, float | str]:
        return {} if self.peer != "sqlite_normal" else {"bytes_per_session": self.bytes_per_session}

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
    """What a process does when it starts: it takes in every revocation that lives, before its first read."""

    def __init__(self, peer: str, *, size: int) -> None:
        from tokenwheel import Revocation, SqliteFeed

        self.peer = peer
        self.size = size
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "revocations.db")
        feed = SqliteFeed(self.file, synchronous="NORMAL")
        end = time.time() + 86_400
        for start in range(0, size, AT_ONCE):
            feed.publish([Revocation(os.urandom(8).hex(), end, None) for _ in range(min(AT_ONCE, size - start))])
        feed.close()

    def facts(self) -> dict[str, float | str]:
        return {"bytes_per_revocation": self.file.stat().st_size / self.size}

    def round(self) -> dict[str, float]:
        from tokenwheel import RevocationList, SqliteFeed

        start = time.perf_counter()
        revocations = RevocationList(SqliteFeed(self.file))
        spent = time.perf_counter() - start
        assert len(revocations) == self.size
        revocations.close()
        return {"replay": spent}


class Fed(Job):
    """A token seen before, read in a process whose list is tied to others by a feed: none, SQLite's, or one that each lookup must ask."""

    def __init__(self, peer: str, *, tokens: str) -> None:
        self.peer = peer
        file = json.loads(Path(tokens).read_text())
        material = Material(*(file[name] for name in Material._fields))
        self.raw = file["good"][0].encode()
        self.folder = tempfile.TemporaryDirectory()
        self.read = make_manager(material, **self.options()).read
        self.read(file["good"][0])
        time_round(self.make_batch, 0.2)

    def options(self) -> dict[str, Any]:
        if self.peer == "tokenwheel":
            return {}
        from tokenwheel import RevocationList, SqliteFeed

        return {"revocations": RevocationList(SqliteFeed(Path(self.folder.name, "revocations.db")))}

    def make_batch(self) -> Batch:
        return self.read, [self.raw.decode() for _ in range(100)]

    def round(self) -> dict[str, float]:
        return {"read": time_round(self.make_batch)}
