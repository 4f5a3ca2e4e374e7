"""The values that pass between an application, a manager and a storage.

None of them can be changed, and none does more than a value needs. Nothing here knows a key, a
clock or a storage. All times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .pydantic_hooks import secret_schema

__all__ = [
    "Device",
    "Session",
    "SessionContext",
    "SessionRecord",
    "SessionTokens",
    "new_record",
    "new_tokens",
]


@dataclass(frozen=True, slots=True)
class Device:
    """What a client says it runs on.

    ``extra`` has room for further JSON fields. The default refresh hook compares ``name`` and
    ``type``, and does not look at it.
    """

    name: str
    type: str
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class SessionContext:
    """Where a login or a refresh came from."""

    ip: str | None = None
    device: Device | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One login on one device, as it is shown to its owner. It holds nothing secret.

    ``ip``, ``device`` and ``location`` are those of the login. Times are Unix seconds.
    """

    id: str
    subject: str
    created_at: float
    expires_at: float
    last_used_at: float
    generation: int = 0
    ip: str | None = None
    device: Device | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """What a client receives when its session opens or is refreshed. Times are Unix seconds."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    session_id: str
    access_expires_at: int
    refresh_expires_at: int

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return secret_schema(source, handler)


class SessionRecord(NamedTuple):
    """A session as a storage keeps it: its public face, and hashes of what its client holds.

    ``version`` counts the writes. A storage replaces or deletes a record only where the version is
    still the one that its caller read. ``issuer`` says which service the session is of, as several
    may share a storage. It is empty in a record that is older than this field. ``secret_hash``,
    ``previous_hash``, ``salt`` and ``rotated_at`` are how refresh tokens follow one another
    (``docs/design.md``, decision 4). ``mac`` is over all the other fields, under the manager's
    ``storage_key``; None where it has none. Times are Unix seconds.
    """

    version: int
    id: str
    subject: str
    issuer: str
    created_at: float
    expires_at: int
    """The absolute end of the session, which no refresh moves."""
    ends_at: int
    """The end as it stands now: the absolute one, or the idle one where that comes first.

    A storage may forget the session from then on.
    """
    last_used_at: float
    generation: int
    access_expires_at: int
    """When the last of the access tokens issued to the session expires.

    A revocation of the session must be kept at least until then.
    """
    family_hash: bytes
    secret_hash: bytes
    previous_hash: bytes | None
    salt: bytes | None
    rotated_at: float | None
    context: SessionContext
    mac: bytes | None

    def __repr__(self) -> str:
        return (
            f"SessionRecord(id={self.id!r}, version={self.version}, "
            f"generation={self.generation}, ends_at={self.ends_at})"
        )

    def with_mac(self, mac: bytes | None) -> SessionRecord:
        """Return the record with this MAC."""
        return tuple.__new__(SessionRecord, self[:-1] + (mac,))  # noqa: RUF005 -- twice as fast

    def to_session(self) -> Session:
        """Return the record's public face, without what a storage alone needs."""
        context = self.context
        device = context.device
        if device is not None:
            # What the receiver does to it must not reach the storage.
            device = Device(device.name, device.type, deepcopy(device.extra))
        return Session(
            self.id,
            self.subject,
            self.created_at,
            self.ends_at,
            self.last_used_at,
            self.generation,
            context.ip,
            device,
            context.location,
        )


def new_record(
    version: int,
    id: str,  # noqa: A002 -- the fields have their names
    subject: str,
    issuer: str,
    created_at: float,
    expires_at: int,
    ends_at: int,
    last_used_at: float,
    generation: int,
    access_expires_at: int,
    family_hash: bytes,
    secret_hash: bytes,
    previous_hash: bytes | None,
    salt: bytes | None,
    rotated_at: float | None,
    context: SessionContext,
    mac: bytes | None,
) -> SessionRecord:
    """Return a record with these fields.

    A NamedTuple that is called takes half as long again. So many arguments are passed in their
    order where it counts: by name they take five times as long.
    """
    return tuple.__new__(
        SessionRecord,
        (
            version,
            id,
            subject,
            issuer,
            created_at,
            expires_at,
            ends_at,
            last_used_at,
            generation,
            access_expires_at,
            family_hash,
            secret_hash,
            previous_hash,
            salt,
            rotated_at,
            context,
            mac,
        ),
    )


_set_access_token = vars(SessionTokens)["access_token"].__set__
_set_refresh_token = vars(SessionTokens)["refresh_token"].__set__
_set_session_id = vars(SessionTokens)["session_id"].__set__
_set_access_expires_at = vars(SessionTokens)["access_expires_at"].__set__
_set_refresh_expires_at = vars(SessionTokens)["refresh_expires_at"].__set__


def new_tokens(
    access_token: str,
    refresh_token: str,
    session_id: str,
    access_expires_at: int,
    refresh_expires_at: int,
) -> SessionTokens:
    """Return the tokens of a session.

    A frozen dataclass sets its own fields through a method of ``object``, which takes twice as
    long.
    """
    tokens = object.__new__(SessionTokens)
    _set_access_token(tokens, access_token)
    _set_refresh_token(tokens, refresh_token)
    _set_session_id(tokens, session_id)
    _set_access_expires_at(tokens, access_expires_at)
    _set_refresh_expires_at(tokens, refresh_expires_at)
    return tokens
