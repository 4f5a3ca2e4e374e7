"""Where a login came from, as the bytes that storages keep.

They hold what the application said of it, and nothing secret.
"""

from __future__ import annotations

import sys

from .._impl import copy_plain
from ..errors import InvalidArgument
from ..exact import text_of
from ..json_text import dumps, loads
from ..models import Device, SessionContext

__all__ = ["pack_context", "unpack_context"]


def pack_context(context: SessionContext) -> bytes:
    """Return the context as JSON, or no bytes at all where it says nothing, as most do.

    Equal contexts make equal bytes.

    Raises:
        InvalidArgument: the context is none that a manager has checked.
    """
    device = context.device
    if device is None and context.ip is None and context.location is None:
        return b""
    try:
        described = None
        if device is not None:
            extra = copy_plain(device.extra, "extra", "extra", sys.maxsize)
            described = [_text_in(device.name), _text_in(device.type), extra]
        ip = None if context.ip is None else _text_in(context.ip)
        location = None if context.location is None else _text_in(context.location)
        return dumps([ip, location, described], sort_names=True)
    except Exception as error:  # any: what is in it may be somebody else's
        raise InvalidArgument("a context must hold texts and plain JSON") from error


def unpack_context(packed: bytes) -> SessionContext:
    """Return the context that was packed.

    Raises:
        ValueError: what was packed was no context.
        TypeError: what was packed was no context.
    """
    if not packed:
        return SessionContext()
    ip, location, described = loads(packed)
    device = None
    if described is not None:
        name, kind, extra = described
        _check_texts(name, kind)
        # Whoever can write to the storage may have nested it without end.
        device = Device(name, kind, copy_plain(extra, "extra", "extra", len(packed)))
    _check_texts(*(text for text in (ip, location) if text is not None))
    return SessionContext(ip=ip, device=device, location=location)


def _text_in(value: object) -> str:
    text = text_of(value)
    if text is None:
        raise ValueError("a context holds texts")
    return text


def _check_texts(*texts: object) -> None:
    if not all(type(text) is str for text in texts):
        raise ValueError("a context holds texts")
