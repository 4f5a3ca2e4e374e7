"""What a manager asks of a storage (``protocol``), and the storage that keeps sessions in memory (``memory``)."""

from .memory import MemoryStorage
from .protocol import AsyncSessionStorage, SessionStorage

__all__ = ["AsyncSessionStorage", "MemoryStorage", "SessionStorage"]
