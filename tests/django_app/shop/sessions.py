"""The managers of the project, of either colour."""

from __future__ import annotations

from hashlib import sha256

from tokenwheel import (
    AsyncSessionManager,
    DjangoFeed,
    DjangoStorage,
    RevocationList,
    SessionManager,
)

SECRET = sha256(b"of the shop").digest()

manager = SessionManager(
    SECRET,
    issuer="shop",
    audience="shop",
    storage=DjangoStorage(),
    revocations=RevocationList(DjangoFeed()),
    max_sessions=3,
)
async_manager = AsyncSessionManager(
    SECRET,
    issuer="shop",
    audience="shop",
    storage=DjangoStorage(),
    revocations=RevocationList(DjangoFeed()),
)
