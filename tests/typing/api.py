"""Everything a user may write, for the type checker alone.

``make lint`` checks it, and nothing runs it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping, Sequence
from datetime import timedelta
from typing import Any, Literal, assert_type

import redis
import redis.asyncio
import valkey

from tokenwheel import (
    AllSessionsInvalidated,
    AsyncSessionManager,
    AsyncSessionStorage,
    Claims,
    Device,
    ExpiringCache,
    InvalidAccessToken,
    Key,
    KeySet,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    RemovalReason,
    Revocation,
    RevocationFeed,
    RevocationList,
    Session,
    SessionContext,
    SessionCreated,
    SessionEvent,
    SessionInvalidated,
    SessionManager,
    SessionRecord,
    SessionRefreshed,
    SessionStorage,
    SessionTokens,
    TokenwheelError,
    implementation,
    new_token,
)
from tokenwheel.redis import FeedStats
from tokenwheel.revocation.list import RevocationStats


def refuse_tablets(session: Session, context: SessionContext) -> None: ...


async def ask_elsewhere(session: Session, context: SessionContext) -> None: ...


def told(session_id: str, before: int | None) -> None: ...


def role_of(session: Session) -> dict[str, str]:
    return {"role": session.subject}


async def look_up_role(session: Session) -> Mapping[str, Any] | None: ...


def blocking(secret: str | bytes, storage: SessionStorage, revocations: RevocationList) -> None:
    SessionManager(
        secret,
        algorithm="HS512",
        issuer="i",
        audience=["a", "b"],
        accept_audience="a",
        access_ttl=60,
        refresh_ttl=600,
        idle_ttl=None,
        refresh_token_length=15,
        rotate_refresh_tokens=False,
        reuse_grace=timedelta(seconds=5),
        max_sessions=3,
        when_full="evict_oldest",
        leeway=0.5,
        storage=storage,
        revocations=revocations,
        refresh_hook=refuse_tablets,
        verified_cache_size=0,
        clock=time.time,
    ).close()
    with SessionManager(KeySet(Key.generate("ES256")), issuer="i", audience="a") as manager:
        tokens = manager.create(
            {"role": "user"},
            subject="s",
            context=SessionContext(ip="::1", device=Device("n", "t", {"x": 1})),
            access_ttl=5,
        )
        assert_type(tokens, SessionTokens)
        assert_type(tokens.access_token, str)
        assert_type(tokens.access_expires_at, int)
        claims = manager.read(tokens.access_token, audience="a", leeway=5)
        assert_type(claims, Claims)
        assert_type(claims.subject, str)
        assert_type(claims.expires_at, int)
        assert_type(claims.to_dict(), dict[str, Any])
        as_mapping: Mapping[str, Any] = claims
        del as_mapping
        assert_type(manager.update(tokens.refresh_token, claims, subject="s"), SessionTokens)
        manager.update(tokens.refresh_token, role_of, access_ttl=timedelta(minutes=5))
        manager.update(tokens.refresh_token, lambda session: {"id": session.id})
        manager.create(subject="s", access_ttl=timedelta(1), refresh_ttl=timedelta(2))
        manager.read(tokens.access_token, leeway=timedelta(seconds=5))
        assert_type(manager.end(tokens.refresh_token), Session | None)
        assert_type(manager.delete_all("s", keep=tokens.session_id), int)
        manager.restrict_all("s", keep=tokens.session_id)
        assert_type(manager.read_all("s"), Mapping[str, Session])
        assert_type(manager.delete_one("s", tokens.session_id), bool)
        assert_type(manager.delete_all("s"), int)
        manager.restrict_one(claims)
        manager.restrict_one({"sub": "s", "sid": tokens.session_id})
        manager.restrict_all("s")

        @manager.on(SessionEvent.SESSION_CREATED)
        def created(event: SessionCreated) -> None:
            assert_type(event.session, Session)

        def ended(event: AllSessionsInvalidated) -> None:
            assert_type(event.sessions, tuple[Session, ...])
            assert_type(event.kept, str | None)

        @manager.on(SessionEvent.SESSION_INVALIDATED)
        def invalidated(event: SessionInvalidated) -> None:
            assert_type(event.reason, Literal["deleted", "evicted", "reused"])

        @manager.on(SessionEvent.SESSION_REFRESHED)
        def refreshed(event: SessionRefreshed) -> None:
            assert_type(event.retried, bool)

        manager.on(SessionEvent.ALL_SESSIONS_INVALIDATED, ended)
        manager.off(SessionEvent.SESSION_CREATED, created)
        assert_type(manager.storage, SessionStorage | AsyncSessionStorage)
        assert_type(manager.revocations, RevocationList)
        assert_type(manager.revocations.feed, RevocationFeed | None)


class ShopManager(SessionManager):
    def greet(self) -> str:
        return "hello"


class AsyncShopManager(AsyncSessionManager):
    def greet(self) -> str:
        return "hello"


async def subclassed(secret: str) -> None:
    with ShopManager(secret, issuer="i", audience="a") as manager:
        assert_type(manager, ShopManager)
        assert_type(manager.greet(), str)
    async with AsyncShopManager(secret, issuer="i", audience="a") as async_manager:
        assert_type(async_manager, AsyncShopManager)
        assert_type(async_manager.greet(), str)


def shown(claims: Claims) -> None:
    assert_type(claims.__class__, type[Claims])
    assert_type(dict(claims), dict[str, Any])


async def awaiting(storage: AsyncSessionStorage) -> None:
    async with AsyncSessionManager(
        "s" * 32, issuer="i", audience="a", storage=storage, refresh_hook=ask_elsewhere
    ) as manager:
        tokens = await manager.create(subject="s")
        assert_type(tokens, SessionTokens)
        assert_type(manager.read(tokens.access_token), Claims)
        assert_type(await manager.update(tokens.refresh_token), SessionTokens)
        assert_type(await manager.read_all("s"), Mapping[str, Session])
        assert_type(await manager.delete_one("s", tokens.session_id), bool)
        assert_type(await manager.delete_all("s"), int)
        await manager.update(tokens.refresh_token, role_of)
        await manager.update(tokens.refresh_token, look_up_role)
        assert_type(await manager.end(tokens.refresh_token), Session | None)
        assert_type(await manager.delete_all("s", keep=tokens.session_id), int)
        await manager.restrict_all("s", keep=tokens.session_id)
        await manager.restrict_one({})
        await manager.restrict_all("s")

        @manager.on(SessionEvent.SESSION_CREATED)
        async def created(event: SessionCreated) -> None: ...


def parts() -> None:
    def gone(key: str, value: int, reason: RemovalReason) -> None: ...

    cache: ExpiringCache[str, int] = ExpiringCache(
        100, ttl=1.5, on_remove=gone, clock=time.monotonic
    )
    as_mapping: MutableMapping[str, int] = cache
    del as_mapping
    cache.set("a", 1, 60)
    cache.set("a", 1, None)
    cache.set("a", 1, timedelta(minutes=1))
    assert_type(cache.get("a"), int | None)
    assert_type(cache.get("a", "b"), int | str)
    assert_type(cache["a"], int)
    assert_type(cache.pop("a"), int)
    assert_type(cache.touch("a", 5), bool)
    assert_type(cache.ttl("a"), float | None)
    assert_type(cache.expire(), int)
    assert_type(cache.popitem(), tuple[str, int])
    revocations = RevocationList(clock=time.time)
    revocations.revoke("A" * 16, 60, before=3)
    assert_type(revocations.is_revoked("A" * 16, 2), bool)
    assert_type(len(revocations), int)
    assert_type(revocations.stats(), RevocationStats)
    revocations.subscribe(told)
    revocations.unsubscribe(told)
    assert_type(new_token(24), str)
    chosen: str = implementation
    del chosen


def keys() -> None:
    first = Key.from_secret(b"s" * 64, "HS512", kid="one")
    second = Key.from_pem("pem", "RS256", kid="two", password=b"p")
    third = Key.from_jwk({"kty": "OKP"}, "EdDSA")
    keys = KeySet(first, second, third, signing="one")
    keys.add(Key.generate("ES256"), sign=True)
    keys.sign_with("two")
    keys.remove("one")
    assert_type(keys.jwks(), dict[str, Any])
    assert_type(keys.signing, Key | None)
    assert_type(second.public().to_pem(), bytes)
    KeySet.from_jwks('{"keys": []}', signing="x", algorithms=["ES256"])
    KeySet.from_jwks({"keys": []}, algorithms={"ES256", "EdDSA"})


def errors(error: TokenwheelError) -> tuple[str, int]:
    if isinstance(error, InvalidAccessToken):
        return error.code, 401
    return error.code, error.status


class MyStorage:
    def insert(self, record: SessionRecord, limit: int | None, now: float) -> bool:
        return True

    def read(self, session_id: str, now: float) -> SessionRecord | None:
        return None

    def read_all(self, subject: str, now: float) -> Sequence[SessionRecord]:
        return []

    def replace(self, record: SessionRecord, now: float) -> bool:
        return False

    def delete(self, records: Sequence[SessionRecord], now: float) -> Sequence[str]:
        return []


class MyFeed:
    def start(self, apply: Any) -> None: ...

    def publish(self, revocations: Sequence[Revocation]) -> None: ...

    def poll(self) -> None: ...

    def close(self) -> None: ...


storages: list[SessionStorage] = [MyStorage(), MemoryStorage()]
feeds: list[RevocationFeed] = [MyFeed()]


def on_a_server(
    secret: str,
    client: redis.Redis,
    cluster: redis.RedisCluster,
    awaited: redis.asyncio.Redis,
    awaited_cluster: redis.asyncio.RedisCluster,
    other: valkey.Valkey,
) -> None:
    for blocking in (client, cluster, other):
        feed = RedisFeed(
            blocking,
            prefix="shop",
            max_staleness=5,
            when_stale="refuse",
            clock=time.time,
            timer=time.monotonic,
        )
        SessionManager(
            secret,
            issuer="i",
            audience="a",
            storage=RedisStorage(blocking, prefix="shop"),
            revocations=RevocationList(feed),
        ).close()
        assert_type(feed.stats(), FeedStats)
        assert_type(feed.stats().staleness, float)
        assert_type(feed.stats().last_id, str)
    for another in (awaited, awaited_cluster):
        AsyncSessionManager(
            secret,
            issuer="i",
            audience="a",
            storage=RedisStorage(another),
            revocations=RevocationList(RedisFeed(another)),
        )
