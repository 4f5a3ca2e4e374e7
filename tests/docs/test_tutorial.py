"""docs/tutorial.md, followed to the letter: each command gives what the page shows."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.howto_blocks import blocks, run_shell, serving_the_page, text_of, write_files
from tests.servers import free_port

PAGE = "../tutorial"

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("curl") is None, reason="the commands are for a shell"
)


def steps() -> list[tuple[str, str]]:
    """Return each block of commands with the output that the page shows below it, or nothing."""
    fenced = re.findall(
        r"^```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", text_of(PAGE), re.MULTILINE | re.DOTALL
    )
    return [(commands, shown) for commands, shown in fenced]


def lines_of(output: str) -> list[str]:
    """Return the lines of an output; curl puts no end of line between two answers."""
    return [line.rstrip() for line in output.replace("}{", "}\n{").splitlines()]


def test_the_steps_give_what_the_page_shows(tmp_path: Path) -> None:
    for needed in ("uvicorn", "fastapi"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    assert write_files(PAGE, tmp_path) == ["first.py", "app.py"]
    install, first, keys, serve, *requests = steps()
    assert "pip install" in install[0]
    assert serve[0].startswith("uvicorn")
    ran = run_shell(first[0], tmp_path)
    assert (ran.stdout, ran.stderr) == (first[1], "")
    assert run_shell(keys[0], tmp_path).returncode == 0
    port = free_port()
    assert len(requests) == 6
    said = ""
    known = ""  # of the shell: what earlier steps have set in it
    with serving_the_page(PAGE, "uvicorn app:app", tmp_path, port):
        for commands, shown in requests:
            here = commands.replace("8000", str(port))
            ran = run_shell(known + here, tmp_path)
            assert ran.returncode == 0, ran.stderr
            assert lines_of(ran.stdout) == lines_of(shown)
            known += "".join(re.findall(r"^(?:PHONE=|LAPTOP=|token\(\)).*\n", here, re.MULTILINE))
            said = ran.stdout
    # Stopped and started again: the phone stays refused, and the laptop signed in.
    last = requests[-1][0].partition("logout/others")[2].partition("\n")[2].partition("\n")[2]
    with serving_the_page(PAGE, "uvicorn app:app", tmp_path, port):
        again = run_shell(known + last.replace("8000", str(port)), tmp_path)
    assert "access_token_revoked" in again.stdout
    assert again.stdout == said


def test_the_page_has_no_block_that_this_test_does_not_run() -> None:
    assert len(steps()) == len(blocks(PAGE, "sh")) == 10
    assert len(blocks(PAGE, "text")) == sum(bool(shown) for _, shown in steps())
