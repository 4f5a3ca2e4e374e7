"""``tokenwheel doctor``: what is installed, what a database or a server answers, what is missing.

The report is made to be pasted into a bug report. It names no path, address, user or secret.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from ..redis.key_names import PREFIX
from .examined_places import examine_place
from .findings import Finding
from .installation import examine_dependencies, examine_installation, try_sessions
from .service import ABOUT_URLS
from .text import as_json

__all__ = ["add_doctor"]

_MARKS = {"good": "ok", "note": "note", "wrong": "WRONG"}


def add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="say what is installed and compiled, what a database answers, and what is missing",
        description="Say what is installed and compiled, and what a database or a server answers. "
        "The exit status is 1 where something is wrong. Nothing is changed. The report has no "
        "path, address or secret, so it can go into a bug report.",
    )
    doctor.add_argument(
        "--database",
        metavar="FILE|URL",
        help="the file given to SqliteStorage or SqliteFeed, or the server of RedisStorage or "
        f"RedisFeed: {ABOUT_URLS}",
    )
    doctor.add_argument(
        "--prefix",
        default=PREFIX,
        help=f"on a Redis server: of the names of its keys, {PREFIX} where none was given",
    )
    doctor.add_argument("--json", action="store_true", help="for a program to read")
    doctor.set_defaults(command=_examine)


def _examine(arguments: argparse.Namespace) -> int:
    report = dict(_sections(arguments))
    findings = [finding for section in report.values() for finding in section]
    is_well = all(finding.state != "wrong" for finding in findings)
    if arguments.json:
        sections = {name: [asdict(each) for each in section] for name, section in report.items()}
        print(as_json({"well": is_well, **sections}))
    else:
        print("\n\n".join("\n".join(_shown(name, report[name])) for name in report))
        print(f"\n{_verdict(findings)}")
    return 0 if is_well else 1


def _sections(arguments: argparse.Namespace) -> Iterator[tuple[str, list[Finding]]]:
    yield "tokenwheel", [*examine_installation(), try_sessions()]
    yield "dependencies", list(examine_dependencies())
    if arguments.database is not None:
        yield "database", list(examine_place(arguments.database, arguments.prefix))


def _shown(name: str, findings: list[Finding]) -> Iterator[str]:
    width = max(len(finding.name) for finding in findings)
    yield name
    for finding in findings:
        yield f"  {_MARKS[finding.state]:<5}  {finding.name:<{width}}  {finding.text}"


def _verdict(findings: list[Finding]) -> str:
    count = sum(finding.state == "wrong" for finding in findings)
    if not count:
        return "Nothing is wrong."
    return f"{count} {'thing is' if count == 1 else 'things are'} wrong: see WRONG above."
