"""What an import costs a process that starts: a worker, a command, a function in the cloud.

PyJWT is what this library is built on, so its import is the baseline. What it brings along counts
as its own, ``cryptography`` above all. The interpreter's own start is in each of the times.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from time import perf_counter

import pytest

ROUNDS = 25
CODE = {
    "pyjwt": "import jwt",
    "tokenwheel": "import tokenwheel",
    "tokenwheel_manager": "from tokenwheel import SessionManager",
}


@pytest.fixture(scope="module")
def seconds() -> dict[str, float]:
    """Return the median time of each import, measured in turn, in processes of their own."""
    times: dict[str, list[float]] = {name: [] for name in CODE}
    for turn in range(ROUNDS + 1):
        for name, code in CODE.items():
            start = perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            if turn:  # The first writes the compiled modules.
                times[name].append(perf_counter() - start)
    return {name: statistics.median(measured) for name, measured in times.items()}


@pytest.mark.parametrize("name", ["tokenwheel", "tokenwheel_manager"])
def test_import(seconds, name):
    """An import in a new process, beyond that of PyJWT. Nothing is promised of a loaded machine."""
    beyond = seconds[name] - seconds["pyjwt"]
    print(f"{name}: {beyond * 1e3:.1f} ms beyond PyJWT's {seconds['pyjwt'] * 1e3:.1f} ms")
    assert beyond < seconds["pyjwt"]
