"""Medians of what was measured in rounds, and how far they may stray.

That is told by the bootstrap (Efron, 1979), which assumes no distribution.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import median

__all__ = ["median", "median_interval", "medians_of_resamples"]

RESAMPLES = 2_000


def medians_of_resamples(values: Sequence[float]) -> list[float]:
    """Return the medians of resamples of the values, sorted.

    Equal values always give equal medians.
    """
    chance = random.Random(0)
    return sorted(median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES))


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the bounds between which the median lies, with this confidence."""
    medians = medians_of_resamples(values)
    beyond = round(RESAMPLES * (1 - confidence) / 2)
    return medians[beyond], medians[-1 - beyond]
