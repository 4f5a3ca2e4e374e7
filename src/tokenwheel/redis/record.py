"""A session's record as the bytes that a server holds, and back.

The layout is what servers hold. A change of it needs a new number in ``_LAYOUT``. Three fields
stand where others find them without unpacking a record: the version, which scripts compare, the end
of the session, by which live sessions are counted, and the issuer, by which those of one service
are.

First comes ``_HEAD``, then the issuer: two bytes of length and the text. Then comes what a record
may lack, each where its flag is set: the previous hash, the salt, the MAC and the time of the
rotation. Last come the subject and the context. Layout 1, which is still read, has no issuer and no
MAC.
"""

from __future__ import annotations

import struct

from ..errors import InvalidArgument
from ..models import SessionRecord, new_record
from ..storage.context import pack_context, unpack_context
from ..storage.damaged import DamagedRecord, DamagedRecords, damage_of, record_of

__all__ = [
    "END_BYTES",
    "ISSUER_PLACE",
    "pack_issuer",
    "pack_record",
    "pack_version",
    "unpack_end",
    "unpack_record",
]

_HEAD = struct.Struct(
    ">"
    "B"  # the number of the layout
    "I"  # version: bytes 1 to 4, where the scripts compare it
    "q"  # ends_at: bytes 5 to 12, as END_BYTES says
    "q"  # expires_at
    "q"  # access_expires_at
    "d"  # created_at
    "d"  # last_used_at
    "I"  # generation
    "H"  # length of the subject in bytes
    "B"  # flags of what else there is
    "32s"  # family_hash
    "32s"  # secret_hash
)
_LAYOUT = 2
_FIRST_LAYOUT = 1
_VERSION = struct.Struct(">I")
_VERSION_PLACE = 1
_END = struct.Struct(">q")
END_BYTES = (5, 12)
"""The first and the last of the bytes that hold the end of a session, counted from 0."""
ISSUER_PLACE = _HEAD.size
"""The first of the bytes that :func:`pack_issuer` makes, counted from 0."""
_LENGTH = struct.Struct(">H")
_TIME = struct.Struct(">d")
_HAS_PREVIOUS, _HAS_SALT, _HAS_ROTATED_AT, _HAS_MAC = 1, 2, 4, 8
_HASH_BYTES = 32
_MAC_BYTES = 16
_SALT_BYTES = 16


def pack_version(version: int | bytes) -> bytes:
    """Return a version as it stands in the bytes of a record.

    That of a damaged record is the bytes that stand there, as they are.
    """
    return version if isinstance(version, bytes) else _VERSION.pack(version)


def pack_issuer(issuer: str) -> bytes:
    """Return an issuer as it stands in the bytes of a record.

    Raises:
        InvalidArgument: it has more than 65,535 bytes.
    """
    encoded = issuer.encode()
    if len(encoded) > 0xFFFF:
        raise InvalidArgument("an issuer must have at most 65,535 bytes")
    return _LENGTH.pack(len(encoded)) + encoded


def unpack_end(packed: bytes) -> int | None:
    """Return when a session ends, in Unix seconds, from the bytes at ``END_BYTES``.

    Return None where there are none, since the session has gone.
    """
    if len(packed) != _END.size:
        return None
    end: int = _END.unpack(packed)[0]
    return end


def pack_record(record: SessionRecord) -> bytes:
    """Return the bytes of a record.

    Raises:
        InvalidArgument: a field cannot be used, such as a hash of another length than those of this
            library.
    """
    try:
        return _pack(record)
    except InvalidArgument:
        raise
    except Exception as error:  # any: a field may be of a type of the caller's own
        raise InvalidArgument("the record cannot be one that a manager has made") from error


def _pack(record: SessionRecord) -> bytes:
    subject = record.subject.encode()
    present, optional = _pack_optional(record)
    head = _HEAD.pack(
        _LAYOUT,
        record.version,
        record.ends_at,
        record.expires_at,
        record.access_expires_at,
        record.created_at,
        record.last_used_at,
        record.generation,
        len(subject),
        present,
        record.family_hash,
        record.secret_hash,
    )
    issuer = pack_issuer(record.issuer)
    return b"".join((head, issuer, *optional, subject, pack_context(record.context)))


def _pack_optional(record: SessionRecord) -> tuple[int, list[bytes]]:
    """Return the flags of what a record has beside its head, and that in its order."""
    present = 0
    parts = []
    for flag, value, length in (
        (_HAS_PREVIOUS, record.previous_hash, _HASH_BYTES),
        (_HAS_SALT, record.salt, _SALT_BYTES),
        (_HAS_MAC, record.mac, _MAC_BYTES),
    ):
        if value is not None:
            if len(value) != length:
                raise InvalidArgument(
                    f"a record's hashes have {_HASH_BYTES} bytes, "
                    f"its salt and its MAC have {_SALT_BYTES}"
                )
            present |= flag
            parts.append(value)
    if record.rotated_at is not None:
        present |= _HAS_ROTATED_AT
        parts.append(_TIME.pack(record.rotated_at))
    return present, parts


def unpack_record(session_id: str, value: bytes, subject: str | None = None) -> SessionRecord:
    """Return the record in the bytes that the server holds for a session.

    Args:
        session_id: the session's id.
        value: the bytes.
        subject: in whose index the session is listed, where that is known.

    Raises:
        DamagedRecords: they hold something else.
    """
    try:
        record = _unpack(session_id, value)
        damage = damage_of(record)
    except (struct.error, ValueError, TypeError):
        version = value[_VERSION_PLACE : _VERSION_PLACE + _VERSION.size]
        record, damage = record_of(id=session_id, version=version, subject=subject), "bytes"
    if damage is not None:
        raise DamagedRecords([], [DamagedRecord(record, damage)], "what the server holds")
    return record


def _unpack(session_id: str, value: bytes) -> SessionRecord:
    (
        layout,
        version,
        ends_at,
        expires_at,
        access_expires_at,
        created_at,
        last_used_at,
        generation,
        length,
        present,
        family_hash,
        secret_hash,
    ) = _HEAD.unpack_from(value)
    place = _HEAD.size
    issuer = ""
    previous_hash = salt = rotated_at = mac = None
    if layout == _LAYOUT:
        (issuer_length,), place = _LENGTH.unpack_from(value, place), place + _LENGTH.size
        issuer, place = value[place : place + issuer_length].decode(), place + issuer_length
    elif layout != _FIRST_LAYOUT:
        raise ValueError("of a layout that is not known here")
    if present & _HAS_PREVIOUS:
        previous_hash, place = value[place : place + _HASH_BYTES], place + _HASH_BYTES
    if present & _HAS_SALT:
        salt, place = value[place : place + _SALT_BYTES], place + _SALT_BYTES
    if present & _HAS_MAC:
        mac, place = value[place : place + _MAC_BYTES], place + _MAC_BYTES
    if present & _HAS_ROTATED_AT:
        (rotated_at,), place = _TIME.unpack_from(value, place), place + _TIME.size
    if len(value) < place + length:
        raise ValueError("cut within the subject or before")
    return new_record(
        version=version,
        id=session_id,
        subject=value[place : place + length].decode(),
        issuer=issuer,
        created_at=created_at,
        expires_at=expires_at,
        ends_at=ends_at,
        last_used_at=last_used_at,
        generation=generation,
        access_expires_at=access_expires_at,
        family_hash=family_hash,
        secret_hash=secret_hash,
        previous_hash=previous_hash,
        salt=salt,
        rotated_at=rotated_at,
        context=unpack_context(value[place + length :]),
        mac=mac,
    )
