"""A refreshed access token says when its user logged in (RFC 9068, section 2.2.1)."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import FakeClock, refused
from tokenwheel import InvalidArgument, MemoryStorage

Make = Callable[..., Any]
LOGIN = 1_700_000_000  # the clock of these tests shows a quarter of a second more


def claims_of(manager: Any, tokens: Any) -> dict[str, Any]:
    claims: dict[str, Any] = manager.read(tokens.access_token).to_dict()
    return claims


def test_a_token_of_a_login_has_none_since_it_was_issued_then(manager: Any) -> None:
    claims = claims_of(manager, manager.create(subject="ann"))
    assert "auth_time" not in claims
    assert claims["iat"] == LOGIN


def test_each_refreshed_token_says_when_the_session_was_created_in_whole_seconds(
    manager: Any, clock: FakeClock
) -> None:
    tokens = manager.create(subject="ann")
    for refreshes in range(1, 4):
        clock.advance(600)
        tokens = manager.update(tokens.refresh_token, {"role": "user"})
        claims = claims_of(manager, tokens)
        assert type(claims["auth_time"]) is int
        assert (claims["auth_time"], claims["iat"]) == (LOGIN, LOGIN + 600 * refreshes)
        assert claims["role"] == "user"


def test_a_retried_refresh_says_it_too(manager: Any, clock: FakeClock) -> None:
    login = manager.create(subject="ann")
    clock.advance(600)
    manager.update(login.refresh_token)
    assert claims_of(manager, manager.update(login.refresh_token))["auth_time"] == LOGIN


def test_a_session_that_was_restricted_still_says_when_its_user_logged_in(
    manager: Any, clock: FakeClock
) -> None:
    login = manager.create(subject="ann")
    clock.advance(600)
    manager.restrict_all("ann")
    claims = claims_of(manager, manager.update(login.refresh_token))
    assert (claims["gen"], claims["auth_time"]) == (1, LOGIN)


def test_no_login_is_later_than_the_token_where_a_node_is_behind(make: Make) -> None:
    storage = MemoryStorage()
    ahead, behind = FakeClock(1_700_000_060.5), FakeClock(1_700_000_000.25)
    tokens = make(storage=storage, clock=ahead).create(subject="ann")
    there = make(storage=storage, clock=behind)
    claims = claims_of(there, there.update(tokens.refresh_token))
    assert claims["auth_time"] == claims["iat"] == 1_700_000_000


@pytest.mark.parametrize("own", [1_600_000_000, None, "yesterday"])
@pytest.mark.parametrize("asks", [False, True], ids=["given", "asked for"])
def test_an_auth_time_of_the_application_counts_instead(manager: Any, own: Any, asks: bool) -> None:
    given = {"auth_time": own}
    login = manager.create(given, subject="ann")
    assert claims_of(manager, login)["auth_time"] == own
    refreshed = manager.update(login.refresh_token, (lambda session: given) if asks else given)
    assert claims_of(manager, refreshed)["auth_time"] == own


def test_claims_that_only_fit_without_it_are_refused_and_leave_the_session_alone(
    manager: Any,
) -> None:
    def fits(length: int) -> Any:
        try:
            return manager.create({"text": "x" * length}, subject="ann")
        except InvalidArgument:
            return None

    longest = bisect(range(6144), 0, key=lambda length: fits(length) is None) - 1
    login = fits(longest)
    with pytest.raises(InvalidArgument, match="claims make an access token of"):
        manager.update(login.refresh_token, {"text": "x" * longest})
    assert claims_of(manager, manager.update(login.refresh_token))["auth_time"] == LOGIN


def test_a_forged_login_time_is_refused_with_its_token(manager: Any) -> None:
    tokens = manager.update(manager.create(subject="ann").refresh_token)
    header, _, signature = tokens.access_token.split(".")
    other = manager.update(tokens.refresh_token, {"auth_time": 2}).access_token.split(".")[1]
    refused(manager.read, f"{header}.{other}.{signature}", "signature")
