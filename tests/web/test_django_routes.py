"""The routes for sessions in Django, login, and how their answers leave the server."""

from __future__ import annotations

import asyncio
import io
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.test import AsyncClient, Client, override_settings
from django.urls import resolve, reverse

from tests.web import django_project
from tests.web.django_project import Site, code_of, served
from tokenwheel import AsyncSessionManager, ConfigurationError
from tokenwheel.web import Cookies

django_project.configure()

from django.core.asgi import get_asgi_application  # noqa: E402 -- it needs the settings
from django.core.wsgi import get_wsgi_application  # noqa: E402

ROUTES = {
    "refresh": "/session/refresh",
    "logout": "/session/logout",
    "logout-others": "/session/logout/others",
    "logout-everywhere": "/session/logout/everywhere",
    "sessions": "/session/sessions",
    "jwks": "/session/jwks",
}
BROWSER = {"Sec-Fetch-Site": "same-origin"}
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as site:
        yield site


def test_each_route_has_a_name_and_one_method(site: Site) -> None:
    client = site.browser()
    for name, path in ROUTES.items():
        assert reverse(f"tokenwheel:{name}") == path
        is_read = name in {"sessions", "jwks"}
        response = client.post(path) if is_read else client.get(path)
        assert response.status_code == 405
        assert response.headers["Allow"] == ("GET, HEAD" if is_read else "POST")
        assert client.post(f"{path}/").status_code == 404
    assert reverse("tokenwheel:session", args=["A" * 16]) == f"/session/sessions/{'A' * 16}"


@pytest.mark.parametrize("kind", [False, True])
def test_the_views_await_where_the_manager_does(kind: bool) -> None:
    with served() as site, served(AsyncSessionManager) as other:
        for auth in (site.auth, other.auth, site.auth) if kind else (other.auth, site.auth):
            django_project.auth = auth
            with override_settings(TOKENWHEEL="tests.web.django_project.auth"):
                for path in ROUTES.values():
                    view = resolve(path).func
                    assert iscoroutinefunction(view) is (auth is other.auth)


def test_a_session_from_login_to_logout(site: Site) -> None:
    client = site.browser()
    response = client.post("/login")
    assert response.status_code == 200
    assert set(response.json()) == {"session_id", "expires_in", "session_expires_in"}
    first = response.cookies["__Host-tw-refresh"].value
    response = client.post("/session/refresh")
    assert response.cookies["__Host-tw-refresh"].value not in ("", first)
    shown = client.get("/session/sessions").json()
    assert [(session["current"], session["ip"]) for session in shown] == [(True, "127.0.0.1")]
    response = client.post("/session/logout")
    assert (response.status_code, response.content) == (204, b"")
    assert "Content-Type" not in response.headers
    assert {cookie.value for cookie in response.cookies.values()} == {""}
    assert client.get("/session/sessions").status_code == 401


def test_devices_are_listed_and_ended_one_by_one(site: Site) -> None:
    here, there = site.signed_in(), site.signed_in()
    other = next(s["id"] for s in here.get("/session/sessions").json() if not s["current"])
    assert here.delete(f"/session/sessions/{other}").status_code == 204
    assert there.get("/me").status_code == 401
    assert code_of(here.delete(f"/session/sessions/{other}")) == "session_not_found"
    third = site.signed_in()
    assert here.post("/session/logout/others").status_code == 204
    assert (third.get("/me").status_code, here.get("/me").status_code) == (401, 200)
    assert here.post("/session/logout/everywhere").status_code == 204
    assert here.get("/session/sessions").status_code == 401


def test_the_routes_await_a_manager_under_asgi() -> None:
    async def use() -> None:
        client = AsyncClient(enforce_csrf_checks=True)
        response = await client.post("/login-async", headers=BROWSER)
        assert response.status_code == 200
        assert (await client.get("/me-async")).json() == {"subject": "ann"}
        assert (await client.post("/session/refresh", headers=BROWSER)).status_code == 200
        assert len((await client.get("/session/sessions")).json()) == 1
        assert (await client.post("/session/refresh", headers=CROSS_SITE)).status_code == 403
        assert (await client.post("/session/logout", headers=BROWSER)).status_code == 204
        assert (await client.get("/me-async")).status_code == 401

    with served(AsyncSessionManager):
        asyncio.run(use())


def test_a_page_of_another_site_can_neither_log_in_nor_refresh_nor_log_out(site: Site) -> None:
    response = Client().post("/login", headers=CROSS_SITE)
    assert (response.status_code, code_of(response)) == (403, "cross_origin")
    assert site.manager.read_all("ann") == {}
    client = site.signed_in()
    for path in ROUTES.values():
        if "sessions" not in path and "jwks" not in path:
            response = client.post(path, headers=CROSS_SITE)
            assert (response.status_code, code_of(response)) == (403, "cross_origin")
            assert not response.cookies
    assert client.get("/me").status_code == 200


def test_who_is_no_browser_gets_bearer_tokens_and_sends_them_in_bodies(site: Site) -> None:
    client = Client(enforce_csrf_checks=True)
    tokens = client.post("/login").json()
    assert tokens["token_type"] == "Bearer"
    response = client.post(
        "/session/refresh", {"refresh_token": tokens["refresh_token"]}, "application/json"
    )
    newer = response.json()["refresh_token"]
    form = "application/x-www-form-urlencoded"
    assert client.post("/session/refresh", f"refresh_token={newer}", form).status_code == 200


@pytest.mark.parametrize("handler", ["wsgi", "asgi"])
def test_a_body_over_16_kib_is_refused_and_no_more_of_it_is_read(site: Site, handler: str) -> None:
    body = json.dumps({"refresh_token": "x" * 20_000}).encode()
    if handler == "wsgi":
        status, _, content, unread = wsgi("POST", "/session/refresh", body, "application/json")
        assert unread >= len(body) - 16_385
    else:
        status, _, content = asgi("POST", "/session/refresh", body, "application/json")
    assert status == 400
    assert "16384" in json.loads(content)["detail"]


def test_a_body_that_others_have_read_before_is_read_again(site: Site) -> None:
    refresh_token = site.manager.create(subject="ann").refresh_token
    with override_settings(MIDDLEWARE=["tests.web.test_django_routes.reads_bodies"]):
        form = "application/x-www-form-urlencoded"
        client = Client()
        response = client.post("/session/refresh", f"refresh_token={refresh_token}", form)
        assert response.status_code == 200
        response = client.post("/session/refresh", {"refresh_token": refresh_token})
        assert (response.status_code, code_of(response)) == (401, "credentials_missing")


def reads_bodies(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        assert request.POST is not None
        response = get_response(request)
        assert request.POST is not None
        return response

    return middleware


@pytest.mark.parametrize("partitioned", [False, True])
def test_both_cookies_leave_the_server_as_they_are_written(partitioned: bool) -> None:
    with served(cookies=Cookies(partitioned=partitioned)):
        rest = "; Path=/; Secure; HttpOnly; SameSite=Lax" + "; Partitioned" * partitioned
        for status, headers, *_ in (wsgi("POST", "/login"), asgi("POST", "/login")):
            written = [value for name, value in headers if name.lower() == "set-cookie"]
            assert (status, len(written)) == (200, 2)
            for line, name in zip(written, ("access", "refresh"), strict=True):
                assert line.startswith(f"__Host-tw-{name}=")
                assert line.partition(";")[2] == rest[1:] + "; Max-Age=2592000"


def test_cookies_that_http2_sends_each_by_itself_are_read_as_one(site: Site) -> None:
    tokens = site.manager.create(subject="ann")
    crumbs = [
        (b"cookie", b"theme=dark"),
        (b"cookie", f"__Host-tw-access={tokens.access_token}".encode()),
        (b"cookie", f"__Host-tw-refresh={tokens.refresh_token}".encode()),
    ]
    status, _, content = asgi("GET", "/me-async", headers=crumbs)
    assert (status, json.loads(content)) == (200, {"subject": "ann"})
    status, _, content = asgi("GET", "/me-async", headers=[*crumbs, crumbs[1]])
    assert (status, json.loads(content)["code"]) == (400, "invalid_request")


def test_the_test_client_sees_the_attributes_of_cookies(site: Site) -> None:
    cookie = site.browser().post("/login").cookies["__Host-tw-access"]
    assert (cookie["path"], cookie["samesite"], cookie["max-age"]) == ("/", "Lax", "2592000")
    assert cookie["secure"]
    assert cookie["httponly"]
    assert pickle.loads(pickle.dumps(cookie)).OutputString() == cookie.OutputString()


def test_keys_are_answered_once(site: Site) -> None:
    response = site.browser().get("/session/jwks")
    assert response.headers["Content-Type"] == "application/jwk-set+json"
    known = {"If-None-Match": response.headers["ETag"]}
    assert site.browser().get("/session/jwks", headers=known).status_code == 304


def test_the_routes_do_without_transactions_and_logins_of_django(site: Site) -> None:
    with override_settings(
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
            "tokenwheel.web.django.AuthMiddleware",
        ]
    ):
        client = site.signed_in()
        assert client.post("/session/refresh").status_code == 200
        assert client.get("/me").json() == {"subject": "ann"}
        assert client.get("/who").status_code == 302
    for path in ROUTES.values():
        assert resolve(path).func._non_atomic_requests == {"default"}


def test_a_gate_for_localhost_alone_says_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with served(cookies=Cookies(insecure_localhost=True)) as site:
        client = site.browser()
        assert client.post("/login", headers={"Host": "localhost:8000"}).status_code == 200
        response = client.get("/me", headers={"Host": "app.example"})
        assert (response.status_code, code_of(response)) == (500, ConfigurationError.code)
    assert "insecure_localhost" in caplog.text


def wsgi(
    method: str, path: str, body: bytes = b"", content_type: str = ""
) -> tuple[int, list[tuple[str, str]], bytes, int]:
    """Return status, headers and body of the WSGI application's response, and what it left."""
    stream = io.BytesIO(body)
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SERVER_NAME": "app.example",
        "SERVER_PORT": "443",
        "HTTP_HOST": "app.example",
        "HTTP_ORIGIN": "https://app.example",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": stream,
        "wsgi.url_scheme": "https",
    }
    started: list[Any] = []
    response = get_wsgi_application()(environ, lambda *given: started.extend(given))
    content = b"".join(response)
    response.close()
    return int(started[0][:3]), started[1], content, len(stream.read())


def asgi(
    method: str,
    path: str,
    body: bytes = b"",
    content_type: str = "",
    headers: list[tuple[bytes, bytes]] = [],  # noqa: B006 -- it is only read
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body of the ASGI application's response."""
    own = [
        (b"host", b"app.example"),
        (b"origin", b"https://app.example"),
        (b"content-type", content_type.encode()),
    ]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [*own, *headers],
    }
    sent: list[Any] = []
    asked: list[None] = []

    async def receive() -> dict[str, Any]:
        if asked:
            await asyncio.Event().wait()
        asked.append(None)
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(get_asgi_application()(scope, receive, send))
    pairs = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return sent[0]["status"], pairs, b"".join(message.get("body", b"") for message in sent[1:])
