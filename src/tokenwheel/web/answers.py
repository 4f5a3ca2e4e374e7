"""Finished answers: a status, headers and a body, for any framework to send.

An answer depends on nothing that a framework may drop on its way, as cookies are that were set on
a response which an exception then replaced. Problems are told as RFC 9457 says, and what a client
lacks in ``WWW-Authenticate`` (RFC 6750, section 3; RFC 9470, section 3).
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import Morsel
from typing import Any

from ..errors import (
    ConfigurationError,
    InvalidAccessToken,
    InvalidArgument,
    SessionNotFound,
    StorageUnavailable,
    TokenwheelError,
)
from .errors import CredentialsMissing, LoginTooOld, MalformedCredentials, ScopeMissing

__all__ = ["Answer", "json_answer", "keys_answer", "problem", "refusal_of", "unless_known"]

logger = logging.getLogger("tokenwheel")

_OF_THE_BODY = frozenset({"content-type", "etag"})
_KEEP_KEYS = "public, max-age=300"  # five minutes: how soon resource servers hear of a new key
_NO_STORE = ("Cache-Control", "no-store")
# What a quoted text of WWW-Authenticate must not have (RFC 6750, section 3).
_unsayable = re.compile(r"[^ -!#-\[\]-~]")
_HIDDEN = {
    500: "the server is not set up as it has to be; its log says more",
    503: "the sessions cannot be reached at the moment; try again",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer to a request.

    A ``Content-Length`` is not among the headers: servers and frameworks add it.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    def apply(self, response: Any) -> None:
        """Copy the headers to a framework's response, for those who render a body of their own.

        Cookies are added to those that the response has already. The content type is the response's
        own.

        Args:
            response: a response of Starlette, FastAPI, Flask, Quart, Django or DRF.

        Raises:
            InvalidArgument: it is no such response.
        """
        for name, value in self.headers:
            if name.lower() in _OF_THE_BODY:
                continue
            if name == "Set-Cookie":
                _add_cookie(response, value)
            else:
                _headers_of(response)[name] = value


class _FinishedCookie(Morsel[str]):
    """A cookie of Django's responses that is written as it stands, with every attribute."""

    def __init__(self, line: str) -> None:
        super().__init__()
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        self.set(name, value, value)
        for attribute in attributes:  # Django's test client shows them.
            key, has_value, text = attribute.partition("=")
            if self.isReservedKey(key):
                self[key] = text if has_value else True
        self._line = line

    def __reduce__(self) -> tuple[type[_FinishedCookie], tuple[str]]:
        return _FinishedCookie, (self._line,)

    def OutputString(self, attrs: Any = None) -> str:  # noqa: N802 -- http.cookies calls it so
        return self._line

    def output(self, attrs: Any = None, header: str = "Set-Cookie:") -> str:
        """Return the header's line, or its value alone where ``header`` is empty."""
        return f"{header} {self._line}".lstrip()


def _headers_of(response: Any) -> Any:
    headers = getattr(response, "headers", None)
    if headers is None or not hasattr(headers, "__setitem__"):
        raise InvalidArgument("response must be a response of a web framework, with headers")
    return headers


def _add_cookie(response: Any, line: str) -> None:
    headers = _headers_of(response)
    add = getattr(headers, "append", None) or getattr(headers, "add", None)
    if add is not None:
        add("Set-Cookie", line)
        return
    cookies = getattr(response, "cookies", None)
    if cookies is None:
        raise InvalidArgument("response must be a response of a web framework, with cookies")
    cookie = _FinishedCookie(line)
    cookies[cookie.key] = cookie


def json_answer(status: int, content: object, *headers: tuple[str, str]) -> Answer:
    """Return an answer with a body of JSON that nobody may keep."""
    return Answer(
        status,
        (("Content-Type", "application/json"), _NO_STORE, *headers),
        json.dumps(content, separators=(",", ":")).encode(),
    )


def problem(status: int, code: str, detail: str, *headers: tuple[str, str]) -> Answer:
    """Return an answer that tells a problem (RFC 9457), with its ``code`` for programs."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return Answer(
        status,
        (("Content-Type", "application/problem+json"), _NO_STORE, *headers),
        json.dumps(content, separators=(",", ":")).encode(),
    )


def keys_answer(jwks: Mapping[str, Any]) -> Answer:
    """Return an answer with public keys, which everybody may keep until they may have changed.

    All processes that have the same keys answer alike, in whatever order they have them: what a
    client knows from one, the others need not tell it again.
    """
    keys = sorted(jwks["keys"], key=lambda key: json.dumps(key, sort_keys=True))
    body = json.dumps({**jwks, "keys": keys}, separators=(",", ":"), sort_keys=True).encode()
    return Answer(
        200,
        (
            ("Content-Type", "application/jwk-set+json"),
            ("Cache-Control", _KEEP_KEYS),
            ("ETag", f'"{hashlib.sha256(body).hexdigest()[:32]}"'),
        ),
        body,
    )


def unless_known(answer: Answer, known: str | None) -> Answer:
    """Return an answer, or 304 in its place where the client has it (RFC 9110, section 13.1.2).

    Args:
        answer: has an ``ETag``.
        known: the request's ``If-None-Match``.
    """
    tags = {entry.strip(" \t").removeprefix("W/") for entry in (known or "").split(",")}
    if tags.isdisjoint({dict(answer.headers)["ETag"], "*"}):
        return answer
    return Answer(304, tuple(pair for pair in answer.headers if pair[0] != "Content-Type"))


def refusal_of(error: TokenwheelError) -> Answer:
    """Return the answer to a request that an error has refused. It sets and deletes no cookie."""
    if isinstance(error, ConfigurationError):
        logger.error("a request could not be answered: %s", error, exc_info=error.__cause__)
    detail = _HIDDEN.get(error.status, str(error))
    headers = []
    challenge = _challenge_of(error, detail)
    if challenge is not None:
        headers.append(("WWW-Authenticate", challenge))
    if isinstance(error, StorageUnavailable):
        headers.append(("Retry-After", "1"))
    return problem(error.status, error.code, detail, *headers)


def _challenge_of(error: TokenwheelError, detail: str) -> str | None:
    if isinstance(error, CredentialsMissing):
        return "Bearer"
    if isinstance(error, InvalidAccessToken | SessionNotFound):
        return f'Bearer error="invalid_token", error_description="{_unsayable.sub("?", detail)}"'
    if isinstance(error, LoginTooOld):
        return f'Bearer error="insufficient_user_authentication", max_age="{error.max_age}"'
    if isinstance(error, ScopeMissing):
        return f'Bearer error="insufficient_scope", scope="{" ".join(error.scopes)}"'
    if isinstance(error, MalformedCredentials):
        return 'Bearer error="invalid_request"'
    return None
