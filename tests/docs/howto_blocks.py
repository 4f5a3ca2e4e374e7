"""The code blocks of a how-to page, and the commands in them, run as a reader would run them."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import until

HOWTO = Path(__file__).resolve().parents[2] / "docs" / "howto"

if not HOWTO.exists():
    pytest.skip("a wheel is tested without the pages beside it", allow_module_level=True)


def text_of(page: str) -> str:
    """Return the text of a page of docs/howto, named without its ending."""
    return (HOWTO / f"{page}.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a page in this language, in order."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)
    return [text for of, text in fenced if of == language]


def block(page: str, language: str, containing: str) -> str:
    """Return the first block of a page that has this in it."""
    return next(text for text in blocks(page, language) if containing in text)


def write_files(page: str, folder: Path) -> list[str]:
    """Write each block that says its file's name into the folder. Return the names."""
    names = []
    for text in blocks(page, "python"):
        named = re.match(r"# ([\w/]+\.py)\n", text)
        if named is not None:
            (folder / named[1]).write_text(text, encoding="utf-8")
            names.append(named[1])
    return names


def run_shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run lines of a shell block in the folder, with the environment's commands found first."""
    return subprocess.run(
        ["/bin/sh", "-e", "-c", script],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def table(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading, without its head."""
    below = text_of(page).partition(f"{heading}\n")[2]
    rows = re.findall(r"^\|(.*)\|$", re.split(r"^## ", below, flags=re.MULTILINE)[0], re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows[2:]]


@contextmanager
def serving_the_page(page: str, command: str, folder: Path, port: int) -> Iterator[None]:
    """Run the server of a page, at this port, until the block ends."""
    line = next(
        line
        for text in blocks(page, "sh")
        for line in text.splitlines()
        if line.startswith(command)
    )
    name, *arguments = shlex.split(line.partition("  #")[0].replace("8000", str(port)))
    with (folder / "log").open("a") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", name, *arguments],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: _answers(server, port, folder / "log"), "the first answer", interval=0.05)
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _answers(server: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json"):
            return True
    except urllib.error.HTTPError:
        return True  # of a framework without such a page
    except OSError:
        return False
