"""How long each step takes, on the compiled and on the pure implementation."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle

from .._impl import implementation
from ..keys import Key, KeySet
from ..models import SessionTokens
from ..session import SessionManager

__all__ = ["measure", "measure_both", "table"]

_ROUNDS = 200


def measure_both(
    progress: Callable[[str], None],
) -> tuple[dict[str, float] | None, dict[str, float] | None]:
    """Return the timings of the compiled and of the pure implementation, in microseconds.

    The first is None where no extension is built. ``progress`` is told what is being measured.
    """
    here = measure(progress)
    other = "pure" if implementation == "native" else "native"
    progress(f"  measuring the {'pure' if other == 'pure' else 'compiled'} implementation")
    elsewhere = _measure_elsewhere(other)
    return (here, elsewhere) if implementation == "native" else (elsewhere, here)


def table(native: dict[str, float] | None, pure: dict[str, float] | None) -> Iterator[str]:
    """Yield the lines of a table of timings, with how many times faster compiled code is."""
    yield f"  {'':<34}{'compiled':>10}{'pure':>10}{'faster':>10}"
    for step in native or pure or ():
        faster = f"{pure[step] / native[step]:>7.1f} x" if native and pure else "-"
        yield f"  {step:<34}{_cell(native, step)}{_cell(pure, step)}{faster:>10}"


def _cell(column: dict[str, float] | None, step: str) -> str:
    return f"{'-':>10}" if column is None else f"{column[step]:>10.2f}"


def measure(progress: Callable[[str], None] = lambda text: None) -> dict[str, float]:
    """Return the median time of each step in microseconds, with this process's implementation."""
    keys = KeySet(Key.generate("HS256"))
    manager = SessionManager(keys, issuer="auth.example", audience="api.example")
    forgetful = SessionManager(
        keys, issuer="auth.example", audience="api.example", verified_cache_size=0
    )
    opened: list[SessionTokens] = []
    latest: list[str] = []
    subjects: Iterator[str] = iter(())

    def log_in() -> None:
        opened.append(manager.create({"role": "user"}, subject=f"user {len(opened)}"))

    def refresh() -> None:
        latest.append(manager.update(latest[-1]).refresh_token)

    timings = {}
    steps: dict[str, Callable[[], object]] = {
        "log in": log_in,
        "verify a token not seen before": lambda: forgetful.read(opened[0].access_token),
        "verify a token seen before": lambda: manager.read(opened[0].access_token),
        "refresh, with rotation": refresh,
        "list a user's sessions": lambda: manager.read_all(next(subjects)),
        "log out everywhere": lambda: manager.delete_all(next(subjects)),
    }
    for name, call in steps.items():
        progress(f"  measuring: {name}")
        timings[name] = _median(call)
        if name == "log in":
            latest.append(opened[0].refresh_token)
            subjects = cycle([f"user {number}" for number in range(len(opened))])
    return timings


def _median(call: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1000


def _measure_elsewhere(other: str) -> dict[str, float] | None:
    """Return the timings of a process that runs the other implementation.

    None where that one isn't built.
    """
    script = (
        "import json; from tokenwheel.demo.timings import measure; print(json.dumps(measure()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TOKENWHEEL_IMPL": other},
        capture_output=True,
        text=True,
        check=False,
    )
    timings: dict[str, float] | None = json.loads(ran.stdout) if ran.returncode == 0 else None
    return timings
