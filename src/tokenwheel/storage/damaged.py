"""Records that no manager can have written, and how a storage says that it holds such.

A disk fails, a value is cut short, somebody writes to the database by hand. What such a record says
is not believed, and no caller is to blame for it. But whoever logs out everywhere must lose all
other sessions all the same, and the damaged one, too, as far as that can be told. So a storage that
finds records among damaged ones hands them over in its error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .._impl import decode
from ..errors import StorageUnavailable
from ..exact import text_of
from ..models import Device, SessionContext, SessionRecord

__all__ = [
    "DamagedRecord",
    "DamagedRecords",
    "damage_of",
    "is_session_id",
    "is_subject",
    "record_of",
    "whole_records",
]

_LARGEST_VERSION = 2**32 - 2  # Four bytes hold the version that follows.
_LARGEST_GENERATION = 2**32 - 2
_FURTHEST_TIME = 10**11  # seconds before or after 1970: more than 3,000 years
_ID_LENGTH = 16  # characters
_LONGEST_SUBJECT = 255  # characters
_HASH_BYTES = 32
_SALT_BYTES = 16


class DamagedRecord(NamedTuple):
    """What could be read of a damaged record."""

    record: SessionRecord
    """The record as it was found. Each of its fields may be None, or hold anything.

    The storage's ``delete`` takes it. So ``version`` is what the storage compares, of any type.
    """
    damage: str
    """The name of a field that is damaged, or words for what is. It holds nothing of the record."""

    @property
    def session_id(self) -> str | None:
        """The id of the session, or None where that cannot be one."""
        return self.record.id if is_session_id(self.record.id) else None

    def __repr__(self) -> str:
        return f"DamagedRecord(session_id={self.session_id!r}, damage={self.damage!r})"

    def __str__(self) -> str:
        return f"the stored record of session {self.session_id or 'unknown'} ({self.damage})"


class DamagedRecords(StorageUnavailable):
    """Say that some of the records asked for are damaged, and hand over all of them.

    A storage may raise this from ``read`` and ``read_all``. Where it raises anything else, a
    manager takes it that no record could be read.

    Args:
        readable: the records that are not damaged.
        damaged: what could be read of the others, at least one.
        place: what holds them, for the error's text.
    """

    def __init__(
        self,
        readable: Sequence[SessionRecord],
        damaged: Sequence[DamagedRecord],
        place: str = "the session storage",
    ) -> None:
        super().__init__(f"{place} is damaged: {', '.join(map(str, damaged))} cannot be one")
        self.readable = readable
        self.damaged = damaged


def whole_records(
    looked_at: Iterable[tuple[SessionRecord, str | None]], place: str
) -> list[SessionRecord]:
    """Return records, where none of them is damaged.

    Args:
        looked_at: each record, and which of its fields is damaged, or None.
        place: what holds them, for the error's text.

    Raises:
        DamagedRecords: some of them are; has the others.
    """
    records, damaged = [], []
    for record, damage in looked_at:
        if damage is None:
            records.append(record)
        else:
            damaged.append(DamagedRecord(record, damage))
    if damaged:
        raise DamagedRecords(records, damaged, place)
    return records


def record_of(**fields: Any) -> SessionRecord:
    """Return a record with these fields, and None for all others, to say what could be read."""
    return SessionRecord._make(fields.get(name) for name in SessionRecord._fields)


def damage_of(record: SessionRecord) -> str | None:
    """Return the name of a field that no manager can have written; None where there is none."""
    # Each refresh asks this. One expression takes half the time of all the questions below.
    try:
        is_usual = (
            type(record.version) is type(record.generation) is int
            and 0 < record.version <= _LARGEST_VERSION
            and 0 <= record.generation <= _LARGEST_GENERATION
            and type(record.ends_at) is type(record.expires_at) is int
            and type(record.access_expires_at) is int
            and 0 < record.ends_at <= record.expires_at <= _FURTHEST_TIME
            and 0 < record.access_expires_at <= _FURTHEST_TIME
            and type(record.created_at) is type(record.last_used_at) is float
            and 0 < record.created_at <= record.last_used_at <= _FURTHEST_TIME
            and type(record.family_hash) is type(record.secret_hash) is bytes
            and len(record.family_hash) == len(record.secret_hash) == _HASH_BYTES
            and (
                (record.salt is None and record.previous_hash is None and record.rotated_at is None)
                or (
                    type(record.rotated_at) is float
                    and 0 < record.rotated_at <= _FURTHEST_TIME
                    and type(record.previous_hash) is type(record.salt) is bytes
                    and len(record.previous_hash) == _HASH_BYTES
                    and len(record.salt) == _SALT_BYTES
                )
            )
            and _is_context(record.context)
            and type(record.issuer) is str
            and (record.mac is None or type(record.mac) is bytes)
        )
    except (AttributeError, TypeError):
        is_usual = False
    if is_usual and is_session_id(record.id) and is_subject(record.subject):
        return None
    return next((name for name, is_sound in _SOUND if not is_sound(getattr(record, name))), None)


def _is_time(value: object) -> bool:
    """Return True for Unix seconds that a clock may show: no NaN, and nothing infinite."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -_FURTHEST_TIME <= value <= _FURTHEST_TIME  # type: ignore[operator]


def is_session_id(value: object) -> bool:
    """Return True for a text of 16 characters that stands for the 12 bytes of a session's id."""
    text = text_of(value)
    if text is None or len(text) != _ID_LENGTH:
        return False
    try:
        decode(text)
    except ValueError:
        return False
    return True


def is_subject(value: object) -> bool:
    """Return True for a text that a manager takes for a subject."""
    text = text_of(value)
    if text is None or not 0 < len(text) <= _LONGEST_SUBJECT:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_issuer(value: object) -> bool:
    return isinstance(value, str)


def _is_mac(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview)


def _is_version(value: object) -> bool:
    return type(value) is int and 0 < value <= _LARGEST_VERSION


def _is_generation(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST_GENERATION


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview) and len(value) == _HASH_BYTES


def _is_salt(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview) and len(value) == _SALT_BYTES


def _is_context(value: object) -> bool:
    return (
        isinstance(value, SessionContext)
        and (value.ip is None or isinstance(value.ip, str))
        and (value.location is None or isinstance(value.location, str))
        and (value.device is None or _is_device(value.device))
    )


def _is_device(value: object) -> bool:
    return (
        isinstance(value, Device)
        and isinstance(value.name, str)
        and isinstance(value.type, str)
        and isinstance(value.extra, Mapping)
    )


def _or_none(is_sound: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_sound(value)


_SOUND: Sequence[tuple[str, Callable[[object], bool]]] = (
    ("id", is_session_id),
    ("version", _is_version),
    ("subject", is_subject),
    ("issuer", _is_issuer),
    ("generation", _is_generation),
    ("created_at", _is_time),
    ("expires_at", _is_time),
    ("ends_at", _is_time),
    ("last_used_at", _is_time),
    ("access_expires_at", _is_time),
    ("family_hash", _is_hash),
    ("secret_hash", _is_hash),
    ("previous_hash", _or_none(_is_hash)),
    ("salt", _or_none(_is_salt)),
    ("rotated_at", _or_none(_is_time)),
    ("context", _is_context),
    ("mac", _or_none(_is_mac)),
)
"""What each field of a record can be."""
