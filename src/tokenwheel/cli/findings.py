"""What ``tokenwheel doctor`` has found, as values; it is shown in ``doctor.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "good", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. It holds no path, address, user name or secret."""

    name: str
    state: Literal["good", "note", "wrong"]
    """``note`` where something may be as it should, and ``wrong`` where it can't be."""
    text: str


def good(name: str, text: str) -> Finding:
    """Return a finding that needs nobody's attention."""
    return Finding(name, "good", text)


def note(name: str, text: str) -> Finding:
    """Return a finding that a reader should look at."""
    return Finding(name, "note", text)


def wrong(name: str, text: str) -> Finding:
    """Return a finding that has to be put right."""
    return Finding(name, "wrong", text)
