"""What tests of several kinds share."""

from __future__ import annotations


class FakeClock:
    """A clock that stands still until the test moves it, either way."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
