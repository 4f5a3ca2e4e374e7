"""How a key set that follows a file stands, as operators are told."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["KeyFileStats"]


class KeyFileStats(NamedTuple):
    """How a :class:`~tokenwheel.keys.KeyFile` stands."""

    taken_at: float
    """When the file was last taken over, in Unix seconds."""
    failures: int
    """How often the file turned out to be unusable, or so for another reason."""
    last_error: str | None
    """Why the file cannot be used as it is now; None where it can."""
    next_signing_change: int | None
    """When another key begins to sign, in Unix seconds; None where none will."""
