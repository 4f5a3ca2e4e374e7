"""The tests that docs/howto/testing.md shows pass as pasted."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.howto_blocks import write_files

NEEDED = {"fastapi": "fastapi", "flask": "flask", "django": "django", "frozen_time": "freezegun"}

STARLETTES = (
    "Using `httpx` with",  # its successor, httpx2, is what Starlette asks for
    # Of releases before that:
    "Please use `import python_multipart`",
    "The anyio.abc.BlockingPortal alias",
)


@pytest.mark.skipif(sys.platform == "win32", reason="time-machine has no wheel for each Windows")
def test_every_test_of_the_page_passes_as_pasted(tmp_path: Path) -> None:
    names = write_files("testing", tmp_path)
    assert "conftest.py" in names
    missing = [
        f"test_{name}.py" for name, needed in NEEDED.items() if not importlib.util.find_spec(needed)
    ]
    chosen = [name for name in names if name not in {"conftest.py", *missing}]
    warnings = ["-Werror", *(f"-Wignore:{message}" for message in STARLETTES)]
    ran = subprocess.run(
        [sys.executable, *warnings, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
