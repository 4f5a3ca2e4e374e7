"""Whatever is sent to the FastAPI example, it is answered without a 500 and a traceback.

Requests are drawn by schemathesis from the example's own OpenAPI document, and the handshakes and
frames of web sockets by Hypothesis. Both speak ASGI to the application, within this process.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from tests.web.examples import loaded
from tests.web.servers import missing

TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    with loaded("fastapi_app", tmp_path_factory.mktemp("sessions")) as module:
        yield module
        asyncio.run(module.sessions.close())


@pytest.fixture
def traceback_free(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check at the end that nothing was logged with a traceback."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.usefixtures("traceback_free")
@pytest.mark.parametrize("is_signed_in", [False, True], ids=["stranger", "signed-in"])
def test_no_request_that_fits_the_api_document_or_nearly_does_is_answered_with_a_500(
    example: ModuleType, is_signed_in: bool
) -> None:
    try:
        from schemathesis import openapi
        from schemathesis.generation import GenerationMode
    except ImportError:
        if sys.version_info >= (3, 15):
            pytest.skip("schemathesis has no release for this Python")
        missing("schemathesis is not installed (it is in the dependency group `servers`)")

    schema = openapi.from_asgi("/openapi.json", example.app)
    tried = set()
    for operation in (result.ok() for result in schema.get_all_operations()):
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:

            @settings(
                max_examples=settings.default.max_examples // 20,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                headers = {}
                if is_signed_in:
                    # Anew each time, as the request before may have logged out.
                    headers["Authorization"] = f"Bearer {token_of(example)}"
                answer = case.call(headers=headers)
                assert answer.status_code < 500, answer.text
                tried.add((operation.method.upper(), operation.path, answer.status_code // 100))

            # A request without parameters and body can't be wrong.
            with suppress(Unsatisfiable):
                ask()
    paths = {path for _, path, _ in tried}
    assert {"/me", "/login", "/token", "/session/refresh", "/session/sessions"} <= paths
    assert ({("GET", "/me", 2)} <= tried) == is_signed_in


def token_of(example: ModuleType) -> str:
    tokens = asyncio.run(example.sessions.create({"scope": "admin"}, subject="ann"))
    return str(tokens.access_token)


NAMES = st.sampled_from(
    [
        b"authorization",
        b"cookie",
        b"host",
        b"origin",
        b"sec-fetch-site",
        b"sec-websocket-protocol",
        b"user-agent",
    ]
)
PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"Bearer ",
            b"tokenwheel",
            b"tokenwheel, bearer.",
            b"bearer.a.b.c",
            b"__Host-tw-access=",
            b"; __Host-tw-access=x",
            b"same-origin",
            b"cross-site",
            b"null",
            b"https://app.example",
            b",",
            b"\x00",
            b"\xff",
        ]
    ),
)
HEADERS = st.lists(st.tuples(NAMES, st.lists(PIECES, max_size=4).map(b"".join)), max_size=8)
SUBPROTOCOLS = st.lists(
    st.one_of(
        st.text(TOKEN_CHARACTERS, min_size=1, max_size=20),
        st.sampled_from(["tokenwheel", "bearer.", "bearer.a.b.c", "bearer.😀"]),
    ),
    max_size=4,
)
FRAMES = st.lists(
    st.one_of(
        st.text(max_size=50).map(lambda text: {"type": "websocket.receive", "text": text}),
        st.binary(max_size=50).map(lambda octets: {"type": "websocket.receive", "bytes": octets}),
    ),
    max_size=5,
)


@pytest.mark.usefixtures("traceback_free")
@given(headers=HEADERS, subprotocols=SUBPROTOCOLS, can_deny=st.booleans())
def test_hostile_handshakes_of_a_web_socket_are_refused_with_an_answer(
    example: ModuleType, headers: list[tuple[bytes, bytes]], subprotocols: list[str], can_deny: bool
) -> None:
    sent = asyncio.run(talk(example.app, headers, subprotocols, [], can_deny))
    refusal = sent[0]
    if can_deny:
        assert refusal["type"] == "websocket.http.response.start"
        assert 400 <= refusal["status"] < 500
    else:
        assert (refusal["type"], refusal["code"]) == ("websocket.close", 4401)


@pytest.mark.usefixtures("traceback_free")
@given(frames=FRAMES, headers=HEADERS, is_bytes=st.booleans())
def test_hostile_frames_of_someone_who_is_signed_in_end_in_no_error(
    example: ModuleType,
    frames: list[dict[str, Any]],
    headers: list[tuple[bytes, bytes]],
    is_bytes: bool,
) -> None:
    own = {b"authorization", b"sec-websocket-protocol"}
    kept = [(name, value) for name, value in headers if name not in own]

    async def sign_in_and_talk() -> list[dict[str, Any]]:
        tokens = await example.sessions.create({"scope": ""}, subject="ben")
        bearer = (b"authorization", b"Bearer " + tokens.access_token.encode())
        sent = await talk(example.app, [*kept, bearer], [], frames, True)
        await example.sessions.delete_all("ben")
        return sent

    sent = asyncio.run(sign_in_and_talk())
    assert sent[0]["type"] == "websocket.accept"
    assert len([message for message in sent if "text" in message]) == 1 + len(frames)


async def talk(
    app: Any,
    headers: list[tuple[bytes, bytes]],
    subprotocols: list[str],
    frames: list[dict[str, Any]],
    can_deny: bool,
) -> list[dict[str, Any]]:
    """Return what the application says to a client that connects, sends frames and leaves."""
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss",
        "path": "/messages",
        "raw_path": b"/messages",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("203.0.113.7", 50_000),
        "server": ("app.example", 443),
        "subprotocols": subprotocols,
        "state": {},
        "extensions": {"websocket.http.response": {}} if can_deny else {},
    }
    incoming = iter(
        [{"type": "websocket.connect"}, *frames, {"type": "websocket.disconnect", "code": 1005}]
    )
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(incoming)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent
