"""The index of a subject's sessions is gone, deleted by hand or evicted, and its sessions are not.

What needs the index finds nothing then. What comes by a session's id is as good as ever, and lists
the session anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.servers import Node, empty, needs_server
from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionManager,
    SessionNotFound,
)

pytestmark = needs_server


@pytest.fixture
def manager(server: Node) -> Iterator[SessionManager]:
    empty(server)
    with (
        redis.Redis(port=server.port) as client,
        SessionManager(
            SECRET,
            issuer="i",
            audience="a",
            storage=RedisStorage(client),
            revocations=RevocationList(RedisFeed(client)),
        ) as manager,
    ):
        yield manager


def lose_index(server: Node) -> None:
    with server.client() as client:
        (name,) = client.keys("tokenwheel:{???}@*")
        client.delete(name)


def is_ended(manager: Any, tokens: Any) -> bool:
    with pytest.raises(AccessTokenRevoked):
        manager.read(tokens.access_token)
    with pytest.raises(SessionNotFound):
        manager.update(tokens.refresh_token)
    return True


def test_without_its_index_a_session_is_ended_by_its_id(
    server: Node, manager: SessionManager
) -> None:
    tokens = manager.create(subject="ann")
    lose_index(server)
    assert manager.delete_one("ann", tokens.session_id) is True
    assert is_ended(manager, tokens)


def test_a_session_refreshed_after_its_index_was_lost_is_ended_with_all_others(
    server: Node, manager: SessionManager
) -> None:
    tokens = manager.create(subject="ann")
    lose_index(server)
    tokens = manager.update(tokens.refresh_token)
    later = manager.create(subject="ann")
    assert manager.delete_all("ann") == 2
    assert is_ended(manager, tokens)
    assert is_ended(manager, later)
