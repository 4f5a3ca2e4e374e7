"""What a storage is handed: each field of a record is what its name says."""

from __future__ import annotations

import hashlib

from tests.support import SECRET, FakeClock
from tokenwheel import Device, MemoryStorage, SessionContext, SessionManager, SessionRecord
from tokenwheel.session.refresh_tokens import parse_refresh_token

STARTED = 1_700_000_000.25
CONTEXT = SessionContext("192.0.2.1", Device("phone", "mobile"), "Bern")


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def hashes_of(refresh_token: str) -> tuple[bytes, bytes]:
    """Return what a record keeps of a refresh token's family and of its rotating secret."""
    parts = parse_refresh_token(refresh_token)
    assert parts is not None
    return sha256(parts.family + len(parts.secret).to_bytes(2, "big")), sha256(parts.secret)


def test_a_login_and_a_refresh_store_each_field_under_its_name() -> None:
    clock, storage = FakeClock(STARTED), MemoryStorage()
    manager = SessionManager(
        SECRET,
        issuer="service",
        audience="a",
        access_ttl=100,
        refresh_ttl=5_000,
        idle_ttl=700,
        storage=storage,
        clock=clock,
    )
    first = manager.create(subject="uid1", context=CONTEXT)
    family_hash, secret_hash = hashes_of(first.refresh_token)
    opened = SessionRecord(
        version=1,
        id=first.session_id,
        subject="uid1",
        issuer="service",
        created_at=STARTED,
        expires_at=1_700_005_000,
        ends_at=1_700_000_700,
        last_used_at=STARTED,
        generation=0,
        access_expires_at=1_700_000_100,
        family_hash=family_hash,
        secret_hash=secret_hash,
        previous_hash=None,
        salt=None,
        rotated_at=None,
        context=CONTEXT,
        mac=None,
    )
    assert storage.read(first.session_id, clock.now) == opened
    assert (first.access_expires_at, first.refresh_expires_at) == (1_700_000_100, 1_700_000_700)

    manager.restrict_one({"sub": "uid1", "sid": first.session_id})
    clock.advance(50)
    second = manager.update(first.refresh_token, context=CONTEXT)
    stored = storage.read(first.session_id, clock.now)
    assert stored is not None
    assert stored.salt is not None
    assert len(stored.salt) == 16
    assert stored == opened._replace(
        version=3,
        ends_at=1_700_000_750,
        last_used_at=STARTED + 50,
        generation=1,
        access_expires_at=1_700_000_150,
        secret_hash=hashes_of(second.refresh_token)[1],
        previous_hash=secret_hash,
        salt=stored.salt,
        rotated_at=STARTED + 50,
    )
    assert hashes_of(second.refresh_token)[0] == family_hash
    assert (second.access_expires_at, second.refresh_expires_at) == (1_700_000_150, 1_700_000_750)
    assert second.session_id == first.session_id
    claims = manager.read(second.access_token)
    assert claims["gen"] == 1
    assert claims["auth_time"] == int(STARTED)
    assert (claims.issued_at, claims.expires_at) == (1_700_000_050, 1_700_000_150)
