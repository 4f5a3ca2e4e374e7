"""Who has closed a feed holds nothing of its doorbell any more, and may go on asking its list."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tokenwheel import RevocationList, SqliteFeed

ONE = "A" * 16

SCRIPT = """
import sys
from pathlib import Path
from tokenwheel import Revocation, RevocationList, SqliteFeed

def mapped():
    maps = Path("/proc/self/maps")
    return maps.exists() and "-doorbell" in maps.read_text()

path = sys.argv[1]
feed = SqliteFeed(path)
revocations = RevocationList(feed)
revocations.revoke("A" * 16, 60)
assert revocations.is_revoked("A" * 16)
assert mapped() or not Path("/proc").exists()
revocations.close()
assert not mapped()
assert revocations.is_revoked("A" * 16)
revocations.close()
# A feed that is closed behind the list's back.
feed = SqliteFeed(path)
revocations = RevocationList(feed)
assert revocations.is_revoked("A" * 16)
feed.close()
assert revocations.is_revoked("A" * 16)
revocations.close()
assert not mapped()
# One that only publishes.
feed = SqliteFeed(path)
feed.publish([Revocation("B" * 16, 4e9, None)])
feed.close()
assert not mapped()
"""


def test_nothing_stays_mapped_or_open_after_close(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT, tmp_path / "sessions.db"],
        env={"PATH": ""},
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_the_bytes_that_somebody_watches_stay_readable_after_close(tmp_path: Path) -> None:
    feed = SqliteFeed(tmp_path / "sessions.db")
    revocations = RevocationList(feed)
    doorbell = feed.doorbell
    assert doorbell is not None
    with memoryview(doorbell) as watched:
        before = bytes(watched)
        feed.close()
        assert bytes(watched) == before
        assert feed.doorbell is None
        assert not revocations.is_revoked(ONE)
    revocations.close()
