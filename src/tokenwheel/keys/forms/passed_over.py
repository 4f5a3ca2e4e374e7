"""Keys of a set that are not taken (RFC 7517, section 5), named and told.

A set may hold keys for other purposes and of later kinds, and those are passed over. Nothing that
is said of one shows what may be key material: only its kid and names that a standard gives.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...exact import text_of

__all__ = ["PassedOver", "name_in_set", "shown", "tell_passed_over", "told_together"]

logger = logging.getLogger("tokenwheel")

_LONGEST_SHOWN_KID = 64  # characters
_LONGEST_SHOWN = 20  # characters, of a name of a kind, curve or algorithm: a third of a key's
_MOST_TOLD = 10  # keys, in an error
_MOST_REMEMBERED = 16_384  # keys, twice as many as a set may have


class PassedOver(NamedTuple):
    """A key of a set that was not taken, and why."""

    kid: str
    """How a message names it: its kid where that can be shown, else its place in the set."""
    why: str
    is_mistake: bool = True
    """False for a key that is plainly for something else, as for encryption."""


def name_in_set(kid: object, place: int) -> str:
    """Return how a message names a key of a set, in printable ASCII.

    Args:
        kid: its member ``kid``, whatever that is.
        place: where it stands in the set, counted from 1.
    """
    text = text_of(kid)
    return _in_ascii(text, _LONGEST_SHOWN_KID) if text else f"key {place}"


def shown(name: object) -> str:
    """Return a name that a key gives, in quotes; or words for one that may be anything."""
    text = text_of(name)
    if text is None or not 0 < len(text) <= _LONGEST_SHOWN:
        return "no name that is known"
    return f"'{_in_ascii(text, _LONGEST_SHOWN)}'"


def _in_ascii(text: str, longest: int) -> str:
    return ascii(text[:longest])[1:-1][:longest]


def told_together(passed_over: Sequence[PassedOver]) -> str:
    """Return why each of these keys is not taken, in one line; of many, the first ones."""
    told = [f"{key.kid}: {key.why}" for key in passed_over[:_MOST_TOLD]]
    more = len(passed_over) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def tell_passed_over(passed_over: Iterable[PassedOver], told: set[tuple[str, str]]) -> None:
    """Log each key that was passed over, unless it has been told already.

    Args:
        passed_over: the keys, and why.
        told: the kid and the reason of those that were told, for whoever reads a set again and
            again. These keys are put into it.
    """
    for key in passed_over:
        if key[:2] in told:
            continue
        if len(told) >= _MOST_REMEMBERED:  # A set with other kids each time is told of anew.
            told.clear()
        told.add(key[:2])
        level = logging.WARNING if key.is_mistake else logging.INFO
        logger.log(level, "a key of the set is passed over: %s: %s", key.kid, key.why)
