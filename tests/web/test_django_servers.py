"""Django behind real servers, in several processes which share their sessions."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.web import servers
from tests.web.servers import Command, serving

BROWSER = {"Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(
    "command, application, login, is_async",
    [
        (servers.gunicorn, "wsgi", "/login", False),
        (servers.uvicorn, "asgi", "/login", False),
        (servers.uvicorn, "asgi", "/login-async", True),
        (servers.hypercorn, "asgi", "/login-async", True),
    ],
)
def test_a_session_lives_from_login_to_logout(
    command: Command, application: str, login: str, is_async: bool, tmp_path: Path
) -> None:
    with (
        serving(
            command,
            f"tests.web.django_served:{application}",
            tmp_path,
            workers=2,
            environment={"TOKENWHEEL_TEST_ASYNC": "yes" if is_async else ""},
        ) as server,
        httpx.Client(base_url=server.origin(), headers=BROWSER, timeout=60) as client,
    ):

        def post(path: str, status: int, **options: str) -> httpx.Response:
            response = client.post(path, headers={"Cookie": cookies}, **options)  # type: ignore[arg-type]
            assert response.status_code == status, server.read_log()
            return response

        cookies = ""
        cookies = _cookies_of(post(login, 200))
        me = "/me-async" if is_async else "/me"
        for _ in range(8):
            assert client.get(me, headers={"Cookie": cookies}).json() == {"subject": "ann"}
        cookies = _cookies_of(post("/session/refresh", 200))
        assert post("/page", 200).json() == {"subject": "ann"}
        too_long = post("/session/refresh", 400, data={"refresh_token": "x" * 100_000})  # type: ignore[arg-type]
        assert too_long.json()["code"] == "invalid_request"
        response = client.post(
            "/session/logout", headers={"Cookie": cookies, "Sec-Fetch-Site": "cross-site"}
        )
        assert response.status_code == 403
        assert len(client.get("/session/sessions", headers={"Cookie": cookies}).json()) == 1
        assert post("/session/logout", 204).content == b""
        assert client.get(me, headers={"Cookie": cookies}).status_code == 401
        twice = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
        assert client.get(me, headers=twice).json()["code"] == "invalid_request"


def _cookies_of(response: httpx.Response) -> str:
    """Return what a browser sends next. It does so over TLS alone, and httpx knows that, too."""
    lines = response.headers.get_list("set-cookie")
    assert len(lines) == 2
    assert all("; Secure; HttpOnly; SameSite=Lax; Max-Age=" in line for line in lines)
    return "; ".join(line.partition(";")[0] for line in lines)
