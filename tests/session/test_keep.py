"""All sessions but one: "log out my other devices", and the same for their access tokens alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.places import opened
from tests.servers import until
from tests.support import FakeClock
from tokenwheel import (
    AccessTokenRevoked,
    AllSessionsInvalidated,
    InvalidArgument,
    MemoryStorage,
    SessionEvent,
    StorageUnavailable,
)

Make = Callable[..., Any]
CALLS = ["delete_all", "restrict_all"]


def refuses(manager: Any, access_token: str) -> bool:
    try:
        manager.read(access_token)
    except AccessTokenRevoked:
        return True
    return False


@pytest.mark.parametrize("named_by", ["session_id", "refresh_token"])
def test_delete_all_but_one_ends_all_but_this_one_in_every_process(
    place: Any, named_by: str
) -> None:
    here, there = place.open(), place.open()
    own, *others = [here.create(subject="ann") for _ in range(4)]
    bobs = here.create(subject="bob")
    assert there.delete_all("ann", keep=getattr(own, named_by)) == 3
    for manager in (there, here):
        for other in others:
            until(lambda m=manager, t=other: refuses(m, t.access_token))  # type: ignore[misc]
        assert not refuses(manager, own.access_token)
        assert not refuses(manager, bobs.access_token)
        assert manager.read_all("ann").keys() == {own.session_id}
    assert here.update(own.refresh_token).session_id == own.session_id


@pytest.mark.parametrize("named_by", ["session_id", "refresh_token"])
def test_restrict_all_but_one_refuses_the_tokens_of_all_but_this_one_in_every_process(
    place: Any, named_by: str
) -> None:
    here, there = place.open(), place.open()
    own, *others = [here.create(subject="ann") for _ in range(4)]
    before = there.read_all("ann")[own.session_id]
    assert there.restrict_all("ann", keep=getattr(own, named_by)) is None
    for manager in (there, here):
        for other in others:
            until(lambda m=manager, t=other: refuses(m, t.access_token))  # type: ignore[misc]
        assert not refuses(manager, own.access_token)
    assert there.read_all("ann")[own.session_id] == before
    for tokens in (own, *others):
        assert not refuses(here, here.update(tokens.refresh_token).access_token)


@pytest.mark.parametrize("stale", ["of nobody", "of bob", "ended before", "a token of bob"])
@pytest.mark.parametrize("call", CALLS)
def test_a_session_to_keep_that_the_subject_does_not_have_spares_none(
    manager: Any, call: str, stale: str
) -> None:
    heard: list[AllSessionsInvalidated] = []
    manager.on(SessionEvent.ALL_SESSIONS_INVALIDATED, heard.append)
    sessions = [manager.create(subject="ann") for _ in range(2)]
    bobs = manager.create(subject="bob")
    ended = manager.create(subject="ann")
    manager.delete_one("ann", ended.session_id)
    keep = {
        "of nobody": "A" * 16,
        "of bob": bobs.session_id,
        "ended before": ended.session_id,
        "a token of bob": bobs.refresh_token,
    }[stale]
    getattr(manager, call)("ann", keep=keep)
    assert all(refuses(manager, tokens.access_token) for tokens in sessions)
    assert not refuses(manager, bobs.access_token)
    assert bool(manager.read_all("ann")) is (call == "restrict_all")
    assert [event.kept for event in heard] == [None] * (call == "delete_all")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("keep", ["", "A" * 15, "A" * 17, "!" * 16, b"A" * 16, 5, True, ["A" * 16]])
def test_what_names_no_session_to_keep_is_refused_before_anything_is_done(
    manager: Any, call: str, keep: Any
) -> None:
    tokens = manager.create(subject="ann")
    with pytest.raises(InvalidArgument, match="keep must be a session id") as caught:
        getattr(manager, call)("ann", keep=keep)
    assert "AAAA" not in str(caught.value)
    assert not refuses(manager, tokens.access_token)
    assert manager.read_all("ann").keys() == {tokens.session_id}


@pytest.mark.parametrize("call", CALLS)
def test_a_session_to_keep_counts_by_its_characters(manager: Any, call: str) -> None:
    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "B" * 16

        def __eq__(self, other: object) -> bool:
            return False

        __hash__ = str.__hash__

    own, other = (manager.create(subject="ann") for _ in range(2))
    getattr(manager, call)("ann", keep=Text(own.session_id))
    assert not refuses(manager, own.access_token)
    assert refuses(manager, other.access_token)


def test_listeners_hear_which_sessions_ended_and_which_was_kept(manager: Any) -> None:
    heard: list[AllSessionsInvalidated] = []
    manager.on(SessionEvent.ALL_SESSIONS_INVALIDATED, heard.append)
    own, other = (manager.create(subject="ann") for _ in range(2))
    manager.delete_all("ann", keep=own.session_id)
    manager.delete_all("ann", keep=own.refresh_token)
    manager.delete_all("ann")
    assert [([session.id for session in event.sessions], event.kept) for event in heard] == [
        ([other.session_id], own.session_id),
        ([], own.session_id),
        ([own.session_id], None),
    ]


def test_a_session_to_keep_that_is_over_is_not_told_as_kept(make: Make, clock: FakeClock) -> None:
    class Hoarder(MemoryStorage):
        def read_all(self, subject: str, now: float) -> Any:
            return super().read_all(subject, 0)

    manager = make(storage=Hoarder())
    heard: list[AllSessionsInvalidated] = []
    manager.on(SessionEvent.ALL_SESSIONS_INVALIDATED, heard.append)
    over = manager.create(subject="ann", refresh_ttl=10)
    manager.create(subject="ann")
    clock.advance(10)
    assert manager.delete_all("ann", keep=over.session_id) == 1
    assert [event.kept for event in heard] == [None]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("where", ["memory", "file"])
@pytest.mark.parametrize("damage", [{"salt": b"x"}, {"generation": -1}])
def test_a_damaged_session_to_keep_is_kept_and_no_cause_for_complaint(
    request: pytest.FixtureRequest, kind: type, where: str, damage: Any, call: str
) -> None:
    with opened(where, kind, request) as place:
        manager = place.open()
        heard: list[AllSessionsInvalidated] = []
        manager.on(SessionEvent.ALL_SESSIONS_INVALIDATED, heard.append)
        own, *others = [manager.create(subject="ann") for _ in range(3)]
        place.damage(own.session_id, **damage)
        getattr(manager, call)("ann", keep=own.session_id)
        assert not refuses(manager, own.access_token)
        assert all(refuses(manager, tokens.access_token) for tokens in others)
        assert [event.kept for event in heard] == [own.session_id] * (call == "delete_all")
        with pytest.raises(StorageUnavailable, match="damaged"):
            manager.update(own.refresh_token)
        assert manager.delete_all("ann") == (1 if call == "delete_all" else 3)
