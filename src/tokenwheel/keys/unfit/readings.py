"""What a secret may be another spelling of: the octets behind base64, hex, UTF-16 and the like.

Whoever copies a key from a web page, a file or a variable of the environment seldom sees in which
spelling it comes. So what makes a secret unfit is looked for in each of its readings. Nothing here
judges them.
"""

from __future__ import annotations

import contextlib
import re
from base64 import b32decode, b64decode
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

__all__ = ["readings", "shows_secret"]

_DEEPEST = 3  # spellings, one within another: hex of base64 of PEM
_SHORTEST_SECRET = 16  # bytes: what is shorter is in names by chance
_MOST = 64  # readings of one secret
_LONGEST = 2**16  # bytes; what is longer is read as it is alone
_BYTE_ORDER_MARKS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
_TEXT = re.compile(rb"[\t\n\r -~]+")
_BREAK = re.compile(rb"\s|\\[rnt]")  # the second, as one-line variables spell the first
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+")
_BASE32 = re.compile(rb"[A-Z2-7]+")
_HEX = re.compile(rb"(?:0[xX])?((?:[0-9A-Fa-f]{2})+)")
_RUN = re.compile(rb"[A-Za-z0-9+/_-]{40,}")  # a word that is no word of any language
_FOR_URLS = bytes.maketrans(b"-_", b"+/")


def readings(secret: bytes) -> list[bytes]:
    """Return the secret and what it may be a spelling of, each once, the secret first."""
    found = {secret: None}
    latest = [secret]
    for _ in range(_DEEPEST):
        decoded = [octets for spelling in latest for octets in _decode(spelling)]
        latest = [octets for octets in dict.fromkeys(decoded) if octets not in found]
        found.update(dict.fromkeys(latest))
        if len(found) > _MOST:
            break
    return list(found)


def shows_secret(name: str, secret: bytes) -> bool:
    """Return True where the name of a key is its secret, in whatever spelling, or has it in it."""
    octets = name.encode()
    known = {spelling for spelling in readings(secret) if len(spelling) >= _SHORTEST_SECRET}
    return any(spelling in octets for spelling in known) or not known.isdisjoint(readings(octets))


def _decode(spelling: bytes) -> Iterator[bytes]:
    """Yield what a spelling stands for, in each of the ways in which it can be read."""
    if len(spelling) > _LONGEST:
        return
    # UTF-16 and UTF-32 put zeros between the letters of ASCII.
    plain = _without_mark(spelling).replace(b"\0", b"").strip()
    if not _TEXT.fullmatch(plain):
        # Octets that were taken for a text of Latin-1.
        with contextlib.suppress(UnicodeError):
            yield spelling.decode().encode("latin-1")
        # The end of a line, of which the octets before it may have one of their own.
        yield spelling.removesuffix(b"\n" if spelling.endswith(b"\n") else b"\r")
        return
    yield plain
    if b"%" in plain:
        yield unquote_to_bytes(plain)
    compact = _BREAK.sub(b"", plain).strip(b"\"'`")
    if hexadecimal := _HEX.fullmatch(compact.replace(b":", b"")):
        yield bytes.fromhex(hexadecimal[1].decode())
    if _BASE32.fullmatch(bare := compact.rstrip(b"=")):
        yield _padded(b32decode, bare, 8)
    yield _from_base64(compact)
    for run in _RUN.findall(_BREAK.sub(b" ", plain))[:8]:
        yield _from_base64(run)


def _from_base64(text: bytes) -> bytes:
    """Return what base64 or base64url stands for, padded or not; nothing where it is neither."""
    standard = text.rstrip(b"=").translate(_FOR_URLS)
    return _padded(b64decode, standard, 4) if _BASE64.fullmatch(standard) else b""


def _padded(decode: Callable[[bytes], bytes], digits: bytes, group: int) -> bytes:
    """Return what digits stand for that lack their padding. Nothing where there are too few."""
    try:
        return decode(digits + b"=" * (-len(digits) % group))
    except ValueError:
        return b""


def _without_mark(spelling: bytes) -> bytes:
    for mark in _BYTE_ORDER_MARKS:
        if spelling.startswith(mark):
            return spelling[len(mark) :]
    return spelling
