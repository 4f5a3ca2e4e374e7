"""The life of a session, step by step, each checked against what the library promises.

Everything happens in this process's memory, on a key made for the occasion.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ..errors import AccessTokenRevoked, RefreshTokenReused, TokenwheelError
from ..keys import Key, KeySet
from ..models import Device, SessionContext
from ..session import SessionManager

__all__ = ["BrokenPromise", "tell"]

_PHONE = SessionContext(ip="203.0.113.7", device=Device("Pixel 9", "phone"), location="Lisbon")
_LAPTOP = SessionContext(ip="203.0.113.8", device=Device("ThinkPad", "laptop"), location="Lisbon")


class BrokenPromise(Exception):
    """A step did not behave as the library promises."""


def tell() -> Iterator[str]:
    """Live through the life of a session. Yield what has happened, a step at a time.

    Raises:
        BrokenPromise: something behaved otherwise than the library promises.
    """
    ahead = 0.0
    manager = SessionManager(
        KeySet(Key.generate("HS256")),
        issuer="auth.example",
        audience="api.example",
        clock=lambda: time.time() + ahead,
    )
    phone = manager.create({"role": "user"}, subject="ann", context=_PHONE)
    laptop = manager.create({"role": "user"}, subject="ann", context=_LAPTOP)
    yield (
        "Ann logs in on her phone and on her laptop. Each gets an access token and a refresh token."
    )

    _promise(
        manager.read(phone.access_token)["role"] == "user", "an access token reads as it was issued"
    )
    _promise(
        manager.read(phone.access_token).subject == "ann", "a token seen before reads the same"
    )
    yield (
        "A request comes with the phone's access token: "
        "signature, times and revocation are checked, no storage asked."
    )

    devices = sorted(
        session.device.name for session in manager.read_all("ann").values() if session.device
    )
    _promise(devices == ["Pixel 9", "ThinkPad"], "the list of sessions names both devices")
    yield f'Her page "your devices" lists: {", ".join(devices)}.'

    second = manager.update(phone.refresh_token, {"role": "user"}, context=_PHONE)
    _promise(second.refresh_token != phone.refresh_token, "a refresh replaces the refresh token")
    yield (
        "The phone refreshes: a new access token, and a new refresh token in place of the old one."
    )

    retried = manager.update(phone.refresh_token, {"role": "user"}, context=_PHONE)
    _promise(
        retried.refresh_token == second.refresh_token,
        "a retry within the grace gets the very same refresh token",
    )
    yield (
        "The answer got lost on the way, so the phone tries again with the old one: "
        "it gets the very same new one. No harm done."
    )

    ahead += 60
    _refused(
        RefreshTokenReused,
        lambda: manager.update(phone.refresh_token, context=_PHONE),
        "a stolen, replaced refresh token is refused",
    )
    _refused(
        AccessTokenRevoked,
        lambda: manager.read(second.access_token),
        "the stolen session's access tokens are refused",
    )
    yield (
        "A minute later a thief replays the old refresh token. It was replaced long ago: "
        "the whole session is taken down, tokens and all."
    )

    _promise(list(manager.read_all("ann")) == [laptop.session_id], "the other session lives on")
    _promise(
        manager.read(laptop.access_token).subject == "ann",
        "the other session's access token is good",
    )
    yield "The laptop's session is not touched."

    manager.restrict_all("ann")
    _refused(
        AccessTokenRevoked,
        lambda: manager.read(laptop.access_token),
        "a restricted access token is refused",
    )
    fresh = manager.update(laptop.refresh_token, {"role": "admin"}, context=_LAPTOP)
    _promise(
        manager.read(fresh.access_token)["role"] == "admin", "the next refresh is good at once"
    )
    yield (
        "Ann becomes an admin: access tokens issued so far are refused at once, "
        "and the next refresh brings one with the new role."
    )

    count = manager.delete_all("ann")
    again = manager.create({"role": "admin"}, subject="ann", context=_PHONE)
    _promise(count == 1, "logging out everywhere ends the sessions left")
    _refused(
        AccessTokenRevoked,
        lambda: manager.read(fresh.access_token),
        "no token survives logging out everywhere",
    )
    _promise(
        manager.read(again.access_token).session_id == again.session_id,
        "a login right after is good",
    )
    yield (
        "She logs out everywhere and, in the same instant, in again: "
        "every old token is refused, the new one is good."
    )


def _promise(kept: bool, promise: str) -> None:
    if not kept:
        raise BrokenPromise(promise)


def _refused(error: type[TokenwheelError], call: Callable[[], object], promise: str) -> None:
    try:
        call()
    except error:
        return
    raise BrokenPromise(promise)
