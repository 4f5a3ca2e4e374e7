"""Programs that are no Python packages."""

from __future__ import annotations

import os
import shutil
import subprocess


def find_program(name: str) -> str | None:
    """Return where the program is, or None.

    Where it is missing, Debian's package of that name is installed first, if that is possible.
    """
    if shutil.which(name) is None and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", name]):
            subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            )
    return shutil.which(name)
