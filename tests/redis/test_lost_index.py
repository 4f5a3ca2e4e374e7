"""The index of a subject's sessions is gone, deleted by hand or evicted, and its sessions are not.

What needs the index finds nothing then. What comes by a session's id is as good as ever. A session
that is not listed is refreshed no more: it may have been ended together with all others.
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


def test_a_session_that_a_logout_everywhere_could_not_find_is_refreshed_no_more(
    server: Node, manager: SessionManager
) -> None:
    tokens = manager.create(subject="ann")
    lose_index(server)
    later = manager.create(subject="ann")
    assert manager.delete_all("ann") == 1
    assert is_ended(manager, later)
    with pytest.raises(SessionNotFound):
        manager.update(tokens.refresh_token)
    # Now it is known to be gone, and its access tokens are refused with it.
    assert manager.delete_one("ann", tokens.session_id) is False
    with pytest.raises(AccessTokenRevoked):
        manager.read(tokens.access_token)
