"""Fuzzes one target after the other, each for its share of the time; ``make fuzz`` runs it.

Exit: 0 nothing was found; 1 a promise was broken, or memory. What broke it lies in ``found``, in a
file that is named. ``python -m tests.fuzz.fuzz_one TARGET FILE`` tries it again. Once it is mended,
the file goes to ``corpus``. What led to new code lies in ``grown``, where the next run goes on.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

from tests.fuzz.targets import CORPUS, DIFFERENTIAL, TARGETS

LONGEST_INPUT = 400  # bytes
LONGEST_CALL = 20  # seconds, after which an input counts as one that hangs
SANITIZED = os.environ.get("TOKENWHEEL_BUILD") == "fuzz"
WATCHED = {
    "LD_PRELOAD": str(Path(atheris.path(), "asan_with_fuzzer.so")),
    "PYTHONMALLOC": "malloc",
    "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=16",
}
"""What AddressSanitizer needs, where the extensions were built for it."""


def runs(target: str) -> list[tuple[str, str]]:
    """Return each target to run, with the implementation that it runs on."""
    names = TARGETS if target == "all" else [target]
    return [
        (name, implementation)
        for name in names
        for implementation in (["native"] if name in DIFFERENTIAL else ["native", "pure"])
    ]


def fuzz(target: str, implementation: str, seconds: int, folder: Path) -> int:
    """Fuzz a target, and say how far that went. Return the status of the process."""
    grown, found = folder / "grown" / target, folder / "found"
    for path in (grown, found):
        path.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}"]
    options += [f"-timeout={LONGEST_CALL}", f"-artifact_prefix={found}/{target}-"]
    command = [sys.executable, "-m", "tests.fuzz.fuzz_one", target, grown, CORPUS / target]
    with tempfile.TemporaryDirectory() as scratch:
        watched = WATCHED if SANITIZED and implementation == "native" else {}
        environment = {"TOKENWHEEL_IMPL": implementation, "TMPDIR": scratch, **watched}
        run = subprocess.run(
            [*command, *options],
            env={**os.environ, **environment},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    done = re.findall(r"^#(\d+)\s+\S+\s+cov: (\d+)", run.stdout, re.MULTILINE)
    times, places = done[-1] if done else ("0", "0")
    verdict = "nothing found" if run.returncode == 0 else "FOUND SOMETHING"
    inputs, reached = f"{int(times):>10,} inputs", f"{places:>6} places in the code"
    say(f"{target:16} {implementation:8} {inputs} {reached}  {verdict}")
    if run.returncode:
        say("\n".join(run.stdout.splitlines()[-60:]))
    return run.returncode


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="for all targets together")
    parser.add_argument("--target", choices=["all", *TARGETS], default="all")
    parser.add_argument("--grown", type=Path, default=Path("build/fuzz"), help="what is kept")
    arguments = parser.parse_args()
    planned = runs(arguments.target)
    share = max(arguments.seconds // len(planned), 1)
    statuses = [fuzz(*run, share, arguments.grown) for run in planned]
    return 1 if any(statuses) else 0


if __name__ == "__main__":
    sys.exit(main())
