"""What befalls a file of sessions and revocations, beside all that befalls the nodes."""

from __future__ import annotations

import mmap
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.processes.faults import BUSY, DISK_ERROR, NO_SPACE, WRITE_ERROR, Fault

from .monkey import Action, Monkey

_PATIENCE = 10.0  # seconds
_CONTROL_BYTES = 5 * 8  # of faults.c


class FileMonkey(Monkey):
    """Does at random what may befall nodes over one file.

    Args:
        path: the file.
        faults: the file by which calls of all nodes are made to fail; None where none can.
    """

    def __init__(self, path: Path, faults: Path | None, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._path = path
        self._backup = path.parent.parent / "backup.db"
        self._backed_up_at = 0.0
        self._faults = None if faults is None else _open_faults(faults)

    @property
    def actions(self) -> dict[str, Action]:
        rows = {
            "back_up": Action(3, self.back_up),
            "restore": Action(1, self.restore),
            "unlink_doorbell": Action(3, self.unlink_doorbell),
            "unlink_shm": Action(1, self.unlink_shm),
            "hold_write_lock": Action(3, self.hold_write_lock),
        }
        if self._faults is not None:
            rows["fail_disk"] = Action(3, self.fail_disk)
        return super().actions | rows

    def back_up(self) -> None:
        if self.is_going_on("lock"):
            return
        begun = time.monotonic()
        with closing(self._connect()) as live, closing(sqlite3.connect(self._backup)) as backup:
            live.backup(backup)
        self._backed_up_at = begun
        self.note("backup", begun)

    def restore(self) -> None:
        """Put the last backup back, as SQLite does: in one transaction of the live file."""
        if not self._backed_up_at:
            return
        self.calm()
        begun = time.monotonic()
        with closing(self._connect()) as live, closing(sqlite3.connect(self._backup)) as backup:
            backup.backup(live)
        self.note("restore", begun, str(self._backed_up_at))

    def unlink_doorbell(self) -> None:
        begun = time.monotonic()
        self._path.with_name(f"{self._path.name}-doorbell").unlink(missing_ok=True)
        self.note("unlink_doorbell", begun)

    def unlink_shm(self) -> None:
        """Remove the index of SQLite's log, while a node begins.

        No other node can go on with what it has open, so all of them end then.
        """
        self.end_troubles()
        begun = time.monotonic()
        self._path.with_name(f"{self._path.name}-shm").unlink(missing_ok=True)
        self.start_node()
        self.wait(2.0)
        self.troop.kill_all()
        self.note("unlink_shm", begun)

    def hold_write_lock(self) -> None:
        if self.is_going_on("lock"):
            return
        connection = self._connect()
        with suppress(sqlite3.OperationalError):  # It is busy: then the lock is held by others.
            connection.execute("BEGIN IMMEDIATE")
        self.begin("lock", "", connection.close)

    def fail_disk(self) -> None:
        if self._faults is None or self.is_going_on("disk"):
            return
        fault = self.chance.choice([NO_SPACE, WRITE_ERROR, DISK_ERROR, BUSY])
        self._fail(fault)
        self.begin("disk", str(fault), self._stop_failing, 1.0)

    def _fail(self, fault: Fault) -> None:
        assert self._faults is not None
        self._faults[0], self._faults[2], self._faults[3] = fault.error, fault.for_ever, fault.kinds
        self._faults[1] = 1

    def _stop_failing(self) -> None:
        assert self._faults is not None
        self._faults[1] = 0

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )


def _open_faults(path: Path) -> memoryview:
    path.write_bytes(bytes(_CONTROL_BYTES))
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), _CONTROL_BYTES)).cast("q")
