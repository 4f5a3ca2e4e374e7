"""``tokenwheel demo``: the life of a session before your eyes, each step checked and timed.

Everything runs in this process's memory, on keys made for the occasion. The timings of compiled and
pure code stand side by side. No token and no secret is printed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle

from . import __version__
from ._impl import implementation
from .errors import AccessTokenRevoked, RefreshTokenReused, TokenwheelError
from .keys import Key, KeySet
from .models import Device, SessionContext, SessionTokens
from .session import SessionManager

__all__ = ["run"]

_PHONE = SessionContext(ip="203.0.113.7", device=Device("Pixel 9", "phone"), location="Lisbon")
_LAPTOP = SessionContext(ip="203.0.113.8", device=Device("ThinkPad", "laptop"), location="Lisbon")
_ROUNDS = 200


class _BrokenPromise(Exception):
    """A step of the demo did not behave as the library promises."""


def run() -> int:
    """Tell the story, then show the timings. Return 0 if everything behaved as promised, else 1."""
    print(
        f"tokenwheel {__version__}, {_NAMES[implementation]} implementation, "
        f"Python {sys.version.split()[0]}\n"
    )
    try:
        for number, line in enumerate(_story(), 1):
            print(f"{number:>2}. {line}")
    except (_BrokenPromise, TokenwheelError) as broken:
        print(f"\nNOT AS PROMISED: {broken}", file=sys.stderr)
        return 1
    print(
        "\nEverything behaved as promised. How long each step takes, "
        "in microseconds (the middle one of many):\n"
    )
    _show_timings()
    return 0


def _story() -> Iterator[str]:
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
        raise _BrokenPromise(promise)


def _refused(error: type[TokenwheelError], call: Callable[[], object], promise: str) -> None:
    try:
        call()
    except error:
        return
    raise _BrokenPromise(promise)


_NAMES = {"native": "compiled", "pure": "pure-Python"}


def measure() -> dict[str, float]:
    """Return the median time of each step in microseconds, with this process's implementation."""
    keys = KeySet(Key.generate("HS256"))
    manager = SessionManager(keys, issuer="auth.example", audience="api.example")
    forgetful = SessionManager(
        keys, issuer="auth.example", audience="api.example", verified_cache_size=0
    )
    opened: list[SessionTokens] = []
    timings = {
        "log in": _median(
            lambda: opened.append(manager.create({"role": "user"}, subject=f"user {len(opened)}"))
        )
    }
    token = opened[0].access_token
    timings["verify a token not seen before"] = _median(lambda: forgetful.read(token))
    timings["verify a token seen before"] = _median(lambda: manager.read(token))
    latest = [opened[0].refresh_token]
    timings["refresh, with rotation"] = _median(
        lambda: latest.append(manager.update(latest[-1]).refresh_token)
    )
    subjects = cycle([f"user {number}" for number in range(len(opened))])
    timings["list a user's sessions"] = _median(lambda: manager.read_all(next(subjects)))
    timings["log out everywhere"] = _median(lambda: manager.delete_all(next(subjects)))
    return timings


def _median(call: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1000


def _show_timings() -> None:
    other = "pure" if implementation == "native" else "native"
    here, elsewhere = measure(), _measure_elsewhere(other)
    native, pure = (here, elsewhere) if implementation == "native" else (elsewhere, here)
    print(f"    {'':<34}{'compiled':>10}{'pure':>10}")
    for step in here:
        print(f"    {step:<34}{_cell(native, step)}{_cell(pure, step)}")
    if native is None:
        print("\n    This installation has no compiled extension.")


def _cell(column: dict[str, float] | None, step: str) -> str:
    return f"{'-':>10}" if column is None else f"{column[step]:>10.2f}"


def _measure_elsewhere(other: str) -> dict[str, float] | None:
    """Return the timings of a process that runs the other implementation.

    None where that one isn't built.
    """
    script = "import json, tokenwheel.demo; print(json.dumps(tokenwheel.demo.measure()))"
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TOKENWHEEL_IMPL": other},
        capture_output=True,
        text=True,
        check=False,
    )
    timings: dict[str, float] | None = json.loads(ran.stdout) if ran.returncode == 0 else None
    return timings
