"""Plain JSON of a caller, copied at one look. Both twins."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import threading
import types
import uuid
from collections import OrderedDict, UserDict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.liars import (
    Agreeing,
    Impostor,
    Number,
    Pairs,
    Raising,
    Seconds,
    Text,
    TwoFaced,
    TwoFacedDict,
    holding_itself,
    laughs,
    nested,
)
from tokenwheel import InvalidArgument

Copy = Callable[[Any], dict[str, Any]]


class Role(enum.StrEnum):
    ADMIN = "admin"


class OldRole(str, enum.Enum):  # noqa: UP042 - which is another thing than a StrEnum
    """What str() and format() call by the member's name, and not by its characters."""

    ADMIN = "admin"


class Level(enum.IntEnum):
    HIGH = 1


@dataclasses.dataclass
class Point:
    x: int = 1


@pytest.fixture
def copy(load: Callable[[str], ModuleType]) -> Copy:
    copy_plain = load("plain_json").copy_plain
    return lambda mapping: copy_plain(mapping, "claims", "claim", 6144)


def test_a_copy_is_equal_and_shares_nothing_that_can_be_changed(copy: Copy) -> None:
    given: dict[str, Any] = {
        "a": [1, {"b": [True, None]}],
        "c": {"d": {"e": []}},
        "é": -0.5,
        "": "😀",
        "t": (1, (2,)),
    }
    copied = copy(given)
    assert copied == {**given, "t": [1, [2]]}
    given["a"][1]["b"].append(2)
    given["c"]["d"]["e"].append(3)
    given["c"]["x"] = 1
    given["y"] = 1
    assert copied == {
        "a": [1, {"b": [True, None]}],
        "c": {"d": {"e": []}},
        "é": -0.5,
        "": "😀",
        "t": [1, [2]],
    }


def test_a_mapping_of_any_kind_is_looked_at_once(copy: Copy) -> None:
    for mapping in (
        OrderedDict(a=1),
        UserDict(a=1),
        types.MappingProxyType({"a": 1}),
        TwoFaced({"a": 1}),
        TwoFacedDict({"a": 1}),
        Pairs(("a", 1)),
    ):
        copied = copy(mapping)
        assert (type(copied), copied) == (dict, {"a": 1})


@pytest.mark.parametrize("kind", [Text, Agreeing])
def test_a_name_counts_by_its_characters(copy: Copy, kind: Any) -> None:
    for mapping in ({kind("sub"): 1}, Pairs((kind("sub"), 1))):
        ((name, value),) = copy(mapping).items()
        assert (type(name), name, value) == (str, "sub", 1)


@pytest.mark.parametrize(
    "mapping",
    [
        Pairs(("sub", 1), ("sub", 2)),
        Pairs(("sub", 1), (Text("sub"), 2)),
        {"sub": 1, Text("sub"): 2},
    ],
)
def test_a_name_that_stands_twice_is_refused(copy: Copy, mapping: Any) -> None:
    with pytest.raises(InvalidArgument, match="claims must not have a name twice"):
        copy(mapping)


@pytest.mark.parametrize(
    "value",
    [
        Point(),
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        dt.date(2026, 1, 1),
        dt.time(1),
        uuid.UUID(int=1),
        decimal.Decimal(1),
        b"x",
        {1},
        object(),
        OrderedDict(a=1),
        TwoFacedDict({"a": 1}, {"a": 2}),
        TwoFaced({"a": 1}),
        types.MappingProxyType({}),
        type("List", (list,), {})([1]),
        type("Pair", (tuple,), {})([1]),
        Impostor(str),
        Impostor(dict),
        Impostor(list),
        type("Named", (type,), {"__name__": property(lambda cls: 1 / 0)})("T", (), {})(),
    ],
    ids=lambda value: type.__dict__["__name__"].__get__(type(value)),
)
def test_a_value_that_an_encoder_may_take_for_another_is_refused(copy: Copy, value: Any) -> None:
    for given in (value, [value], {"b": value}, ({"b": [value]},)):
        with pytest.raises(InvalidArgument, match=r"claim 'a' has a value of type .*not JSON"):
            copy({"a": given})


@pytest.mark.parametrize(
    "value, plain",
    [
        (Role.ADMIN, "admin"),
        (OldRole.ADMIN, "admin"),
        (Text("x"), "x"),
        (Agreeing("x"), "x"),
        (Level.HIGH, 1),
        (Number(1), 1),
        (Number(2**64 - 1), 2**64 - 1),
        (Seconds(1.5), 1.5),
    ],
    ids=ascii,
)
def test_a_text_counts_by_its_characters_and_a_number_by_its_value(
    copy: Copy, value: Any, plain: Any
) -> None:
    copied = copy({"a": value, "b": [value], "c": ({"d": value},)})
    assert copied == {"a": plain, "b": [plain], "c": [{"d": plain}]}
    for given in (copied["a"], copied["b"][0], copied["c"][0]["d"]):
        assert type(given) is type(plain)


@pytest.mark.parametrize(
    "value, reason",
    [
        (Text("\ud800"), "a lone surrogate"),
        (Seconds(float("nan")), "a number that JSON cannot hold"),
        (Seconds(float("inf")), "a number that JSON cannot hold"),
    ],
    ids=ascii,
)
def test_a_subclass_of_what_json_cannot_hold_is_refused(
    copy: Copy, value: Any, reason: str
) -> None:
    for given in (value, [value], {"b": value}):
        with pytest.raises(InvalidArgument, match=f"claim 'a' has {reason}|text with {reason}"):
            copy({"a": given})


@pytest.mark.parametrize("kind", [Text, Agreeing, lambda text: OldRole.ADMIN])
def test_a_nested_name_counts_by_its_characters(copy: Copy, kind: Any) -> None:
    copied = copy({"a": {kind("admin"): 1}, "b": [{"x": 0, kind("admin"): 1}]})
    assert copied == {"a": {"admin": 1}, "b": [{"x": 0, "admin": 1}]}
    assert type(*copied["a"]) is str


@pytest.mark.parametrize("names", [(Text("x"), "x"), ("x", Agreeing("x"))], ids=ascii)
def test_a_nested_name_that_stands_twice_is_refused(copy: Copy, names: Any) -> None:
    held = dict(zip(names, (1, 2), strict=True))
    if len(held) == 2:
        with pytest.raises(InvalidArgument, match="claim 'a' has an object with a name twice"):
            copy({"a": [held]})


@pytest.mark.parametrize("name", [1, None, b"x", "\ud800", Text("\ud800")], ids=ascii)
def test_a_nested_name_that_is_no_plain_text_is_refused(copy: Copy, name: Any) -> None:
    for value in ({name: 1}, [{"b": {"x": 1, name: 2}}]):
        with pytest.raises(InvalidArgument, match="claim 'a' has an object with a name that is"):
            copy({"a": value})


def test_levels_are_bounded_however_deep_they_go(copy: Copy) -> None:
    members, items = holding_itself()
    assert copy({"a": nested(31)}) == {"a": nested(31)}
    for deep in (nested(32), nested(100_000), members, items, {"b": (items,)}):
        with pytest.raises(InvalidArgument, match="claim 'a' is nested deeper than 32 levels"):
            copy({"a": deep})
    with pytest.raises(InvalidArgument, match="claim 'itself' is nested deeper than 32 levels"):
        copy(members)


@pytest.mark.parametrize(
    "mapping",
    [
        {"a": laughs()},
        {"a": "x" * 100_000_000},
        {"x" * 100_000_000: 1},
        {"a": [0] * 10_000_000},
        {"a": (0,) * 10_000_000},
        dict.fromkeys(map(str, range(100_000))),
        {"a": dict.fromkeys(map(str, range(100_000)))},
        Pairs(*((str(number), 0) for number in range(100_000))),
    ],
    ids=["laughs", "text", "name", "list", "tuple", "dict", "nested dict", "mapping"],
)
def test_what_no_token_has_room_for_is_refused_before_it_is_copied(
    copy: Copy, mapping: Any
) -> None:
    with pytest.raises(InvalidArgument, match="claims must have at most 6144 bytes of JSON"):
        copy(mapping)


def test_a_mapping_that_never_ends_is_refused(copy: Copy) -> None:
    class Endless(Pairs):
        def items(self) -> Any:
            return iter(lambda: ("a", 1), None)

    with pytest.raises(InvalidArgument, match="claims must have at most 6144 bytes of JSON"):
        copy(Endless())


def fail(error: BaseException) -> Any:
    def run() -> None:
        raise error

    return Raising(run)


@pytest.mark.parametrize(
    "mapping",
    [
        fail(KeyError("a")),
        fail(RecursionError()),
        Pairs(1),
        Pairs(("a",)),
        Pairs(("a", 1, 2)),
        type("NoItems", (TwoFaced,), {"items": None})({}),
        type("NoIterator", (TwoFaced,), {"items": lambda self: 7})({}),
    ],
)
def test_a_mapping_that_cannot_be_read_is_refused(copy: Copy, mapping: Any) -> None:
    with pytest.raises(InvalidArgument, match="claims must be a mapping whose items can be read"):
        copy(mapping)


def test_an_interrupt_while_a_mapping_is_read_is_no_refusal(copy: Copy) -> None:
    with pytest.raises(KeyboardInterrupt):
        copy(fail(KeyboardInterrupt()))


@pytest.mark.parametrize("given", [7, "a", b"a", [("a", 1)], Impostor(dict)], ids=type)
def test_what_is_no_mapping_is_refused_by_the_name_of_its_type(copy: Copy, given: Any) -> None:
    with pytest.raises(InvalidArgument, match="claims must be a mapping"):
        copy(given)


def test_a_dict_that_another_thread_changes_is_copied_as_it_is_at_one_moment(copy: Copy) -> None:
    given: dict[str, Any] = {"a": {"n": [0]}}
    is_over = threading.Event()

    def change() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            given["a"] = {"n": [number]}
            given[f"x{number % 50}"] = {"sub": number}
            given["a"]["n"].append(object() if number % 2 else 1)
            given["a"][f"y{number % 7}"] = number
            given.pop(f"x{(number + 25) % 50}", None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(3000):
            try:
                copied = copy(given)
            except InvalidArgument as error:
                assert "'a' has a value of type object" in str(error)  # noqa: PT017 - one of two
                continue
            again = copy(copied)
            assert again == copied
    finally:
        is_over.set()
        thread.join()
