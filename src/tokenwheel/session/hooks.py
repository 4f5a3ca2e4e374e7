"""The refresh hook, which decides whether a refresh may come from where it comes from.

Only the default one is here. An application may bring its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ContextMismatch
from ..models import Session, SessionContext

__all__ = ["RefreshHook", "same_device"]

RefreshHook = Callable[[Session, SessionContext], Any]


def same_device(session: Session, context: SessionContext) -> None:
    """Refuse a refresh from a device of another name or type than that of the login.

    A session that was opened without a device has nothing to compare. One that was opened with a
    device is refreshed only with it: a context without a device is refused as well.
    """
    opened_on = session.device
    if opened_on is None:
        return
    comes_from = context.device
    if comes_from is None:
        raise ContextMismatch(
            "no device was named: the session was opened on a named device, so each refresh must "
            "name it, as update(..., context=SessionContext(device=Device(name, type)))"
        )
    if (comes_from.name, comes_from.type) != (opened_on.name, opened_on.type):
        raise ContextMismatch(
            "the session was opened on another device than the one this refresh comes from"
        )
