"""Bytes that a server holds for a session are a record, or are refused by StorageUnavailable.

What was read as a record can be shown. It is written as bytes that read as the same record again,
or is refused as one that cannot be.
"""

from __future__ import annotations

from tests.fuzz.draw import Draw
from tokenwheel import Device, InvalidArgument, SessionContext, StorageUnavailable
from tokenwheel.redis.record import pack_record, unpack_end, unpack_record
from tokenwheel.testing import NOW, make_record

ROTATED = {"previous_hash": b"\x01" * 32, "salt": b"\x02" * 16, "rotated_at": NOW}
CONTEXT = SessionContext("::1", Device("phone", "mobile", {"os": ["x", 1]}), "Zürich")
RECORDS = [
    make_record(),
    make_record(subject="Zoë 😀", **ROTATED),
    make_record(context=CONTEXT, **ROTATED),
]


def check(data: bytes) -> None:
    draw = Draw(data)
    known = draw.choice(RECORDS)
    kind = draw.below(3)
    if kind == 0:
        value = pack_record(known)
        for _ in range(draw.below(4)):
            value = draw.spliced(value)
    elif kind == 1:
        value = draw.rest()
    else:
        cut = pack_record(known)
        value = cut[: draw.below(len(cut))] + draw.rest()
    unpack_end(value[5:13])
    try:
        record = unpack_record(known.id, value)
    except StorageUnavailable:
        return
    assert record.id == known.id
    repr(record)
    try:
        written = pack_record(record)
    except InvalidArgument:
        return
    again = unpack_record(known.id, written)
    # Not a number is equal to nothing, and yet the same record.
    assert [*map(repr, again)] == [*map(repr, record)]
