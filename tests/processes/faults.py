"""A process whose calls to files fail as it is told to let them.

``faults.c`` is compiled here and preloaded there. The orders that the process gets are here too.
"""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EAGAIN, EIO, ENODEV, ENOSPC, EROFS
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, NamedTuple

from .support import managed, serve

WRITES, READS, LOCKS, MAKES, MAPS = 1, 2, 4, 8, 16  # as in faults.c
SOURCE = Path(__file__).with_name("faults.c")
COMPILER = shutil.which(os.environ.get("CC", "cc"))
ROOT = Path(__file__).parents[2]


class Fault(NamedTuple):
    error: int
    kinds: int
    for_ever: bool = False

    def __str__(self) -> str:
        return f"{os.strerror(self.error)}, {'for ever' if self.for_ever else 'once'}"


NO_SPACE = Fault(ENOSPC, WRITES, for_ever=True)
NO_SPACE_ONCE = Fault(ENOSPC, WRITES)
WRITE_ERROR = Fault(EIO, WRITES)
DISK_ERROR = Fault(EIO, WRITES | READS | MAPS, for_ever=True)
READ_ERROR = Fault(EIO, READS | MAPS)
BUSY = Fault(EAGAIN, LOCKS, for_ever=True)
BUSY_ONCE = Fault(EAGAIN, LOCKS)
NOT_OPENED = Fault(EIO, MAKES)
READ_ONLY = Fault(EROFS, MAKES | WRITES, for_ever=True)
NO_MAPPING = Fault(ENODEV, MAPS, for_ever=True)


def why_not() -> str:
    """Why no call can be made to fail here; nothing where it can."""
    if not sys.platform.startswith("linux"):
        return "calls are made to fail by LD_PRELOAD, which is Linux's"
    if COMPILER is None:
        return "no C compiler, to build what makes calls fail"
    if "libasan" in os.environ.get("LD_PRELOAD", ""):
        return "a sanitizer has to be preloaded first, and alone"
    return ""


def compile_faults(folder: Path) -> Path:
    library = folder / "faults.so"
    subprocess.run(
        [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"],
        check=True,
    )
    return library


class Victim:
    """A process with a manager over one file, or none yet. Its calls fail within `suffering`."""

    def __init__(self, library: Path, folder: Path) -> None:
        control = folder.parent / f"{folder.name}-{id(self)}-control"
        control.write_bytes(bytes(5 * 8))
        with control.open("r+b") as file:
            self._control = memoryview(mmap.mmap(file.fileno(), 5 * 8)).cast("q")
        self._connection, theirs = Pipe()
        environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "FAULTS_CONTROL": str(control),
            "FAULTS_FOLDER": str(folder),
        }
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        command = "from tests.processes.faults import obey; import sys; obey(int(sys.argv[1]))"
        self._process = subprocess.Popen(
            [sys.executable, "-c", command, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            cwd=ROOT,
        )
        theirs.close()

    def call(self, name: str, *arguments: Any, **options: Any) -> tuple[Any, str]:
        """Return what the call returned, and the name of the error that it raised or ``""``."""
        self._connection.send((name, arguments, options))
        answer, error = self._connection.recv()
        return answer, "" if error is None else error[0].__name__

    def open(self, path: Path, **options: Any) -> str:
        return self.call("open", path, **options)[1]

    def leave(self) -> str:
        """Close what was opened, and return the name of the error that this raised or ``""``."""
        return self.call("leave")[1]

    @contextmanager
    def suffering(self, fault: Fault, at: int = 1) -> Iterator[None]:
        self._control[:] = memoryview(bytes(40)).cast("q")
        self._control[0], self._control[2], self._control[3] = (
            fault.error,
            fault.for_ever,
            fault.kinds,
        )
        self._control[1] = at
        try:
            yield
        finally:
            self._control[1] = 0

    @property
    def has_suffered(self) -> bool:
        """Tell whether a call failed, the last time that some were to."""
        return self._control[4] > 0

    def close(self) -> None:
        self._connection.close()
        assert self._process.wait() == 0


def obey(descriptor: int) -> None:
    """Run as the process: open managers as it is told, and do with each what `serve` does."""
    connection = Connection(descriptor)
    while True:
        try:
            _, (path,), options = connection.recv()
        except EOFError:
            return
        try:
            with managed(path, **options) as manager:
                connection.send((None, None))
                serve(manager, connection)
            answer = None, None
        except Exception as error:
            answer = None, (type(error), str(error))
        connection.send(answer)
