"""Flask under gunicorn's threads, and Quart under hypercorn: what a client sees of both."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.servers import LONGEST_WAIT
from tests.web.servers import Command, Server, gunicorn_threads, hypercorn, serving

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
PROGRAM = {"User-Agent": "a-program/1.0"}


class Served(NamedTuple):
    name: str
    server: Server

    @property
    def url(self) -> str:
        return self.server.origin("localhost")

    def connect(self, **options: Any) -> ClientConnection:
        address = f"ws://localhost:{self.server.port}/ws"
        return connect(address, open_timeout=LONGEST_WAIT, close_timeout=LONGEST_WAIT, **options)


@pytest.fixture(scope="module", params=["flask", "quart"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    command: Command = gunicorn_threads if request.param == "flask" else hypercorn
    folder = tmp_path_factory.mktemp(request.param)
    with serving(command, f"tests.web.served_{request.param}:app", folder) as server:
        yield Served(request.param, server)


@pytest.fixture
def browser(served: Served) -> Iterator[httpx.Client]:
    """Return a browser that has logged in."""
    with httpx.Client(base_url=served.url, timeout=LONGEST_WAIT, headers=SAME_ORIGIN) as client:
        assert client.post("/login").status_code == 200
        yield client


@pytest.fixture
def tokens(served: Served) -> dict[str, Any]:
    """Return the tokens of a client that is no browser."""
    answer = httpx.post(f"{served.url}/login", headers=PROGRAM, timeout=LONGEST_WAIT)
    made: dict[str, Any] = answer.json()
    return made


def cookies_of(browser: httpx.Client) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}


def logged_out(browser: httpx.Client) -> None:
    assert browser.post("/session/logout").status_code == 204


def test_a_browser_logs_in_refreshes_and_logs_out(browser: httpx.Client) -> None:
    assert browser.get("/me").json()["sub"] == "ann"
    old = dict(browser.cookies)
    assert browser.post("/session/refresh").status_code == 200
    assert dict(browser.cookies) != old
    current = [session for session in browser.get("/session/sessions").json() if session["current"]]
    assert [session["ip"] for session in current] == ["127.0.0.1"]
    logged_out(browser)
    assert dict(browser.cookies) == {}
    assert browser.get("/me").json()["code"] == "credentials_missing"


def test_a_refusal_is_the_same_under_every_server(served: Served) -> None:
    answer = httpx.get(f"{served.url}/me", timeout=LONGEST_WAIT)
    assert answer.status_code == 401
    headers = {name: answer.headers[name] for name in answer.headers}
    for hop in ("date", "server", "connection"):
        headers.pop(hop, None)
    assert headers == {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        "www-authenticate": "Bearer",
        "content-length": str(len(answer.content)),
    }


def test_two_authorization_headers_are_refused_however_a_server_joins_them(
    served: Served, tokens: dict[str, Any]
) -> None:
    good = f"Bearer {tokens['access_token']}"
    for second in (good, "Basic eDp5", "Bearer x"):
        for pair in ((good, second), (second, good)):
            headers = [("Authorization", value) for value in pair]
            answer = httpx.get(f"{served.url}/me", headers=headers, timeout=LONGEST_WAIT)
            assert answer.status_code == 400, pair


@pytest.mark.parametrize("size", [100, 20_000, 1_000_000])
def test_a_body_in_chunks_is_read_up_to_16_kib(
    served: Served, tokens: dict[str, Any], size: int
) -> None:
    start = json.dumps({"refresh_token": tokens["refresh_token"]}).encode()
    body = start + b" " * (size - len(start))
    connection = http.client.HTTPConnection("localhost", served.server.port, timeout=LONGEST_WAIT)
    try:
        parts = (body[at : at + 4096] for at in range(0, len(body), 4096))
        try:
            connection.request(
                "POST",
                "/session/refresh",
                parts,
                {"Content-Type": "application/json", **PROGRAM},
                encode_chunked=True,
            )
        except (BrokenPipeError, ConnectionResetError):
            assert size > 100_000  # The server has answered, and reads no further.
        answer = connection.getresponse()
        assert answer.status == (200 if size == 100 else 400)
        answer.read()
    finally:
        connection.close()


def test_a_web_socket_echoes_no_subprotocol_but_ours(
    served: Served, browser: httpx.Client, tokens: dict[str, Any]
) -> None:
    offers = ["tokenwheel", f"bearer.{tokens['access_token']}"]
    with served.connect(subprotocols=offers) as socket:
        assert socket.subprotocol == "tokenwheel"
        assert socket.recv(LONGEST_WAIT) == "hello ann"
    with served.connect(additional_headers=cookies_of(browser), origin=served.url) as socket:
        assert socket.subprotocol is None
        assert socket.recv(LONGEST_WAIT) == "hello ann"


def test_a_web_socket_without_a_session_of_this_site_is_refused(
    served: Served, browser: httpx.Client
) -> None:
    cases: list[dict[str, Any]] = [
        {},
        {"additional_headers": cookies_of(browser), "origin": "https://evil.example"},
        {"additional_headers": cookies_of(browser)},
        {"subprotocols": ["tokenwheel", "bearer.bad"]},
    ]
    for options in cases:
        if served.name == "quart":
            with pytest.raises(InvalidStatus) as refused:
                served.connect(**options)
            assert refused.value.response.status_code in {401, 403}
            assert b"application/problem+json" in str(refused.value.response.headers).encode()
        else:
            with served.connect(**options) as socket, pytest.raises(ConnectionClosed) as closed:
                socket.recv(LONGEST_WAIT)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4401


def test_a_web_socket_goes_on_with_a_newer_token_and_is_closed_at_the_logout(
    served: Served, browser: httpx.Client
) -> None:
    with served.connect(additional_headers=cookies_of(browser), origin=served.url) as socket:
        assert socket.recv(LONGEST_WAIT) == "hello ann"
        browser.post("/session/refresh")
        socket.send(next(value for name, value in browser.cookies.items() if "access" in name))
        assert socket.recv(LONGEST_WAIT) == "ann"
        logged_out(browser)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(LONGEST_WAIT)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "revoked")


def test_a_stream_of_events_ends_at_the_logout(served: Served, browser: httpx.Client) -> None:
    with browser.stream("GET", "/events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: tick"
        logged_out(browser)
        for _ in lines:
            pass


def test_the_log_has_neither_a_token_nor_an_error(served: Served, browser: httpx.Client) -> None:
    assert browser.get("/me").status_code == 200
    log = served.server.read_log()
    assert "Traceback" not in log
    assert "eyJ" not in log
