"""For how long an HTTP answer stays fresh, by what its header says (RFC 9111, section 4.2).

Nothing here fetches anything or reads a clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz

__all__ = ["freshness_lifetime"]

_LONGEST_READ = 1024  # characters of a field: reading one must take no time
_MOST_SECONDS = 2**31  # as RFC 9111, section 1.2.2, has it for what is greater
_DIRECTIVE = re.compile(
    r"""[\s,]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:=("(?:[^"\\]|\\.)*"|[^\s,"]*))?[^,]*"""
)


def freshness_lifetime(fields: Mapping[str, str], now: float) -> float | None:
    """Return for how many more seconds an answer that has just come stays fresh.

    Args:
        fields: of its header, each name in lower case; several of one name joined by commas.
        now: the moment in Unix seconds, for an answer without ``Date``.

    Returns:
        0 where it must not be used again unasked, or is too old already; None where it says
        nothing that can be read.
    """
    directives = _directives_in(fields.get("cache-control", ""))
    if "no-store" in directives or "no-cache" in directives:
        return 0.0
    lifetime: float | None = _seconds_in(directives.get("max-age"))
    if lifetime is None:
        lifetime = _seconds_until_expiry(fields, now)
    if lifetime is None:
        return None
    age = _seconds_in(fields.get("age", "").partition(",")[0].strip()) or 0
    return max(lifetime - age, 0.0)


def _directives_in(field: str) -> dict[str, str]:
    """Return the first argument of each directive; an empty text where it has none."""
    directives: dict[str, str] = {}
    for name, argument in _DIRECTIVE.findall(field[:_LONGEST_READ]):
        # A number in quotes counts as well (RFC 9111, section 5.2).
        directives.setdefault(name.lower(), argument.strip('"'))
    return directives


def _seconds_in(digits: str | None) -> int | None:
    if not digits or not digits.isascii() or not digits.isdigit():
        return None
    return _MOST_SECONDS if len(digits) > 10 else min(int(digits), _MOST_SECONDS)


def _seconds_until_expiry(fields: Mapping[str, str], now: float) -> float | None:
    expires = fields.get("expires")
    if expires is None:
        return None
    end = _time_in(expires)
    if end is None:  # It is over already (RFC 9111, section 5.3).
        return 0.0
    sent = _time_in(fields.get("date", ""))
    return min(end - (now if sent is None else sent), _MOST_SECONDS)


def _time_in(date: str) -> float | None:
    """Return the Unix seconds that a date of HTTP stands for, or None (RFC 9110, 5.6.7)."""
    try:
        parsed = parsedate_tz(date[:_LONGEST_READ])
        return None if parsed is None else float(mktime_tz(parsed))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
