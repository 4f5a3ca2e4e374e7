"""From where a login came, as the bytes that storages keep. They hold what the application gave,
and nothing secret.
"""

from __future__ import annotations

import orjson

from ..models import Device, SessionContext

__all__ = ["pack_context", "unpack_context"]


def pack_context(context: SessionContext) -> bytes:
    """Return the context as JSON.

    Most often there is nothing to say of it; then nothing is returned.
    """
    device = context.device
    if device is None and context.ip is None and context.location is None:
        return b""
    said = None if device is None else [device.name, device.type, dict(device.extra)]
    return orjson.dumps([context.ip, context.location, said])


def unpack_context(packed: bytes) -> SessionContext:
    """Return the context that was packed.

    Raises:
        ValueError: what was packed was no context.
        TypeError: what was packed was no context.
    """
    if not packed:
        return SessionContext()
    ip, location, said = orjson.loads(packed)
    return SessionContext(ip=ip, device=None if said is None else Device(*said), location=location)
