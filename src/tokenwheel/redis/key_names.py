"""The names of keys, and which slot of a cluster they fall into.

A script can only touch keys of one slot, of which a Redis Cluster has 16,384. So all that belongs to one subject has one: its sessions and
the index of them. It is told by the subject's SHA-256, and by the first two bytes of a session's id, which the storage has made so. A key
names its slot by a hash tag (redis.io, "Redis cluster specification"): what stands between braces decides, and here those are three
characters that CRC-16 sends there. Of the id's 12 bytes 10 remain random, 80 bits.

This is the layout that servers hold; a change of it needs new names.
"""

from __future__ import annotations

import re
from binascii import crc_hqx
from functools import cache
from itertools import product

from .._impl import decode, digest
from ..errors import ConfigurationError

__all__ = ["PREFIX", "TAG_LENGTH", "KeyNames", "slot_of_id", "slot_of_subject", "tags"]

PREFIX = "tokenwheel"
TAG_LENGTH = 3
_ID_LENGTH = 16
_SLOTS = 16_384
_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PREFIX = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")


@cache
def tags() -> tuple[str, ...]:
    """For each slot the first text of three base64url digits that falls into it. Takes some 20 ms, once."""
    found: dict[int, str] = {}
    for digits in product(_DIGITS, repeat=TAG_LENGTH):
        text = bytes(digits)
        found.setdefault(crc_hqx(text, 0) % _SLOTS, text.decode())
        if len(found) == _SLOTS:
            break
    return tuple(found[slot] for slot in range(_SLOTS))


def slot_of_subject(subject: str) -> int:
    return int.from_bytes(digest(subject.encode())[:2], "big") % _SLOTS


def slot_of_id(session_id: str) -> int:
    return int.from_bytes(decode(session_id)[:2], "big") % _SLOTS


class KeyNames:
    """The names under one prefix, by which several services can share a server.

    Raises:
        ConfigurationError: a prefix that makes no names.
    """

    def __init__(self, prefix: str) -> None:
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                "prefix must be 1 to 64 letters, digits and characters of _ . : / -"
            )
        self.prefix = prefix
        self.head = f"{prefix}:{{"
        """What the name of every session begins with, up to its tag."""
        self.every_session = f"{self.head}{'?' * TAG_LENGTH}}}:{'?' * _ID_LENGTH}"
        """A pattern for the names of all sessions and nothing else."""
        self.stream = f"{prefix}:revocations"

    def session(self, session_id: str) -> str:
        return f"{self.head}{tags()[slot_of_id(session_id)]}}}:{session_id}"

    def index(self, subject: str) -> bytes:
        """The name under which the sessions of exactly this subject are listed."""
        return f"{self.head}{tags()[slot_of_subject(subject)]}}}@{subject}".encode()

    def member(self, session_id: str) -> str:
        """What stands for a session in an index: its tag and its id, from which a script makes its name."""
        return tags()[slot_of_id(session_id)] + session_id
