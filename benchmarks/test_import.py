"""Importing the library: what each start of a process pays."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "contender",
    [
        "tokenwheel",
        "tokenwheel_manager",
        "tokenwheel_pure",
        "released",
        "pyjwt",
        "joserfc",
        "ryjwt",
    ],
)
def test_import(race, contender):
    """The library imported by a new process, which has imported nothing else.

    Commands, tests and functions that are started for a request pay it each time, and the workers
    of a server once. This library takes PyJWT's errors and so imports PyJWT; what not every user of
    it needs is imported when it is used, so the manager has a line of its own.
    """
    race("importing:Importing", operation="import", rounds=11)
