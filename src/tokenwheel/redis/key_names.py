"""The names of keys, and the slot of a cluster that each falls into.

A Redis Cluster has 16,384 slots, and a script can only touch keys of one of them. So all that
belongs to one subject shares a slot: the subject's sessions and the index of them. The slot follows
from the subject's SHA-256. It follows as well from the first two bytes of a session's id, which the
storage has chosen so; of the id's 12 bytes 10 remain random, 80 bits.

A key names its slot by a hash tag (redis.io, "Redis cluster specification"): what stands between
braces decides. Here that is a text of three characters whose CRC-16 is the slot.

Servers hold data under these names, so whoever changes the layout needs new names.
"""

from __future__ import annotations

import re
from binascii import crc_hqx
from functools import cache
from itertools import product

from .._impl import decode, digest
from ..errors import ConfigurationError
from ..exact import text_of

__all__ = ["PREFIX", "TAG_LENGTH", "KeyNames", "slot_of_id", "slot_of_subject", "tags"]

PREFIX = "tokenwheel"
TAG_LENGTH = 3
_ID_LENGTH = 16
_SLOTS = 16_384
_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PREFIX = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")


@cache
def tags() -> tuple[str, ...]:
    """Return for each slot the first text of three base64url digits that falls into it.

    The first call takes about 20 ms.
    """
    texts: dict[int, str] = {}
    for digits in product(_DIGITS, repeat=TAG_LENGTH):
        text = bytes(digits)
        texts.setdefault(crc_hqx(text, 0) % _SLOTS, text.decode())
        if len(texts) == _SLOTS:
            break
    return tuple(texts[slot] for slot in range(_SLOTS))


def slot_of_subject(subject: str) -> int:
    """Return the slot that all keys of a subject fall into."""
    return int.from_bytes(digest(subject.encode())[:2], "big") % _SLOTS


def slot_of_id(session_id: str) -> int:
    """Return the slot that the key of a session falls into."""
    return int.from_bytes(decode(session_id)[:2], "big") % _SLOTS


class KeyNames:
    """Make the names of keys under one prefix. By prefixes several services can share a server.

    Attributes:
        prefix: what every name begins with.
        head: what the name of every session begins with, up to its tag.
        every_session: a pattern that the names of all sessions match, and no other.
        stream: the name of the stream of revocations.

    Raises:
        ConfigurationError: a prefix that makes no names.
    """

    def __init__(self, prefix: str) -> None:
        plain = text_of(prefix)
        if plain is None or not _PREFIX.fullmatch(plain):
            raise ConfigurationError(
                "prefix must be 1 to 64 letters, digits and characters of _ . : / -"
            )
        self.prefix = prefix = plain
        self.head = f"{prefix}:{{"
        self.every_session = f"{self.head}{'?' * TAG_LENGTH}}}:{'?' * _ID_LENGTH}"
        self.stream = f"{prefix}:revocations"

    def session(self, session_id: str) -> str:
        """Return the name of a session's key."""
        return f"{self.head}{tags()[slot_of_id(session_id)]}}}:{session_id}"

    def index(self, subject: str) -> bytes:
        """Return the name of the key that lists the sessions of exactly this subject."""
        return f"{self.head}{tags()[slot_of_subject(subject)]}}}@{subject}".encode()

    def access_lifetime(self, issuer: str) -> bytes:
        """Return the name of the key that holds how long an issuer's access tokens live."""
        return f"{self.prefix}:access-lifetime:{issuer}".encode()

    def member(self, session_id: str) -> str:
        """Return what stands for a session in an index: its tag and its id.

        From these a script makes the name of the session's key.
        """
        return tags()[slot_of_id(session_id)] + session_id
