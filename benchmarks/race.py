"""A race: every contender in a process of its own, all on the same core.

They run one round of each in turn, in an order drawn anew each time. So whatever befalls the
machine befalls all of them, and their ratio survives it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .contenders import CONTENDERS, PURE, RELEASED

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "bench"
NODE_WORKER = FOLDER / "node" / "worker.mjs"
OLDER = {
    "pyjwt_2_12": FOLDER / "pyjwt-2.12",
    **dict.fromkeys(RELEASED, FOLDER / "released"),
}
"""Where those lie that would not go beside the newest into one environment."""
COUNTED = ("late", "given_back", "at_once", "busy")
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
OTHER_CORES = CORES[:-1] or CORES
"""Where the servers of Python contenders run, which share the last core."""


class Missing(Exception):
    """A contender can't take part, for the reason given."""


class Outcome(NamedTuple):
    version: str
    facts: dict[str, Any]
    rounds: list[dict[str, float]]
    """Seconds an operation, by its name, for each round.

    What else was counted in the round is under the names in ``COUNTED``.
    """

    def counted(self) -> dict[str, list[float]]:
        return {
            name: [times[name] for times in self.rounds]
            for name in COUNTED
            if self.rounds and name in self.rounds[0]
        }


class Worker:
    """A contender's process, ready when made."""

    def __init__(self, name: str, job: str, options: dict[str, Any]) -> None:
        environment = {
            **os.environ,
            "TOKENWHEEL_IMPL": "pure" if name in PURE else "native",
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": "0",
        }
        command = [sys.executable, "-m", "benchmarks.worker"]
        if name in OLDER:
            if not OLDER[name].exists():
                raise Missing(f"{OLDER[name].name} is not installed")
            environment["PYTHONPATH"] = os.pathsep.join([str(OLDER[name]), str(ROOT)])
        if CONTENDERS[name].node:
            node = shutil.which("node")
            if node is None or not NODE_WORKER.exists():
                raise Missing("no Node, or no package of it, is installed")
            command = [node, str(NODE_WORKER)]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        # V8 compiles and collects in threads of its own, which must not have to share one core.
        if CORES and not CONTENDERS[name].node:
            os.sched_setaffinity(self.process.pid, CORES[-1:])
        try:
            self.ready = self.ask({"job": job, "peer": name, **options})
            if "missing" in self.ready:
                raise Missing(self.ready["missing"])
        except BaseException:
            self.close()
            raise

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Missing(f"its process ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def run_race(
    names: Sequence[str], job: str, options: dict[str, Any], rounds: int
) -> dict[str, Outcome | Missing]:
    """Run the race. Return the outcome of each contender, or why it has none."""
    outcomes: dict[str, Outcome | Missing] = {}
    workers: dict[str, Worker] = {}
    try:
        for name in names:
            try:
                workers[name] = Worker(name, job, options)
            except Missing as missing:
                outcomes[name] = missing
        times: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
        for number in range(rounds):
            for name in random.sample([*workers], len(workers)):
                if name not in outcomes:
                    try:
                        times[name].append(workers[name].ask({"round": number})["seconds"])
                    except Missing as missing:
                        outcomes[name] = missing
        for name in workers.keys() - outcomes.keys():
            outcomes[name] = Outcome(
                workers[name].ready["version"], workers[name].ready["facts"], times[name]
            )
    finally:
        for worker in workers.values():
            worker.close()
    return outcomes
