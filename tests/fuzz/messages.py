"""A message of a feed is a revocation that a table takes, or is refused by InvalidArgument.

The twins' tables refuse the same sessions afterwards. What was understood is written as the very
same bytes again. An entry of a Redis stream is understood or passed over, whatever it is made of.
"""

from __future__ import annotations

import importlib
from typing import Any

from tests.fuzz.draw import Draw
from tests.support import FakeClock
from tests.twins.differential import NOW, TWINS
from tokenwheel import InvalidArgument
from tokenwheel.redis.entry import decode_entry, encode_entry
from tokenwheel.redis.stream_reader import StreamReader
from tokenwheel.revocation.message import MESSAGE_BYTES, pack, unpack, unpack_each
from tokenwheel.revocation.protocol import Revocation

TABLES = [importlib.import_module(f"tokenwheel._{name}.revocations").RevocationTable
          for name in TWINS]  # fmt: skip
GOOD = [
    pack(Revocation("A" * 16, NOW + 900, None)),
    pack(Revocation("B" * 16, NOW + 0.5, 7)),
    pack(Revocation("A" * 16, NOW - 900, 1)),
]
OTHERS = [None, 7, "r", b"", b"r", b"e", b"v", [b"r"], b"1700000900000"]


def check(data: bytes) -> None:
    draw = Draw(data)
    draw.choice((check_messages, check_entries, check_revocation))(draw)


def messages(draw: Draw) -> bytes:
    kind = draw.below(3)
    if kind == 1:
        return draw.rest()
    joined = b"".join(draw.choice(GOOD) for _ in range(draw.below(4)))
    return draw.spliced(joined) if kind == 2 else joined


def check_messages(draw: Draw) -> None:
    raw = messages(draw)
    try:
        rows = unpack_each(raw)
    except InvalidArgument:
        return
    assert b"".join(pack(Revocation._make(row)) for row in rows) == raw
    for start in range(0, len(raw), MESSAGE_BYTES):
        assert unpack(raw[start : start + MESSAGE_BYTES]) == rows[start // MESSAGE_BYTES]
    check_tables(rows)


def check_tables(rows: list[Any]) -> None:
    """Have both twins take the rows, and compare what they refuse."""
    clock = FakeClock(NOW)
    tables: list[Any] = [make(clock=clock, timer=clock) for make in TABLES]
    for table in tables:
        table.revoke_each(rows)
        table._check()
    for moment in (0, 1, 1_000, 1_000_000):
        clock.now = NOW + moment
        answers = [
            [table.is_revoked(row[0], generation) for row in rows for generation in (0, 6, 2**31)]
            for table in tables
        ]
        assert all(answer == answers[0] for answer in answers), answers
        assert len({len(table) for table in tables}) == 1


def check_entries(draw: Draw) -> None:
    """Read entries as a server may answer them, good ones among others."""
    entries = []
    understood: list[Any] = []
    for number in range(draw.below(4)):
        fields: Any = [b"r", messages(draw), b"e", b"1700000900000"]
        for _ in range(draw.below(3)):
            fields[draw.below(4)] = draw.choice(OTHERS)
        if draw.below(8) == 1:
            fields = draw.choice((None, fields[:2], fields + fields, tuple(fields), b"r", {}))
        entries.append([b"%d-0" % number, fields])
        try:
            understood += decode_entry(fields).revocations
        except InvalidArgument:
            continue
    heard: list[Any] = []
    clock = FakeClock(NOW)
    reader = StreamReader(b"stream", clock, clock)
    reader.begin(heard.extend)
    reader._take_apart(entries)
    assert heard == understood


def check_revocation(draw: Draw) -> None:
    """Write a revocation of any values."""
    ids = ("A" * 16, draw.text(20), b"A" * 16, draw.json())
    row: Any = Revocation(
        draw.choice(ids), draw.choice((NOW, draw.json())), draw.choice((None, 1, draw.json()))
    )
    try:
        _, (message,) = encode_entry([row], NOW)
    except InvalidArgument:
        return
    assert unpack(message) == row
