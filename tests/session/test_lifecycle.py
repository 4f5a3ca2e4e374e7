"""What a session goes through: opened, refreshed, listed, limited, ended."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from tests.support import SECRET, FakeClock
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenNotYetValid,
    AccessTokenRevoked,
    ConfigurationError,
    ContextMismatch,
    Device,
    InvalidAccessToken,
    InvalidArgument,
    Key,
    KeySet,
    MemoryStorage,
    RefreshTokenReused,
    RevocationList,
    SessionContext,
    SessionManager,
    SessionNotFound,
    TooManySessions,
)
from tokenwheel.session.refresh_tokens import parse_refresh_token, successor
from tokenwheel.session.seal import _derived

Make = Callable[..., Any]


def test_an_access_token_carries_the_contracts_claims_and_the_applications(
    manager: Any, clock: FakeClock
) -> None:
    tokens = manager.create({"name": "John", "roles": ["user"], "nothing": None}, subject="uid1")
    claims = manager.read(tokens.access_token)
    assert claims.to_dict() == {
        "iss": "auth-server.com",
        "aud": ["auth-server.com", "rest-server.com"],
        "sub": "uid1",
        "sid": tokens.session_id,
        "iat": int(clock.now),
        "exp": int(clock.now) + 900,
        "name": "John",
        "roles": ["user"],
        "nothing": None,
    }
    assert (claims.subject, claims.session_id) == ("uid1", tokens.session_id)
    assert (claims.issued_at, claims.expires_at) == (int(clock.now), tokens.access_expires_at)


def test_a_session_id_is_16_base64url_characters_and_begins_the_refresh_token(manager: Any) -> None:
    tokens = manager.create(subject="uid1")
    assert re.fullmatch("[A-Za-z0-9_-]{16}", tokens.session_id)
    assert tokens.refresh_token.startswith(tokens.session_id)
    assert re.fullmatch("[A-Za-z0-9_-]+", tokens.refresh_token)
    assert tokens.session_id not in tokens.refresh_token[16:]


def test_a_new_login_never_takes_an_old_session_id(manager: Any) -> None:
    assert len({manager.create(subject="uid1").session_id for _ in range(100)}) == 100


def test_an_access_token_expires_after_its_lifetime_and_leeway(
    make: Make, clock: FakeClock
) -> None:
    manager = make(access_ttl=60, leeway=5)
    tokens = manager.create(subject="uid1")
    clock.now = tokens.access_expires_at + 4.9
    manager.read(tokens.access_token)
    clock.now = tokens.access_expires_at + 5.0
    with pytest.raises(AccessTokenExpired):
        manager.read(tokens.access_token)
    assert manager.read(tokens.access_token, leeway=30).subject == "uid1"
    clock.now -= 5
    with pytest.raises(AccessTokenExpired):
        manager.read(tokens.access_token, leeway=0)


def test_an_access_token_from_a_clock_ahead_is_not_valid_yet(make: Make, clock: FakeClock) -> None:
    manager = make(leeway=5)
    token = manager.create(subject="uid1").access_token
    clock.advance(-6)
    with pytest.raises(AccessTokenNotYetValid):
        manager.read(token)
    clock.advance(1)
    assert manager.read(token).subject == "uid1"


def test_no_access_token_outlives_its_session(make: Make, clock: FakeClock) -> None:
    manager = make(access_ttl=900, refresh_ttl=600)
    tokens = manager.create(subject="uid1")
    assert tokens.access_expires_at == tokens.refresh_expires_at == int(clock.now) + 600
    tokens = manager.update(tokens.refresh_token, access_ttl=5000)
    assert tokens.access_expires_at == tokens.refresh_expires_at


def test_a_session_ends_at_its_absolute_lifetime_however_often_it_is_refreshed(
    make: Make, clock: FakeClock
) -> None:
    manager = make(refresh_ttl=100)
    tokens = manager.create(subject="uid1")
    end = tokens.refresh_expires_at
    for _ in range(3):
        clock.advance(30)
        tokens = manager.update(tokens.refresh_token)
        assert tokens.refresh_expires_at == end
    clock.now = end
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(tokens.refresh_token)
    assert manager.read_all("uid1") == {}


def test_an_idle_session_ends_and_a_refresh_starts_its_idle_time_anew(
    make: Make, clock: FakeClock
) -> None:
    manager = make(refresh_ttl=100, idle_ttl=20)
    tokens = manager.create(subject="uid1")
    clock.advance(19)
    tokens = manager.update(tokens.refresh_token)
    clock.advance(19)
    tokens = manager.update(tokens.refresh_token)
    assert list(manager.read_all("uid1")) == [tokens.session_id]
    clock.advance(20)
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(tokens.refresh_token)
    assert manager.read_all("uid1") == {}


def test_lifetimes_hold_even_where_a_storage_ignores_them(make: Make, clock: FakeClock) -> None:
    class Hoarder(MemoryStorage):
        def read(self, session_id: str, now: float) -> Any:
            return super().read(session_id, 0)

        def read_all(self, subject: str, now: float) -> Any:
            return super().read_all(subject, 0)

    manager = make(refresh_ttl=100, idle_ttl=20, storage=Hoarder())
    tokens = manager.create(subject="uid1")
    clock.advance(20)
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(tokens.refresh_token)
    assert manager.read_all("uid1") == {}
    assert manager.delete_all("uid1") == 0


def test_a_refresh_gives_a_new_pair_and_the_same_session(manager: Any, clock: FakeClock) -> None:
    first = manager.create({"role": "user"}, subject="uid1")
    clock.advance(60)
    second = manager.update(first.refresh_token, {"role": "admin"}, subject="uid1")
    assert second.session_id == first.session_id
    assert second.refresh_token != first.refresh_token
    assert manager.read(second.access_token)["role"] == "admin"
    assert manager.read(first.access_token)["role"] == "user"
    session = manager.read_all("uid1")[first.session_id]
    assert (session.created_at, session.last_used_at) == (clock.now - 60, clock.now)


def test_within_the_grace_a_retry_gets_the_very_same_successor(
    manager: Any, clock: FakeClock
) -> None:
    first = manager.create(subject="uid1")
    second = manager.update(first.refresh_token)
    for _ in range(9):
        clock.advance(1)
        retried = manager.update(first.refresh_token)
        assert retried.refresh_token == second.refresh_token
        assert manager.read(retried.access_token).session_id == first.session_id
    clock.advance(1)
    with pytest.raises(RefreshTokenReused):
        manager.update(first.refresh_token)


def test_reuse_after_the_grace_ends_the_session_and_revokes_its_access_tokens(
    manager: Any, clock: FakeClock
) -> None:
    first = manager.create(subject="uid1")
    second = manager.update(first.refresh_token)
    clock.advance(11)
    with pytest.raises(RefreshTokenReused):
        manager.update(first.refresh_token)
    assert manager.read_all("uid1") == {}
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(second.refresh_token)
    for tokens in (first, second):
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)


def test_reuse_of_any_ancestor_is_found_out_even_within_the_grace(
    manager: Any, clock: FakeClock
) -> None:
    ancestor = manager.create(subject="uid1")
    latest = ancestor
    for _ in range(5):
        latest = manager.update(latest.refresh_token)
    with pytest.raises(RefreshTokenReused):
        manager.update(ancestor.refresh_token)
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(latest.refresh_token)


def test_with_no_grace_a_second_use_is_reuse_at_once(make: Make) -> None:
    manager = make(reuse_grace=0)
    first = manager.create(subject="uid1")
    manager.update(first.refresh_token)
    with pytest.raises(RefreshTokenReused):
        manager.update(first.refresh_token)


def test_a_guessed_refresh_token_never_ends_a_session(manager: Any) -> None:
    tokens = manager.create(subject="uid1")
    other = manager.create(subject="uid1")
    guess = tokens.session_id + other.refresh_token[16:]
    for attempt in (guess, tokens.session_id + "A" * 52, "A" * 68):
        with pytest.raises(SessionNotFound, match="no session is open") as caught:
            manager.update(attempt)
        assert type(caught.value) is SessionNotFound
    assert manager.update(tokens.refresh_token).session_id == tokens.session_id


@pytest.mark.parametrize(
    "text",
    ["", "A", "A" * 16, "A" * 47, "=" * 68, "é" * 68, " " * 68, "A" * 100_000, None, 7, b"A" * 68],
)
def test_a_malformed_refresh_token_is_refused_before_any_storage_access(
    make: Make, text: Any
) -> None:
    class Untouchable(MemoryStorage):
        def read(self, session_id: str, now: float) -> Any:
            raise AssertionError("the storage was asked")

    with pytest.raises(SessionNotFound, match="no session is open"):
        make(storage=Untouchable()).update(text)


@pytest.mark.parametrize("secret_length", [15, 16, 24, 32, 35])
@pytest.mark.parametrize("refreshed", [0, 1, 3])
def test_a_refresh_token_cut_or_lengthened_on_its_way_was_never_issued_and_ends_nothing(
    make: Make, secret_length: int, refreshed: int
) -> None:
    """As a column too short or a mail client does it. It is not one that comes back too late."""
    manager = make(refresh_token_length=secret_length)
    issued = [manager.create(subject="uid1").refresh_token]
    for _ in range(refreshed):
        issued.append(manager.update(issued[-1]).refresh_token)
    for token in issued:
        cut = [token[:length] for length in range(len(token))]
        lengthened = [
            token + more for more in ("A", "AA", "AAA", "AAAA", "-_-_", token, "A" * 1200)
        ]
        doubled = [token[:place] + token[place - 4 :] for place in range(4, len(token))]
        for text in cut + lengthened + doubled:
            with pytest.raises(SessionNotFound, match="no session is open") as refusal:
                manager.update(text)
            assert type(refusal.value) is SessionNotFound
    assert list(manager.read_all("uid1")) == [issued[0][:16]]
    manager.update(issued[-1])


def test_a_session_from_before_lengths_were_hashed_goes_on_and_its_next_refresh_hashes_them(
    make: Make, clock: FakeClock
) -> None:
    storage = MemoryStorage()
    manager = make(storage=storage)
    tokens = manager.create(subject="uid1")
    record = storage.read(tokens.session_id, clock.now)
    presented = parse_refresh_token(tokens.refresh_token)
    assert record is not None
    assert presented is not None
    family_alone = hashlib.sha256(presented.family).digest()
    storage.replace(record._replace(version=2, family_hash=family_alone), clock.now)
    refreshed = manager.update(tokens.refresh_token)
    assert manager.update(tokens.refresh_token).refresh_token == refreshed.refresh_token
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(refreshed.refresh_token[:-4])
    assert list(manager.read_all("uid1")) == [tokens.session_id]


@pytest.mark.parametrize("length", [15, 16, 17, 24, 31, 32, 33, 64, 1024])
def test_refresh_tokens_of_any_allowed_length_rotate_and_retry(make: Make, length: int) -> None:
    manager = make(refresh_token_length=length)
    first = manager.create(subject="uid1")
    second = manager.update(first.refresh_token)
    assert manager.update(first.refresh_token).refresh_token == second.refresh_token
    third = manager.update(second.refresh_token)
    assert len(first.refresh_token) == len(third.refresh_token) == -(-(27 + length) * 4 // 3)


@pytest.mark.parametrize("length", [15, 31, 32, 33, 64, 1024])
def test_the_secret_that_follows_is_hkdf_of_the_one_before_and_a_salt(length: int) -> None:
    secret, salt = bytes(range(256)) * 4, b"0123456789abcdef"
    expected = HKDFExpand(SHA256(), length, info=salt).derive(secret[:length])
    assert successor(secret[:length], salt, length) == expected


@pytest.mark.parametrize("purpose", [b"tokenwheel record", b"tokenwheel successor", b""])
def test_the_keys_of_a_seal_are_hkdf_of_the_storage_key(purpose: bytes) -> None:
    for secret in (b"x" * 32, bytes(range(64)), bytes(range(256)) * 4):
        expected = HKDF(SHA256(), 32, salt=None, info=purpose).derive(secret)
        assert _derived(secret, purpose).content == expected


def test_without_rotation_the_refresh_token_stays_the_same(make: Make) -> None:
    manager = make(rotate_refresh_tokens=False)
    first = manager.create(subject="uid1")
    second = manager.update(first.refresh_token)
    third = manager.update(first.refresh_token)
    assert first.refresh_token == second.refresh_token == third.refresh_token


def test_a_restricted_session_lives_on(manager: Any) -> None:
    tokens = manager.create(subject="uid1")
    manager.restrict_one(manager.read(tokens.access_token))
    assert manager.read_all("uid1")[tokens.session_id].generation == 1
    fresh = manager.update(tokens.refresh_token)
    assert manager.read(fresh.access_token)["gen"] == 1
    manager.restrict_all("uid1")
    with pytest.raises(AccessTokenRevoked):
        manager.read(fresh.access_token)
    assert manager.read(manager.update(fresh.refresh_token).access_token)["gen"] == 2


def test_delete_one_takes_a_session_id_or_a_refresh_token(manager: Any) -> None:
    by_id, by_token = manager.create(subject="uid1"), manager.create(subject="uid1")
    assert manager.delete_one("uid1", by_id.session_id) is True
    assert manager.delete_one("uid1", by_token.refresh_token) is True
    assert manager.delete_one("uid1", by_id.session_id) is False
    assert manager.delete_all("uid1") == 0


def test_delete_one_of_a_session_the_storage_has_lost_revokes_its_tokens_all_the_same(
    make: Make, clock: FakeClock
) -> None:
    revocations = RevocationList(clock=clock)
    tokens = make(revocations=revocations).create(subject="uid1", access_ttl=86_400)
    after_loss = make(revocations=revocations, storage=MemoryStorage())
    assert after_loss.delete_one("uid1", tokens.session_id) is False
    clock.advance(86_000)
    with pytest.raises(AccessTokenRevoked):
        after_loss.read(tokens.access_token)


@pytest.mark.parametrize("call", ["delete_one", "restrict_one"])
def test_a_session_the_storage_has_lost_is_revoked_until_its_last_token_is_over_with_any_leeway(
    make: Make, clock: FakeClock, call: str
) -> None:
    login = make(access_ttl=900, refresh_ttl=900, leeway=50)
    tokens = login.create(subject="uid1")
    after_loss = make(access_ttl=900, refresh_ttl=900, leeway=50)
    if call == "delete_one":
        assert after_loss.delete_one("uid1", tokens.session_id) is False
    else:
        after_loss.restrict_one(login.read(tokens.access_token))
    for seconds in (0, 900, 49):
        clock.advance(seconds)
        assert login.read(tokens.access_token).session_id == tokens.session_id
        with pytest.raises(AccessTokenRevoked):
            after_loss.read(tokens.access_token)


def test_a_session_the_storage_has_lost_is_revoked_for_as_long_as_the_longest_opened_here(
    make: Make, clock: FakeClock
) -> None:
    storage = MemoryStorage()
    manager = make(storage=storage, refresh_ttl=1000)
    longest = manager.create(subject="uid1", access_ttl=50_000, refresh_ttl=50_000)
    manager.create(subject="uid2", refresh_ttl=10)
    record = storage.read(longest.session_id, clock.now)
    assert record is not None
    assert storage.delete([record], clock.now) == [longest.session_id]
    assert manager.delete_one("uid1", longest.session_id) is False
    clock.advance(49_999)
    with pytest.raises(AccessTokenRevoked):
        manager.read(longest.access_token)


def test_a_refresh_takes_a_lifetime_for_its_access_token(manager: Any, clock: FakeClock) -> None:
    tokens = manager.create(subject="uid1")
    short = manager.update(tokens.refresh_token, access_ttl=60)
    assert short.access_expires_at == int(clock.now) + 60
    assert manager.read(short.access_token).expires_at == short.access_expires_at
    with pytest.raises(InvalidArgument, match="access_ttl must be"):
        manager.update(short.refresh_token, access_ttl=0)


def test_a_manager_that_adds_to_read_can_ask_for_the_read_it_replaces(clock: FakeClock) -> None:
    class Counting(SessionManager):
        reads = 0

        def read(self, access_token: str, **options: Any) -> Any:
            self.reads += 1
            return super().read(access_token, **options)

    manager = Counting(SECRET, issuer="i", audience="a", clock=clock)
    token = manager.create(subject="uid1").access_token
    assert manager.read(token).subject == "uid1"
    with pytest.raises(InvalidAccessToken, match="is for another audience"):
        manager.read(token, audience="b")
    clock.advance(910)
    assert manager.read(token, leeway=30).subject == "uid1"
    with pytest.raises(AccessTokenExpired):
        manager.read(token)
    assert manager.reads == 4


def test_read_all_lists_the_active_sessions_of_a_subject(manager: Any, clock: FakeClock) -> None:
    context = SessionContext(
        ip="127.0.0.1", device=Device("Pixel", "phone", {"os": "Android"}), location="Chisinau"
    )
    tokens = manager.create(subject="uid1", context=context, refresh_ttl=100)
    manager.create(subject="uid1", refresh_ttl=50)
    assert len(manager.read_all("uid1")) == 2
    clock.advance(60)
    (session,) = manager.read_all("uid1").values()
    assert (session.id, session.subject) == (tokens.session_id, "uid1")
    assert (session.ip, session.device, session.location) == (
        context.ip,
        context.device,
        context.location,
    )
    assert session.expires_at == tokens.refresh_expires_at
    assert manager.read_all("nobody") == {}


def test_what_a_caller_does_to_a_devices_extra_fields_reaches_nobody(manager: Any) -> None:
    extra = {"tags": ["a"]}
    manager.create(subject="uid1", context=SessionContext(device=Device("Pixel", "phone", extra)))
    extra["tags"].append("b")
    (session,) = manager.read_all("uid1").values()
    session.device.extra["tags"].append("c")
    (session,) = manager.read_all("uid1").values()
    assert session.device.extra == {"tags": ["a"]}


def test_max_sessions_rejects_the_login_too_many(make: Make, clock: FakeClock) -> None:
    manager = make(max_sessions=2, refresh_ttl=100)
    manager.create(subject="uid1")
    clock.advance(10)
    second = manager.create(subject="uid1")
    with pytest.raises(TooManySessions, match="already has the 2 sessions that max_sessions"):
        manager.create(subject="uid1")
    manager.create(subject="uid2")
    manager.delete_one("uid1", second.session_id)
    manager.create(subject="uid1")
    clock.advance(90)
    manager.create(subject="uid1")


def test_max_sessions_evicts_the_oldest_and_revokes_its_tokens(
    make: Make, clock: FakeClock
) -> None:
    manager = make(max_sessions=2, when_full="evict_oldest")
    opened = []
    for _ in range(4):
        clock.advance(1)
        opened.append(manager.create(subject="uid1"))
        assert set(manager.read_all("uid1")) == {tokens.session_id for tokens in opened[-2:]}
    for tokens in opened[:2]:
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)
        with pytest.raises(SessionNotFound, match="no session is open"):
            manager.update(tokens.refresh_token)
    for tokens in opened[2:]:
        assert manager.read(tokens.access_token).session_id == tokens.session_id


def test_a_lower_max_sessions_evicts_all_that_are_too_many(make: Make, clock: FakeClock) -> None:
    storage = MemoryStorage()
    opened = []
    for _ in range(4):
        opened.append(make(storage=storage).create(subject="ann"))
        clock.advance(1)
    newest = make(storage=storage, max_sessions=2, when_full="evict_oldest").create(subject="ann")
    assert set(make(storage=storage).read_all("ann")) == {opened[-1].session_id, newest.session_id}


def test_the_default_hook_refuses_another_device_and_leaves_the_session_as_it_was(
    manager: Any,
) -> None:
    phone = SessionContext(ip="1", device=Device("Pixel", "phone"))
    tokens = manager.create(subject="uid1", context=phone)
    for context, reason in (
        (None, "no device was named: the session was opened on a named device"),
        (SessionContext(), "no device was named: the session was opened on a named device"),
        (SessionContext(device=Device("Pixel", "tablet")), "opened on another device"),
        (SessionContext(device=Device("iPhone", "phone")), "opened on another device"),
    ):
        with pytest.raises(ContextMismatch, match=reason) as caught:
            manager.update(tokens.refresh_token, context=context)
        assert not any(name in str(caught.value) for name in ("Pixel", "iPhone", "tablet"))
    moved = SessionContext(
        ip="2", device=Device("Pixel", "phone", {"os": "Android"}), location="Paris"
    )
    assert manager.update(tokens.refresh_token, context=moved).session_id == tokens.session_id


def test_a_session_opened_without_a_device_is_refreshed_from_anywhere(manager: Any) -> None:
    tokens = manager.create(subject="uid1", context=SessionContext(ip="1"))
    assert (
        manager.update(
            tokens.refresh_token, context=SessionContext(device=Device("Pixel", "phone"))
        ).session_id
        == tokens.session_id
    )


def test_a_hook_that_raises_anything_refuses(make: Make) -> None:
    def hook(session: Any, context: Any) -> None:
        raise RuntimeError("the geography service is down")

    manager = make(refresh_hook=hook)
    tokens = manager.create(subject="uid1")
    with pytest.raises(ContextMismatch, match="the refresh hook refused") as caught:
        manager.update(tokens.refresh_token)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_manager_with_public_keys_reads_deletes_and_restricts_but_issues_nothing(
    make: Make,
) -> None:
    key = Key.generate("ES256")
    storage, revocations = MemoryStorage(), RevocationList()
    login = make(KeySet(key), storage=storage, revocations=revocations)
    resource = make(KeySet(key.public()), storage=storage, revocations=revocations)
    tokens = login.create(subject="uid1")
    claims = resource.read(tokens.access_token)
    with pytest.raises(ConfigurationError, match=r"only public keys.*and cannot issue tokens"):
        resource.create(subject="uid1")
    for refresh_token in (tokens.refresh_token, "none"):
        with pytest.raises(ConfigurationError, match=r"only public keys.*and cannot issue tokens"):
            resource.update(refresh_token)
    resource.restrict_one(claims)
    with pytest.raises(AccessTokenRevoked):
        login.read(tokens.access_token)
    assert resource.delete_all("uid1") == 1


@pytest.mark.parametrize(
    "algorithm",
    [
        *("HS256", "HS384", "HS512", "RS256", "PS384", "ES256", "ES384", "ES512", "ES256K"),
        *("EdDSA", "Ed25519", "Ed448"),
    ],
)
def test_keys_rotate_without_logging_anyone_out(make: Make, algorithm: str) -> None:
    old = Key.generate(algorithm, kid="old")
    keys = KeySet(old)
    manager = make(keys)
    before = manager.create(subject="uid1")
    assert manager.read(before.access_token).subject == "uid1"
    keys.add(Key.generate("HS256", kid="new"), sign=True)
    after = manager.create(subject="uid1")
    for tokens in (before, after):
        assert manager.read(tokens.access_token).session_id == tokens.session_id
    keys.remove("old")
    assert manager.read(after.access_token).session_id == after.session_id
    with pytest.raises(InvalidAccessToken, match="names no key of this service"):
        manager.read(before.access_token)


def test_an_audience_can_be_required_of_one_read(make: Make) -> None:
    manager = make(audience=["a", "b"], accept_audience="a")
    token = manager.create(subject="uid1").access_token
    assert manager.read(token)["aud"] == ["a", "b"]
    assert manager.read(token, audience="b").subject == "uid1"
    assert manager.read(token, audience=["c", "b"]).subject == "uid1"
    for wrong in ("c", ["c", "d"]):
        with pytest.raises(InvalidAccessToken, match="is for another audience"):
            manager.read(token, audience=wrong)
    for unusable in ("", [], [1], 7, b"a"):
        with pytest.raises(InvalidArgument, match="audience must be a non-empty str"):
            manager.read(token, audience=unusable)


def test_a_token_read_for_another_audience_first_is_not_good_for_the_managers_own(
    make: Make,
) -> None:
    issuer = make(audience="elsewhere")
    manager = make(audience="here")
    token = issuer.create(subject="uid1").access_token
    assert manager.read(token, audience="elsewhere").subject == "uid1"
    with pytest.raises(InvalidAccessToken, match="is for another audience"):
        manager.read(token)


def test_a_single_audience_is_issued_as_a_text(make: Make) -> None:
    manager = make(audience="one")
    assert manager.read(manager.create(subject="uid1").access_token)["aud"] == "one"
