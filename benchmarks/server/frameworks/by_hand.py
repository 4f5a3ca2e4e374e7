"""Applications that verify by hand: they call ``read``, or what a peer has in its place.

All of them answer the same few bytes to every request that they let through. Every verifier is
given the same token, takes it from the header by the same function, and checks signature, ``exp``,
``iss`` and ``aud``; tokenwheel's gate alone finds it by itself. tokenwheel also checks ``typ``,
``nbf``, ``iat``, its own claims and revocation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple

from fastapi import Depends, FastAPI, HTTPException, Request

from ..sessions import ACCEPTED, ISSUER, make_gate, make_manager

Application = Callable[[Any, Any, Any], Awaitable[None]]

OK = (
    {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]},
    {"type": "http.response.body", "body": b"ok"},
)
REFUSED = (
    {"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]},
    {"type": "http.response.body", "body": b""},
)


class Verifier(NamedTuple):
    """How a token is verified, and by which errors it is refused."""

    verify: Callable[[str], Any]
    errors: tuple[type[Exception], ...]


def tokenwheel_verifier(secret: str, **options: Any) -> Verifier:
    from tokenwheel import InvalidAccessToken

    return Verifier(make_manager(secret, **options).read, (InvalidAccessToken,))


def forgetful_verifier(secret: str) -> Verifier:
    return tokenwheel_verifier(secret, verified_cache_size=0)


def pyjwt_verifier(secret: str) -> Verifier:
    import jwt

    def verify(token: str) -> Mapping[str, Any]:
        return jwt.decode(token, secret, algorithms=["HS256"], issuer=ISSUER, audience=ACCEPTED)

    return Verifier(verify, (jwt.InvalidTokenError,))


def ryjwt_verifier(secret: str) -> Verifier:
    import ryjwt

    return Verifier(
        ryjwt.SecretKey(secret, algorithms=["HS256"], issuer=ISSUER, audience=ACCEPTED).decode,
        (ryjwt.InvalidTokenError,),
    )


def no_verifier(_: str) -> Verifier:
    return Verifier(str, ())


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"authorization":
            return value.removeprefix(b"Bearer ").decode("latin-1")
    return ""


async def bare(scope: Any, receive: Any, send: Any) -> None:
    for message in OK:
        await send(message)


def bare_verifying(verifier: Verifier) -> Application:
    verify, errors = verifier

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            verify(bearer_token(scope["headers"]))
        except errors:
            answer = REFUSED
        else:
            answer = OK
        for message in answer:
            await send(message)

    return application


def tokenwheel_gate(secret: str) -> Any:
    return make_gate(secret, "bearer")


def bare_behind_gate(gate: Any) -> Application:
    from tokenwheel import TokenwheelError
    from tokenwheel.web.scopes import headers_of

    admit_plain = gate.admit_plain

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            if admit_plain(scope["method"], scope["headers"]) is None:
                gate.admit(scope["method"], headers_of(scope))
        except TokenwheelError:
            answer = REFUSED
        else:
            answer = OK
        for message in answer:
            await send(message)

    return application


def fastapi_with(dependency: Callable[..., Any] | None = None) -> Application:
    application = FastAPI(openapi_url=None)

    @application.get("/", dependencies=[] if dependency is None else [Depends(dependency)])
    async def endpoint() -> dict[str, str]:
        return {"status": "ok"}

    return application


async def nothing() -> None:
    """Do nothing, as a dependency."""


fastapi_alone = fastapi_with()
fastapi_with_nothing = fastapi_with(nothing)


def fastapi_verifying(verifier: Verifier) -> Application:
    verify, errors = verifier

    async def claims(request: Request) -> Any:
        try:
            return verify(bearer_token(request.scope["headers"]))
        except errors:
            raise HTTPException(401) from None

    return fastapi_with(claims)


def fastapi_behind_middleware(verifier: Verifier) -> Application:
    verify, errors = verifier
    application = fastapi_with()

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        try:
            verify(bearer_token(scope["headers"]))
        except errors:
            for message in REFUSED:
                await send(message)
            return
        await application(scope, receive, send)

    return middleware
