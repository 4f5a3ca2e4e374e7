"""Importing a library in a process that has imported nothing else."""

from __future__ import annotations

import statistics
import subprocess
import sys

from .job import Job

STATEMENTS = {
    "tokenwheel": "import tokenwheel",
    "tokenwheel_manager": "from tokenwheel import SessionManager",
    "tokenwheel_pure": "import tokenwheel",
    "released": "import tokenwheel",
    "pyjwt": "import jwt",
    "joserfc": "import joserfc.jwt",
    "ryjwt": "import ryjwt",
}
PROCESSES = 3
"""So many a round, one after the other."""


class Importing(Job):
    """The time from before the import until after it, by the new process's own clock.

    That the interpreter started, and what it imports by itself, is no part of it.
    """

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.program = (
            "from time import perf_counter as now; start = now()\n"
            f"{STATEMENTS[peer]}\n"
            "print(now() - start)"
        )
        self.round()  # writes and warms the compiled modules

    def round(self) -> dict[str, float]:
        return {"import": statistics.median(self.run() for _ in range(PROCESSES))}

    def run(self) -> float:
        done = subprocess.run(
            [sys.executable, "-c", self.program], check=True, stdout=subprocess.PIPE, text=True
        )
        return float(done.stdout)
