"""``tokenwheel sessions``: what an operator does to the sessions of a service that goes on running.

What is done is ``session/operator.py``'s. A session id is public and may be an argument. A refresh
token, which would do as well elsewhere, is refused there, and is read from standard input.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import InvalidArgument
from ..revocation import RevocationList
from ..session.arguments import check_subject
from ..session.operator import Operator
from ..session.operator_text import counts_in_words, end_in_words, sessions_in_words
from ..session.refresh_tokens import SESSION_ID_LENGTH
from .secret_input import read_refresh_token
from .service import add_places, open_revocations, open_storage
from .text import refuse

__all__ = ["add_sessions"]


def add_sessions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sessions = commands.add_parser(
        "sessions", help="list, end and count the sessions of a running service"
    )
    kinds = sessions.add_subparsers(required=True, metavar="COMMAND")

    every = kinds.add_parser("list", help="show the sessions of a subject")
    every.add_argument("subject")
    every.set_defaults(command=_list)

    end = kinds.add_parser(
        "end",
        help="end one session of a subject, or all, or that of a refresh token: "
        "every worker refuses their tokens from then on",
    )
    end.add_argument("subject", nargs="?", metavar="SUBJECT")
    which = end.add_mutually_exclusive_group(required=True)
    which.add_argument("session", nargs="?", metavar="SESSION", help="its id")
    which.add_argument("--all", action="store_true", help="all of the subject's")
    which.add_argument(
        "--refresh-token",
        action="store_true",
        help="that of the refresh token on standard input, whose subject need not be known",
    )
    end.set_defaults(command=_end)

    count = kinds.add_parser("count", help="count the sessions and the revocations that live now")
    count.set_defaults(command=_count)

    for command in (every, end):
        command.add_argument(
            "--issuer",
            help="only the service whose managers have this issuer; by default every one",
        )
    for command in (every, end, count):
        add_places(command)
        command.add_argument("--json", action="store_true", help="for a program to read")


def _list(arguments: argparse.Namespace) -> int:
    check_subject(arguments.subject)
    with open_storage(arguments) as storage:
        operator = Operator(storage, RevocationList(), issuer=arguments.issuer)
        print(sessions_in_words(operator.read_all(arguments.subject), as_json=arguments.json))
    return 0


def _end(arguments: argparse.Namespace) -> int:
    if arguments.refresh_token:
        return _end_by_refresh_token(arguments)
    if arguments.subject is None:
        return refuse("SUBJECT must be given, or --refresh-token")
    subject = check_subject(arguments.subject)
    session_id = "" if arguments.all else arguments.session.strip()
    if not arguments.all and len(session_id) != SESSION_ID_LENGTH:
        return refuse(
            "SESSION must be a session id of 16 characters, as `tokenwheel sessions list` shows it"
        )
    with _operator(arguments) as operator:
        if arguments.all:
            ended = operator.end_all(subject)
        else:
            ended = operator.end_one(subject, session_id)
    none = f"the subject has no session{'' if arguments.all else ' of this id'}"
    print(end_in_words(ended, none, as_json=arguments.json))
    return 0 if ended or arguments.all else 1


def _end_by_refresh_token(arguments: argparse.Namespace) -> int:
    if arguments.subject is not None:
        return refuse(
            "--refresh-token takes no value and no SUBJECT: the refresh token is read from "
            "standard input, since every user of this machine can see arguments"
        )
    try:
        refresh_token = read_refresh_token()
    except InvalidArgument as error:
        return refuse(str(error))
    with _operator(arguments) as operator:
        ended = operator.end_by_refresh_token(refresh_token)
    print(end_in_words(ended, "no session has this refresh token", as_json=arguments.json))
    return 0 if ended else 1


def _count(arguments: argparse.Namespace) -> int:
    with _operator(arguments) as operator:
        print(counts_in_words(operator.count(), as_json=arguments.json))
    return 0


@contextmanager
def _operator(arguments: argparse.Namespace) -> Iterator[Operator]:
    with open_storage(arguments) as storage, open_revocations(arguments) as revocations:
        yield Operator(storage, revocations, issuer=getattr(arguments, "issuer", None))
