"""Flask: pages rendered by the server, whose sessions are refreshed on the way."""

from __future__ import annotations

import pytest
from flask import (
    Flask,
    Response,
)

from tests.web.behind_flask import (
    CROSS_SITE,
    ORIGIN,
    SAME_ORIGIN,
    Application,
    Pages,
    claims_of,
    code_of,
    hello_view,
)
from tests.web.support import Service
from tokenwheel.web.flask import FlaskAuth


@pytest.fixture
def site() -> Application:
    return Application()


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.mark.parametrize(
    "path, status",
    [
        ("/hello", 200),
        ("/moved", 302),
        ("/kept", 200),
        ("/broken", 500),
        ("/missing", 404),
        ("/streamed", 200),
        ("/awaited", 200),
        ("/admin", 403),
        ("/maybe", 200),
    ],
)
def test_an_expired_cookie_is_renewed_whatever_the_answer_is(
    pages: Pages, path: str, status: int
) -> None:
    answer = pages.expired().get(path, base_url=ORIGIN)
    assert answer.status_code == status
    names = [line.partition("=")[0] for line in answer.headers.getlist("Set-Cookie")]
    assert names[-2:] == ["__Host-tw-access", "__Host-tw-refresh"]
    assert answer.headers.getlist("Cache-Control") == ["no-store"]
    if path == "/kept":
        assert names[0] == "theme"
    if path == "/streamed":
        assert answer.text == "hello ann"


def test_a_renewed_session_goes_on_with_its_new_cookies(pages: Pages) -> None:
    client = pages.expired()
    assert client.get("/hello", base_url=ORIGIN).text == "hello ann"
    again = client.get("/hello", base_url=ORIGIN)
    assert (again.text, again.headers.getlist("Set-Cookie")) == ("hello ann", [])


def test_another_site_cannot_have_a_session_renewed_by_an_unsafe_request(pages: Pages) -> None:
    client = pages.expired()
    answer = client.post("/hello", base_url=ORIGIN, headers=[CROSS_SITE])
    assert (answer.status_code, code_of(answer)) == (403, "cross_origin")
    assert client.post("/hello", base_url=ORIGIN, headers=[SAME_ORIGIN]).text == "hello ann"


def test_a_request_is_renewed_once_however_often_it_is_asked_about() -> None:
    pages = Pages(reuse_grace=0)
    pages.app.before_request(pages.auth.optional(lambda: None))
    pages.app.add_url_rule("/two", "two", pages.auth.required(pages.auth.required(hello_view)))
    assert pages.expired().get("/two", base_url=ORIGIN).text == "hello"


def test_cookies_of_a_login_are_not_overwritten_by_those_of_the_renewed_session(
    pages: Pages,
) -> None:
    client = pages.expired()
    assert len(client.get("/logged_in", base_url=ORIGIN).headers.getlist("Set-Cookie")) == 2
    assert client.get("/hello", base_url=ORIGIN).text == "hello bob"


def test_a_response_that_the_application_replaces_has_the_new_cookies_too() -> None:
    app, auth, service = Flask(__name__), FlaskAuth(), Service(renew=claims_of)

    @app.after_request  # One that is there before ours runs after ours.
    def replace(response: Response) -> Response:
        return Response("replaced", headers={"Cache-Control": "public"})

    auth.init_app(app, service.gate)
    app.add_url_rule("/hello", view_func=auth.required(hello_view))
    cookie = service.cookie(service.sign_in())
    service.clock.advance(3600)
    answer = app.test_client(use_cookies=False).get("/hello", headers=[cookie])
    assert (answer.text, answer.headers["Cache-Control"]) == ("replaced", "no-store")
    assert len(answer.headers.getlist("Set-Cookie")) == 2


def test_a_session_that_has_ended_is_refused_and_its_cookies_stay(pages: Pages) -> None:
    client = pages.expired()
    pages.manager.delete_all("ann")
    answer = client.get("/hello", base_url=ORIGIN)
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)
    assert client.get("/maybe", base_url=ORIGIN).json == {"subject": None}
