"""A storage beside MemoryStorage, step by step, for the storages that several processes share."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from tokenwheel import Device, MemoryStorage, SessionContext, SessionRecord
from tokenwheel.testing import NOW, following, make_record


class Twice(RuleBasedStateMachine):
    """Two processes' storages over one place, which answer as MemoryStorage does.

    An end that has passed is the one freedom: a storage may forget such a session sooner or later.
    """

    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.storages = [self.open() for _ in range(2)]
        self.memory = MemoryStorage()
        self.now = NOW
        self.numbers = itertools.count()

    def open(self) -> Any:
        """Another process's storage over that place, which is empty when the first is made."""
        raise NotImplementedError

    def close(self, storage: Any) -> None:
        storage.close()

    def storage(self) -> Any:
        self.storages.reverse()
        return self.storages[0]

    def is_over(self, record: SessionRecord) -> bool:
        stored = self.memory.read(record.id, self.now)
        return stored is None

    @rule(
        target=known,
        subject=st.sampled_from(["a", "b", "a:b", "Zoë 😀"]),
        lasts=st.integers(1, 100),
        limit=st.sampled_from([None, 1, 3]),
        device=st.none()
        | st.builds(
            Device,
            st.text(),
            st.text(),
            st.dictionaries(st.text(), st.integers(-(2**53), 2**53) | st.text()),
        ),
        ip=st.none() | st.text(),
    )
    def insert(
        self, subject: str, lasts: int, limit: int | None, device: Device | None, ip: str | None
    ) -> SessionRecord:
        context = SessionContext(ip, device)
        record = make_record(
            next(self.numbers), subject=subject, ends_at=int(self.now) + lasts, context=context
        )
        assert self.storage().insert(record, limit, self.now) == self.memory.insert(
            record, limit, self.now
        )
        return record

    @rule(
        record=known,
        ahead=st.integers(0, 1),
        lasts=st.integers(1, 100),
        generation=st.integers(0, 9),
    )
    def replace(self, record: SessionRecord, ahead: int, lasts: int, generation: int) -> None:
        stored = self.memory.read(record.id, self.now)
        if stored is None:
            return
        changed = following(
            stored,
            ends_at=int(self.now) + lasts,
            generation=generation,
            salt=b"s" * 16,
            rotated_at=self.now,
        )
        changed = changed._replace(version=changed.version + ahead)
        assert self.storage().replace(changed, self.now) == self.memory.replace(changed, self.now)

    @rule(
        records=st.lists(known, max_size=4, unique_by=lambda record: record.id),
        of_now=st.booleans(),
    )
    def delete(self, records: list[SessionRecord], of_now: bool) -> None:
        current = [
            self.memory.read(record.id, self.now) if of_now else record
            for record in records
            if not self.is_over(record)
        ]
        there = [record for record in current if record is not None]
        assert sorted(self.storage().delete(there, self.now)) == sorted(
            self.memory.delete(there, self.now)
        )

    @rule(record=known)
    def read(self, record: SessionRecord) -> None:
        kept = self.storage().read(record.id, self.now)
        assert (kept if kept is not None and kept.ends_at > self.now else None) == self.memory.read(
            record.id, self.now
        )

    @rule()
    def start_anew(self) -> None:
        self.close(self.storages.pop())
        self.storages.append(self.open())

    @rule(seconds=st.floats(0, 120))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def lists_agree(self) -> None:
        for subject in ("a", "b", "a:b", "Zoë 😀"):
            kept, expected = (
                sorted(
                    (
                        record
                        for record in storage.read_all(subject, self.now)
                        if record.ends_at > self.now
                    ),
                    key=lambda record: record.id,
                )
                for storage in (self.storage(), self.memory)
            )
            assert kept == expected
        assert self.storage().count(self.now) == len(
            [record for record in self.memory._records.values() if record.ends_at > self.now]
        )

    def teardown(self) -> None:
        for storage in self.storages:
            self.close(storage)
