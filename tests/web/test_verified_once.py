"""A bearer that is not good is verified once, and not a second time to say why it is refused.

FastAPI reads annotations where they stand, so they are no texts in this file.
"""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from flask import Flask

from tests.support import SECRET
from tests.web.support import ask
from tokenwheel import Claims, Key, KeySet, SessionManager
from tokenwheel.web import Gate
from tokenwheel.web.asgi import AuthMiddleware
from tokenwheel.web.fastapi import FastAPIAuth
from tokenwheel.web.flask import FlaskAuth

Status = Callable[[Gate, str], int]


class Clock:
    """A clock that counts who asks it, which each verification does once."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.now


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def by_asgi(gate: Gate, header: str) -> int:
    return ask(AuthMiddleware(hello, gate=gate), "GET", "/", ("authorization", header)).status


def by_fastapi(gate: Gate, header: str) -> int:
    auth, app = FastAPIAuth(gate), FastAPI()
    auth.install(app)

    @app.get("/")
    async def root(claims: Annotated[Claims, Depends(auth)]) -> str:
        return claims.subject

    return ask(app, "GET", "/", ("authorization", header)).status


def by_fastapi_where_it_is_optional(gate: Gate, header: str) -> int:
    auth, app = FastAPIAuth(gate), FastAPI()
    auth.install(app)

    @app.get("/")
    async def root(claims: Annotated[Claims | None, Depends(auth.optional)]) -> str:
        return "" if claims is None else claims.subject

    return ask(app, "GET", "/", ("authorization", header)).status


def by_flask(gate: Gate, header: str) -> int:
    auth, app = FlaskAuth(), Flask(__name__)
    auth.init_app(app, gate)

    @app.get("/")
    @auth.required
    def root() -> str:
        return str(auth.claims.subject)

    return app.test_client().get("/", headers={"Authorization": header}).status_code


@pytest.mark.parametrize("status", [by_asgi, by_fastapi, by_fastapi_where_it_is_optional, by_flask])
def test_a_bearer_that_has_expired_is_verified_once(status: Status) -> None:
    clock = Clock()
    manager = SessionManager(SECRET, issuer="i", audience="a", clock=clock)
    token = manager.create(subject="ann").access_token
    gate = Gate(manager)
    before = clock.asked
    assert status(gate, f"Bearer {token}") == 200
    of_good, before = clock.asked - before, clock.asked
    assert of_good == 1
    clock.now += 10_000
    assert status(gate, f"Bearer {token}") == 401
    assert clock.asked - before == 1


@pytest.mark.parametrize("status", [by_asgi, by_fastapi, by_fastapi_where_it_is_optional, by_flask])
def test_a_bearer_with_a_forged_signature_is_verified_once(
    status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[Key] = []
    verify = Key.verify

    def count(key: Key, message: bytes, signature: bytes) -> bool:
        verified.append(key)
        return verify(key, message, signature)

    monkeypatch.setattr(Key, "verify", count)
    manager = SessionManager(KeySet(Key.generate("EdDSA")), issuer="i", audience="a")
    token = manager.create(subject="ann").access_token
    gate = Gate(manager)
    verified.clear()
    assert status(gate, f"Bearer {token[:-10]}{'A' * 10}") == 401
    assert len(verified) == 1
