"""``tokenwheel keys rotate``: a new key that signs once every resource server knows it."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from pathlib import Path

from ..errors import InvalidArgument
from ..keys import ALGORITHMS, HASH_BYTES, Key
from ..keys.file.file_changes import AddedKey, key_states, with_new_key
from .durations import in_short, seconds_of
from .key_documents import KeyDocument
from .keys_retire import DEFAULT_LEEWAY, DEFAULT_TTL
from .keys_written import add_mode, write_keys
from .private_files import locked_file
from .text import as_moment, refuse, shown_kid, shown_path

__all__ = ["add_rotate"]

_OFTEN_ENOUGH = 300  # seconds: no RemoteKeySet refreshes more often, unless a token asks for it


def add_rotate(keys: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    rotate = keys.add_parser(
        "rotate",
        help="add a new key to a file, which signs after the time that resource servers take to "
        "refresh; until then the key so far does",
    )
    rotate.add_argument("file", metavar="FILE", type=Path, help="a JWK Set, or a JWK")
    rotate.add_argument(
        "--after",
        default="1h",
        metavar="TIME",
        help="how long the key so far goes on signing: 90s, 15m, 1h (the default), 7d",
    )
    rotate.add_argument(
        "--algorithm", choices=sorted(ALGORITHMS), help="by default that of the key so far"
    )
    rotate.add_argument(
        "--kid",
        help="by default the public key's thumbprint (RFC 7638); for a shared secret a random name",
    )
    rotate.add_argument(
        "--force",
        action="store_true",
        help="add a key though another is waiting to sign, the clock is behind the file, or a "
        "shared secret takes over from a key pair",
    )
    add_mode(rotate)
    rotate.set_defaults(command=_rotate)


def _rotate(arguments: argparse.Namespace) -> int:
    try:
        after = seconds_of("--after", arguments.after)
    except InvalidArgument as error:
        return refuse(str(error))
    with locked_file(arguments.file) as file:
        document = KeyDocument(file.content)
        now = time.time()
        signing = document.keys.signing_at(now)
        # Where no key signs, a key of any kind does to be refused.
        algorithm = arguments.algorithm or (signing.key.algorithm if signing else "HS256")
        key = Key.generate(algorithm, kid=_kid(arguments.kid, algorithm))
        rotated = with_new_key(document.keys, key, now, after, force=arguments.force)
        write_keys(arguments.file, file, document.edited(rotated.keys), arguments.mode)
    _say(rotated, shown_path(arguments.file), after, was_single=document.was_single)
    return 0


def _kid(given: str | None, algorithm: str) -> str | None:
    """Return the kid for a new key; None leaves it to the key."""
    if given is not None:
        return given.removeprefix(" ")  # of a kid that begins with a dash
    return secrets.token_hex(8) if algorithm in HASH_BYTES else None


def _say(rotated: AddedKey, path: str, after: int, *, was_single: bool) -> None:
    key, before = rotated.added.key, rotated.before.key
    begins = rotated.added.signs_from or 0
    lines = []
    if was_single:
        lines.append(
            f"{path} was a single JWK and is a JWK Set now: whatever reads it must take one, as "
            "KeyFile does"
        )
    lines.append(
        f"the new {key.algorithm} key {shown_kid(key.kid)} signs from {as_moment(begins)}, and "
        f"{shown_kid(before.kid)} until then. Processes that follow {path} take it over within a "
        "second"
    )
    lines += [
        f"the key {shown_kid(waiting.key.kid)} was waiting already, and signs from "
        f"{as_moment(waiting.signs_from or 0)}"
        for waiting in rotated.waiting
    ]
    if key.algorithm in HASH_BYTES:
        lines.append(
            "a shared secret is published to nobody: whoever else verifies by it must be given it "
            "before it signs"
        )
    elif after < _OFTEN_ENOUGH:
        lines.append(
            f"WARNING: {in_short(after)} is less than resource servers take to refresh their keys. "
            "Those that don't know the new one refuse its tokens until they do"
        )
    else:
        lines.append(
            f"until then every resource server must have seen it: `tokenwheel keys publish {path}` "
            "prints the set for those that don't fetch it"
        )
    lines.append(_later(rotated, path))
    print(*(f"tokenwheel: {line}" for line in lines), sep="\n", file=sys.stderr)


def _later(rotated: AddedKey, path: str) -> str:
    """Return what is to be done in the end."""
    begins = rotated.added.signs_from or 0
    states = key_states(rotated.keys, begins, DEFAULT_TTL, DEFAULT_LEEWAY)
    ends = [state.may_go_at for state in states if state.listed is rotated.before]
    command = f"`tokenwheel keys retire {path} --access-ttl {in_short(DEFAULT_TTL)}`"
    return (
        f"next: after {as_moment(max(end or begins for end in ends))}, {command} removes "
        f"{shown_kid(rotated.before.key.kid)}, where no token lives longer than "
        f"{in_short(DEFAULT_TTL)}"
    )
