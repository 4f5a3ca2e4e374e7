"""What the tests of web adapters share: somebody to sign in, and ASGI applications asked as they
are, message by message, without a server or a client library between."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.support import SECRET, FakeClock
from tokenwheel import AsyncSessionManager, MemoryStorage, SessionManager, SessionTokens
from tokenwheel.web import Cookies, Gate

NOW = 1_700_000_000.0
SAME_ORIGIN = ("sec-fetch-site", "same-origin")
CROSS_SITE = ("sec-fetch-site", "cross-site")

Header = tuple[str, str]


class Service:
    """A manager and a gate, over a clock that the test moves, and whoever is signed in."""

    def __init__(
        self,
        kind: type[AsyncSessionManager | SessionManager] = SessionManager,
        **options: Any,
    ) -> None:
        self.clock = FakeClock(NOW)
        of_manager = {
            name: options.pop(name)
            for name in ("storage", "refresh_hook", "reuse_grace")
            if name in options
        }
        self.manager: Any = kind(SECRET, issuer="i", audience="a", clock=self.clock, **of_manager)
        options.setdefault("cookies", Cookies())
        self.gate = Gate(self.manager, **options)

    def sign_in(self, subject: str = "ann", **claims: Any) -> SessionTokens:
        tokens: SessionTokens = run(self.manager.create(claims, subject=subject))
        return tokens

    def bearer(self, tokens: SessionTokens) -> Header:
        return ("authorization", f"Bearer {tokens.access_token}")

    def cookie(self, tokens: SessionTokens) -> Header:
        cookies = self.gate.cookies
        assert cookies is not None
        return (
            "cookie",
            f"{cookies.access}={tokens.access_token}; {cookies.refresh}={tokens.refresh_token}",
        )


def run(outcome: Any) -> Any:
    """Return what a call returned, run on an event loop where it is awaitable."""
    return asyncio.run(_await(outcome), debug=True) if hasattr(outcome, "__await__") else outcome


async def _await(outcome: Any) -> Any:
    return await outcome


@dataclass
class Reply:
    """What an application has sent."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def status(self) -> int:
        (start,) = [m for m in self.messages if m["type"].endswith("response.start")]
        status: int = start["status"]
        return status

    @property
    def headers(self) -> list[Header]:
        (start,) = [m for m in self.messages if m["type"].endswith("response.start")]
        return [(name.decode(), value.decode()) for name, value in start["headers"]]

    def all_of(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def body(self) -> bytes:
        return b"".join(m["body"] for m in self.messages if m["type"].endswith("response.body"))

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        code: str = self.json()["code"]
        return code


def scope_of(
    kind: str, path: str, headers: Iterable[Header] = (), **changes: Any
) -> dict[str, Any]:
    """Return a scope as a server makes it of this request target."""
    target, _, query = path.partition("?")
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "https" if kind == "http" else "wss",
        "path": unquote(target),
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.encode(), value.encode("latin-1"))
            for name, value in [("host", "app.example"), *headers]
        ],
        "client": ("203.0.113.7", 50_000),
        "server": ("app.example", 443),
        **changes,
    }


async def asked(
    app: Any,
    method: str,
    path: str,
    headers: Iterable[Header] = (),
    body: bytes | Sequence[bytes] = b"",
    **changes: Any,
) -> Reply:
    """Return what an application answers to a request. Its body may come in parts."""
    parts = [body] if isinstance(body, bytes) else list(body)
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1}
        for index, part in enumerate(parts)
    ]
    return await talk(app, scope_of("http", path, headers, method=method, **changes), messages)


async def talk(app: Any, scope: dict[str, Any], messages: list[dict[str, Any]]) -> Reply:
    """Return what an application sends, which receives these messages and then no more.

    As servers do, it tells of the end of the connection once the application has sent all: Quart
    waits for that, from 0.23 on.
    """
    reply, is_answered = Reply(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await is_answered.wait()
        return {"type": f"{scope['type']}.disconnect", "code": 1005}

    async def send(message: dict[str, Any]) -> None:
        reply.messages.append(message)
        if _is_last(message):
            is_answered.set()

    try:
        await app(scope, receive, send)
    except Exception as error:
        reply.error = error
    return reply


def _is_last(message: Mapping[str, Any]) -> bool:
    """Return True for the message after which an application sends no more."""
    kind: str = message["type"]
    ends_response = kind.endswith("response.body") and not message.get("more_body", False)
    return ends_response or kind == "websocket.close"


def ask(app: Any, method: str, path: str, *headers: Header, **options: Any) -> Reply:
    """Return what an application answers to a request, on an event loop of its own."""
    reply: Reply = run(asked(app, method, path, headers, **options))
    return reply


def shake_hands(
    app: Any, path: str, *headers: Header, offers: Sequence[str] = (), denial: bool = True
) -> Reply:
    """Return what an application sends to a client that opens a WebSocket, and then leaves."""
    if offers:
        headers = (*headers, ("sec-websocket-protocol", ", ".join(offers)))
    extensions = {"websocket.http.response": {}} if denial else {}
    scope = scope_of("websocket", path, headers, subprotocols=list(offers), extensions=extensions)
    messages = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1005}]
    reply: Reply = run(talk(app, scope, messages))
    return reply


class SlowStorage(MemoryStorage):
    """A storage that holds up whoever reads a session, until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = threading.Event()
        self.goes_on = threading.Event()

    def read(self, session_id: str, now: float) -> Any:
        self.is_asked.set()
        assert self.goes_on.wait(10), "the event loop stood still meanwhile"
        return super().read(session_id, now)


async def asked_while_storage_is_slow(app: Any, storage: SlowStorage, *request: Any) -> Reply:
    """Return what an application answers, once its event loop was seen to run meanwhile."""
    answer = asyncio.create_task(asked(app, *request))
    while not storage.is_asked.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not answer.done()
    storage.goes_on.set()
    return await answer
