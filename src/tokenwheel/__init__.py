"""JWT user sessions for high-throughput Python API servers.

``SessionManager`` and ``AsyncSessionManager`` are the way in. Everything else here is a value that
they take or return, or a part that can be used alone. Importing tokenwheel imports no optional
dependency.
"""

from __future__ import annotations

from ._impl import Claims, ExpiringCache, implementation, new_token
from .errors import (
    AccessTokenExpired,
    AccessTokenNotYetValid,
    AccessTokenRevoked,
    ConfigurationError,
    ContextMismatch,
    InvalidAccessToken,
    InvalidArgument,
    RefreshTokenReused,
    SessionNotFound,
    StorageUnavailable,
    TokenwheelError,
    TooManySessions,
)
from .events import (
    AllSessionsInvalidated,
    RefreshTokenReuse,
    RemovalReason,
    SessionCreated,
    SessionEvent,
    SessionInvalidated,
    SessionRefreshed,
)
from .keys import Key, KeySet
from .models import Device, Session, SessionContext, SessionRecord, SessionTokens
from .redis import RedisFeed, RedisStorage
from .revocation import Revocation, RevocationFeed, RevocationList
from .session import AsyncSessionManager, SessionManager
from .sqlite import SqliteFeed, SqliteStorage
from .storage import AsyncSessionStorage, MemoryStorage, SessionStorage

__all__ = [
    "AccessTokenExpired",
    "AccessTokenNotYetValid",
    "AccessTokenRevoked",
    "AllSessionsInvalidated",
    "AsyncSessionManager",
    "AsyncSessionStorage",
    "Claims",
    "ConfigurationError",
    "ContextMismatch",
    "Device",
    "ExpiringCache",
    "InvalidAccessToken",
    "InvalidArgument",
    "Key",
    "KeySet",
    "MemoryStorage",
    "RedisFeed",
    "RedisStorage",
    "RefreshTokenReuse",
    "RefreshTokenReused",
    "RemovalReason",
    "Revocation",
    "RevocationFeed",
    "RevocationList",
    "Session",
    "SessionContext",
    "SessionCreated",
    "SessionEvent",
    "SessionInvalidated",
    "SessionManager",
    "SessionNotFound",
    "SessionRecord",
    "SessionRefreshed",
    "SessionStorage",
    "SessionTokens",
    "SqliteFeed",
    "SqliteStorage",
    "StorageUnavailable",
    "TokenwheelError",
    "TooManySessions",
    "__version__",
    "implementation",
    "new_token",
]

__version__ = "0.1.0"
