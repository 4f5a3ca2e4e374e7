"""Where sessions are kept. ``protocol`` says what a storage must do; each other file is one."""

from .memory import MemoryStorage
from .protocol import AsyncSessionStorage, SessionStorage
from .redis import RedisStorage
from .sqlite import SqliteStorage

__all__ = [
    "AsyncSessionStorage",
    "MemoryStorage",
    "RedisStorage",
    "SessionStorage",
    "SqliteStorage",
]
