"""Claims: a mapping that nobody can change. Both twins."""

from __future__ import annotations

import copy
import json
import pickle
from collections import UserDict
from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import pytest

from tests.liars import (
    Agreeing,
    Number,
    Pairs,
    Text,
    TwoFaced,
    TwoFacedDict,
    holding_itself,
    laughs,
    nested,
)
from tokenwheel import InvalidArgument

TEXT = (
    '{"sub":"uid1","sid":"AAAAAAAAAAAAAAAA","iat":1,"exp":2,"roles":["a",{"b":[1]},[{}]],'
    '"role":"user","none":null,"deep":{"d":{"e":[2]}}}'
)
GIVEN: dict[str, Any] = json.loads(TEXT)


@pytest.fixture
def cls(load: Callable[[str], ModuleType]) -> Any:
    return load("verifier").Claims


@pytest.fixture
def claims(cls: Any) -> Any:
    return cls(json.loads(TEXT))


def test_it_reads_as_a_mapping(claims: Any) -> None:
    assert isinstance(claims, Mapping)
    assert dict(claims) == GIVEN
    assert claims == GIVEN
    assert claims == {**GIVEN}
    assert claims == MappingProxyType(GIVEN)
    assert claims == type(claims)(GIVEN)
    assert claims != {**GIVEN, "role": "admin"}
    assert claims != type(claims)({**GIVEN, "role": "admin"})
    assert claims != 7
    assert claims != list(GIVEN.items())
    assert (len(claims), list(claims)) == (8, list(GIVEN))
    assert (list(claims.keys()), list(claims.values()), list(claims.items())) == (
        list(GIVEN),
        list(GIVEN.values()),
        list(GIVEN.items()),
    )
    assert ("role" in claims, "z" in claims) == (True, False)
    assert (
        claims["role"],
        claims.get("role"),
        claims.get("z"),
        claims.get("z", 9),
        claims.get("none", 9),
    ) == (
        "user",
        "user",
        None,
        9,
        None,
    )
    assert {**claims} == GIVEN
    with pytest.raises(KeyError):
        claims["z"]
    with pytest.raises(TypeError, match="not reversible"):
        reversed(claims)


def test_its_attributes_are_the_registered_claims(claims: Any) -> None:
    assert (claims.subject, claims.session_id, claims.issued_at, claims.expires_at) == (
        "uid1",
        "A" * 16,
        1,
        2,
    )


def test_nothing_changes_it(claims: Any) -> None:
    for name in ("subject", "session_id", "issued_at", "expires_at", "role", "anything"):
        with pytest.raises(AttributeError):
            setattr(claims, name, "x")
        with pytest.raises(AttributeError):
            delattr(claims, name)
    with pytest.raises(TypeError, match="does not support item assignment"):
        claims["role"] = "admin"
    with pytest.raises(TypeError, match="does not support item deletion"):
        del claims["role"]
    assert not hasattr(claims, "__dict__")
    for value in (
        claims["roles"],
        claims.get("roles"),
        dict(claims)["roles"],
        claims.to_dict()["roles"],
        list(claims.values())[4],
    ):
        value[2][0]["x"] = 1
        value[1]["b"].append(2)
        value.clear()
    for value in (
        claims["deep"],
        claims.get("deep"),
        {**claims}["deep"],
        claims.to_dict()["deep"],
        dict(claims.items())["deep"],
    ):
        value["d"]["e"].append(3)
        value["d"]["x"] = 1
        value.clear()
    assert json.dumps(claims.to_dict(), separators=(",", ":")) == TEXT


def test_what_it_was_made_of_is_not_shared(cls: Any) -> None:
    members = json.loads(TEXT)
    claims = cls(members)
    members["deep"]["d"]["e"].append(3)
    members["roles"][1]["b"].append(2)
    members["roles"].clear()
    members["sub"] = "root"
    assert claims == GIVEN


def test_to_dict_gives_a_private_copy_that_json_takes(claims: Any) -> None:
    copied = claims.to_dict()
    assert type(copied) is dict
    assert json.loads(json.dumps(copied)) == GIVEN


def test_its_views_look_up_and_combine_as_those_of_a_dict(claims: Any) -> None:
    assert ("role" in claims.keys(), "z" in claims.keys()) == (True, False)  # noqa: SIM118
    assert (("role", "user") in claims.items(), ("role", "admin") in claims.items()) == (
        True,
        False,
    )
    assert ("user" in claims.values(), "admin" in claims.values()) == (True, False)
    assert {"role"} == claims.keys() & {"role", "z"}
    assert (len(claims.keys()), len(claims.items()), len(claims.values())) == (8, 8, 8)


@pytest.mark.parametrize("name", [7, None, (), "", "\ud800", b"role"], ids=ascii)
def test_a_name_that_is_none_is_not_there(claims: Any, name: Any) -> None:
    assert (name in claims, claims.get(name)) == (False, None)
    with pytest.raises(KeyError):
        claims[name]


def test_a_name_without_hash_is_a_type_error_as_with_a_dict(claims: Any) -> None:
    for look_up in (claims.__contains__, claims.__getitem__, claims.get):
        with pytest.raises(TypeError, match="unhashable type: 'list'"):
            look_up([])


@pytest.mark.parametrize(
    "use",
    [
        len,
        list,
        repr,
        str,
        hash,
        dict,
        pickle.dumps,
        lambda claims: claims["sub"],
        lambda claims: "sub" in claims,
        lambda claims: claims.get("sub"),
        lambda claims: claims.subject,
        lambda claims: claims.session_id,
        lambda claims: claims.issued_at,
        lambda claims: claims.expires_at,
        lambda claims: claims.to_dict(),
        lambda claims: list(claims.keys()),
        lambda claims: list(claims.values()),
        lambda claims: list(claims.items()),
        lambda claims: {**claims},
        lambda claims: claims == {},
        lambda claims: claims != {},
        lambda claims: dict[str, Any]() == claims,
    ],
)
def test_claims_half_made_fail_without_harm(cls: Any, use: Callable[[Any], Any]) -> None:
    half_made = cls.__new__(cls)
    with pytest.raises(TypeError):
        use(half_made)
    assert copy.copy(half_made) is copy.deepcopy(half_made) is half_made
    assert (half_made == 7, half_made != 7) == (False, True)
    with pytest.raises(InvalidArgument, match="claims must be a mapping whose items can be read"):
        cls(half_made)
    half_made.__init__(GIVEN)
    assert half_made == GIVEN


def test_a_match_statement_takes_it_for_a_mapping(claims: Any) -> None:
    match claims:
        case {"role": "admin"} | {"z": _}:
            raise AssertionError("matched what it does not hold")
        case {"role": role, "sub": subject, **rest}:
            assert (role, subject, len(rest)) == ("user", "uid1", 6)
        case _:
            raise AssertionError("no match")


def test_it_has_no_hash_is_its_own_copy_and_is_not_pickled(claims: Any) -> None:
    with pytest.raises(TypeError, match="unhashable type"):
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
        cls({key: member for key, member in GIVEN.items() if key != name})


def test_comparing_it_hands_nothing_of_it_to_what_it_is_compared_with(claims: Any) -> None:
    class Grasping:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            if isinstance(other, list):
                other.append("admin")
            return False

    assert claims != {**GIVEN, "roles": Grasping()}
    assert claims == GIVEN


def test_it_is_made_only_once(claims: Any) -> None:
    with pytest.raises(AttributeError, match="cannot be changed"):
        claims.__init__({**GIVEN, "sub": "root"})
    assert claims == GIVEN


def test_a_mapping_that_makes_the_claims_while_they_are_made_changes_nothing_later(
    cls: Any,
) -> None:
    claims = cls.__new__(cls)

    class Making(TwoFaced):
        def items(self) -> Any:
            claims.__init__(GIVEN)
            return super().items()

    with pytest.raises(AttributeError, match="cannot be changed"):
        claims.__init__(Making({**GIVEN, "sub": "root"}))
    assert claims == GIVEN


def test_nothing_is_a_kind_of_it_and_answers_otherwise(cls: Any) -> None:
    with pytest.raises(TypeError):
        type("Kind", (cls,), {"get": lambda self, name, default=None: "root"})


@pytest.mark.parametrize(
    "cls_of", [dict, TwoFaced, TwoFacedDict, UserDict], ids=lambda c: c.__name__
)
def test_it_holds_what_a_mapping_shows_at_its_first_look(cls: Any, cls_of: Any) -> None:
    assert cls(cls_of(GIVEN)) == GIVEN


@pytest.mark.parametrize("kind", [Text, Agreeing])
def test_names_count_by_their_characters(cls: Any, kind: Any) -> None:
    assert cls(Pairs(*((kind(name), value) for name, value in GIVEN.items()))) == GIVEN


@pytest.mark.parametrize(
    "value",
    [
        nested(32),
        nested(100_000),
        *holding_itself(),
        laughs(),
        "x" * 10_000,
        object(),
        {1},
        float("nan"),
        10**5000,
        "\ud800",
        Text("\ud800"),
        {Text("\ud800"): 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_claims_made_by_hand_hold_what_a_token_can(cls: Any, value: Any) -> None:
    with pytest.raises(InvalidArgument, match="claim"):
        cls({**GIVEN, "deep": value})
    with pytest.raises(InvalidArgument, match="claim"):
        cls({**GIVEN, "deep": [{"d": value}]})


@pytest.mark.parametrize("name, value", [("iat", True), ("exp", float("inf")), ("sub", b"x")])
def test_a_value_that_only_looks_right_is_refused(cls: Any, name: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match=f"'{name}'"):
        cls({**GIVEN, name: value})


@pytest.mark.parametrize("kind", [Text, Agreeing])
def test_texts_and_numbers_count_by_what_they_are(cls: Any, kind: Any) -> None:
    claims = cls({**GIVEN, "sub": kind("ann"), "exp": Number(4_000_000_000), "team": [kind("x")]})
    assert claims == {**GIVEN, "sub": "ann", "exp": 4_000_000_000, "team": ["x"]}
    assert type(claims.subject) is type(claims["team"][0]) is str
    assert type(claims["exp"]) is int


def test_it_is_compared_with_what_is_nested_without_end(cls: Any) -> None:
    members, items = holding_itself()
    deepest = cls({**GIVEN, "deep": nested(31)})
    assert deepest == {**GIVEN, "deep": nested(31)}
    for other in (nested(32), nested(100_000), members, items, laughs()):
        for mapping in ({**GIVEN, "deep": other}, UserDict({**GIVEN, "deep": other})):
            assert deepest != mapping
            assert mapping != deepest


def test_claims_of_a_token_as_deep_as_is_allowed_are_copied_and_compared(cls: Any) -> None:
    deepest = cls({**GIVEN, "deep": nested(31)})
    assert deepest["deep"] == deepest.get("deep") == deepest.to_dict()["deep"] == nested(31)
    assert deepest == cls(deepest) == cls(deepest.to_dict())
    assert "deep" not in repr(deepest)
