"""``make demo-web``: the FastAPI example on loopback, with two devices signed in already.

Everything lies in ``build/demo-web``, or in the folder that is its argument, and is made anew each
time. The server ends with Ctrl-C.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "demo-web"
DEVICES = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) AppleWebKit/605.1 Version/19.0 Mobile Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:150.0) Gecko/20100101 Firefox/150.0",
]
STARTS_WITHIN = 30  # seconds
WHERE_TO_LOOK = """
The page is at   {address}/
The API's docs   {address}/docs

Log in as ann, with the password "correct horse", and try:
 - "Your devices" shows an iPhone and a Windows PC, which signed in a moment ago. End one.
 - Open the page in a second window, and log out in the first: the second ends by itself, and its
   web socket is closed with 4401.
 - Log in as ben in a private window: "Admin only" is refused, since he lacks the scope.
 - Look at the two cookies in the browser's tools. No script can read them.

Ctrl-C ends the demo.
"""


@contextmanager
def serving(port: int, folder: Path = FOLDER) -> Iterator[str]:
    """Run the example on this port of localhost, and yield its address when it answers.

    Its keys and sessions are made anew in the folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, algorithm in (("keys.json", "ES256"), ("storage.jwk", "HS256")):
        command = ["keys", "new", "--algorithm", algorithm, "--out", str(folder / name)]
        subprocess.run(
            [sys.executable, "-m", "tokenwheel", *command], check=True, capture_output=True
        )
    command = ["fastapi_app:app", "--app-dir", str(ROOT / "examples"), "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", *command, "--log-level=warning"],
        env={**os.environ, "SESSIONS_FOLDER": str(folder), "INSECURE_LOCALHOST": "1"},
    )
    try:
        wait_until_open(server, port)
        yield f"http://localhost:{port}"
    finally:
        server.terminate()
        server.wait()


def wait_until_open(server: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the server listens.

    Raises:
        SystemExit: it has ended instead, and has said why.
    """
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("the example has not started")


def sign_in(address: str, user_agent: str) -> None:
    """Open a session for ann, as a browser of this kind would."""
    request = urllib.request.Request(  # noqa: S310 -- the address is localhost
        f"{address}/login",
        data=json.dumps({"name": "ann", "password": "correct horse"}).encode(),
        headers={"Content-Type": "application/json", "User-Agent": user_agent, "Origin": address},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 -- the address is localhost
        answer.read()


def free_port(preferred: int) -> int:
    """Return this port of loopback if it is free, else another."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(folder: Path = FOLDER) -> None:
    """Run the demo until it is interrupted."""
    with suppress(KeyboardInterrupt), serving(free_port(8000), folder) as address:
        for user_agent in DEVICES:
            sign_in(address, user_agent)
        print(WHERE_TO_LOOK.format(address=address), flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
