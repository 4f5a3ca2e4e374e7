"""Where a login came from, as bytes that whoever can write to a storage may have changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest

from tests.liars import nested
from tokenwheel import Device, InvalidArgument, SessionContext
from tokenwheel.storage.context import pack_context, unpack_context


@pytest.mark.parametrize(
    "context",
    [
        SessionContext(),
        SessionContext("::1", None, "Paris"),
        SessionContext(device=Device("Pixel", "phone")),
        SessionContext(device=Device("", "", {"a": nested(31), "": [1, 2.5, None, "é" * 10_000]})),
    ],
)
def test_a_context_comes_back_as_it_was_packed(context: SessionContext) -> None:
    assert unpack_context(pack_context(context)) == context


@pytest.mark.parametrize(
    "changed",
    [
        7,
        [],
        [None, None],
        [7, None, None],
        [None, 7, None],
        [None, None, {}],
        [None, None, "Pixel"],
        [None, None, [1, "phone", {}]],
        [None, None, ["Pixel", None, {}]],
        [None, None, ["Pixel", "phone"]],
        [None, None, ["Pixel", "phone", []]],
        [None, None, ["Pixel", "phone", {"a": nested(32)}]],
        [None, None, ["Pixel", "phone", {"a": nested(900)}]],
    ],
    ids=str,
)
def test_a_context_that_somebody_changed_in_the_storage_is_none(changed: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        unpack_context(json.dumps(changed).encode())


class Text(str):
    __slots__ = ()


class Word(Enum):
    PHONE = "phone"


def test_equal_contexts_make_equal_octets_whatever_types_they_are_of() -> None:
    plain = SessionContext("::1", Device("Pixel", "phone", {"a": [1], "b": "x"}), "Paris")
    others = [
        SessionContext(Text("::1"), Device("Pixel", "phone", {"b": "x", "a": [1]}), "Paris"),
        SessionContext("::1", Device(Text("Pixel"), "phone", {"a": (1,), "b": Text("x")}), "Paris"),
    ]
    assert {pack_context(context) for context in [plain, *others]} == {
        b'["::1","Paris",["Pixel","phone",{"a":[1],"b":"x"}]]'
    }


@pytest.mark.parametrize(
    "context",
    [
        SessionContext(ip=7),  # type: ignore[arg-type]
        SessionContext(ip=b"::1"),  # type: ignore[arg-type]
        SessionContext(location=Word.PHONE),  # type: ignore[arg-type]
        SessionContext(ip="\ud800"),
        SessionContext(device=Device(None, "phone")),  # type: ignore[arg-type]
        SessionContext(device=Device("Pixel", Word.PHONE)),  # type: ignore[arg-type]
        *(
            SessionContext(device=Device("Pixel", "phone", {"a": value}))
            for value in (
                *(b"x", {1, 2}, float("nan"), float("inf"), "\udfff", nested(33), Word.PHONE),
                *(datetime(2030, 1, 1, tzinfo=UTC), Decimal("1.5"), {1: 2}, {b"a": 1}, 10**4300),
            )
        ),
    ],
)
def test_what_json_would_hold_as_something_else_is_not_packed(context: SessionContext) -> None:
    with pytest.raises(InvalidArgument, match="a context must hold texts and plain JSON"):
        pack_context(context)
