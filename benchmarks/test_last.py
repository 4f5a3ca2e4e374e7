"""What outlives a process: sessions and revocations in SQLite, for the workers of one machine and for after a restart."""

from __future__ import annotations

import pytest

from .race import FOLDER
from .tokens import write_tokens


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
@pytest.mark.parametrize("contender", ["memory", "sqlite_full", "sqlite_normal"])
def test_last(race, contender, operation):
    """A session opened, refreshed, ended: in memory; in SQLite, on the disk before the call returns; in SQLite, safe from all but a loss
    of power.

    With FULL a commit waits for the disk, so what is measured is the disk. To end a session takes two commits: revoked, then deleted."""
    path = str(write_tokens(FOLDER, "HS256", 1))
    race("lasting:Lasting", operation=operation, rounds=9, baseline="memory", tokens=path)


@pytest.mark.parametrize("contender", ["tokenwheel", "tokenwheel_fed"])
def test_read_fed(race, contender):
    """A token seen before, with and without SqliteFeed: what it costs each request that a logout holds in every process of the machine."""
    race("lasting:Fed", operation="read", rounds=31, tokens=str(write_tokens(FOLDER, "HS256", 1)))


@pytest.mark.parametrize("contender", ["tokenwheel_fed"])
def test_replay(race, contender):
    """A million live revocations taken in by a process that starts, all before its first read."""
    race("lasting:Replaying", operation="replay", rounds=3, alone=True, baseline="tokenwheel_fed", size=1_000_000)
