"""Claims, sessions and tokens in the answers of Flask, Django and Django REST framework."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import flask
import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import RequestFactory
from flask.json.provider import DefaultJSONProvider

from tests.web.django_project import configure
from tests.web_values.conftest import Login
from tokenwheel import Claims

WAY_OUT = r"json takes dict\(claims\)"


@pytest.fixture(scope="module", autouse=True)
def _settings() -> None:
    configure()


def test_flask_answers_with_sessions_tokens_and_the_dict_of_claims(login: Login) -> None:
    app = flask.Flask(__name__)
    answers: dict[str, tuple[Any, Any]] = {
        "/tokens": (flask.jsonify, login.tokens),
        "/sessions": (flask.jsonify, [login.session]),
        "/claims": (flask.jsonify, dict(login.claims)),
        "/returned-claims": (lambda value: value, dict(login.claims)),
        "/returned-sessions": (lambda value: value, {"sessions": [login.session]}),
    }
    for path, (answer, value) in answers.items():
        app.add_url_rule(path, path, lambda answer=answer, value=value: answer(value))
    client = app.test_client()
    assert client.get("/tokens").json == asdict(login.tokens)
    assert client.get("/sessions").json == [asdict(login.session)]
    assert client.get("/claims").json == client.get("/returned-claims").json == dict(login.claims)
    assert client.get("/returned-sessions").json == {"sessions": [asdict(login.session)]}


def test_flask_takes_claims_themselves_where_the_application_tells_it_how(login: Login) -> None:
    app = flask.Flask(__name__)
    with app.app_context():
        with pytest.raises(TypeError, match="Claims is not JSON serializable"):
            flask.jsonify(login.claims)

        def default(value: Any) -> Any:
            return dict(value) if isinstance(value, Claims) else DefaultJSONProvider.default(value)

        app.json.default = default  # type: ignore[attr-defined]
        for value in (login.claims, {"claims": login.claims, "session": login.session}):
            plain = {"claims": dict(login.claims), "session": asdict(login.session)}
            assert flask.jsonify(value).json in (login.claims, plain)


def test_django_answers_with_dicts_of_claims_sessions_and_tokens(login: Login) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return JsonResponse(
            {
                "claims": dict(login.claims),
                "session": asdict(login.session),
                "tokens": asdict(login.tokens),
            }
        )

    assert json.loads(view(RequestFactory().get("/")).content) == {
        "claims": dict(login.claims),
        "session": asdict(login.session),
        "tokens": asdict(login.tokens),
    }


def test_django_says_what_to_do_with_claims(login: Login) -> None:
    with pytest.raises(TypeError, match=WAY_OUT):
        JsonResponse({"claims": login.claims})
    with pytest.raises(TypeError, match=WAY_OUT):
        JsonResponse(login.claims, safe=False)


def test_django_rest_framework_renders_claims_as_they_are(login: Login) -> None:
    from rest_framework.renderers import JSONRenderer  # Its import asks for Django's settings.

    for value in (login.claims, {"claims": [login.claims]}):
        plain = dict(login.claims)
        expected = plain if value is login.claims else {"claims": [plain]}
        assert json.loads(JSONRenderer().render(value)) == expected
    assert json.loads(JSONRenderer().render(asdict(login.session))) == asdict(login.session)
