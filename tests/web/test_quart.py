"""Quart: the same class as Flask's, on an event loop that waits for nothing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import pytest
from quart import (
    Blueprint,
    Quart,
    Response,
    copy_current_request_context,
    g,
    has_request_context,
    jsonify,
    redirect,
    request,
    websocket,
)
from quart.views import MethodView

from tests.web.support import (
    CROSS_SITE,
    SAME_ORIGIN,
    Header,
    Reply,
    Service,
    ask,
    asked,
    run,
    scope_of,
    talk,
)
from tests.web.watching import soon
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    MemoryStorage,
    Session,
    SessionManager,
    TokenwheelError,
)
from tokenwheel.web import CredentialsMissing
from tokenwheel.web.bodies import LONGEST_BODY
from tokenwheel.web.flask import FlaskAuth

MANAGERS = [SessionManager, AsyncSessionManager]
FORM = ("content-type", "application/x-www-form-urlencoded")
JSON = ("content-type", "application/json")


def claims_of(session: Session) -> Mapping[str, Any]:
    return {"scope": "read"}


class Application:
    """A Quart with a login and views of both kinds, behind a gate."""

    def __init__(self, kind: Any = AsyncSessionManager, **options: Any) -> None:
        self.service = Service(kind, **options)
        self.manager: Any = self.service.manager
        self.gate, self.clock = self.service.gate, self.service.clock
        self.app = app = Quart(__name__)
        self.auth = auth = FlaskAuth()
        auth.init_app(app, self.gate, claims=claims_of)

        @app.post("/login")
        async def login() -> Any:
            create = self.manager.create
            if kind is SessionManager:
                tokens = await asyncio.to_thread(create, subject="ann", context=auth.context())
            else:
                tokens = await create(subject="ann", context=auth.context())
            return auth.signed_in(tokens)

        @app.route("/me", methods=["GET", "POST"])
        @auth.required
        async def me() -> Any:
            return {"subject": auth.claims.subject, "thread": threading.current_thread().name}

        @app.get("/sync")
        @auth.required
        def sync() -> Any:
            return {"subject": auth.claims.subject, "thread": threading.current_thread().name}

        @app.get("/maybe")
        @auth.optional
        async def maybe() -> Any:
            return {"subject": auth.claims and auth.claims.subject}

        @app.websocket("/ws")
        @auth.required
        async def ws() -> None:
            await websocket.send(f"hello {auth.claims.subject}")

    def ask(self, method: str, path: str, *headers: Header, **options: Any) -> Reply:
        return ask(self.app, method, path, *headers, **options)

    def cookie(self) -> Header:
        return self.service.cookie(self.service.sign_in(scope="read"))

    def bearer(self) -> Header:
        return self.service.bearer(self.service.sign_in(scope="read"))


@pytest.fixture(params=MANAGERS)
def site(request: pytest.FixtureRequest) -> Application:
    return Application(request.param)


def refused(reply: Reply) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    (content_type,) = reply.all_of("content-type")
    assert content_type == "application/problem+json"
    return reply.status, reply.code


# Decorators


def test_views_of_both_kinds_can_be_decorated_and_run_where_quart_runs_them(
    site: Application,
) -> None:
    main = threading.current_thread().name
    for path, has_thread in (("/me", False), ("/sync", True)):
        assert refused(site.ask("GET", path)) == (401, "credentials_missing")
        told = site.ask("GET", path, site.bearer()).json()
        assert (told["subject"], told["thread"] != main) == ("ann", has_thread)
    assert site.ask("POST", "/me", site.cookie(), SAME_ORIGIN).status == 200
    assert refused(site.ask("POST", "/me", site.cookie(), CROSS_SITE)) == (403, "cross_origin")
    two = [site.bearer(), site.bearer()]
    assert refused(site.ask("GET", "/me", *two)) == (400, "invalid_request")


def test_an_optional_view_is_for_everybody(site: Application) -> None:
    assert site.ask("GET", "/maybe").json() == {"subject": None}
    assert site.ask("GET", "/maybe", site.cookie()).json() == {"subject": "ann"}
    assert site.ask("GET", "/maybe", ("authorization", "Bearer bad")).status == 401


def test_classes_of_views_and_blueprints_can_be_decorated(site: Application) -> None:
    auth = site.auth

    class Resource(MethodView):
        decorators: ClassVar[Any] = [auth.required(scopes=["read"])]

        async def get(self) -> Any:
            return {"subject": auth.claims.subject}

        @auth.required(scopes=["write"])
        def delete(self) -> Any:
            return "deleted"

    pages = Blueprint("pages", __name__, url_prefix="/pages")

    @pages.before_request
    @auth.required(scopes=["admin"])
    async def admins_only() -> None:
        g.subject = auth.claims.subject

    @pages.get("/hello")
    async def hello() -> str:
        return "hello"

    site.app.add_url_rule("/resource", view_func=Resource.as_view("resource"))
    site.app.register_blueprint(pages)
    assert site.ask("GET", "/resource").status == 401
    assert site.ask("GET", "/resource", site.bearer()).json() == {"subject": "ann"}
    assert refused(site.ask("DELETE", "/resource", site.bearer())) == (403, "insufficient_scope")
    assert refused(site.ask("GET", "/pages/hello", site.bearer())) == (403, "insufficient_scope")
    admin = site.service.bearer(site.service.sign_in(scope="admin"))
    assert site.ask("GET", "/pages/hello", admin).body == b"hello"


def test_options_is_answered_without_credentials_and_never_by_a_required_view(
    site: Application,
) -> None:
    @site.app.route("/own", methods=["GET", "OPTIONS"])
    @site.auth.required
    async def own() -> str:
        return "a secret"

    @site.app.route("/own-sync", methods=["GET", "OPTIONS"])
    @site.auth.required
    def own_sync() -> str:
        return "a secret"

    for path in ("/me", "/own", "/own-sync", "/session/refresh"):
        reply = site.ask("OPTIONS", path)
        assert (reply.status, reply.body) == (200, b"")
        assert "OPTIONS" in reply.all_of("allow")[0]


def test_an_application_is_asked_for_after_init_app_only(site: Application) -> None:
    async def main() -> None:
        view = FlaskAuth().required(_hello)
        async with Quart(__name__).test_request_context("/"):
            with pytest.raises(ConfigurationError, match="was not called for this application"):
                await view()

    asyncio.run(main())
    with pytest.raises(ConfigurationError, match="call init_app once"):
        site.auth.init_app(site.app, site.gate)


async def _hello() -> str:
    return "hello"


def test_one_auth_is_for_a_flask_and_a_quart_and_for_requests_within_requests() -> None:
    from flask import Flask

    service, auth = Service(), FlaskAuth()
    flask_app, quart_app = Flask("one"), Quart("two")
    flask_bearer = [service.bearer(service.sign_in("flask"))]
    quart_bearer = service.bearer(service.sign_in("quart"))
    for app in (flask_app, quart_app):
        auth.init_app(app, service.gate)

    @flask_app.get("/me")
    @auth.required
    def me() -> Any:
        return {"subject": auth.claims.subject}

    @quart_app.get("/me")
    @auth.required
    async def me_async() -> Any:
        return {"subject": auth.claims.subject}

    assert flask_app.test_client().get("/me", headers=flask_bearer).json == {"subject": "flask"}
    assert ask(quart_app, "GET", "/me", quart_bearer).json() == {"subject": "quart"}


# The routes


def test_a_browser_logs_in_refreshes_and_logs_out(site: Application) -> None:
    reply = site.ask("POST", "/login", SAME_ORIGIN)
    cookie = ("cookie", "; ".join(line.partition(";")[0] for line in reply.all_of("set-cookie")))
    assert site.ask("GET", "/me", cookie).json()["subject"] == "ann"
    reply = site.ask("POST", "/session/refresh", cookie, SAME_ORIGIN)
    assert (reply.status, reply.all_of("cache-control")) == (200, ["no-store"])
    assert len(reply.all_of("set-cookie")) == 2
    shown = site.ask("GET", "/session/sessions", cookie).json()
    assert [(session["current"], session["ip"]) for session in shown] == [(True, "203.0.113.7")]
    missing = site.ask("DELETE", "/session/sessions/none", cookie, SAME_ORIGIN)
    assert refused(missing) == (404, "session_not_found")
    site.service.sign_in()
    assert site.ask("POST", "/session/logout/others", cookie, SAME_ORIGIN).status == 204
    assert len(run(site.manager.read_all("ann"))) == 1
    assert site.ask("POST", "/session/logout", cookie, CROSS_SITE).status == 403
    reply = site.ask("POST", "/session/logout", cookie, SAME_ORIGIN)
    assert (reply.status, reply.body, reply.all_of("content-type")) == (204, b"", [])
    assert run(site.manager.read_all("ann")) == {}
    cookie = site.cookie()
    assert site.ask("POST", "/session/logout/everywhere", cookie, SAME_ORIGIN).status == 204
    assert site.ask("GET", "/me", cookie).status == 401


def test_no_session_is_created_for_a_login_that_another_site_makes_a_browser_send(
    site: Application,
) -> None:
    assert refused(site.ask("POST", "/login", CROSS_SITE)) == (403, "cross_origin")
    assert run(site.manager.read_all("ann")) == {}


def test_a_refresh_token_may_come_as_json_or_in_a_form_whole_or_in_parts(
    site: Application,
) -> None:
    for content_type in (JSON, FORM):
        for parts in (1, 7):
            token = site.service.sign_in().refresh_token
            text = json.dumps({"refresh_token": token})
            body = (text if content_type is JSON else f"refresh_token={token}").encode()
            reply = site.ask("POST", "/session/refresh", content_type, body=_cut(body, parts))
            assert reply.json()["token_type"] == "Bearer"


def _cut(body: bytes, parts: int) -> list[bytes]:
    size = -(-len(body) // parts)
    return [body[start : start + size] for start in range(0, len(body), size)]


@pytest.mark.parametrize("read", ["get_data", "form", "json"])
def test_functions_before_and_after_a_request_can_read_its_body_too(
    site: Application, read: str
) -> None:
    token = site.service.sign_in().refresh_token
    seen: list[Any] = []

    async def look() -> None:
        if read == "form":
            seen.append((await request.form).to_dict())
        else:
            seen.append(await getattr(request, f"get_{read.removeprefix('get_')}")())

    @site.app.before_request
    async def before() -> None:
        await look()

    @site.app.after_request
    async def after(response: Response) -> Response:
        await look()
        return response

    if read == "json":
        content_type, body = JSON, json.dumps({"refresh_token": token}).encode()
    else:
        content_type, body = FORM, f"refresh_token={token}".encode()
    assert site.ask("POST", "/session/refresh", content_type, body=body).status == 200
    assert seen[0] == seen[1]
    assert seen[0]


@pytest.mark.parametrize("path", ["/session/refresh", "/session/logout"])
def test_of_a_long_body_no_more_is_read_than_is_needed_to_refuse_it(
    site: Application, path: str
) -> None:
    received, is_answered = 0, False

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1000
        await asyncio.sleep(0)  # As a server does, which waits for its socket.
        if is_answered:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    async def main() -> Reply:
        reply = Reply()

        async def send(message: dict[str, Any]) -> None:
            nonlocal is_answered
            reply.messages.append(message)
            is_answered = message["type"] == "http.response.body" and not message["more_body"]

        scope = scope_of("http", path, [JSON], method="POST")
        await site.app(scope, receive, send)  # type: ignore[arg-type]
        return reply

    assert refused(asyncio.run(main())) == (400, "invalid_request")
    assert received < 10 * LONGEST_BODY


def test_a_body_is_refused_by_its_length_before_it_has_come(site: Application) -> None:
    length = ("content-length", str(100 * 1024 * 1024))  # more than Quart takes at all
    reply = site.ask("POST", "/session/refresh", JSON, length, body=[b"x", b"y"])
    assert refused(reply) == (400, "invalid_request")


def test_a_body_of_16_kib_is_read_and_none_that_is_longer(site: Application) -> None:
    for size, status in ((LONGEST_BODY, 200), (LONGEST_BODY + 1, 400)):
        start = json.dumps({"refresh_token": site.service.sign_in().refresh_token})
        body = (start + " " * (size - len(start))).encode()
        assert site.ask("POST", "/session/refresh", JSON, body=_cut(body, 5)).status == status


def test_the_keys_are_sent_once_and_head_sends_no_body(site: Application) -> None:
    reply = site.ask("GET", "/session/jwks")
    again = site.ask("GET", "/session/jwks", ("if-none-match", reply.all_of("etag")[0]))
    assert (again.status, again.body) == (304, b"")
    assert site.ask("HEAD", "/session/jwks").status == 200
    assert site.ask("GET", "/session/refresh").status == 405


# Refusals


def test_refusals_are_the_finished_answers_of_the_gate_byte_for_byte(site: Application) -> None:
    expired = site.bearer()
    site.clock.advance(3600)
    for headers in ([], [("authorization", "Bearer")], [("authorization", "DPoP x")], [expired]):
        with pytest.raises(TokenwheelError) as caught:
            site.gate.admit("GET", dict(headers).get)
        expected = site.gate.refusal(caught.value)
        for path in ("/me", "/sync"):
            reply = site.ask("GET", path, *headers)
            assert (reply.status, reply.body) == (expected.status, expected.body)
            length = ("content-length", str(len(expected.body)))
            sent = [(name.lower(), value) for name, value in expected.headers]
            assert sorted(reply.headers) == sorted([*sent, length])


@pytest.mark.parametrize("setting", ["TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS"])
def test_refusals_stay_answers_whatever_quart_is_told_of_errors(
    site: Application, setting: str
) -> None:
    site.app.config[setting] = True

    @site.app.errorhandler(Exception)
    async def handle(error: Exception) -> Any:
        return "something went wrong", 500

    assert refused(site.ask("GET", "/me")) == (401, "credentials_missing")
    assert refused(site.ask("POST", "/session/refresh")) == (401, "credentials_missing")


def test_an_application_may_answer_refusals_by_itself(site: Application) -> None:
    @site.app.errorhandler(CredentialsMissing)
    async def to_login(error: CredentialsMissing) -> Any:
        return redirect("/login") if "accept" in request.headers else site.auth.refusal(error)

    assert site.ask("GET", "/me", ("accept", "text/html")).status == 302
    assert refused(site.ask("GET", "/me")) == (401, "credentials_missing")


# Renewing


class Pages(Application):
    """Pages whose sessions are refreshed on the way."""

    def __init__(self, kind: Any = AsyncSessionManager, **options: Any) -> None:
        super().__init__(kind, renew=options.pop("renew", claims_of), **options)

        @self.app.get("/moved")
        @self.auth.required
        def moved() -> Any:
            return redirect("/elsewhere")

        @self.app.get("/broken")
        @self.auth.required
        async def broken() -> Any:
            raise ZeroDivisionError

        @self.app.get("/streamed")
        @self.auth.required
        async def streamed() -> Any:
            async def parts() -> AsyncIterator[str]:
                yield "hello "
                yield "ann"

            return parts(), {"Cache-Control": "public"}

        @self.app.get("/login-again")
        @self.auth.required
        async def login_again() -> Any:
            created = self.manager.create(subject="bob")
            tokens = await created if kind is AsyncSessionManager else created
            return self.auth.signed_in(tokens, via="cookie")

        self.app.add_url_rule("/admin", "admin", self.auth.required(scopes=["admin"])(_hello))

    def expired(self) -> Header:
        cookie = self.cookie()
        self.clock.advance(3600)
        return cookie


@pytest.fixture(params=MANAGERS)
def pages(request: pytest.FixtureRequest) -> Pages:
    return Pages(request.param)


@pytest.mark.parametrize(
    "path, status",
    [
        ("/me", 200),
        ("/sync", 200),
        ("/moved", 302),
        ("/broken", 500),
        ("/streamed", 200),
        ("/admin", 403),
        ("/maybe", 200),
    ],
)
def test_an_expired_cookie_is_renewed_whatever_the_view_and_the_answer_are(
    pages: Pages, path: str, status: int
) -> None:
    reply = pages.ask("GET", path, pages.expired())
    assert reply.status == status
    assert reply.all_of("cache-control") == ["no-store"]
    names = [line.partition("=")[0] for line in reply.all_of("set-cookie")]
    assert names == ["__Host-tw-access", "__Host-tw-refresh"]


def test_claims_for_renewed_tokens_may_be_awaited() -> None:
    async def claims_later(session: Session) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        return {"scope": "admin"}

    pages = Pages(renew=claims_later)
    for path in ("/me", "/sync", "/admin"):
        assert pages.ask("GET", path, pages.expired()).status == 200


def test_cookies_of_a_login_are_not_overwritten_by_those_of_the_renewed_session(
    pages: Pages,
) -> None:
    reply = pages.ask("GET", "/login-again", pages.expired())
    access, _ = reply.all_of("set-cookie")
    token = access.partition("=")[2].partition(";")[0]
    assert pages.manager.read(token).subject == "bob"


def test_a_request_is_renewed_once_even_where_a_thread_has_asked_first() -> None:
    pages = Pages(reuse_grace=0)

    @pages.app.before_request
    @pages.auth.optional
    def first() -> None:
        assert pages.auth.claims.subject == "ann"

    assert pages.ask("GET", "/me", pages.expired()).status == 200


# The event loop


class SlowStorage(MemoryStorage):
    """A storage that blocks whoever calls it, until the event loop has gone on meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.is_slow = False
        self.ticks = 0
        self.was_blocked = False

    def _wait(self) -> None:
        if not self.is_slow:
            return
        before, deadline = self.ticks, time.monotonic() + 5
        while self.ticks < before + 3:
            if time.monotonic() > deadline:
                self.was_blocked = True
                return
            time.sleep(0.001)

    def read(self, *args: Any, **kwargs: Any) -> Any:
        self._wait()
        return super().read(*args, **kwargs)

    def read_all(self, *args: Any, **kwargs: Any) -> Any:
        self._wait()
        return super().read_all(*args, **kwargs)


@pytest.mark.parametrize("path", ["/me", "/sync", "/session/refresh", "/session/sessions"])
def test_a_slow_storage_does_not_block_the_event_loop(path: str) -> None:
    storage = SlowStorage()
    pages = Pages(SessionManager, storage=storage)
    cookie = pages.expired() if not path.startswith("/session") else pages.cookie()
    storage.is_slow = True

    async def main() -> Reply:
        async def tick() -> None:
            while True:
                storage.ticks += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        method = "POST" if path.endswith("refresh") else "GET"
        reply = await asked(pages.app, method, path, [cookie, SAME_ORIGIN])
        ticking.cancel()
        return reply

    assert asyncio.run(main()).status == 200
    assert not storage.was_blocked


# What users have beside it


def test_quarts_own_test_client_and_contexts_work(site: Application) -> None:
    bearer = dict([site.bearer()])

    async def main() -> None:
        client = site.app.test_client()
        login = await client.post("/login", scheme="https", headers=dict([SAME_ORIGIN]))
        assert login.status_code == 200
        answer = await client.get("/me", scheme="https")
        assert (await answer.get_json())["subject"] == "ann"
        async with site.app.test_request_context("/me", headers=bearer):
            view = site.app.view_functions["me"]
            assert (await view())["subject"] == "ann"
            assert site.auth.claims.subject == "ann"
            assert site.auth.context().ip is None
            async with site.app.app_context():
                if has_request_context():
                    assert site.auth.claims.subject == "ann"
                else:  # In Quart's eyes, from 0.23 on, it is outside of the request.
                    with pytest.raises(ConfigurationError, match="there is no request"):
                        assert site.auth.claims
        with pytest.raises(ConfigurationError, match="there is no request"):
            assert site.auth.claims
        async with client.websocket("/ws", headers=bearer) as connection:
            assert await connection.receive() == "hello ann"

    asyncio.run(main())


def test_claims_are_there_in_tasks_that_have_the_request(site: Application) -> None:
    @site.app.get("/task")
    @site.auth.required
    async def task() -> Any:
        @copy_current_request_context
        async def copied() -> str:
            subject: str = site.auth.claims.subject
            return subject

        return {"subject": await asyncio.create_task(copied())}

    assert site.ask("GET", "/task", site.bearer()).json() == {"subject": "ann"}


def test_jsonify_takes_claims_and_sessions(site: Application) -> None:
    claims = site.manager.read(site.service.sign_in().access_token)
    (session,) = run(site.manager.read_all("ann")).values()

    async def main() -> Any:
        async with site.app.app_context():
            return await jsonify(claims=claims, session=session).get_json()

    assert asyncio.run(main()) == {"claims": claims.to_dict(), "session": asdict(session)}


# WebSockets


def _connect(
    app: Quart, *headers: Header, offers: Sequence[str] = (), denial: bool = True
) -> Reply:
    """Return what an application sends to a client that opens a WebSocket, and stays."""
    offered = [("sec-websocket-protocol", ", ".join(offers))] if offers else []
    scope = scope_of(
        "websocket",
        "/ws",
        [*headers, *offered],
        subprotocols=list(offers),
        extensions={"websocket.http.response": {}} if denial else {},
    )
    reply: Reply = run(talk(app, scope, [{"type": "websocket.connect"}]))
    return reply


def test_a_web_socket_is_for_those_who_are_signed_in(site: Application) -> None:
    own = ("origin", "https://app.example")
    token = site.service.sign_in().access_token
    for headers, offers in (
        ([site.bearer()], []),
        ([site.cookie(), own], []),
        ([], ["tokenwheel", f"bearer.{token}"]),
    ):
        reply = _connect(site.app, *headers, offers=offers)
        accept, *rest = reply.messages
        assert accept["type"] == "websocket.accept"
        assert accept["subprotocol"] == ("tokenwheel" if offers else None)
        assert rest[0]["text"] == "hello ann"


@pytest.mark.parametrize("hook", [False, True])
def test_a_refused_web_socket_is_answered_where_the_server_can(
    site: Application, hook: bool
) -> None:
    if hook:

        @site.app.before_websocket
        @site.auth.required(scopes=["read"])
        async def signed_in_only() -> None:
            pass

    evil = ("origin", "https://evil.example")
    for headers, status, code in (
        ([], 401, "credentials_missing"),
        ([site.cookie(), evil], 403, "cross_origin"),
        ([("authorization", "Bearer bad")], 401, "access_token_invalid"),
    ):
        reply = _connect(site.app, *headers)
        assert refused(reply) == (status, code)
        closed = _connect(site.app, *headers, denial=False)
        assert [(m["type"], m["code"]) for m in closed.messages] == [("websocket.close", 4401)]


def test_a_web_socket_is_closed_when_its_session_ends(site: Application) -> None:
    ended = asyncio.Event()

    @site.app.websocket("/watched")
    @site.auth.required
    async def watched() -> None:
        async with site.auth.watch(websocket, site.auth.claims):
            await websocket.send("ready")
            while True:
                await websocket.receive()
        ended.set()

    async def main() -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        received = [{"type": "websocket.connect"}]

        async def receive() -> Any:
            if received:
                return received.pop(0)
            await ended.wait()
            return {"type": "websocket.disconnect", "code": 4401}

        async def send(message: Any) -> None:
            messages.append(message)

        scope = scope_of("websocket", "/watched", [bearer], subprotocols=[])
        running = asyncio.create_task(site.app(scope, receive, send))  # type: ignore[arg-type]
        await soon(lambda: any(message.get("text") == "ready" for message in messages))
        ending = site.manager.delete_all("ann")
        if hasattr(ending, "__await__"):
            await ending
        await asyncio.wait_for(running, 30)
        return messages

    bearer = site.bearer()
    messages = asyncio.run(main())
    assert (messages[-1]["type"], messages[-1]["code"]) == ("websocket.close", 4401)
    assert [message["type"] for message in messages].count("websocket.close") == 1
    assert ended.is_set()


def test_a_stream_of_events_ends_when_its_session_does(site: Application) -> None:
    @site.app.get("/events")
    @site.auth.required
    async def events() -> Any:
        async def ticks() -> AsyncIterator[str]:
            while True:
                yield "data: tick\n\n"
                await asyncio.sleep(0.01)

        stream = site.auth.watch(None, site.auth.claims).each(ticks())
        return stream, {"Content-Type": "text/event-stream"}

    async def main(bearer: Header) -> Reply:
        running = asyncio.create_task(asked(site.app, "GET", "/events", [bearer]))
        await asyncio.sleep(0.05)
        ending = site.manager.delete_all("ann")
        if hasattr(ending, "__await__"):
            await ending
        return await asyncio.wait_for(running, 30)

    reply = asyncio.run(main(site.bearer()))
    assert reply.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert b"data: tick" in reply.body
