"""A service of several nodes, and how soon a logout on one of them is a logout on all.

A node is a process with a manager whose sessions and revocations are on one server. Nobody asks it
over and over whether it refuses by now, which would measure how the system shares few cores among
many busy processes. It reads the token as soon as it has heard, in the thread that hears, and notes
when that read has refused it. All take the time from the system's monotonic clock, which processes
share.
"""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.claims import APPLICATION
from benchmarks.peers.jwt_libraries import Material, make_manager
from benchmarks.places import server_of
from benchmarks.postgres import engine_at
from benchmarks.race import FOLDER, Worker

from .job import Job

LIVING = 1_000
"""Sessions that nobody ends, and that must never be refused."""
READS_AT_ONCE = 10
READ_BATCHES, CREATES, UPDATES = 100, 10, 10
"""What each node does in a second, besides ending sessions."""
TO_ENDING = 0.1
"""The share of reads that are of sessions which will be ended, or are."""
LEAD = 0.5  # seconds at both ends of the run, in which nobody is logged out

Hear = Callable[[Iterable[tuple[str, float, int | None]]], None]
Opened = tuple[str, str, str, str]  # subject, session id, access token, refresh token


class LoggingOut(Job):
    """One round is a whole run of the service. Its times are those of all its logouts."""

    def __init__(
        self,
        peer: str,
        *,
        tokens: str,
        cores: Sequence[int],
        nodes: int,
        logouts: int,
        seconds: float,
    ) -> None:
        self.peer = peer
        self.cores = cores
        server = server_of(peer, cores)
        assert server is not None
        self.server = server
        manager = make_manager(Material.read_from(tokens), **self.server.options())
        opened = [
            manager.create(APPLICATION, subject=f"uid{number}")
            for number in range(logouts + LIVING)
        ]
        manager.close()
        sessions = [
            (f"uid{number}", session.session_id, session.access_token, session.refresh_token)
            for number, session in enumerate(opened)
        ]
        self.ending = [session[1] for session in sessions[:logouts]]
        path = FOLDER / "sessions.json"
        path.write_text(json.dumps({"ending": sessions[:logouts], "living": sessions[logouts:]}))
        options = {
            "tokens": tokens,
            "cores": cores,
            "port": self.server.port,
            "seconds": seconds,
            "sessions": str(path),
        }
        self.threads = ThreadPoolExecutor(nodes)  # Each waits for the answers of one node.
        places = [[number, nodes] for number in range(nodes)]
        self.nodes = list(
            self.threads.map(
                lambda place: Worker(peer, "logging_out:Node", {**options, "place": place}), places
            )
        )

    def facts(self) -> dict[str, Any]:
        return {"server": self.server.version, "logouts": len(self.ending)}

    def round(self) -> dict[str, float]:
        started, spent = time.monotonic(), self.server.cpu_seconds()
        reports: list[dict[str, Any]] = [
            node_report["seconds"]
            for node_report in self.threads.map(lambda node: node.ask({"round": 0}), self.nodes)
        ]
        elapsed = time.monotonic() - started
        spent = self.server.cpu_seconds() - spent + sum(node["cpu"] for node in reports)
        for node in self.nodes:
            node.close()
        waits = [find_wait(session_id, reports) for session_id in self.ending]
        hundredths = statistics.quantiles(waits, n=100, method="inclusive")
        return {
            "p50": hundredths[49],
            "p90": hundredths[89],
            "p99": hundredths[98],
            "max": max(waits),
            "at_once": sum(not wait for wait in waits) / len(waits),
            "busy": spent / elapsed / (len(self.cores) or os.cpu_count() or 1),
        }


def find_wait(session_id: str, reports: Sequence[dict[str, Any]]) -> float:
    """Return the seconds from a node's ``delete_one`` until the last of the others refused.

    They count from when that call had returned, and are 0 where all had refused before.
    """
    [ender] = [node for node in reports if session_id in node["returned"]]
    return (
        max(
            0,
            *(
                node["refused"][session_id] - ender["returned"][session_id]
                for node in reports
                if node is not ender
            ),
        )
        / 1e9
    )


def options_of(peer: str, port: int, hear: Hear) -> dict[str, Any]:
    """Return a node's storage and its list.

    ``hear`` is called with revocations as soon as they have been taken in.
    """
    from tokenwheel import RedisFeed, RedisStorage, RevocationList, SqlFeed, SqlStorage

    class Hearing:
        def start(self, apply: Any) -> None:
            def take(revocations: Iterable[tuple[str, float, int | None]]) -> None:
                taken = list(revocations)
                apply(taken)
                hear(taken)

            super().start(take)  # type: ignore[misc]

    if peer == "redis":
        import redis

        client = redis.Redis(port=port)
        of_redis = type("Feed", (Hearing, RedisFeed), {})
        return {"storage": RedisStorage(client), "revocations": RevocationList(of_redis(client))}
    engine = engine_at(port)
    of_sql = type("Feed", (Hearing, SqlFeed), {})
    return {"storage": SqlStorage(engine), "revocations": RevocationList(of_sql(engine))}


class Node(Job):
    """A node under load, all of it at moments drawn beforehand.

    Its load is reads, sessions opened and refreshed, and its share of the logouts.
    """

    def __init__(
        self,
        peer: str,
        *,
        tokens: str,
        cores: Sequence[int],
        port: int,
        seconds: float,
        sessions: str,
        place: tuple[int, int],
    ) -> None:
        self.peer = peer
        self.parent = os.getppid()
        if cores:
            os.sched_setaffinity(0, cores)
        number, nodes = place
        file = json.loads(Path(sessions).read_text())
        self.ending: list[Opened] = file["ending"]
        self.living: list[Opened] = file["living"]
        self.own_ending, self.own_living = self.ending[number::nodes], self.living[number::nodes]
        self.tokens: dict[str, str] = {}
        self.returned: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.counted: Counter[str] = Counter()
        self.manager = make_manager(Material.read_from(tokens), **options_of(peer, port, self.hear))
        for _, session_id, token, _ in [*self.ending, *self.living]:
            assert self.manager.read(token)["sid"] == session_id
        self.tokens = {session[1]: session[2] for session in self.ending}
        self.random = random.Random(number)
        self.schedule = self.draw_schedule(seconds)

    def draw_schedule(self, seconds: float) -> list[tuple[float, str]]:
        chance = self.random
        first = chance.random() / READ_BATCHES
        moments = [
            (first + number / READ_BATCHES, "read") for number in range(int(seconds * READ_BATCHES))
        ]
        for name, rate in (("create", CREATES), ("update", UPDATES)):
            moments += [(chance.random() * seconds, name) for _ in range(int(seconds * rate))]
        moments += [
            (LEAD + chance.random() * (seconds - 2 * LEAD), "log_out") for _ in self.own_ending
        ]
        return sorted(moments)

    def round(self) -> dict[str, Any]:
        gc.enable()  # As in any server; the figure is of what its users see.
        began, spent = time.monotonic(), time.process_time()
        for moment, name in self.schedule:
            if os.getppid() != self.parent:
                raise SystemExit("whoever started this node is gone")
            ahead = began + moment - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            getattr(self, name)()
            self.counted[name] += 1
        spent = time.process_time() - spent
        self.check()
        return {"returned": self.returned, "refused": self.refused, "cpu": spent}

    def hear(self, revocations: Iterable[tuple[str, float, int | None]]) -> None:
        for session_id, _, _ in revocations:
            token = self.tokens.get(session_id)
            if token is not None and not self.is_accepted(token):
                self.refused.setdefault(session_id, time.monotonic_ns())

    def is_accepted(self, token: str) -> bool:
        from tokenwheel.errors import AccessTokenRevoked

        try:
            self.manager.read(token)
        except AccessTokenRevoked:
            return False
        return True

    def read(self) -> None:
        for _ in range(READS_AT_ONCE):
            if self.random.random() < TO_ENDING:
                _, session_id, token, _ = self.random.choice(self.ending)
                has_ended = session_id in self.refused or session_id in self.returned
                assert not (self.is_accepted(token) and has_ended), (
                    "accepted after the logout was heard"
                )
            else:
                assert self.is_accepted(self.random.choice(self.living)[2]), (
                    "refused, and nobody had logged out"
                )

    def create(self) -> None:
        self.manager.create(APPLICATION, subject="somebody")

    def update(self) -> None:
        place = self.random.randrange(len(self.own_living))
        subject, session_id, token, refresh_token = self.own_living[place]
        refreshed = self.manager.update(refresh_token, APPLICATION)
        self.own_living[place] = (subject, session_id, token, refreshed.refresh_token)

    def log_out(self) -> None:
        subject, session_id, token, _ = self.own_ending[self.counted["log_out"]]
        assert self.manager.delete_one(subject, session_id)
        self.returned[session_id] = time.monotonic_ns()
        assert not self.is_accepted(token), "accepted on the node that logged out"

    def check(self) -> None:
        """Check that each session that has ended is refused, and no other."""
        assert not any(self.is_accepted(session[2]) for session in self.ending)
        assert all(self.is_accepted(session[2]) for session in self.living)
