"""What several threads do to one manager's parts at once, none of it lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import SECRET
from tokenwheel import (
    InvalidAccessToken,
    Key,
    KeySet,
    RevocationList,
    SessionEvent,
)
from tokenwheel.events import Listeners
from tokenwheel.jwt import AccessTokens
from tokenwheel.session.longest import Longest

OLD, NEW = Key.from_secret(SECRET, kid="old"), Key.from_secret(SECRET[::-1], kid="new")


def together(*calls: Callable[[], object]) -> None:
    """Make calls in a thread each, all set off by one barrier."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        call()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class ChangedMeanwhile(KeySet):
    """A key set that another thread changes while somebody looks at its keys."""

    __slots__ = ("looks",)

    def __iter__(self) -> Iterator[Key]:
        seen = list(super().__iter__())
        self.looks = getattr(self, "looks", 0) + 1
        if self.looks == 2:  # The first look is the verifier's, when it is made.
            together(self.replace)
        return iter(seen)

    def replace(self) -> None:
        self.add(NEW, sign=True)
        self.remove("old")


def issued_by(key: Key) -> str:
    return tokens_of(KeySet(key)).issue("uid1", "A" * 16, {}, 0, 1, 2**33)


def tokens_of(keys: KeySet) -> AccessTokens:
    return AccessTokens(
        keys,
        issuer="i",
        audience="a",
        accept_audience=("a",),
        leeway=0,
        largest_leeway=60,
        cache_size=16,
        clock=lambda: 1_700_000_000.0,
        revocations=RevocationList(),
    )


def test_keys_that_change_while_a_manager_is_made_are_those_it_goes_by() -> None:
    tokens = tokens_of(ChangedMeanwhile(OLD))
    assert tokens.verifier.verify(issued_by(NEW)).subject == "uid1"
    with pytest.raises(InvalidAccessToken, match="names no key of this service"):
        tokens.verifier.verify(issued_by(OLD))
    assert tokens.verifier.verify(tokens.issue("uid1", "A" * 16, {}, 0, 1, 2**33))


def test_all_who_subscribe_at_once_are_told() -> None:
    listeners = Listeners()
    told: list[Any] = [lambda event: None for _ in range(400)]

    def subscribe(mine: list[Any]) -> None:
        for listener in mine:
            listeners.add(SessionEvent.SESSION_CREATED, listener)

    together(*(lambda part=part: subscribe(told[part::4]) for part in range(4)))  # type: ignore[misc]
    assert set(listeners._by_event[SessionEvent.SESSION_CREATED]) == set(told)


def test_the_longest_lifetime_is_known_whoever_notes_one_at_once() -> None:
    longest = Longest(0)
    together(
        *(
            lambda first=first: [longest.note(number) for number in range(first, 10_000, 4)]  # type: ignore[misc]
            for first in range(4)
        )
    )
    assert longest.seconds == 9_999
