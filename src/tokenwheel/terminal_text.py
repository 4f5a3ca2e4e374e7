"""What is printed for an operator, in characters that a terminal only prints.

What a token, a client or a file says was made by somebody, who may have put terminal commands into
it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

__all__ = ["as_json", "as_table", "in_words", "is_number"]


def as_json(value: Any) -> str:
    """Return JSON in printable ASCII: whatever a terminal would obey is escaped."""
    return json.dumps(value, ensure_ascii=True)


def is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def in_words(date: object) -> str:
    """Return a NumericDate (RFC 7519, section 2) in words: when it is, and how far from now."""
    if not is_number(date):
        return "not a date"
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=date)
    except (ValueError, OverflowError):
        return "not a date"
    seconds = date - time.time()
    distance = _distance(round(abs(seconds)))
    return (
        f"{moment:%Y-%m-%d %H:%M:%S} UTC, {f'in {distance}' if seconds > 0 else f'{distance} ago'}"
    )


def _distance(seconds: int) -> str:
    """Return a time in words, in the largest unit of which there are at least two.

    So what is cut off is at most a third of it.
    """
    for size, name in ((31_557_600, "years"), (86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def as_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, with columns that are as wide as what is in them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
