"""The figures by which a feed tells how well a process hears, for metrics."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FeedStats"]


class FeedStats(NamedTuple):
    """How far a process has read the log of revocations.

    The log is a stream on a server, whose entries hold revocations, or a table in a file, each of
    whose rows is an entry.
    """

    lag: float
    """Entries that the process had yet to take in when it last looked at the log.

    While a server can be reached, that is at most a second ago. While it can't, this is infinite,
    since nobody can know. Of a file, at most one batch is counted.
    """
    staleness: float
    """Seconds since the process was last sure to have missed nothing.

    Infinite before it has taken in everything for the first time. A process looks at a file when it
    reads tokens, at most once a second where there is no news. So this grows while it reads none.
    """
    reconnects: int
    """How often the process had to connect anew, attempts that failed included.

    Of a file: how often it could be read again after a failure.
    """
    entries: int
    """How many entries the process has taken in; one that it heard twice counts twice."""
    skipped: int
    """How many of these entries were not made by this library. In a file there are none."""
    replays: int
    """How often the process had to read the log again from its start.

    It has to where the log was trimmed beyond it, lost, restored or replaced, or the clock was put
    back.
    """
    last_id: str
    """The id of the last entry that the process took in; of a file, the position of the row."""
