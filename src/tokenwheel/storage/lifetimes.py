"""How long access tokens live at most, as storages keep it: a number that may have been damaged."""

from __future__ import annotations

__all__ = ["LONGEST_LIFETIME", "lifetime_in"]

LONGEST_LIFETIME = 100 * 31_557_600  # seconds: 100 years of 365.25 days


def lifetime_in(value: object) -> int:
    """Return a lifetime that was kept, in seconds; 0 where there is none, or what can't be one.

    Args:
        value: an int, or its digits as bytes.
    """
    if isinstance(value, bytes) and value.isdigit() and len(value) <= len(str(LONGEST_LIFETIME)):
        value = int(value)
    return value if type(value) is int and 0 < value <= LONGEST_LIFETIME else 0
