"""JWT user sessions for high-throughput Python API servers.

``SessionManager`` and ``AsyncSessionManager`` are the way in. Everything else here is a value that
they take or return, or a part that can be used alone. Importing tokenwheel imports no optional
dependency. Managers, and what needs SQLite, Redis or asyncio, are imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from .revocation import Revocation, RevocationFeed, RevocationList
from .storage import AsyncSessionStorage, MemoryStorage, SessionStorage

if TYPE_CHECKING:
    from .django.feed import DjangoFeed
    from .django.storage import DjangoStorage
    from .keys import KeyFile, RemoteKeySet
    from .redis import RedisFeed, RedisStorage
    from .session import AsyncSessionManager, SessionManager
    from .sql import SqlFeed, SqlStorage
    from .sqlite import SqliteFeed, SqliteStorage

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
    "DjangoFeed",
    "DjangoStorage",
    "ExpiringCache",
    "InvalidAccessToken",
    "InvalidArgument",
    "Key",
    "KeyFile",
    "KeySet",
    "MemoryStorage",
    "RedisFeed",
    "RedisStorage",
    "RefreshTokenReuse",
    "RefreshTokenReused",
    "RemoteKeySet",
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
    "SqlFeed",
    "SqlStorage",
    "SqliteFeed",
    "SqliteStorage",
    "StorageUnavailable",
    "TokenwheelError",
    "TooManySessions",
    "__version__",
    "implementation",
    "new_token",
]

__version__ = "0.2.0"

# The modules of these names; a module among them is here under its own name, too.
_IMPORTED_WHEN_USED = {
    "AsyncSessionManager": "tokenwheel.session",
    "DjangoFeed": "tokenwheel.django.feed",
    "DjangoStorage": "tokenwheel.django.storage",
    "KeyFile": "tokenwheel.keys.file",
    "RedisFeed": "tokenwheel.redis",
    "RedisStorage": "tokenwheel.redis",
    "RemoteKeySet": "tokenwheel.keys.remote",
    "SessionManager": "tokenwheel.session",
    "SqlFeed": "tokenwheel.sql",
    "SqlStorage": "tokenwheel.sql",
    "SqliteFeed": "tokenwheel.sqlite",
    "SqliteStorage": "tokenwheel.sqlite",
}

if not TYPE_CHECKING:  # A checker would take every name for one that is here.

    def __getattr__(name: str) -> object:
        """Import what is asked for by a name that is not here yet (PEP 562)."""
        from importlib import import_module

        if f"{__name__}.{name}" in _IMPORTED_WHEN_USED.values():
            return import_module(f"{__name__}.{name}")
        if name not in _IMPORTED_WHEN_USED:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_IMPORTED_WHEN_USED[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """Return the names that are here or can be."""
        return sorted({*globals(), *__all__} - {"TYPE_CHECKING", "_IMPORTED_WHEN_USED"})
