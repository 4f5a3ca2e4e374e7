"""What a manager asks of a storage (``protocol``), and the one in memory (``memory``)."""

from .memory import MemoryStorage
from .protocol import (
    AsyncSessionStorage,
    AwaitableStorage,
    ClosingStorage,
    PlacedStorage,
    PublishingStorage,
    SessionStorage,
    TimedStorage,
    WaitingStorage,
)

__all__ = [
    "AsyncSessionStorage",
    "AwaitableStorage",
    "ClosingStorage",
    "MemoryStorage",
    "PlacedStorage",
    "PublishingStorage",
    "SessionStorage",
    "TimedStorage",
    "WaitingStorage",
]
