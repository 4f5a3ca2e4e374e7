"""Flask: decorators, and what an application asks of a request."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from flask import (
    Blueprint,
    Flask,
    g,
    redirect,
)
from flask.views import MethodView, View

from tests.web.behind_flask import (
    CROSS_SITE,
    ORIGIN,
    SAME_ORIGIN,
    Application,
    claims_of,
    code_of,
    hello_view,
)
from tokenwheel import (
    ConfigurationError,
    InvalidArgument,
)
from tokenwheel.web import CredentialsMissing
from tokenwheel.web.flask import FlaskAuth


@pytest.fixture
def site() -> Application:
    return Application()


def test_a_browser_that_has_logged_in_is_known_by_its_cookie(site: Application) -> None:
    client = site.browser()
    assert client.get("/me", base_url=ORIGIN).json == {"subject": "ann"}
    assert client.post("/me", base_url=ORIGIN, headers=[SAME_ORIGIN]).json == {"subject": "ann"}


def test_a_client_that_is_no_browser_gets_both_tokens_and_is_known_by_its_bearer(
    site: Application,
) -> None:
    tokens = site.ask("POST", "/login").json
    assert tokens["token_type"] == "Bearer"
    bearer = ("Authorization", f"Bearer {tokens['access_token']}")
    assert site.ask("POST", "/me", bearer).json == {"subject": "ann"}


def test_the_code_of_the_server_decides_by_which_way_tokens_go(site: Application) -> None:
    tokens = site.service.sign_in()
    with site.app.test_request_context("/", headers=[CROSS_SITE]):
        assert "access_token" in site.auth.signed_in(tokens, via="bearer").json
        assert len(site.auth.signed_in(tokens, "cookie").headers.getlist("Set-Cookie")) == 2


def test_nobody_is_let_into_a_required_view_without_an_access_token(site: Application) -> None:
    for method in ("GET", "POST", "HEAD"):
        answer = site.ask(method, "/me")
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert code_of(site.ask("GET", "/me")) == "credentials_missing"


def test_a_cookie_on_a_request_of_another_site_changes_nothing(site: Application) -> None:
    answer = site.browser().post("/me", base_url=ORIGIN, headers=[CROSS_SITE])
    assert (answer.status_code, code_of(answer)) == (403, "cross_origin")
    assert "Set-Cookie" not in answer.headers


def test_a_second_authorization_header_is_refused(site: Application) -> None:
    bearer = site.service.bearer(site.service.sign_in())
    for headers in ((bearer, bearer), (bearer, ("Authorization", "Basic eDp5"))):
        answer = site.ask("GET", "/me", *headers)
        assert (answer.status_code, code_of(answer)) == (400, "invalid_request")


def test_an_optional_view_is_for_everybody_and_knows_who_is_signed_in(site: Application) -> None:
    assert site.ask("GET", "/maybe").json == {"subject": None}
    assert site.browser().get("/maybe", base_url=ORIGIN).json == {"subject": "ann"}
    bad_cookie = site.ask("GET", "/maybe", ("Cookie", "__Host-tw-access=bad"))
    assert bad_cookie.json == {"subject": None}
    assert site.ask("GET", "/maybe", ("Authorization", "Bearer bad")).status_code == 401


def test_a_view_that_asks_for_scopes_is_for_claims_that_have_all_of_them(
    site: Application,
) -> None:
    site.app.add_url_rule(
        "/write", view_func=site.auth.required(scopes=["read", "write"])(hello_view)
    )
    for held, status in (("read write admin", 200), ("read", 403), ("readwrite", 403)):
        tokens = site.service.sign_in(scope=held)
        answer = site.ask("GET", "/write", site.service.bearer(tokens))
        assert answer.status_code == status
    challenge = 'Bearer error="insufficient_scope", scope="read write"'
    assert answer.headers["WWW-Authenticate"] == challenge


def test_a_view_that_asks_for_a_fresh_login_is_for_one_of_the_last_seconds(
    site: Application,
) -> None:
    site.app.add_url_rule("/delete", view_func=site.auth.required(max_age=300)(hello_view))
    bearer = site.service.bearer(site.service.sign_in())
    site.clock.advance(300)
    assert site.ask("GET", "/delete", bearer).status_code == 200
    site.clock.advance(1)
    assert code_of(site.ask("GET", "/delete", bearer)) == "login_too_old"


@pytest.mark.parametrize("decorated", ["view", "with brackets", "async", "async optional"])
def test_views_of_every_kind_can_be_decorated(site: Application, decorated: str) -> None:
    auth = site.auth

    async def hello_async(name: str = "") -> str:
        claims = auth.claims
        return f"hello {name} {claims and claims.subject}"

    def hello(name: str = "") -> str:
        """Say hello."""
        return f"hello {name} {auth.claims.subject}"

    view = {
        "view": lambda: auth.required(hello),
        "with brackets": lambda: auth.required()(hello),
        "async": lambda: auth.required(hello_async),
        "async optional": lambda: auth.optional(hello_async),
    }[decorated]()
    assert view.__name__.startswith("hello")
    site.app.add_url_rule("/hello/<name>", view_func=view)
    bearer = site.service.bearer(site.service.sign_in())
    assert site.ask("GET", "/hello/you", bearer).text == "hello you ann"
    refused = site.ask("GET", "/hello/you")
    if decorated == "async optional":
        assert refused.text == "hello you None"
    else:
        assert code_of(refused) == "credentials_missing"


def test_views_that_are_classes_can_be_decorated(site: Application) -> None:
    auth = site.auth

    class Shown(View):
        decorators: ClassVar[Any] = [auth.required]

        def dispatch_request(self) -> Any:
            return {"subject": auth.claims.subject}

    class Resource(MethodView):
        decorators: ClassVar[Any] = [auth.required(scopes=["read"])]

        def get(self) -> Any:
            return {"subject": auth.claims.subject}

        @auth.required(scopes=["write"])
        def delete(self) -> Any:
            return "deleted"

    site.app.add_url_rule("/shown", view_func=Shown.as_view("shown"))
    site.app.add_url_rule("/resource", view_func=Resource.as_view("resource"))
    bearer = site.service.bearer(site.service.sign_in(scope="read"))
    assert site.ask("GET", "/shown", bearer).json == {"subject": "ann"}
    assert site.ask("GET", "/resource", bearer).json == {"subject": "ann"}
    assert code_of(site.ask("DELETE", "/resource", bearer)) == "insufficient_scope"
    assert site.ask("GET", "/shown").status_code == site.ask("GET", "/resource").status_code == 401
    assert site.ask("OPTIONS", "/resource").status_code == 200


def test_a_blueprint_can_be_for_those_alone_who_are_signed_in(site: Application) -> None:
    outer = Blueprint("outer", __name__, url_prefix="/outer")
    inner = Blueprint("inner", __name__, url_prefix="/inner")

    @outer.before_request
    @site.auth.required(scopes=["admin"])
    def admins_only() -> None:
        g.subject = site.auth.claims.subject

    @inner.get("/hello")
    def hello() -> str:
        return f"hello {g.subject} {site.auth.claims.subject}"

    outer.register_blueprint(inner)
    site.app.register_blueprint(outer)
    admin, user = (site.service.sign_in(scope=scope) for scope in ("admin", "read"))
    assert site.ask("GET", "/outer/inner/hello", site.service.bearer(admin)).text == "hello ann ann"
    assert site.ask("GET", "/outer/inner/hello", site.service.bearer(user)).status_code == 403
    assert site.ask("GET", "/outer/inner/hello").status_code == 401
    assert site.ask("OPTIONS", "/outer/inner/hello").status_code == 200


@pytest.mark.parametrize("renew", [None, claims_of])
def test_where_every_request_needs_a_user_the_routes_for_sessions_go_on(renew: Any) -> None:
    site = Application(renew=renew, reuse_grace=0)

    @site.app.before_request
    @site.auth.required
    def everywhere() -> None:
        assert site.auth.claims.subject == "ann"

    tokens = site.service.sign_in()
    cookie = site.service.cookie(tokens)
    site.clock.advance(3600)
    assert site.ask("GET", "/nothing").status_code == 401
    refreshed = site.ask("POST", "/session/refresh", cookie, SAME_ORIGIN)
    assert refreshed.status_code == 200
    assert len(refreshed.headers.getlist("Set-Cookie")) == 2
    assert site.ask("POST", "/session/logout", SAME_ORIGIN).status_code == 204
    assert code_of(site.ask("GET", "/session/sessions")) == "credentials_missing"
    assert site.ask("GET", "/session/jwks").status_code == 200


def test_a_view_below_two_decorators_satisfies_both(site: Application) -> None:
    auth = site.auth
    site.app.add_url_rule(
        "/both", view_func=auth.optional(auth.required(auth.required(scopes=["admin"])(hello_view)))
    )
    admin, user = (site.service.sign_in(scope=scope) for scope in ("admin", "read"))
    assert site.ask("GET", "/both", site.service.bearer(admin)).text == "hello"
    assert site.ask("GET", "/both", site.service.bearer(user)).status_code == 403
    assert site.ask("GET", "/both").status_code == 401


def test_options_is_answered_without_credentials_and_never_by_a_required_view(
    site: Application,
) -> None:
    @site.app.route("/own", methods=["GET", "OPTIONS"])
    @site.auth.required
    def own() -> str:
        return "a secret"

    for path in ("/me", "/own", "/session/refresh"):
        answer = site.ask("OPTIONS", path, ("Origin", "https://other.example"))
        assert (answer.status_code, answer.data) == (200, b"")
        assert "OPTIONS" in answer.headers["Allow"]
    assert site.ask("OPTIONS", "/own", ("Authorization", "Bearer bad")).status_code == 200


@pytest.mark.parametrize(
    "decorate",
    [
        lambda auth: auth.required("/me"),
        lambda auth: auth.required(["admin"]),
        lambda auth: auth.required(scopes="admin"),
        lambda auth: auth.required(scopes=["two words"]),
        lambda auth: auth.required(max_age="300"),
        lambda auth: auth.required(max_age=-1),
        lambda auth: auth.required(View),
        lambda auth: auth.optional(None),
    ],
)
def test_what_a_decorator_is_given_is_checked_when_it_decorates(decorate: Any) -> None:
    with pytest.raises(InvalidArgument):
        decorate(FlaskAuth())


def test_a_decorator_above_the_route_is_refused_as_it_would_protect_nothing(
    site: Application,
) -> None:
    with pytest.raises(ConfigurationError, match=r"write @auth.required .* below @app.route"):

        @site.auth.required
        @site.app.get("/open")
        def opened() -> str:
            return "a secret"


def test_claims_that_no_decorator_has_asked_for_are_a_mistake_which_is_told(
    site: Application,
) -> None:
    with (
        site.app.test_request_context("/"),
        pytest.raises(ConfigurationError, match=r"views below @auth\.required"),
    ):
        assert site.auth.claims
    with pytest.raises(ConfigurationError, match="there is no request"):
        assert site.auth.claims
    with site.app.app_context(), pytest.raises(ConfigurationError, match="there is no request"):
        site.auth.context()


def test_before_init_app_everything_says_that_it_has_to_be_called(site: Application) -> None:
    auth, app = FlaskAuth(), Flask(__name__)
    view = auth.required(hello_view)
    calls: list[Any] = [
        view,
        lambda: auth.claims,
        auth.context,
        lambda: auth.signed_in(site.service.sign_in()),
        lambda: auth.refusal(CredentialsMissing("")),
        lambda: auth.watch(None, site.manager.read(site.service.sign_in().access_token)),
    ]
    for call in calls:
        with (
            app.test_request_context("/"),
            pytest.raises(ConfigurationError, match=r"auth.init_app\(app, gate\) was not called"),
        ):
            call()


def test_the_context_is_the_servers_address_and_a_device_without_versions(
    site: Application,
) -> None:
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    with site.app.test_request_context(
        "/",
        headers={"User-Agent": firefox, "X-Forwarded-For": "198.51.100.1", "Forwarded": "for=1"},
        environ_base={"REMOTE_ADDR": "203.0.113.7"},
    ):
        context = site.auth.context()
    assert context.ip == "203.0.113.7"
    assert context.device is not None
    assert (context.device.name, context.device.type) == ("Firefox on Linux", "browser")
    with site.app.test_request_context("/", environ_overrides={"REMOTE_ADDR": ""}):
        assert site.auth.context().ip is None


def test_no_session_is_created_for_a_login_that_another_site_makes_a_browser_send(
    site: Application,
) -> None:
    for headers in ([CROSS_SITE], [("Origin", "https://evil.example")], [("Origin", "null")]):
        answer = site.ask("POST", "/login", *headers)
        assert (answer.status_code, code_of(answer)) == (403, "cross_origin")
    assert site.manager.read_all("ann") == {}


def test_a_way_back_from_an_identity_provider_is_a_get_and_has_a_context(
    site: Application,
) -> None:
    with site.app.test_request_context("/callback", headers=[CROSS_SITE]):
        context = site.auth.context()
        tokens = site.manager.create({}, subject="ann", context=context)
        answer = site.gate.welcome(tokens, via="cookie")
        response = redirect("/")
        answer.apply(response)
    assert response.headers["Location"] == "/"
    assert len(response.headers.getlist("Set-Cookie")) == 2
    assert response.headers["Cache-Control"] == "no-store"
