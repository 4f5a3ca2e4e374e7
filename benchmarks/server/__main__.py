"""What verification costs a server, seen from outside: ``make bench-server``.

Each application is served by one uvicorn worker (uvloop, httptools, no access log) on one core; the
load comes over 32 kept-alive connections from a process on another core. All are measured in turn,
round after round, with every other round in reverse, and each is compared with its reference in the
same round. The servers are started anew several times, since a process may have luck with where its
memory lies.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks.programs import find_program

from tokenwheel import SessionManager

from .application import AUDIENCE, CASES, ISSUER, REFERENCES
from .load import command, measured
from .processes import LOAD_CORE, SERVER_CORE, Server, run_load, serving
from .report import Round, write_report

TOKENS = (1, 1_000)


def issue_tokens(secret: str) -> list[str]:
    manager = SessionManager(secret, issuer=ISSUER, audience=AUDIENCE, access_ttl=86_400)
    return [
        manager.create({"role": "user", "name": "John"}, subject=f"uid{number}").access_token
        for number in range(max(TOKENS))
    ]


def check(case: str, server: Server, tokens: list[str]) -> None:
    """Check that what is timed below is right.

    A good token gets in. Neither none, a forged one nor one of another service does.
    """
    body, _, signature = tokens[0].rpartition(".")
    forged = f"{body}.{signature[:-8]}{'A' * 8}"
    (other,) = issue_tokens(secrets.token_urlsafe(32))[:1]
    answers = [server.status(token) for token in (*tokens[:3], "", forged, other)]
    expected = [200] * 3 + [401 if CASES[case].verifies else 200] * 3
    if answers != expected:
        raise SystemExit(f"{case} answers {answers}, not {expected}")


def measure(case: str, server: Server, load: list[str]) -> Round:
    before = server.cpu_seconds()
    seen = measured(run_load(load))
    after = server.cpu_seconds()
    if seen.failed:
        raise SystemExit(f"{case}: {seen.failed} of {seen.requests} requests failed")
    cpu = None if before is None or after is None else (after - before) / seen.requests * 1e6
    return Round(seen.requests / seen.seconds, seen.p50_us, seen.p99_us, cpu)


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
        help="only cases whose name holds this, and what they are compared with; writes no report",
    )
    arguments = parser.parse_args()

    wrk = find_program("wrk")
    missing = sorted(
        {case.needs for case in CASES.values() if case.needs and find_spec(case.needs) is None}
    )
    chosen = [name for name in CASES if arguments.cases in name]
    chosen += [REFERENCES[CASES[name].family] for name in chosen]
    cases = [name for name, case in CASES.items() if name in chosen and case.needs not in missing]
    secret = secrets.token_urlsafe(32)
    tokens = issue_tokens(secret)
    rounds: dict[tuple[str, int], list[Round]] = {
        (case, count): [] for count in TOKENS for case in cases
    }
    with tempfile.TemporaryDirectory() as folder:
        files = {count: Path(folder, f"{count}.txt") for count in TOKENS}
        for count, path in files.items():
            path.write_text("\n".join(tokens[:count]) + "\n")
        for start in range(arguments.starts):
            with serving(cases, secret) as servers:
                for case, server in servers.items():
                    check(case, server, tokens)
                    run_load(command(wrk, server.url, 1, files[max(TOKENS)]))
                for number in range(arguments.rounds):
                    for case, count in list(rounds)[:: -1 if number % 2 else 1]:
                        rounds[case, count].append(
                            measure(
                                case,
                                servers[case],
                                command(wrk, servers[case].url, arguments.seconds, files[count]),
                            )
                        )
            print(f"start {start + 1} of {arguments.starts} measured", file=sys.stderr)
    setting = {
        "load": "wrk" if wrk else "the generator in Python, as wrk could not be had",
        "pinned": SERVER_CORE is not None and LOAD_CORE is not None,
        "starts": arguments.starts,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "token_length": len(tokens[0]),
        "missing": missing,
    }
    write_report(rounds, setting, save=not arguments.cases)


if __name__ == "__main__":
    main()
