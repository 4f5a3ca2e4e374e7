"""MemoryStorage: the contract of every storage, and what memory alone must do."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from tests.storage.own_copies import OwnCopiesContract
from tokenwheel import MemoryStorage, SessionRecord
from tokenwheel.testing import NOW, following, make_record


class TestMemoryStorage(OwnCopiesContract):
    def make_storage(self) -> MemoryStorage:
        return MemoryStorage()


class AwaitableStorage:
    """A MemoryStorage whose every call gives way to others first."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()

    def __getattr__(self, name: str) -> Any:
        import asyncio

        call = getattr(self._storage, name)

        async def awaited(*arguments: Any) -> Any:
            await asyncio.sleep(0)
            return call(*arguments)

        return awaited


class TestAsyncStorage(OwnCopiesContract):
    """Runs the same suite over an async storage, since it serves both colours."""

    def make_storage(self) -> AwaitableStorage:
        return AwaitableStorage()


def test_memory_is_given_back_as_sessions_end() -> None:
    storage = MemoryStorage()
    for number in range(1000):
        storage.insert(make_record(number, subject=str(number), ends_at=int(NOW) + 10), None, NOW)
    storage.insert(make_record(1000, subject="last"), None, NOW + 11)
    assert len(storage) == 1
    assert set(storage._ids_by_subject) == {"last"}


def test_memory_is_given_back_while_sessions_are_refreshed_and_none_is_opened() -> None:
    storage = MemoryStorage()
    for number in range(100):
        storage.insert(make_record(number, subject=str(number), ends_at=int(NOW) + 10), None, NOW)
    kept = make_record(100, subject="kept", ends_at=int(NOW) + 1000)
    storage.insert(kept, None, NOW)
    for _ in range(100):
        changed = kept._replace(version=kept.version + 1)
        assert storage.replace(changed, NOW + 11)
        kept = changed
    assert set(storage._records) == {kept.id}
    assert set(storage._ids_by_subject) == {"kept"}


def test_a_session_whose_end_was_moved_is_kept_until_then_and_no_longer() -> None:
    for later in (5, 500):
        storage = MemoryStorage()
        first = make_record(1, subject="moved", ends_at=int(NOW) + 10)
        storage.insert(first, None, NOW)
        moved = first._replace(version=first.version + 1, ends_at=int(NOW) + later)
        assert storage.replace(moved, NOW)
        for now in (NOW, NOW + later - 1):
            storage.insert(make_record(int(now - NOW) + 2, subject="other"), None, now)
            assert storage.read(moved.id, now) == moved
            assert storage.read_all("moved", now) == [moved]
        assert storage.read(moved.id, NOW + later) is None
        storage.insert(make_record(1000, subject="last"), None, NOW + later)
        assert moved.id not in storage._records
        assert "moved" not in storage._ids_by_subject
        assert storage.insert(first._replace(ends_at=int(NOW) + 9000), None, NOW + later)


def test_its_repr_shows_no_session() -> None:
    storage = MemoryStorage()
    storage.insert(make_record(subject="uid1"), None, NOW)
    assert repr(storage) == "<MemoryStorage of 1 sessions>"


class Model(RuleBasedStateMachine):
    """MemoryStorage does, step by step, what a plain dict of records does."""

    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.storage = MemoryStorage()
        self.records: dict[str, SessionRecord] = {}
        self.now = NOW
        self.numbers = 0

    def live(self, subject: str) -> list[str]:
        return sorted(
            record.id
            for record in self.records.values()
            if record.subject == subject and record.ends_at > self.now
        )

    @rule(
        target=known,
        subject=st.sampled_from(["a", "b", "a:b"]),
        lasts=st.integers(1, 100),
        limit=st.sampled_from([None, 1, 3]),
    )
    def insert(self, subject: str, lasts: int, limit: int | None) -> SessionRecord:
        self.numbers += 1
        record = make_record(self.numbers, subject=subject, ends_at=int(self.now) + lasts)
        expected = limit is None or len(self.live(subject)) < limit
        assert self.storage.insert(record, limit, self.now) is expected
        if expected:
            self.records[record.id] = record
        return record

    @rule(record=known, ahead=st.integers(0, 1), lasts=st.integers(1, 100))
    def replace(self, record: SessionRecord, ahead: int, lasts: int) -> None:
        stored = self.records.get(record.id)
        is_live = stored is not None and stored.ends_at > self.now
        changed = following(stored or record, ends_at=int(self.now) + lasts)
        changed = changed._replace(version=changed.version + ahead)
        assert self.storage.replace(changed, self.now) is (is_live and ahead == 0)
        if is_live and ahead == 0:
            self.records[record.id] = changed

    @rule(records=st.lists(known, max_size=4, unique_by=lambda record: record.id))
    def delete(self, records: list[SessionRecord]) -> None:
        expected = [
            record.id
            for record in records
            if record.id in self.records
            and self.records[record.id].ends_at > self.now
            and self.records[record.id].version == record.version
        ]
        assert sorted(self.storage.delete(records, self.now)) == sorted(expected)
        for session_id in expected:
            del self.records[session_id]

    @rule(record=known)
    def read(self, record: SessionRecord) -> None:
        stored = self.records.get(record.id)
        assert self.storage.read(record.id, self.now) == (
            stored if stored is not None and stored.ends_at > self.now else None
        )

    @rule(seconds=st.floats(0, 120))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def lists_agree(self) -> None:
        for subject in ("a", "b", "a:b"):
            assert sorted(
                record.id for record in self.storage.read_all(subject, self.now)
            ) == self.live(subject)
        assert len(self.storage) == sum(map(len, self.storage._ids_by_subject.values()))


TestModel = Model.TestCase
