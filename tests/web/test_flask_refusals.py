"""Flask: refusals are finished answers, and nobody is believed by what WSGI hands on."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import Any

import pytest
from flask import (
    Blueprint,
    Flask,
    redirect,
    request,
)

from tests.web.behind_flask import (
    ORIGIN,
    Application,
    Pages,
    code_of,
    hello_view,
)
from tests.web.support import Service
from tokenwheel import (
    MemoryStorage,
    StorageUnavailable,
    TokenwheelError,
    TooManySessions,
)
from tokenwheel.web import CredentialsMissing
from tokenwheel.web.flask import FlaskAuth


@pytest.fixture
def site() -> Application:
    return Application()


def test_refusals_are_the_finished_answers_of_the_gate_byte_for_byte(site: Application) -> None:
    expired = site.service.bearer(site.service.sign_in())
    site.clock.advance(3600)
    old_cookie = ("Cookie", f"__Host-tw-access={expired[1].removeprefix('Bearer ')}")
    for headers in (
        [],
        [("Authorization", "Bearer")],
        [("Authorization", "DPoP x")],
        [expired],
        [old_cookie],
        [("Cookie", "__Host-tw-access=a; __Host-tw-access=b")],
    ):
        table = {name.lower(): value for name, value in headers}
        with pytest.raises(TokenwheelError) as caught:
            site.gate.admit("GET", table.get)
        expected = site.gate.refusal(caught.value)
        answer = site.ask("GET", "/me", *headers)
        length = ("Content-Length", str(len(expected.body)))
        assert answer.status_code == expected.status
        assert sorted(answer.headers) == sorted([*expected.headers, length])
        assert answer.data == expected.body


def test_an_answer_without_a_body_has_no_content_type(site: Application) -> None:
    answer = site.ask("POST", "/session/logout")
    assert sorted(name for name, _ in answer.headers) == [
        "Cache-Control",
        "Set-Cookie",
        "Set-Cookie",
    ]


@pytest.mark.parametrize(
    "setting", ["TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS", "TRAP_HTTP_EXCEPTIONS"]
)
def test_refusals_stay_answers_whatever_flask_is_told_of_errors(
    site: Application, setting: str
) -> None:
    site.app.config[setting] = True
    assert code_of(site.ask("GET", "/me")) == "credentials_missing"
    assert code_of(site.ask("POST", "/session/refresh")) == "credentials_missing"


def test_errors_that_a_view_raises_are_answered_too(site: Application) -> None:
    @site.app.get("/full")
    def full() -> str:
        raise TooManySessions("no more")

    @site.app.get("/down")
    def down() -> str:
        raise StorageUnavailable("redis at 10.0.0.1 is gone")

    @site.app.get("/wrong")
    def wrong() -> Any:
        return site.auth.claims

    assert site.ask("GET", "/full").status_code == 409
    answer = site.ask("GET", "/down")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert b"10.0.0.1" not in answer.data
    assert site.ask("GET", "/wrong").status_code == 500


def test_an_error_handler_for_every_exception_does_not_take_refusals(site: Application) -> None:
    @site.app.errorhandler(Exception)
    def handle(error: Exception) -> Any:
        return "something went wrong", 500

    assert code_of(site.ask("GET", "/me")) == "credentials_missing"


def test_an_application_may_answer_refusals_by_itself(site: Application) -> None:
    @site.app.errorhandler(CredentialsMissing)
    def to_login(error: CredentialsMissing) -> Any:
        if request.accept_mimetypes.accept_html and "Accept" in request.headers:
            return redirect("/login")
        return site.auth.refusal(error)

    assert site.ask("GET", "/me", ("Accept", "text/html")).status_code == 302
    assert code_of(site.ask("GET", "/me")) == "credentials_missing"


def test_a_handler_that_an_application_had_before_stays() -> None:
    app = Flask(__name__)
    app.register_error_handler(TokenwheelError, lambda error: (error.code, error.status))
    auth = FlaskAuth()
    auth.init_app(app, Service().gate)
    app.add_url_rule("/me", view_func=auth.required(hello_view))
    assert app.test_client().get("/me").text == "credentials_missing"


def test_a_blueprints_handler_for_every_exception_gets_refusals_and_can_give_the_answer(
    site: Application,
) -> None:
    pages = Blueprint("pages", __name__)
    pages.add_url_rule("/page", view_func=site.auth.required(hello_view))
    handled: list[Exception] = []

    @pages.errorhandler(Exception)
    def handle(error: Exception) -> Any:
        handled.append(error)
        return site.auth.refusal(error) if isinstance(error, TokenwheelError) else ("", 500)

    site.app.register_blueprint(pages)
    assert code_of(site.ask("GET", "/page")) == "credentials_missing"
    assert [type(error) for error in handled] == [CredentialsMissing]


def environ_of(path: str, **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "app.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "HTTP_HOST": "app.example",
        **more,
    }


def test_claims_that_an_outer_application_has_kept_in_the_environment_are_not_believed() -> None:
    outer, inner = Application(), Application()

    @outer.app.get("/<path:rest>")
    @outer.auth.required
    def mounted(rest: str) -> Any:
        def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            outer.errors.append(Exception(status))

        environ = {**request.environ, "PATH_INFO": "/me", "HTTP_AUTHORIZATION": ""}
        return b"".join(_iterated(inner.app.wsgi_app(environ, start)))

    bearer = outer.service.bearer(outer.service.sign_in())
    outer.ask("GET", "/any/thing", bearer)
    assert [str(error) for error in outer.errors] == ["400 BAD REQUEST"]


def _iterated(parts: Iterable[bytes]) -> list[bytes]:
    try:
        return list(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()


def test_the_handshake_of_a_web_socket_needs_the_origin_check(site: Application) -> None:
    site.app.add_url_rule("/ws", websocket=True, view_func=site.app.view_functions["me"])
    client = site.browser()
    socket = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
    evil = [*socket, ("Origin", "https://evil.example")]
    assert code_of(client.get("/ws", base_url=ORIGIN, headers=evil)) == "cross_origin"
    own = [*socket, ("Origin", ORIGIN)]
    assert client.get("/ws", base_url=ORIGIN, headers=own).status_code == 200
    token = site.service.sign_in().access_token
    offered = [*socket, ("Sec-WebSocket-Protocol", f"tokenwheel, bearer.{token}")]
    assert site.ask("GET", "/ws", *offered).status_code == 200


def test_an_application_that_is_gone_is_kept_by_nothing(site: Application) -> None:
    import gc
    import weakref

    gone = Pages()
    gone.browser().get("/hello", base_url=ORIGIN)
    reference = weakref.ref(gone.app)
    del gone
    gc.collect()
    assert reference() is None


def test_a_storage_that_is_gone_is_told_and_the_cookies_stay() -> None:
    class Broken(MemoryStorage):
        is_down = False

        def read(self, *args: Any, **kwargs: Any) -> Any:
            if self.is_down:
                raise StorageUnavailable("gone")
            return super().read(*args, **kwargs)

    storage = Broken()
    pages = Pages(storage=storage)
    client = pages.expired()
    storage.is_down = True
    for path in ("/hello", "/maybe"):
        answer = client.get(path, base_url=ORIGIN)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (503, False)
    storage.is_down = False
    assert client.get("/hello", base_url=ORIGIN).text == "hello ann"
