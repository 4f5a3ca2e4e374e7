"""Nodes over a server, in a time that a user's test has moved: the server's own stays real."""

from __future__ import annotations

import pytest
import redis

from tests.moved import Mover, by_freezegun, by_time_machine
from tests.servers import Node, needs_server, until
from tests.support import SECRET
from tokenwheel import AccessTokenRevoked, RevocationList, SessionManager
from tokenwheel.redis import RedisFeed, RedisStorage

pytestmark = needs_server

PAST, FUTURE = 1_577_836_800, 2_051_222_400  # 2020-01-01, 2035-01-01


@pytest.mark.parametrize("moment", [PAST, FUTURE])
@pytest.mark.parametrize("mover", [by_freezegun, by_time_machine])
def test_a_logout_in_a_moved_time_is_heard_by_the_other_node(
    server: Node, mover: Mover, moment: int
) -> None:
    def node(client: redis.Redis) -> SessionManager:
        return SessionManager(
            SECRET,
            issuer=f"{mover}-{moment}",
            audience="a",
            storage=RedisStorage(client),
            storage_key=SECRET,
            revocations=RevocationList(RedisFeed(client)),
        )

    def is_revoked(reader: SessionManager, token: str) -> bool:
        try:
            reader.read(token)
        except AccessTokenRevoked:
            return True
        return False

    with (
        server.client() as first_client,
        server.client() as second_client,
        mover(moment) as shift,
        node(first_client) as first,
        node(second_client) as second,
    ):
        tokens = first.create(subject="uid1")
        shift(60)
        assert second.read(tokens.access_token).subject == "uid1"
        first.delete_all("uid1")
        until(lambda: is_revoked(second, tokens.access_token), "the logout")
        shift(600)
        assert is_revoked(first, tokens.access_token)
        assert is_revoked(second, tokens.access_token)
        tokens = second.create(subject="uid1")
        assert first.read(tokens.access_token).issued_at == moment + 660
