"""Whatever lies in a SQLite file's columns, calls end in documented errors or in sound answers.

Somebody else can write to the file. Rows are changed beneath a storage, a feed and the managers
that use them. A session that is shown has the types that it says it has.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.fuzz.draw import Draw
from tests.support import FakeClock
from tokenwheel import (
    KeySet,
    RevocationList,
    Session,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    TokenwheelError,
)

NOW = 1_700_000_000.0
CLOCK = FakeClock(NOW)
KEYS = KeySet.from_secret(hashlib.sha256(b"rows").digest())


class Service:
    """A manager over a file, and another connection to it, as another process has one."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "sessions.db")
        storage = SqliteStorage(self.path, synchronous="NORMAL")
        self.manager = SessionManager(KEYS, issuer="i", audience="a", storage=storage, clock=CLOCK)
        self.outside = sqlite3.connect(self.path, isolation_level=None)
        self.outside.execute("PRAGMA synchronous = OFF")

    def columns(self, table: str) -> list[str]:
        return [row[1] for row in self.outside.execute(f"PRAGMA table_info({table})")]

    def close(self) -> None:
        self.outside.close()
        self.manager.close()
        self.folder.cleanup()


@cache
def service() -> Service:
    return Service()


def close() -> None:
    """Let go of the file, if there is one."""
    if service.cache_info().currsize:
        service().close()
        service.cache_clear()


def check(data: bytes) -> None:
    draw = Draw(data)
    draw.choice((check_session, check_log))(draw)


def value(draw: Draw, known: Any) -> Any:
    """Return what a column can hold: near to what it holds, or anything."""
    kind = draw.below(6)
    if kind == 0:
        return draw.choice((None, "", b"", NOW, -NOW, int(NOW), "u", "A" * 16))
    if kind == 1:
        number = draw.number()
        return number if isinstance(number, float) else max(min(number, 2**63 - 1), -(2**63))
    if kind == 2:
        return draw.text().encode("utf-8", "replace").decode()
    if kind == 3:
        return draw.bytes(draw.below(64))
    if isinstance(known, bytes):
        return draw.spliced(known)
    return known if known is None else draw.choice((str(known), str(known).encode()))


def change_row(draw: Draw, table: str) -> None:
    """Change some columns of the table's last row. What the schema forbids stays as it was."""
    outside = service().outside
    names = service().columns(table)
    for _ in range(1 + draw.below(3)):
        name = draw.choice(names)
        last = f"rowid = (SELECT max(rowid) FROM {table})" if table == "revocations" else "1"
        row = outside.execute(f"SELECT CAST({name} AS BLOB) FROM {table} WHERE {last}").fetchone()
        new = value(draw, row and row[0])
        as_text = " CAST(? AS TEXT)" if isinstance(new, bytes) and draw.below(2) else "?"
        try:
            outside.execute(f"UPDATE {table} SET {name} = {as_text} WHERE {last}", (new,))
        except (sqlite3.IntegrityError, sqlite3.OperationalError):
            continue


def check_session(draw: Draw) -> None:
    manager = service().manager
    service().outside.execute("DELETE FROM sessions")
    tokens = manager.create(subject="u")
    if draw.below(2):
        tokens = manager.update(tokens.refresh_token)
    change_row(draw, "sessions")
    answer = ends_well(lambda: manager.read_all("u"))
    for session in (answer or {}).values():
        check_shown(session)
    refreshed = ends_well(lambda: manager.update(tokens.refresh_token))
    if refreshed is not None:
        claims = ends_well(lambda: manager.read(refreshed.access_token))
        assert claims is None or claims.session_id == tokens.session_id
    ends_well(lambda: manager.delete_one("u", tokens.session_id))
    ends_well(lambda: manager.delete_all("u"))


def check_shown(session: Session) -> None:
    assert isinstance(session.id, str)
    assert len(session.id) == 16
    assert isinstance(session.subject, str)
    times = session.created_at, session.expires_at, session.last_used_at
    assert all(abs(float(time)) < 1e12 for time in times), times
    assert isinstance(session.ip, str | None)
    assert isinstance(session.location, str | None)


def check_log(draw: Draw) -> None:
    service().outside.execute("DELETE FROM revocations")
    feed = SqliteFeed(service().path, synchronous="NORMAL", clock=CLOCK, timer=CLOCK)
    writer = RevocationList(feed, clock=CLOCK, timer=CLOCK)
    try:
        writer.revoke("A" * 16, 900, before=draw.choice((None, 1, 7)))
        change_row(draw, "revocations")
        ends_well(lambda: writer.is_revoked("B" * 16))
        ends_well(lambda: writer.revoke("B" * 16, 900))
        # What this process refused itself, it goes on refusing, whatever became of the file.
        assert ends_well(lambda: writer.is_revoked("A" * 16)) in (True, None)
        ends_well(hear_anew)
    finally:
        writer.close()


def hear_anew() -> None:
    feed = SqliteFeed(service().path, synchronous="NORMAL", clock=CLOCK, timer=CLOCK)
    try:
        RevocationList(feed, clock=CLOCK, timer=CLOCK).is_revoked("A" * 16)
    finally:
        feed.close()


def ends_well(call: Callable[[], Any]) -> Any:
    """Return what a call answers, or None where it ends in a documented error."""
    try:
        return call()
    except TokenwheelError:
        return None
