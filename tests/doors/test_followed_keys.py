"""Every option of keys that are followed, in a file or by a URL.

Invariant: whatever a caller hands in is taken at one look, or refused by an error of our own.
"""

from __future__ import annotations

import inspect
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenwheel import Key, TokenwheelError
from tokenwheel.keys import KeyFile, KeyResponse, RemoteKeySet

from .guises import HOSTILE, hostile

JWK = Key.generate("ES256", kid="ec").to_jwk(private=True)
JWKS = {"keys": [JWK]}
FOLLOWED = {
    kind: [*inspect.signature(kind).parameters] for kind in (KeyFile, RemoteKeySet, KeyResponse)
}
OPTIONS = [(kind, name) for kind, names in FOLLOWED.items() for name in names]


@given(option=st.sampled_from(OPTIONS), name=st.sampled_from([*HOSTILE]))
def test_a_hostile_option_of_keys_that_are_followed_is_refused_or_taken_at_one_look(
    option: tuple[Any, str], name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kind, parameter = option
    path = tmp_path_factory.getbasetemp() / "followed.json"
    if not path.exists():
        path.touch(0o600)
        path.write_text(json.dumps(JWKS))
    given_options: dict[Any, dict[str, Any]] = {
        KeyFile: {"path": str(path)},
        RemoteKeySet: {"url": "https://login.example.com/jwks.json"},
        KeyResponse: {"status_code": 200, "headers": {}, "content": b""},
    }
    with suppress(TokenwheelError):
        made = kind(**given_options[kind] | {parameter: hostile(name)})
        if kind is not KeyResponse:  # a NamedTuple, which is looked at where it is returned
            assert JWK["d"] not in repr(made)
            made.close()
