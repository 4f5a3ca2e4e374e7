"""Pages rendered by the server: an expired access cookie is refreshed within the request itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.gates import (
    ACCESS,
    OTHER_SITE,
    OWN_PAGE,
    REFRESH,
    SAFE,
    House,
    Request,
    bearer,
    cookie,
    set_cookies,
)
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenRevoked,
    Device,
    InvalidAccessToken,
    SessionContext,
    SessionTokens,
    StorageUnavailable,
)
from tokenwheel.web import CredentialsMissing, CrossOriginRequest, Gate, MalformedCredentials
from tokenwheel.web.endpoints import Incoming
from tokenwheel.web.renewing import Admitted, admit_or_renew


class Pages:
    """A gate that renews, and requests for its pages."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.gate: Gate = house.gate(renew=lambda session: {"name": session.subject})

    def ask(self, headers: Any, method: str = "GET", **options: Any) -> Admitted:
        request = Incoming(method, Request(headers).get, context=options.pop("context", None))
        steps: Any = admit_or_renew(self.gate, request, **options)
        admitted: Any = self.house.run(steps)
        return admitted


@pytest.fixture
def pages(house: House) -> Pages:
    return Pages(house)


def renewed(admitted: Admitted) -> dict[str, str]:
    assert admitted.renewed is not None
    return set_cookies(admitted.renewed)


class TestRenewed:
    """The new cookies are those of a refresh, and the claims those of the new token."""

    @pytest.mark.parametrize("method", SAFE)
    @pytest.mark.parametrize("site", [{}, OWN_PAGE, OTHER_SITE, {"origin": "null"}])
    def test_by_safe_methods_whoever_s_link_was_followed(
        self, pages: Pages, method: str, site: dict[str, str]
    ) -> None:
        tokens = pages.house.expired()
        admitted = pages.ask(cookie(tokens) | site, method)
        assert admitted.claims is not None
        assert admitted.claims["name"] == "ann"
        assert admitted.claims.session_id == tokens.session_id
        assert pages.house.manager.read(renewed(admitted)[ACCESS]) == admitted.claims
        assert renewed(admitted)[REFRESH] != tokens.refresh_token

    def test_by_unsafe_ones_after_the_origin_check(self, pages: Pages) -> None:
        tokens = pages.house.expired()
        for site in (OTHER_SITE, {}, {"origin": "null"}):
            with pytest.raises(CrossOriginRequest):
                pages.ask(cookie(tokens) | site, "POST")
            assert pages.ask(cookie(tokens) | site, "POST", optional=True) == (None, None)
        assert renewed(pages.ask(cookie(tokens) | OWN_PAGE, "POST"))[ACCESS]

    def test_a_good_cookie_is_not_renewed(self, pages: Pages) -> None:
        for headers in (cookie(pages.house.login()), bearer(pages.house.login())):
            for optional in (True, False):
                admitted = pages.ask(headers, optional=optional)
                assert admitted.claims is not None
                assert admitted.renewed is None

    def test_requests_at_once_meet_in_the_grace(self, pages: Pages) -> None:
        tokens = pages.house.expired()
        cookies = [renewed(pages.ask(cookie(tokens))) for _ in range(5)]
        assert len({found[REFRESH] for found in cookies}) == 1
        for found in cookies:
            said = {"cookie": "; ".join(f"{name}={value}" for name, value in found.items())}
            assert pages.ask(said).claims is not None

    def test_a_restricted_session_goes_on(self, pages: Pages) -> None:
        tokens = pages.house.login()
        claims = pages.house.manager.read(tokens.access_token)
        pages.house.call("restrict_one", claims)
        with pytest.raises(AccessTokenRevoked):
            pages.gate.admit("GET", Request(cookie(tokens)).get)
        assert renewed(pages.ask(cookie(tokens)))[ACCESS]

    def test_optional_is_renewed_as_well(self, pages: Pages) -> None:
        admitted = pages.ask(cookie(pages.house.expired()), optional=True)
        assert admitted.claims is not None
        assert renewed(admitted)[ACCESS]


class TestNotRenewed:
    """What can't be renewed is refused as it is without, or counts as nobody; cookies stay."""

    def expect(self, pages: Pages, headers: Any, error: type[Exception], **options: Any) -> None:
        with pytest.raises(error):
            pages.ask(headers, **options)
        assert pages.ask(headers, optional=True, **options) == (None, None)

    def test_a_session_that_is_over(self, pages: Pages) -> None:
        tokens = pages.house.login()
        pages.house.call("delete_one", "ann", tokens.session_id)
        self.expect(pages, cookie(tokens), AccessTokenRevoked)
        pages.house.clock.advance(1000)
        self.expect(pages, cookie(tokens), AccessTokenExpired)

    def test_a_refresh_token_that_was_reused(self, pages: Pages) -> None:
        tokens = pages.house.expired()
        pages.ask(cookie(tokens))
        pages.house.clock.advance(1000)
        self.expect(pages, cookie(tokens), AccessTokenExpired)

    def test_a_cookie_without_the_other(self, pages: Pages) -> None:
        tokens = pages.house.expired()
        self.expect(pages, {"cookie": f"{ACCESS}={tokens.access_token}"}, AccessTokenExpired)
        self.expect(pages, {"cookie": f"{REFRESH}={tokens.refresh_token}"}, CredentialsMissing)

    def test_two_refresh_cookies(self, pages: Pages) -> None:
        headers = cookie(pages.house.expired())
        headers["cookie"] += f"; {REFRESH}=x"
        self.expect(pages, headers, AccessTokenExpired)

    def test_two_access_cookies(self, pages: Pages) -> None:
        headers = cookie(pages.house.expired())
        headers["cookie"] += f"; {ACCESS}=x"
        self.expect(pages, headers, MalformedCredentials)

    def test_a_token_that_was_never_good(self, pages: Pages) -> None:
        foreign = pages.house.foreign().access_token
        token = pages.house.login().refresh_token
        headers = {"cookie": f"{ACCESS}={foreign}; {REFRESH}={token}"}
        self.expect(pages, headers, InvalidAccessToken)

    def test_another_device(self, pages: Pages) -> None:
        phone = SessionContext(device=Device("Pixel", "phone"))
        tokens = pages.house.login(context=phone)
        pages.house.clock.advance(1000)
        other = SessionContext(device=Device("iPhone", "phone"))
        self.expect(pages, cookie(tokens), AccessTokenExpired, context=other)
        assert renewed(pages.ask(cookie(tokens), context=phone))[ACCESS]

    @pytest.mark.parametrize("optional", [True, False])
    def test_a_bearer_that_has_expired_is_refused_beside_good_cookies(
        self, pages: Pages, optional: bool
    ) -> None:
        expired: SessionTokens = pages.house.expired()
        for headers in (bearer(expired), bearer(expired) | cookie(pages.house.login())):
            with pytest.raises(AccessTokenExpired):
                pages.ask(headers, optional=optional)

    def test_a_gate_that_does_not_renew(self, pages: Pages) -> None:
        pages.gate = pages.house.gate()
        self.expect(pages, cookie(pages.house.expired()), AccessTokenExpired)

    @pytest.mark.parametrize("optional", [True, False])
    def test_a_storage_out_of_reach_is_always_raised(self, pages: Pages, optional: bool) -> None:
        tokens = pages.house.expired()

        def fail(*_: Any) -> Any:
            raise OSError("the disk is full")

        pages.house.manager.storage.read = fail
        with pytest.raises(StorageUnavailable):
            pages.ask(cookie(tokens), optional=optional)
        del pages.house.manager.storage.read
        assert renewed(pages.ask(cookie(tokens), optional=optional))[ACCESS]


def test_an_async_manager_awaits_the_claims() -> None:
    async def claims_of(session: Any) -> dict[str, Any]:
        return {"name": session.subject}

    house = House("async")
    pages = Pages(house)
    pages.gate = house.gate(renew=claims_of)
    admitted = pages.ask(cookie(house.expired()))
    assert admitted.claims is not None
    assert admitted.claims["name"] == "ann"
    house.close()
