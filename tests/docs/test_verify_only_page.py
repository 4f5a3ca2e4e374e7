"""What a service that only verifies can do, and what it does without keys."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tokenwheel import (
    AccessTokenRevoked,
    ConfigurationError,
    Key,
    KeySet,
    MemoryStorage,
    RemoteKeySet,
    SessionManager,
    StorageUnavailable,
)

KEYS = KeySet(Key.generate("ES256"))


def make_manager(**options: Any) -> SessionManager:
    return SessionManager(KEYS, issuer="auth.example", audience="api.example", **options)


def test_a_service_that_only_verifies_ends_and_restricts_sessions_of_the_storage() -> None:
    storage = MemoryStorage()
    manager = make_manager(storage=storage)
    public = SessionManager(
        KeySet.from_jwks(KEYS.jwks()), issuer="auth.example", audience="api.example",
        storage=storage, revocations=manager.revocations,
    )  # fmt: skip
    tokens = manager.create(subject="ann")
    public.restrict_one(public.read(tokens.access_token))
    with pytest.raises(AccessTokenRevoked):
        manager.read(tokens.access_token)
    assert public.delete_all("ann") == 1


def test_a_service_that_only_verifies_can_neither_log_in_nor_refresh() -> None:
    public = SessionManager(
        KeySet.from_jwks(KEYS.jwks()), issuer="auth.example", audience="api.example"
    )
    tokens = make_manager().create(subject="ann")
    assert public.read(tokens.access_token).subject == "ann"
    with pytest.raises(ConfigurationError):
        public.create(subject="ann")
    with pytest.raises(ConfigurationError):
        public.update(tokens.refresh_token)


def test_without_keys_from_the_start_each_read_says_that_nobody_can_tell() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    keys = RemoteKeySet(f"http://127.0.0.1:{port}/jwks")
    tokens = make_manager().create(subject="ann")
    with SessionManager(keys, issuer="auth.example", audience="api.example") as public:
        with pytest.raises(StorageUnavailable):
            public.read(tokens.access_token)
        with pytest.raises(StorageUnavailable):
            keys.refresh()
