"""Objects that tell one thing to a check and another to whoever uses them afterwards.

Each is what a caller, or a library that a caller uses, could hand to a manager.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence
from typing import Any, NoReturn

OURS = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "gen")
TAKEN_OVER: dict[str, Any] = {"iss": "evil", "sub": "root", "exp": 4_000_000_000, "gen": 0}


class Text(str):
    """A text that compares, prints and measures as another than its characters."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("role")

    def __str__(self) -> str:
        return "root"

    __repr__ = __str__

    def __len__(self) -> int:
        return 4

    def __bool__(self) -> bool:
        return True

    def __contains__(self, part: object) -> bool:
        return False

    def __getitem__(self, place: Any) -> str:
        return "A" * 16

    def __format__(self, how: str) -> str:
        return "root"

    def isascii(self) -> bool:
        return True

    def encode(self, *_: Any, **__: Any) -> bytes:
        return b"root"


class Octets(bytes):
    """Octets that compare, print, measure and decode as others than they are."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(b"role")

    def __bytes__(self) -> bytes:
        return b"root"

    def __str__(self) -> str:
        return "root"

    __repr__ = __str__

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[int]:
        return iter(b"root")

    def __contains__(self, part: object) -> bool:
        return True

    def __getitem__(self, place: Any) -> Any:
        return b"root"[place]

    def isascii(self) -> bool:
        return True

    def decode(self, *_: Any, **__: Any) -> str:
        return "root"


class Agreeing(Text):
    """A text that is equal to every other."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = Text.__hash__


class Number(int):
    """A number that every comparison flatters and every conversion changes."""

    def _flattered(self, other: object) -> bool:
        return True

    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = _flattered  # type: ignore[assignment]

    def _changed(self, *_: Any) -> int:
        return 10**12

    __int__ = __index__ = __add__ = __radd__ = _changed  # type: ignore[assignment]

    def __float__(self) -> float:
        return 1e12

    __hash__ = int.__hash__


class Seconds(float):
    """A number of seconds that every comparison flatters and every conversion changes."""

    def _flattered(self, other: object) -> bool:
        return True

    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = _flattered  # type: ignore[assignment]

    def _changed(self, *_: Any) -> float:
        return 1e12

    __float__ = __add__ = __radd__ = _changed  # type: ignore[assignment]
    __hash__ = float.__hash__


class TwoFaced(Mapping[Any, Any]):
    """A mapping whose ``items`` shows other members than its keys do.

    Args:
        shown: what the next call of ``items`` shows.
        hidden: what every other look shows.
    """

    def __init__(self, shown: Mapping[Any, Any], hidden: Mapping[Any, Any] = TAKEN_OVER) -> None:
        self.shown = shown
        self.hidden = hidden
        self.looks = 0

    def items(self) -> ItemsView[Any, Any]:
        self.looks += 1
        return dict(self.shown if self.looks == 1 else self.hidden).items()

    def keys(self) -> KeysView[Any]:
        return dict(self.hidden).keys()

    def __getitem__(self, name: Any) -> Any:
        return self.hidden[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.hidden)

    def __len__(self) -> int:
        return 0


class TwoFacedDict(dict[Any, Any]):
    """A dict whose ``items`` shows other members than it holds."""

    def __init__(self, shown: Mapping[Any, Any], held: Mapping[Any, Any] = TAKEN_OVER) -> None:
        super().__init__(held)
        self.shown = shown

    def items(self) -> ItemsView[Any, Any]:
        return dict(self.shown).items()

    def __len__(self) -> int:
        return len(self.shown)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.shown)


class Pairs(Mapping[Any, Any]):
    """A mapping that gives whatever pairs it was made of, be it a name twice."""

    def __init__(self, *pairs: Any) -> None:
        self.pairs = pairs

    def items(self) -> Any:
        return iter(self.pairs)

    def __getitem__(self, name: Any) -> NoReturn:
        raise KeyError(name)

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Raising(Mapping[str, Any]):
    """A mapping that runs a function whenever it is looked at."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self.run = run

    def __getitem__(self, name: str) -> Any:
        return self.run()

    def __iter__(self) -> Iterator[str]:
        self.run()
        return iter(())

    def __len__(self) -> int:
        self.run()
        return 0

    def items(self) -> ItemsView[str, Any]:
        self.run()
        return {}.items()

    def get(self, name: str, default: Any = None) -> Any:
        return self.run()


class Turning(Sequence[Any]):
    """A sequence that gives other items at each pass after the first."""

    def __init__(self, first: Sequence[Any], later: Sequence[Any]) -> None:
        self.first = first
        self.later = later
        self.passes = 0

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        return iter(self.first if self.passes == 1 else self.later)

    def __getitem__(self, place: Any) -> Any:
        return self.later[place]

    def __len__(self) -> int:
        return len(self.later)


class Impostor:
    """An object that names another type as its own.

    Args:
        kind: the type that ``__class__`` names.
    """

    def __init__(self, kind: type) -> None:
        self.kind = kind

    @property
    def __class__(self) -> Any:
        return vars(self)["kind"]

    @__class__.setter
    def __class__(self, kind: Any) -> None:
        raise TypeError("it stays what it is")


def nested(levels: int) -> Any:
    """Return a list of so many levels of lists, made without recursion."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def holding_itself() -> tuple[dict[str, Any], list[Any]]:
    """Return a dict and a list, each of which holds itself."""
    members: dict[str, Any] = {}
    members["itself"] = members
    items: list[Any] = []
    items.append(items)
    return members, items


def laughs(levels: int = 30) -> Any:
    """Return lists in which 2 to the power of ``levels`` values are reached from a few objects."""
    value: Any = 1
    for _ in range(levels):
        value = [value, value]
    return value
