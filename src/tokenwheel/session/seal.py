"""What makes a record one of this service's own, though the storage is not trusted.

Who can write to a storage can put any record there, and who reads a backup knows all that it holds.
So a manager may have a key that is in no storage, its ``storage_key``. Two keys are derived from it
(HKDF, RFC 5869). One makes the MAC over all fields of a record, by which a record that somebody
else made or changed is told. The other takes part in deriving each refresh token from the one
before, so that the salt in a dump is of no use.

What no key tells: whether a record is the latest one. Who put a record back that this service
itself had written before would not be noticed.
"""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from hmac import compare_digest
from typing import Any

from .._impl import hmac_sha256
from ..errors import ConfigurationError
from ..fork_safety import hold_lock_during_fork
from ..hidden import Hidden
from ..models import SessionRecord
from ..storage.context import pack_context
from ..weak_identities import WeakIdentityDictionary

__all__ = ["Seal", "tell_without_key"]

logger = logging.getLogger("tokenwheel")

_told: WeakIdentityDictionary[Any, None] = WeakIdentityDictionary()
_KEY_BYTES = 32
_MAC_BYTES = 16  # half of the hash (RFC 2104, section 5), as IPsec has it (RFC 4868, section 2.6)
_FIELDS = struct.Struct(
    ">"
    "B"  # the number of this layout
    "q"  # version
    "q"  # expires_at
    "q"  # ends_at
    "q"  # access_expires_at
    "q"  # generation
    "d"  # created_at
    "d"  # last_used_at
    "?"  # whether there is a rotated_at
    "d"  # rotated_at, else 0
    "6H"  # lengths: id, subject, issuer, family_hash, secret_hash, context
    "?H"  # whether there is a previous_hash, and its length
    "?H"  # whether there is a salt, and its length
)
_LAYOUT = 1


class Seal:
    """Seals the records of one service, and tells which ones are its own.

    Args:
        issuer: the service.
        secrets: what ``storage_key`` holds. The first one seals, each opens. None: records are not
            sealed.

    Attributes:
        issuer: the service.
        broken: how many records were not believed, since none of the secrets had sealed them.
    """

    __slots__ = ("__weakref__", "_lock", "_mac_keys", "_rotation_keys", "broken", "issuer")

    def __init__(self, issuer: str, secrets: Sequence[bytes] = ()) -> None:
        self.issuer = issuer
        self._mac_keys = [_derived(secret, b"tokenwheel record") for secret in secrets]
        self._rotation_keys = [_derived(secret, b"tokenwheel successor") for secret in secrets]
        self.broken = 0
        self._lock = threading.Lock()  # held to count
        hold_lock_during_fork(self, "_lock")

    def __repr__(self) -> str:
        return f"<Seal of {self.issuer!r} with {len(self._mac_keys)} keys>"

    def sealed(self, record: SessionRecord) -> SessionRecord:
        """Return the record with its MAC, as it is to be stored.

        Raises:
            ConfigurationError: the record was sealed, and there is no key to seal it with again.
        """
        if self._mac_keys:
            return record.with_mac(
                hmac_sha256(self._mac_keys[0].content, _covered(record))[:_MAC_BYTES]
            )
        if record.mac is not None:
            raise ConfigurationError(
                "the sessions in this storage are sealed with a storage_key: every manager that "
                "changes them must be given it"
            )
        return record

    @property
    def has_key(self) -> bool:
        """True where records are sealed."""
        return bool(self._mac_keys)

    def is_of_service(self, record: SessionRecord) -> bool:
        """Return True where the record does not say that it is another service's."""
        issuer = record.issuer
        return issuer == self.issuer or not issuer or not isinstance(issuer, str)

    def is_own(self, record: SessionRecord) -> bool:
        """Return True where the record is this service's, and as this service has written it.

        One that should be and isn't is counted and logged. Without a key nothing tells such a one.
        """
        if record.issuer != self.issuer and not self.is_of_service(record):
            return False
        if not self._mac_keys:
            return True
        # A damaged record may hold what cannot be packed, and could never have been sealed.
        with suppress(struct.error, ValueError, TypeError, AttributeError):
            covered = _covered(record)
            for key in self._mac_keys:
                mac = hmac_sha256(key.content, covered)[:_MAC_BYTES]
                if compare_digest(record.mac or b"", mac):
                    return True
        with self._lock:
            self.broken += 1
            so_far = self.broken
        logger.error(
            "the record of session %.16r was made or changed by somebody without the "
            "storage_key, so it is as good as none (%d so far)",
            record.id,
            so_far,
        )
        return False

    def extracted(self, secret: bytes) -> bytes:
        """Return from what the secret that follows a rotating one is derived.

        It is HKDF-Extract (RFC 5869, section 2.2) with the key as its salt. Without a key it is the
        rotating secret itself.
        """
        if not self._rotation_keys:
            return secret
        return hmac_sha256(self._rotation_keys[0].content, secret)

    def extracted_by_each(self, secret: bytes) -> list[bytes]:
        """Return what :meth:`extracted` returned while each of the keys was the first one."""
        return [hmac_sha256(key.content, secret) for key in self._rotation_keys] or [secret]


def tell_without_key(storage: object) -> None:
    """Say once of a durable storage that the records in it are not sealed."""
    with suppress(TypeError):  # of a storage that takes no weak reference it is said each time
        if storage in _told:
            return
        _told[storage] = None
    logger.warning(
        "the sessions in this %s are not sealed: who can write there can make a session for any "
        "account, and who reads a dump of it is helped by an old refresh token; give the manager "
        "a storage_key",
        type(storage).__name__,
    )


def _derived(secret: bytes, purpose: bytes) -> Hidden[bytes]:
    """Return a key of 32 bytes, derived from the secret for a purpose.

    It is HKDF (RFC 5869) without a salt: its extraction is one HMAC-SHA256 under zeros, and its
    expansion to so many bytes another one.
    """
    try:
        return Hidden(hmac_sha256(hmac_sha256(bytes(_KEY_BYTES), secret), purpose + b"\x01"))
    finally:
        del secret


def _covered(record: SessionRecord) -> bytes:
    """Return all fields of a record but the MAC, as bytes that no other record has."""
    (
        version,
        session_id,
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
        _,
    ) = record
    packed_id, packed_subject, packed_issuer = (
        session_id.encode(),
        subject.encode(),
        issuer.encode(),
    )
    packed_context = pack_context(context)
    previous, used_salt = previous_hash or b"", salt or b""
    fields = _FIELDS.pack(
        _LAYOUT,
        version,
        expires_at,
        ends_at,
        access_expires_at,
        generation,
        created_at,
        last_used_at,
        rotated_at is not None,
        rotated_at or 0.0,
        len(packed_id),
        len(packed_subject),
        len(packed_issuer),
        len(family_hash),
        len(secret_hash),
        len(packed_context),
        previous_hash is not None,
        len(previous),
        salt is not None,
        len(used_salt),
    )
    return b"".join(
        (
            fields,
            packed_id,
            packed_subject,
            packed_issuer,
            family_hash,
            secret_hash,
            packed_context,
            previous,
            used_salt,
        )
    )
