"""What a manager asks of a storage (``protocol``), and the one in memory (``memory``)."""

from .damaged import DamagedRecord, DamagedRecords
from .memory import MemoryStorage
from .protocol import (
    AccessLifetimeStorage,
    AsyncSessionStorage,
    AwaitableStorage,
    CheckedStorage,
    ClosingStorage,
    DurableStorage,
    PlacedStorage,
    PublishingStorage,
    SessionStorage,
    TimedStorage,
    WaitingStorage,
)

__all__ = [
    "AccessLifetimeStorage",
    "AsyncSessionStorage",
    "AwaitableStorage",
    "CheckedStorage",
    "ClosingStorage",
    "DamagedRecord",
    "DamagedRecords",
    "DurableStorage",
    "MemoryStorage",
    "PlacedStorage",
    "PublishingStorage",
    "SessionStorage",
    "TimedStorage",
    "WaitingStorage",
]
