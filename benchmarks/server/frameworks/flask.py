"""A Flask application, guarded by a decorator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from flask import Flask

from ..requests import Request, Served, Transport, by_bearer, by_cookie
from ..sessions import ACCEPTED, ISSUER, LIFETIME, make_gate, requests_of

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def guard(app: Flask, decorate: Decorator) -> None:
    @app.route("/", methods=["GET", "POST"])
    @decorate
    def endpoint() -> dict[str, str]:
        return {"status": "ok"}


def does_nothing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate with a call and no more."""

    @wraps(function)
    def decorated(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    return decorated


def nothing(secret: str, transport: Transport) -> Served:
    app = Flask(__name__)
    guard(app, does_nothing)
    return Served(app, requests_of(secret, transport))


def tokenwheel(secret: str, transport: Transport) -> Served:
    from tokenwheel.web.flask import FlaskAuth

    app = Flask(__name__)
    auth = FlaskAuth()
    auth.init_app(app, make_gate(secret, transport))
    guard(app, auth.required)
    return Served(app, requests_of(secret, transport))


def flask_jwt_extended(secret: str, transport: Transport) -> Served:
    from flask_jwt_extended import JWTManager, create_access_token, get_csrf_token, jwt_required

    app = Flask(__name__)
    app.config.update(
        JWT_SECRET_KEY=secret,
        JWT_TOKEN_LOCATION=["headers" if transport == "bearer" else "cookies"],
        JWT_DECODE_AUDIENCE=ACCEPTED,
        JWT_DECODE_ISSUER=ISSUER,
        JWT_ENCODE_AUDIENCE=ACCEPTED,
        JWT_ENCODE_ISSUER=ISSUER,
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=LIFETIME),
    )
    JWTManager(app)
    guard(app, jwt_required())

    def requests(count: int) -> list[Request]:
        with app.app_context():
            made = [
                create_access_token(
                    f"uid{number}", additional_claims={"role": "user", "name": "John"}
                )
                for number in range(count)
            ]
            if transport == "bearer":
                return [by_bearer(token) for token in made]
            return [
                by_cookie(
                    token, {"access_token_cookie": token}, {"X-CSRF-TOKEN": get_csrf_token(token)}
                )
                for token in made
            ]

    return Served(app, requests)


def supertokens(secret: str, transport: Transport) -> Served:
    from supertokens_python.framework.flask import Middleware
    from supertokens_python.recipe.session.framework.flask import verify_session

    from .supertokens import start

    requests = start("flask", transport, mode="wsgi")
    app = Flask(__name__)
    Middleware(app)
    guard(app, verify_session())
    return Served(app, requests)
