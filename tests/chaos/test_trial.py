"""No promise is broken while nodes are killed, stopped and forked, and clocks and storages fail.

``make test-chaos`` runs this for longer, and says more.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.servers import needs_server

from .trial import run_trial

FEEDS = ["sqlite", pytest.param("redis", marks=needs_server)]

pytestmark = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="processes are signalled through descriptors, as in Linux"
)


@pytest.mark.long
@pytest.mark.parametrize("feed", FEEDS)
def test_no_promise_is_broken_in_a_minute_of_chaos(feed: str, tmp_path: Path) -> None:
    seed = str(random.randrange(2**32))
    print(f"make test-chaos FEED={feed} SEED={seed} SECONDS=60")  # noqa: T201
    verdict = run_trial(feed, seed, 60, tmp_path)
    assert not verdict.broken, "\n\n".join(verdict.broken[:5])
    assert verdict.counts["reads after logouts"] > 100


@pytest.mark.parametrize("feed", FEEDS)
def test_where_nothing_befalls_all_nodes_hear_of_a_login_and_a_logout(
    feed: str, tmp_path: Path
) -> None:
    verdict = run_trial(feed, "0", 0, tmp_path)
    assert verdict.broken == []
    assert verdict.counts["reads after logouts"] > 0
