"""What is handed to a storage's methods, taken for what it is: texts by their characters.

A manager hands over what it has checked, and pays next to nothing here. Whoever calls a storage
without one may hand over an Enum, whose hash and text are others than its characters', and which
would then find nobody's sessions.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InvalidArgument
from ..exact import named, number_of, plain_of, text_of, whole_number_of
from ..models import SessionContext, SessionRecord
from ..seconds import FURTHEST
from .damaged import damage_of
from .lifetimes import LONGEST_LIFETIME

__all__ = [
    "given_lifetime",
    "given_limit",
    "given_now",
    "given_record",
    "given_records",
    "given_text",
]


_HIGHEST_LIMIT = 2**31


def given_text(name: str, value: object) -> str:
    """Return the characters of a text.

    Raises:
        InvalidArgument: it is no text, or has a lone surrogate, which no database can hold.
    """
    if type(value) is str and value.isascii():
        return value
    text = text_of(value)
    if text is None:
        raise InvalidArgument(f"{name} must be a str, not {named(value)}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name} must not contain a lone surrogate") from None
    return text


def given_now(now: object) -> float:
    """Return Unix seconds.

    Raises:
        InvalidArgument: they are no number, or one that no clock shows.
    """
    seconds = now if type(now) is float else number_of(now)
    if seconds is None or not -FURTHEST <= seconds <= FURTHEST:
        raise InvalidArgument(
            f"now must be a number of Unix seconds, at most {FURTHEST:g} from zero"
        )
    return seconds


def given_limit(limit: object) -> int | None:
    """Return how many sessions a subject may have, or None for any number.

    Raises:
        InvalidArgument: it is no whole number, or far beyond any.
    """
    if limit is None:
        return None
    number = whole_number_of(limit)
    if number is None or not 0 <= number <= _HIGHEST_LIMIT:
        raise InvalidArgument(f"limit must be None or an int from 0 to {_HIGHEST_LIMIT}")
    return number


def given_lifetime(seconds: object) -> int:
    """Return how long access tokens live at most, in seconds.

    Raises:
        InvalidArgument: it is no whole number from 0 to 100 years.
    """
    number = whole_number_of(seconds)
    if number is None or not 0 <= number <= LONGEST_LIFETIME:
        raise InvalidArgument(
            f"seconds must be a whole number of seconds from 0 to {LONGEST_LIFETIME} (100 years)"
        )
    return number


def given_record(record: object) -> SessionRecord:
    """Return a record whose texts and numbers are of the plain types.

    Raises:
        InvalidArgument: it is no SessionRecord, or one that no manager can have made.
    """
    if (
        type(record) is SessionRecord
        and type(record.id) is type(record.subject) is type(record.issuer) is str
        and type(record.version) is type(record.ends_at) is int
        and record.ends_at <= FURTHEST
        and type(record.context) is SessionContext
    ):
        return record
    plain = _plain_record(record)
    try:
        damage = damage_of(plain)
    except Exception as error:  # any: a field may be of a type of the caller's own
        raise InvalidArgument("a record must hold texts, numbers, bytes and None") from error
    if damage is not None:
        raise InvalidArgument(f"record.{damage} cannot be one")
    return plain


def given_records(records: Iterable[object]) -> list[SessionRecord]:
    """Return records, looked at once, with plain texts and numbers. Some may be damaged ones.

    Raises:
        InvalidArgument: they are no iterable of SessionRecord.
    """
    try:
        looked_at = list(records)
    except Exception as error:  # any: the iterable is the caller's own
        raise InvalidArgument(
            f"records must be a sequence of SessionRecord, not {named(records)}"
        ) from error
    return list(map(_plain_record, looked_at))


def _plain_record(record: object) -> SessionRecord:
    if not issubclass(type(record), SessionRecord):
        raise InvalidArgument(f"record must be a SessionRecord, not {named(record)}")
    return SessionRecord._make(map(plain_of, tuple.__iter__(record)))  # type: ignore[arg-type]
