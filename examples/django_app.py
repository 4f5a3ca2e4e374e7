"""Login, refresh, "your devices" and logout behind a web page, with Django in one file.

Run it as ``uvicorn django_app:asgi`` or ``gunicorn django_app:wsgi``, behind TLS, and look at
``/``. The web socket needs the first.

``SESSIONS_FOLDER`` names a folder with the file of sessions, which any number of workers share, and
two keys that were made there once::

    tokenwheel keys new --algorithm ES256 --out keys.json
    tokenwheel keys new --algorithm HS256 --out storage.jwk
"""

from __future__ import annotations

import hmac
import json
import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from tokenwheel import (
    KeyFile,
    RevocationList,
    Session,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
)
from tokenwheel.web import Cookies, Gate
from tokenwheel.web.asgi import AuthMiddleware
from tokenwheel.web.async_watch import AsyncWatch
from tokenwheel.web.django import DjangoAuth, context_of, require_claims, signed_in

PAGE = Path(__file__).parent / "web"
FOLDER = Path(os.environ["SESSIONS_FOLDER"])
PASSWORD = "correct horse"  # Yours are hashed, in a database, one a user.
SCOPES = {"ann": "admin", "ben": "", "chloe": ""}

sessions = SessionManager(
    KeyFile(FOLDER / "keys.json"),
    issuer="auth.example",
    audience="api.example",
    storage=SqliteStorage(FOLDER / "sessions.db"),
    storage_key=(FOLDER / "storage.jwk").read_text(),
    revocations=RevocationList(SqliteFeed(FOLDER / "sessions.db")),
)
# Without TLS for http://localhost alone, while you develop.
gate = Gate(sessions, cookies=Cookies(insecure_localhost="INSECURE_LOCALHOST" in os.environ))


def claims_of(session: Session) -> dict[str, Any]:
    """Return what the next token of a session says of its user, as things are now."""
    return {"scope": SCOPES[session.subject]}


def user_of(body: bytes) -> str | None:
    """Return who logs in with this body of JSON, or None if its name or password is wrong."""
    try:
        form = json.loads(body)
        name, password = str(form["name"]), str(form["password"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    is_right = hmac.compare_digest(password.encode(errors="replace"), PASSWORD.encode())
    return name if is_right and name in SCOPES else None


auth = DjangoAuth(gate, claims=claims_of)
settings.configure(
    ALLOWED_HOSTS=["*"],  # Yours are named. The gate compares Origin with Host.
    MIDDLEWARE=[
        "django.middleware.csrf.CsrfViewMiddleware",
        "tokenwheel.web.django.AuthMiddleware",
    ],
    ROOT_URLCONF=__name__,
    TOKENWHEEL=f"{__name__}.auth",
)


@csrf_exempt  # context_of refuses what another site's page sends.
@require_POST
def login(request: HttpRequest) -> HttpResponse:
    name = user_of(request.body)
    if name is None:
        return JsonResponse({"detail": "wrong name or password"}, status=403)
    claims = {"scope": SCOPES[name]}
    tokens = sessions.create(claims, subject=name, context=context_of(request))
    return signed_in(request, tokens)


@require_GET
@require_claims
def me(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.claims))


@require_GET
@require_claims(scopes=["admin"])
def admin(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"administrator": request.claims.subject})


@require_GET
def page(request: HttpRequest, name: str) -> FileResponse:
    return FileResponse((PAGE / name).open("rb"))


urlpatterns = [
    path("login", login),
    path("session/", include("tokenwheel.web.django_urls")),
    path("me", me),
    path("admin", admin),
    path("", page, {"name": "page.html"}),
    path("page.js", page, {"name": "page.js"}),
]


async def messages(scope: Any, receive: Any, send: Any) -> None:
    """Answer a web socket, which is beyond Django, behind the same gate."""
    claims = scope["state"]["claims"]

    async def say(text: str) -> None:
        await send({"type": "websocket.send", "text": text})

    async def close(code: int, reason: str) -> None:
        await send({"type": "websocket.close", "code": code, "reason": reason})

    await receive()
    await send({"type": "websocket.accept"})
    async with AsyncWatch(gate.watches, claims, close):
        await say(f"Hello {claims.subject}, what you say comes back.")
        while (message := await receive())["type"] == "websocket.receive":
            await say(f"{claims.subject}: {message.get('text') or '(no text)'}")


wsgi = get_wsgi_application()
django = get_asgi_application()
web_socket = AuthMiddleware(messages, gate=gate)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    is_web_socket = scope["type"] == "websocket"
    await (web_socket if is_web_socket else django)(scope, receive, send)
