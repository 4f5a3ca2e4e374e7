"""The middleware for any ASGI application, asked message by message."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from typing import Any

import pytest
import uvicorn
from asgiref.compatibility import is_double_callable
from hypercorn.utils import is_asgi

from tests.web.support import (
    CROSS_SITE,
    SAME_ORIGIN,
    Reply,
    Service,
    ask,
    asked,
    run,
    scope_of,
    shake_hands,
    talk,
)
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    SessionEvent,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.web.asgi import AuthMiddleware
from tokenwheel.web.scopes import headers_of


class App:
    """An application that remembers the scopes it was run with, and says hello."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.accepts_with: str | None = None
        self.headers: list[tuple[bytes, bytes]] = [(b"content-type", b"text/plain")]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": self.headers})
            await send({"type": "http.response.body", "body": b"hello"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "subprotocol": self.accepts_with})

    @property
    def claims(self) -> Any:
        return self.scopes[-1]["state"]["claims"]


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture(params=[SessionManager, AsyncSessionManager], ids=["blocking", "async"])
def service(request: pytest.FixtureRequest) -> Service:
    return Service(request.param)


@pytest.fixture
def guarded(app: App, service: Service) -> AuthMiddleware:
    return AuthMiddleware(app, gate=service.gate, public=("/login", "/public/", "/"))


def test_importing_it_imports_no_framework() -> None:
    statement = (
        "import sys, tokenwheel.web.asgi, tokenwheel.web.testing; "
        "sys.exit(any(m in sys.modules for m in ('starlette', 'fastapi', 'flask', 'django')))"
    )
    assert subprocess.run([sys.executable, "-c", statement], check=False).returncode == 0


def test_a_good_token_gets_in_and_the_scope_says_whose_it_is(
    app: App, guarded: AuthMiddleware, service: Service
) -> None:
    tokens = service.sign_in("ann", scope="read admin")
    assert ask(guarded, "GET", "/me", service.bearer(tokens)).body == b"hello"
    assert app.claims.subject == "ann"
    user, auth = app.scopes[-1]["user"], app.scopes[-1]["auth"]
    assert (user.is_authenticated, user.identity, user.display_name) == (True, "ann", "ann")
    assert user.username == "ann"
    assert auth.scopes == ["authenticated", "admin", "read"]


def test_what_is_refused_never_reaches_the_application(app: App, guarded: AuthMiddleware) -> None:
    reply = ask(guarded, "GET", "/me")
    assert (reply.status, reply.code) == (401, "credentials_missing")
    assert reply.all_of("content-type") == ["application/problem+json"]
    assert reply.all_of("www-authenticate") == ["Bearer"]
    assert reply.all_of("cache-control") == ["no-store"]
    assert reply.all_of("content-length") == [str(len(reply.body))]
    assert app.scopes == []


def test_a_cookie_gets_in_with_an_unsafe_method_only_from_the_same_origin(
    app: App, guarded: AuthMiddleware, service: Service
) -> None:
    cookie = service.cookie(service.sign_in())
    assert ask(guarded, "GET", "/me", cookie).status == 200
    assert ask(guarded, "POST", "/me", cookie, SAME_ORIGIN).status == 200
    refused = ask(guarded, "POST", "/me", cookie, CROSS_SITE)
    assert (refused.status, refused.code) == (403, "cross_origin")
    assert len(app.scopes) == 2


@pytest.mark.parametrize("path", ["/login", "/public/", "/public/a/b", "/", "/public/a%20b"])
def test_a_public_path_needs_nobody(app: App, guarded: AuthMiddleware, path: str) -> None:
    assert ask(guarded, "GET", path).status == 200
    assert app.claims is None
    user = app.scopes[-1]["user"]
    assert (user.is_authenticated, user.identity, user.scopes) == (False, "", [])


@pytest.mark.parametrize(
    "path",
    [
        "/admin",
        "/public",
        "/publicity",
        "/login/",
        "/Login",
        "/PUBLIC/a",
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public%2f..%2fadmin",
        "/public/%252e%252e/admin",
        "/public/%252E%252E/admin",
        "/public/..%5cadmin",
        "/public/x%2f%2e%2e%2f%2e%2e%2fadmin",
        "/public/..",
        "/public/.",
        "/public/./a",
        "/public/..;/admin",
        "/public//admin",
        "//login",
        "//public/a",
        "/./login",
        "/x/../login",
        "/login;a",
        "/login%00",
        "/login%0a",
        "",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_not_public(
    app: App, guarded: AuthMiddleware, path: str
) -> None:
    assert ask(guarded, "GET", path).status == 401
    assert app.scopes == []


@pytest.mark.parametrize(
    "root, path, status",
    [
        ("/api", "/api/login", 200),
        ("/api/", "/api/login", 200),
        ("/api", "/api/login/x", 401),
        ("/api", "/apilogin", 401),
        ("/api", "/login", 200),
        ("/api", "/api", 200),
        ("/api", "/api/api/login", 401),
        ("/log", "/login", 200),
    ],
)
def test_a_public_path_is_within_the_application(
    guarded: AuthMiddleware, root: str, path: str, status: int
) -> None:
    assert ask(guarded, "GET", path, root_path=root).status == status


@pytest.mark.parametrize(
    "public, mistake",
    [
        ("/login", "must be a list"),
        (None, "must be a list"),
        ([1], "begin with '/'"),
        (["login"], "begin with '/'"),
        ([""], "begin with '/'"),
        (["/a/*"], "never patterns"),
        (["/users/{id}"], "never patterns"),
        (["/a?b"], "never patterns"),
        (["/a/../b"], "never patterns"),
        (["/a//"], "never patterns"),
        (["//"], "never patterns"),
        (["/./"], "never patterns"),
    ],
)
def test_a_public_path_that_is_none_is_told_at_once(
    app: App, service: Service, public: Any, mistake: str
) -> None:
    with pytest.raises(ConfigurationError, match=mistake):
        AuthMiddleware(app, gate=service.gate, public=public)


def test_other_options_that_make_no_sense_are_told_at_once(app: App, service: Service) -> None:
    with pytest.raises(ConfigurationError, match="gate must be a Gate, not SessionManager"):
        AuthMiddleware(app, gate=Service().manager)
    with pytest.raises(ConfigurationError, match="required must be True or False"):
        AuthMiddleware(app, gate=service.gate, required=1)  # type: ignore[arg-type]


def test_a_public_path_lets_in_whoever_has_a_bad_token(
    app: App, guarded: AuthMiddleware, service: Service
) -> None:
    tokens = service.sign_in()
    service.clock.advance(3600)
    for header in (
        service.bearer(tokens),
        service.cookie(tokens),
        ("authorization", "Bearer"),
        ("authorization", "DPoP x"),
    ):
        assert ask(guarded, "POST", "/login", header).status == 200
        assert app.claims is None


def test_servers_know_the_middleware_for_an_application_of_asgi_3(
    guarded: AuthMiddleware,
) -> None:
    # uvicorn and Starlette ask asyncio or inspect, by their version; hypercorn asks inspect.
    assert inspect.iscoroutinefunction(guarded.__call__)
    config = uvicorn.Config(guarded)
    config.load()
    assert config.interface == "asgi3"
    assert is_asgi(guarded)
    assert not is_double_callable(guarded)


def test_a_public_path_knows_who_is_signed_in(
    app: App, guarded: AuthMiddleware, service: Service
) -> None:
    ask(guarded, "GET", "/public/", service.bearer(service.sign_in("ann")))
    assert app.claims.subject == "ann"


def test_a_public_path_is_open_while_it_cannot_be_told_what_was_revoked(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise StorageUnavailable("out of reach")

    monkeypatch.setattr(SessionManager, "read", fail)
    service = Service()
    guarded = AuthMiddleware(app, gate=service.gate, public=["/login"])
    header = service.bearer(service.sign_in())
    assert ask(guarded, "GET", "/login", header).status == 200
    reply = ask(guarded, "GET", "/me", header)
    assert (reply.status, reply.all_of("retry-after")) == (503, ["1"])


def test_options_passes_whatever_it_carries(
    app: App, guarded: AuthMiddleware, service: Service
) -> None:
    assert ask(guarded, "OPTIONS", "/me").status == 200
    assert app.claims is None
    assert ask(guarded, "OPTIONS", "/me", ("authorization", "Bearer x")).status == 200
    assert ask(guarded, "OPTIONS", "/me", service.bearer(service.sign_in("ann"))).status == 200
    assert app.claims.subject == "ann"


def test_where_nobody_is_required_only_a_bad_bearer_is_refused(app: App, service: Service) -> None:
    guarded = AuthMiddleware(app, gate=service.gate, required=False)
    tokens = service.sign_in("ann")
    assert ask(guarded, "GET", "/").status == 200
    assert app.claims is None
    assert ask(guarded, "GET", "/", service.cookie(tokens)).status == 200
    assert app.claims.subject == "ann"
    service.clock.advance(3600)
    assert ask(guarded, "GET", "/", service.cookie(tokens)).status == 200
    assert app.claims is None
    reply = ask(guarded, "GET", "/", service.bearer(tokens))
    assert (reply.status, reply.code) == (401, "access_token_expired")


def test_the_lifespan_passes_untouched(app: App, guarded: AuthMiddleware) -> None:
    scope = {"type": "lifespan", "state": {}}
    run(talk(guarded, scope, []))
    assert app.scopes == [{"type": "lifespan", "state": {}}]
    assert app.scopes[0] is scope


def test_a_kind_of_connection_that_nobody_knows_is_not_let_in(
    app: App, guarded: AuthMiddleware
) -> None:
    reply = run(talk(guarded, {"type": "webtransport", "headers": []}, []))
    assert isinstance(reply.error, ConfigurationError)
    assert app.scopes == []


def test_claims_never_leak_into_a_state_that_requests_share(
    app: App, guarded: AuthMiddleware, service: Service
) -> None:
    shared = {"pool": object()}
    for subject in ("ann", "bob"):
        ask(guarded, "GET", "/me", service.bearer(service.sign_in(subject)), state=shared)
        assert app.claims.subject == subject
        assert app.scopes[-1]["state"]["pool"] is shared["pool"]
    ask(guarded, "GET", "/login", state=shared)
    assert app.claims is None
    assert list(shared) == ["pool"]


@pytest.mark.parametrize(
    "first, second",
    [
        (("authorization", "Bearer {token}"), ("authorization", "Bearer {token}")),
        (("authorization", "Basic eA=="), ("authorization", "Bearer {token}")),
        (("authorization", "Bearer {token}"), ("authorization", "Basic eA==")),
        (("authorization", "Bearer {token}"), ("authorization", "")),
    ],
)
def test_a_second_authorization_header_is_never_ignored(
    app: App, guarded: AuthMiddleware, service: Service, first: Any, second: Any
) -> None:
    token = service.sign_in().access_token
    headers = [(name, value.format(token=token)) for name, value in (first, second)]
    reply = ask(guarded, "GET", "/me", *headers)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert app.scopes == []


@pytest.mark.parametrize(
    "headers",
    [
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
        [("origin", "https://app.example"), ("origin", "https://evil.example")],
        [("origin", "https://app.example"), ("host", "evil.example")],
    ],
)
def test_a_second_header_that_tells_the_origin_is_never_ignored(
    app: App, guarded: AuthMiddleware, service: Service, headers: Any
) -> None:
    reply = ask(guarded, "POST", "/me", service.cookie(service.sign_in()), *headers)
    assert (reply.status, reply.code) == (403, "cross_origin")
    assert app.scopes == []


def test_cookies_that_come_one_by_one_are_read_as_one_header(
    app: App, guarded: AuthMiddleware, service: Service
) -> None:
    tokens = service.sign_in()
    access = ("cookie", f"__Host-tw-access={tokens.access_token}")
    assert ask(guarded, "GET", "/", ("cookie", "a=1"), access, ("cookie", "b=2")).status == 200
    twice = ask(guarded, "GET", "/me", access, access)
    assert (twice.status, twice.code) == (400, "invalid_request")


def test_headers_are_read_as_octets() -> None:
    scope = scope_of("http", "/", [("cookie", "a=\xff"), ("x-other", "1"), ("Origin", "no")])
    headers = headers_of(scope)
    assert headers("cookie") == "a=\xff"
    assert headers("host") == "app.example"
    assert headers("origin") is None
    assert headers("x-other") is None


class TestWebSocket:
    def test_it_is_let_in_with_a_header_a_cookie_or_a_subprotocol(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        tokens = service.sign_in("ann")
        for headers, offers in (
            ([service.bearer(tokens)], []),
            ([service.cookie(tokens), SAME_ORIGIN], []),
            ([], ["tokenwheel", f"bearer.{tokens.access_token}"]),
        ):
            reply = shake_hands(guarded, "/ws", *headers, offers=offers)
            assert [message["type"] for message in reply.messages] == ["websocket.accept"]
            assert app.claims.subject == "ann"

    def test_a_page_of_another_site_is_refused(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        cookie = service.cookie(service.sign_in())
        for headers in ([cookie], [cookie, CROSS_SITE], [cookie, ("origin", "https://x.example")]):
            reply = shake_hands(guarded, "/ws", *headers)
            assert (reply.status, reply.code) == (403, "cross_origin")
        assert app.scopes == []

    def test_what_is_refused_gets_the_denial_response(
        self, app: App, guarded: AuthMiddleware
    ) -> None:
        reply = shake_hands(guarded, "/ws")
        assert [message["type"] for message in reply.messages] == [
            "websocket.http.response.start",
            "websocket.http.response.body",
        ]
        assert (reply.status, reply.code) == (401, "credentials_missing")
        assert app.scopes == []

    def test_what_is_refused_is_closed_where_the_server_can_deny_nothing(
        self, app: App, guarded: AuthMiddleware
    ) -> None:
        (message,) = shake_hands(guarded, "/ws", denial=False).messages
        assert (message["type"], message["code"]) == ("websocket.close", 4401)
        assert app.scopes == []

    @pytest.mark.parametrize("chosen", [None, "bearer.x", "unknown", "tokenwheel"])
    def test_of_the_subprotocols_only_tokenwheel_is_echoed(
        self, app: App, guarded: AuthMiddleware, service: Service, chosen: str | None
    ) -> None:
        bearer = f"bearer.{service.sign_in().access_token}"
        app.accepts_with = bearer if chosen == "bearer.x" else chosen
        reply = shake_hands(guarded, "/ws", offers=["tokenwheel", bearer])
        assert reply.messages[0]["subprotocol"] == "tokenwheel"
        assert app.scopes[-1]["subprotocols"] == ["tokenwheel"]

    def test_the_application_may_choose_another_one_that_was_offered(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        app.accepts_with = "chat.v2"
        bearer = f"bearer.{service.sign_in().access_token}"
        reply = shake_hands(guarded, "/ws", offers=["chat.v2", "tokenwheel", bearer])
        assert reply.messages[0]["subprotocol"] == "chat.v2"
        assert app.scopes[-1]["subprotocols"] == ["chat.v2", "tokenwheel"]

    def test_a_public_one_echoes_no_token_either(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        app.accepts_with = "bearer.x"
        reply = shake_hands(guarded, "/public/ws", offers=["tokenwheel", "bearer.x"])
        assert reply.messages[0]["subprotocol"] == "tokenwheel"
        reply = shake_hands(guarded, "/public/ws", offers=["bearer.x"])
        assert reply.messages[0]["subprotocol"] is None

    def test_without_subprotocols_nothing_is_chosen(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        reply = shake_hands(guarded, "/ws", service.bearer(service.sign_in()))
        assert reply.messages[0]["subprotocol"] is None


class TestRenewal:
    """``Gate(..., renew=...)``: an access cookie that has expired is renewed on the way."""

    @pytest.fixture(params=[SessionManager, AsyncSessionManager], ids=["blocking", "async"])
    def service(self, request: pytest.FixtureRequest) -> Service:
        return Service(request.param, renew=lambda session: {"name": session.subject.title()})

    def expired(self, service: Service) -> tuple[str, str]:
        header = service.cookie(service.sign_in("ann"))
        service.clock.advance(3600)
        return header

    def cookies_of(self, reply: Reply) -> dict[str, str]:
        lines = [line.partition(";")[0].partition("=") for line in reply.all_of("set-cookie")]
        return {name: value for name, _, value in lines}

    def test_the_request_is_let_in_and_the_new_cookies_are_set(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        app.headers = [(b"cache-control", b"public, max-age=60"), (b"set-cookie", b"a=1")]
        reply = ask(guarded, "GET", "/me", self.expired(service))
        assert (reply.status, reply.body) == (200, b"hello")
        assert app.claims["name"] == "Ann"
        assert list(self.cookies_of(reply)) == ["a", "__Host-tw-access", "__Host-tw-refresh"]
        assert reply.all_of("cache-control") == ["no-store"]
        header = "; ".join(f"{name}={value}" for name, value in self.cookies_of(reply).items())
        again = ask(guarded, "GET", "/me", ("cookie", header))
        assert again.all_of("set-cookie") == ["a=1"]

    def test_the_refresh_hook_is_told_where_the_request_comes_from(self, app: App) -> None:
        contexts: list[Any] = []
        service = Service(
            renew=lambda session: {},
            refresh_hook=lambda session, context: contexts.append(context),
        )
        guarded = AuthMiddleware(app, gate=service.gate)
        agent = ("user-agent", "curl/8.5.0")
        assert ask(guarded, "GET", "/me", self.expired(service), agent).status == 200
        (context,) = contexts
        assert (context.ip, context.device.name) == ("203.0.113.7", "curl")

    def test_two_middlewares_of_one_gate_renew_once(self, app: App, service: Service) -> None:
        refreshed: list[Any] = []
        service.manager.on(SessionEvent.SESSION_REFRESHED, refreshed.append)
        guarded = AuthMiddleware(AuthMiddleware(app, gate=service.gate), gate=service.gate)
        reply = ask(guarded, "GET", "/me", self.expired(service))
        assert (reply.status, len(reply.all_of("set-cookie"))) == (200, 2)
        assert len(refreshed) == 1

    def test_a_good_cookie_is_not_renewed(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        reply = ask(guarded, "GET", "/me", service.cookie(service.sign_in()))
        assert reply.all_of("set-cookie") == []

    def test_requests_of_one_page_meet_in_the_grace(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        header = self.expired(service)

        async def main() -> list[Reply]:
            return await asyncio.gather(*(asked(guarded, "GET", "/me", [header]) for _ in range(5)))

        tokens = {self.cookies_of(reply)["__Host-tw-refresh"] for reply in run(main())}
        assert len(tokens) == 1

    def test_an_expired_bearer_is_refused(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        tokens = service.sign_in()
        service.clock.advance(3600)
        for headers in ([service.bearer(tokens)], [service.bearer(tokens), service.cookie(tokens)]):
            reply = ask(guarded, "GET", "/me", *headers)
            assert (reply.status, reply.code) == (401, "access_token_expired")

    def test_an_unsafe_method_is_renewed_only_from_the_same_origin(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        header = self.expired(service)
        refused = ask(guarded, "POST", "/me", header, CROSS_SITE)
        assert (refused.code, refused.all_of("set-cookie")) == ("cross_origin", [])
        assert len(ask(guarded, "POST", "/me", header, SAME_ORIGIN).all_of("set-cookie")) == 2

    def test_a_public_path_is_left_alone(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        reply = ask(guarded, "POST", "/login", self.expired(service), SAME_ORIGIN)
        assert (reply.status, reply.all_of("set-cookie")) == (200, [])
        assert app.claims is None

    def test_a_websocket_is_not_renewed(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        reply = shake_hands(guarded, "/ws", self.expired(service), SAME_ORIGIN)
        assert (reply.status, reply.code) == (401, "access_token_expired")

    def test_a_session_that_has_ended_is_refused_and_its_cookies_stay(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        header = self.expired(service)
        run(service.manager.delete_all("ann"))
        reply = ask(guarded, "GET", "/me", header)
        assert (reply.status, reply.all_of("set-cookie")) == (401, [])

    def test_where_nobody_is_required_it_is_renewed_too(self, app: App, service: Service) -> None:
        guarded = AuthMiddleware(app, gate=service.gate, required=False)
        reply = ask(guarded, "GET", "/", self.expired(service))
        assert app.claims["name"] == "Ann"
        assert len(reply.all_of("set-cookie")) == 2

    def test_cookies_that_the_application_sets_itself_stay(
        self, app: App, guarded: AuthMiddleware, service: Service
    ) -> None:
        farewell = service.gate.farewell().headers
        app.headers = [(name.lower().encode(), value.encode()) for name, value in farewell]
        reply = ask(guarded, "GET", "/me", self.expired(service))
        assert self.cookies_of(reply) == {"__Host-tw-access": "", "__Host-tw-refresh": ""}

    def test_an_application_that_fails_loses_no_cookies(self, service: Service) -> None:
        async def failing(scope: Any, receive: Any, send: Any) -> None:
            raise RuntimeError("its own")

        guarded = AuthMiddleware(failing, gate=service.gate)
        reply = ask(guarded, "GET", "/me", self.expired(service))
        assert isinstance(reply.error, RuntimeError)
        assert (reply.status, len(reply.all_of("set-cookie"))) == (500, 2)

    def test_an_application_that_fails_without_a_renewal_is_left_to_the_server(
        self, service: Service
    ) -> None:
        async def failing(scope: Any, receive: Any, send: Any) -> None:
            raise RuntimeError("its own")

        guarded = AuthMiddleware(failing, gate=service.gate)
        reply = ask(guarded, "GET", "/me", service.cookie(service.sign_in()))
        assert isinstance(reply.error, RuntimeError)
        assert reply.messages == []
