"""Memory stays flat while an adapter answers request after request, admitted ones and refused."""

from __future__ import annotations

import asyncio
import gc
import io
import itertools
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.test import override_settings
from django.urls import path
from fastapi import Depends, FastAPI
from flask import Flask
from quart import Quart
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.support import SECRET
from tests.web import django_project
from tests.web.gates import ACCESS
from tokenwheel import SessionManager
from tokenwheel.web import Cookies, Gate
from tokenwheel.web.asgi import AuthMiddleware
from tokenwheel.web.fastapi import FastAPIAuth
from tokenwheel.web.flask import FlaskAuth

django_project.configure()

from rest_framework.permissions import IsAuthenticated  # noqa: E402 -- it needs the settings
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from tokenwheel.web.django import require_claims  # noqa: E402
from tokenwheel.web.drf import SessionAuthentication  # noqa: E402

REQUESTS = 10_000
WARM_UP = 2_000
Headers = list[tuple[bytes, bytes]]
Ask = Callable[[str, Headers], int]


class Requests:
    """Requests of all kinds in turn, each with the status that it is due."""

    def __init__(self, manager: SessionManager) -> None:
        good = [manager.create({}, subject=f"user{n}").access_token.encode() for n in range(20)]
        ended = manager.create({}, subject="gone")
        manager.delete_one("gone", ended.session_id)
        own = [(b"sec-fetch-site", b"same-origin"), (b"host", b"app.example")]
        kinds: list[tuple[int, str, Headers]] = [
            *((200, "GET", [(b"authorization", b"Bearer " + token)]) for token in good),
            *((200, "POST", [(b"cookie", self.cookie(token)), *own]) for token in good),
            (401, "GET", [(b"host", b"app.example")]),
            (401, "GET", [(b"authorization", b"Bearer " + good[0][:-4] + b"AAAA")]),
            (401, "GET", [(b"authorization", b"Bearer " + ended.access_token.encode())]),
            (400, "GET", [(b"authorization", b"Bearer ")]),
            (
                403,
                "POST",
                [(b"cookie", self.cookie(good[0])), (b"origin", b"https://evil.example")],
            ),
        ]
        self._kinds = itertools.cycle(kinds)

    @staticmethod
    def cookie(token: bytes) -> bytes:
        return b"theme=dark; " + ACCESS.encode() + b"=" + token

    def send(self, ask: Ask, count: int) -> None:
        for status, method, headers in itertools.islice(self._kinds, count):
            assert ask(method, headers) == status


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    with SessionManager(SECRET, issuer="i", audience="a") as manager:
        yield manager


@pytest.fixture
def gate(manager: SessionManager) -> Gate:
    return Gate(manager, cookies=Cookies())


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Django log no refusals, since pytest keeps every record, with its request."""
    monkeypatch.setattr(logging.getLogger("django.request"), "disabled", True)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def over_asgi(application: Any, loop: asyncio.AbstractEventLoop) -> Ask:
    async def ask(method: str, headers: Headers) -> int:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "server": ("app.example", 80),
            "client": ("192.0.2.1", 40_000),
            "scheme": "http",
            "root_path": "",
            "method": method,
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": headers,
        }
        parts = iter([{"type": "http.request", "body": b"", "more_body": False}])
        answered = asyncio.Event()
        statuses = []

        async def receive() -> Mapping[str, Any]:
            for part in parts:
                return part
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            elif not message.get("more_body"):
                answered.set()

        await application(scope, receive, send)
        (status,) = statuses
        return int(status)

    return lambda method, headers: loop.run_until_complete(ask(method, headers))


def over_wsgi(application: Any) -> Ask:
    def ask(method: str, headers: Headers) -> int:
        environ: dict[str, Any] = {
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0),
            "REQUEST_METHOD": method,
            "PATH_INFO": "/",
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "REMOTE_ADDR": "192.0.2.1",
            "SERVER_NAME": "app.example",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        for name, value in headers:
            environ[f"HTTP_{name.decode().upper().replace('-', '_')}"] = value.decode("latin-1")
        statuses: list[int] = []
        answer = application(environ, lambda status, *_: statuses.append(int(status[:3])))
        b"".join(answer)
        answer.close()
        return statuses[0]

    return ask


def check_that_memory_stays_flat(ask: Ask, manager: SessionManager) -> None:
    requests = Requests(manager)
    requests.send(ask, WARM_UP)
    before = measured()
    requests.send(ask, REQUESTS)
    blocks, objects = (now - then for now, then in zip(measured(), before, strict=True))
    # Far less than it would be if each request left a single one behind.
    assert blocks < REQUESTS / 20
    assert objects < REQUESTS / 100


def measured() -> tuple[int, int]:
    gc.collect()
    return sys.getallocatedblocks(), len(gc.get_objects())


async def show(_: Any) -> JSONResponse:
    return JSONResponse({})


def test_memory_stays_flat_behind_the_asgi_middleware(
    gate: Gate, manager: SessionManager, loop: asyncio.AbstractEventLoop
) -> None:
    application = Starlette(
        routes=[Route("/", show, methods=["GET", "POST"])],
        middleware=[Middleware(AuthMiddleware, gate=gate)],
    )
    check_that_memory_stays_flat(over_asgi(application, loop), manager)


def test_memory_stays_flat_behind_fastapi(
    gate: Gate, manager: SessionManager, loop: asyncio.AbstractEventLoop
) -> None:
    application, auth = FastAPI(), FastAPIAuth(gate)
    auth.install(application)

    @application.api_route("/", methods=["GET", "POST"], dependencies=[Depends(auth)])
    async def view() -> dict[str, str]:
        return {}

    check_that_memory_stays_flat(over_asgi(application, loop), manager)


def test_memory_stays_flat_behind_flask(gate: Gate, manager: SessionManager) -> None:
    application, auth = Flask(__name__), FlaskAuth()
    auth.init_app(application, gate)

    @application.route("/", methods=["GET", "POST"])
    @auth.required
    def view() -> dict[str, str]:
        return {}

    check_that_memory_stays_flat(over_wsgi(application), manager)


def test_memory_stays_flat_behind_quart(
    gate: Gate, manager: SessionManager, loop: asyncio.AbstractEventLoop
) -> None:
    application, auth = Quart(__name__), FlaskAuth()
    auth.init_app(application, gate)

    @application.route("/", methods=["GET", "POST"])
    @auth.required
    async def view() -> dict[str, str]:
        return {}

    check_that_memory_stays_flat(over_asgi(application, loop), manager)


def django_application(view: Any) -> tuple[Any, Any]:
    """Return the application of one view, and the settings that it needs."""
    routes: Any = ModuleType("routes")
    routes.urlpatterns = [path("", view)]
    settings = override_settings(
        MIDDLEWARE=["tokenwheel.web.django.AuthMiddleware"], ROOT_URLCONF=routes
    )
    with settings:
        return WSGIHandler(), settings


@pytest.mark.usefixtures("unlogged")
def test_memory_stays_flat_behind_django() -> None:
    def view(_: HttpRequest) -> JsonResponse:
        return JsonResponse({})

    with django_project.served() as site:
        application, settings = django_application(require_claims(view))
        with settings:
            check_that_memory_stays_flat(over_wsgi(application), site.manager)


@pytest.mark.usefixtures("unlogged")
def test_memory_stays_flat_behind_django_rest_framework() -> None:
    class View(APIView):  # type: ignore[misc]
        authentication_classes = (SessionAuthentication,)
        permission_classes = (IsAuthenticated,)

        def get(self, _: Any) -> Response:
            return Response({})

        post = get

    with django_project.served() as site:
        application, settings = django_application(View.as_view())
        with settings:
            check_that_memory_stays_flat(over_wsgi(application), site.manager)
