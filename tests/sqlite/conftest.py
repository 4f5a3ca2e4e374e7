"""A file, a clock, and lists over the file as the processes of a service have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import RevocationList, SqliteFeed

NOW = 1_700_000_000.0
Lists = Callable[..., RevocationList]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def lists(path: Path, clock: FakeClock) -> Any:
    """Return what makes a list as another process of the service has it. All share the clock."""
    made: list[RevocationList] = []
    clocks: Any = {"clock": clock, "timer": clock}

    def make(**options: Any) -> RevocationList:
        feed = SqliteFeed(path, synchronous="NORMAL", **clocks, **options)
        made.append(RevocationList(feed, **clocks))
        return made[-1]

    yield make
    for revocations in made:
        revocations.close()
