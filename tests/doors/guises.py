"""What a caller may hand in: a value under another guise, and what is no value at all.

A guise of a value counts as the value: its characters, its number, its items at one look. A hostile
object is whatever a caller should never have handed in, be it that every question to it raises.
Each is made anew from its name, so that a failing example can be shown without asking the object.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NoReturn

from hypothesis import strategies as st

from tests.liars import (
    Agreeing,
    Impostor,
    Number,
    Octets,
    Pairs,
    Raising,
    Seconds,
    Text,
    Turning,
    TwoFaced,
    holding_itself,
    nested,
)
from tokenwheel import Key, KeySet, SessionContext

__all__ = ["HOSTILE", "Pick", "disguised", "disguised_mapping", "hostile", "pick_from"]

Pick = Callable[[Sequence[str]], str]
"""Chooses one of some names, as Hypothesis wants it."""


class Asked(Exception):
    """A hostile object was asked something."""


def _raises(*_: Any, **__: Any) -> NoReturn:
    raise Asked("whoever looks at this object meets an error of its own")


_QUESTIONS = (
    "__str__", "__repr__", "__format__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__",
    "__hash__", "__len__", "__bool__", "__iter__", "__contains__", "__getitem__", "__int__",
    "__index__", "__float__", "__bytes__", "__add__", "__radd__", "__getattr__",
)  # fmt: skip
_RAISING: dict[str, Any] = dict.fromkeys(_QUESTIONS, _raises)
_NAMELESS = property(_raises)


def _without(*names: str, **more: Any) -> dict[str, Any]:
    return {name: what for name, what in _RAISING.items() if name not in names} | more


# Each of these raises whenever it is asked anything, `__class__` included.
Hostile: Any = type("Hostile", (), _RAISING | {"__class__": _NAMELESS})
HostileCallable: Any = type(
    "HostileCallable",
    (),
    _RAISING | {"__class__": _NAMELESS, "__call__": lambda *_, **__: Hostile()},
)
HostileText: Any = type("HostileText", (str,), _without("__getattr__", encode=_raises))
HostileNumber: Any = type("HostileNumber", (int,), _without("__getattr__"))
HostileSeconds: Any = type("HostileSeconds", (float,), _without("__getattr__"))
HostileOctets: Any = type("HostileOctets", (bytes,), _without("__getattr__", decode=_raises))
HostileDelta: Any = type(
    "HostileDelta",
    (timedelta,),
    _without("__getattr__", "__len__", "__iter__", total_seconds=_raises, days=_NAMELESS),
)


class SubclassedDict(dict[Any, Any]):
    """A dict of which only ``items`` tells what it stands for."""

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __getitem__(self, name: Any) -> Any:
        return "evil"

    def keys(self) -> Any:
        return {}.keys()


class SubclassedList(list[Any]):
    """A list that says that it is empty."""

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __contains__(self, item: object) -> bool:
        return False

    def __getitem__(self, place: Any) -> Any:
        return "evil"


class EndlessSequence(Sequence[Any]):
    """A sequence that says it has one item, and has no end."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat("a")

    def __getitem__(self, place: Any) -> Any:
        return "a"


class HostileSequence(Sequence[Any]):
    """A sequence that cannot be read."""

    __len__ = __iter__ = __getitem__ = _raises


class AgreesWithEverything:
    """What a truth value of numpy is like, only more so."""

    def __init__(self, *_: Any) -> None: ...

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __bool__(self) -> bool:
        return True

    def __index__(self) -> int:
        return 1

    def __hash__(self) -> int:
        return 1


def _member(value: Any, kind: type) -> Any:
    return enum.Enum("Who", {"MEMBER": value}, type=kind).MEMBER  # type: ignore[call-overload]


_TEXTS: dict[str, Callable[[str], Any]] = {
    "as it is": lambda text: text,
    "a str that lies": Text,
    "a str that agrees": Agreeing,
    "a str that raises": HostileText,
    "an Enum member": lambda text: _member(text, str),
    "a StrEnum member": lambda text: enum.StrEnum("Who", {"MEMBER": text}).MEMBER,  # type: ignore[attr-defined]
}
_OCTETS: dict[str, Callable[[bytes], Any]] = {
    "as they are": lambda octets: octets,
    "bytes that lie": Octets,
    "bytes that raise": HostileOctets,
    "an Enum member": lambda octets: _member(octets, bytes),
}
_WHOLE: dict[str, Callable[[int], Any]] = {
    "as it is": lambda number: number,
    "an int that lies": Number,
    "an int that raises": HostileNumber,
    "an IntEnum member": lambda number: enum.IntEnum("N", {"MEMBER": number}).MEMBER,  # type: ignore[attr-defined]
}
_DECIMAL: dict[str, Callable[[float], Any]] = {
    "as it is": lambda number: number,
    "a float that lies": Seconds,
    "a float that raises": HostileSeconds,
    "an Enum member": lambda number: _member(number, float),
}
# A dict can have names that agree with everything, or cannot be hashed, in no place.
_NAMES = ("as it is", "a str that lies", "an Enum member", "a StrEnum member")
_MAPPINGS: dict[str, Callable[[list[tuple[Any, Any]]], Any]] = {
    "a dict": dict,
    "a dict that lies": SubclassedDict,
    "a mapping that shows others later": lambda pairs: TwoFaced(dict(pairs)),
    "a proxy": lambda pairs: MappingProxyType(dict(pairs)),
    "pairs": lambda pairs: Pairs(*pairs),
}
_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {
    "a list": list,
    "a tuple": tuple,
    "a list that lies": SubclassedList,
    "a sequence that gives others later": lambda items: Turning(items, ["evil"]),
}


def disguised(value: Any, pick: Pick) -> Any:
    """Return the value, and what is in it, under other guises."""
    kind = type(value)
    if kind is str:
        return _TEXTS[pick([*_TEXTS])](value)
    if kind is bytes:
        return _OCTETS[pick([*_OCTETS])](value)
    if kind is int:
        return _WHOLE[pick([*_WHOLE])](value)
    if kind is float:
        return _DECIMAL[pick([*_DECIMAL])](value)
    if kind is dict:
        return disguised_mapping(value, pick, disguised)
    if kind in (list, tuple):
        return _SEQUENCES[pick([*_SEQUENCES])]([disguised(item, pick) for item in value])
    return value


def disguised_mapping(
    mapping: dict[str, Any], pick: Pick, disguise: Callable[[Any, Pick], Any]
) -> Any:
    """Return a mapping and its names under other guises, and its values as ``disguise`` has it."""
    kind = pick([*_MAPPINGS])
    names = [*(_TEXTS if kind == "pairs" else _NAMES)]
    return _MAPPINGS[kind](
        [(_TEXTS[pick(names)](name), disguise(value, pick)) for name, value in mapping.items()]
    )


HOSTILE: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "zero": lambda: 0,
    "one": lambda: 1,
    "minus one": lambda: -1,
    "half": lambda: 0.5,
    "a number of 400 digits": lambda: 10**400,
    "a number of 9000 digits": lambda: 10**9000,
    "infinity": lambda: float("inf"),
    "no number": lambda: float("nan"),
    "a complex number": lambda: 1j,
    "an int that lies, out of range": lambda: Number(-5),
    "a float that lies, out of range": lambda: Seconds(-5.0),
    "a timedelta": lambda: timedelta(seconds=90),
    "a timedelta of half a second": lambda: timedelta(seconds=0.5),
    "a negative timedelta": lambda: timedelta(seconds=-90),
    "the longest timedelta": lambda: timedelta.max,
    "a timedelta that raises": lambda: HostileDelta(seconds=90),
    "an empty text": lambda: "",
    "an empty str that lies": lambda: Text(""),
    "an empty str that raises": lambda: HostileText(""),
    "NUL": lambda: "a\0b",
    "a lone surrogate": lambda: "a\ud800",
    "a str that lies of a lone surrogate": lambda: Text("\udfff"),
    "a long text": lambda: "x" * 100_000,
    "a text of blanks": lambda: " \n\t ",
    "an Enum member that is no str": lambda: enum.Enum("Who", {"ANN": "ann"}).ANN,  # type: ignore[attr-defined]
    "no octets": lambda: b"",
    "octets": lambda: b"ann\xff",
    "octets that raise": lambda: HostileOctets(b"ann"),
    "a bytearray": lambda: bytearray(b"a" * 40),
    "a memoryview": lambda: memoryview(b"a" * 40),
    "an empty list": list,
    "an empty dict": dict,
    "a set": lambda: {"a"},
    "an iterator": lambda: iter(["a"]),
    "a list of numbers": lambda: [1, 2],
    "a list of what raises": lambda: [Hostile()],
    "a dict of what raises": lambda: {"a": Hostile()},
    "a list in itself": lambda: holding_itself()[1],
    "a dict in itself": lambda: holding_itself()[0],
    "a deep list": lambda: nested(5000),
    "a sequence without an end": EndlessSequence,
    "a sequence that raises": HostileSequence,
    "a mapping that raises": lambda: Raising(_raises),
    "a name twice": lambda: Pairs(("a", 1), ("a", 2)),
    "an object": object,
    "a class": lambda: AgreesWithEverything,
    "what raises": Hostile,
    "a callable that raises when it is looked at": HostileCallable,
    "a callable that answers None": lambda: lambda *_: None,
    "what agrees with everything": AgreesWithEverything,
    "what calls itself a str": lambda: Impostor(str),
    "what calls itself bytes": lambda: Impostor(bytes),
    "what calls itself an int": lambda: Impostor(int),
    "what calls itself a bool": lambda: Impostor(bool),
    "what calls itself a dict": lambda: Impostor(dict),
    "what calls itself a Mapping": lambda: Impostor(Mapping),
    "what calls itself a list": lambda: Impostor(list),
    "what calls itself a Key": lambda: Impostor(Key),
    "what calls itself a KeySet": lambda: Impostor(KeySet),
    "what calls itself a SessionContext": lambda: Impostor(SessionContext),
}


def pick_from(data: st.DataObject) -> Pick:
    """Return what lets Hypothesis choose."""
    return lambda choices: data.draw(st.sampled_from(choices))


def hostile(name: str) -> Any:
    """Return the hostile object of this name, made anew."""
    return HOSTILE[name]()
