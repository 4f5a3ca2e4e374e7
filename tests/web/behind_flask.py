"""What the tests of Flask share: an application behind a gate, with a login and a few views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask import (
    Flask,
    Response,
    redirect,
    stream_with_context,
)
from flask.testing import FlaskClient

from tests.web.support import Header, Service
from tokenwheel import (
    Session,
)
from tokenwheel.web.flask import FlaskAuth

ORIGIN = "https://app.example"
SAME_ORIGIN = ("Sec-Fetch-Site", "same-origin")
CROSS_SITE = ("Sec-Fetch-Site", "cross-site")


def claims_of(session: Session) -> Mapping[str, Any]:
    return {"scope": "read"}


class Application:
    """A Flask with a login and a few views, behind a gate."""

    def __init__(self, **options: Any) -> None:
        self.service = Service(**options)
        self.manager, self.gate, self.clock = (
            self.service.manager,
            self.service.gate,
            self.service.clock,
        )
        self.app = Flask(__name__)
        self.auth = auth = FlaskAuth()
        auth.init_app(self.app, self.gate, claims=claims_of)
        self.errors: list[Exception] = []

        @self.app.post("/login")
        def login() -> Any:
            tokens = self.manager.create({"scope": "read"}, subject="ann", context=auth.context())
            return auth.signed_in(tokens)

        @self.app.route("/me", methods=["GET", "POST"])
        @auth.required
        def me() -> Any:
            return {"subject": auth.claims.subject}

        @self.app.get("/maybe")
        @auth.optional
        def maybe() -> Any:
            return {"subject": auth.claims and auth.claims.subject}

    def browser(self) -> FlaskClient:
        """Return a client that keeps cookies, and is signed in."""
        client = self.app.test_client()
        assert client.post("/login", base_url=ORIGIN, headers=[SAME_ORIGIN]).status_code == 200
        return client

    def ask(self, method: str, path: str, *headers: Header, body: Any = None) -> Any:
        """Return the answer to a request of a client that keeps no cookies."""
        client = self.app.test_client(use_cookies=False)
        return client.open(path, method=method, base_url=ORIGIN, headers=list(headers), data=body)


def code_of(answer: Any) -> str:
    assert answer.mimetype == "application/problem+json"
    code: str = answer.get_json(force=True)["code"]
    return code


def hello_view() -> str:
    return "hello"


class Pages(Application):
    """Pages rendered by the server, whose sessions are refreshed on the way."""

    def __init__(self, **options: Any) -> None:
        super().__init__(renew=claims_of, **options)
        app, auth = self.app, self.auth

        def page(**options: Any) -> Any:
            return lambda view: app.add_url_rule(
                f"/{view.__name__}", view_func=auth.required(view), **options
            )

        @page(methods=["GET", "POST"])
        def hello() -> str:
            return f"hello {auth.claims.subject}"

        @page()
        def moved() -> Any:
            return redirect("/elsewhere")

        @page()
        def kept() -> Any:
            return "kept", {"Cache-Control": "public, max-age=60", "Set-Cookie": "theme=dark"}

        @page()
        def broken() -> Any:
            raise ZeroDivisionError

        @page()
        def missing() -> Any:
            return "not here", 404

        @page()
        def streamed() -> Any:
            def parts() -> Iterator[str]:
                yield "hello "
                yield auth.claims.subject

            return Response(stream_with_context(parts()))

        @page()
        async def awaited() -> str:
            return "awaited"

        @page()
        def logged_in() -> Any:
            return auth.signed_in(self.manager.create({}, subject="bob"), via="cookie")

        app.add_url_rule("/admin", "admin", auth.required(scopes=["admin"])(hello_view))

    def expired(self) -> FlaskClient:
        """Return a browser whose access token has expired."""
        client = self.browser()
        self.clock.advance(3600)
        return client
