"""``tokenwheel sessions``: what an operator does to the sessions of a service that goes on running.

It holds none of the service's keys and needs none: to end a session takes its storage and its feed,
through which every worker hears of it. Records that are sealed under a ``storage_key`` are ended as
well: a refresh token is told by the hash of its family secret. A session id is public and may be an
argument; a refresh token, which would do as well elsewhere, is refused there, and is read from
standard input. Several services may share a storage: what is
asked for a subject is done for each of them, or for the one that ``--issuer`` names.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from ..errors import InvalidArgument
from ..keys import Key, KeySet
from ..models import Session, SessionRecord
from ..redis import RedisStorage
from ..revocation import RevocationList
from ..session import SessionManager
from ..session.arguments import check_subject
from ..session.refresh_tokens import SESSION_ID_LENGTH
from ..sqlite import SqliteStorage
from .secret_input import read_refresh_token
from .service import add_places, open_revocations, open_storage
from .text import as_json, as_table, in_words, refuse

__all__ = ["add_sessions", "hide_dash"]

_LARGEST_LEEWAY = (
    86_400  # seconds: what the service's managers tolerate is not known here, so as much as any may
)
_NO_SERVICE = "tokenwheel"  # an issuer to act for where nothing says which
_NAMES = ("SESSION", "LOGGED IN", "LAST REFRESH", "ENDS", "IP", "DEVICE", "LOCATION")


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


def hide_dash(argument: str) -> str:
    """Put a space before a session id that begins with a dash, so that it is taken for no option.

    A refresh token gets one as well, should it be given by mistake: an option that is not known
    would be printed.
    """
    return f" {argument}" if re.fullmatch(r"-[A-Za-z0-9_-]{15,}", argument) else argument


def _list(arguments: argparse.Namespace) -> int:
    subject = check_subject(arguments.subject)
    with open_storage(arguments) as storage:
        found: dict[str, Session] = {}
        for issuer in _issuers(arguments, storage.read_all(subject, time.time())):
            found |= _manager(issuer, storage, RevocationList()).read_all(subject)
    listed = sorted(found.values(), key=lambda session: (session.created_at, session.id))
    if arguments.json:
        print(as_json([asdict(session) for session in listed]))
    elif listed:
        print(*as_table([_NAMES, *(_row(session) for session in listed)]), sep="\n")
    else:
        print("the subject has no session")
    return 0


def _end(arguments: argparse.Namespace) -> int:
    if arguments.refresh_token:
        return _end_by_refresh_token(arguments)
    if arguments.subject is None:
        return refuse("SUBJECT must be given, or --refresh-token")
    subject = check_subject(arguments.subject)
    session_id = "" if arguments.all else arguments.session.strip()
    if not arguments.all and len(session_id) != 16:
        return refuse(
            "SESSION must be a session id of 16 characters, as `tokenwheel sessions list` shows it"
        )
    with open_storage(arguments) as storage, open_revocations(arguments) as revocations:
        ended = 0
        if arguments.all:
            for issuer in _issuers(arguments, storage.read_all(subject, time.time())):
                ended += _manager(issuer, storage, revocations).delete_all(subject)
        else:
            record = storage.read(session_id, time.time())
            for issuer in _issuers(arguments, [] if record is None else [record]):
                ended += _manager(issuer, storage, revocations).delete_one(subject, session_id)
    _report_ended(
        arguments, ended, f"the subject has no session{'' if arguments.all else ' of this id'}"
    )
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
    with open_storage(arguments) as storage, open_revocations(arguments) as revocations:
        record = storage.read(refresh_token[:SESSION_ID_LENGTH], time.time())
        issuers = [] if record is None else _issuers(arguments, [record])
        ended = sum(
            _manager(issuer, storage, revocations).end(refresh_token) is not None
            for issuer in issuers
        )
    _report_ended(arguments, ended, "no session has this refresh token")
    return 0 if ended else 1


def _report_ended(arguments: argparse.Namespace, ended: int, none: str) -> None:
    if arguments.json:
        print(as_json({"ended": ended}))
    elif ended:
        print(f"sessions ended: {ended}; every worker refuses their tokens from now on")
    else:
        print(none)


def _count(arguments: argparse.Namespace) -> int:
    with open_storage(arguments) as storage, open_revocations(arguments) as revocations:
        counted = {"sessions": storage.count(time.time()), "revocations": len(revocations)}
    if arguments.json:
        print(as_json(counted))
    else:
        print(*(f"{name}: {number:,}" for name, number in counted.items()), sep="\n")
    return 0


def _issuers(arguments: argparse.Namespace, records: Iterable[SessionRecord]) -> list[str]:
    """Return the issuers of the services for which to act: the named one, or those of records."""
    if arguments.issuer is not None:
        return [arguments.issuer]
    return sorted({record.issuer for record in records} - {""}) or [_NO_SERVICE]


def _manager(
    issuer: str, storage: SqliteStorage | RedisStorage, revocations: RevocationList
) -> SessionManager:
    verifies_nothing = KeySet.from_jwk(Key.generate("EdDSA").to_jwk())
    return SessionManager(
        verifies_nothing,
        issuer=issuer,
        audience="sessions",
        storage=storage,
        revocations=revocations,
        leeway=_LARGEST_LEEWAY,
    )


def _row(session: Session) -> Sequence[str]:
    device = session.device
    named = None if device is None else f"{device.name} ({device.type})"
    dates = (
        in_words(date) for date in (session.created_at, session.last_used_at, session.expires_at)
    )
    return [
        session.id,
        *dates,
        *(
            "" if text is None else as_json(text)[1:-1]
            for text in (session.ip, named, session.location)
        ),
    ]
