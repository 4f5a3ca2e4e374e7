"""A manager whose sessions and revocations are on a server.

What each call takes, and how many of them one process gets done.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from benchmarks.claims import APPLICATION
from benchmarks.peers.jwt_libraries import Material, make_manager
from benchmarks.places import server_of
from benchmarks.postgres import Postgres, Turns
from benchmarks.timing import time_calls

from .job import Job

CALLS = 100
COUNTED_CALLS = 1_000
DEVICES = 3
"""Sessions of each subject whose sessions are read or ended together."""
THREADS = {"redis": 1, "redis_threads": 4, "sql_postgres": 1, "sql_threads": 4}

Step = tuple[str, Callable[[Any], Any], Sequence[Any]]


class Remote(Job):
    def __init__(self, peer: str, *, tokens: str, cores: Sequence[int]) -> None:
        self.peer = peer
        server = server_of(peer, cores)
        assert server is not None
        self.server = server
        self.client: Any = server.engine() if isinstance(server, Postgres) else server.client()
        self.material = Material.read_from(tokens)
        self.manager = make_manager(self.material, **server.options(self.client))
        self.numbers = itertools.count()

    def facts(self) -> dict[str, Any]:
        return {"server": self.server.version}

    def create(self, subject: str) -> Any:
        return self.manager.create(APPLICATION, subject=subject)

    def subjects(self, count: int) -> list[str]:
        """Return names of subjects, none of them seen before."""
        return [f"uid{next(self.numbers)}" for _ in range(count)]


class Calls(Remote):
    """Each call of the manager, one at a time, and a ``PING``.

    The ``PING`` shows what any round trip takes here.
    """

    def __init__(self, peer: str, *, tokens: str, cores: Sequence[int]) -> None:
        super().__init__(peer, tokens=tokens, cores=cores)
        self.round()
        self.trips: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        timed = self.manager, self.client
        if isinstance(self.server, Postgres):
            self.turns = Turns(self.server.port)
            self.client = self.server.engine(self.turns.port)
            self.manager = make_manager(self.material, **self.server.options(self.client))
            self.round()  # What connects, or begins to listen, does so before it is counted.
        for name, call, inputs in self.steps(COUNTED_CALLS):
            self.trips[name], self.cpu[name] = (
                total / len(inputs) for total in self.count(call, inputs)
            )
        self.manager, self.client = timed

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "round_trips": self.trips, "server_seconds": self.cpu}

    def round(self) -> dict[str, float]:
        return {name: time_calls(call, inputs) for name, call, inputs in self.steps(CALLS)}

    def count(self, call: Callable[[Any], Any], inputs: Sequence[Any]) -> tuple[int, float]:
        """Return how often the client waited for an answer, and the server's seconds of work."""
        if isinstance(self.server, Postgres):
            return self.count_turns(call, inputs)
        send, trips = self.client.execute_command, 0

        def execute_command(*command: Any, **options: Any) -> Any:
            nonlocal trips
            trips += 1
            return send(*command, **options)

        self.client.execute_command = execute_command
        before = self.server.cpu_seconds()
        for argument in inputs:
            call(argument)
        spent = self.server.cpu_seconds() - before
        del self.client.execute_command
        return trips, spent

    def count_turns(self, call: Callable[[Any], Any], inputs: Sequence[Any]) -> tuple[int, float]:
        """Count as :meth:`count` does, on the way to the server."""
        trips, before = self.turns.count, self.server.cpu_seconds()
        for argument in inputs:
            call(argument)
        return self.turns.count - trips, self.server.cpu_seconds() - before

    def ping(self, _: str) -> None:
        if isinstance(self.server, Postgres):
            with self.client.execution_options(isolation_level="AUTOCOMMIT").connect() as bare:
                bare.exec_driver_sql("SELECT 1")
        else:
            self.client.ping()

    def steps(self, count: int) -> Iterator[Step]:
        """Return what to call, and with which arguments, made when the step before it is done."""
        manager = self.manager
        held: dict[str, Any] = {}

        def create(subject: str) -> None:
            held[subject] = self.create(subject)

        def update(subject: str) -> None:
            held[subject] = manager.update(held[subject].refresh_token, APPLICATION)

        def read_all(subject: str) -> None:
            assert len(manager.read_all(subject)) == DEVICES

        def delete_one(subject: str) -> None:
            assert manager.delete_one(subject, held[subject].session_id)

        def delete_all(subject: str) -> None:
            assert manager.delete_all(subject) == DEVICES

        subjects = self.subjects(count)
        yield "ping", self.ping, subjects
        yield "create", create, subjects
        claims = [manager.read(held[subject].access_token) for subject in subjects]
        yield (
            "read",
            manager.read,
            [held[subject].access_token.encode().decode() for subject in subjects],
        )
        yield "update", update, subjects
        refreshed = [manager.read(held[subject].access_token) for subject in subjects]
        assert [opened.session_id for opened in refreshed] == [
            opened.session_id for opened in claims
        ]
        yield "restrict_one", manager.restrict_one, refreshed
        assert not any(self.is_accepted(held[subject].access_token) for subject in subjects)
        for subject in subjects:
            update(subject)
        assert all(self.is_accepted(held[subject].access_token) for subject in subjects)
        yield "delete_one", delete_one, subjects
        assert not any(self.is_accepted(held[subject].access_token) for subject in subjects)
        subjects = self.subjects(count)
        opened = [self.create(subject).access_token for subject in subjects for _ in range(DEVICES)]
        yield "read_all", read_all, subjects
        yield "delete_all", delete_all, subjects
        assert not any(map(self.is_accepted, opened))

    def is_accepted(self, token: str) -> bool:
        from tokenwheel.errors import AccessTokenRevoked

        try:
            self.manager.read(token)
        except AccessTokenRevoked:
            return False
        return True


class FullSpeed(Remote):
    """One process that does nothing but open, refresh and end sessions.

    It does so in one thread or in several. Its times are seconds by calls done.
    """

    def __init__(self, peer: str, *, tokens: str, cores: Sequence[int]) -> None:
        super().__init__(peer, tokens=tokens, cores=cores)
        self.threads = ThreadPoolExecutor(THREADS[peer])
        self.round()

    def round(self) -> dict[str, float]:
        manager, subjects = self.manager, self.subjects(CALLS * 4)
        opened: dict[str, Any] = {}

        def create(subject: str) -> None:
            opened[subject] = self.create(subject)

        def update(subject: str) -> None:
            opened[subject] = manager.update(opened[subject].refresh_token, APPLICATION)

        def delete(subject: str) -> None:
            assert manager.delete_one(subject, opened[subject].session_id)

        return {
            call.__name__: self.time_threads(call, subjects) for call in (create, update, delete)
        }

    def time_threads(self, call: Callable[[str], None], inputs: Sequence[str]) -> float:
        count = THREADS[self.peer]
        shares = [inputs[number::count] for number in range(count)]
        start = perf_counter()
        # What a thread raises comes out here.
        for _ in self.threads.map(lambda share: [call(argument) for argument in share], shares):
            pass
        return (perf_counter() - start) / len(inputs)
