"""A login of Starlette's own: where it comes from, what it hands out, how errors are answered."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from tests.web.support import CROSS_SITE, SAME_ORIGIN, Service, ask, run
from tokenwheel import AsyncSessionManager, TokenwheelError
from tokenwheel.web.asgi import session_routes
from tokenwheel.web.starlette import answer_error, context_of, signed_in


@pytest.fixture
def service() -> Service:
    return Service(AsyncSessionManager)


@pytest.fixture
def app(service: Service) -> Starlette:
    async def login(request: Request) -> Response:
        context = context_of(service.gate, request)
        tokens = await service.manager.create(subject="ann", context=context)
        return signed_in(service.gate, request, tokens)

    async def login_of_an_app(request: Request) -> Response:
        tokens = await service.manager.create(subject="ann")
        return signed_in(service.gate, request, tokens, via="bearer")

    return Starlette(
        routes=[
            Route("/login", login, methods=["POST"]),
            Route("/login-of-an-app", login_of_an_app, methods=["POST"]),
        ],
        exception_handlers={TokenwheelError: answer_error},
    )


def test_a_browser_gets_cookies_and_its_session_knows_from_where_it_came(
    app: Starlette, service: Service
) -> None:
    firefox = (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    )
    reply = ask(app, "POST", "/login", SAME_ORIGIN, firefox)
    assert (reply.status, len(reply.all_of("set-cookie"))) == (200, 2)
    assert set(reply.json()) == {"session_id", "expires_in", "session_expires_in"}
    (session,) = run(service.manager.read_all("ann")).values()
    assert session.ip == "203.0.113.7"
    assert session.device is not None
    assert session.device.name == "Firefox on Linux"


def test_a_client_that_is_no_browser_gets_bearer_tokens(app: Starlette) -> None:
    assert ask(app, "POST", "/login").json()["token_type"] == "Bearer"


def test_the_servers_own_code_may_say_bearer(app: Starlette) -> None:
    reply = ask(app, "POST", "/login-of-an-app", SAME_ORIGIN)
    assert (reply.json()["token_type"], reply.all_of("set-cookie")) == ("Bearer", [])


def test_a_page_of_another_site_opens_no_session(app: Starlette, service: Service) -> None:
    reply = ask(app, "POST", "/login", CROSS_SITE)
    assert (reply.status, reply.code) == (403, "cross_origin")
    assert run(service.manager.read_all("ann")) == {}


def test_the_routes_may_be_mounted_below_a_path_that_has_arguments(service: Service) -> None:
    app = Starlette(routes=[Mount("/{tenant}/session", routes=session_routes(service.gate))])
    tokens, other = service.sign_in(), service.sign_in()
    path = f"/acme/session/sessions/{other.session_id}"
    assert ask(app, "DELETE", path, service.bearer(tokens)).status == 204
    assert list(run(service.manager.read_all("ann"))) == [tokens.session_id]
