"""docs/howto/rotation.md, followed to the letter: a key is replaced below running workers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.docs.howto_blocks import (
    block,
    blocks,
    run_shell,
    serving_the_page,
    text_of,
    write_files,
)
from tests.servers import free_port, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a shell")

LOGIN = {"name": "ann", "password": "correct horse"}


def ask(port: int, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        if token
        else {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def shape(text: str) -> str:
    """Return a command's output without kids, times and the width of its columns."""
    text = re.sub(r"(?<![\w-])[\w-]{43}(?![\w-])|[\w-]{5,6}…", "KID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME", text)
    return re.sub(r" {2,}", "  ", re.sub(r"\d+ seconds? ago", "AGO", text))


def shown(containing: str) -> list[str]:
    """Return the lines of output that the page shows, up to where they are cut short."""
    output = next(text for text in blocks("rotation", "") if containing in text)
    return [re.sub(r" …$", "", line) for line in shape(output).splitlines()]


def test_each_command_prints_what_the_page_shows(tmp_path: Path) -> None:
    assert run_shell(block("rotation", "sh", "keys new"), tmp_path).returncode == 0
    rotated = run_shell(block("rotation", "sh", "keys rotate"), tmp_path)
    for line in shown("the new ES256 key"):
        assert line in shape(rotated.stderr)
    listed = run_shell(block("rotation", "sh", "keys list"), tmp_path)
    assert shape(listed.stdout).splitlines() == shown("KIND")
    retired = run_shell(block("rotation", "sh", "keys retire"), tmp_path)
    assert retired.returncode == 0
    for line in shown("nothing can go yet"):
        assert line in shape(retired.stdout + retired.stderr)
    before = (tmp_path / "keys.json").read_bytes()
    assert run_shell(block("rotation", "sh", "keys rotate"), tmp_path).returncode == 1
    assert (tmp_path / "keys.json").read_bytes() == before


def test_the_wait_that_the_page_gives_is_that_of_the_command(tmp_path: Path) -> None:
    run_shell(block("rotation", "sh", "keys new"), tmp_path)
    run_shell(block("rotation", "sh", "keys rotate"), tmp_path)
    listed = run_shell("tokenwheel keys list keys.json", tmp_path).stdout
    signs_until, may_go = re.search(
        r"now, until ([\d-]+ [\d:]+) UTC +after ([\d-]+ [\d:]+) UTC", listed
    ).groups()  # type: ignore[union-attr]
    wait = [time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S")) for text in (signs_until, may_go)]
    assert wait[1] - wait[0] == 17 * 60
    assert "an hour and 17 minutes" in text_of("rotation")


def test_no_worker_refuses_anybody_over_a_rotation_and_all_refuse_a_stolen_key(
    tmp_path: Path,
) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    write_files("workers", tmp_path)
    run_shell(block("workers", "sh", "keys new").partition("\n")[2], tmp_path)
    port = free_port()
    with serving_the_page("workers", "uvicorn app:app", tmp_path, port):
        tokens = ask(port, "/login", LOGIN)[1]
        assert run_shell(block("rotation", "sh", "keys rotate"), tmp_path).returncode == 0
        for _ in range(20):
            assert ask(port, "/me", token=tokens["access_token"])[0] == 200
        stolen = run_shell(block("rotation", "sh", "keys remove"), tmp_path)
        assert stolen.returncode == 0, stolen.stderr
        until(
            lambda: all(ask(port, "/me", token=tokens["access_token"])[0] == 401 for _ in range(20))
        )
        assert ask(port, "/me", token=tokens["access_token"])[1]["code"] == "access_token_invalid"
        status, fresh = ask(port, "/session/refresh", {"refresh_token": tokens["refresh_token"]})
        assert status == 200
        until(
            lambda: all(ask(port, "/me", token=fresh["access_token"])[0] == 200 for _ in range(20))
        )


def test_a_storage_key_is_replaced_in_three_steps(tmp_path: Path) -> None:
    run_shell(block("rotation", "sh", "keys new"), tmp_path)
    assert run_shell(block("rotation", "sh", "new-storage"), tmp_path).returncode == 0
    (program,) = write_files("rotation", tmp_path)
    ran = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
