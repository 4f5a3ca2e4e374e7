"""The applications that are put under load, and the command that serves one of them.

    python -m benchmarks.server.application CASE SOCKET

All of them answer the same few bytes to every request that they let through. Every verifier is
given the same token, takes it from the header by the same function, and checks signature, ``exp``,
``iss`` and ``aud``. tokenwheel also checks ``typ``, ``nbf``, ``iat``, its own claims and
revocation. The shared secret comes in the environment.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request

ISSUER = "auth-server.com"
AUDIENCE = ["auth-server.com", "rest-server.com"]
ACCEPTED = "rest-server.com"
SECRET_VARIABLE = "TOKENWHEEL_BENCHMARK_SECRET"

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
    from tokenwheel import InvalidAccessToken, SessionManager

    return Verifier(
        SessionManager(secret, issuer=ISSUER, audience=ACCEPTED, **options).read,
        (InvalidAccessToken,),
    )


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


def fastapi(dependency: Callable[..., Any] | None = None) -> Application:
    application = FastAPI(openapi_url=None)

    @application.get("/", dependencies=[] if dependency is None else [Depends(dependency)])
    async def endpoint() -> dict[str, str]:
        return {"status": "ok"}

    return application


async def nothing() -> None:
    """Do nothing, as a dependency."""


def fastapi_verifying(verifier: Verifier) -> Application:
    verify, errors = verifier

    async def claims(request: Request) -> Any:
        try:
            return verify(bearer_token(request.scope["headers"]))
        except errors:
            raise HTTPException(401) from None

    return fastapi(claims)


def fastapi_behind_middleware(verifier: Verifier) -> Application:
    verify, errors = verifier
    application = fastapi()

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        try:
            verify(bearer_token(scope["headers"]))
        except errors:
            for message in REFUSED:
                await send(message)
            return
        await application(scope, receive, send)

    return middleware


class Case(NamedTuple):
    """A line of the report."""

    name: str
    family: str
    title: str
    make: Callable[[str], Application]
    needs: str | None = None  # the peer, by its module's name
    verifies: bool = True


CASES = {
    case.name: case
    for case in [
        Case("bare", "bare ASGI", "no verification", lambda _: bare, verifies=False),
        Case(
            "bare-header",
            "bare ASGI",
            "token taken from the header, not verified",
            lambda s: bare_verifying(no_verifier(s)),
            verifies=False,
        ),
        Case(
            "bare-tokenwheel",
            "bare ASGI",
            "tokenwheel",
            lambda s: bare_verifying(tokenwheel_verifier(s)),
        ),
        Case(
            "bare-forgetful",
            "bare ASGI",
            "tokenwheel, remembering none",
            lambda s: bare_verifying(forgetful_verifier(s)),
        ),
        Case(
            "bare-ryjwt",
            "bare ASGI",
            "ryjwt",
            lambda s: bare_verifying(ryjwt_verifier(s)),
            needs="ryjwt",
        ),
        Case(
            "bare-pyjwt",
            "bare ASGI",
            "PyJWT",
            lambda s: bare_verifying(pyjwt_verifier(s)),
            needs="jwt",
        ),
        Case(
            "fastapi-nothing",
            "FastAPI",
            "a dependency that does nothing",
            lambda _: fastapi(nothing),
            verifies=False,
        ),
        Case("fastapi", "FastAPI", "no dependency", lambda _: fastapi(), verifies=False),
        Case(
            "fastapi-tokenwheel",
            "FastAPI",
            "tokenwheel in a dependency",
            lambda s: fastapi_verifying(tokenwheel_verifier(s)),
        ),
        Case(
            "fastapi-around",
            "FastAPI",
            "tokenwheel in a middleware",
            lambda s: fastapi_behind_middleware(tokenwheel_verifier(s)),
        ),
        Case(
            "fastapi-ryjwt",
            "FastAPI",
            "ryjwt in a dependency",
            lambda s: fastapi_verifying(ryjwt_verifier(s)),
            needs="ryjwt",
        ),
        Case(
            "fastapi-pyjwt",
            "FastAPI",
            "PyJWT in a dependency",
            lambda s: fastapi_verifying(pyjwt_verifier(s)),
            needs="jwt",
        ),
    ]
}
# The case that the others of a family are compared with.
REFERENCES = {"bare ASGI": "bare", "FastAPI": "fastapi-nothing"}


def main() -> None:
    name, descriptor = sys.argv[1:]
    application = CASES[name].make(os.environ[SECRET_VARIABLE])
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main()
