"""Pages of Django that need no script: an expired cookie is renewed within the request itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import AsyncClient, RequestFactory, override_settings

from tests.web import django_project
from tests.web.django_project import Site, code_of, served
from tokenwheel import AsyncSessionManager, Session

django_project.configure()

from tokenwheel.web.django import require_claims  # noqa: E402 -- it needs the settings

EXPIRED = 1_000  # seconds, after which an access token is no longer good
BROWSER = {"Sec-Fetch-Site": "same-origin"}
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}


renewed: list[str] = []
"""The sessions that were renewed in this test."""


def claims_of(session: Session) -> dict[str, Any]:
    renewed.append(session.id)
    return {"scope": "admin"}


@pytest.fixture
def site() -> Iterator[Site]:
    renewed.clear()
    with served(renew=claims_of) as site:
        yield site


@pytest.mark.parametrize(
    "path, status",
    [
        ("/me", 200),
        ("/me-async", 200),
        ("/page", 200),
        ("/whole-async-page", 200),
        ("/who", 200),
        ("/who-async", 200),
        ("/scoped", 200),
        ("/elsewhere", 302),
        ("/missing", 404),
        ("/stream", 200),
        ("/broken", 500),
        ("/fresh", 401),
    ],
)
def test_new_cookies_are_on_whatever_response_there_is(site: Site, path: str, status: int) -> None:
    client = site.signed_in()
    client.raise_request_exception = False
    old = {name: cookie.value for name, cookie in client.cookies.items()}
    site.clock.advance(EXPIRED)
    response = client.get(path)
    assert response.status_code == status
    assert response.headers["Cache-Control"] == "no-store"
    assert set(response.cookies) == set(old)
    assert all(response.cookies[name].value not in (old[name], "") for name in old)
    response = client.get("/me")
    assert response.json() == {"subject": "ann"}
    assert not response.cookies
    assert "Cache-Control" not in response.headers


def test_a_session_is_renewed_once_a_request(site: Site) -> None:
    client = site.signed_in()
    site.clock.advance(EXPIRED)
    assert client.get("/several").status_code == 200
    assert renewed == list(site.manager.read_all("ann"))


def test_requests_of_one_page_get_the_same_new_refresh_token(site: Site) -> None:
    tokens = site.manager.create(subject="ann")
    site.clock.advance(EXPIRED)
    tabs = [site.browser(), site.browser()]
    for tab in tabs:
        site.give_cookies(tab, tokens)
        assert tab.get("/me").json() == {"subject": "ann"}
    first, second = (tab.cookies["__Host-tw-refresh"].value for tab in tabs)
    assert first == second != tokens.refresh_token


def test_a_page_of_another_site_renews_nothing_by_unsafe_methods(site: Site) -> None:
    client = site.signed_in()
    site.clock.advance(EXPIRED)
    response = client.post("/me", headers=CROSS_SITE)
    assert (response.status_code, code_of(response)) == (403, "cross_origin")
    assert not response.cookies
    assert client.post("/me").json() == {"subject": "ann"}


def test_what_can_not_be_renewed_is_refused_and_the_cookies_stay(site: Site) -> None:
    client = site.signed_in()
    site.manager.delete_all("ann")
    response = client.get("/me")
    assert (response.status_code, code_of(response)) == (401, "access_token_revoked")
    assert not response.cookies
    assert client.get("/who").json() == {"subject": None}


def test_a_view_that_signs_in_or_out_has_the_last_word(site: Site) -> None:
    client = site.signed_in()
    site.clock.advance(EXPIRED)
    response = client.post("/sign-in-again")
    tokens = site.manager.read(response.cookies["__Host-tw-access"].value)
    assert tokens.subject == "bob"


def test_login_refresh_and_logout_renew_nothing(site: Site) -> None:
    client = site.signed_in()
    site.clock.advance(EXPIRED)
    assert not client.get("/untouched").cookies
    assert client.post("/login").status_code == 200
    site.clock.advance(EXPIRED)
    assert client.post("/session/logout").status_code == 204
    assert renewed == []


def test_a_manager_that_awaits_renews_in_async_views_alone() -> None:
    async def use(site: Site) -> None:
        for path in ("/me-async", "/who-async", "/stream-async"):
            client = AsyncClient()
            site.give_cookies(client, await site.manager.create(subject="ann"))
            site.clock.advance(EXPIRED)
            response = await client.get(path)
            assert response.status_code == 200
            assert len(response.cookies) == 2
        for path in ("/me", "/who"):
            response = await client.get(path)
            assert (response.status_code, code_of(response)) == (500, "configuration_error")

    with served(AsyncSessionManager, renew=claims_of) as site:
        asyncio.run(use(site))


def test_claims_that_may_have_to_be_renewed_are_awaited_in_async_views(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async def use() -> Any:
        return await AsyncClient().get("/claims-async")

    assert code_of(asyncio.run(use())) == "configuration_error"
    assert "await request.aclaims()" in caplog.text


def test_without_the_middleware_nothing_is_renewed_that_nobody_would_hear_of(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    view = require_claims(lambda request: None)
    response = view(RequestFactory().get("/"))
    assert (response.status_code, code_of(response)) == (500, "configuration_error")
    assert "AuthMiddleware' in MIDDLEWARE" in caplog.text
    with override_settings(MIDDLEWARE=[]):
        assert site.signed_in().get("/me").status_code == 500
