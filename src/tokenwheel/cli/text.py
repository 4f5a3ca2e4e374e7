"""What the commands show, in characters that a terminal only prints (``terminal_text.py``)."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..terminal_text import as_json, as_table, in_words, is_number

__all__ = [
    "DOCUMENTATION",
    "as_json",
    "as_moment",
    "as_table",
    "in_words",
    "is_number",
    "refuse",
    "shown_kid",
    "shown_path",
]

DOCUMENTATION = "https://tokenwheel.github.io/tokenwheel/"


def refuse(reason: str) -> int:
    """Print why a command was not understood. Return its exit status, 2."""
    print(f"tokenwheel: {reason}", file=sys.stderr)
    return 2


def shown_path(path: Path) -> str:
    """Return a path as a shell takes it, or escaped where a terminal would obey some of it."""
    name = str(path)
    if not name.isprintable():
        return as_json(name)
    if os.name == "nt":
        return f'"{name}"' if " " in name else name
    return shlex.quote(name)


def as_moment(seconds: int) -> str:
    """Return a time in Unix seconds as one in UTC."""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S} UTC"


def shown_kid(kid: str | None) -> str:
    """Return how a key is called."""
    return "(without kid)" if kid is None else as_json(kid)[1:-1]
