"""The suites that every storage and every feed must pass, shipped or not.

Subclass one in your own tests and say how to make your storage or feed. pytest does the rest::

    class TestMyStorage(StorageContract):
        def make_storage(self):
            return MyStorage(...)  # empty, blocking or async

Nothing here stores, publishes or is needed to run a service. Both suites are in one file, longer
than most, so that whoever writes a backend can read all that is asked of it in one place.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import ge
from typing import Any

from ._impl import encode
from .conformance import conforms
from .models import Device, SessionContext, SessionRecord
from .revocation.protocol import DoorbellFeed, ReplayingFeed, Revocation
from .storage.protocol import AccessLifetimeStorage, PlacedStorage

__all__ = ["FeedContract", "StorageContract", "make_record"]

NOW = 1_700_000_000.5  # Unix seconds

_ID_BYTES = 12
_LONGEST_LIFETIME = 100 * 31_557_600  # seconds: 100 years of 365.25 days
_LONGEST_LATENCY = 30  # seconds: that news arrives at all is tested, not how fast

_HOSTILE_SUBJECTS = (
    "a",
    "a@b",
    "a:*",
    "*",
    "?",
    "[a]",
    "a%",
    "a_",
    "a b",
    " a",
    "A",
    "'; --",
    "{a}",
    "a\n",
    "ä",
    "a\u0308",
    "😀",
    "é" * 255,
)


def make_record(
    number: int = 1, *, subject: str = "uid1", ends_at: int = int(NOW) + 1000, **changes: Any
) -> SessionRecord:
    """Return a session as a manager would store it; the same number gives the same id."""
    record = SessionRecord(
        version=1,
        id=f"{number:016d}",
        subject=subject,
        issuer="service",
        created_at=NOW,
        expires_at=ends_at,
        ends_at=ends_at,
        last_used_at=NOW,
        generation=0,
        access_expires_at=min(int(NOW) + 900, ends_at),
        family_hash=bytes(32),
        secret_hash=bytes(range(32)),
        previous_hash=None,
        salt=None,
        rotated_at=None,
        context=SessionContext(),
        mac=None,
    )
    return record._replace(**changes)


def following(record: SessionRecord, **changes: Any) -> SessionRecord:
    """Return the record's next version, with these fields changed."""
    return record._replace(version=record.version + 1, **changes)


class _Contract:
    """The base of both suites: awaits what is awaitable, so that each serves both colours."""

    _loop: asyncio.AbstractEventLoop | None = None

    def wait(self, answer: Any) -> Any:
        if not inspect.isawaitable(answer):
            return answer

        async def awaited() -> Any:
            return await answer

        return self._own_loop().run_until_complete(awaited())

    def race(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Make all the calls at once, in threads. Return their answers in the calls' order.

        Answers that are awaitable are awaited together, on this suite's event loop.
        """
        gate = threading.Barrier(len(calls))

        def start(call: Callable[[], Any]) -> Any:
            gate.wait()
            return call()

        with ThreadPoolExecutor(len(calls)) as pool:
            answers = list(pool.map(start, calls))
        if not any(inspect.isawaitable(answer) for answer in answers):
            return answers

        async def together() -> list[Any]:
            return list(await asyncio.gather(*answers))

        return self._own_loop().run_until_complete(together())

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop

    def teardown_method(self) -> None:
        if self._loop is not None:
            self._loop.close()
            self._loop = None


class StorageContract(_Contract):
    """What a manager relies on in a :class:`~tokenwheel.SessionStorage`."""

    def make_storage(self) -> Any:
        """Return an empty storage."""
        raise NotImplementedError("say how to make the storage under test")

    def setup_method(self) -> None:
        self.storage = self.make_storage()

    def record(self, number: int = 1, **changes: Any) -> SessionRecord:
        """Return what :func:`make_record` does, with an id such as the storage asks for.

        A storage that is a :class:`~tokenwheel.storage.PlacedStorage` says how an id begins.
        """
        record = make_record(number, **changes)
        if not conforms(self.storage, PlacedStorage):
            return record
        prefix = self.storage.session_id_prefix(record.subject)
        return record._replace(id=encode(prefix + number.to_bytes(_ID_BYTES - len(prefix), "big")))

    def insert(self, record: SessionRecord, limit: int | None = None, now: float = NOW) -> Any:
        return self.wait(self.storage.insert(record, limit, now))

    def read(self, record: SessionRecord, now: float = NOW) -> Any:
        return self.wait(self.storage.read(record.id, now))

    def ids(self, subject: str, now: float = NOW) -> list[str]:
        return sorted(
            record.id
            for record in self.wait(self.storage.read_all(subject, now))
            if record.ends_at > now
        )

    def replace(self, record: SessionRecord, now: float = NOW) -> Any:
        return self.wait(self.storage.replace(record, now))

    def delete(self, *records: SessionRecord, now: float = NOW) -> list[str]:
        return sorted(self.wait(self.storage.delete(records, now)))

    def test_a_record_comes_back_as_it_went_in(self) -> None:
        full = self.record(
            2,
            subject="Zoë 😀:*",
            created_at=NOW - 0.125,
            generation=7,
            previous_hash=b"\x00\xff" * 16,
            salt=b"\x80" * 16,
            mac=b"m" * 16,
            rotated_at=NOW - 0.25,
            context=SessionContext(
                "::1",
                Device(
                    "Pixel 😀",
                    "phone",
                    {"os": {"name": "Android", "versions": [15, 16.5, None, True]}},
                ),
                "Chișinău",
            ),
        )
        for record in (self.record(1), full):
            assert self.insert(record) is True
            assert self.read(record) == record
        assert self.read(self.record(3)) is None

    def test_an_id_is_taken_once(self) -> None:
        record = self.record()
        self.insert(record)
        try:
            self.insert(record._replace(subject="uid2"))
        except Exception:  # any: what kind is the storage's own affair
            refused = True
        else:
            refused = False
        assert refused
        assert self.read(record) == record
        assert self.ids("uid2") == []

    def test_a_subject_finds_its_sessions_and_no_others(self) -> None:
        for number, subject in enumerate(_HOSTILE_SUBJECTS):
            self.insert(self.record(number, subject=subject))
        for number, subject in enumerate(_HOSTILE_SUBJECTS):
            assert self.ids(subject) == [self.record(number, subject=subject).id]
        assert self.ids("nobody") == []

    def test_a_replacement_needs_the_version_before_it(self) -> None:
        record = self.record()
        self.insert(record)
        changed = following(record, generation=1, salt=b"s" * 16, rotated_at=NOW)
        assert self.replace(following(changed)) is False
        assert self.replace(changed) is True
        assert self.replace(changed) is False
        assert self.replace(following(record, generation=9)) is False
        assert self.read(record) == changed
        assert self.ids(record.subject) == [record.id]

    def test_what_is_not_there_is_neither_replaced_nor_created(self) -> None:
        record = self.record()
        assert self.replace(following(record)) is False
        assert self.delete(record) == []
        assert self.read(record) is None
        assert self.ids(record.subject) == []

    def test_a_deletion_needs_the_version_it_read(self) -> None:
        old, kept, gone = self.record(1), self.record(2), self.record(3)
        for record in (old, kept, gone):
            self.insert(record)
        self.replace(following(old))
        assert self.delete(old, gone, self.record(4)) == [gone.id]
        assert self.ids("uid1") == [old.id, kept.id]
        assert self.read(gone) is None
        assert self.delete(gone) == []

    def test_a_limit_counts_the_live_sessions_of_that_subject(self) -> None:
        self.insert(self.record(1, subject="uid2"))
        short = self.record(2, ends_at=int(NOW) + 10)
        assert self.insert(short, limit=2) is True
        assert self.insert(self.record(3), limit=2) is True
        assert self.insert(self.record(4), limit=2) is False
        assert self.read(self.record(4)) is None
        assert self.insert(self.record(4), limit=2, now=NOW + 10) is True
        assert self.insert(self.record(5), limit=None) is True

    def test_a_limit_counts_the_sessions_of_that_issuer_and_read_all_finds_every_one(self) -> None:
        for number, issuer in enumerate(["forum", "bank", "bank account", "bank"], 1):
            assert self.insert(self.record(number, issuer=issuer), limit=2) is True
        assert self.insert(self.record(5, issuer="bank"), limit=2) is False
        assert self.insert(self.record(5, issuer="forum"), limit=2) is True
        assert self.ids("uid1") == [self.record(number).id for number in range(1, 6)]

    def test_a_replacement_may_give_a_session_its_issuer_and_its_mac(self) -> None:
        record = self.record(issuer="")
        self.insert(record)
        changed = following(record, issuer="forum", mac=b"m" * 16)
        assert self.replace(changed) is True
        assert self.read(record) == changed

    def test_a_replacement_moves_the_end_of_a_session(self) -> None:
        record = self.record(ends_at=int(NOW) + 10)
        self.insert(record)
        later = following(record, ends_at=int(NOW) + 100)
        assert self.replace(later) is True
        assert self.read(record, now=NOW + 50) == later
        assert self.ids("uid1", now=NOW + 50) == [record.id]
        assert self.ids("uid1", now=NOW + 100) == []

    def test_of_racing_replacements_one_wins(self) -> None:
        for number in range(20):
            record = self.record(number)
            self.insert(record)
            rivals = [following(record, generation=generation) for generation in range(8)]
            won = self.race([partial(self.storage.replace, rival, NOW) for rival in rivals])
            assert sorted(won) == [False] * 7 + [True]
            assert self.read(record) == rivals[won.index(True)]

    def test_of_a_racing_replacement_and_deletion_one_wins(self) -> None:
        for number in range(20):
            record = self.record(number, subject=str(number))
            self.insert(record)
            changed = following(record)
            replaced, deleted = self.race(
                [
                    lambda: self.storage.replace(changed, NOW),
                    lambda: self.storage.delete([record], NOW),
                ]
            )
            assert (replaced, list(deleted)) in [(True, []), (False, [record.id])]
            assert self.read(record) == (changed if replaced else None)

    def test_a_limit_holds_under_racing_logins(self) -> None:
        for turn in range(10):
            records = [self.record(turn * 100 + number, subject=str(turn)) for number in range(8)]
            added = self.race([partial(self.storage.insert, record, 3, NOW) for record in records])
            assert sum(added) == 3
            assert self.ids(str(turn)) == sorted(
                record.id for record, was_added in zip(records, added, strict=True) if was_added
            )

    def test_the_longest_access_lifetime_of_each_issuer_is_kept(self) -> None:
        if not conforms(self.storage, AccessLifetimeStorage):
            return
        keep = self.storage.keep_access_lifetime
        assert self.wait(keep("a", 0)) == 0
        assert self.wait(keep("a", 900)) == 900
        assert self.wait(keep("a", 60)) == 900
        assert self.wait(keep("a", 86_400)) == 86_400
        assert self.wait(keep("a", _LONGEST_LIFETIME)) == _LONGEST_LIFETIME
        assert self.wait(keep("a", 0)) == _LONGEST_LIFETIME
        for number, issuer in enumerate(_HOSTILE_SUBJECTS[1:], start=1):
            assert self.wait(keep(issuer, number)) == number
        for number, issuer in enumerate(_HOSTILE_SUBJECTS[1:], start=1):
            assert self.wait(keep(issuer, 0)) == number
        assert self.ids("uid1") == []

    def test_of_racing_access_lifetimes_the_longest_is_kept(self) -> None:
        if not conforms(self.storage, AccessLifetimeStorage):
            return
        keep = self.storage.keep_access_lifetime
        for turn in range(10):
            lifetimes = [turn * 100 + number for number in range(1, 9)]
            answers = self.race([partial(keep, "a", seconds) for seconds in lifetimes])
            assert all(map(ge, answers, lifetimes))
            assert self.wait(keep("a", 0)) == lifetimes[-1]


class FeedContract(_Contract):
    """What a ``RevocationList`` relies on in a :class:`~tokenwheel.RevocationFeed`.

    Attributes:
        is_immediate: False for a feed between machines, whose news takes a moment to arrive. The
            suite then waits for it.
    """

    is_immediate = True

    def make_feeds(self) -> tuple[Any, Any]:
        """Return two feeds of one service, as two processes would have them."""
        raise NotImplementedError("say how to make the feeds under test")

    def setup_method(self) -> None:
        self.one, self.other = self.make_feeds()

    def teardown_method(self) -> None:
        for feed in (self.one, self.other):
            self.wait(feed.close())
        super().teardown_method()

    def listen(self, feed: Any) -> list[Revocation]:
        """Start the feed. Return a list that grows by what the feed brings."""
        heard: list[Revocation] = []

        def apply(revocations: Iterable[tuple[str, float, int | None]]) -> None:
            heard.extend(map(Revocation._make, revocations))

        self.wait(feed.start(apply))
        if conforms(feed, ReplayingFeed):
            self.wait(feed.replay())
        return heard

    def hears(self, feed: Any, heard: list[Revocation], news: Iterable[Revocation]) -> bool:
        """Poll the feed. Return True where ``heard`` then holds the news.

        A feed that is not immediate is polled until it does, for ``_LONGEST_LATENCY`` at most.
        """
        feed.poll()
        end = time.monotonic() + (0 if self.is_immediate else _LONGEST_LATENCY)
        while not set(heard) >= set(news) and time.monotonic() < end:
            self.wait(asyncio.sleep(0.001))
            feed.poll()
        return set(heard) >= set(news)

    def test_what_one_publishes_the_other_has_heard_after_its_next_poll(self) -> None:
        self.listen(self.one)
        heard = self.listen(self.other)
        news = [
            Revocation("A" * 16, 4_000_000_000.0, None),
            Revocation("B" * 16, 4_000_000_000.5, 7),
        ]
        self.wait(self.one.publish(news))
        assert self.hears(self.other, heard, news)

    def test_who_starts_late_hears_what_still_lives(self) -> None:
        self.listen(self.one)
        news = [
            Revocation(f"{number:016d}", 4_000_000_000.0, number or None) for number in range(100)
        ]
        for revocation in news:
            self.wait(self.one.publish([revocation]))
        assert set(self.listen(self.other)) >= set(news)

    def test_a_doorbell_has_changed_when_publish_returns(self) -> None:
        self.listen(self.one)
        heard = self.listen(self.other)
        for number in range(10):
            before = _number_of(self.other)
            revocation = Revocation(f"{number:016d}", 4_000_000_000.0, None)
            self.wait(self.one.publish([revocation]))
            assert before is None or _number_of(self.other) != before or not self.is_immediate
            assert self.hears(self.other, heard, [revocation])

    def test_publishing_nothing_and_polling_without_news_do_nothing(self) -> None:
        heard = self.listen(self.one)
        self.wait(self.one.publish([]))
        self.one.poll()
        assert heard == []

    def test_closing_twice_is_harmless(self) -> None:
        self.listen(self.one)
        self.wait(self.one.close())
        self.wait(self.one.close())


def _number_of(feed: Any) -> bytes | None:
    doorbell = feed.doorbell if conforms(feed, DoorbellFeed) else None
    return None if doorbell is None else bytes(doorbell)
