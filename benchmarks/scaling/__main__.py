"""How calls scale over threads and over processes: ``make bench-scaling``.

Threads run on a free-threaded interpreter, in which tokenwheel and PyJWT are installed and whose
path is given, processes on this one. It leaves ``scaling.json``, ``scaling.md`` and a plot of each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.scaling.page import write_page

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--free-threaded", type=Path, help="an interpreter without the GIL")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", type=Path, default=ROOT / "benchmarks" / "report")
    parser.add_argument(
        "--page", action="store_true", help="from the last results, measured before"
    )
    arguments = parser.parse_args()
    if arguments.page:
        write_page(json.loads((arguments.folder / "scaling.json").read_text()), arguments.folder)
        return
    results: dict[str, Any] = {"environment": environment(), "missing": {}}
    results["processes"] = measure(Path(sys.executable), "processes", arguments.rounds)
    if arguments.free_threaded and arguments.free_threaded.exists():
        results["threads"] = measure(arguments.free_threaded, "threads", arguments.rounds)
    else:
        results["missing"]["threads"] = "No free-threaded interpreter was there to measure on."
    write_page(results, arguments.folder)
    print(f"the report: {arguments.folder / 'scaling.md'}")


def measure(python: Path, workers: str, rounds: int) -> Any:
    command = [python, "-m", "benchmarks.scaling.measure", workers, f"--rounds={rounds}"]
    variables = {**os.environ, "TOKENWHEEL_IMPL": "native", "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, cwd=ROOT, env=variables, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


def environment() -> dict[str, Any]:
    """Tell the kind of machine, and nothing that names it."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
    }


if __name__ == "__main__":
    main()
