"""``tokenwheel keys retire``: what no token needs any more leaves a key file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import InvalidArgument
from ..keys.file.file_changes import KeyState, key_states, without_spent
from .durations import in_short, seconds_of
from .key_documents import KeyDocument
from .keys_written import add_mode, write_keys
from .private_files import locked_file
from .text import as_moment, refuse, shown_kid, shown_path

__all__ = ["DEFAULT_LEEWAY", "DEFAULT_TTL", "add_lifetimes", "add_retire", "lifetimes_of"]

DEFAULT_TTL = 900  # seconds, as the manager has it
DEFAULT_LEEWAY = 60  # seconds: the largest of a read, unless a manager was given more


def add_retire(keys: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    retire = keys.add_parser(
        "retire", help="remove the keys from a file that can no longer have a live token"
    )
    retire.add_argument("file", metavar="FILE", type=Path, help="a JWK Set, or a JWK")
    add_lifetimes(retire, must_say=True)
    retire.add_argument(
        "--dry-run", action="store_true", help="say what would be removed, and change nothing"
    )
    add_mode(retire)
    retire.set_defaults(command=_retire)


def add_lifetimes(command: argparse.ArgumentParser, *, must_say: bool) -> None:
    """Add the options that tell how long a token may be accepted.

    Args:
        command: gets them.
        must_say: True where the lifetime must be given: one too short would log people out.
    """
    command.add_argument(
        "--access-ttl",
        required=must_say,
        default=in_short(DEFAULT_TTL),
        metavar="TIME",
        help="the longest access_ttl that tokens of the file's keys were given: 900s, 15m, 1h",
    )
    command.add_argument(
        "--leeway",
        default=in_short(DEFAULT_LEEWAY),
        metavar="TIME",
        help=f"the largest leeway with which they are read, {in_short(DEFAULT_LEEWAY)} by default",
    )


def lifetimes_of(arguments: argparse.Namespace) -> tuple[int, int]:
    """Return the lifetime of tokens and the leeway, in seconds.

    Raises:
        InvalidArgument: what was given is no duration.
    """
    access_ttl = seconds_of("--access-ttl", arguments.access_ttl, least=1)
    return access_ttl, seconds_of("--leeway", arguments.leeway)


def _retire(arguments: argparse.Namespace) -> int:
    try:
        access_ttl, leeway = lifetimes_of(arguments)
    except InvalidArgument as error:
        return refuse(str(error))
    with locked_file(arguments.file) as file:
        document = KeyDocument(file.content)
        now = time.time()
        states = key_states(document.keys, now, access_ttl, leeway)
        remaining = without_spent(document.keys, now, access_ttl, leeway)
        if remaining is not document.keys and not arguments.dry_run:
            write_keys(arguments.file, file, document.edited(remaining), arguments.mode)
    _say(states, [*remaining.keys], shown_path(arguments.file), is_dry_run=arguments.dry_run)
    return 0


def _say(
    states: Sequence[KeyState], kept: Sequence[object], path: str, *, is_dry_run: bool
) -> None:
    gone = [state for state in states if not any(state.listed is listed for listed in kept)]
    stay = [state for state in states if state not in gone]
    done = "would be removed" if is_dry_run else "removed"
    for state in gone:
        print(f"{done}: {shown_kid(state.listed.key.kid)}")
    for state in stay:
        print(f"stays: {shown_kid(state.listed.key.kid)}, {_why_it_stays(state)}")
    if not gone:
        next_step = f"nothing can go yet: {path} was left as it is"
    elif is_dry_run:
        next_step = f"{path} was left as it is: the same without --dry-run removes them"
    else:
        next_step = (
            f"processes that follow {path} refuse the tokens of what was removed within a second; "
            "resource servers do once they refresh"
        )
    print(f"tokenwheel: {next_step}", file=sys.stderr)


def _why_it_stays(state: KeyState) -> str:
    if state.may_go_at is None:
        return state.why_not
    return f"it may go after {as_moment(state.may_go_at)}"
