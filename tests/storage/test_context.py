"""Where a login came from, as bytes that whoever can write to a storage may have changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.liars import nested
from tokenwheel import Device, SessionContext
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
