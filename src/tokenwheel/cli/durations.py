"""Durations on a command line: ``90``, ``90s``, ``15m``, ``1h``, ``7d``."""

from __future__ import annotations

import re

from ..errors import InvalidArgument

__all__ = ["in_short", "seconds_of"]

_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1, "": 1}
_DURATION = re.compile(r"([0-9]{1,10})([smhd]?)")
_LONGEST = 3650 * 86_400  # seconds: ten years


def seconds_of(option: str, text: str, *, least: int = 0) -> int:
    """Return how many seconds a duration has.

    Args:
        option: what it was given for, for the error.
        text: the duration.
        least: how many seconds it must have.

    Raises:
        InvalidArgument: it is none, too short, or longer than ten years.
    """
    parts = _DURATION.fullmatch(text)
    seconds = -1 if parts is None else int(parts[1]) * _SECONDS[parts[2]]
    if not least <= seconds <= _LONGEST:
        raise InvalidArgument(
            f"{option} must be a duration of {least} seconds to ten years, as 90, 90s, 15m, 1h or "
            "7d"
        )
    return seconds


def in_short(seconds: int) -> str:
    """Return a duration as :func:`seconds_of` reads it, in the largest unit that is exact."""
    unit = next(unit for unit, size in _SECONDS.items() if seconds % size == 0)
    return f"{seconds // _SECONDS[unit]}{unit}" if seconds else "0s"
