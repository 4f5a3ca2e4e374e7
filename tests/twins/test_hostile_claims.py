"""Claims of every kind of liar, through ``create``, ``update`` and ``Claims``, over both twins.

Invariant: a token's payload has each claim of ours once, as this library sets it, beside exactly
what the claims showed at one look; or the claims are refused in one of our own errors. The twins
answer alike, sentence and all.
"""

from __future__ import annotations

import base64
import importlib
import json
from collections import UserDict
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

import tokenwheel.jwt
from tests.liars import (
    OURS,
    TAKEN_OVER,
    Agreeing,
    Number,
    Pairs,
    Seconds,
    Text,
    TwoFaced,
    TwoFacedDict,
    holding_itself,
    laughs,
    nested,
)
from tests.support import SECRET, FakeClock
from tests.twins.conftest import TWINS
from tokenwheel import InvalidArgument, SessionManager
from tokenwheel.session import arguments

NOW = 1_700_000_000
HAND_MADE = {"sub": "uid1", "sid": "A" * 16, "iat": 1, "exp": 2}
Make = Callable[[], Any]
"""Makes the same liar anew, since one that was looked at answers otherwise."""


def always(value: Any) -> Make:
    return lambda: value


SINGLE = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=4), st.integers(),
    st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, "\ud800", "x" * 6200]),
).map(always)  # fmt: skip
LYING_VALUES = st.sampled_from(
    [
        lambda: Text("x"), lambda: Agreeing("x"), lambda: Number(1), lambda: Seconds(1),
        lambda: TwoFaced({}), lambda: TwoFacedDict({}), lambda: nested(31), lambda: nested(32),
        lambda: nested(5000), laughs, lambda: holding_itself()[0], lambda: holding_itself()[1],
        lambda: b"x", object, lambda: {Text("a"): 1}, lambda: {1: 1},
    ]
)  # fmt: skip


def in_list(items: list[Make]) -> Make:
    return lambda: [make() for make in items]


def in_tuple(items: list[Make]) -> Make:
    return lambda: tuple(make() for make in items)


def in_dict(members: dict[str, Make]) -> Make:
    return lambda: {name: make() for name, make in members.items()}


VALUES = st.recursive(
    SINGLE | SINGLE | LYING_VALUES,
    lambda inner: (
        st.lists(inner, max_size=3).map(in_list)
        | st.lists(inner, max_size=3).map(in_tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3).map(in_dict)
    ),
    max_leaves=5,
)
PLAIN_NAMES = st.text(max_size=4) | st.sampled_from(["a", "b", "role", "\ud800"])
NAMES = st.tuples(
    st.sampled_from([str, str, str, Text, Agreeing]),
    st.one_of(PLAIN_NAMES, PLAIN_NAMES, PLAIN_NAMES, st.sampled_from(OURS)),
)
MEMBERS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
KINDS: dict[str, Callable[[list[tuple[Any, Any]]], Any]] = {
    "dict": dict,
    "pairs": lambda pairs: Pairs(*pairs),
    "two-faced": lambda pairs: TwoFaced(dict(pairs)),
    "two-faced dict": lambda pairs: TwoFacedDict(dict(pairs)),
    "dict that holds the members": lambda pairs: TwoFacedDict(TAKEN_OVER, dict(pairs)),
    "user dict": lambda pairs: UserDict(dict(pairs)),
    "proxy": lambda pairs: MappingProxyType(dict(pairs)),
}


def made(kind: str, members: list[Any]) -> Any:
    return KINDS[kind]([(text_kind(name), make()) for (text_kind, name), make in members])


def payload_of(token: str) -> list[tuple[str, Any]]:
    """Return the members of a token's payload in their order, be it a name twice."""
    text = token.split(".")[1]
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    pairs: list[list[tuple[str, Any]]] = []
    json.loads(raw, object_pairs_hook=lambda found: (pairs.append(found), dict(found))[1])
    return pairs[-1]


def answer(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the sentence in which it refuses."""
    try:
        return call()
    except InvalidArgument as error:
        return str(error)


def members_given(manager: SessionManager, kind: str, members: list[Any], *, renews: bool) -> Any:
    """Return the application's part of the payload of a token, once ours is what it must be."""
    opened = manager.create(subject="uid1")
    if renews:
        tokens = manager.update(opened.refresh_token, made(kind, members))
    else:
        tokens = manager.create(made(kind, members), subject="uid1")
    payload = payload_of(tokens.access_token)
    names = [name for name, _ in payload]
    assert len(set(names)) == len(names)
    ours = {"iss": "i", "aud": "a", "sub": "uid1", "sid": tokens.session_id}
    assert dict(payload[:6]) == {**ours, "iat": NOW, "exp": NOW + 900}
    assert not set(OURS) & {name for name, _ in payload[6:]}
    read = manager.read(tokens.access_token)
    assert list(read.items()) == payload
    return payload[6:]


@given(kind=st.sampled_from(sorted(KINDS)), members=MEMBERS, renews=st.booleans())
def test_claims_that_lie_sign_what_was_checked_or_are_refused_alike_by_both_twins(
    kind: str, members: list[Any], renews: bool
) -> None:
    answers = []
    for twin in TWINS:
        modules = {
            name: importlib.import_module(f"tokenwheel._{twin}.{name}")
            for name in ("plain_json", "signer")
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(arguments, "copy_plain", modules["plain_json"].copy_plain)
            patch.setattr(tokenwheel.jwt, "Signer", modules["signer"].Signer)
            manager = SessionManager(SECRET, issuer="i", audience="a", clock=FakeClock(NOW))
            answers.append(answer(lambda: members_given(manager, kind, members, renews=renews)))
    event("refused" if isinstance(answers[0], str) else f"signed {kind}")
    assert repr(answers[0]) == repr(answers[-1])


@given(kind=st.sampled_from(sorted(KINDS)), members=MEMBERS)
def test_claims_made_by_hand_of_liars_are_alike_in_both_twins(
    kind: str, members: list[Any]
) -> None:
    answers = []
    for twin in TWINS:
        cls = importlib.import_module(f"tokenwheel._{twin}.verifier").Claims
        required = [((str, name), always(value)) for name, value in HAND_MADE.items()]
        given_members = [*required, *members]
        claims = answer(lambda: cls(made(kind, given_members)))
        if not isinstance(claims, str):
            assert claims == cls(claims) == claims.to_dict()
            claims = list(claims.items())
            json.dumps(claims, allow_nan=False)
        answers.append(claims)
    event("refused" if isinstance(answers[0], str) else f"made of {kind}")
    assert repr(answers[0]) == repr(answers[-1])
