"""The guarantees of the contract, each with tests named after it, as far as one process goes."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from tests.support import SECRET, FakeClock
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenRevoked,
    InvalidAccessToken,
    InvalidArgument,
    MemoryStorage,
    RefreshTokenReused,
    RevocationList,
    SessionEvent,
    SessionNotFound,
    TokenwheelError,
)

Make = Callable[..., Any]


# 1. After delete_one, delete_all or restrict_* returned, a revoked token is accepted nowhere.


def test_guarantee_1_delete_one_refuses_the_next_read_of_every_token_of_the_session(
    manager: Any,
) -> None:
    first = manager.create(subject="uid1")
    second = manager.update(first.refresh_token)
    assert manager.delete_one("uid1", first.session_id) is True
    for token in (first.access_token, second.access_token):
        with pytest.raises(AccessTokenRevoked):
            manager.read(token)


def test_guarantee_1_delete_all_refuses_the_next_read_of_every_session_of_the_subject(
    manager: Any,
) -> None:
    tokens = [manager.create(subject="uid1").access_token for _ in range(3)]
    other = manager.create(subject="uid2").access_token
    assert manager.delete_all("uid1") == 3
    for token in tokens:
        with pytest.raises(AccessTokenRevoked):
            manager.read(token)
    assert manager.read(other).subject == "uid2"


def test_guarantee_1_restrict_refuses_the_next_read_whether_the_token_was_seen_before_or_not(
    manager: Any,
) -> None:
    seen, unseen = (manager.create(subject="uid1").access_token for _ in range(2))
    manager.read(seen)
    manager.restrict_all("uid1")
    for token in (seen, unseen):
        with pytest.raises(AccessTokenRevoked):
            manager.read(token)


def test_guarantee_1_a_second_manager_over_the_same_list_refuses_as_well(make: Make) -> None:
    revocations = RevocationList()
    storage = MemoryStorage()
    login, resource = (
        make(storage=storage, revocations=revocations),
        make(storage=storage, revocations=revocations),
    )
    tokens = login.create(subject="uid1")
    assert resource.read(tokens.access_token).subject == "uid1"
    login.delete_one("uid1", tokens.session_id)
    with pytest.raises(AccessTokenRevoked):
        resource.read(tokens.access_token)


# 2. What is issued right after is good at once; what was issued before stays refused. No clock
# takes part.


def test_guarantee_2_a_login_in_the_same_instant_as_delete_all_is_accepted(manager: Any) -> None:
    before = manager.create(subject="uid1")
    manager.delete_all("uid1")
    after = manager.create(subject="uid1")
    assert manager.read(after.access_token).session_id == after.session_id
    with pytest.raises(AccessTokenRevoked):
        manager.read(before.access_token)


@pytest.mark.parametrize("restrict", ["restrict_one", "restrict_all"])
def test_guarantee_2_a_refresh_in_the_same_instant_as_a_restriction_is_accepted(
    manager: Any, restrict: str
) -> None:
    before = manager.create(subject="uid1")
    claims = manager.read(before.access_token)
    manager.restrict_one(claims) if restrict == "restrict_one" else manager.restrict_all("uid1")
    after = manager.update(before.refresh_token)
    assert manager.read(after.access_token).session_id == before.session_id
    with pytest.raises(AccessTokenRevoked):
        manager.read(before.access_token)


@pytest.mark.parametrize("minutes", [-5, 5])
def test_guarantee_2_holds_when_the_clocks_of_two_nodes_differ_by_minutes(
    make: Make, clock: FakeClock, minutes: int
) -> None:
    storage = MemoryStorage()
    other_clock = FakeClock(clock.now + minutes * 60)
    revocations = RevocationList(clock=clock)
    here = make(storage=storage, revocations=revocations, leeway=600)
    there = make(storage=storage, revocations=revocations, leeway=600, clock=other_clock)
    before = there.create(subject="uid1")
    here.restrict_all("uid1")
    after = there.update(before.refresh_token)
    for node in (here, there):
        assert node.read(after.access_token).session_id == before.session_id
        with pytest.raises(AccessTokenRevoked):
            node.read(before.access_token)
    here.delete_all("uid1")
    anew = there.create(subject="uid1")
    for node in (here, there):
        assert node.read(anew.access_token).session_id == anew.session_id
        with pytest.raises(AccessTokenRevoked):
            node.read(after.access_token)


# 3. A revocation outlives everything it covers, and nothing more. (Restarts: with the durable
# feeds.)


def test_guarantee_3_a_revocation_lasts_until_the_longest_token_of_the_session_has_expired(
    make: Make, clock: FakeClock
) -> None:
    revocations = RevocationList(clock=clock)
    manager = make(revocations=revocations, leeway=5)
    tokens = manager.create(subject="uid1", access_ttl=3600)
    manager.update(tokens.refresh_token, access_ttl=10)
    manager.delete_one("uid1", tokens.session_id)
    clock.advance(3599 + 5)
    with pytest.raises(AccessTokenRevoked):
        manager.read(tokens.access_token)
    clock.advance(120)
    with pytest.raises(AccessTokenExpired):
        manager.read(tokens.access_token)
    assert len(revocations) == 0


def test_guarantee_3_a_revoked_token_stays_refused_with_the_largest_leeway_a_read_may_ask_for(
    manager: Any, clock: FakeClock
) -> None:
    tokens = manager.create(subject="uid1", access_ttl=10)
    manager.delete_all("uid1")
    clock.advance(30)
    with pytest.raises(AccessTokenRevoked):
        manager.read(tokens.access_token, leeway=60)
    with pytest.raises(InvalidArgument, match="leeway must be a number of seconds from 0 to 60"):
        manager.read(tokens.access_token, leeway=61)


# 4. What one caller does to its claims reaches no other caller.


@pytest.mark.parametrize("cache", [0, 1024])
def test_guarantee_4_nobody_changes_the_claims_of_another_nested_values_included(
    make: Make, cache: int
) -> None:
    manager = make(verified_cache_size=cache)
    data = {"roles": ["user"], "tenant": {"id": 7, "flags": ["a"]}}
    token = manager.create(data, subject="uid1").access_token
    mine = manager.read(token)
    mine["roles"].append("admin")
    mine["tenant"]["flags"].clear()
    mine["aud"].append("elsewhere")
    mine.to_dict()["tenant"]["id"] = 8
    for value in mine.values():
        if isinstance(value, list):
            value.append("admin")
    for _, value in mine.items():  # noqa: PERF102 - another way to the values
        if isinstance(value, dict):
            value.clear()
    for change in (
        lambda: mine.__setitem__("role", "admin"),
        lambda: setattr(mine, "subject", "root"),
        lambda: delattr(mine, "subject"),
    ):
        with pytest.raises((TypeError, AttributeError)):
            change()
    for other in (manager.read(token), mine, copy.deepcopy(mine)):
        assert other["roles"] == ["user"]
        assert other["tenant"] == {"id": 7, "flags": ["a"]}
        assert other["aud"] == ["auth-server.com", "rest-server.com"]
        assert other.subject == "uid1"


# 5. No secret, token, or part of one appears where it does not belong.


def _pieces(*texts: str) -> list[str]:
    """Every stretch of eight characters of the secret parts."""
    return [text[start : start + 8] for text in texts for start in range(len(text) - 7)]


def test_guarantee_5_no_exception_log_line_or_repr_holds_a_secret_or_a_token(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    storage = MemoryStorage()
    manager = make(storage=storage, refresh_hook=lambda session, context: None)
    heard: list[Any] = []
    for event in SessionEvent:
        manager.on(event, heard.append)
        manager.on(event, lambda event: 1 / 0)
    first = manager.create({"role": "user"}, subject="uid1")
    second = manager.update(first.refresh_token)
    said = [
        repr(manager),
        repr(first),
        repr(second),
        repr(storage),
        repr(manager.read(first.access_token)),
        repr(manager.read_all("uid1")),
    ]
    header, payload, signature = first.access_token.split(".")
    attempts: list[Callable[[], Any]] = [
        lambda: manager.read(first.access_token[:-4]),
        lambda: manager.read(f"{header}.{payload[:-4]}.{signature}"),
        lambda: manager.read(jwt.encode({"sub": "uid1"}, SECRET)),
        lambda: manager.read(first.access_token + "é"),
        lambda: manager.read(first.access_token, audience="elsewhere"),
        lambda: manager.update(first.refresh_token[:-4]),
        lambda: manager.update(
            first.refresh_token[:-1] + ("A" if first.refresh_token[-1] != "A" else "B")
        ),
        lambda: manager.update(second.refresh_token, subject="uid2"),
        lambda: manager.delete_one("uid1", second.refresh_token + "!"),
        lambda: manager.create(subject=second.refresh_token * 9),
        lambda: manager.read(manager.create(subject="uid3").access_token + first.access_token),
    ]
    for attempt in attempts:
        with pytest.raises(TokenwheelError) as caught:
            attempt()
        error: BaseException | None = caught.value
        while error is not None:
            said += [str(error), repr(error), repr(vars(error))]
            error = error.__cause__ or error.__context__
    said += (
        [repr(event) for event in heard]
        + [record.getMessage() for record in caplog.records]
        + [caplog.text]
    )
    secrets = _pieces(
        payload, signature, first.refresh_token[16:], second.refresh_token[16:], SECRET
    )
    for text in said:
        assert not [piece for piece in secrets if piece in text]


def test_guarantee_5_a_storage_sees_no_secret_and_a_dump_of_it_refreshes_nothing(
    make: Make,
) -> None:
    storage = MemoryStorage()
    manager = make(storage=storage)
    first = manager.create(subject="uid1")
    second = manager.update(first.refresh_token)
    record = storage.read(first.session_id, 1_700_000_000)
    assert record is not None
    dump = pickle.dumps(tuple(record))
    from tokenwheel._impl import decode

    for text in (first.refresh_token, second.refresh_token):
        secret = decode(text)[12:]
        assert not [start for start in range(len(secret) - 7) if secret[start : start + 8] in dump]
        assert text[16:24].encode() not in dump


# 6. Subjects are never confused.


@pytest.mark.parametrize(
    "subject, owner",
    [
        ("a", "a@b"),
        ("a:*", "a"),
        ("*", "a"),
        ("\u00e4", "a\u0308"),
        ("a b", "a  b"),
        ("A", "a"),
        ("é" * 255, "é" * 254),
        ("😀", "😁"),
    ],
)
def test_guarantee_6_what_is_done_to_one_subject_never_reaches_another(
    manager: Any, subject: str, owner: str
) -> None:
    mine, theirs = manager.create(subject=subject), manager.create(subject=owner)
    assert list(manager.read_all(subject)) == [mine.session_id]
    assert manager.delete_one(subject, theirs.session_id) is False
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(theirs.refresh_token, subject=subject)
    manager.restrict_one({"sub": subject, "sid": theirs.session_id})
    assert manager.delete_all(subject) == 1
    assert manager.read(theirs.access_token).subject == owner
    assert manager.update(theirs.refresh_token, subject=owner).session_id == theirs.session_id


# 7. Only access tokens issued here are accepted.


def test_guarantee_7_another_jwt_signed_with_the_same_key_is_refused(
    manager: Any, clock: FakeClock
) -> None:
    claims = manager.read(manager.create(subject="uid1").access_token).to_dict()
    assert manager.read(jwt.encode(claims, SECRET, headers={"typ": "at+jwt"})).subject == "uid1"
    for typ in ("JWT", "AT+JWT ", "reset+jwt", None):
        with pytest.raises(InvalidAccessToken, match="'typ' is another"):
            manager.read(jwt.encode(claims, SECRET, headers={"typ": typ}))
    for missing in ("iss", "aud", "sub", "sid", "iat", "exp"):
        reason = "another issuer" if missing == "iss" else f"'{missing}' is missing or malformed"
        with pytest.raises(InvalidAccessToken, match=reason):
            manager.read(
                jwt.encode(
                    {k: v for k, v in claims.items() if k != missing},
                    SECRET,
                    headers={"typ": "at+jwt"},
                )
            )


# 8. The application's claims can't carry the library's.


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "gen"])
def test_guarantee_8_a_claim_of_the_library_is_refused_and_nothing_is_stored_or_changed(
    manager: Any, name: str
) -> None:
    claims = {"role": "user", name: "x"}
    with pytest.raises(InvalidArgument, match=name):
        manager.create(claims, subject="uid1")
    assert manager.read_all("uid1") == {}
    tokens = manager.create(subject="uid1")
    with pytest.raises(InvalidArgument, match=name):
        manager.update(tokens.refresh_token, claims)
    assert manager.update(tokens.refresh_token).session_id == tokens.session_id
    assert claims == {"role": "user", name: "x"}


def test_guarantee_8_the_callers_dict_is_not_changed(manager: Any) -> None:
    claims = {"roles": ["user"]}
    manager.create(claims, subject="uid1")
    assert claims == {"roles": ["user"]}


def test_reuse_of_a_refresh_token_is_told_apart_from_an_unknown_one_only_by_its_type(
    manager: Any, clock: FakeClock
) -> None:
    first = manager.create(subject="uid1")
    manager.update(first.refresh_token)
    clock.advance(11)
    with pytest.raises(RefreshTokenReused) as caught:
        manager.update(first.refresh_token)
    assert isinstance(caught.value, SessionNotFound)
    assert caught.value.status == SessionNotFound.status
