"""What else an application has at ``/.well-known/jwks.json``, and where it is mounted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import override_settings
from django.urls import include, path, re_path
from fastapi import APIRouter, Depends, FastAPI
from flask import Blueprint, Flask, abort
from quart import Quart
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from tests.support import secret_of
from tests.web.differential import KEY
from tests.web.support import Reply, ask
from tests.web.test_well_known import PATH, Followed
from tokenwheel import AsyncSessionManager, ConfigurationError, Key, KeySet, SessionManager
from tokenwheel.web import Cookies, Gate
from tokenwheel.web.asgi import AuthMiddleware, jwks_route, session_routes
from tokenwheel.web.fastapi import FastAPIAuth
from tokenwheel.web.flask import FlaskAuth

OWN = "the application's own"
SHARED = secret_of("shared")
urlpatterns: list[Any] = []


def gate_of(keys: Any = None, kind: type = SessionManager) -> Gate:
    manager = kind(KeySet(KEY) if keys is None else keys, issuer="i", audience="a")
    return Gate(manager, cookies=Cookies())


# What the setting TOKENWHEEL names.
with_keys, without_keys = gate_of(), gate_of(SHARED)


def bearer(gate: Gate) -> tuple[str, str]:
    manager: Any = gate.manager
    return ("authorization", f"Bearer {manager.create(subject='ann').access_token}")


def kids(reply: Any) -> list[str]:
    """Return the names of the keys in an answer, which has no others than well-known ones."""
    content = reply.json() if isinstance(reply, Reply) else reply.json
    return [key["kid"] for key in content["keys"]]


async def own(request: Any) -> PlainTextResponse:
    return PlainTextResponse(OWN)


def fastapi(gate: Gate, prepare: Callable[[FastAPI], object] = lambda app: None) -> FastAPI:
    app = FastAPI()
    auth = FastAPIAuth(gate)
    auth.install(app)
    app.include_router(auth.router(), prefix="/session")
    prepare(app)
    return app


def starlette(gate: Gate, *routes: Any, public: tuple[str, ...] = ("/session/",)) -> Starlette:
    return Starlette(
        routes=[*routes, Mount("/session", routes=session_routes(gate))],
        middleware=[Middleware(AuthMiddleware, gate=gate, public=public)],
    )


# FastAPI


def with_router(app: FastAPI) -> None:
    router = APIRouter()
    router.add_api_route("/{name}", lambda name: OWN)
    app.include_router(router, prefix="/.well-known")


@pytest.mark.parametrize(
    "prepare",
    [
        lambda app: app.add_api_route(PATH, lambda: OWN),
        lambda app: app.mount("/.well-known", Starlette(routes=[Route("/jwks.json", own)])),
        lambda app: app.mount("/", Starlette(routes=[Route(PATH, own)])),
        with_router,
    ],
    ids=["route", "mount", "mount at the root", "router"],
)
def test_a_route_of_fastapis_own_stays(prepare: Any) -> None:
    reply = ask(fastapi(gate_of(), prepare), "GET", PATH)
    assert (reply.status, reply.body.decode().strip('"')) == (200, OWN)


def test_files_at_the_root_do_not_hide_the_keys(tmp_path: Path) -> None:
    files = StaticFiles(directory=tmp_path)
    app = fastapi(gate_of(), lambda app: app.mount("/", files))
    assert kids(ask(app, "GET", PATH)) == [KEY.kid]
    (tmp_path / ".well-known").mkdir()
    (tmp_path / PATH[1:]).write_text(OWN)
    assert ask(app, "GET", PATH).body == OWN.encode()


def test_an_application_below_a_path_has_its_keys_below_it() -> None:
    other = gate_of(KeySet(Key.generate("ES256", kid="other")))
    below = fastapi(other)
    app = fastapi(gate_of(), lambda app: app.mount("/shop", below))
    assert kids(ask(app, "GET", PATH)) == [KEY.kid]
    assert kids(ask(app, "GET", f"/shop{PATH}")) == ["other"]
    plain = FastAPI()
    plain.mount("/shop", below)
    assert ask(plain, "GET", PATH).status == 404
    assert kids(ask(plain, "GET", f"/shop{PATH}")) == ["other"]
    plain.router.routes.append(jwks_route(other))
    assert kids(ask(plain, "GET", PATH)) == ["other"]


def test_of_two_gates_of_fastapi_the_first_has_the_path() -> None:
    other = FastAPIAuth(gate_of(KeySet(Key.generate("ES256", kid="other"))))
    assert kids(ask(fastapi(gate_of(), other.install), "GET", PATH)) == [KEY.kid]
    assert kids(ask(fastapi(gate_of(SHARED), other.install), "GET", PATH)) == ["other"]


def test_a_session_that_is_renewed_on_the_way_keeps_its_cookies() -> None:
    """A catch-all of the application asks for claims, and answers 404 all the same."""
    manager = SessionManager(KeySet(KEY), issuer="i", audience="a")
    gate = Gate(manager, cookies=Cookies(), renew=lambda session: {})
    auth = FastAPIAuth(gate)
    app = FastAPI()
    auth.install(app)
    perhaps = Depends(auth.optional)  # Annotations are texts here, in which it has no name.

    @app.get("/{rest:path}")
    def rest(rest: str, claims: Any = perhaps) -> PlainTextResponse:
        return PlainTextResponse("nothing", 404)

    assert gate.cookies is not None
    tokens = manager.create(subject="ann")
    manager.restrict_one(manager.read(tokens.access_token))
    pair = f"{gate.cookies.access}={tokens.access_token}; "
    pair += f"{gate.cookies.refresh}={tokens.refresh_token}"
    reply = ask(app, "GET", PATH, ("cookie", pair), ("sec-fetch-site", "same-origin"))
    assert (reply.status, len(reply.all_of("set-cookie"))) == (200, 2)
    assert reply.all_of("cache-control") == ["no-store"]


def test_the_document_has_no_word_of_the_path() -> None:
    assert PATH not in ask(fastapi(gate_of()), "GET", "/openapi.json").json()["paths"]


# Starlette, and any ASGI application


@pytest.mark.parametrize(
    "route",
    [
        Route(PATH, own),
        Mount("/.well-known", routes=[Route("/jwks.json", own)]),
        Mount("", routes=[Route(PATH, own)]),
    ],
    ids=["route", "mount", "mount at the root"],
)
def test_a_route_of_starlettes_own_stays_as_open_as_it_was(route: Any) -> None:
    gate = gate_of()
    open_app, closed_app = starlette(gate, route, public=(PATH,)), starlette(gate, route)
    assert ask(open_app, "GET", PATH).body == OWN.encode()
    assert ask(closed_app, "GET", PATH).status == 401
    assert ask(closed_app, "GET", PATH, bearer(gate)).body == OWN.encode()


def test_who_is_refused_reaches_nothing_of_the_application_for_the_keys() -> None:
    gate = gate_of()
    reached = []

    async def anything(request: Any) -> PlainTextResponse:
        reached.append(request.state.claims)
        return PlainTextResponse(OWN)

    app = starlette(gate, Route("/{rest:path}", anything, methods=["GET", "POST"]))
    assert kids(ask(app, "GET", PATH)) == [KEY.kid]
    assert kids(ask(app, "GET", PATH, ("authorization", "Bearer x"))) == [KEY.kid]
    assert ask(app, "POST", PATH).status == 405
    assert reached == []
    assert ask(app, "GET", PATH, bearer(gate)).body == OWN.encode()
    assert len(reached) == 1


@pytest.mark.parametrize("options", [{}, {"required": False}, {"public": [PATH]}])
def test_a_bare_application_has_the_keys_where_it_has_nothing(options: Any) -> None:
    gate = gate_of()
    status = 404

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    guarded = AuthMiddleware(app, gate=gate, **options)
    assert kids(ask(guarded, "GET", PATH)) == [KEY.kid]
    assert kids(ask(guarded, "GET", PATH, bearer(gate))) == [KEY.kid]
    assert ask(guarded, "OPTIONS", PATH).status == 404
    status = 200
    assert ask(guarded, "GET", PATH, bearer(gate)).body == b"ab"
    if options:
        assert ask(guarded, "GET", PATH).body == b"ab"


def test_the_middleware_finds_the_path_below_a_root_path() -> None:
    app = starlette(gate_of())
    assert kids(ask(app, "GET", f"/api{PATH}", root_path="/api")) == [KEY.kid]
    assert kids(ask(app, "GET", PATH, root_path="/api")) == [KEY.kid]
    assert ask(app, "GET", f"/api{PATH}").status == 401


def test_the_route_serves_an_application_without_the_middleware() -> None:
    gate = gate_of(kind=AsyncSessionManager)
    app = Starlette(routes=[jwks_route(gate)])
    assert kids(ask(app, "GET", PATH)) == [KEY.kid]
    assert ask(app, "HEAD", PATH).status == 200
    refused = ask(app, "POST", PATH)
    assert (refused.status, refused.all_of("allow")) == (405, ["GET, HEAD"])
    shared = Starlette(routes=[jwks_route(gate_of(SHARED))])
    assert (ask(shared, "GET", PATH).status, ask(shared, "GET", PATH).code) == (404, "not_found")


def test_the_route_is_made_for_a_gate() -> None:
    manager: Any = gate_of().manager
    with pytest.raises(ConfigurationError, match="gate must be a Gate, not SessionManager"):
        jwks_route(manager)


def test_the_route_is_open_below_the_middleware() -> None:
    gate = gate_of()
    app = starlette(gate, jwks_route(gate))
    assert kids(ask(app, "GET", PATH)) == kids(ask(app, "GET", PATH, bearer(gate))) == [KEY.kid]


def test_keys_that_could_not_be_read_are_a_problem_also_where_no_handler_is_set_up() -> None:
    keys = Followed(Key.generate("ES256"))
    keys.published = None
    gate = gate_of(keys)
    app = Starlette(routes=[jwks_route(gate), Mount("/session", routes=session_routes(gate))])
    for path_of_keys in (PATH, "/session/jwks"):
        reply = ask(app, "GET", path_of_keys)
        assert (reply.error, reply.status, reply.code) == (None, 503, "storage_unavailable")


# Flask and Quart


def flask(*gates: Gate) -> Flask:
    app = Flask(__name__, static_folder=None)
    for number, gate in enumerate(gates):
        FlaskAuth(f"auth{number}").init_app(app, gate, url_prefix=f"/session{number}")
    return app


@pytest.mark.parametrize("rule", [PATH, "/.well-known/<name>", "/<path:name>"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_route_of_flasks_own_stays(rule: str, is_first: bool) -> None:
    app = Flask(__name__)
    if is_first:
        FlaskAuth().init_app(app, gate_of())
    app.add_url_rule(rule, "own", lambda name="": OWN)
    if not is_first:
        FlaskAuth().init_app(app, gate_of())
    assert app.test_client().get(PATH).text == OWN


def test_a_route_of_quarts_own_stays() -> None:
    app = Quart(__name__)
    FlaskAuth().init_app(app, gate_of(kind=AsyncSessionManager))

    @app.get(PATH)
    async def keys() -> str:
        return OWN

    assert ask(app, "GET", PATH).body == OWN.encode()


def test_of_two_gates_of_flask_the_first_that_has_keys_has_the_path() -> None:
    other = gate_of(KeySet(Key.generate("ES256", kid="other")))
    assert kids(flask(gate_of(), other).test_client().get(PATH)) == [KEY.kid]
    assert kids(flask(gate_of(SHARED), other).test_client().get(PATH)) == ["other"]


def test_a_guard_of_the_whole_application_lets_everybody_have_the_keys() -> None:
    app = Flask(__name__)
    auth = FlaskAuth()
    auth.init_app(app, gate_of())
    app.before_request(auth.required(lambda: None))
    app.add_url_rule("/me", "me", lambda: OWN)
    client = app.test_client()
    assert kids(client.get(PATH)) == [KEY.kid]
    assert client.get("/nothing").status_code == client.get("/me").status_code == 401


def test_a_guarded_route_of_flasks_own_stays_guarded() -> None:
    app, gate = Flask(__name__), gate_of()
    auth = FlaskAuth()
    auth.init_app(app, gate)
    app.before_request(auth.required(lambda: None))
    app.add_url_rule("/.well-known/<name>", "own", lambda name: OWN)
    client = app.test_client()
    assert client.get(PATH).status_code == 401
    assert client.get(PATH, headers=[bearer(gate)]).text == OWN


def test_handlers_of_404_leave_the_keys_alone_unless_they_answer_otherwise() -> None:
    app = flask(gate_of())
    app.register_error_handler(404, lambda error: ("nothing", 404))
    assert kids(app.test_client().get(PATH)) == [KEY.kid]
    other = flask(gate_of())
    other.register_error_handler(404, lambda error: "a page for all")
    assert other.test_client().get(PATH).text == "a page for all"


def test_flask_below_a_path_has_the_keys_below_it() -> None:
    host = DispatcherMiddleware(Flask("host").wsgi_app, {"/shop": flask(gate_of()).wsgi_app})
    client = Client(host)
    assert kids(client.get(f"/shop{PATH}")) == [KEY.kid]
    assert client.get(PATH).status_code == 404


def test_a_blueprint_that_finds_nothing_hides_no_keys() -> None:
    app = flask(gate_of())
    files = Blueprint("files", __name__)
    files.add_url_rule("/<path:name>", "file", lambda name: abort(404))
    app.register_blueprint(files)
    assert kids(app.test_client().get(PATH)) == [KEY.kid]
    assert app.test_client().get("/nothing").status_code == 404


def test_head_has_the_length_and_no_body() -> None:
    client = flask(gate_of()).test_client()
    head, whole = client.head(PATH), client.get(PATH)
    assert (head.data, head.headers["Content-Length"]) == (b"", str(len(whole.data)))


# Django


def view(request: Any, **_: Any) -> HttpResponse:
    return HttpResponse(OWN)


@pytest.fixture
def django() -> Iterator[Any]:
    middleware = [
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "tokenwheel.web.django.AuthMiddleware",
    ]
    session = path("session/", include("tokenwheel.web.django_urls"))

    def served(*routes: Any, is_async: bool = False, guarded: bool = True) -> Any:
        urlpatterns[:] = [*routes, session]
        with override_settings(MIDDLEWARE=middleware if guarded else middleware[:1]):
            return ASGIHandler() if is_async else Client(WSGIHandler())

    settings = {"TOKENWHEEL": f"{__name__}.with_keys", "ROOT_URLCONF": __name__}
    with override_settings(**settings):
        yield served


@pytest.mark.parametrize(
    "route", [path(PATH[1:], view), re_path(r"^\.well-known/", view), path("<path:rest>", view)]
)
def test_a_route_of_djangos_own_stays(django: Any, route: Any) -> None:
    client = django(route)
    assert client.get(PATH).text == OWN


def test_django_serves_the_keys_under_asgi(django: Any) -> None:
    app = django(is_async=True)
    reply = ask(app, "GET", PATH)
    assert kids(reply) == [KEY.kid]
    headers = {name.lower(): value for name, value in reply.headers}
    assert headers["cache-control"] == "public, max-age=300"
    assert "vary" not in headers


def test_django_below_a_path_has_the_keys_below_it(django: Any) -> None:
    client = django()
    assert kids(client.get(PATH, environ_overrides={"SCRIPT_NAME": "/shop"})) == [KEY.kid]
    assert client.get(f"/shop{PATH}").status_code == 404


def test_django_needs_a_line_without_the_middleware(django: Any) -> None:
    assert django(guarded=False).get(PATH).status_code == 404
    client = django(path("", include("tokenwheel.web.django_well_known")), guarded=False)
    assert kids(client.get(PATH)) == [KEY.kid]
    refused = client.post(PATH)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    with override_settings(TOKENWHEEL=f"{__name__}.without_keys"):
        assert client.get(PATH).status_code == 404
