"""Holding many entries that end by themselves: the cache, and the list of what is revoked."""

from __future__ import annotations

import pytest

from .contenders import EXPIRING_CACHES

OPERATIONS = ["set", "hit", "miss", "delete"]
OURS = ["tokenwheel", "tokenwheel_pure"]
CONTENDERS = [*OURS, "dict", "dict_by_hand", *EXPIRING_CACHES]
QUICK = ["tokenwheel", "dict", "dict_emptied"]
LISTS = [(1_000_000, name) for name in [*OURS, "dict", "dict_by_hand"]] + [
    (10_000_000, name) for name in ["tokenwheel", "dict"]
]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("contender", [*CONTENDERS, "released"])
@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_cache(race, size, contender, operation):
    """A cache with so many entries, each with a lifetime of its own, reached in random order by
    keys of 25 characters made afresh.

    What a rate limiter, a nonce check or a session cache does on each request. Where memory rules,
    bytes an entry matter as much as instructions, and what the garbage collector must walk makes
    pauses.
    """
    race("holding:Holding", operation=operation, rounds=9, size=size)


@pytest.mark.parametrize("operation", ["set", "hit", "miss"])
@pytest.mark.parametrize("size,contender", LISTS)
def test_revocations(race, size, contender, operation):
    """A list of so many revoked session ids, asked in random order, as every `read` does, nearly
    always for one that is not there.

    A mass logout of a large service fills it; it must cost `read` nothing, and little memory.
    """
    race("holding:HoldingRevocations", operation=operation, rounds=9, size=size)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("contender", ["tokenwheel", "dict"])
@pytest.mark.parametrize("size", [10_000, 100_000, 1_000_000, 10_000_000])
def test_scale(race, size, contender, operation):
    """Time an operation as entries grow a thousandfold, beside a dict, which shows what the
    processor's caches alone cost.

    A service that grows must not find out one day that its cache has become slow.
    """
    race("holding:Holding", operation=operation, rounds=5, size=size)


@pytest.mark.parametrize("operation", ["cpu", "wall"])
@pytest.mark.parametrize("contender", [*CONTENDERS, "dict_emptied"])
def test_falling_due(race, contender, operation):
    """The longest single wait when a million entries fell due in the same second: the time is that
    of the slowest one of many calls.

    A cache filled by a burst of traffic empties in a burst, and whoever calls next may have to wait
    until all of it is cleared away. "cpu" is the processor time of the caller's thread, "wall"
    includes what the machine did meanwhile for others; the plain dict, in which nothing expires,
    shows what of both is the machine's. Emptied by hand, a dict makes whoever deletes the last
    object of a block of memory wait until the system has it back: the least that anybody can pay
    who gives back memory.
    """
    # Pauses of a tenth of a second and more need no median to be told from noise.
    rounds = 3 if contender in QUICK else 1
    race(
        "falling_due:FallingDue",
        operation=operation,
        rounds=rounds,
        alone=True,
        size=1_000_000,
        operations=500_000,
    )
