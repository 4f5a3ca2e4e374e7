"""Whose turn it is, where an asyncio client has fewer connections than there are calls.

The pools of asyncio clients refuse whoever comes when all connections are lent. So as many calls
run at once as there are connections, and the others wait for their turn.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["is_exhausted", "room_of"]

_rooms: WeakKeyDictionary[Any, WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]]
_rooms = WeakKeyDictionary()
_MANY = 2**31  # what the client libraries take where no limit is given


def room_of(client: Any) -> asyncio.Semaphore:
    """Return what a call enters before it takes a connection of the client's pool.

    All that use the same pool on the same event loop share it.
    """
    pool = getattr(client, "connection_pool", client)
    rooms = _rooms.setdefault(pool, WeakKeyDictionary())
    loop = asyncio.get_running_loop()
    room = rooms.get(loop)
    if room is None:
        room = rooms[loop] = asyncio.Semaphore(_max_connections(pool))
    return room


def is_exhausted(error: Exception) -> bool:
    """Return True for the error of a pool whose connections are all lent."""
    # Older versions of the libraries have no class for it.
    return type(error).__name__ == "MaxConnectionsError" or str(error) == "Too many connections"


def _max_connections(pool: Any) -> int:
    # A cluster's client has so many for each node.
    options = getattr(pool, "connection_kwargs", {})
    return getattr(pool, "max_connections", None) or options.get("max_connections") or _MANY
