"""Claims: a mapping that nobody can change. Both twins."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest

from tokenwheel import InvalidArgument

GIVEN: dict[str, Any] = {"sub": "uid1", "sid": "A" * 16, "iat": 1, "exp": 2, "roles": ["a", {"b": [1]}], "role": "user", "none": None}


@pytest.fixture
def cls(load: Callable[[str], ModuleType]) -> Any:
    return load("verifier").Claims


@pytest.fixture
def claims(cls: Any) -> Any:
    return cls(GIVEN)


def test_it_reads_as_a_mapping(claims: Any) -> None:
    assert isinstance(claims, Mapping)
    assert dict(claims) == GIVEN
    assert claims == GIVEN
    assert claims == GIVEN
    assert claims == type(claims)(GIVEN)
    assert claims != {**GIVEN, "role": "admin"}
    assert claims != 7
    assert (len(claims), list(claims)) == (7, list(GIVEN))
    assert (list(claims.keys()), list(claims.values()), list(claims.items())) == (list(GIVEN), list(GIVEN.values()), list(GIVEN.items()))
    assert ("role" in claims, "z" in claims) == (True, False)
    assert (claims["role"], claims.get("role"), claims.get("z"), claims.get("z", 9), claims.get("none", 9)) == (
        "user",
        "user",
        None,
        9,
        None,
    )
    assert {**claims} == GIVEN
    with pytest.raises(KeyError):
        claims["z"]
    with pytest.raises(TypeError):
        reversed(claims)


def test_its_attributes_are_the_registered_claims(claims: Any) -> None:
    assert (claims.subject, claims.session_id, claims.issued_at, claims.expires_at) == ("uid1", "A" * 16, 1, 2)


def test_nothing_changes_it(claims: Any) -> None:
    for name in ("subject", "session_id", "issued_at", "expires_at", "role", "anything"):
        with pytest.raises(AttributeError):
            setattr(claims, name, "x")
        with pytest.raises(AttributeError):
            delattr(claims, name)
    with pytest.raises(TypeError):
        claims["role"] = "admin"
    with pytest.raises(TypeError):
        del claims["role"]
    assert not hasattr(claims, "__dict__")
    for nested in (claims["roles"], claims.get("roles"), dict(claims)["roles"], claims.to_dict()["roles"], list(claims.values())[4]):
        nested[1]["b"].append(2)
        nested.clear()
    assert claims == GIVEN


def test_what_it_was_made_of_is_not_shared(cls: Any) -> None:
    given = copy.deepcopy(GIVEN)
    claims = cls(given)
    given["roles"].clear()
    given["sub"] = "root"
    assert claims == GIVEN


def test_to_dict_gives_a_private_copy_that_json_takes(claims: Any) -> None:
    copied = claims.to_dict()
    assert type(copied) is dict
    assert json.loads(json.dumps(copied)) == GIVEN


def test_a_match_statement_takes_it_for_a_mapping(claims: Any) -> None:
    match claims:
        case {"role": role, "sub": subject}:
            assert (role, subject) == ("user", "uid1")
        case _:
            raise AssertionError("no match")


def test_it_has_no_hash_is_its_own_copy_and_is_not_pickled(claims: Any) -> None:
    with pytest.raises(TypeError):
        hash(claims)
    assert copy.copy(claims) is copy.deepcopy(claims) is claims
    with pytest.raises(TypeError, match="to_dict"):
        pickle.dumps(claims)


def test_its_repr_shows_whose_session_it_is_and_no_claims(claims: Any) -> None:
    assert repr(claims) == f"<Claims of session '{'A' * 16}'>"


@pytest.mark.parametrize("name, value", [("sub", 7), ("sid", None), ("iat", "1"), ("exp", [])])
def test_claims_made_by_hand_need_what_an_access_token_has(cls: Any, name: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match=name):
        cls({**GIVEN, name: value})
    with pytest.raises(InvalidArgument, match=name):
        cls({key: one for key, one in GIVEN.items() if key != name})
