"""A contender in a process of its own: ``python -m benchmarks.worker``.

Orders come as lines of JSON, and each is answered by a line. A process for each keeps the measured
memory, garbage collector and caches of one contender clear of all the others'. It also lets
libraries of other languages, or another version of the same library, take part under the same rules
(``node/worker.mjs``).

    {"job": "reading:Seen", "peer": "pyjwt", ...}   builds the job   -> {"version": "2.15.1",
    "facts": {...}} {"round": 7}                                    times one round  -> {"seconds":
    {"read": 3.1e-05}}
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from typing import Any


def build(job: str, peer: str, options: dict[str, Any]) -> Any:
    module, name = job.split(":")
    return getattr(importlib.import_module(f"benchmarks.jobs.{module}"), name)(peer, **options)


def main() -> None:
    orders, answers = sys.stdin, sys.stdout
    sys.stdout = sys.stderr  # What a library prints is no answer.
    job: Any = None
    for line in orders:
        order = json.loads(line)
        answer: dict[str, Any]
        if "job" in order:
            try:
                job = build(order.pop("job"), order.pop("peer"), order)
                answer = {"version": job.version, "facts": job.facts()}
            except ImportError as error:
                answer = {"missing": str(error)}
            # A collection in the midst of a round would be counted against whoever is running; what
            # collections cost is a case of its own.
            gc.collect()
            gc.freeze()
            gc.disable()
        else:
            answer = {"seconds": job.round()}
            gc.collect()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
