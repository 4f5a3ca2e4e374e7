"""A blocking storage for an event loop: each call is made from a worker thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ..models import SessionRecord

__all__ = ["StorageInThreads"]


class StorageInThreads:
    """Call the methods of a blocking storage from worker threads, and await their answers.

    Args:
        storage: a storage whose calls may wait. Where it publishes, this one does so in the same
            step.
    """

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    async def insert(self, record: SessionRecord, limit: int | None, now: float) -> Any:
        return await asyncio.to_thread(self._storage.insert, record, limit, now)

    async def read(self, session_id: str, now: float) -> Any:
        return await asyncio.to_thread(self._storage.read, session_id, now)

    async def read_all(self, subject: str, now: float) -> Any:
        return await asyncio.to_thread(self._storage.read_all, subject, now)

    async def replace(self, record: SessionRecord, now: float, *publication: Any) -> Any:
        return await asyncio.to_thread(self._storage.replace, record, now, *publication)

    async def delete(self, records: Sequence[SessionRecord], now: float, *publication: Any) -> Any:
        return await asyncio.to_thread(self._storage.delete, records, now, *publication)

    def publishes_to(self, feed: Any) -> bool:
        """Return what the storage itself says; it knows without waiting."""
        publishes: bool = self._storage.publishes_to(feed)
        return publishes
