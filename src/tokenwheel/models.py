"""The values that pass between an application, a manager and a storage.

Frozen and slotted; no behaviour beyond what a value needs. Nothing here knows a key, a clock or a storage.
All times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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

    ``extra`` has room for further JSON fields. It takes no part in the default refresh hook, which compares ``name`` and ``type``.
    """

    name: str
    type: str
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class SessionContext:
    """From where a login or a refresh came."""

    ip: str | None = None
    device: Device | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One login on one device, as shown to its owner. Holds nothing secret.

    ``ip``, ``device`` and ``location`` are those of the login.
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
    """What a client receives when its session opens or is refreshed."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    session_id: str
    access_expires_at: int
    refresh_expires_at: int


class SessionRecord(NamedTuple):
    """A session as a storage keeps it: its public face, and hashes of what its client holds.

    ``version`` counts the writes: a storage replaces or deletes a record only where the version is the one its caller read.
    The four rotation fields are explained in ``docs/design.md``, decision 4: a storage that leaks can refresh nothing.
    """

    version: int
    id: str
    subject: str
    created_at: float
    expires_at: int
    """The absolute end of the session, which no refresh moves."""
    ends_at: int
    """The end as it stands now: the absolute one, or the idle one where that comes first. A storage may forget the session from then on."""
    last_used_at: float
    generation: int
    access_expires_at: int
    """When the last of the access tokens issued to the session expires: how long a revocation must be kept."""
    family_hash: bytes
    secret_hash: bytes
    previous_hash: bytes | None
    salt: bytes | None
    rotated_at: float | None
    context: SessionContext

    def __repr__(self) -> str:
        return f"SessionRecord(id={self.id!r}, version={self.version}, generation={self.generation}, ends_at={self.ends_at})"

    def to_session(self) -> Session:
        """The public face of the record."""
        context = self.context
        device = context.device
        if device is not None and device.extra:
            device = Device(
                device.name, device.type, deepcopy(device.extra)
            )  # What its receiver does to it must not reach the storage.
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
    *,
    version: int,
    id: str,  # noqa: A002 -- the fields have their names
    subject: str,
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
) -> SessionRecord:
    """Return a record with these fields, each given by its name, so that none can be taken for another.

    A NamedTuple that is called with names takes four times as long.
    """
    return tuple.__new__(
        SessionRecord,
        (
            version,
            id,
            subject,
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
        ),
    )


_set_access_token = vars(SessionTokens)["access_token"].__set__
_set_refresh_token = vars(SessionTokens)["refresh_token"].__set__
_set_session_id = vars(SessionTokens)["session_id"].__set__
_set_access_expires_at = vars(SessionTokens)["access_expires_at"].__set__
_set_refresh_expires_at = vars(SessionTokens)["refresh_expires_at"].__set__


def new_tokens(
    *,
    access_token: str,
    refresh_token: str,
    session_id: str,
    access_expires_at: int,
    refresh_expires_at: int,
) -> SessionTokens:
    """Return the tokens of a session, each field given by its name.

    A frozen dataclass sets its own fields through ``object.__setattr__``, which takes twice as long.
    """
    tokens = object.__new__(SessionTokens)
    _set_access_token(tokens, access_token)
    _set_refresh_token(tokens, refresh_token)
    _set_session_id(tokens, session_id)
    _set_access_expires_at(tokens, access_expires_at)
    _set_refresh_expires_at(tokens, refresh_expires_at)
    return tokens
