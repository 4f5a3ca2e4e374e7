"""A number in a small file that the processes of one machine have mapped: while it stays the same, nothing has happened.

The number is never news itself, and never trusted: who finds it changed looks where the news is kept. Each ring is a number that was never
there before, so that one which comes late cannot put back what somebody has heard already, and so hide the ring between. A file that
is missing, cut short or another's is replaced. Nothing here knows a revocation or a database.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import time
from errno import ENOENT
from math import inf, nan
from pathlib import Path

__all__ = ["Doorbell"]

_FORMAT = struct.Struct(
    "=8sdQ"
)  # header, when it was put in its place, number; in the machine's own order
_HEADER = b"tokwbel1"
_BYTES = _FORMAT.size
_SINCE = 8  # where the time begins
_NUMBER = 16  # and the number


class Doorbell:
    """The number, as this process has it mapped; shared with the children it forks.

    Attributes:
        number: a view of the eight bytes; None where files cannot be mapped, so that one can ring but not hear.
        refusal: the error that the mapping met, or None.
        in_place_since: when it took the place of another, by this machine's monotonic clock; minus infinity for the first of all.
    """

    def __init__(self, path: Path) -> None:
        """Opens a file that is there.

        Raises:
            OSError, ValueError: there is none that can be opened, or it is no doorbell.
        """
        self._path = path
        self.number: memoryview | None = None
        self.refusal: Exception | None = None
        with path.open("r+b") as file:
            found = os.fstat(file.fileno())
            if found.st_size != _BYTES:
                raise ValueError("not a doorbell")
            header, since, _ = _FORMAT.unpack(file.read())
            if header != _HEADER:
                raise ValueError("not a doorbell")
            try:
                self.number = memoryview(mmap.mmap(file.fileno(), _BYTES))[_NUMBER:].cast("Q")
            except (OSError, ValueError) as error:
                self.refusal = error
        self._file = found.st_dev, found.st_ino
        self.in_place_since: float = min(
            time.monotonic(), since
        )  # Now, where it is not a number yet, or from before a reboot.

    @classmethod
    def replace(cls, path: Path, *, is_first: bool) -> Doorbell:
        """Makes a new file in place of whatever is there. Who has the old one mapped does not hear this one until it looks."""
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.name}-", dir=path.parent
        )  # of mode 0600
        made = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_FORMAT.pack(_HEADER, -inf if is_first else nan, 0))
            made.replace(path)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        if not is_first:  # The time counts from here; said before, it could be too early.
            with path.open("r+b") as file:
                file.seek(_SINCE)
                file.write(struct.pack("=d", time.monotonic()))
        return cls(path)

    def is_in_place(self) -> bool:
        """Whether the file that is open is still the one under its name."""
        try:
            found = self._path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file and found.st_size == _BYTES

    def ring(self) -> None:
        """Changes the number.

        Raises:
            OSError: it is not mapped, and cannot be written either.
        """
        number = os.urandom(_BYTES - _NUMBER)
        if self.number is not None:
            self.number[0] = int.from_bytes(number, "big")
            return
        if not self.is_in_place():
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
        with self._path.open("r+b") as file:
            file.seek(_NUMBER)
            file.write(number)
