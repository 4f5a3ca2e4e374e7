"""The options for the life of a session count by their characters and values alone.

A subclass has no say in what it equals, nor in what it is called.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import ConfigurationError, TooManySessions

Make = Callable[..., Any]


class WhenFull(str, enum.Enum):  # noqa: UP042 -- a StrEnum is written by its characters
    EVICT = "evict_oldest"
    REJECT = "reject"
    ELSE = "else"


class Text(str):
    """A text that says that it is any other."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __str__(self) -> str:
        return "reject"

    __hash__ = str.__hash__


class Number(int):
    """A number that says that it is smaller and larger than any other, and another one."""

    def _always(self, other: object) -> bool:
        return True

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _always  # type: ignore[assignment]
    __hash__ = int.__hash__

    def __int__(self) -> int:
        return 7

    def __index__(self) -> int:
        return 7

    def __float__(self) -> float:
        return 7.0

    def __add__(self, other: object) -> int:
        return 7


class Most(enum.IntEnum):
    TWO = 2


class BoolLike:
    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


@pytest.mark.parametrize(
    "when_full", [WhenFull.EVICT, Text("evict_oldest")], ids=lambda value: type(value).__name__
)
def test_what_to_do_when_full_counts_by_its_characters(make: Make, when_full: Any) -> None:
    manager = make(max_sessions=1, when_full=when_full)
    sessions = [manager.create(subject="ann") for _ in range(2)]
    assert manager.read_all("ann").keys() == {sessions[1].session_id}
    manager = make(max_sessions=1, when_full=WhenFull.REJECT)
    manager.create(subject="ann")
    with pytest.raises(TooManySessions):
        manager.create(subject="ann")


@pytest.mark.parametrize(
    "given, said",
    [
        (WhenFull.ELSE, ""), (Text("else"), ""), ("", ""), (None, ", not NoneType"),
        (b"reject", ", not bytes"), (BoolLike(), ", not BoolLike"), (["reject"], ", not list"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_cannot_be_done_when_full_is_refused(make: Make, given: Any, said: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"^when_full must be 'reject' or 'evict_oldest'{said}$"
    ):
        make(when_full=given)


@pytest.mark.parametrize("most", [Most.TWO, Number(2)], ids=lambda value: type(value).__name__)
def test_the_most_sessions_count_by_their_value(make: Make, most: Any) -> None:
    manager = make(max_sessions=most)
    for _ in range(2):
        manager.create(subject="ann")
    with pytest.raises(TooManySessions, match="already has the 2 sessions"):
        manager.create(subject="ann")


def test_lifetimes_and_lengths_count_by_their_value(make: Make, clock: FakeClock) -> None:
    manager = make(
        access_ttl=Number(60),
        refresh_ttl=Number(600),
        idle_ttl=Number(120),
        refresh_token_length=Number(15),
        reuse_grace=Number(30),
    )
    tokens = manager.create(subject="ann")
    assert tokens.access_expires_at == int(clock.now) + 60
    assert tokens.refresh_expires_at == int(clock.now) + 120
    assert len(tokens.refresh_token) == (12 + 15 + 15) * 4 // 3
    fresh = manager.update(tokens.refresh_token)
    clock.advance(29)
    assert manager.update(tokens.refresh_token).refresh_token == fresh.refresh_token
    for option in ("access_ttl", "refresh_ttl", "idle_ttl", "max_sessions", "refresh_token_length"):
        with pytest.raises(ConfigurationError, match=f"^{option} must be .*, and is 0$"):
            make(**{option: Number(0)})


@pytest.mark.parametrize(
    "given, said",
    [
        (BoolLike(), "not BoolLike"), (1, "and is 1"), (0, "and is 0"), (Number(1), "and is 1"),
        ("True", "not str"), (None, "not NoneType"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_to_rotate_or_not_is_said_by_a_bool_alone(make: Make, given: Any, said: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"^rotate_refresh_tokens must be True or False, {said}$"
    ):
        make(rotate_refresh_tokens=given)
