"""The adapters under a real server: uvicorn, with HTTP and WebSockets over a socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any, Self

import httpx
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.servers import LONGEST_WAIT, until
from tests.web import future_app
from tests.web.support import Service
from tokenwheel.web.asgi import AuthMiddleware
from tokenwheel.web.testing import signed_in_as


class Running(uvicorn.Server):
    """A server in a thread of its own, on a free port of loopback."""

    def __init__(self, app: Any) -> None:
        super().__init__(uvicorn.Config(app, log_level="error", ws="websockets-sansio"))
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.at = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run, args=([self.socket],))

    def __enter__(self) -> Self:
        self.thread.start()
        until(lambda: self.started, "the server")
        return self

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self.thread.join(LONGEST_WAIT)
        self.socket.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with Running(future_app.app) as server:
        yield server


def test_requests_are_admitted_and_refused(server: Running) -> None:
    headers = signed_in_as(future_app.service.gate, "ann")
    with httpx.Client(base_url=f"http://{server.at}") as client:
        assert client.get("/me", headers=headers).json()["sub"] == "ann"
        refused = client.get("/me")
        assert (refused.status_code, refused.json()["code"]) == (401, "credentials_missing")
        assert client.head("/session/jwks").status_code == 200
        twice = [("Authorization", headers["Authorization"])] * 2
        assert client.get("/me", headers=twice).status_code == 400
        login = client.post("/login", headers={"Sec-Fetch-Site": "same-origin"})
        assert len(login.headers.get_list("set-cookie")) == 2
        long = client.post("/session/refresh", json={"refresh_token": "x" * 200_000})
        assert (long.status_code, long.json()["code"]) == (400, "invalid_request")


def test_a_websocket_is_let_in_by_a_subprotocol_that_is_not_echoed(server: Running) -> None:
    token = signed_in_as(future_app.service.gate, "ann")["Authorization"].partition(" ")[2]
    offers: Any = ["tokenwheel", f"bearer.{token}"]
    with connect(f"ws://{server.at}/ws", subprotocols=offers) as connection:
        assert connection.subprotocol == "tokenwheel"
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=LONGEST_WAIT)


def test_a_websocket_is_refused_with_an_answer(server: Running) -> None:
    with pytest.raises(InvalidStatus) as caught, connect(f"ws://{server.at}/ws"):
        pass
    assert caught.value.response.status_code == 401
    assert b"credentials_missing" in (caught.value.response.body or b"")


def test_a_bare_application_is_guarded() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        else:
            body = scope["state"]["claims"].subject.encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

    service = Service()
    headers = signed_in_as(service.gate, "ann")
    with (
        Running(AuthMiddleware(app, gate=service.gate)) as server,
        httpx.Client(base_url=f"http://{server.at}") as client,
    ):
        assert client.get("/", headers=headers).text == "ann"
        assert client.get("/").status_code == 401
        assert client.head("/").status_code == 401
