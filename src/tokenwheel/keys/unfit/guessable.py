"""Whether a secret can be guessed: it follows a pattern, or is the words that stand for a secret.

Bits of randomness can't be counted in one secret. What can be seen is what no source of random
bytes gives, but people do: one letter again and again, an alphabet, "change-me-in-production". All
that is told of here happens to a random secret less often than once in a billion times.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import log2

__all__ = ["is_guessable", "is_made_of_words"]

_SHORTEST = 16  # bytes; what a shorter secret is made of says too little
_SHORTEST_PATTERN = 16  # bytes that may be random, though they come twice
_SHORTEST_TEXT = 22  # letters that may be random: base64 of those
_LEAST_OVERLAP = 10  # bytes that must come again where a pattern isn't whole
_FEWEST_BITS = 2.25  # a byte: 16 random ones have about 4, and hex digits 3.5
_ENOUGH_BITS = 128  # in all, however few a byte: the zeros and ones of a long number
_LONGEST_LOOK = 4096  # bytes
_FEWEST_LETTERS = 12  # and a third of the secret; fewer say too little
_WORDS = """
    secret password passwd passphrase phrase key token jwt jws jwk auth signing signature
    sign hmac your our my this that the these is be to of in on at it for and or not
    with do use used very super top long short strong string text random bits bit bytes byte
    chars characters char must should please change changeme replace me here insert enter put
    minimum least less more than example sample default dummy demo test development dev
    production prod local environment env application app api web server service session cookie
    access refresh django flask fastapi secure insecure safe unsafe private public valid value
    some placeholder todo fixme foo bar baz lorem ipsum hello world admin user root now only
    needed need qwertyuiop qwerty asdfghjkl asdf zxcvbnm zxcv abcdef abc xyz
"""
_NO_LETTER = re.compile("[^a-z]+")


def is_guessable(secret: bytes) -> bool:
    """Return True where a secret is a pattern, and so cannot be random bytes."""
    if len(secret) < _SHORTEST:
        return False
    looked_at = secret[:_LONGEST_LOOK]
    steps = [(after - before) % 256 for before, after in pairwise(looked_at)]
    return (
        _is_poor(looked_at)
        or _is_poor(steps)  # an alphabet, numbers that count
        or _is_repeated(looked_at)
    )


def _is_poor(values: Sequence[int]) -> bool:
    """Return True where the same few values come again and again (Shannon's entropy)."""
    total = len(values)
    bits = sum(count * log2(total / count) for count in Counter(values).values())
    return bits < min(_FEWEST_BITS * total, _ENOUGH_BITS)


def _is_repeated(secret: bytes) -> bool:
    """Return True where the secret is a short pattern, again and again."""
    longest = _SHORTEST_TEXT if secret.isascii() else _SHORTEST_PATTERN
    return any(
        secret[length:] == secret[:-length]
        for length in range(1, min(longest, len(secret) - _LEAST_OVERLAP + 1))
    )


def is_made_of_words(secret: bytes) -> bool:
    """Return True where most letters belong to words that people put where a secret should be."""
    text = secret[:_LONGEST_LOOK].decode("latin-1").lower()
    letters = len(_NO_LETTER.sub("", text))
    if letters < max(_FEWEST_LETTERS, len(secret) / 3):
        return False
    return len(_NO_LETTER.sub("", _word().sub(" ", text))) < letters / 4


@cache
def _word() -> re.Pattern[str]:
    """Return what finds one of the words. It is made for the first secret that is looked at."""
    return re.compile("|".join(sorted(_WORDS.split(), key=len, reverse=True)))
