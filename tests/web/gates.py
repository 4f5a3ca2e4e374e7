"""Gates over real managers, and requests as a gate is told of them: what its tests share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from tests.support import SECRET, FakeClock, secret_of
from tokenwheel import AsyncSessionManager, SessionManager, SessionTokens
from tokenwheel.web import Answer, Cookies, Gate
from tokenwheel.web.calls import make_calls, make_calls_async
from tokenwheel.web.endpoints import Endpoints, Incoming, Steps

ACCESS, REFRESH = "__Host-tw-access", "__Host-tw-refresh"
HOST = "app.example"
OWN_PAGE = {"sec-fetch-site": "same-origin", "origin": f"https://{HOST}"}
OTHER_SITE = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "PROPFIND", "get", "")
SAFE = ("GET", "HEAD", "OPTIONS")


class Request:
    """The header fields of a request, each by its name in lower case."""

    def __init__(self, headers: Mapping[str, str] | None = None, **more: str) -> None:
        self.fields = {"host": HOST, **(headers or {}), **more}

    def get(self, name: str) -> str | None:
        assert name == name.lower()
        return self.fields.get(name)


class House:
    """A manager of either colour over a clock that the test moves, with gates before it."""

    def __init__(self, colour: str = "blocking", **options: Any) -> None:
        self.clock = FakeClock(1_700_000_000.25)
        self.loop = asyncio.new_event_loop()
        self.is_async = colour == "async"
        kind = AsyncSessionManager if self.is_async else SessionManager
        given = {"keys": SECRET, "issuer": "i", "audience": "a", "clock": self.clock, **options}
        self.manager: Any = kind(**given)
        self._stranger: Any = SessionManager(
            secret_of("stranger"), issuer="i", audience="a", clock=self.clock
        )

    def close(self) -> None:
        self._stranger.close()
        self.call("close")
        self.loop.close()

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        answer = getattr(self.manager, method)(*arguments, **options)
        return self.loop.run_until_complete(answer) if asyncio.iscoroutine(answer) else answer

    def login(self, claims: Any = None, subject: str = "ann", **options: Any) -> SessionTokens:
        tokens: SessionTokens = self.call("create", claims, subject=subject, **options)
        return tokens

    def expired(self) -> SessionTokens:
        tokens = self.login()
        self.clock.advance(1_000)
        return tokens

    def revoked(self) -> SessionTokens:
        tokens = self.login()
        self.call("delete_one", "ann", tokens.session_id)
        return tokens

    def foreign(self) -> SessionTokens:
        tokens: SessionTokens = self._stranger.create(subject="ann")
        return tokens

    def gate(self, **options: Any) -> Gate:
        return Gate(self.manager, **{"cookies": Cookies(), **options})

    def run(self, steps: Steps) -> Answer:
        """Drive a route to its answer."""
        if self.is_async:
            return self.loop.run_until_complete(make_calls_async(steps, self.manager))
        return make_calls(steps, self.manager)

    def ask(
        self,
        route: str,
        headers: Mapping[str, str] | None = None,
        *path: str,
        method: str = "POST",
        body: bytes = b"",
        gate: Gate | None = None,
        **options: Any,
    ) -> Answer:
        """Return what a route answers to a request."""
        endpoints = Endpoints(self.gate() if gate is None else gate, **options)
        request = Incoming(method, Request(headers).get, body)
        steps = getattr(endpoints, route)(request, *path)
        return self.run(steps)


def bearer(tokens: SessionTokens) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens.access_token}"}


def cookie(tokens: SessionTokens) -> dict[str, str]:
    """Return the cookies that a browser sends."""
    return {
        "cookie": f"{ACCESS}={tokens.access_token}; {REFRESH}={tokens.refresh_token}",
    }


def header(answer: Answer, name: str) -> str | None:
    """Return a header of an answer, which has it once at most."""
    values = [value for key, value in answer.headers if key.lower() == name.lower()]
    assert len(values) < 2
    return values[0] if values else None


def set_cookies(answer: Answer) -> dict[str, str]:
    """Return the cookies that an answer sets, by name; deleted ones have an empty value."""
    lines = [value for key, value in answer.headers if key == "Set-Cookie"]
    pairs = [line.partition(";")[0].partition("=") for line in lines]
    return {name: value for name, _, value in pairs}


def content(answer: Answer) -> Any:
    return json.loads(answer.body)
