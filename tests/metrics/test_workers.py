"""Several worker processes: any of them tells what all have done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.processes.resource_servers import Client
from tests.servers import free_port, until

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn forks")


def answers(port: int) -> bool:
    try:
        with Client(port) as client:
            return client.ask("/metrics")[0] == 200
    except OSError:
        return False


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def told(port: int) -> dict[tuple[str, ...], float]:
    with Client(port) as client:
        status, text = client.ask("/metrics")
    assert status == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("options", [["--preload"], []], ids=["preloaded", "each by itself"])
def test_numbers_of_two_gunicorn_workers_are_those_of_what_was_done(
    options: list[str], tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "metrics").mkdir()
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        "SESSIONS": str(tmp_path / "sessions.db"),
    }
    command = [
        *[sys.executable, "-m", "gunicorn", "tests.metrics.counted_app:app", "--workers=2"],
        *[f"--bind=127.0.0.1:{port}", *options],
    ]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: answers(port))

        def load(_: int) -> Any:
            with Client(port) as client:
                assert client.ask("/login", method="POST")[0] == 200
            with Client(port) as client:
                assert client.ask("/me", "bad")[0] == 401
            with Client(port) as client:
                return client.ask("/me")[0]

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(load, range(100))) == {401}
        figures = told(port)
        assert figures["tokenwheel_sessions_created_total",] == 100
        assert figures["tokenwheel_refusals_total", "access_token_invalid", "bearer"] == 100
        assert figures["tokenwheel_refusals_total", "credentials_missing", "none"] == 100
        count = "tokenwheel_session_operation_duration_seconds_count"
        assert figures[count, "create", "ok"] == 100
        until(lambda: ("tokenwheel_keys", "signing") in told(port))
        figures = told(port)
        assert figures["tokenwheel_keys", "signing"] == 1
        assert figures["tokenwheel_broken_records_total",] == 0
        assert [value for (name, *_), value in figures.items() if name == "tokenwheel_build_info"]
        # What a worker has counted stays when it dies.
        with Client(port) as client:
            worker = json.loads(client.ask("/login", method="POST")[1])["pid"]
        os.kill(worker, signal.SIGKILL)
        until(lambda: not is_alive(worker))
        assert told(port)["tokenwheel_sessions_created_total",] == 101
        # The parent process, which serves nobody, has no part in them.
        gauges = {path.name for path in (tmp_path / "metrics").glob("gauge_*")}
        assert gauges
        assert not any(name.endswith(f"_{server.pid}.db") for name in gauges)
    finally:
        server.terminate()
        server.wait()


FORKS_WHILE_FIGURES_ARE_WRITTEN = """
import os
import prometheus_client
from tests.support import SECRET
from tokenwheel import SessionManager
from tokenwheel.metrics import SessionCollector
from tokenwheel.metrics import workers

sessions = SessionManager(SECRET, issuer="i", audience="a")
prometheus_client.REGISTRY.register(SessionCollector(sessions))
workers._INTERVAL = 0  # its thread writes without a pause
sessions.create(subject="ann")
for _ in range(50):
    child = os.fork()
    if not child:
        sessions.create(subject="ann")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print("all children have logged in")
"""


def test_a_child_forked_while_figures_are_written_is_not_stuck_at_its_first_login(
    tmp_path: Path,
) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS_WHILE_FIGURES_ARE_WRITTEN],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "all children have logged in\n"
