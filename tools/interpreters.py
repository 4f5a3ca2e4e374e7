"""Find the CPythons of this machine, for the tools that work with each of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

OLDEST = (3, 11)
BUILT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokenwheel" / "python"
"""Where ``python_ft.py`` installs what it has built, each in a folder of its own."""
# A free-threaded build of Python 3.12 or older does not exist, and its answer is None.
ASK = """
import platform, sys, sysconfig
free_threaded = int(sysconfig.get_config_var("Py_GIL_DISABLED") or 0)
print(platform.python_implementation(), *sys.version_info[:2], free_threaded)
"""


class Interpreter(NamedTuple):
    """A CPython, with its version: ``3.14``, or ``3.14t`` where it is free-threaded."""

    version: str
    path: Path


def find_interpreters() -> list[Interpreter]:
    """Return one CPython of each version: the running one first, then PATH's, pyenv's, our own."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    folders += sorted((Path.home() / ".pyenv" / "versions").glob("*/bin"))
    folders += sorted(BUILT.glob("*[0-9]t/bin"))
    candidates = [path for folder in folders for path in sorted(folder.glob("python3.*[0-9t]"))]
    paths: dict[str, Path] = {}
    for path in [Path(sys.executable), *candidates]:
        version = _ask_version(path)
        if version is not None:
            paths.setdefault(version, path)
    return [Interpreter(version, path) for version, path in paths.items()]


def _ask_version(path: Path) -> str | None:
    """Return the version of a CPython that the project supports, None for anything else."""
    # A shim may stand for a version that isn't chosen: only what answers counts.
    answer = subprocess.run([path, "-c", ASK], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        return None
    name, major, minor, free_threaded = answer.stdout.split()
    if name != "CPython" or (int(major), int(minor)) < OLDEST:
        return None
    return f"{major}.{minor}{'t' if free_threaded == '1' else ''}"
