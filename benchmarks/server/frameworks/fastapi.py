"""A FastAPI application, guarded by a dependency."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI

from ..requests import Request, Served, Transport, by_bearer, by_cookie
from ..sessions import ACCEPTED, ISSUER, LIFETIME, make_gate, requests_of


def application(dependency: Any) -> FastAPI:
    app = FastAPI(openapi_url=None)
    guard: Any = Depends(dependency)

    @app.api_route("/", methods=["GET", "POST"])
    async def endpoint(_: Any = guard) -> dict[str, str]:
        return {"status": "ok"}

    return app


async def does_nothing() -> None:
    """Do nothing, as a dependency."""


def nothing(secret: str, transport: Transport) -> Served:
    return Served(application(does_nothing), requests_of(secret, transport))


def tokenwheel(secret: str, transport: Transport) -> Served:
    from tokenwheel.web.fastapi import FastAPIAuth

    auth = FastAPIAuth(make_gate(secret, transport))
    app = application(auth)
    auth.install(app)
    return Served(app, requests_of(secret, transport))


def authx(secret: str, transport: Transport) -> Served:
    from authx import AuthX, AuthXConfig

    auth: Any = AuthX(
        config=AuthXConfig(
            JWT_SECRET_KEY=secret,
            JWT_TOKEN_LOCATION=["headers" if transport == "bearer" else "cookies"],
            JWT_DECODE_AUDIENCE=ACCEPTED,
            JWT_DECODE_ISSUER=ISSUER,
            JWT_ENCODE_AUDIENCE=ACCEPTED,
            JWT_ENCODE_ISSUER=ISSUER,
            JWT_ACCESS_TOKEN_EXPIRES=LIFETIME,
        )
    )
    app = application(auth.access_token_required)
    auth.handle_errors(app)

    def requests(count: int) -> list[Request]:
        tokens = [
            auth.create_access_token(f"uid{number}", data={"role": "user", "name": "John"})
            for number in range(count)
        ]
        if transport == "bearer":
            return [by_bearer(token) for token in tokens]
        return [
            by_cookie(token, {"access_token_cookie": token}, {"X-CSRF-TOKEN": csrf_of(token)})
            for token in tokens
        ]

    def csrf_of(token: str) -> str:
        return str(auth._decode_token(token).csrf)

    return Served(app, requests)


class User:
    """What a database would give for the id in the token, at no cost."""

    is_active = True

    def __init__(self, id: uuid.UUID) -> None:  # noqa: A002
        self.id = id


def fastapi_users(secret: str, transport: Transport) -> Served:
    from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
    from fastapi_users.authentication import (
        AuthenticationBackend,
        BearerTransport,
        CookieTransport,
        JWTStrategy,
    )
    from fastapi_users.jwt import generate_jwt

    class Users(UUIDIDMixin, BaseUserManager[Any, uuid.UUID]):
        async def get(self, id: uuid.UUID) -> Any:  # noqa: A002
            return User(id)

    manager: Any = Users(None)  # type: ignore[arg-type]

    async def users() -> Any:
        return manager

    backend: Any = AuthenticationBackend(
        name="jwt",
        transport=BearerTransport("login") if transport == "bearer" else CookieTransport(),
        get_strategy=lambda: JWTStrategy(secret, lifetime_seconds=LIFETIME),
    )
    users_of: Any = FastAPIUsers(users, [backend])

    def requests(count: int) -> list[Request]:
        tokens = [
            generate_jwt(
                {
                    "sub": str(uuid.UUID(int=number)),
                    "aud": ["fastapi-users:auth"],
                    "role": "user",
                    "name": "John",
                },
                secret,
                LIFETIME,
            )
            for number in range(count)
        ]
        if transport == "bearer":
            return [by_bearer(token) for token in tokens]
        return [by_cookie(token, {"fastapiusersauth": token}) for token in tokens]

    return Served(application(users_of.current_user()), requests)


def supertokens(secret: str, transport: Transport) -> Served:
    from supertokens_python.framework.fastapi import get_middleware
    from supertokens_python.recipe.session.framework.fastapi import verify_session

    from .supertokens import start

    requests: Callable[[int], list[Request]] = start("fastapi", transport, mode="asgi")
    app = application(verify_session())
    app.add_middleware(get_middleware())
    return Served(app, requests)
