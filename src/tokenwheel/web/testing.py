"""For tests of applications: requests of somebody who is signed in.

The session is opened by the application's own manager, so that the real gate admits its requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import ConfigurationError
from ..event_loop import has_event_loop
from ..exact import is_instance, named
from ..models import SessionTokens
from ..session import AsyncSessionManager
from .gate import Gate, Transport

__all__ = ["signed_in_as", "signed_in_as_async"]


def signed_in_as(
    gate: Gate, subject: str, /, *, via: Transport | None = None, **claims: Any
) -> dict[str, str]:
    """Return the headers of requests of this subject, for any test client.

    An ``AsyncSessionManager`` is run on an event loop made for it, so its storage must not belong
    to the loop of the test, as a client of Redis does: see :func:`signed_in_as_async`.

    Args:
        gate: the gate of the application.
        subject: who is signed in.
        via: ``"bearer"`` or ``"cookie"``; by default a bearer where the gate takes one.
        claims: the application's own claims, such as ``role="admin"``.

    Returns:
        ``Authorization``; or ``Cookie`` with both tokens, and ``Sec-Fetch-Site``, as a browser
        sends from a page of the application.

    Raises:
        ConfigurationError: ``gate`` is none, or has no such transport.
        InvalidArgument: the subject or a claim cannot be used.
    """
    way = _transport_of(gate, via)
    manager = gate.manager
    if isinstance(manager, AsyncSessionManager):
        tokens = _run(manager.create(claims, subject=subject))
    else:
        tokens = manager.create(claims, subject=subject)
    return _headers_of(gate, tokens, way)


async def signed_in_as_async(
    gate: Gate, subject: str, /, *, via: Transport | None = None, **claims: Any
) -> dict[str, str]:
    """Return the headers of requests of this subject, on the event loop of the test.

    Args:
        gate: the gate of the application.
        subject: who is signed in.
        via: ``"bearer"`` or ``"cookie"``; by default a bearer where the gate takes one.
        claims: the application's own claims, such as ``role="admin"``.

    Raises:
        ConfigurationError: ``gate`` is none, or has no such transport.
        InvalidArgument: the subject or a claim cannot be used.
    """
    way = _transport_of(gate, via)
    manager = gate.manager
    if isinstance(manager, AsyncSessionManager):
        tokens = await manager.create(claims, subject=subject)
    else:
        tokens = await asyncio.to_thread(manager.create, claims, subject=subject)
    return _headers_of(gate, tokens, way)


def _transport_of(gate: object, via: object) -> Transport:
    if not is_instance(gate, Gate):
        raise ConfigurationError(f"gate must be a Gate, not {named(gate)}")
    if via is None:
        return "bearer" if gate.takes_bearer else "cookie"
    if via == "bearer" and gate.takes_bearer:
        return "bearer"
    if via == "cookie" and gate.cookies is not None:
        return "cookie"
    raise ConfigurationError("via must be 'bearer' or 'cookie', and one that the gate has")


def _headers_of(gate: Gate, tokens: SessionTokens, way: Transport) -> dict[str, str]:
    cookies = gate.cookies
    if way == "bearer" or cookies is None:
        return {"Authorization": f"Bearer {tokens.access_token}"}
    return {
        "Cookie": (
            f"{cookies.access}={tokens.access_token}; {cookies.refresh}={tokens.refresh_token}"
        ),
        "Sec-Fetch-Site": "same-origin",
    }


def _run(steps: Coroutine[Any, Any, SessionTokens]) -> SessionTokens:
    """Return what a coroutine returns, also where an event loop runs already."""
    if not has_event_loop():
        return asyncio.run(steps)
    with ThreadPoolExecutor(1) as other_thread:
        return other_thread.submit(asyncio.run, steps).result()
