"""FastAPI: the dependency in all its places, its routes, and what the document says of them.

Annotations are no texts here, since many of them name what is local; see ``future_app.py``.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import fastapi
import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    HTTPException,
    Request,
    Response,
    Security,
    WebSocket,
)
from fastapi.responses import RedirectResponse, StreamingResponse
from fastapi.security import SecurityScopes
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection

from tests.web import future_app
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
from tokenwheel import (
    AccessTokenExpired,
    AsyncSessionManager,
    Claims,
    ConfigurationError,
    InvalidArgument,
    SessionEvent,
    SessionManager,
    StorageUnavailable,
    TokenwheelError,
    TooManySessions,
)
from tokenwheel.web import Cookies
from tokenwheel.web.fastapi import FastAPIAuth


@pytest.fixture(params=[SessionManager, AsyncSessionManager], ids=["blocking", "async"])
def service(request: pytest.FixtureRequest) -> Service:
    return Service(request.param)


@pytest.fixture
def auth(service: Service) -> FastAPIAuth:
    return FastAPIAuth(service.gate)


def make_app(auth: FastAPIAuth, *, install: bool = True) -> FastAPI:
    app = FastAPI()
    if install:
        auth.install(app)

    @app.get("/me")
    async def me(claims: Annotated[Claims, Depends(auth)]) -> Claims:
        return claims

    @app.post("/me")
    def post_me(claims: Annotated[Claims, Depends(auth)]) -> str:
        return claims.subject

    @app.get("/admin")
    async def admin(claims: Annotated[Claims, Security(auth, scopes=["admin", "read"])]) -> str:
        return claims.subject

    @app.get("/optional")
    async def optional(
        claims: Annotated[Claims | None, Depends(auth.optional)],
    ) -> Claims | None:
        return claims

    @app.get("/optional-admin")
    async def optional_admin(
        claims: Annotated[Claims | None, Security(auth.optional, scopes=["admin"])],
    ) -> Claims | None:
        return claims

    @app.get("/fresh")
    async def fresh(claims: Annotated[Claims, Depends(auth.fresh(300))]) -> str:
        return claims.subject

    @app.get("/fresh-admin")
    async def fresh_admin(
        claims: Annotated[Claims, Security(auth.fresh(300), scopes=["admin"])],
    ) -> str:
        return claims.subject

    @app.websocket("/ws")
    async def socket(
        websocket: WebSocket, claims: Annotated[Claims, Depends(auth)], sub: str | None = None
    ) -> None:
        await websocket.accept(sub)
        await websocket.send_text(claims.subject)
        await websocket.close()

    return app


@pytest.fixture
def app(auth: FastAPIAuth) -> FastAPI:
    return make_app(auth)


def test_claims_come_as_a_dependency(app: FastAPI, service: Service) -> None:
    tokens = service.sign_in("ann", name="Ann")
    for header in (service.bearer(tokens), service.cookie(tokens)):
        reply = ask(app, "GET", "/me", header)
        assert (reply.json()["sub"], reply.json()["name"]) == ("ann", "Ann")


def test_a_refusal_is_a_finished_answer(app: FastAPI, service: Service) -> None:
    reply = ask(app, "GET", "/me")
    assert (reply.status, reply.code) == (401, "credentials_missing")
    assert reply.all_of("content-type") == ["application/problem+json"]
    assert reply.all_of("www-authenticate") == ["Bearer"]
    reply = ask(app, "POST", "/me", service.cookie(service.sign_in()), CROSS_SITE)
    assert (reply.status, reply.code) == (403, "cross_origin")
    twice = [service.bearer(service.sign_in())] * 2
    assert ask(app, "GET", "/me", *twice).code == "invalid_request"


def test_scopes_are_asked_for(app: FastAPI, service: Service) -> None:
    reply = ask(app, "GET", "/admin", service.bearer(service.sign_in(scope="read")))
    assert (reply.status, reply.code) == (403, "insufficient_scope")
    assert 'scope="admin read"' in reply.all_of("www-authenticate")[0]
    reply = ask(app, "GET", "/admin", service.bearer(service.sign_in(scope="read admin")))
    assert reply.status == 200


def test_scopes_of_all_levels_are_asked_for(service: Service, auth: FastAPIAuth) -> None:
    app = FastAPI()
    auth.install(app)

    def reader(claims: Annotated[Claims, Security(auth, scopes=["read"])]) -> str:
        return claims.subject

    def writer(name: Annotated[str, Security(reader, scopes=["write"])]) -> str:
        return name

    @app.get("/", dependencies=[Security(auth, scopes=["top"])])
    async def root(name: Annotated[str, Depends(writer)]) -> str:
        return name

    for scope, status in [
        ("top read", 403),
        ("top write", 403),
        ("read write", 403),
        ("top read write", 200),
    ]:
        reply = ask(app, "GET", "/", service.bearer(service.sign_in(scope=scope)))
        assert reply.status == status, scope


def test_nobody_may_be_signed_in_where_it_is_optional(app: FastAPI, service: Service) -> None:
    tokens = service.sign_in("ann")
    assert ask(app, "GET", "/optional").json() is None
    assert ask(app, "GET", "/optional", service.cookie(tokens)).json()["sub"] == "ann"
    service.clock.advance(3600)
    assert ask(app, "GET", "/optional", service.cookie(tokens)).json() is None
    assert ask(app, "GET", "/optional", service.bearer(tokens)).code == "access_token_expired"


def test_an_optional_login_needs_the_scopes_if_there_is_one(app: FastAPI, service: Service) -> None:
    assert ask(app, "GET", "/optional-admin").json() is None
    reply = ask(app, "GET", "/optional-admin", service.bearer(service.sign_in()))
    assert reply.code == "insufficient_scope"


def test_an_optional_dependency_lets_nobody_through_a_required_one(
    service: Service, auth: FastAPIAuth
) -> None:
    app = FastAPI()
    auth.install(app)

    @app.get("/")
    async def root(
        optional: Annotated[Claims | None, Depends(auth.optional)],
        claims: Annotated[Claims, Depends(auth)],
    ) -> str:
        return "in"

    assert ask(app, "GET", "/").code == "credentials_missing"


def test_a_login_must_be_fresh(app: FastAPI, service: Service) -> None:
    tokens = service.sign_in(scope="admin")
    service.clock.advance(300)
    assert ask(app, "GET", "/fresh", service.bearer(tokens)).status == 200
    assert ask(app, "GET", "/fresh-admin", service.bearer(tokens)).status == 200
    service.clock.advance(1)
    reply = ask(app, "GET", "/fresh", service.bearer(tokens))
    assert (reply.status, reply.code) == (401, "login_too_old")
    assert 'max_age="300"' in reply.all_of("www-authenticate")[0]
    reply = ask(app, "GET", "/fresh-admin", service.bearer(service.sign_in()))
    assert reply.code == "insufficient_scope"
    with pytest.raises(InvalidArgument, match="max_age"):
        FastAPIAuth(service.gate).fresh(-1)


class TestOverrides:
    def claims(self, service: Service) -> Claims:
        claims: Claims = service.manager.read(service.sign_in("ann").access_token)
        return claims

    def test_an_override_holds_for_every_use(
        self, app: FastAPI, auth: FastAPIAuth, service: Service
    ) -> None:
        claims = self.claims(service)
        app.dependency_overrides[auth] = lambda: claims
        for path in ("/me", "/admin", "/optional", "/optional-admin", "/fresh", "/fresh-admin"):
            assert ask(app, "GET", path).status == 200, path
        assert shake_hands(app, "/ws").messages[0]["type"] == "websocket.accept"
        app.dependency_overrides.clear()
        assert ask(app, "GET", "/optional").json() is None

    def test_an_override_may_be_async_and_take_the_request(
        self, app: FastAPI, auth: FastAPIAuth, service: Service
    ) -> None:
        claims = self.claims(service)

        async def override() -> Claims:
            return claims

        async def with_request(request: Request) -> Claims:
            return claims

        app.dependency_overrides[auth] = override
        assert ask(app, "GET", "/optional").json()["sub"] == "ann"
        app.dependency_overrides[auth] = with_request
        assert ask(app, "GET", "/fresh").status == 200
        assert ask(app, "GET", "/optional").json() is None  # That can't be handed a request.

        def yields() -> Iterator[Claims]:
            yield claims

        app.dependency_overrides[auth] = yields
        assert ask(app, "GET", "/fresh").status == 200
        assert ask(app, "GET", "/optional").json() is None  # Nor can it close what yields.

    def test_an_override_of_anything_else_is_no_login_to_judge(
        self, app: FastAPI, auth: FastAPIAuth
    ) -> None:
        class Fake:
            subject = "fake"

        app.dependency_overrides[auth] = Fake
        assert ask(app, "GET", "/fresh").json() == "fake"

    def test_the_optional_one_has_an_override_of_its_own(
        self, app: FastAPI, auth: FastAPIAuth, service: Service
    ) -> None:
        claims = self.claims(service)
        app.dependency_overrides[auth] = lambda: claims
        app.dependency_overrides[auth.optional] = lambda: None
        assert ask(app, "GET", "/optional").json() is None


class TestWebSocket:
    def test_it_is_let_in_each_way(self, app: FastAPI, service: Service) -> None:
        tokens = service.sign_in("ann")
        for headers, offers in (
            ([service.bearer(tokens)], []),
            ([service.cookie(tokens), SAME_ORIGIN], []),
            ([], ["tokenwheel", f"bearer.{tokens.access_token}"]),
        ):
            accept, text, _ = shake_hands(app, "/ws", *headers, offers=offers).messages
            assert accept["type"] == "websocket.accept"
            assert accept["subprotocol"] == ("tokenwheel" if offers else None)
            assert text["text"] == "ann"

    def test_the_token_is_never_echoed(self, app: FastAPI, service: Service) -> None:
        bearer = f"bearer.{service.sign_in().access_token}"
        offers = ["chat", "tokenwheel", bearer]
        for chosen, echoed in (("chat", "chat"), (bearer, "tokenwheel"), ("x", "tokenwheel")):
            reply = shake_hands(app, f"/ws?sub={chosen}", offers=offers)
            assert reply.messages[0]["subprotocol"] == echoed

    def test_a_refusal_is_a_denial_or_a_close(self, app: FastAPI, service: Service) -> None:
        reply = shake_hands(app, "/ws")
        assert (reply.status, reply.code) == (401, "credentials_missing")
        cookie = service.cookie(service.sign_in())
        assert shake_hands(app, "/ws", cookie, CROSS_SITE).code == "cross_origin"
        (message,) = shake_hands(app, "/ws", denial=False).messages
        assert (message["type"], message["code"]) == ("websocket.close", 4401)

    def test_an_error_after_it_was_accepted_closes_it(
        self, auth: FastAPIAuth, service: Service
    ) -> None:
        app = FastAPI()
        auth.install(app)

        @app.websocket("/ws")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            service.manager.read("x.y.z")

        _, close = shake_hands(app, "/ws").messages
        assert (close["type"], close["code"]) == ("websocket.close", 4401)

    def test_a_logout_closes_one_that_is_watched(self, auth: FastAPIAuth) -> None:
        service = Service()
        auth = FastAPIAuth(service.gate)
        app = FastAPI()
        auth.install(app)

        @app.websocket("/ws")
        async def socket(websocket: WebSocket, claims: Annotated[Claims, Depends(auth)]) -> None:
            await websocket.accept()
            async with auth.watch(websocket, claims):
                service.manager.delete_all("ann")
                await websocket.receive_text()

        header = service.bearer(service.sign_in("ann"))
        scope = scope_of("websocket", "/ws", [header], subprotocols=[])
        reply = run(talk(app, scope, [{"type": "websocket.connect"}]))
        assert reply.error is None
        assert (reply.messages[-1]["type"], reply.messages[-1]["code"]) == ("websocket.close", 4401)

    def test_a_logout_ends_a_stream_of_events(self) -> None:
        service = Service()
        auth = FastAPIAuth(service.gate)
        app = FastAPI()
        auth.install(app)

        async def events() -> AsyncIterator[str]:
            yield "data: 1\n\n"
            service.manager.delete_all("ann")
            await asyncio.Event().wait()
            yield "never"

        @app.get("/events")
        async def stream(
            request: Request, claims: Annotated[Claims, Depends(auth)]
        ) -> StreamingResponse:
            return StreamingResponse(auth.watch(request, claims).each(events()))

        reply = ask(app, "GET", "/events", service.bearer(service.sign_in("ann")))
        assert (reply.status, reply.body) == (200, b"data: 1\n\n")


class TestWithoutInstall:
    @pytest.fixture
    def app(self, auth: FastAPIAuth) -> FastAPI:
        return make_app(auth, install=False)

    def test_a_refusal_is_still_no_500(self, app: FastAPI, service: Service) -> None:
        reply = ask(app, "GET", "/me")
        assert (reply.status, reply.error) == (401, None)
        assert reply.json() == {"detail": "the request has no access token"}
        assert reply.all_of("www-authenticate") == ["Bearer"]
        assert reply.all_of("cache-control") == ["no-store"]
        assert reply.all_of("content-type") == ["application/json"]
        header = service.bearer(service.sign_in())
        assert ask(app, "GET", "/admin", header).status == 403
        assert ask(app, "GET", "/optional", ("authorization", "Bearer")).status == 400
        service.clock.advance(301)
        assert ask(app, "GET", "/fresh", header).status == 401

    def test_a_websocket_is_closed(self, app: FastAPI) -> None:
        (message,) = shake_hands(app, "/ws").messages
        assert (message["type"], message["code"]) == ("websocket.close", 4401)

    def test_a_mistake_of_the_server_is_not_told(
        self, app: FastAPI, auth: FastAPIAuth, service: Service
    ) -> None:
        auth.gate._scopes = lambda claims: "admin"
        reply = ask(app, "GET", "/admin", service.bearer(service.sign_in()))
        assert reply.status == 500
        assert "scopes" not in reply.json()["detail"]

    def test_a_mounted_application_may_have_only_the_dependency(
        self, app: FastAPI, auth: FastAPIAuth
    ) -> None:
        outer = make_app(auth)
        outer.mount("/inner", app)
        reply = ask(outer, "GET", "/inner/me")
        assert (reply.status, reply.error) == (401, None)

    def test_nothing_is_renewed_whose_cookies_could_not_be_set(self) -> None:
        service = Service(renew=lambda session: {})
        app = make_app(FastAPIAuth(service.gate), install=False)
        header = service.cookie(service.sign_in())
        service.clock.advance(3600)
        assert ask(app, "GET", "/me", header).status == 401
        service.clock.advance(3600)
        assert len(run(service.manager.read_all("ann"))) == 1


class TestPlaces:
    """Where a dependency may stand, and what may stand around it."""

    def test_it_guards_a_router(self, auth: FastAPIAuth, service: Service) -> None:
        router = APIRouter(dependencies=[Depends(auth)])

        @router.get("/a")
        async def a() -> str:
            return "a"

        app = FastAPI(dependencies=[Depends(auth.optional)])
        auth.install(app)
        app.include_router(router, prefix="/v1", dependencies=[Security(auth, scopes=["x"])])
        assert ask(app, "GET", "/v1/a").status == 401
        assert ask(app, "GET", "/v1/a", service.bearer(service.sign_in())).status == 403
        assert ask(app, "GET", "/v1/a", service.bearer(service.sign_in(scope="x"))).status == 200

    def test_it_stands_within_middleware(self, auth: FastAPIAuth, service: Service) -> None:
        app = make_app(auth)

        async def dispatch(request: Request, call_next: Any) -> Any:
            response = await call_next(request)
            response.headers["x-seen"] = str(response.status_code)
            return response

        app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
        assert ask(app, "GET", "/me").all_of("x-seen") == ["401"]
        reply = ask(app, "GET", "/me", service.bearer(service.sign_in()))
        assert reply.all_of("x-seen") == ["200"]

    def test_it_stands_in_a_mounted_application(self, auth: FastAPIAuth, service: Service) -> None:
        outer = FastAPI()
        auth.install(outer)
        outer.mount("/inner", make_app(auth))
        assert ask(outer, "GET", "/inner/me").code == "credentials_missing"
        reply = ask(outer, "GET", "/inner/me", service.bearer(service.sign_in("ann")))
        assert reply.json()["sub"] == "ann"

    def test_background_tasks_have_the_claims(self, auth: FastAPIAuth, service: Service) -> None:
        app = FastAPI()
        auth.install(app)
        seen: list[str] = []

        @app.get("/")
        async def root(claims: Annotated[Claims, Depends(auth)], tasks: BackgroundTasks) -> None:
            tasks.add_task(lambda: seen.append(claims.subject))

        ask(app, "GET", "/", service.bearer(service.sign_in("ann")))
        assert seen == ["ann"]

    def test_a_dependency_that_yields_is_closed_after_a_refusal(
        self, auth: FastAPIAuth, service: Service
    ) -> None:
        closed: list[str] = []

        def database() -> Iterator[str]:
            try:
                yield "database"
            finally:
                closed.append("database")

        app = FastAPI()
        auth.install(app)

        @app.get("/")
        async def root(
            database: Annotated[str, Depends(database)],
            claims: Annotated[Claims, Depends(auth)],
        ) -> str:
            return database

        assert ask(app, "GET", "/").status == 401
        assert closed == ["database"]

    def test_annotations_may_be_texts(self) -> None:
        app, service = future_app.app, future_app.service
        header = service.bearer(service.sign_in("ann", scope="admin"))
        assert ask(app, "GET", "/me", header).json()["sub"] == "ann"
        assert ask(app, "GET", "/blocking", header).json() == "ann"
        assert ask(app, "GET", "/fresh", header).json() == "ann"
        assert ask(app, "GET", "/optional").json() is None
        assert ask(app, "GET", "/nested", header).json() == "admin async ann"
        user = service.bearer(service.sign_in("bob"))
        assert ask(app, "GET", "/nested", user).code == "insufficient_scope"
        assert shake_hands(app, "/ws", header).messages[0]["type"] == "websocket.accept"
        assert ask(app, "GET", "/openapi.json").status == 200

    def test_a_storage_that_blocks_holds_up_no_event_loop(self) -> None:
        storage = SlowStorage()
        service = Service(storage=storage, renew=lambda session: {})
        app = make_app(FastAPIAuth(service.gate))
        header = service.cookie(service.sign_in())
        service.clock.advance(3600)
        reply = run(asked_while_storage_is_slow(app, storage, "GET", "/me", [header]))
        assert (reply.status, len(reply.all_of("set-cookie"))) == (200, 2)


class TestErrors:
    """What path functions raise is answered by the handler."""

    @pytest.mark.parametrize(
        "error, status, code",
        [
            (TooManySessions("five"), 409, "too_many_sessions"),
            (InvalidArgument("subject"), 400, "invalid_argument"),
            (StorageUnavailable("gone"), 503, "storage_unavailable"),
            (ConfigurationError("an option"), 500, "configuration_error"),
        ],
    )
    @pytest.mark.parametrize("path", ["/async", "/blocking", "/dependency"])
    def test_what_a_path_function_raises(
        self,
        auth: FastAPIAuth,
        error: Exception,
        status: int,
        code: str,
        path: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        app = FastAPI()
        auth.install(app)

        @app.get("/async")
        async def raises() -> None:
            raise error

        @app.get("/blocking")
        def raises_blocking() -> None:
            raise error

        @app.get("/dependency", dependencies=[Depends(raises)])
        async def depends() -> None: ...

        with caplog.at_level(logging.CRITICAL):
            reply = ask(app, "GET", path)
        assert (reply.status, reply.code, reply.error) == (status, code, None)
        assert "an option" not in reply.body.decode()

    def test_errors_of_the_application_stay_its_own(self, auth: FastAPIAuth) -> None:
        app = FastAPI()
        auth.install(app)

        @app.get("/")
        async def root() -> None:
            raise HTTPException(418)

        assert ask(app, "GET", "/").status == 418

    def test_a_handler_of_the_applications_own_is_left_to_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SessionManager, "read", _out_of_reach)
        service = Service()
        app = make_app(FastAPIAuth(service.gate))

        @app.exception_handler(StorageUnavailable)
        async def own(request: Request, error: Exception) -> Response:
            return Response("own", 599)

        assert ask(app, "GET", "/me", service.bearer(service.sign_in())).status == 599


def _out_of_reach(*_: Any, **__: Any) -> None:
    raise StorageUnavailable("out of reach")


class TestRenewal:
    @pytest.fixture(params=[SessionManager, AsyncSessionManager], ids=["blocking", "async"])
    def service(self, request: pytest.FixtureRequest) -> Service:
        return Service(request.param, renew=lambda session: {"scope": "admin read"})

    @pytest.fixture
    def app(self, auth: FastAPIAuth) -> FastAPI:
        app = make_app(auth)

        @app.get("/many")
        async def many(
            first: Annotated[Claims, Depends(auth)],
            second: Annotated[Claims | None, Depends(auth.optional)],
            third: Annotated[Claims, Security(auth, scopes=["admin"])],
            fourth: Annotated[Claims, Depends(auth, use_cache=False)],
        ) -> list[str]:
            assert first == second == third == fourth
            return sorted({str(claims) for claims in (first, second, third, fourth)})

        @app.get("/redirect", dependencies=[Depends(auth)])
        async def redirect() -> RedirectResponse:
            return RedirectResponse("/")

        @app.get("/stream", dependencies=[Depends(auth)])
        async def stream() -> StreamingResponse:
            return StreamingResponse(iter(["a", "b"]))

        @app.get("/fail", dependencies=[Depends(auth)])
        async def fail() -> None:
            raise RuntimeError("its own")

        @app.get("/refuse", dependencies=[Depends(auth)])
        async def refuse() -> None:
            raise HTTPException(402)

        @app.get("/invalid", dependencies=[Depends(auth)])
        async def invalid(number: int) -> None: ...

        @app.get("/too-many", dependencies=[Depends(auth)])
        async def too_many() -> None:
            raise TooManySessions("five")

        @app.get("/scope", dependencies=[Security(auth, scopes=["other"])])
        async def scope() -> None: ...

        return app

    @pytest.mark.parametrize(
        "path, status",
        [
            ("/me", 200),
            ("/many", 200),
            ("/admin", 200),
            ("/optional", 200),
            ("/redirect", 307),
            ("/stream", 200),
            ("/fail", 500),
            ("/refuse", 402),
            ("/invalid", 422),
            ("/too-many", 409),
            ("/scope", 403),
            ("/fresh", 401),
        ],
    )
    def test_new_cookies_are_set_on_whatever_is_answered(
        self, app: FastAPI, service: Service, path: str, status: int
    ) -> None:
        header = service.cookie(service.sign_in())
        service.clock.advance(3600)
        reply = ask(app, "GET", path, header)
        assert reply.status == status
        assert len(reply.all_of("set-cookie")) == 2
        assert reply.all_of("cache-control") == ["no-store"]

    def test_a_handler_of_all_errors_has_them_too(self, app: FastAPI, service: Service) -> None:
        @app.exception_handler(Exception)
        async def own(request: Request, error: Exception) -> Response:
            return Response("sorry", 500)

        header = service.cookie(service.sign_in())
        service.clock.advance(3600)
        reply = ask(app, "GET", "/fail", header)
        assert (reply.body, len(reply.all_of("set-cookie"))) == (b"sorry", 2)

    def test_it_is_refreshed_once_a_request(self, app: FastAPI, service: Service) -> None:
        header = service.cookie(service.sign_in())
        service.clock.advance(3600)
        refreshed: list[Any] = []
        service.manager.on(SessionEvent.SESSION_REFRESHED, refreshed.append)
        assert ask(app, "GET", "/many", header).status == 200
        assert len(refreshed) == 1

    def test_a_session_that_has_ended_is_asked_for_once(
        self, auth: FastAPIAuth, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = FastAPI()
        auth.install(app)

        @app.get("/")
        async def root(
            first: Annotated[Claims | None, Depends(auth.optional)],
            second: Annotated[Claims | None, Depends(auth.optional, use_cache=False)],
        ) -> None: ...

        header = service.cookie(service.sign_in())
        service.clock.advance(3600)
        run(service.manager.delete_all("ann"))
        calls: list[Any] = []
        update = service.manager.update

        def counted(*arguments: Any, **options: Any) -> Any:
            calls.append(arguments)
            return update(*arguments, **options)

        monkeypatch.setattr(service.manager, "update", counted)
        reply = ask(app, "GET", "/", header)
        assert (reply.status, len(calls)) == (200, 1)
        assert reply.all_of("set-cookie") == []

    def test_nothing_is_renewed_once_the_response_has_begun(
        self, auth: FastAPIAuth, service: Service
    ) -> None:
        app = FastAPI()
        auth.install(app)
        refused: list[str] = []

        @app.get("/")
        async def root(request: Request) -> StreamingResponse:
            async def parts() -> AsyncIterator[str]:
                yield "a"
                try:
                    await auth(request, SecurityScopes())
                except AccessTokenExpired as error:
                    refused.append(error.code)

            return StreamingResponse(parts())

        header = service.cookie(service.sign_in())
        service.clock.advance(3600)
        reply = ask(app, "GET", "/", header)
        assert (reply.body, reply.all_of("set-cookie")) == (b"a", [])
        assert refused == ["access_token_expired"]

    def test_a_websocket_is_not_renewed(self, app: FastAPI, service: Service) -> None:
        header = service.cookie(service.sign_in())
        service.clock.advance(3600)
        assert shake_hands(app, "/ws", header, SAME_ORIGIN).code == "access_token_expired"


class TestInstall:
    def test_what_is_no_application_is_told(self, auth: FastAPIAuth) -> None:
        with pytest.raises(ConfigurationError, match="app must be a FastAPI, not APIRouter"):
            auth.install(APIRouter())  # type: ignore[arg-type]

    def test_it_may_be_called_twice_and_leaves_a_handler_that_is_there(
        self, auth: FastAPIAuth, service: Service
    ) -> None:
        app = FastAPI()

        @app.exception_handler(TokenwheelError)
        async def own(request: Request, error: TokenwheelError) -> Response:
            return Response(error.code, 599)

        @app.get("/", dependencies=[Depends(auth)])
        async def root() -> None: ...

        auth.install(app)
        auth.install(app)
        assert ask(app, "GET", "/").body == b"credentials_missing"
        assert ask(app, "GET", "/", service.bearer(service.sign_in())).status == 200

    def test_after_the_first_request_it_is_too_late(self, auth: FastAPIAuth) -> None:
        app = FastAPI()
        ask(app, "GET", "/")
        with pytest.raises(ConfigurationError, match="before the first request"):
            auth.install(app)

    @pytest.mark.parametrize(
        "options, mistake",
        [
            ({"token_url": 1}, "token_url and description must be texts"),
            ({"token_url": "token", "scopes": ["admin"]}, "scopes a dict"),
            ({"description": 1}, "description must be texts"),
            ({"scheme_name": "a b"}, "scheme_name must be a name"),
            ({"scheme_name": None}, "scheme_name must be a name"),
        ],
    )
    def test_an_option_that_makes_no_sense_is_told_at_once(
        self, service: Service, options: Any, mistake: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=mistake):
            FastAPIAuth(service.gate, **options)

    def test_the_password_flow_needs_bearers(self) -> None:
        with pytest.raises(ConfigurationError, match="token_url is for gates that take bearers"):
            FastAPIAuth(Service(bearer=False).gate, token_url="token")

    def test_a_gate_is_needed(self, service: Service) -> None:
        with pytest.raises(ConfigurationError, match="gate must be a Gate, not SessionManager"):
            FastAPIAuth(Service().manager)


class TestLogin:
    @pytest.fixture
    def app(self, auth: FastAPIAuth, service: Service) -> FastAPI:
        app = make_app(auth)
        app.include_router(auth.router(), prefix="/session")

        @app.post("/login")
        async def login(request: Request, via: str | None = None) -> Response:
            context = auth.context(request)
            tokens = service.manager.create(subject="ann", context=context)
            if isinstance(service.manager, AsyncSessionManager):
                tokens = await tokens
            return auth.signed_in(request, tokens, via=via)  # type: ignore[arg-type]

        return app

    def test_a_browser_gets_cookies_and_others_get_tokens(self, app: FastAPI) -> None:
        reply = ask(app, "POST", "/login", SAME_ORIGIN)
        assert len(reply.all_of("set-cookie")) == 2
        assert "access_token" not in reply.json()
        reply = ask(app, "POST", "/login")
        assert reply.all_of("set-cookie") == []
        assert reply.json()["token_type"] == "Bearer"
        assert reply.all_of("cache-control") == ["no-store"]
        reply = ask(app, "POST", "/login?via=bearer", SAME_ORIGIN)
        assert reply.json()["token_type"] == "Bearer"

    def test_a_page_of_another_site_opens_no_session(self, app: FastAPI, service: Service) -> None:
        for headers in (
            [CROSS_SITE],
            [("origin", "https://evil.example")],
            [("origin", "null"), SAME_ORIGIN],
        ):
            reply = ask(app, "POST", "/login", *headers)
            assert (reply.status, reply.code) == (403, "cross_origin")
        assert run(service.manager.read_all("ann")) == {}

    def test_the_context_says_where_a_login_came_from(self, app: FastAPI, service: Service) -> None:
        ask(app, "POST", "/login", ("user-agent", "curl/8.5.0"), ("x-forwarded-for", "1.2.3.4"))
        (session,) = run(service.manager.read_all("ann")).values()
        assert (session.ip, session.device.name) == ("203.0.113.7", "curl")

    def test_a_login_is_refreshed_from_the_same_device(
        self, app: FastAPI, service: Service
    ) -> None:
        agent = ("user-agent", "curl/8.5.0")
        token = ask(app, "POST", "/login", agent).json()["refresh_token"]
        body = json.dumps({"refresh_token": token}).encode()
        json_type = ("content-type", "application/json")
        other = ("user-agent", "Wget/1.21")
        reply = ask(app, "POST", "/session/refresh", json_type, other, body=body)
        assert (reply.status, reply.code) == (403, "context_mismatch")
        newer = ("user-agent", "curl/9.0.0")
        assert ask(app, "POST", "/session/refresh", json_type, newer, body=body).status == 200

    def test_without_install_a_refused_login_is_no_500(
        self, auth: FastAPIAuth, service: Service
    ) -> None:
        app = FastAPI()

        @app.post("/login")
        async def login(request: Request) -> None:
            auth.context(request)

        assert ask(app, "POST", "/login", CROSS_SITE).status == 403


class TestRouter:
    @pytest.fixture
    def app(self, auth: FastAPIAuth) -> FastAPI:
        app = FastAPI()
        auth.install(app)
        router = auth.router(claims=lambda session: {"role": "user"})
        app.include_router(router, prefix="/any/prefix")
        return app

    def ask(self, app: FastAPI, method: str, path: str, *headers: Any, **options: Any) -> Reply:
        return ask(app, method, f"/any/prefix/{path}", *headers, **options)

    def test_all_its_routes_answer(self, app: FastAPI, service: Service) -> None:
        tokens, other = service.sign_in(), service.sign_in()
        bearer = service.bearer(tokens)
        form = ("content-type", "application/x-www-form-urlencoded")
        body = f"refresh_token={tokens.refresh_token}".encode()
        reply = self.ask(app, "POST", "refresh", form, body=body)
        assert reply.status == 200
        assert service.manager.read(reply.json()["access_token"])["role"] == "user"
        assert len(self.ask(app, "GET", "sessions", bearer).json()) == 2
        path = f"sessions/{other.session_id}"
        assert self.ask(app, "DELETE", path, bearer).status == 204
        assert self.ask(app, "DELETE", path, bearer).code == "session_not_found"
        service.sign_in()
        assert self.ask(app, "POST", "logout/others", bearer).status == 204
        assert list(run(service.manager.read_all("ann"))) == [tokens.session_id]
        assert self.ask(app, "POST", "logout/everywhere", bearer).status == 204
        cookie = service.cookie(service.sign_in())
        reply = self.ask(app, "POST", "logout", cookie, SAME_ORIGIN)
        assert (reply.status, len(reply.all_of("set-cookie"))) == (204, 2)
        assert self.ask(app, "GET", "jwks").all_of("content-type") == ["application/jwk-set+json"]

    @pytest.mark.parametrize(
        "method, path", [("GET", "refresh"), ("GET", "logout"), ("POST", "sessions")]
    )
    def test_a_wrong_method_does_nothing(self, app: FastAPI, method: str, path: str) -> None:
        assert self.ask(app, method, path).status == 405

    def test_a_long_body_is_refused(self, app: FastAPI) -> None:
        json_type = ("content-type", "application/json")
        reply = self.ask(app, "POST", "refresh", json_type, body=[b" " * 1000] * 100)
        assert (reply.status, reply.code) == (400, "invalid_request")

    def test_an_expired_access_token_hinders_no_logout(
        self, app: FastAPI, service: Service
    ) -> None:
        tokens = service.sign_in()
        service.clock.advance(3600)
        reply = self.ask(app, "POST", "logout", service.cookie(tokens), SAME_ORIGIN)
        assert reply.status == 204
        assert run(service.manager.read_all("ann")) == {}


class TestDocument:
    def document(self, auth: FastAPIAuth) -> Any:
        app = make_app(auth)
        app.include_router(auth.router(), prefix="/session")
        return ask(app, "GET", "/openapi.json").json()

    def test_the_lock_asks_for_a_bearer(self, auth: FastAPIAuth) -> None:
        document = self.document(auth)
        assert document["components"]["securitySchemes"] == {
            "session": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        }
        assert document["paths"]["/me"]["get"]["security"] == [{"session": []}]
        for path in ("/optional", "/fresh"):
            assert document["paths"][path]["get"]["security"] == [{"session": []}]

    @pytest.mark.skipif(
        int(fastapi.__version__.split(".")[1]) < 120,
        reason="older releases name scopes of OAuth 2 alone",
    )
    def test_the_scopes_of_a_route_are_told(self, auth: FastAPIAuth) -> None:
        paths = self.document(auth)["paths"]
        assert paths["/admin"]["get"]["security"] == [{"session": ["admin", "read"]}]

    def test_the_password_flow_is_offered_with_its_address(self, service: Service) -> None:
        auth = FastAPIAuth(service.gate, token_url="token", scopes={"admin": "everything"})
        assert self.document(auth)["components"]["securitySchemes"] == {
            "session": {
                "type": "oauth2",
                "flows": {"password": {"tokenUrl": "token", "scopes": {"admin": "everything"}}},
            }
        }

    def test_where_only_cookies_are_taken_the_lock_says_so(self) -> None:
        service = Service(bearer=False)
        auth = FastAPIAuth(service.gate, scheme_name="cookies", description="Sign in first.")
        assert self.document(auth)["components"]["securitySchemes"] == {
            "cookies": {
                "type": "apiKey",
                "in": "cookie",
                "name": "__Host-tw-access",
                "description": "Sign in first.",
            }
        }

    def test_the_routes_are_documented(self, auth: FastAPIAuth) -> None:
        paths = self.document(auth)["paths"]
        answers = {
            (method, path.removeprefix("/session")): set(operation["responses"])
            for path, operations in paths.items()
            if path.startswith("/session")
            for method, operation in operations.items()
        }
        assert answers == {
            ("post", "/refresh"): {"200", "400", "401", "403", "503"},
            ("post", "/logout"): {"204", "400", "403", "503"},
            ("post", "/logout/others"): {"204", "400", "401", "403", "503"},
            ("post", "/logout/everywhere"): {"204", "400", "401", "403", "503"},
            ("get", "/sessions"): {"200", "400", "401", "503"},
            ("delete", "/sessions/{session_id}"): {"204", "400", "401", "403", "404", "422", "503"},
            ("get", "/jwks"): {"200", "304", "503"},
        }
        refresh = paths["/session/refresh"]["post"]
        assert "security" not in refresh
        assert set(refresh["requestBody"]["content"]) == {
            "application/json",
            "application/x-www-form-urlencoded",
        }
        assert set(refresh["responses"]["401"]["content"]) == {"application/problem+json"}
        assert paths["/session/sessions"]["get"]["security"] == [{"session": []}]
        ((media_type, keys),) = paths["/session/jwks"]["get"]["responses"]["200"]["content"].items()
        assert media_type == "application/jwk-set+json"
        assert (keys["schema"]["type"], keys["schema"]["required"]) == ("object", ["keys"])


def test_the_dependency_takes_any_connection(auth: FastAPIAuth, service: Service) -> None:
    tokens = service.sign_in("ann")
    scope = scope_of("http", "/", [service.bearer(tokens)], method="GET")
    claims = run(auth(HTTPConnection(scope), SecurityScopes()))
    assert claims.subject == "ann"


def test_cookies_may_have_other_names() -> None:
    service = Service(cookies=Cookies("__Host-a", "__Host-b"))
    app = make_app(FastAPIAuth(service.gate))
    assert ask(app, "GET", "/me", service.cookie(service.sign_in())).status == 200
