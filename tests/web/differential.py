"""One application in each framework, and clients that ask them for the very same things.

Each application stands behind a gate of its own, over a manager of its own whose clock and whose
random bytes the test sets. So what they answer to a request has to be the same, tokens included.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, NamedTuple, Protocol

from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from fastapi import Depends, FastAPI, Request, Response, Security
from flask import Flask
from flask import Response as FlaskResponse
from quart import Quart
from quart import Response as QuartResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse
from starlette.routing import Mount, Route

from tests.support import FakeClock, secret_of
from tests.web import differential_addresses
from tests.web.support import scope_of, talk
from tokenwheel import (
    AsyncSessionManager,
    Claims,
    Key,
    KeySet,
    Session,
    SessionManager,
    TokenwheelError,
)
from tokenwheel.web import Cookies, Gate
from tokenwheel.web.asgi import AuthMiddleware, session_routes
from tokenwheel.web.django_setting import DjangoAuth
from tokenwheel.web.fastapi import FastAPIAuth
from tokenwheel.web.flask import FlaskAuth
from tokenwheel.web.scopes import context_of_scope

__all__ = ["APPLICATIONS", "Application", "Asked", "Reply"]

TRUSTED = "https://shop.example"
METHODS = ["GET", "POST", "DELETE"]
KEY = Key.generate("EdDSA")  # Two signatures of one text are the same.
TEXT = "text/plain; charset=utf-8"
# What an application or a server may add is its own matter.
RELEVANT = frozenset(
    {"content-type", "cache-control", "www-authenticate", "set-cookie", "retry-after", "etag"}
)

Pairs = list[tuple[str, str]]


class Asked(NamedTuple):
    """A request, as a client sends it."""

    method: str
    path: str
    headers: Pairs
    body: bytes


class Reply(NamedTuple):
    """What of an answer has to be the same everywhere."""

    status: int
    headers: Pairs
    body: bytes


class Client(Protocol):
    """Sends a request to an application, and returns its answer."""

    def __call__(self, asked: Asked, /) -> Reply: ...


def reply_of(status: int, headers: Pairs, body: bytes) -> Reply:
    # Space before a value is none of it (RFC 9110, section 5.5), and Django writes some.
    lowered = [(name.lower(), value.strip(" ")) for name, value in headers]
    relevant = sorted(pair for pair in lowered if pair[0] in RELEVANT)
    return Reply(status, relevant, body)


def claims_of(session: Session) -> dict[str, str]:
    return {"scope": "admin", "name": session.subject}


def text_of(claims: Claims | None) -> str:
    return "nobody" if claims is None else f"{claims.subject} {claims.session_id}"


class Application:
    """A manager and a gate, and the application of a framework behind them.

    Args:
        build: returns what sends requests to the application.
        kind: of the manager.
        keys: of the manager; by default all applications have the same.
        renew: of the gate.
    """

    def __init__(
        self,
        build: Callable[[Application], Client],
        kind: type = SessionManager,
        *,
        keys: Any = None,
        renew: Any = None,
    ) -> None:
        self.clock = FakeClock(1_700_000_000.25)
        self.random = Random(0)
        self.loop = asyncio.new_event_loop()
        keys = KeySet(KEY) if keys is None else keys
        self.manager: Any = kind(keys, issuer="i", audience="a", clock=self.clock)
        self.stranger = SessionManager(
            secret_of("stranger"), issuer="i", audience="a", clock=self.clock
        )
        self.gate = Gate(self.manager, cookies=Cookies(), trusted_origins=[TRUSTED], renew=renew)
        self.send = build(self)

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        answer = getattr(self.manager, method)(*arguments, **options)
        return self.loop.run_until_complete(answer) if asyncio.iscoroutine(answer) else answer

    def close(self) -> None:
        self.stranger.close()
        self.call("close")
        self.loop.close()


def over_asgi(application: Application, app: Any) -> Client:
    def send(asked: Asked) -> Reply:
        scope = scope_of("http", asked.path, method=asked.method)
        scope["headers"] = [
            (name.encode(), value.encode("latin-1")) for name, value in asked.headers
        ]
        messages = [{"type": "http.request", "body": asked.body, "more_body": False}]
        reply = application.loop.run_until_complete(talk(app, scope, messages))
        if reply.error is not None:
            raise reply.error
        return reply_of(reply.status, reply.headers, reply.body)

    return send


def over_wsgi(app: Any) -> Client:
    def send(asked: Asked) -> Reply:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": asked.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": asked.path,
            "QUERY_STRING": "",
            "SERVER_NAME": "app.example",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "203.0.113.7",
            "CONTENT_LENGTH": str(len(asked.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(asked.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in asked.headers:
            key = name.upper().replace("-", "_")
            key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
            # As servers join what comes twice.
            separator = "; " if name == "cookie" else ","
            environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
        started: list[Any] = []

        def start_response(status: str, headers: Pairs, exc_info: Any = None) -> None:
            started[:] = [int(status.partition(" ")[0]), headers]

        parts = app(environ, start_response)
        try:
            body = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return reply_of(*started, body)

    return send


def fastapi(application: Application) -> Client:
    auth = FastAPIAuth(application.gate)
    app = FastAPI()
    auth.install(app)
    app.include_router(auth.router(claims=claims_of), prefix="/session")

    def told(claims: Claims | None) -> Response:
        return Response(text_of(claims), media_type=TEXT)

    @app.post("/login")
    async def login(request: Request) -> Response:
        context = auth.context(request)
        tokens = application.manager.create({"scope": "admin"}, subject="ann", context=context)
        return auth.signed_in(request, await tokens if asyncio.iscoroutine(tokens) else tokens)

    # Annotations are texts here, in which nothing local has a name.
    needed, scoped = Depends(auth), Security(auth, scopes=["admin"])
    recent, perhaps = Depends(auth.fresh(300)), Depends(auth.optional)

    @app.api_route("/me", methods=METHODS)
    async def me(claims: Claims = needed) -> Response:
        return told(claims)

    @app.api_route("/admin", methods=METHODS)
    async def admin(claims: Claims = scoped) -> Response:
        return told(claims)

    @app.api_route("/fresh", methods=METHODS)
    async def fresh(claims: Claims = recent) -> Response:
        return told(claims)

    @app.api_route("/optional", methods=METHODS)
    async def optional(claims: Claims | None = perhaps) -> Response:
        return told(claims)

    return over_asgi(application, app)


def starlette(application: Application) -> Client:
    gate = application.gate

    def respond(answer: Any) -> StarletteResponse:
        response = StarletteResponse(answer.body, answer.status)
        response.raw_headers += [(name.encode(), value.encode()) for name, value in answer.headers]
        return response

    async def refused(request: StarletteRequest, error: Any) -> StarletteResponse:
        return respond(gate.refusal(error))

    def told(claims: Claims | None) -> StarletteResponse:
        return StarletteResponse(text_of(claims), media_type=TEXT)

    async def login(request: StarletteRequest) -> StarletteResponse:
        via = gate.transport_of(request.headers.get)
        context = context_of_scope(request.scope)
        create = application.manager.create
        tokens = await create({"scope": "admin"}, subject="ann", context=context)
        return respond(gate.welcome(tokens, via=via))

    async def me(request: StarletteRequest) -> StarletteResponse:
        return told(request.state.claims)

    async def admin(request: StarletteRequest) -> StarletteResponse:
        gate.check(request.state.claims, scopes=["admin"])
        return told(request.state.claims)

    async def fresh(request: StarletteRequest) -> StarletteResponse:
        gate.check(request.state.claims, max_age=300)
        return told(request.state.claims)

    async def optional(request: StarletteRequest) -> StarletteResponse:
        return told(gate.admit_optional(request.method, request.headers.get))

    app = Starlette(
        routes=[
            Route("/login", login, methods=["POST"]),
            Route("/me", me, methods=METHODS),
            Route("/admin", admin, methods=METHODS),
            Route("/fresh", fresh, methods=METHODS),
            Route("/optional", optional, methods=METHODS),
            Mount("/session", routes=session_routes(gate, claims=claims_of)),
        ],
        middleware=[
            Middleware(AuthMiddleware, gate=gate, public=["/login", "/session/", "/optional"])
        ],
        exception_handlers={TokenwheelError: refused},
    )
    return over_asgi(application, app)


def flask(application: Application) -> Client:
    app = Flask(__name__)
    auth = FlaskAuth()
    auth.init_app(app, application.gate, claims=claims_of)

    @app.post("/login")
    def login() -> FlaskResponse:
        context = auth.context()
        claims = {"scope": "admin"}
        return auth.signed_in(application.manager.create(claims, subject="ann", context=context))

    def told() -> FlaskResponse:
        return FlaskResponse(text_of(auth.claims), content_type=TEXT)

    for path, guarded in (
        ("/me", auth.required(told)),
        ("/admin", auth.required(scopes=["admin"])(told)),
        ("/fresh", auth.required(max_age=300)(told)),
        ("/optional", auth.optional(told)),
    ):
        app.add_url_rule(path, path, guarded, methods=METHODS)
    return over_wsgi(app)


def quart(application: Application) -> Client:
    app = Quart(__name__)
    auth = FlaskAuth()
    auth.init_app(app, application.gate, claims=claims_of)

    @app.post("/login")
    async def login() -> Any:
        context = auth.context()
        claims = {"scope": "admin"}
        create = application.manager.create
        return auth.signed_in(await create(claims, subject="ann", context=context))

    async def told() -> QuartResponse:
        return QuartResponse(text_of(auth.claims), content_type=TEXT)

    for path, guarded in (
        ("/me", auth.required(told)),
        ("/admin", auth.required(scopes=["admin"])(told)),
        ("/fresh", auth.required(max_age=300)(told)),
        ("/optional", auth.optional(told)),
    ):
        app.add_url_rule(path, path, guarded, methods=METHODS)
    return over_asgi(application, app)


def of_django(name: str, prefix: str) -> Callable[[Application], Client]:
    settings = {
        "TOKENWHEEL": f"{differential_addresses.__name__}.{name}",
        "ROOT_URLCONF": differential_addresses.__name__,
        "MIDDLEWARE": [
            "django.middleware.csrf.CsrfViewMiddleware",
            "tokenwheel.web.django.AuthMiddleware",
        ],
    }
    guarded = {"/me", "/admin", "/fresh", "/optional"}

    def build(application: Application) -> Client:
        auth = DjangoAuth(application.gate, claims=claims_of)
        setattr(differential_addresses, name, auth)
        with override_settings(**settings):
            send_plainly = over_wsgi(WSGIHandler())

        def send(asked: Asked) -> Reply:
            if asked.path in guarded:
                asked = asked._replace(path=prefix + asked.path)
            with override_settings(**settings):
                return send_plainly(asked)

        return send

    return build


APPLICATIONS: dict[str, Callable[..., Application]] = {
    "fastapi": partial(Application, fastapi, AsyncSessionManager),
    "fastapi over a blocking manager": partial(Application, fastapi),
    "starlette": partial(Application, starlette, AsyncSessionManager),
    "flask": partial(Application, flask),
    "quart": partial(Application, quart, AsyncSessionManager),
    "django": partial(Application, of_django("by_django", "")),
    "drf": partial(Application, of_django("by_drf", "/drf")),
}
