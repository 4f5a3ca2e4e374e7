"""What a manager asks of a storage (``protocol``), and the one in memory (``memory``)."""

from .memory import MemoryStorage
from .protocol import (
    AsyncSessionStorage,
    AwaitableStorage,
    PlacedStorage,
    PublishingStorage,
    SessionStorage,
    WaitingStorage,
)

__all__ = [
    "AsyncSessionStorage",
    "AwaitableStorage",
    "MemoryStorage",
    "PlacedStorage",
    "PublishingStorage",
    "SessionStorage",
    "WaitingStorage",
]
