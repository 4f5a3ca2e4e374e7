"""A trial from its beginning to its verdict, over one kind of feed.

A longer run is many trials, each in a folder of its own and with a seed that follows from the first
one. So what is to be judged at once stays small, and a trial that failed can be run again alone.
"""

from __future__ import annotations

import random
import time
import traceback
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tests.processes import faults
from tests.processes.support import check_file
from tests.servers import proxied, serving, until
from tokenwheel import StorageUnavailable

from .file_monkey import FileMonkey
from .journal import Journal, Records
from .judge import Judge
from .monkey import Monkey
from .node import WITNESS, Node, Plan, run_blocking
from .report import describe_first
from .server_monkey import ServerMonkey
from .shared import LAST, SEATS, Controls, Phase
from .troop import Troop
from .worker import Worker

FEEDS = ("sqlite", "redis")
_SERVER_OPTIONS = ("--appendonly", "yes", "--appendfsync", "always")
_NODES = 4
_LONGEST_END = 120.0  # seconds beyond the trial for which nodes may outlive their keeper


class Verdict(NamedTuple):
    """What a trial has shown."""

    counts: Counter[str]
    broken: list[str]


def run_trial(
    feed: str, seed: str, seconds: float, folder: Path, without: frozenset[str] = frozenset()
) -> Verdict:
    """Let nodes work and the monkey rage. Return what was counted and what was broken.

    Args:
        feed: ``"sqlite"`` or ``"redis"``.
        seed: what all that is drawn follows from.
        seconds: how long the monkey rages.
        folder: an empty folder, which holds all that can be read afterwards.
        without: names of actions that are left out.
    """
    (folder / "data").mkdir(parents=True)
    controls = Controls.open(folder / "controls")
    controls.deadline = time.monotonic() + seconds + _LONGEST_END
    journal = Journal(folder / "monkey.journal")
    plan = Plan(feed, str(folder), seat=SEATS - 1, life=WITNESS, seed=seed)
    broken: list[str] = []
    with ExitStack() as stack:
        stack.callback(journal.close)
        monkey, troop, plan = _gather(stack, plan, controls, journal, without)
        stack.callback(troop.kill_all)
        for _ in range(_NODES):
            monkey.start_node()
        until(lambda: all(seat.process for seat in troop.seats()), "the first nodes", 0.01)
        try:
            monkey.rage(seconds)
            run_blocking(_end_in_peace(plan, controls, troop))
            controls.phase = Phase.LEAVE
            troop.dismiss()
            if feed == "sqlite":
                check_file(plan.database)
        except AssertionError as error:
            broken.append(f"the end: {error}")
        except Exception:  # What was written down is judged all the same.
            broken.append(traceback.format_exc())
    broken += troop.fallen
    records = Records.read(folder)
    judge = Judge(records, feed)
    broken = [*describe_first(judge.breaches(), records), *broken]
    actions = Counter({f"action {name}": count for name, count in monkey.counts.items()})
    return Verdict(judge.summary() + actions, broken)


def _gather(
    stack: ExitStack, plan: Plan, controls: Controls, journal: Journal, without: frozenset[str]
) -> tuple[Monkey, Troop, Plan]:
    """Return the monkey, its troop, and what all nodes have in common."""
    chance = random.Random(plan.seed)
    monkey: Monkey
    if plan.feed == "sqlite":
        control, environment = _prepare_faults(plan)
        troop = Troop(plan, controls, chance, [], environment)
        monkey = FileMonkey(plan.database, control, troop, controls, journal, chance, without)
        return monkey, troop, plan
    server = stack.enter_context(serving(Path(plan.folder) / "server", *_SERVER_OPTIONS))
    network = stack.enter_context(proxied(server.port))
    troop = Troop(plan, controls, chance, [server.port, network.port], {})
    monkey = ServerMonkey(server, network, troop, controls, journal, chance, without)
    return monkey, troop, replace(plan, port=server.port)


def _prepare_faults(plan: Plan) -> tuple[Path | None, dict[str, str]]:
    """Return how the calls of nodes are made to fail: a file to say so, and their environment."""
    if faults.why_not():
        return None, {}
    control = Path(plan.folder) / "faults"
    return control, {
        "LD_PRELOAD": str(faults.compile_faults(Path(plan.folder))),
        "FAULTS_CONTROL": str(control),
        "FAULTS_FOLDER": str(plan.database.parent),
    }


async def _end_in_peace(plan: Plan, controls: Controls, troop: Troop) -> None:
    """Check that all nodes hear of a last login and logout, and have a new one read every token.

    Raises:
        AssertionError: a node does not hear.
    """
    controls.phase = Phase.LISTEN
    witness = Node(plan)

    def opened() -> Any:
        with suppress(StorageUnavailable):
            return witness.open_manager()

    witness.manager = until(opened, "that a new node begins", 0.1)
    witness.start_journal("witness")
    worker = Worker(witness, random.Random(plan.seed), witness.numbers)
    await worker.create(LAST)
    shelved = witness.shelf[LAST]
    assert shelved is not None, "no session can be opened"
    _wait_for_all(troop, "has_accepted", "accepts a new session")
    await worker.log_out(LAST, shelved, "delete_one")
    _wait_for_all(troop, "has_refused", "hears of a logout")
    for call in Records.read(Path(plan.folder)).calls:
        if call.access_token:
            await worker.read(LAST, call.access_token)
    witness.manager.close()
    witness.journal.close()


def _wait_for_all(troop: Troop, sign: str, what: str) -> None:
    for seat in troop.seats():
        until(lambda: getattr(seat, sign), f"that node {seat.life} {what}", 0.01)
