"""Flask: the routes for sessions, and the bodies that they read."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask import (
    Response,
    request,
)

from tests.web.behind_flask import (
    ORIGIN,
    SAME_ORIGIN,
    Application,
    code_of,
)
from tests.web.support import Header
from tokenwheel.web.bodies import LONGEST_BODY


@pytest.fixture
def site() -> Application:
    return Application()


def test_the_routes_for_sessions_are_there(site: Application) -> None:
    rules = {
        (rule.rule, method)
        for rule in site.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}
        if rule.endpoint.startswith("tokenwheel.")
    }
    assert rules == {
        ("/session/refresh", "POST"),
        ("/session/logout", "POST"),
        ("/session/logout/others", "POST"),
        ("/session/logout/everywhere", "POST"),
        ("/session/sessions", "GET"),
        ("/session/sessions/<session_id>", "DELETE"),
        ("/session/jwks", "GET"),
    }
    with site.app.test_request_context("/"):
        assert site.app.url_for("tokenwheel.refresh") == "/session/refresh"


def test_a_browser_refreshes_and_logs_out_by_its_cookies(site: Application) -> None:
    client = site.browser()
    old = client.get_cookie("__Host-tw-refresh", domain="app.example")
    answer = client.post("/session/refresh", base_url=ORIGIN, headers=[SAME_ORIGIN])
    assert answer.status_code == 200
    assert set(answer.json or ()) == {"session_id", "expires_in", "session_expires_in"}
    assert answer.headers["Cache-Control"] == "no-store"
    new = client.get_cookie("__Host-tw-refresh", domain="app.example")
    assert old is not None
    assert new is not None
    assert old.value != new.value
    out = client.post("/session/logout", base_url=ORIGIN, headers=[SAME_ORIGIN])
    assert (out.status_code, out.data) == (204, b"")
    assert client.get_cookie("__Host-tw-refresh", domain="app.example") is None
    assert client.get("/me", base_url=ORIGIN).status_code == 401
    assert site.manager.read_all("ann") == {}


def test_a_login_is_shown_among_the_users_devices_and_can_be_ended(site: Application) -> None:
    here, there = site.browser(), site.browser()
    shown = here.get("/session/sessions", base_url=ORIGIN).json
    assert [session["current"] for session in shown].count(True) == 1
    (other,) = [session["id"] for session in shown if not session["current"]]
    path = f"/session/sessions/{other}"
    assert here.delete(path, base_url=ORIGIN, headers=[SAME_ORIGIN]).status_code == 204
    assert there.get("/me", base_url=ORIGIN).status_code == 401
    answer = here.delete(path, base_url=ORIGIN, headers=[SAME_ORIGIN])
    assert (answer.status_code, code_of(answer)) == (404, "session_not_found")
    there = site.browser()
    post = {"base_url": ORIGIN, "headers": [SAME_ORIGIN]}
    assert here.post("/session/logout/others", **post).status_code == 204  # type: ignore[arg-type]
    assert there.get("/me", base_url=ORIGIN).status_code == 401
    assert here.post("/session/logout/everywhere", **post).status_code == 204  # type: ignore[arg-type]
    assert here.get_cookie("__Host-tw-access", domain="app.example") is None


def test_the_claims_of_a_refreshed_token_are_those_that_the_application_names(
    site: Application,
) -> None:
    tokens = site.manager.create({"scope": "admin"}, subject="ann")
    refreshed = _refresh(site, tokens.refresh_token)
    assert site.manager.read(refreshed.json["access_token"])["scope"] == "read"


def _refresh(site: Application, token: str, *headers: Header) -> Any:
    return site.ask(
        "POST",
        "/session/refresh",
        ("Content-Type", "application/json"),
        *headers,
        body=json.dumps({"refresh_token": token}),
    )


def test_a_refresh_token_may_come_as_json_or_in_a_form(site: Application) -> None:
    tokens = site.service.sign_in()
    assert _refresh(site, tokens.refresh_token).json["refresh_token"]
    tokens = site.service.sign_in()
    answer = site.ask("POST", "/session/refresh", body={"refresh_token": tokens.refresh_token})
    assert answer.json["token_type"] == "Bearer"


@pytest.mark.parametrize("read", ["get_data", "form", "json", "stream", "values"])
def test_functions_before_and_after_a_request_can_read_its_body_too(
    site: Application, read: str
) -> None:
    tokens = site.service.sign_in()
    seen: list[Any] = []

    def look() -> None:
        if read == "get_data":
            seen.append(request.get_data())
        elif read == "json":
            seen.append(request.get_json(silent=True))
        elif read == "stream":
            seen.append(request.stream.read() if seen else None)
        else:
            seen.append(getattr(request, read).to_dict())

    @site.app.before_request
    def before() -> None:
        look()

    @site.app.after_request
    def after(response: Response) -> Response:
        look()
        return response

    if read == "json":
        answer = _refresh(site, tokens.refresh_token)
    else:
        body = {"refresh_token": tokens.refresh_token}
        answer = site.ask("POST", "/session/refresh", body=body)
    assert answer.status_code == 200
    assert seen[1]
    if read != "stream":
        assert seen[0] == seen[1]


class Endless(io.RawIOBase):
    """A body that goes on for ever, and counts what is read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.was_read = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0, "all of it was asked for"
        self.was_read += min(size, 1000)
        return b"x" * min(size, 1000)

    def readinto(self, buffer: Any) -> int:
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.parametrize("framing", ["chunked", "length"])
@pytest.mark.parametrize("path", ["/session/refresh", "/session/logout"])
def test_of_a_long_body_no_more_is_read_than_is_needed_to_refuse_it(
    site: Application, path: str, framing: str
) -> None:
    body = Endless()
    environ = {"wsgi.input": body, "CONTENT_TYPE": "application/json"}
    if framing == "chunked":
        environ |= {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    else:
        environ |= {"CONTENT_LENGTH": str(10**12)}
    answer = site.app.test_client().post(path, environ_overrides=environ)
    assert (answer.status_code, code_of(answer)) == (400, "invalid_request")
    assert body.was_read <= LONGEST_BODY + 1


def test_where_an_application_limits_bodies_a_long_one_is_refused_as_elsewhere(
    site: Application,
) -> None:
    site.app.config["MAX_CONTENT_LENGTH"] = 2 * LONGEST_BODY
    answer = site.ask("POST", "/session/refresh", body=b"x" * 3 * LONGEST_BODY)
    assert (answer.status_code, code_of(answer)) == (400, "invalid_request")


@pytest.mark.parametrize("size", [LONGEST_BODY, LONGEST_BODY + 1])
def test_a_body_has_at_most_16_kib(site: Application, size: int) -> None:
    token = site.service.sign_in().refresh_token
    start = json.dumps({"refresh_token": token})
    body = start + " " * (size - len(start))
    for chunked in (False, True):
        stream = io.BytesIO(body.encode())
        length = {"wsgi.input_terminated": True} if chunked else {"CONTENT_LENGTH": str(size)}
        environ = {"wsgi.input": stream, "CONTENT_TYPE": "application/json", **length}
        answer = site.app.test_client().post("/session/refresh", environ_overrides=environ)
        assert answer.status_code == (200 if size == LONGEST_BODY else 400)


def test_another_method_is_not_allowed_and_a_trailing_slash_is_another_path(
    site: Application,
) -> None:
    answer = site.ask("GET", "/session/refresh")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert site.ask("POST", "/session/refresh/").status_code == 404
    assert site.ask("DELETE", "/session/sessions/").status_code == 404


def test_head_answers_with_the_headers_of_get(site: Application) -> None:
    got, head = (site.ask(method, "/session/jwks") for method in ("GET", "HEAD"))
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers == got.headers
    again = site.ask("GET", "/session/jwks", ("If-None-Match", got.headers["ETag"]))
    assert (again.status_code, again.data) == (304, b"")


def test_an_application_below_a_path_has_its_routes_there(site: Application) -> None:
    client = site.app.test_client()
    answer = client.get("/session/jwks", environ_base={"SCRIPT_NAME": "/below"}, base_url=ORIGIN)
    assert answer.status_code == 200
    site.app.config["APPLICATION_ROOT"] = "/below"
    assert client.post("/login", headers=[SAME_ORIGIN]).status_code == 200
    cookie = site.app.test_client().post("/login", headers=[SAME_ORIGIN]).headers["Set-Cookie"]
    assert "; Path=/; " in cookie
