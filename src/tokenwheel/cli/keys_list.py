"""``tokenwheel keys list``: what the keys of a file are, which signs, and which may go."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import InvalidArgument
from ..keys import ALGORITHMS, HASH_BYTES, Key
from ..keys.file.file_changes import KeyState, key_states
from ..keys.forms.jwks import KeyList
from .key_documents import read_keys
from .keys_retire import add_lifetimes, lifetimes_of
from .private_files import read_file
from .text import as_json, as_moment, as_table, in_words, refuse, shown_kid

__all__ = ["add_list"]

_NAMES = ("KID", "ALGORITHM", "KIND", "MADE", "SIGNS", "MAY GO")


def add_list(keys: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    show = keys.add_parser("list", help="show the keys of a file: which signs, and which may go")
    show.add_argument("file", metavar="FILE", type=Path, help="a JWK Set, a JWK or PEM")
    show.add_argument(
        "--algorithm", choices=sorted(ALGORITHMS), help="of the key, where its file does not say"
    )
    add_lifetimes(show, must_say=False)
    show.add_argument("--json", action="store_true", help="for a program to read")
    show.set_defaults(command=_list)


def _list(arguments: argparse.Namespace) -> int:
    try:
        access_ttl, leeway = lifetimes_of(arguments)
    except InvalidArgument as error:
        return refuse(str(error))
    keys = read_keys(read_file(arguments.file), arguments.algorithm)
    now = time.time()
    states = key_states(keys, now, access_ttl, leeway)
    if arguments.json:
        print(as_json(_as_members(keys, states, now)))
        return 0
    print(*as_table([_NAMES, *(_row(state, now) for state in states)]), sep="\n")
    for passed_over in keys.passed_over:
        print(f"passed over: {shown_kid(passed_over.kid)}: {as_json(passed_over.why)[1:-1]}")
    return 0


def _row(state: KeyState, now: float) -> Sequence[str]:
    key, made_at = state.listed.key, state.listed.made_at
    return (
        shown_kid(key.kid),
        key.algorithm,
        _kind(key),
        "not said" if made_at is None else in_words(made_at),
        _signs(state),
        _may_go(state, now),
    )


def _signs(state: KeyState) -> str:
    until = "" if state.signs_until is None else f" until {as_moment(state.signs_until)}"
    if state.role == "signs":
        return f"now{until and ','}{until}"
    if state.role == "will sign":
        return f"from {as_moment(state.listed.signs_from or 0)}"
    return f"no, it did{until}" if until else "no"


def _may_go(state: KeyState, now: float) -> str:
    if state.may_go_at is None:
        return f"no: {state.why_not}"
    return "yes" if now > state.may_go_at else f"after {as_moment(state.may_go_at)}"


def _kind(key: Key) -> str:
    if key.algorithm in HASH_BYTES:
        return "secret"
    return "private" if key.can_sign else "public"


def _as_members(keys: KeyList, states: Sequence[KeyState], now: float) -> dict[str, Any]:
    return {
        "keys": [*_members_of(states, now)],
        "passed_over": [passed_over._asdict() for passed_over in keys.passed_over],
        "updated_at": keys.updated_at,
    }


def _members_of(states: Sequence[KeyState], now: float) -> Iterator[dict[str, Any]]:
    for state in states:
        yield {
            "kid": state.listed.key.kid,
            "algorithm": state.listed.key.algorithm,
            "kind": _kind(state.listed.key),
            "made_at": state.listed.made_at,
            "signs_from": state.listed.signs_from,
            "signs_until": state.signs_until,
            "role": state.role,
            "may_go": state.may_go_at is not None and now > state.may_go_at,
            "may_go_at": state.may_go_at,
            "why_not": state.why_not,
        }
