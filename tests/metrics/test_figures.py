"""What is read of a manager when it is scraped: its feed, its keys, and how they stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import Postgres
from tests.support import SECRET, FakeClock
from tokenwheel import (
    Key,
    KeyFile,
    KeySet,
    RemoteKeySet,
    RevocationList,
    SessionManager,
    SqliteFeed,
    StorageUnavailable,
)
from tokenwheel.metrics.figures import Manager, read_figures


def figures_of(manager: Manager) -> dict[str, float]:
    return {
        "_".join(filter(None, (figure.name, figure.unit, *sample.labels.values()))): sample.value
        for figure, samples in read_figures(manager)
        if figure.kind != "info"
        for sample in samples
    }


def test_a_feed_tells_how_this_process_hears(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    options = {"issuer": "i", "audience": "a"}
    with (
        SessionManager(SECRET, revocations=RevocationList(SqliteFeed(path)), **options) as here,
        SessionManager(SECRET, revocations=RevocationList(SqliteFeed(path)), **options) as there,
    ):
        tokens = here.create(subject="ann")
        here.delete_one("ann", tokens.session_id)
        assert there.revocations.is_revoked(tokens.session_id)
        figures = figures_of(there)
        assert figures["feed_lag_entries"] == 0
        assert 0 <= figures["feed_staleness_seconds"] < 60
        assert figures["feed_entries"] == 1
        assert figures["feed_reconnects"] == figures["feed_replays"] == 0
        assert figures["revocations"] == 1


def test_a_feed_in_a_database_tells_it_as_well(postgres: Postgres) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")
    from tokenwheel import SqlFeed
    from tokenwheel.sql import create_all

    timer = FakeClock(1_000.0)
    with postgres.database() as database:
        engine = sqlalchemy.create_engine(database.url("psycopg"))
        create_all(engine)
        feed = SqlFeed(engine, timer=timer)
        with SessionManager(
            SECRET, issuer="i", audience="a", revocations=RevocationList(feed)
        ) as manager:
            figures = figures_of(manager)
            assert figures["feed_lag_entries"] == 0
            assert figures["feed_staleness_seconds"] == 0
        engine.dispose()


def test_keys_are_told_by_what_they_do(tmp_path: Path) -> None:
    clock = FakeClock(1_700_000_000)
    jwks = KeySet(*(Key.from_secret(SECRET + name, kid=name) for name in "abc"))
    keys = [key.to_jwk(private=True) for key in jwks]
    keys[0]["tokenwheel_signs_from"] = clock.now - 10
    keys[1]["tokenwheel_signs_from"] = clock.now + 100
    keys[2]["tokenwheel_signs_from"] = clock.now - 100
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": keys}))
    path.chmod(0o600)
    with SessionManager(
        KeyFile(path, clock=clock), issuer="i", audience="a", clock=clock
    ) as manager:
        figures = figures_of(manager)
        assert figures["keys_signing"] == 1
        assert figures["keys_waiting"] == 1
        assert figures["keys_verifying"] == 1
        assert figures["key_file_failures"] == 0
        assert figures["key_file_taken_timestamp_seconds"] == clock.now
        clock.advance(100)
        assert figures_of(manager)["keys_waiting"] == 0
        assert figures_of(manager)["keys_verifying"] == 2


def test_a_url_of_keys_that_is_down_leaves_out_their_age_alone() -> None:
    def fetch(url: str, headers: object) -> object:
        raise StorageUnavailable("down")

    keys = RemoteKeySet("https://auth.example/jwks.json", fetch=fetch)
    with SessionManager(keys, issuer="i", audience="a") as manager:
        figures = figures_of(manager)
        assert "jwks_age_seconds" not in figures
        assert figures["jwks_failures"] == 1
        assert figures["jwks_fetches"] == 1
        assert figures["keys_signing"] == figures["keys_verifying"] == 0


def test_remembered_tokens_and_their_memory_are_told() -> None:
    manager = SessionManager(SECRET, issuer="i", audience="a")
    manager.read(manager.create(subject="ann").access_token)
    figures = figures_of(manager)
    assert figures["verified_tokens"] == 1
    assert figures["verified_tokens_bytes"] > 0


def test_a_figure_that_cannot_be_read_is_left_out_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = SessionManager(SECRET, issuer="i", audience="a")
    complete = figures_of(manager)

    def fail(self: object) -> None:
        raise OSError

    monkeypatch.setattr(RevocationList, "stats", fail)
    assert complete.keys() - figures_of(manager).keys() == {"revocations", "revocations_bytes"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_of_a_fork_counts_for_itself() -> None:
    program = f"""
import os
from prometheus_client import CollectorRegistry
from tokenwheel import SessionManager
from tokenwheel.metrics import SessionCollector
manager = SessionManager({SECRET!r}, issuer="i", audience="a")
registry = CollectorRegistry()
registry.register(SessionCollector(manager))
manager.create(subject="ann")
child = os.fork()
if child == 0:
    manager.create(subject="ann")
    manager.create(subject="ann")
else:
    os.waitpid(child, 0)
print(int(registry.get_sample_value("tokenwheel_sessions_created_total")), flush=True)
os._exit(0)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert run.stdout.split() == [b"3", b"1"]


def test_without_prometheus_client_the_error_says_what_to_install() -> None:
    program = """
import sys
sys.modules["prometheus_client"] = None
import tokenwheel.metrics
try:
    tokenwheel.metrics.SessionCollector
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert b"pip install 'tokenwheel[prometheus]'" in run.stdout
