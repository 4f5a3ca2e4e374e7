"""Flask: applications that are put behind a gate, and what their authors have beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest
from flask import (
    Blueprint,
    Flask,
    Response,
    after_this_request,
    copy_current_request_context,
    g,
    jsonify,
)
from flask.json.provider import DefaultJSONProvider, JSONProvider

from tests.support import secret_of
from tests.web.behind_flask import (
    ORIGIN,
    Application,
)
from tests.web.support import Service
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    SessionManager,
)
from tokenwheel.web import Cookies, CredentialsMissing, Gate
from tokenwheel.web.flask import FlaskAuth


@pytest.fixture
def site() -> Application:
    return Application()


def test_one_auth_is_for_several_applications_each_behind_its_own_gate() -> None:
    auth = FlaskAuth()

    def create_app(service: Service) -> Flask:
        app = Flask(__name__)
        app.register_blueprint(blueprint)
        auth.init_app(app, service.gate, url_prefix="/s")
        return app

    blueprint = Blueprint("pages", __name__)

    @blueprint.get("/me")
    @auth.required
    def me() -> Any:
        return jsonify(auth.claims)

    first, second = Service(), Service(cookies=None)
    apps = [create_app(first), create_app(second)]
    header = [first.bearer(first.sign_in())]
    cookie = [first.cookie(first.sign_in())]
    clients = [app.test_client(use_cookies=False) for app in apps]
    assert [client.get("/me", headers=header).status_code for client in clients] == [200, 200]
    assert [client.get("/me", headers=cookie).status_code for client in clients] == [200, 401]
    assert [client.get("/s/jwks").status_code for client in clients] == [200, 200]


def test_init_app_is_called_once_for_an_application(site: Application) -> None:
    with pytest.raises(ConfigurationError, match="call init_app once"):
        site.auth.init_app(site.app, site.gate)
    with pytest.raises(ConfigurationError, match="another name for a second gate"):
        FlaskAuth().init_app(site.app, site.gate)


def test_two_gates_of_one_application_know_nothing_of_each_others_claims(
    site: Application,
) -> None:
    staff = FlaskAuth("staff")
    cookies = Cookies("__Host-staff-access", "__Host-staff-refresh")
    manager = SessionManager(secret_of("staff"), issuer="staff", audience="a")
    staff.init_app(site.app, Gate(manager, cookies=cookies), url_prefix="/staff")

    @site.app.get("/both")
    @site.auth.optional
    @staff.optional
    def both() -> Any:
        return [auth.claims and auth.claims.subject for auth in (site.auth, staff)]

    name, user = site.service.cookie(site.service.sign_in("ann"))
    member = f"__Host-staff-access={manager.create(subject='bob').access_token}"
    assert site.ask("GET", "/both", (name, user)).json == ["ann", None]
    assert site.ask("GET", "/both", (name, member)).json == [None, "bob"]
    assert site.ask("GET", "/both", (name, f"{user}; {member}")).json == ["ann", "bob"]
    assert site.ask("POST", "/staff/logout").status_code == 204


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"gate": None}, "gate must be a Gate"),
        ({"app": object()}, "app must be a Flask or a Quart"),
        ({"url_prefix": "session"}, "url_prefix must be a path that begins with '/'"),
        ({"url_prefix": None}, "url_prefix must be a path"),
        ({"claims": "role"}, "claims must be a callable"),
        ({"claims": lambda: {"scope": "read"}}, "claims must take positional arguments: session"),
    ],
)
def test_what_init_app_is_given_is_checked(arguments: dict[str, Any], said: str) -> None:
    given = {"app": Flask(__name__), "gate": Service().gate, **arguments}
    app, gate = given.pop("app"), given.pop("gate")
    with pytest.raises(ConfigurationError, match=said):
        FlaskAuth().init_app(app, gate, **given)
    if isinstance(app, Flask):
        assert "tokenwheel" not in app.blueprints


@pytest.mark.parametrize("name", ["", "two words", "a.b", None, 1])
def test_the_name_of_an_auth_is_checked(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="name must be letters"):
        FlaskAuth(name)


def test_a_flask_needs_a_manager_that_blocks() -> None:
    with pytest.raises(ConfigurationError, match="must be a SessionManager for Flask"):
        FlaskAuth().init_app(Flask(__name__), Service(AsyncSessionManager).gate)


def test_neither_framework_is_imported_where_it_is_not_used() -> None:
    code = (
        "import secrets, sys, tokenwheel.web\n"
        "assert not {'flask', 'werkzeug', 'quart'} & set(sys.modules)\n"
        "from flask import Flask\n"
        "from tokenwheel import SessionManager\n"
        "from tokenwheel.web import Gate\n"
        "from tokenwheel.web.flask import FlaskAuth\n"
        "manager = SessionManager(secrets.token_bytes(40), issuer='i', audience='a')\n"
        "FlaskAuth().init_app(Flask('app'), Gate(manager))\n"
        "assert 'quart' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-X", "dev", "-W", "error", "-c", code], check=True)


def test_jsonify_takes_claims_and_sessions(site: Application) -> None:
    tokens = site.service.sign_in(list=[1], nested={"a": [None]})
    claims = site.manager.read(tokens.access_token)
    (session,) = site.manager.read_all("ann").values()
    with site.app.app_context():
        assert jsonify(claims).json == claims.to_dict()
        assert jsonify(mine=[claims], session=session).json == {
            "mine": [claims.to_dict()],
            "session": asdict(session),
        }
        with pytest.raises(TypeError, match="object is not JSON serializable"):
            jsonify(object())


def test_what_an_applications_own_json_provider_does_stays() -> None:
    class Custom(DefaultJSONProvider):
        def default(self, value: Any) -> Any:
            return "an object" if type(value) is object else super().default(value)

    class Shouting(JSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return json.dumps(obj).upper()

        def loads(self, s: str | bytes, **kwargs: Any) -> Any:
            return json.loads(s)

    service = Service()
    claims = service.manager.read(service.sign_in().access_token)
    for provider, value, expected in (
        (Custom, [object(), claims], ["an object", claims.to_dict()]),
        (Shouting, ["a"], ["A"]),
    ):
        app = Flask(__name__)
        app.json = provider(app)
        FlaskAuth().init_app(app, service.gate)
        with app.app_context():
            assert jsonify(value).json == expected
    plain = Flask(__name__)
    with plain.app_context(), pytest.raises(TypeError):
        jsonify(claims)


def test_claims_are_there_in_nested_contexts_and_in_threads_with_the_request(
    site: Application,
) -> None:
    @site.app.get("/nested")
    @site.auth.required
    def nested() -> Any:
        g.mine = "mine"
        with site.app.app_context():
            inner = site.auth.claims.subject
            assert "mine" not in g

        @copy_current_request_context
        def copied() -> str:
            subject: str = site.auth.claims.subject
            return subject

        @after_this_request
        def later(response: Response) -> Response:
            response.headers["X-Subject"] = site.auth.claims.subject
            return response

        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            return [inner, pool.submit(copied).result(), g.mine]

    answer = site.ask("GET", "/nested", site.service.bearer(site.service.sign_in()))
    assert answer.json == ["ann", "ann", "mine"]
    assert answer.headers["X-Subject"] == "ann"


def test_a_request_within_a_request_has_claims_of_its_own(site: Application) -> None:
    @site.app.get("/outer")
    @site.auth.required
    def outer() -> Any:
        inner = site.ask("GET", "/maybe").json
        return {"outer": site.auth.claims.subject, "inner": inner}

    answer = site.ask("GET", "/outer", site.service.bearer(site.service.sign_in()))
    assert answer.json == {"outer": "ann", "inner": {"subject": None}}


def test_views_can_be_called_in_a_test_request_context(site: Application) -> None:
    view = site.app.view_functions["me"]
    bearer = site.service.bearer(site.service.sign_in())
    with site.app.test_request_context("/me", headers=[bearer]):
        assert view() == {"subject": "ann"}
        assert site.auth.claims.subject == "ann"
    with site.app.test_request_context("/me"), pytest.raises(CredentialsMissing):
        view()


def test_flask_keeps_its_own_session_cookie_beside_ours(site: Application) -> None:
    from flask import session

    site.app.secret_key = "a key of the application's own"

    @site.app.get("/count")
    @site.auth.required
    def count() -> Any:
        session["count"] = session.get("count", 0) + 1
        return {"count": session["count"], "subject": site.auth.claims.subject}

    client = site.browser()
    assert client.get("/count", base_url=ORIGIN).json == {"count": 1, "subject": "ann"}
    assert client.get("/count", base_url=ORIGIN).json == {"count": 2, "subject": "ann"}
