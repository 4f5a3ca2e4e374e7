"""Django REST framework: who is let in, which scopes a view needs, what a refusal looks like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from django.test import Client, override_settings

from tests.web import django_project
from tests.web.django_project import Site, code_of, database, served
from tests.web.test_django_users import load, load_async
from tokenwheel import ConfigurationError, InvalidArgument

django_project.configure()

from rest_framework.permissions import IsAuthenticated  # noqa: E402 -- it needs the settings

from tokenwheel.web.drf import HasScopes  # noqa: E402

EXPIRED = 1_000  # seconds, after which an access token is no longer good
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
WITHOUT_OURS = ["django.contrib.sessions.middleware.SessionMiddleware"]


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as site:
        yield site


def test_auth_are_the_claims_and_the_user_is_known_by_the_subject(site: Site) -> None:
    for client in (site.signed_in("ann"), site.bearer("ann")):
        assert client.get("/api/me").json() == {
            "auth": "ann",
            "user": "ann",
            "pk": "ann",
            "claims": "ann",
        }


@pytest.mark.parametrize("loader", [load, load_async])
def test_the_user_is_loaded_where_there_is_a_loader(loader: Any) -> None:
    with served(user_loader=loader) as site:
        assert site.bearer("ann").get("/api/who").json() == {"user": "ann"}
        response = site.bearer("gone").get("/api/me")
        assert (response.status_code, code_of(response)) == (401, "access_token_invalid")


def test_refusals_are_those_of_the_gate_byte_for_byte(site: Site) -> None:
    expired = site.signed_in()
    expired_bearer = site.bearer()
    site.clock.advance(EXPIRED)
    ended = site.signed_in()
    site.manager.delete_all("ann")
    requests: list[tuple[Any, str, dict[str, str]]] = [
        (site.browser(), "get", {}),
        (expired, "get", {}),
        (expired_bearer, "get", {}),
        (ended, "post", {}),
        (site.signed_in(), "post", CROSS_SITE),
        (Client(), "get", {"Authorization": "Bearer a, Bearer b"}),
        (Client(), "get", {"Authorization": "DPoP a"}),
        (Client(), "get", {"Authorization": "Basic YTpi"}),
    ]
    statuses = set()
    for client, method, headers in requests:
        expected = getattr(client, method)("/page", headers=headers)
        statuses.add(expected.status_code)
        for middleware in (None, WITHOUT_OURS):
            with override_settings(**({} if middleware is None else {"MIDDLEWARE": middleware})):
                response = getattr(client, method)("/api/me", headers=headers)
            assert (response.status_code, response.content) == (
                expected.status_code,
                expected.content,
            )
            assert dict(response.headers) == dict(expected.headers)
    assert statuses == {400, 401, 403}


def test_a_view_for_everybody_takes_a_cookie_that_is_not_good_for_nobody(site: Site) -> None:
    client = site.signed_in()
    assert client.post("/api/open", headers=CROSS_SITE).json() == {"user": "AnonymousUser"}
    site.clock.advance(EXPIRED)
    assert client.get("/api/open").json() == {"user": "AnonymousUser"}
    assert code_of(Client(headers={"Authorization": "Bearer x"}).get("/api/open")) == (
        "access_token_invalid"
    )


def test_a_request_with_cookies_is_looked_at_for_its_origin_and_needs_no_csrf_token(
    site: Site,
) -> None:
    client = site.signed_in()
    assert client.post("/api/me").status_code == 200
    assert code_of(client.post("/api/me", headers=CROSS_SITE)) == "cross_origin"


@pytest.mark.parametrize("path", ["/api/scoped", "/api/scoped-by-class"])
def test_scopes_that_are_missing_are_named(site: Site, path: str) -> None:
    response = site.bearer(scope="other").get(path)
    assert (response.status_code, code_of(response)) == (403, "insufficient_scope")
    expected = site.bearer(scope="other").get("/scoped")
    assert (response.content, dict(response.headers)) == (
        expected.content,
        dict(expected.headers),
    )
    assert site.bearer(scope="other admin").get(path).status_code == 200
    assert code_of(site.browser().get(path)) == "credentials_missing"


def test_scopes_go_with_other_permissions(site: Site) -> None:
    assert site.bearer(scope="other").get("/api/either").status_code == 403
    assert site.bearer(scope="admin").get("/api/either").status_code == 200
    assert site.bearer("root", scope="other").get("/api/either").status_code == 200


def test_scopes_that_make_no_sense_or_are_forgotten_are_told(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InvalidArgument, match="scopes must be a list"):
        HasScopes("a b")
    response = site.bearer().get("/api/forgotten")
    assert (response.status_code, code_of(response)) == (500, ConfigurationError.code)
    assert "required_scopes" in caplog.text


def test_what_a_view_raises_is_answered_as_the_gate_does(site: Site) -> None:
    response = site.bearer().get("/api/full")
    assert (response.status_code, code_of(response)) == (409, "too_many_sessions")
    with override_settings(MIDDLEWARE=WITHOUT_OURS):
        response = site.bearer().get("/api/full-handled")
        assert (response.status_code, code_of(response)) == (409, "too_many_sessions")
        assert site.bearer().get("/api/missing").status_code == 404


def test_what_a_refused_view_has_written_is_undone_where_a_request_is_a_transaction(
    site: Site,
) -> None:
    from django.contrib.auth.models import User
    from django.db import connection

    with database(), patch.dict(connection.settings_dict, ATOMIC_REQUESTS=True):
        assert code_of(site.bearer().post("/api/full-handled")) == "too_many_sessions"
        assert not User.objects.filter(username="half done").exists()


def test_where_another_way_to_authenticate_comes_first_it_says_how(site: Site) -> None:
    assert site.bearer().get("/api/basic-first").status_code == 200
    response = site.browser().get("/api/basic-first")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="api"'


def test_a_login_is_a_view_of_its_own(site: Site) -> None:
    client = site.browser()
    assert code_of(client.post("/api/login", headers=CROSS_SITE)) == "cross_origin"
    assert site.manager.read_all("ann") == {}
    assert client.post("/api/login").status_code == 200
    site.clock.advance(EXPIRED)
    assert client.post("/api/login").status_code == 200
    assert client.post("/api/me").status_code == 200


def test_a_view_may_demand_a_fresh_login_by_the_decorator(site: Site) -> None:
    client = site.bearer()
    assert client.get("/api/fresh").status_code == 200
    site.clock.advance(301)
    assert code_of(client.get("/api/fresh")) == "login_too_old"


def test_an_expired_cookie_is_renewed_on_the_way() -> None:
    with served(renew=lambda session: {}) as site:
        client = site.signed_in()
        site.clock.advance(EXPIRED)
        response = client.get("/api/me")
        assert (response.status_code, len(response.cookies)) == (200, 2)


def test_the_browsable_api_shows_a_page_and_the_forms_that_are_allowed(site: Site) -> None:
    client = site.signed_in(scope="other")
    html = {"Accept": "text/html"}
    response = client.get("/api/browsable", headers=html)
    assert response.status_code == 200
    assert b"<!DOCTYPE html>" in response.content
    assert b'name="_content"' not in response.content
    admin = site.signed_in(scope="admin").get("/api/browsable", headers=html)
    assert b'name="_content"' in admin.content
    assert code_of(site.browser().get("/api/browsable", headers=html)) == "credentials_missing"


def test_the_openapi_names_both_ways_of_an_access_token(site: Site) -> None:
    from drf_spectacular.generators import SchemaGenerator

    schema = SchemaGenerator().get_schema(request=None, public=True)
    assert schema["components"]["securitySchemes"] == {
        "basicAuth": {"type": "http", "scheme": "basic"},
        "bearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "cookieAuth": {"type": "apiKey", "in": "cookie", "name": "__Host-tw-access"},
    }
    security = schema["paths"]["/api/scoped"]["get"]["security"]
    assert security == [{"bearerAuth": []}, {"cookieAuth": []}]
    assert json.loads(json.dumps(schema))


def test_permissions_are_no_more_than_those_of_a_user_whom_nobody_has_stored(site: Site) -> None:
    from tokenwheel.web.drf import TokenUser

    claims = site.manager.read(site.manager.create(subject="ann").access_token)
    user, same = TokenUser(claims), TokenUser(claims)
    assert (user, hash(user), str(user)) == (same, hash(same), "ann")
    assert user != "ann"
    assert user.get_username() == user.id == "ann"
    assert not user.has_perm("a")
    assert not user.has_perms(["a"])
    assert user.has_perms([])
    assert not user.has_module_perms("a")
    assert IsAuthenticated().has_permission(type("Request", (), {"user": user}), None)
