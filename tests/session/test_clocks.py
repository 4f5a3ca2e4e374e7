"""Nodes whose clocks differ, over one storage: what one of them has granted, a slower one takes
away from nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import MemoryStorage, RefreshTokenReused, SessionEvent, SessionNotFound

Make = Callable[..., Any]


@pytest.fixture
def nodes(make: Make, clock: FakeClock) -> Callable[..., tuple[Any, Any]]:
    """Make two managers over one storage; the clock of the second is 15 seconds behind."""

    def make_nodes(**options: Any) -> tuple[Any, Any]:
        storage = MemoryStorage()
        behind = lambda: clock.now - 15  # noqa: E731
        return make(storage=storage, **options), make(storage=storage, clock=behind, **options)

    return make_nodes


def test_a_refresh_at_a_node_whose_clock_is_behind_does_not_shorten_an_idle_session(
    nodes: Callable[..., tuple[Any, Any]], clock: FakeClock
) -> None:
    node, slow = nodes(refresh_ttl=1000, idle_ttl=20)
    opened = node.create(subject="uid1")
    refreshed = slow.update(opened.refresh_token)
    assert refreshed.refresh_expires_at == opened.refresh_expires_at
    clock.advance(19)
    assert list(node.read_all("uid1")) == [opened.session_id]
    assert node.update(refreshed.refresh_token).session_id == opened.session_id


def test_the_last_use_of_a_session_never_moves_back(
    nodes: Callable[..., tuple[Any, Any]], clock: FakeClock
) -> None:
    node, slow = nodes()
    opened = node.create(subject="uid1")
    refreshed = slow.update(opened.refresh_token)
    assert node.read_all("uid1")[opened.session_id].last_used_at == clock.now
    clock.advance(60)
    slow.update(refreshed.refresh_token)
    assert node.read_all("uid1")[opened.session_id].last_used_at == clock.now - 15


def test_without_a_grace_a_node_whose_clock_is_behind_allows_no_retry(
    nodes: Callable[..., tuple[Any, Any]],
) -> None:
    node, slow = nodes(reuse_grace=0)
    opened = node.create(subject="uid1")
    node.update(opened.refresh_token)
    with pytest.raises(RefreshTokenReused):
        slow.update(opened.refresh_token)


@pytest.mark.parametrize("grace", [0.5, 10])
def test_within_the_grace_a_node_whose_clock_is_behind_allows_the_retry(
    nodes: Callable[..., tuple[Any, Any]], grace: float
) -> None:
    node, slow = nodes(reuse_grace=grace)
    opened = node.create(subject="uid1")
    successor = node.update(opened.refresh_token).refresh_token
    assert slow.update(opened.refresh_token).refresh_token == successor


@pytest.mark.parametrize("options, grace", [({}, 10), ({"leeway": 0}, 10), ({"leeway": 65}, 70)])
def test_a_leeway_beyond_the_usual_lengthens_the_grace(
    make: Make, clock: FakeClock, options: dict[str, Any], grace: int
) -> None:
    manager = make(**options)
    opened = manager.create(subject="uid1")
    successor = manager.update(opened.refresh_token).refresh_token
    clock.advance(grace - 0.5)
    assert manager.update(opened.refresh_token).refresh_token == successor
    clock.advance(0.5)
    with pytest.raises(RefreshTokenReused):
        manager.update(opened.refresh_token)


def test_no_leeway_makes_a_grace_where_there_is_none(make: Make) -> None:
    strict = make(reuse_grace=0, leeway=65)
    opened = strict.create(subject="uid1")
    strict.update(opened.refresh_token)
    with pytest.raises(RefreshTokenReused):
        strict.update(opened.refresh_token)


def test_nodes_whose_clocks_differ_by_less_than_the_leeway_accept_each_others_fresh_tokens(
    make: Make, clock: FakeClock
) -> None:
    ahead = make(clock=lambda: clock.now + 4.9)
    here = make()
    for _ in range(50):
        clock.advance(0.02)
        here.read(ahead.create(subject="uid1").access_token)


def test_an_idle_time_lengthens_no_session_beyond_its_absolute_lifetime(
    make: Make, clock: FakeClock
) -> None:
    manager = make(refresh_ttl=100, idle_ttl=300)
    opened = manager.create(subject="uid1")
    assert opened.refresh_expires_at == int(clock.now) + 100
    clock.advance(50)
    refreshed = manager.update(opened.refresh_token)
    assert refreshed.refresh_expires_at == opened.refresh_expires_at


class Hoarder(MemoryStorage):
    """Forgets no session by itself."""

    def read(self, session_id: str, now: float) -> Any:
        return super().read(session_id, 0)

    def read_all(self, subject: str, now: float) -> Any:
        return super().read_all(subject, 0)

    def delete(self, records: Any, now: float) -> Any:
        return super().delete(records, 0)


def test_at_the_very_second_of_its_end_a_session_is_over(make: Make, clock: FakeClock) -> None:
    manager = make(refresh_ttl=100, storage=Hoarder())
    by_id = manager.create(subject="uid1")
    manager.create(subject="uid2")
    clock.now = float(by_id.refresh_expires_at)
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(by_id.refresh_token)
    assert manager.read_all("uid1") == {}
    assert manager.delete_one("uid1", by_id.session_id) is False
    assert manager.delete_all("uid2") == 0


def test_a_session_that_is_over_is_not_evicted_in_place_of_a_live_one(
    make: Make, clock: FakeClock
) -> None:
    class Counter(Hoarder):
        def insert(self, record: Any, limit: int | None, now: float) -> bool:
            live = [one for one in self.read_all(record.subject, now) if one.ends_at > now]
            return super().insert(record, None, now) if len(live) < (limit or 99) else False

    manager = make(max_sessions=2, when_full="evict_oldest", storage=Counter())
    over = manager.create(subject="uid1", refresh_ttl=100)
    clock.now = float(over.refresh_expires_at)
    live = [manager.create(subject="uid1") for _ in range(2)]
    told: list[str] = []
    manager.on(SessionEvent.SESSION_INVALIDATED, lambda event: told.append(event.session.id))
    newest = manager.create(subject="uid1")
    assert told in ([live[0].session_id], [live[1].session_id])
    assert len(manager.read_all("uid1")) == 2
    assert newest.session_id in manager.read_all("uid1")
    assert sum(tokens.session_id in manager.read_all("uid1") for tokens in live) == 1
