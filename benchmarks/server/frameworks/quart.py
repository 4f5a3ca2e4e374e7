"""A Quart application, guarded by a decorator."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from quart import Quart

from ..requests import Served, Transport
from ..sessions import make_gate, requests_of


def guard(app: Quart, decorate: Callable[..., Any]) -> None:
    @app.route("/", methods=["GET", "POST"])
    @decorate
    async def endpoint() -> dict[str, str]:
        return {"status": "ok"}


def does_nothing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate with a call and no more."""

    @wraps(function)
    async def decorated(*arguments: Any, **options: Any) -> Any:
        return await function(*arguments, **options)

    return decorated


def nothing(secret: str, transport: Transport) -> Served:
    app = Quart(__name__)
    guard(app, does_nothing)
    return Served(app, requests_of(secret, transport))


def tokenwheel(secret: str, transport: Transport) -> Served:
    from tokenwheel.web.flask import FlaskAuth

    app = Quart(__name__)
    auth = FlaskAuth()
    auth.init_app(app, make_gate(secret, transport))
    guard(app, auth.required)
    return Served(app, requests_of(secret, transport))
