"""What no manager can have written is told apart, field by field."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from tokenwheel import Device, SessionContext
from tokenwheel.storage.damaged import DamagedRecord, DamagedRecords, damage_of, record_of
from tokenwheel.testing import NOW, make_record

ROTATED = {"previous_hash": bytes(32), "salt": bytes(16), "rotated_at": NOW}
DEVICE = Device("Pixel", "phone", {"os": "Android"})

NO_NUMBERS: list[Any] = [None, "1", b"1", nan, inf, -inf, 1e12, -(10**12), 2**64, True, [1]]
NO_COUNTS: list[Any] = [None, "1", b"1", 1.0, nan, -1, 2**32 - 1, 2**64, True]
NO_HASHES: list[Any] = [b"", bytes(31), bytes(33), "x" * 32, 32, [0] * 32]
DAMAGE: dict[str, list[Any]] = {
    "id": [None, "", "A" * 15, "A" * 17, "=" * 16, "\udcff" * 16, b"A" * 16, 7],
    "version": [*NO_COUNTS, 0],
    "subject": [None, "", "x" * 256, "\udcff", b"uid1", 7],
    "issuer": [None, b"i", 7],
    "generation": NO_COUNTS,
    "created_at": NO_NUMBERS,
    "expires_at": NO_NUMBERS,
    "ends_at": NO_NUMBERS,
    "last_used_at": NO_NUMBERS,
    "access_expires_at": NO_NUMBERS,
    "family_hash": [*NO_HASHES, None],
    "secret_hash": [*NO_HASHES, None],
    "previous_hash": NO_HASHES,
    "salt": [b"", bytes(15), bytes(17), "x" * 16, 16],
    "rotated_at": NO_NUMBERS[1:],
    "context": [
        None,
        b"",
        SessionContext(ip=7),  # type: ignore[arg-type]
        SessionContext(location=b"x"),  # type: ignore[arg-type]
        SessionContext(device="x"),  # type: ignore[arg-type]
        SessionContext(device=Device("x", 7)),  # type: ignore[arg-type]
        SessionContext(device=Device("x", "y", [])),  # type: ignore[arg-type]
    ],
    "mac": ["x" * 16, 16],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_each_field_that_no_manager_can_have_written_is_named(name: str) -> None:
    for whole in (make_record(), make_record(**ROTATED, context=SessionContext(device=DEVICE))):
        assert name in whole._fields
        for value in DAMAGE[name]:
            assert damage_of(whole._replace(**{name: value})) == name


def test_every_field_is_looked_at() -> None:
    assert set(DAMAGE) == set(make_record()._fields)


def test_what_a_manager_writes_is_not_damaged() -> None:
    for record in (
        make_record(),
        make_record(**ROTATED),
        make_record(context=SessionContext("::1", DEVICE, "x")),
        make_record(generation=2**32 - 2, version=2**32 - 2, subject="\u00e9" * 255),
        # As other databases may give back what went in.
        make_record(created_at=int(NOW), salt=bytearray(16), secret_hash=memoryview(bytes(32))),
        make_record(created_at=-5.0, last_used_at=0, access_expires_at=900.0, ends_at=0),
    ):
        assert damage_of(record) is None


def test_what_is_said_of_a_damaged_record_holds_nothing_of_it() -> None:
    record = record_of(id="not an id at all", secret_hash=b"secret", subject="zoe", version="x")
    damaged = DamagedRecord(record, "version")
    assert damaged.session_id is None
    error = DamagedRecords([make_record()], [damaged])
    for text in (str(damaged), repr(damaged), str(error), repr(error)):
        assert "version" in text
        assert not [part for part in ("not an id", "secret", "zoe") if part in text]
    assert DamagedRecord(make_record(), "salt").session_id == make_record().id
