"""Run trials one after another: ``python -m tests.chaos --seconds 3600``, or ``make test-chaos``.

The exit code is 1 where a guarantee was broken. The folder that is named then holds the journals.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from shutil import rmtree

from .report import summarise
from .trial import FEEDS, run_trial

LONGEST_TRIAL = 60.0  # seconds


def main() -> int:
    """Run trials until the time is over or a guarantee is broken. Return the exit code."""
    options = _parse()
    seed = options.seed or str(secrets.randbelow(2**32))
    feeds = FEEDS if options.feed == "all" else (options.feed,)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    _say(f"seed {seed}")
    begun, left = time.monotonic(), options.seconds
    counts: Counter[str] = Counter()
    broken: list[str] = []
    number = 0
    while left > 0 and not broken:
        feed, turn = feeds[number % len(feeds)], number // len(feeds)
        seconds = min(LONGEST_TRIAL, options.seconds / len(feeds), left)
        # With this seed and this feed a later run begins with this trial.
        trial_seed = f"{seed}.{turn}" if turn else seed
        trial = run_trial(feed, trial_seed, seconds, folder / str(number), options.without)
        counts += trial.counts
        broken = trial.broken
        _say(
            f"{feed}, seed {trial_seed}, {seconds:.0f} s: {trial.counts['logouts']:,} logouts, "
            f"{trial.counts['reads after logouts']:,} reads after logouts, {len(broken)} broken"
        )
        if not broken:
            rmtree(folder / str(number))
        left -= seconds
        number += 1
    _say(f"seed {seed}, {time.monotonic() - begun:.0f} seconds")
    _say("\n".join(summarise(counts)))
    for evidence in broken[: options.show]:
        _say(f"\n{evidence}")
    if broken:
        _say(f"\n{len(broken)} guarantees broken; the journals are in {folder}")
        return 1
    folder.rmdir()
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=120, help="for how long; default: 120")
    parser.add_argument("--seed", default="", help="as printed by an earlier run; default: drawn")
    parser.add_argument("--feed", choices=[*FEEDS, "all"], default="all")
    parser.add_argument(
        "--without",
        type=lambda text: frozenset(text.split(",")),
        default=frozenset(),
        help="names of actions to leave out, between commas",
    )
    parser.add_argument("--show", type=int, default=5, help="pieces of evidence to show")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - This is a command.


if __name__ == "__main__":
    sys.exit(main())
