"""How a file comes to be under its name: whole before anybody sees it, and of mode 0600.

Several processes may make the same file at once. One of them wins, and the others use its file.
Nothing here knows what is in a file, but that SQLite keeps others beside it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["create_file"]

_BESIDE = ("-journal", "-wal", "-shm")
"""What SQLite puts behind the name of a database, to name the files that go with it."""


def create_file(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a file that only its owner can read. Do nothing where another process was faster.

    Args:
        path: the name that the file gets once it is filled.
        fill: is called with the path of the file while that has another name.

    Raises:
        OSError: the file could not be made.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(descriptor)
    made = Path(name)
    try:
        fill(made)
        _put_in_place(made, path)
    finally:
        for remnant in (made, *(made.with_name(made.name + suffix) for suffix in _BESIDE)):
            remnant.unlink(missing_ok=True)


def _put_in_place(made: Path, path: Path) -> None:
    try:
        os.link(made, path)
    except FileExistsError:
        pass
    except OSError:
        # This file system has no links. An empty file is of version 0: whoever opens it brings it
        # up to date.
        _make_empty(path)


def _make_empty(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        pass
