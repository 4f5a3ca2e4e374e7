"""A number in a small file that the processes of one machine have mapped into their memory.

While the number stays the same, nothing has happened. It is never news itself, and never trusted:
whoever finds it changed looks where the news is kept. Each ring writes a number that was never
there before. So a ring that comes late cannot put back a number which a process has already heard,
and so hide the ring between.

A file that is missing, cut short or not a doorbell is replaced. Nothing here knows a revocation or
a database.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from errno import ENOENT
from math import inf, nan
from pathlib import Path

from ..seconds import steady_time

__all__ = ["Doorbell"]

# Header, when the file was put in its place, number; in the machine's own byte order.
_FORMAT = struct.Struct("=8sdQ")
_HEADER = b"tokwbel1"
_BYTES = _FORMAT.size
_SINCE_AT = 8  # where the time begins
_NUMBER_AT = 16  # where the number begins


class Doorbell:
    """Hold the number as this process has it mapped. Children that it forks share the mapping.

    Attributes:
        number: a view of the eight bytes. None where files cannot be mapped; this process can then
            ring but not hear.
        refusal: the error that the mapping met, or None.
        in_place_since: when the file took the place of another, in seconds of this machine's
            steady clock; minus infinity for the first file of all.
    """

    def __init__(self, path: Path) -> None:
        """Open a file that is there.

        Raises:
            OSError: there is no file, or it cannot be opened.
            ValueError: the file is no doorbell.
        """
        self._path = path
        self.number: memoryview | None = None
        self.refusal: Exception | None = None
        with path.open("r+b") as file:
            status = os.fstat(file.fileno())
            if status.st_size != _BYTES:
                raise ValueError("not a doorbell")
            header, since, _ = _FORMAT.unpack(file.read())
            if header != _HEADER:
                raise ValueError("not a doorbell")
            try:
                self.number = memoryview(mmap.mmap(file.fileno(), _BYTES))[_NUMBER_AT:].cast("Q")
            except (OSError, ValueError) as error:
                self.refusal = error
        self._file = status.st_dev, status.st_ino
        # The time in the file is not a number before ``replace`` has written it, and may be later
        # than now if it is from before a reboot. Then the file counts as put in place now.
        self.in_place_since: float = min(steady_time(), since)

    @classmethod
    def replace(cls, path: Path, *, is_first: bool) -> Doorbell:
        """Make a new file in place of whatever is there.

        A process that has the old file mapped does not hear this one until it looks.

        Args:
            path: the name of the file.
            is_first: True where no process can have mapped a file of that name before.

        Returns:
            The new doorbell.

        Raises:
            OSError: the file could not be made.
            ValueError: another file has taken its place, and is no doorbell.
        """
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        made = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_FORMAT.pack(_HEADER, -inf if is_first else nan, 0))
            made.replace(path)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        # The time counts from here. Written before the file was in place, it could be too early.
        if not is_first:
            with path.open("r+b") as file:
                file.seek(_SINCE_AT)
                file.write(struct.pack("=d", steady_time()))
        return cls(path)

    def close(self) -> None:
        """Give the mapped memory back; or as soon as nobody watches the number any more.

        The doorbell can then be neither heard nor rung.
        """
        # The memory goes with the last view of it, and somebody may still watch this one.
        self.number = None

    def is_in_place(self) -> bool:
        """Return True if the file that is open is still the one under its name."""
        try:
            status = self._path.stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._file and status.st_size == _BYTES

    def ring(self) -> None:
        """Change the number.

        Raises:
            OSError: the file is not mapped, and cannot be written either.
        """
        number = os.urandom(_BYTES - _NUMBER_AT)
        if self.number is not None:
            self.number[0] = int.from_bytes(number, "big")
            return
        if not self.is_in_place():
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
        with self._path.open("r+b") as file:
            file.seek(_NUMBER_AT)
            file.write(number)
