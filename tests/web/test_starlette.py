"""Starlette applications behind the middleware, and the routes for sessions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.web.support import (
    CROSS_SITE,
    SAME_ORIGIN,
    Reply,
    Service,
    SlowStorage,
    ask,
    asked_while_storage_is_slow,
    run,
    scope_of,
    shake_hands,
    talk,
)
from tokenwheel import AsyncSessionManager, ConfigurationError, SessionManager
from tokenwheel.web import Cookies
from tokenwheel.web.asgi import AuthMiddleware, session_routes, watch
from tokenwheel.web.bodies import LONGEST_BODY


@pytest.fixture(params=[SessionManager, AsyncSessionManager], ids=["blocking", "async"])
def service(request: pytest.FixtureRequest) -> Service:
    return Service(request.param, renew=lambda session: {"name": session.subject.title()})


async def me(request: Request) -> JSONResponse:
    return JSONResponse({"sub": request.state.claims.subject, "user": request.user.identity})


@requires(["authenticated", "admin"])
async def admin(request: Request) -> PlainTextResponse:
    return PlainTextResponse("admin")


@requires("admin")
def blocking_admin(request: Request) -> PlainTextResponse:
    return PlainTextResponse("admin")


async def redirect(request: Request) -> RedirectResponse:
    return RedirectResponse("/elsewhere")


async def stream(request: Request) -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    return StreamingResponse(parts())


async def fail(request: Request) -> PlainTextResponse:
    raise RuntimeError("its own")


@requires("admin")
async def admin_socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def make_app(service: Service, *, base: bool = False) -> Starlette:
    async def dispatch(request: Request, call_next: Callable[..., Any]) -> Any:
        return await call_next(request)

    middleware = [Middleware(AuthMiddleware, gate=service.gate, public=("/session/", "/health"))]
    if base:
        middleware.insert(0, Middleware(BaseHTTPMiddleware, dispatch=dispatch))
        middleware.append(Middleware(BaseHTTPMiddleware, dispatch=dispatch))
    return Starlette(
        routes=[
            Route("/me", me),
            Route("/admin", admin),
            Route("/blocking-admin", blocking_admin),
            Route("/redirect", redirect),
            Route("/stream", stream),
            Route("/fail", fail),
            Route("/health", lambda request: PlainTextResponse("ok")),
            WebSocketRoute("/admin-socket", admin_socket),
            Mount("/session", routes=session_routes(service.gate)),
            Mount("/inner", app=Starlette(routes=[Route("/me", me)])),
        ],
        middleware=middleware,
    )


@pytest.fixture(params=[False, True], ids=["alone", "within-base-middleware"])
def app(service: Service, request: pytest.FixtureRequest) -> Starlette:
    return make_app(service, base=request.param)


def test_the_application_knows_who_is_signed_in(app: Starlette, service: Service) -> None:
    reply = ask(app, "GET", "/me", service.bearer(service.sign_in("ann")))
    assert reply.json() == {"sub": "ann", "user": "ann"}


def test_a_mounted_application_is_covered(app: Starlette, service: Service) -> None:
    assert ask(app, "GET", "/inner/me").code == "credentials_missing"
    reply = ask(app, "GET", "/inner/me", service.bearer(service.sign_in("ann")))
    assert reply.json()["sub"] == "ann"


def test_a_path_that_is_not_there_is_refused_as_well(app: Starlette) -> None:
    assert ask(app, "GET", "/nowhere").status == 401


@pytest.mark.parametrize("path", ["/admin", "/blocking-admin"])
def test_requires_asks_for_scopes(app: Starlette, service: Service, path: str) -> None:
    assert ask(app, "GET", path).status == 401
    assert ask(app, "GET", path, service.bearer(service.sign_in(scope="user"))).status == 403
    reply = ask(app, "GET", path, service.bearer(service.sign_in(scope="user admin")))
    assert (reply.status, reply.body) == (200, b"admin")


def test_requires_asks_a_websocket_for_scopes(app: Starlette, service: Service) -> None:
    tokens = service.sign_in(scope="user")
    refused = shake_hands(app, "/admin-socket", service.bearer(tokens))
    assert [message["type"] for message in refused.messages] == ["websocket.close"]
    tokens = service.sign_in(scope="admin")
    accepted = shake_hands(app, "/admin-socket", service.bearer(tokens))
    assert accepted.messages[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "path, status",
    [("/me", 200), ("/redirect", 307), ("/stream", 200), ("/nowhere", 404), ("/fail", 500)],
)
def test_new_cookies_are_set_on_whatever_is_answered(
    app: Starlette, service: Service, path: str, status: int
) -> None:
    header = service.cookie(service.sign_in())
    service.clock.advance(3600)
    reply = ask(app, "GET", path, header)
    assert reply.status == status
    assert len(reply.all_of("set-cookie")) == 2
    assert reply.all_of("cache-control") == ["no-store"]


def refresh(app: Starlette, token: str, *headers: tuple[str, str]) -> Reply:
    return ask(
        app,
        "POST",
        "/session/refresh",
        ("content-type", "application/json"),
        *headers,
        body=json.dumps({"refresh_token": token}).encode(),
    )


class TestRoutes:
    def test_a_bearer_is_refreshed_by_the_body(self, app: Starlette, service: Service) -> None:
        tokens = service.sign_in()
        reply = refresh(app, tokens.refresh_token)
        assert reply.status == 200
        assert reply.json()["token_type"] == "Bearer"
        assert reply.json()["refresh_token"] != tokens.refresh_token
        claims = service.manager.read(reply.json()["access_token"])
        assert claims["name"] == "Ann"

    def test_a_cookie_is_refreshed_by_cookies(self, app: Starlette, service: Service) -> None:
        header = service.cookie(service.sign_in())
        service.clock.advance(3600)
        reply = ask(app, "POST", "/session/refresh", header, SAME_ORIGIN)
        assert reply.status == 200
        assert sorted(reply.json()) == ["expires_in", "session_expires_in", "session_id"]
        assert len(reply.all_of("set-cookie")) == 2
        assert reply.all_of("cache-control") == ["no-store"]

    def test_a_page_of_another_site_changes_nothing(self, app: Starlette, service: Service) -> None:
        header = service.cookie(service.sign_in())
        for path in ("refresh", "logout", "logout/others", "logout/everywhere"):
            reply = ask(app, "POST", f"/session/{path}", header, CROSS_SITE)
            assert (reply.code, reply.all_of("set-cookie")) == ("cross_origin", [])
        assert len(run(service.manager.read_all("ann"))) == 1

    def test_a_logout_deletes_what_was_set(self, app: Starlette, service: Service) -> None:
        header = service.cookie(service.sign_in())
        service.clock.advance(3600)
        reply = ask(app, "POST", "/session/logout", header, SAME_ORIGIN)
        assert (reply.status, reply.body) == (204, b"")
        assert all("Max-Age=0" in line for line in reply.all_of("set-cookie"))
        assert len(reply.all_of("set-cookie")) == 2
        assert reply.all_of("content-length") == []
        assert run(service.manager.read_all("ann")) == {}

    def test_the_sessions_of_the_user_are_shown_and_ended(
        self, app: Starlette, service: Service
    ) -> None:
        other, here = service.sign_in(), service.sign_in()
        header = service.bearer(here)
        shown = ask(app, "GET", "/session/sessions", header).json()
        assert {session["id"]: session["current"] for session in shown} == {
            other.session_id: False,
            here.session_id: True,
        }
        path = f"/session/sessions/{other.session_id}"
        assert ask(app, "DELETE", path, header).status == 204
        assert ask(app, "DELETE", path, header).code == "session_not_found"
        assert ask(app, "POST", "/session/logout/others", header).status == 204
        assert list(run(service.manager.read_all("ann"))) == [here.session_id]
        assert ask(app, "POST", "/session/logout/everywhere", header).status == 204
        assert run(service.manager.read_all("ann")) == {}

    def test_public_keys_are_shown_once(self, app: Starlette) -> None:
        reply = ask(app, "GET", "/session/jwks")
        assert reply.json() == {"keys": []}
        known = ("if-none-match", reply.all_of("etag")[0])
        assert ask(app, "GET", "/session/jwks", known).status == 304

    @pytest.mark.parametrize(
        "method, path",
        [
            ("GET", "refresh"),
            ("GET", "logout"),
            ("PUT", "logout"),
            ("GET", "logout/others"),
            ("GET", "logout/everywhere"),
            ("POST", "sessions"),
            ("GET", "sessions/AAAAAAAAAAAAAAAA"),
            ("POST", "jwks"),
        ],
    )
    def test_a_wrong_method_does_nothing(self, app: Starlette, method: str, path: str) -> None:
        assert ask(app, method, f"/session/{path}").status == 405

    def test_a_body_that_is_too_long_is_read_no_further(self, service: Service) -> None:
        json_type = ("content-type", "application/json")
        scope = scope_of("http", "/session/refresh", [json_type], method="POST")
        part = {"type": "http.request", "body": b"x" * 1000, "more_body": True}
        messages = [dict(part) for _ in range(1000)]
        app = Starlette(routes=[Mount("/session", routes=session_routes(service.gate))])
        reply = run(talk(app, scope, messages))
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert len(messages) == 1000 - 17

    def test_a_body_may_come_in_parts(self, app: Starlette, service: Service) -> None:
        body = json.dumps({"refresh_token": service.sign_in().refresh_token}).encode()
        body += b" " * (LONGEST_BODY - len(body))
        parts = [body[:10], b"", body[10:]]
        json_type = ("content-type", "application/json")
        assert ask(app, "POST", "/session/refresh", json_type, body=parts).status == 200

    def test_half_a_body_does_nothing(self, service: Service) -> None:
        app = Starlette(routes=session_routes(service.gate))
        header = service.cookie(service.sign_in())

        scope = scope_of("http", "/logout", [header, SAME_ORIGIN], method="POST")
        messages = [
            {"type": "http.request", "body": b"{", "more_body": True},
            {"type": "http.disconnect"},
        ]
        reply = run(talk(app, scope, messages))
        assert reply.status == 400
        assert len(run(service.manager.read_all("ann"))) == 1

    def test_the_context_of_a_refresh_is_told_to_the_hook(self) -> None:
        contexts: list[Any] = []
        service = Service(
            refresh_hook=lambda session, context: contexts.append(context), storage=None
        )
        app = make_app(service)
        firefox = (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        )
        assert refresh(app, service.sign_in().refresh_token, firefox).status == 200
        (context,) = contexts
        assert context.ip == "203.0.113.7"
        assert (context.device.name, context.device.type) == ("Firefox on Linux", "browser")

    def test_claims_are_asked_for_where_they_are_given(self) -> None:
        service = Service()
        app = Starlette(
            routes=[
                Mount(
                    "/session",
                    routes=session_routes(service.gate, claims=lambda session: {"role": "user"}),
                )
            ]
        )
        reply = refresh(app, service.sign_in().refresh_token)
        assert service.manager.read(reply.json()["access_token"])["role"] == "user"

    def test_claims_that_are_no_callable_are_told_at_once(self) -> None:
        with pytest.raises(ConfigurationError, match="claims must be a callable"):
            session_routes(Service().gate, claims={"role": "user"})  # type: ignore[arg-type]


def test_a_watched_socket_is_closed_by_a_logout() -> None:
    service = Service()
    tokens = service.sign_in("ann")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        async with watch(service.gate, websocket, websocket.state.claims):
            service.manager.delete_all("ann")
            await websocket.receive_text()

    app = Starlette(
        routes=[WebSocketRoute("/ws", socket)],
        middleware=[Middleware(AuthMiddleware, gate=service.gate)],
    )
    reply = _until_closed(app, service.bearer(tokens))
    assert (reply.messages[-1]["type"], reply.messages[-1]["code"]) == ("websocket.close", 4401)


def _until_closed(app: Any, header: tuple[str, str]) -> Reply:
    scope = scope_of("websocket", "/ws", [header], subprotocols=[])
    reply: Reply = run(talk(app, scope, [{"type": "websocket.connect"}]))
    return reply


def test_gates_of_two_services_in_one_application_renew_apart() -> None:
    first = Service(renew=lambda session: {"by": "first"})
    second = Service(
        renew=lambda session: {"by": "second"}, cookies=Cookies("__Host-a", "__Host-b")
    )

    async def who(request: Request) -> JSONResponse:
        return JSONResponse({"by": request.state.claims["by"]})

    inner = AuthMiddleware(Starlette(routes=[Route("/me", who)]), gate=second.gate)
    app = AuthMiddleware(inner, gate=first.gate)
    header = "; ".join(service.cookie(service.sign_in())[1] for service in (first, second))
    for service in (first, second):
        service.clock.advance(3600)
    reply = ask(app, "GET", "/me", ("cookie", header))
    assert reply.json() == {"by": "second"}
    assert [line.partition("=")[0] for line in reply.all_of("set-cookie")] == [
        "__Host-a",
        "__Host-b",
        "__Host-tw-access",
        "__Host-tw-refresh",
    ]


@pytest.mark.parametrize("path", ["/session/refresh", "/me"])
def test_a_storage_that_blocks_holds_up_no_event_loop(path: str) -> None:
    storage = SlowStorage()
    service = Service(storage=storage, renew=lambda session: {})
    app = make_app(service)
    header = service.cookie(service.sign_in())
    service.clock.advance(3600)
    method = "GET" if path == "/me" else "POST"
    reply = run(asked_while_storage_is_slow(app, storage, method, path, [header, SAME_ORIGIN]))
    assert (reply.status, len(reply.all_of("set-cookie"))) == (200, 2)
