"""Login, refresh, logout and "your devices" as a bare ASGI application.

Run it with any ASGI server, as ``asgi_app:app``. What a framework would do for you is written out,
so that this needs nothing but tokenwheel. Access tokens come in the ``Authorization`` header.
Refresh tokens and passwords come in the body: an address ends up in logs, a body does not.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tokenwheel import (
    AsyncSessionManager,
    Claims,
    Device,
    InvalidAccessToken,
    Key,
    KeySet,
    SessionContext,
    SessionTokens,
    TokenwheelError,
)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PASSWORDS = {"ann": "correct horse battery staple"}  # Yours are hashed, in a database.

# In production the key is made once (`tokenwheel keys new --algorithm ES256`) and read from a file:
# with a new one, all are logged out.
sessions = AsyncSessionManager(
    KeySet(Key.generate("ES256")), issuer="auth.example", audience="api.example", max_sessions=5
)


class Refused(Exception):
    """What the client sent won't do."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    handle = ROUTES.get((scope["method"], scope["path"]))
    try:
        status, answer = (
            (200, await handle(scope, receive)) if handle else (404, {"error": "not_found"})
        )
    except TokenwheelError as error:
        status, answer = error.status, {"error": error.code}
    except Refused as error:
        status, answer = 400, {"error": str(error)}
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


async def login(scope: Scope, receive: Receive) -> dict[str, str]:
    name, password = await read_texts(receive, "name", "password")
    if not hmac.compare_digest(PASSWORDS.get(name, "").encode(), password.encode()) or not password:
        raise Refused("wrong_name_or_password")
    return shown(await sessions.create({"role": "user"}, subject=name, context=context_of(scope)))


async def refresh(scope: Scope, receive: Receive) -> dict[str, str]:
    (refresh_token,) = await read_texts(receive, "refresh_token")
    return shown(await sessions.update(refresh_token, {"role": "user"}, context=context_of(scope)))


async def me(scope: Scope, receive: Receive) -> dict[str, str]:
    claims = signed_in(scope)
    return {"name": claims.subject, "role": claims["role"]}


async def public_keys(scope: Scope, receive: Receive) -> dict[str, Any]:
    """Return the keys by which other services verify: RemoteKeySet reads them here."""
    return sessions.jwks()


async def devices(scope: Scope, receive: Receive) -> list[str]:
    opened = await sessions.read_all(signed_in(scope).subject)
    return [session.device.name for session in opened.values() if session.device]


async def logout(scope: Scope, receive: Receive) -> bool:
    claims = signed_in(scope)
    return await sessions.delete_one(claims.subject, claims.session_id)


async def logout_everywhere(scope: Scope, receive: Receive) -> int:
    return await sessions.delete_all(signed_in(scope).subject)


Handler = Callable[[Scope, Receive], Awaitable[Any]]
ROUTES: dict[tuple[str, str], Handler] = {
    ("POST", "/login"): login,
    ("POST", "/refresh"): refresh,
    ("GET", "/me"): me,
    ("GET", "/.well-known/jwks.json"): public_keys,
    ("GET", "/devices"): devices,
    ("POST", "/logout"): logout,
    ("POST", "/logout/everywhere"): logout_everywhere,
}


def signed_in(scope: Scope) -> Claims:
    """Return the claims of who is asking.

    ``read`` is the only method that isn't awaited: it never waits for anything.
    """
    kind, _, token = header(scope, b"authorization").partition(" ")
    if kind.lower() != "bearer":
        raise InvalidAccessToken(
            "a request carries its access token in the Authorization header, after 'Bearer'"
        )
    return sessions.read(token)


def context_of(scope: Scope) -> SessionContext:
    address = scope.get("client")
    return SessionContext(
        ip=address[0] if address else None,
        device=Device(header(scope, b"user-agent")[:200], "browser"),
    )


def header(scope: Scope, header_name: bytes) -> str:
    return next(
        (value.decode("latin-1") for name, value in scope["headers"] if name == header_name), ""
    )


async def read_texts(receive: Receive, *names: str) -> list[str]:
    body = b""
    more = True
    while more and len(body) <= 16_384:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        members = json.loads(body)
        texts = [members[name] for name in names]
    except (ValueError, TypeError, KeyError, RecursionError):
        texts = []
    if more or not texts or not all(isinstance(text, str) for text in texts):
        raise Refused(f"body must be a JSON object with {' and '.join(names)}")
    return texts


def shown(tokens: SessionTokens) -> dict[str, str]:
    return {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
