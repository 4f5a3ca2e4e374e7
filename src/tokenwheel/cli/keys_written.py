"""How a command writes a key file that is there: for its owner alone, or for its group to read."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .private_files import LockedFile
from .text import shown_path

__all__ = ["add_mode", "write_keys"]


def add_mode(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--mode",
        choices=["600", "640"],
        default="600",
        help="who may read the file afterwards: its owner (600, the default), or its group as well",
    )


def write_keys(given: Path, file: LockedFile, content: bytes, mode: str) -> None:
    """Replace a key file, and say so where somebody can't read the new one.

    Args:
        given: its path as the caller gave it.
        file: the file.
        content: what it is to hold.
        mode: one of the choices of ``--mode``.
    """
    lost = file.replace(content, mode=int(mode, 8))
    path = shown_path(given)
    if file.status.st_nlink > 1:
        print(
            f"tokenwheel: WARNING: {path} had other names (hard links), which keep the old content",
            file=sys.stderr,
        )
    if not lost:
        return
    whom = "others than its owner" if lost & 0o007 else "its group"
    print(f"tokenwheel: {whom} could use {path}, and no longer can (mode {mode})", file=sys.stderr)
    if lost & 0o040:
        print(
            "tokenwheel: where the service reads it by its group, it can't any more: "
            f"`chmod 640 {path}` at once, and --mode 640 the next time",
            file=sys.stderr,
        )
