"""Headers of somebody who is signed in, for the tests of applications."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import SECRET
from tests.web.support import SAME_ORIGIN, Service, ask, run
from tests.web.test_fastapi import make_app
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    InvalidArgument,
    RevocationList,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
)
from tokenwheel.web import Cookies, Gate
from tokenwheel.web.fastapi import FastAPIAuth
from tokenwheel.web.testing import signed_in_as, signed_in_as_async

with warnings.catch_warnings():
    # Newer releases of Starlette would rather have a client of another name.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


@pytest.fixture(params=[SessionManager, AsyncSessionManager], ids=["blocking", "async"])
def service(request: pytest.FixtureRequest) -> Service:
    return Service(request.param)


def test_the_real_gate_admits_them(service: Service) -> None:
    app = make_app(FastAPIAuth(service.gate))
    headers = signed_in_as(service.gate, "ann", role="admin")
    assert list(headers) == ["Authorization"]
    reply = ask(app, "GET", "/me", ("authorization", headers["Authorization"]))
    assert (reply.json()["sub"], reply.json()["role"]) == ("ann", "admin")


def test_a_browser_is_signed_in_by_cookies(service: Service) -> None:
    client = TestClient(make_app(FastAPIAuth(service.gate)), base_url="https://testserver")
    headers = signed_in_as(service.gate, "ann", via="cookie")
    assert list(headers) == ["Cookie", "Sec-Fetch-Site"]
    assert client.post("/me", headers=headers).json() == "ann"
    with client.websocket_connect("/ws", headers=headers) as socket:
        assert socket.receive_text() == "ann"


def test_where_only_cookies_are_taken_they_are_the_default() -> None:
    gate = Service(bearer=False).gate
    assert "Cookie" in signed_in_as(gate, "ann")
    with pytest.raises(ConfigurationError, match="via"):
        signed_in_as(gate, "ann", via="bearer")


def test_a_transport_that_the_gate_has_not_is_told() -> None:
    gate = Service(cookies=None).gate
    assert "Authorization" in signed_in_as(gate, "ann")
    with pytest.raises(ConfigurationError, match="via"):
        signed_in_as(gate, "ann", via="cookie")
    with pytest.raises(ConfigurationError, match="gate must be a Gate"):
        signed_in_as(gate.manager, "ann")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="subject"):
        signed_in_as(gate, "")


def test_it_works_where_an_event_loop_runs(service: Service) -> None:
    app = make_app(FastAPIAuth(service.gate))

    async def main() -> list[str]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://test") as client:
            given = [
                signed_in_as(service.gate, "ann"),
                await signed_in_as_async(service.gate, "ann"),
                await signed_in_as_async(service.gate, "ann", via="cookie", role="admin"),
            ]
            answers = [await client.get("/me", headers=headers) for headers in given]
            return [answer.json()["sub"] for answer in answers]

    assert run(main()) == ["ann"] * 3


def test_a_storage_that_needs_threads_works_with_and_without_a_loop(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    manager = AsyncSessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=SqliteStorage(path),
        revocations=RevocationList(SqliteFeed(path)),
    )
    gate = Gate(manager, cookies=Cookies())

    async def main() -> Any:
        return signed_in_as(gate, "ann")

    for headers in (signed_in_as(gate, "ann"), asyncio.run(main())):
        token = headers["Authorization"].partition(" ")[2]
        assert manager.read(token).subject == "ann"
    asyncio.run(manager.close())


def test_the_tokens_are_real_and_can_be_refreshed() -> None:
    service = Service()
    auth = FastAPIAuth(service.gate)
    app = make_app(auth)
    app.include_router(auth.router())
    cookie = signed_in_as(service.gate, "ann", via="cookie")["Cookie"]
    assert ask(app, "POST", "/refresh", ("cookie", cookie), SAME_ORIGIN).status == 200
