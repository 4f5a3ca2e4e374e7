"""What verification costs a server, seen from outside: ``make bench-server``.

Each application is served by one uvicorn worker (uvloop, httptools, no access log) on one core, or
where it is one of WSGI by one of gunicorn; the load comes over 32 kept-alive connections from a
process on another core. All of a family are measured in turn, round after round, with every other
round in reverse, and each is compared with its reference in the same round. The servers are started
anew several times, since a process may have luck with where its memory lies. What is behind a web
framework is measured without a server, too (``in_process.py``).
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks.programs import find_program

from .cases import CASES, REFERENCES, Case
from .in_process import run as run_in_process
from .load import command, measured
from .processes import LOAD_CORE, SERVER_CORE, Server, run_load, serving
from .report import Round, write_report
from .requests import CREDENTIALS, PROOFS, read_requests
from .sessions import issue

TOKENS = 1_000
ROUNDS_IN_PROCESS = 100  # after each start


def check(name: str, server: Server) -> None:
    """Check that what is timed below is right.

    A good token gets in. Neither none, a forged one nor one of another service does. Nor does a
    cookie with nothing to show that a page of the same origin sent it, where that is checked.
    """
    case = CASES[name]
    good = read_requests(server.requests)[:3]
    body, _, signature = good[0].token.rpartition(".")
    forged = good[0].with_token(f"{body}.{signature[:-8]}{'A' * 8}")
    other = good[0].with_token(issue(secrets.token_urlsafe(32), 1)[0].access_token)
    bad = [good[0].without(CREDENTIALS), forged, other]
    if case.checks_origin:
        bad.append(good[0].without(PROOFS))
    refused = set(range(400, 500)) if case.verifies else {200}
    answers = [server.status(request) for request in (*good, *bad)]
    if answers[:3] != [200] * 3 or not refused.issuperset(answers[3:]):
        raise SystemExit(
            f"{name} answers {answers}: it lets in whom it must not, or not whom it must"
        )


def measure(case: str, server: Server, load: list[str]) -> Round:
    before = server.cpu_seconds()
    seen = measured(run_load(load))
    after = server.cpu_seconds()
    if seen.failed:
        raise SystemExit(f"{case}: {seen.failed} of {seen.requests} requests failed")
    cpu = None if before is None or after is None else (after - before) / seen.requests * 1e6
    return Round(seen.requests / seen.seconds, seen.p50_us, seen.p99_us, cpu)


def run_family(
    cases: list[Case],
    secret: str,
    rounds: dict[tuple[str, int], list[Round]],
    arguments: argparse.Namespace,
    wrk: str | None,
) -> None:
    """Start the servers of a family, and measure them in turn."""
    turns = [(case.name, count) for count in cases[0].token_counts for case in cases]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving([case.name for case in cases], secret, Path(folder), TOKENS) as servers,
    ):
        for name, server in servers.items():
            check(name, server)
            run_load(command(wrk, server.url, 1, server.requests))
        for number in range(arguments.rounds):
            for name, count in turns[:: -1 if number % 2 else 1]:
                server = servers[name]
                load = command(wrk, server.url, arguments.seconds, server.few_requests(count))
                rounds[name, count].append(measure(name, server, load))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--starts",
        type=int,
        default=4,
        help="how often the servers are started anew (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds", type=int, default=6, help="rounds after each start (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=1,
        help="of load in a round, for each case (default: %(default)s)",
    )
    parser.add_argument(
        "--cases",
        default="",
        metavar="TEXT",
        help="only cases whose name holds this, or one of several between commas, and what they "
        "are compared with; writes no report",
    )
    arguments = parser.parse_args()

    wrk = find_program("wrk")
    missing = sorted(
        {case.needs for case in CASES.values() if case.needs and find_spec(case.needs) is None}
    )
    texts = arguments.cases.split(",")
    chosen = {name for name in CASES if any(text in name for text in texts)}
    chosen |= {REFERENCES[CASES[name].family] for name in chosen}
    cases = [case for name, case in CASES.items() if name in chosen and case.needs not in missing]
    secret = secrets.token_urlsafe(32)
    rounds: dict[tuple[str, int], list[Round]] = {}
    times: dict[str, dict[str, list[float]]] = {}
    for family in dict.fromkeys(case.family for case in cases):
        members = [case for case in cases if case.family == family]
        for count in members[0].token_counts:
            rounds.update({(case.name, count): [] for case in members})
        for _ in range(arguments.starts):
            run_family(members, secret, rounds, arguments, wrk)
            if members[0].framework is not None:
                for name, measured_times in run_in_process(
                    family, secret, ROUNDS_IN_PROCESS
                ).items():
                    times.setdefault(family, {}).setdefault(name, []).extend(measured_times)
        print(f"{family} measured", file=sys.stderr)
    setting = {
        "load": "wrk" if wrk else "the generator in Python, as wrk could not be had",
        "pinned": SERVER_CORE is not None and LOAD_CORE is not None,
        "starts": arguments.starts,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "token_length": len(issue(secret, 1)[0].access_token),
        "missing": missing,
    }
    write_report(rounds, times, setting, save=not arguments.cases)


if __name__ == "__main__":
    main()
