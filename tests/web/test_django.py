"""The setting, the middleware and the decorator of Django, as views meet them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings

from tests.web import django_project
from tests.web.django_project import Site, code_of, served
from tokenwheel import AsyncSessionManager, ConfigurationError, InvalidArgument
from tokenwheel.web import Gate

django_project.configure()

from tokenwheel.web.django import (  # noqa: E402 -- it needs the settings
    AuthMiddleware,
    DjangoAuth,
    current_auth,
    require_claims,
)

MIDDLEWARE = "tokenwheel.web.django.AuthMiddleware"
OF_DJANGO = "django.contrib.auth.middleware.AuthenticationMiddleware"
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
EXPIRED = 1_000  # seconds, after which an access token is no longer good
VIEWS = ["/me", "/me-async", "/page", "/whole-async-page"]
not_a_gate = "of no use"


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as site:
        yield site


def ask(path: str, **options: Any) -> Any:
    """Return the response of the project's ASGI application."""

    async def get() -> Any:
        return await AsyncClient().get(path, **options)

    return asyncio.run(get())


def test_the_package_imports_no_framework() -> None:
    program = (
        "import sys, tokenwheel.web\n"
        "assert not {'django', 'rest_framework', 'drf_spectacular'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "path, reason",
    [
        (None, "must be the dotted path"),
        (42, "must be the dotted path"),
        ("tests.web.nowhere.gate", "can't be imported: No module named"),
        ("gate", "can't be imported"),
        ("tests.web.test_django.not_a_gate", "must name a Gate or DjangoAuth"),
        ("tokenwheel.web.Gate", "must name a Gate or DjangoAuth"),
    ],
)
def test_a_setting_that_names_no_gate_is_told_at_first_use(path: Any, reason: str) -> None:
    with (
        override_settings(TOKENWHEEL=path),
        pytest.raises(ImproperlyConfigured, match=reason),
    ):
        current_auth()


def test_the_setting_may_name_a_gate_itself_and_follows_override_settings(site: Site) -> None:
    assert current_auth() is site.auth
    django_project.auth = site.gate
    with override_settings(TOKENWHEEL="tests.web.django_project.auth"):
        assert current_auth().gate is site.gate
        assert current_auth() is current_auth() is not site.auth


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"user_loader": 1}, "user_loader must be a callable"),
        ({"user_loader": lambda: None}, "user_loader must take positional arguments: claims"),
        ({"claims": 1}, "claims must be a callable"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    site: Site, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        DjangoAuth(site.gate, **options)
    with pytest.raises(ConfigurationError, match="gate must be a Gate"):
        DjangoAuth(Gate)  # type: ignore[arg-type]


def test_a_wrong_order_of_middlewares_is_told_when_the_project_starts(site: Site) -> None:
    with (
        override_settings(MIDDLEWARE=[MIDDLEWARE, OF_DJANGO]),
        pytest.raises(ImproperlyConfigured, match="must come after"),
    ):
        AuthMiddleware(lambda request: HttpResponse())


def test_the_checks_of_django_find_nothing(site: Site) -> None:
    call_command("check", verbosity=0)


def test_claims_of_a_request_are_none_where_nobody_is_signed_in(site: Site) -> None:
    assert site.browser().get("/who").json() == {"subject": None}
    assert site.signed_in("ann").get("/who").json() == {"subject": "ann"}
    assert site.bearer("bob").get("/who").json() == {"subject": "bob"}
    assert ask("/who-async").json() == {"subject": None}


def test_a_cookie_that_is_not_good_counts_as_nobody(site: Site) -> None:
    client = site.signed_in()
    assert client.post("/page", headers=CROSS_SITE).status_code == 403
    site.clock.advance(EXPIRED)
    assert client.get("/who").json() == {"subject": None}


def test_a_bearer_that_is_not_good_is_refused_by_views_that_ask_for_claims_alone(
    site: Site,
) -> None:
    client = site.bearer()
    site.clock.advance(EXPIRED)
    response = client.get("/who")
    assert (response.status_code, code_of(response)) == (401, "access_token_expired")
    assert client.get("/untouched").content == b"untouched"
    twice = Client(headers={"Authorization": "Bearer a, Bearer b"})
    assert code_of(twice.get("/who")) == code_of(twice.get("/me")) == "invalid_request"


@pytest.mark.parametrize("path", ["/full", "/full-async"])
def test_errors_that_views_raise_become_the_finished_answer(site: Site, path: str) -> None:
    for response in (site.browser().get(path), ask(path)):
        assert (response.status_code, code_of(response)) == (409, "too_many_sessions")


@pytest.mark.parametrize("path", VIEWS)
def test_a_view_that_requires_claims_is_for_those_who_are_signed_in(site: Site, path: str) -> None:
    response = site.browser().get(path)
    assert (response.status_code, code_of(response)) == (401, "credentials_missing")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert site.signed_in().get(path).json() == {"subject": "ann"}
    token = site.manager.create(subject="bob").access_token
    assert ask(path, headers={"Authorization": f"Bearer {token}"}).json() == {"subject": "bob"}
    assert ask(path).headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/scoped", "/async-page"])
def test_scopes_that_are_missing_are_named(site: Site, path: str) -> None:
    response = site.signed_in(scope="other").get(path)
    assert (response.status_code, code_of(response)) == (403, "insufficient_scope")
    assert 'scope="admin"' in response.headers["WWW-Authenticate"]
    assert site.signed_in(scope="admin other").get(path).json() == {"subject": "ann"}


def test_a_login_that_is_too_old_is_refused_though_its_session_was_refreshed(site: Site) -> None:
    client = site.signed_in()
    assert client.get("/fresh").json() == {"subject": "ann"}
    site.clock.advance(301)
    assert client.post("/session/refresh").status_code == 200
    response = client.get("/fresh")
    assert (response.status_code, code_of(response)) == (401, "login_too_old")


def test_demands_are_checked_where_the_view_is_written() -> None:
    with pytest.raises(InvalidArgument, match="scopes must be a list"):
        require_claims(scopes="admin")  # type: ignore[call-overload]
    with pytest.raises(InvalidArgument, match="max_age must be a whole number"):
        require_claims(max_age=-1)
    with pytest.raises(InvalidArgument, match="require_claims is for views"):
        require_claims("admin")  # type: ignore[type-var]
    with pytest.raises(InvalidArgument, match="method_decorator"):
        require_claims(HttpResponse)
    require_claims(scopes=("a", "b"), max_age=timedelta(minutes=5))


def test_a_view_keeps_its_name_and_what_other_decorators_have_said_of_it() -> None:
    def view(request: HttpRequest, number: int) -> HttpResponse:
        """Do something."""
        return HttpResponse(str(number))

    view.other = "said"  # type: ignore[attr-defined]
    guarded: Any = require_claims(view)
    assert (guarded.__name__, guarded.__doc__, guarded.other) == ("view", "Do something.", "said")


def test_it_works_without_the_middleware(site: Site) -> None:
    request = RequestFactory().get("/")
    assert code_of(require_claims(lambda request: HttpResponse())(request)) == "credentials_missing"
    token = site.manager.create(subject="ann").access_token
    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
    view = require_claims(lambda request: HttpResponse(request.claims.subject))
    assert view(request).content == b"ann"


def test_a_preflight_is_for_the_cors_of_the_project(site: Site) -> None:
    response = site.browser().options("/me", headers={"Origin": "https://app.example"})
    assert (response.status_code, response.content) == (200, b"")
    assert site.signed_in().options("/me").json() == {"subject": "ann"}


def test_a_view_that_requires_claims_needs_no_csrf_token_and_is_checked_for_its_origin(
    site: Site,
) -> None:
    client = site.signed_in()
    for path in VIEWS:
        assert client.post(path).json() == {"subject": "ann"}
        response = client.post(path, headers=CROSS_SITE)
        assert (response.status_code, code_of(response)) == (403, "cross_origin")
        assert not response.cookies
    bare = Client(enforce_csrf_checks=True)  # A proxy has removed what browsers send.
    bare.cookies = client.cookies
    assert code_of(bare.post("/me")) == "cross_origin"
    assert site.bearer().post("/me").json() == {"subject": "ann"}


def test_other_views_and_those_that_ask_for_it_keep_the_csrf_token_of_django(site: Site) -> None:
    client = site.signed_in()
    for path in ("/who", "/untouched", "/with-token"):
        response = client.post(path)
        assert response.status_code == 403
        assert b"CSRF" in response.content


def test_a_page_of_another_site_can_not_act_with_the_session_of_django(site: Site) -> None:
    """A view that requires claims takes no other credentials, whatever else the browser sends."""
    client = site.browser()
    client.cookies["sessionid"] = "of the admin's"
    assert code_of(client.post("/me", headers=CROSS_SITE)) == "credentials_missing"
    site.give_cookies(client, site.manager.create(subject="ann"))
    assert code_of(client.post("/me", headers=CROSS_SITE)) == "cross_origin"


def test_caches_of_django_do_not_show_a_response_to_others(site: Site) -> None:
    around = [
        "django.middleware.cache.UpdateCacheMiddleware",
        MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    with override_settings(MIDDLEWARE=around):
        ann, bob = site.signed_in("ann"), site.signed_in("bob")
        for path in ("/me", "/who", "/me-async", "/who-async", "/session/sessions"):
            assert ann.get(path).content != bob.get(path).content != b""
            assert site.browser().get(path).content not in (ann.get(path).content, b"")
        assert "no-cache" not in ann.get("/untouched").headers.get("Cache-Control", "")


def test_a_manager_that_awaits_serves_views_of_both_kinds() -> None:
    with served(AsyncSessionManager) as site:
        token = asyncio.run(site.manager.create(subject="ann")).access_token
        headers = {"Authorization": f"Bearer {token}"}
        for path in ("/me", "/me-async", "/who", "/who-async"):
            assert ask(path, headers=headers).json() == {"subject": "ann"}
