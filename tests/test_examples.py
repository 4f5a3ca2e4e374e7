"""examples/asgi_app.py does what it shows. The quickstart is tried in ``test_readme``."""

from __future__ import annotations

import asyncio
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from tokenwheel import KeySet, SessionManager

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "asgi_app.py"
PASSWORD = "correct horse battery staple"


class Client:
    """Speaks ASGI, without a server."""

    def __init__(self) -> None:
        self.app = runpy.run_path(str(EXAMPLE))["app"]

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str = "", agent: str = "Firefox"
    ) -> tuple[int, Any]:
        headers = [
            (b"user-agent", agent.encode()),
            *([(b"authorization", f"Bearer {token}".encode())] if token else []),
        ]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": headers,
            "client": ("203.0.113.7", 50_000),
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {
                "type": "http.request",
                "body": body if isinstance(body, bytes) else json.dumps(body).encode(),
            }

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.fixture
def client() -> Client:
    return Client()


def log_in(client: Client, agent: str = "Firefox") -> dict[str, str]:
    status, tokens = client.ask(
        "POST", "/login", {"name": "ann", "password": PASSWORD}, agent=agent
    )
    assert status == 200
    return dict(tokens)


def test_a_login_opens_a_session_and_a_logout_ends_it_at_once(client: Client) -> None:
    token = log_in(client)["access_token"]
    assert client.ask("GET", "/me", token=token) == (200, {"name": "ann", "role": "user"})
    assert client.ask("POST", "/logout", token=token) == (200, True)
    assert client.ask("GET", "/me", token=token) == (401, {"error": "access_token_revoked"})


def test_a_refresh_needs_the_device_of_the_login(client: Client) -> None:
    tokens = log_in(client)
    body = {"refresh_token": tokens["refresh_token"]}
    assert client.ask("POST", "/refresh", body, agent="curl") == (
        403,
        {"error": "context_mismatch"},
    )
    status, fresh = client.ask("POST", "/refresh", body)
    assert status == 200
    assert client.ask("GET", "/me", token=fresh["access_token"])[0] == 200


def test_logging_out_everywhere_ends_every_device(client: Client) -> None:
    phone, laptop = log_in(client, "Phone"), log_in(client, "Laptop")
    status, names = client.ask("GET", "/devices", token=phone["access_token"])
    assert (status, sorted(names)) == (200, ["Laptop", "Phone"])
    assert client.ask("POST", "/logout/everywhere", token=phone["access_token"]) == (200, 2)
    for tokens in (phone, laptop):
        assert client.ask("GET", "/me", token=tokens["access_token"])[0] == 401
        assert client.ask("POST", "/refresh", {"refresh_token": tokens["refresh_token"]})[0] == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"{}",
        b"[" * 9_999,
        b" " * 99_999,
        b'{"name": "ann", "password": 1}',
        b'{"name": "ann", "password": "wrong"}',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_not_a_login_is_refused(client: Client, body: bytes) -> None:
    assert client.ask("POST", "/login", body)[0] == 400


@pytest.mark.parametrize("name", ["nobody", ""])
def test_nobody_logs_in_without_a_password(client: Client, name: str) -> None:
    assert client.ask("POST", "/login", {"name": name, "password": ""}) == (
        400,
        {"error": "wrong_name_or_password"},
    )


def test_other_services_find_the_keys_that_verify_its_tokens(client: Client) -> None:
    status, jwks = client.ask("GET", "/.well-known/jwks.json")
    resource = SessionManager(KeySet.from_jwks(jwks), issuer="auth.example", audience="api.example")
    assert status == 200
    assert resource.read(log_in(client)["access_token"]).subject == "ann"


def test_what_carries_no_token_or_leads_nowhere_is_refused(client: Client) -> None:
    assert client.ask("GET", "/me") == (401, {"error": "access_token_invalid"})
    assert client.ask("GET", "/me", token="nonsense") == (401, {"error": "access_token_invalid"})
    assert client.ask("GET", "/nowhere") == (404, {"error": "not_found"})
