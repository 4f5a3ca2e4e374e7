"""A node of a trial: a process with a manager, whose workers log in, refresh, read and log out.

It is told all it does by a seed and by the memory that it shares (``shared.py``), and writes each
call down (``journal.py``). A worker is a coroutine. Over a blocking manager it is run in a thread,
where it never waits for an event loop. Over an asyncio one several of them share the loop.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Coroutine, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from tests.processes.support import nobody_waits_for_interpreter
from tests.servers import no_retry
from tests.support import SECRET
from tokenwheel import (
    AsyncSessionManager,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)
from tokenwheel.json_text import dumps, loads

from .journal import Birth, Journal
from .shared import NOT_FORKED, Controls, Order, Phase, Seat, Shelf
from .worker import Worker

STALENESS = 2.0  # seconds
PATIENCE = 2.0  # seconds that a call waits for a lock or an answer
GRACE = 5  # seconds
WITNESS = -1  # the life of the node that looks at everything in the end
_TICK = 0.01  # seconds between two looks at what the node is told
_ATTEMPTS = 100  # at a fork without hooks


@dataclass(frozen=True)
class Plan:
    """What a node is to be, as it is handed to its process."""

    feed: str  # "sqlite" or "redis"
    folder: str
    seat: int
    life: int
    seed: str
    workers: int = 1
    is_async: bool = False
    refuses: bool = True
    port: int = 0  # of the server, or of the bad network before it

    @property
    def name(self) -> str:
        return "witness" if self.life == WITNESS else f"node {self.life}"

    @property
    def database(self) -> Path:
        return Path(self.folder) / "data" / "sessions.db"

    def to_json(self) -> str:
        return dumps(asdict(self)).decode()


class Node:
    """The process that this runs in."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.controls = Controls.open(Path(plan.folder) / "controls")
        self.shelf = Shelf(Path(plan.folder) / "shelf")
        self.manager: Any = None
        self.journal: Journal
        self.numbers: Iterator[int]  # of calls
        self._threads: list[threading.Thread] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._rests = False

    @property
    def seat(self) -> Seat:
        seat: Seat = self.controls.seats[self.plan.seat]
        return seat

    def clock(self) -> float:
        ahead: int = self.seat.ahead
        return time.time() + ahead

    def open_manager(self) -> Any:
        """Return a manager over what the plan names.

        Raises:
            StorageUnavailable: that is out of reach.
        """
        plan = self.plan
        storage: Any
        feed: Any
        if plan.feed == "sqlite":
            storage = SqliteStorage(plan.database, timeout=PATIENCE, synchronous="NORMAL")
            feed = SqliteFeed(
                plan.database, timeout=PATIENCE, synchronous="NORMAL", clock=self.clock
            )
        else:
            library: Any = redis.asyncio if plan.is_async else redis
            client = library.Redis(port=plan.port, retry=no_retry(library), socket_timeout=PATIENCE)
            storage = RedisStorage(client)
            feed = RedisFeed(
                client,
                max_staleness=STALENESS,
                when_stale="refuse" if plan.refuses else "accept",
                clock=self.clock,
            )
        kind = AsyncSessionManager if plan.is_async else SessionManager
        return kind(
            SECRET,
            issuer="i",
            audience="a",
            reuse_grace=GRACE,
            storage=storage,
            revocations=RevocationList(feed, clock=self.clock),
            clock=self.clock,
        )

    async def begin(self) -> None:
        """Make the manager, as soon as what it needs can be reached."""
        while True:
            try:
                manager = self.open_manager()
                if self.plan.is_async:
                    await manager.__aenter__()
            except StorageUnavailable:
                self._give_up_when_late()
                await self.pause(_TICK)
            else:
                self.manager = manager
                return

    def start_journal(self, how: str) -> None:
        plan = self.plan
        self.journal = Journal(Path(plan.folder) / f"{plan.name}.journal")
        self.numbers = itertools.count()
        self.journal.write(Birth(plan.name, how, time.monotonic(), plan.refuses))

    async def live(self, how: str) -> None:
        """Work, do what is ordered, and end when the trial does."""
        self.start_journal(how)
        self.start_workers()
        self.seat.process = os.getpid()
        while self.controls.phase != Phase.LEAVE and self.seat.order != Order.LEAVE:
            self._give_up_when_late()
            order = Order(self.seat.order)
            if order != Order.NOTHING:
                self.seat.order = Order.NOTHING
                if self.fork(order):
                    self.start_journal(order.name.lower())
                    self.start_workers()
                    self.seat.process = os.getpid()
            await self.pause(_TICK)
        self.stop_workers()
        for task in self._tasks:
            await task
        if self.plan.is_async:
            await self.manager.close()
        else:
            self.manager.close()

    def start_workers(self) -> None:
        plan = self.plan
        self._rests, self._threads, self._tasks = False, [], []
        for number in range(plan.workers):
            worker = Worker(self, random.Random(f"{plan.seed} {plan.life} {number}"), self.numbers)
            if plan.is_async:
                self._tasks.append(asyncio.ensure_future(self._guard(worker.work())))
            else:
                thread = threading.Thread(target=run_blocking, args=(self._guard(worker.work()),))
                thread.start()
                self._threads.append(thread)

    def stop_workers(self) -> None:
        self._rests = True
        for thread in self._threads:
            thread.join()

    @property
    def works(self) -> bool:
        return not self._rests and self.controls.phase != Phase.LEAVE

    def fork(self, order: Order) -> bool:
        """Fork as ordered. Return True in the child, which takes the seat that was kept for it.

        Servers that fork without Python's hooks do so between two requests. With hooks any thread
        may be in the midst of anything.
        """
        child = self.seat.child
        if order == Order.FORK_WITHOUT_HOOKS:
            self.stop_workers()
            process = ctypes.PyDLL(None).fork() if _other_threads_rest() else NOT_FORKED
            if process:
                self.start_workers()
        else:
            process = os.fork()
        if process:
            self.seat.forked = process
            return False
        self.plan = replace(self.plan, seat=child, life=self.controls.seats[child].life)
        return True

    async def pause(self, seconds: float) -> None:
        if self.plan.is_async:
            await asyncio.sleep(seconds)
        else:
            time.sleep(seconds)  # noqa: ASYNC251 - There is no event loop.

    def _give_up_when_late(self) -> None:
        if time.monotonic() > self.controls.deadline:
            os._exit(3)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """End the process where a worker fails, so that the monkey notices."""
        try:
            await work
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(2)


def _other_threads_rest() -> bool:
    """Wait until a fork without hooks does no harm. Return False where that cannot be told."""
    for _ in range(_ATTEMPTS):
        if nobody_waits_for_interpreter():
            return True
        time.sleep(_TICK)
    return False


def run_blocking(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never waits for an event loop."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("a blocking node waits for an event loop")


def main(plan: Plan) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Children that end are not waited for.
    # From Python 3.12 it is said that a process with threads should not fork: this one shall.
    warnings.simplefilter("ignore", DeprecationWarning)
    node = Node(plan)

    async def live() -> None:
        await node.begin()
        await node.live("spawn")

    try:
        if plan.is_async:
            asyncio.run(live())
        else:
            run_blocking(live())
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)  # A child of a fork must not run what its parent had registered for its end.


if __name__ == "__main__":
    main(Plan(**loads(sys.argv[1].encode())))
