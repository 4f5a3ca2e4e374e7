"""What a manager asks of a storage (``protocol``), and the one in memory (``memory``)."""

from .memory import MemoryStorage
from .protocol import (
    AsyncSessionStorage,
    AwaitableStorage,
    ClosingStorage,
    DurableStorage,
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
    "DurableStorage",
    "MemoryStorage",
    "PlacedStorage",
    "PublishingStorage",
    "SessionStorage",
    "TimedStorage",
    "WaitingStorage",
]
