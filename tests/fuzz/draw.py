"""Choices made by the bytes of a fuzzer, so that it finds its way into what has a structure.

The same bytes make the same choices. Where they have run out, each choice is the first one. So an
empty file is a harmless case, and a file can be cut as long as it still shows what it is there for.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, TypeVar

__all__ = ["Draw"]

T = TypeVar("T")

# Numbers at which readers and writers of numbers part.
_INTEGERS = [
    0, 1, -1, 2, 10, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**53, 2**53 + 1,
    2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 1_700_000_000,
]  # fmt: skip
_FLOATS = [0.0, -0.0, 0.5, 1e11, 1e16, 1e300, -1e300, 5e-324, float("inf"), float("nan")]


class Draw:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def bytes(self, count: int) -> bytes:
        """Return at most so many bytes."""
        taken = self._data[self._place : self._place + count]
        self._place += len(taken)
        return taken

    def rest(self) -> bytes:
        return self.bytes(len(self._data))

    def byte(self) -> int:
        taken = self.bytes(1)
        return taken[0] if taken else 0

    def below(self, count: int) -> int:
        """Return a number from 0 that is less than the count."""
        number = int.from_bytes(self.bytes(1 if count <= 256 else 2), "big")
        return number % count if count else 0

    def choice(self, values: Sequence[T]) -> T:
        return values[self.below(len(values))]

    def text(self, longest: int = 40) -> str:
        """Return a text in which each byte is a character, or a few make one beyond them."""
        raw = self.bytes(self.below(longest + 1))
        try:
            return raw.decode("utf-8", "surrogateescape")
        except ValueError:
            return raw.decode("latin-1")

    def number(self) -> int | float:
        kind = self.below(4)
        if kind == 0:
            return self.choice(_INTEGERS)
        if kind == 1:
            return self.choice(_FLOATS)
        if kind == 2:
            return int.from_bytes(self.bytes(3), "big", signed=True)
        (number,) = struct.unpack(">d", self.bytes(8).ljust(8, b"\0"))
        return float(number)

    def json(self, depth: int = 3) -> Any:
        """Return a value that JSON can hold, or all but: NaN, and texts that are no Unicode."""
        kind = self.below(8 if depth else 6)
        if kind < 3:
            return (None, True, False)[kind]
        if kind == 3:
            return self.number()
        if kind < 6:
            return self.text()
        count = self.below(4)
        if kind == 6:
            return [self.json(depth - 1) for _ in range(count)]
        return {self.text(8): self.json(depth - 1) for _ in range(count)}

    def spliced(self, raw: bytes) -> bytes:
        """Return bytes of which a stretch was replaced, and perhaps a bit turned over."""
        start = self.below(len(raw) + 1)
        end = min(start + self.below(9), len(raw))
        damaged = bytearray(raw[:start] + self.bytes(self.below(9)) + raw[end:])
        if damaged and self.below(2):
            damaged[self.below(len(damaged))] ^= 1 << self.below(8)
        return bytes(damaged)
