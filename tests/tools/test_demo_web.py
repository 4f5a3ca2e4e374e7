"""``make demo-web`` starts, has two devices signed in, and ends with Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tools.demo_web", reason="a wheel is tested without the tools beside it")

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_the_web_demo_has_two_devices_signed_in_and_ends_when_it_is_interrupted(
    tmp_path: Path,
) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "tools.demo_web", str(tmp_path / "demo")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    try:
        address = ""
        while not address and (line := demo.stdout.readline()):
            address = "".join(re.findall(r"The page is at +(\S+)/", line))
        with urllib.request.urlopen(f"{address}/") as page:
            assert b"Your devices" in page.read()
        token = ask(f"{address}/login", {"name": "ann", "password": "correct horse"})
        devices = ask(f"{address}/session/sessions", token=token["access_token"])
        assert sorted(session["device"]["name"] for session in devices) == [
            "Firefox on Windows",
            "Python-urllib",
            "Safari on iPhone",
        ]
        with urllib.request.urlopen(f"{address}/docs") as page:
            assert page.status == 200
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        with demo.stdout:
            demo.stdout.read()
        assert demo.wait(60) == 0


def ask(address: str, body: Any = None, token: str = "") -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    if not token:
        del headers["Authorization"]
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data, headers)) as answer:
        return json.load(answer)
