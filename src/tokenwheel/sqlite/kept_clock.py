"""The slowest clock that may be right, as all processes of this machine together have seen it.

A process that starts while the wall clock is ahead cannot tell. But every process of a machine has
the same steady clock since the machine was booted. So the smallest distance of the two clocks is
kept in the file, beside the id of the boot: what a process has seen in the last day, those that
start later go by. ``slow_clock.py`` has the theory.

After a boot nothing is known, and a machine may boot with a wrong clock. Where boots have no id, on
other systems than Linux, nothing is kept.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..slow_clock import PERIOD

__all__ = ["boot_id", "least_distance"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_DRIFT = 1.0  # seconds: a smaller change is not written

_SELECT = "SELECT least, least_before, since FROM slow_clock WHERE boot = ?"
_FORGET = "DELETE FROM slow_clock"
_INSERT = "INSERT INTO slow_clock (boot, least, least_before, since) VALUES (?, ?, ?, ?)"


def boot_id() -> str | None:
    """Return what tells this boot of the machine from all others, or None where nothing does."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return None


def least_distance(
    connection: sqlite3.Connection, seen: float, steady: float, boot: str | None
) -> float:
    """Return by how much the slowest clock is ahead of the steady one, in seconds.

    Args:
        connection: is in a transaction that writes.
        seen: the smallest distance that this process has seen, in seconds.
        steady: what the steady clock says now, in seconds.
        boot: the id of this boot, or None where nothing can be kept.
    """
    if boot is None:
        return seen
    kept = connection.execute(_SELECT, (boot,)).fetchone()
    if kept is None or not all(isinstance(seconds, float) for seconds in kept):
        kept = None
    least, least_before, since = kept or (seen, seen, steady)
    if not 0 <= steady - since < PERIOD:
        least, least_before, since = seen, least, steady
    elif seen < least - _DRIFT:
        least = seen
    if (least, least_before, since) != kept:
        connection.execute(_FORGET)
        connection.execute(_INSERT, (boot, least, least_before, since))
    return min(seen, least, least_before)
