"""The code blocks of a how-to page, and the commands in them, run as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HOWTO = Path(__file__).resolve().parents[2] / "docs" / "howto"


def text_of(page: str) -> str:
    """Return the text of a page of docs/howto, named without its ending."""
    return (HOWTO / f"{page}.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a page in this language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)


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
