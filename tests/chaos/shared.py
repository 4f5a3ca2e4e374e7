"""Memory that all processes of a trial see: what nodes are told, and the sessions that they share.

Nobody locks it. A session that is overwritten while it is read counts as none.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import zlib
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from tokenwheel.json_text import dumps, loads

SEATS = 8  # for nodes that run at once
NOT_FORKED = -1
SUBJECTS = 12
SLOTS_PER_SUBJECT = 6
SLOTS = SUBJECTS * SLOTS_PER_SUBJECT + 1
LAST = SLOTS - 1  # the slot of the session with which a trial ends

_SLOT = struct.Struct("=II")  # length and checksum
_SLOT_BYTES = 4096
_TOKENS_KEPT = 3


class Phase(IntEnum):
    WORK = 0  # log in, refresh, read and log out
    LISTEN = 1  # read only
    LEAVE = 2


class Order(IntEnum):
    NOTHING = 0
    FORK = 1
    FORK_WITHOUT_HOOKS = 2
    LEAVE = 3


class Seat(ctypes.Structure):
    """What a node is told, and what it tells."""

    _fields_ = (
        ("life", ctypes.c_int64),  # the number of the node that has the seat
        ("process", ctypes.c_int64),  # its id, once the node works
        ("ahead", ctypes.c_int64),  # seconds by which its clock is ahead
        ("order", ctypes.c_int64),
        ("child", ctypes.c_int64),  # the seat of the child to be forked
        ("forked", ctypes.c_int64),  # the id of that child; NOT_FORKED where there could be none
        ("has_accepted", ctypes.c_int64),  # the token with which the trial ends
        ("has_refused", ctypes.c_int64),
    )


class Controls(ctypes.Structure):
    """What every node is told."""

    _fields_ = (
        ("phase", ctypes.c_int64),
        ("deadline", ctypes.c_double),  # by the monotonic clock: nodes without a parent end then
        ("seats", Seat * SEATS),
    )

    @classmethod
    def open(cls, path: Path) -> Controls:
        return cls.from_buffer(_map(path, ctypes.sizeof(cls)))


class Shelved(NamedTuple):
    """A session as whoever comes next finds it."""

    session_id: str
    refresh_token: str
    access_tokens: list[str]  # the latest is the last
    has_ended: bool = False

    def refreshed(self, access_token: str, refresh_token: str) -> Shelved:
        kept = [*self.access_tokens, access_token][-_TOKENS_KEPT:]
        return self._replace(access_tokens=kept, refresh_token=refresh_token)


class Shelf:
    """The sessions that all nodes use, in slots. Those of a subject lie side by side."""

    def __init__(self, path: Path) -> None:
        self._memory = _map(path, SLOTS * _SLOT_BYTES)

    def __getitem__(self, slot: int) -> Shelved | None:
        start = slot * _SLOT_BYTES
        held = self._memory[start : start + _SLOT_BYTES]
        length, checksum = _SLOT.unpack_from(held)
        data = held[_SLOT.size : _SLOT.size + length]
        if not length or zlib.crc32(data) != checksum:
            return None
        return Shelved(*loads(data))

    def __setitem__(self, slot: int, shelved: Shelved) -> None:
        data = dumps(list(shelved))
        held = _SLOT.pack(len(data), zlib.crc32(data)) + data
        start = slot * _SLOT_BYTES
        self._memory[start : start + len(held)] = held

    def slots_of(self, subject: str) -> range:
        first = int(subject.rsplit(maxsplit=1)[-1]) * SLOTS_PER_SUBJECT
        return range(first, first + SLOTS_PER_SUBJECT)


def subject_of(slot: int) -> str:
    return f"subject {slot // SLOTS_PER_SUBJECT}"


def _map(path: Path, size: int) -> mmap.mmap:
    with path.open("a+b") as file:
        file.truncate(max(size, path.stat().st_size))
        return mmap.mmap(file.fileno(), size)
