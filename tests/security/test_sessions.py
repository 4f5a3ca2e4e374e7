"""Attacks on refresh tokens and sessions, each named after what is tried.

See RFC 9700, section 4.14, and OWASP Session Management.
"""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support import SECRET, FakeClock
from tokenwheel import (
    AccessTokenRevoked,
    MemoryStorage,
    RefreshTokenReused,
    RevocationList,
    SessionManager,
    SessionNotFound,
)
from tokenwheel._impl import decode


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_700_000_000.0)


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def manager(clock: FakeClock, storage: MemoryStorage) -> SessionManager:
    return make(clock, storage)


def make(clock: FakeClock, storage: MemoryStorage, **options: Any) -> SessionManager:
    return SessionManager(SECRET, issuer="i", audience="a", clock=clock, storage=storage, **options)


def test_theft_and_two_rotations_by_the_thief_before_the_owner_comes_back(
    manager: SessionManager,
) -> None:
    """Lists of one used token miss this.

    The owner's token is no longer the previous token, but an ancestor.
    """
    owner = manager.create(subject="uid1")
    thief = manager.update(manager.update(owner.refresh_token).refresh_token)
    with pytest.raises(RefreshTokenReused):
        manager.update(owner.refresh_token)
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(thief.refresh_token)
    with pytest.raises(AccessTokenRevoked):
        manager.read(thief.access_token)


def test_a_thief_who_replays_after_the_owner_refreshed_takes_the_session_down_and_gains_nothing(
    manager: SessionManager, clock: FakeClock
) -> None:
    stolen = manager.create(subject="uid1")
    manager.update(stolen.refresh_token)
    clock.advance(60)
    with pytest.raises(RefreshTokenReused):
        manager.update(stolen.refresh_token)
    assert manager.read_all("uid1") == {}


def test_retrying_over_and_over_never_extends_the_grace(
    manager: SessionManager, clock: FakeClock
) -> None:
    first = manager.create(subject="uid1")
    manager.update(first.refresh_token)
    for _ in range(19):
        clock.advance(0.5)
        manager.update(first.refresh_token)
    clock.advance(0.5)
    with pytest.raises(RefreshTokenReused):
        manager.update(first.refresh_token)


def test_denial_of_service_by_guessing_tokens_for_a_known_session_id(
    manager: SessionManager,
) -> None:
    """The session id is public.

    Whoever knows no more than that must not be able to log its owner out.
    """
    tokens = manager.create(subject="uid1")
    manager.update(tokens.refresh_token)
    for number in range(200):
        family_and_secret = base64.urlsafe_b64encode(
            hashlib.sha512(str(number).encode()).digest()[:39]
        ).decode()
        with pytest.raises(SessionNotFound, match="no session is open") as caught:
            manager.update(tokens.session_id + family_and_secret)
        assert not isinstance(caught.value, RefreshTokenReused)
    assert list(manager.read_all("uid1")) == [tokens.session_id]


def test_probing_with_unknown_session_ids_creates_nothing(
    manager: SessionManager, storage: MemoryStorage
) -> None:
    tokens = manager.create(subject="uid1")
    for number in range(100):
        with pytest.raises(SessionNotFound, match="no session is open"):
            manager.update(f"{number:016d}" + tokens.refresh_token[16:])
    assert len(storage) == 1


def test_a_dump_of_the_storage_neither_refreshes_nor_verifies(
    manager: SessionManager, storage: MemoryStorage, clock: FakeClock
) -> None:
    tokens = manager.create(subject="uid1")
    manager.update(tokens.refresh_token)
    record = storage.read(tokens.session_id, clock.now)
    assert record is not None
    stolen = [record.family_hash, record.secret_hash, record.previous_hash, record.salt]
    for family in stolen:
        for secret in stolen:
            assert family is not None
            assert secret is not None
            raw = family[:15] + (secret * 2)[:24]
            with pytest.raises(SessionNotFound, match="no session is open"):
                manager.update(record.id + base64.urlsafe_b64encode(raw).decode().rstrip("="))


def test_nothing_derived_from_the_secret_is_in_an_access_token(manager: SessionManager) -> None:
    tokens = manager.create(subject="uid1")
    claims = json.loads(decode(tokens.access_token.split(".")[1]))
    assert set(claims) == {"iss", "aud", "sub", "sid", "iat", "exp"}
    assert claims["sid"] == tokens.refresh_token[:16]


def test_secrets_have_at_least_120_random_bits_and_session_ids_80(manager: SessionManager) -> None:
    raw = [decode(manager.create(subject="uid1").refresh_token) for _ in range(64)]
    assert len(raw[0]) == 12 + 15 + 24
    for byte in range(len(raw[0])):
        assert len({token[byte] for token in raw}) > 32


def test_an_answer_lost_in_a_crash_is_retried_after_the_restart(
    clock: FakeClock, storage: MemoryStorage
) -> None:
    tokens = make(clock, storage).create(subject="uid1")
    lost = make(clock, storage).update(tokens.refresh_token)
    clock.advance(5)
    assert make(clock, storage).update(tokens.refresh_token).refresh_token == lost.refresh_token


def test_parallel_refreshes_on_two_nodes_leave_one_live_successor_and_no_logout(
    clock: FakeClock, storage: MemoryStorage
) -> None:
    revocations = RevocationList(clock=clock)
    nodes = [make(clock, storage, revocations=revocations) for _ in range(2)]
    tokens = nodes[0].create(subject="uid1")
    for _ in range(20):
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(
                    lambda number, held=tokens: nodes[number % 2].update(held.refresh_token),
                    range(16),
                )
            )  # type: ignore[misc]
        assert len({answer.refresh_token for answer in answers}) == 1
        tokens = answers[0]
        clock.advance(60)
    assert nodes[1].read(tokens.access_token, leeway=60).session_id == tokens.session_id


def test_session_fixation_a_login_takes_no_id_from_outside_and_never_an_old_one(
    manager: SessionManager,
) -> None:
    before = manager.create(subject="uid1")
    after = manager.create(subject="uid1")
    assert after.session_id != before.session_id
    manager.delete_one("uid1", before.session_id)
    assert manager.create(subject="uid1").session_id != before.session_id


def test_a_token_of_one_subject_never_serves_another(manager: SessionManager) -> None:
    mine = manager.create(subject="uid1")
    for other in ("uid", "uid11", "UID1", "uid1 ", "uid1\u200b"):
        with pytest.raises(SessionNotFound, match="no session is open"):
            manager.update(mine.refresh_token, subject=other)
        assert manager.delete_one(other, mine.refresh_token) is False
    assert manager.update(mine.refresh_token, subject="uid1").session_id == mine.session_id


def test_a_refresh_in_the_last_second_does_not_outlive_the_session(
    clock: FakeClock, storage: MemoryStorage
) -> None:
    manager = make(clock, storage, refresh_ttl=100)
    tokens = manager.create(subject="uid1")
    clock.now = tokens.refresh_expires_at - 0.5
    last = manager.update(tokens.refresh_token)
    assert last.access_expires_at == last.refresh_expires_at == tokens.refresh_expires_at
    clock.advance(0.5)
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(last.refresh_token)


def test_the_answer_to_a_wrong_refresh_token_is_the_same_whatever_is_wrong(
    manager: SessionManager, clock: FakeClock
) -> None:
    tokens = manager.create(subject="uid1", refresh_ttl=10)
    other = manager.create(subject="uid1")
    wrong = [
        lambda: manager.update("nonsense"),
        lambda: manager.update("A" * 68),
        lambda: manager.update(other.session_id + tokens.refresh_token[16:]),
        lambda: manager.update(other.refresh_token, subject="uid2"),
    ]
    answers = set()
    for attempt in wrong:
        with pytest.raises(SessionNotFound, match="no session is open") as caught:
            attempt()
        answers.add((type(caught.value), str(caught.value), caught.value.code, caught.value.status))
    clock.advance(10)
    with pytest.raises(SessionNotFound, match="no session is open") as caught:
        manager.update(tokens.refresh_token)
    answers.add((type(caught.value), str(caught.value), caught.value.code, caught.value.status))
    assert len(answers) == 1
