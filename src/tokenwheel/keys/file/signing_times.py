"""When another key of a list begins to sign. What signs at a moment, ``KeyList`` tells itself."""

from __future__ import annotations

from math import inf

from ..forms.jwks import KeyList

__all__ = ["next_change", "span_around"]


def span_around(moment: float, listed: KeyList) -> tuple[float, float]:
    """Return from when and until when, around a moment, no key begins to sign."""
    begins = _begins(listed)
    return (
        max((begin for begin in begins if begin <= moment), default=-inf),
        min((begin for begin in begins if begin > moment), default=inf),
    )


def next_change(moment: float, listed: KeyList) -> int | None:
    """Return when another key than the one of this moment begins to sign, or None."""
    signing = listed.signing_at(moment)
    later = sorted(begin for begin in _begins(listed) if begin > moment)
    return next((begin for begin in later if listed.signing_at(begin) is not signing), None)


def _begins(listed: KeyList) -> list[int]:
    """Return the moments at which a key that can sign begins to."""
    return [each.signs_from or 0 for each in listed.keys if each.key.can_sign]
