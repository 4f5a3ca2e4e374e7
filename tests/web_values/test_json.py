"""Claims, sessions and tokens handed to ``json`` and msgspec, and the class that claims show."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from unittest import mock

import msgspec
import pytest

from tests.web_values.conftest import Login
from tokenwheel import Claims

MEMBERS = {"sub": "ann", "sid": "A" * 16, "iat": 1, "exp": 2}


@pytest.fixture
def claims() -> Claims:
    return Claims(MEMBERS)


def test_json_takes_the_dict_of_claims(login: Login) -> None:
    for text in (json.dumps(dict(login.claims)), json.dumps(login.claims, default=dict)):
        assert json.loads(text) == login.claims
    assert json.loads(json.dumps([asdict(login.session)])) == [asdict(login.session)]


def test_json_says_that_it_takes_the_dict_of_claims(claims: Claims) -> None:
    for value in (claims, [claims], {"a": {"b": claims}}):
        for options in ({}, {"indent": 2}, {"sort_keys": True}):
            with pytest.raises(TypeError, match=r"Claims \(json takes dict\(claims\)\)"):
                json.dumps(value, **options)


def test_msgspec_writes_sessions_and_tokens_and_by_a_hook_claims(
    login: Login, claims: Claims
) -> None:
    assert json.loads(msgspec.json.encode(login.tokens)) == asdict(login.tokens)
    assert json.loads(msgspec.json.encode([claims], enc_hook=dict)) == [MEMBERS]


def test_claims_are_instances_of_claims_in_every_way_of_asking(claims: Claims) -> None:
    assert type(claims) is Claims
    for kind in (Claims, Mapping, claims.__class__, object):
        assert isinstance(claims, kind)
        assert issubclass(claims.__class__, kind)
    assert not isinstance(claims, dict)
    assert not isinstance(MEMBERS, Claims)
    match claims:
        case Claims():
            pass
        case _:
            pytest.fail("claims match no pattern of their class")


def test_a_generic_function_finds_what_was_registered_for_claims(claims: Claims) -> None:
    @functools.singledispatch
    def kind_of(value: object) -> str:
        return "object"

    kind_of.register(Mapping, lambda value: "mapping")
    assert kind_of(claims) == "mapping"
    kind_of.register(Claims, lambda value: "claims")
    assert kind_of(claims) == "claims"


def test_the_class_that_claims_show_makes_claims_and_has_no_subclass(claims: Claims) -> None:
    made = claims.__class__(MEMBERS)
    assert type(made) is Claims
    assert made == claims
    assert (claims.__class__.__qualname__, claims.__class__.__module__) == (
        Claims.__qualname__,
        Claims.__module__,
    )
    for base in (Claims, claims.__class__):
        with pytest.raises(TypeError, match=r"cannot be subclassed|not an acceptable base type"):
            type("Forged", (base,), {})
    with pytest.raises((AttributeError, TypeError)):
        claims.__class__ = dict  # type: ignore[assignment]
    assert type(claims) is Claims


def test_copies_pickles_and_mocks_of_claims_are_what_they_were(claims: Claims) -> None:
    assert copy.copy(claims) is copy.deepcopy([claims])[0] is claims
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=r"Claims cannot be pickled; to_dict\(\) gives"):
            pickle.dumps(claims, protocol)
    assert pickle.loads(pickle.dumps(Claims)) is Claims
    for spec in (claims, Claims):
        double: Any = mock.create_autospec(spec, instance=True)
        assert isinstance(double, Claims)
    assert "subject" in dict(inspect.getmembers(claims))
    assert "json" not in repr(claims) + repr(Claims) + str(claims)
