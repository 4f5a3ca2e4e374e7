"""What is on the wire: each error's answer, the answers with tokens, and the public keys."""

from __future__ import annotations

import logging
from typing import Any

import flask
import pytest
import quart
from django.http import HttpResponse
from rest_framework.response import Response as RestResponse
from starlette.responses import PlainTextResponse

import tokenwheel.web
from tests.web.gates import ACCESS, REFRESH, House, content, header, set_cookies
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenNotYetValid,
    AccessTokenRevoked,
    ConfigurationError,
    ContextMismatch,
    InvalidAccessToken,
    InvalidArgument,
    Key,
    KeySet,
    RefreshTokenReused,
    SessionManager,
    SessionNotFound,
    StorageUnavailable,
    TokenwheelError,
    TooManySessions,
)
from tokenwheel.web import (
    Answer,
    Cookies,
    CredentialsMissing,
    CrossOriginRequest,
    Gate,
    LoginTooOld,
    MalformedCredentials,
    ScopeMissing,
)

INVALID = 'Bearer error="invalid_token", error_description="said"'
WIRE: list[tuple[TokenwheelError, int, str, str, str | None]] = [
    (CredentialsMissing("said"), 401, "Unauthorized", "credentials_missing", "Bearer"),
    (InvalidAccessToken("said"), 401, "Unauthorized", "access_token_invalid", INVALID),
    (AccessTokenExpired("said"), 401, "Unauthorized", "access_token_expired", INVALID),
    (AccessTokenNotYetValid("said"), 401, "Unauthorized", "access_token_not_yet_valid", INVALID),
    (AccessTokenRevoked("said"), 401, "Unauthorized", "access_token_revoked", INVALID),
    (SessionNotFound("said"), 401, "Unauthorized", "session_not_found", INVALID),
    (RefreshTokenReused("said"), 401, "Unauthorized", "refresh_token_reused", INVALID),
    (
        LoginTooOld(300), 401, "Unauthorized", "login_too_old",
        'Bearer error="insufficient_user_authentication", max_age="300"',
    ),
    (
        ScopeMissing(("a", "b")), 403, "Forbidden", "insufficient_scope",
        'Bearer error="insufficient_scope", scope="a b"',
    ),
    (
        MalformedCredentials("said"), 400, "Bad Request", "invalid_request",
        'Bearer error="invalid_request"',
    ),
    (CrossOriginRequest("said"), 403, "Forbidden", "cross_origin", None),
    (ContextMismatch("said"), 403, "Forbidden", "context_mismatch", None),
    (InvalidArgument("said"), 400, "Bad Request", "invalid_argument", None),
    (TooManySessions("said"), 409, "Conflict", "too_many_sessions", None),
    (StorageUnavailable("said"), 503, "Service Unavailable", "storage_unavailable", None),
    (ConfigurationError("said"), 500, "Internal Server Error", "configuration_error", None),
]  # fmt: skip


class TestRefusals:
    """The table of errors on the wire."""

    @pytest.mark.parametrize(
        "error, status, title, code, challenge",
        WIRE,
        ids=[type(row[0]).__name__ for row in WIRE],
    )
    def test_an_error_is_told_as_the_table_says(
        self,
        house: House,
        error: TokenwheelError,
        status: int,
        title: str,
        code: str,
        challenge: str | None,
    ) -> None:
        answer = house.gate().refusal(error)
        assert answer.status == status
        assert header(answer, "content-type") == "application/problem+json"
        assert header(answer, "cache-control") == "no-store"
        assert header(answer, "www-authenticate") == challenge
        assert header(answer, "retry-after") == ("1" if status == 503 else None)
        assert set_cookies(answer) == {}
        detail = str(error) if status < 500 else content(answer)["detail"]
        assert content(answer) == {
            "type": "about:blank", "title": title, "status": status, "detail": detail, "code": code,
        }  # fmt: skip

    @pytest.mark.parametrize("kind", [StorageUnavailable, ConfigurationError, TokenwheelError])
    def test_what_is_the_server_s_fault_is_told_in_generic_words(
        self, house: House, kind: type[TokenwheelError]
    ) -> None:
        answer = house.gate().refusal(kind("redis://10.0.0.1 said no"))
        assert b"redis" not in answer.body
        assert content(answer)["detail"]

    def test_a_mistake_in_the_configuration_is_in_the_log(
        self, house: House, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR, "tokenwheel"):
            house.gate().refusal(ConfigurationError("scopes must be"))
        assert [record.getMessage() for record in caplog.records] == [
            "a request could not be answered: scopes must be"
        ]

    def test_nothing_breaks_out_of_the_quotes_of_a_challenge(self, house: House) -> None:
        answer = house.gate().refusal(InvalidAccessToken('a"b\\c\r\nX: y\u2019\xe9'))
        assert header(answer, "www-authenticate") == (
            'Bearer error="invalid_token", error_description="a?b?c??X: y??"'
        )
        assert content(answer)["detail"] == 'a"b\\c\r\nX: y\u2019\xe9'

    def test_all_errors_there_are_have_an_answer(self, house: House) -> None:
        told = {type(row[0]) for row in WIRE}
        public = [*vars(tokenwheel).values(), *vars(tokenwheel.web).values()]
        kinds = {kind for kind in public if isinstance(kind, type)}
        errors = {kind for kind in kinds if issubclass(kind, TokenwheelError)}
        assert errors - {TokenwheelError} == told

    def test_what_is_no_error_of_the_library_s_is_refused(self, house: House) -> None:
        with pytest.raises(InvalidArgument, match="error must be"):
            house.gate().refusal(ValueError("x"))  # type: ignore[arg-type]


class TestTokens:
    """Answers with tokens or cookies."""

    def test_cookies_have_both_tokens_and_the_body_has_neither(self, house: House) -> None:
        tokens = house.login()
        answer = house.gate().welcome(tokens, via="cookie")
        assert answer.status == 200
        assert set_cookies(answer) == {ACCESS: tokens.access_token, REFRESH: tokens.refresh_token}
        assert content(answer) == {
            "session_id": tokens.session_id, "expires_in": 900, "session_expires_in": 2_592_000,
        }  # fmt: skip
        assert header(answer, "cache-control") == "no-store"
        assert header(answer, "content-type") == "application/json"

    def test_a_bearer_is_handed_out_as_oauth_says(self, house: House) -> None:
        tokens = house.login()
        answer = house.gate().welcome(tokens, via="bearer")
        assert content(answer) == {
            "session_id": tokens.session_id, "expires_in": 900, "session_expires_in": 2_592_000,
            "access_token": tokens.access_token, "refresh_token": tokens.refresh_token,
            "token_type": "Bearer",
        }  # fmt: skip
        assert header(answer, "cache-control") == "no-store"
        assert set_cookies(answer) == {}

    def test_max_age_is_the_rest_of_the_session(self, house: House) -> None:
        tokens = house.login()
        house.clock.advance(1000)
        for later in (tokens, house.call("update", tokens.refresh_token)):
            answer = house.gate().welcome(later, via="cookie")
            assert content(answer)["session_expires_in"] == 2_591_000
            lines = [value for key, value in answer.headers if key == "Set-Cookie"]
            assert all(line.endswith("; Max-Age=2591000") for line in lines)

    def test_it_is_never_negative(self, house: House) -> None:
        tokens = house.login()
        house.clock.advance(10**8)
        answer = house.gate().welcome(tokens, via="cookie")
        assert content(answer)["expires_in"] == content(answer)["session_expires_in"] == 0

    def test_a_transport_that_the_gate_has_not_is_refused(self, house: House) -> None:
        tokens = house.login()
        for gate, via in (
            (house.gate(cookies=None), "cookie"),
            (house.gate(bearer=False), "bearer"),
            (house.gate(), "smoke"),
        ):
            with pytest.raises(ConfigurationError, match="via must be"):
                gate.welcome(tokens, via=via)  # type: ignore[arg-type]

    def test_a_farewell_deletes_both_cookies(self, house: House) -> None:
        answer = house.gate().farewell()
        assert (answer.status, answer.body) == (204, b"")
        assert set_cookies(answer) == {ACCESS: "", REFRESH: ""}
        assert header(answer, "cache-control") == "no-store"
        assert set_cookies(house.gate(cookies=None).farewell()) == {}

    def test_no_repr_shows_a_token(self, house: House) -> None:
        tokens = house.login()
        gate = house.gate()
        presented = gate.refresh_token("POST", {
            "cookie": f"{REFRESH}={tokens.refresh_token}", "sec-fetch-site": "none",
        }.get)  # fmt: skip
        assert presented.token == tokens.refresh_token
        for shown in (
            presented, gate, gate.welcome(tokens, via="cookie"), gate.welcome(tokens, via="bearer")
        ):  # fmt: skip
            assert tokens.refresh_token not in repr(shown)
            assert tokens.access_token not in repr(shown)

    def test_an_answer_is_frozen_and_slotted(self, house: House) -> None:
        answer = house.gate().farewell()
        with pytest.raises(AttributeError):
            answer.status = 200  # type: ignore[misc]
        assert not hasattr(answer, "__dict__")


class TestKeys:
    """``jwks`` has the public keys as they are at the moment, and an ETag."""

    def test_a_rotation_is_seen_and_changes_the_etag(self) -> None:
        keys = KeySet(Key.generate("ES256", kid="one"))
        with SessionManager(keys, issuer="i", audience="a") as manager:
            gate = Gate(manager)
            answer = gate.jwks()
            assert header(answer, "content-type") == "application/jwk-set+json"
            assert "max-age" in str(header(answer, "cache-control"))
            assert [key["kid"] for key in content(answer)["keys"]] == ["one"]
            assert gate.jwks() == answer
            keys.add(Key.generate("ES256", kid="two"), sign=True)
            assert {key["kid"] for key in content(gate.jwks())["keys"]} == {"one", "two"}
            assert header(gate.jwks(), "etag") != header(answer, "etag")
            assert all("d" not in key for key in content(gate.jwks())["keys"])

    def test_of_a_shared_secret_nothing_is_told(self, house: House) -> None:
        assert content(house.gate().jwks()) == {"keys": []}


def responses() -> list[Any]:
    return [
        PlainTextResponse("mine"), flask.Response("mine"), quart.Response("mine"),
        HttpResponse("mine"), RestResponse("mine"),
    ]  # fmt: skip


def cookies_on(response: Any) -> list[str]:
    if hasattr(response, "cookies"):
        return [morsel.OutputString() for morsel in response.cookies.values()]
    find = getattr(response.headers, "getlist", None)
    lines: list[str] = find("set-cookie")
    return lines


@pytest.mark.parametrize("at", range(5), ids=["starlette", "flask", "quart", "django", "drf"])
class TestApply:
    """The headers of an answer are copied to a framework's own response, and its body stays."""

    def test_cookies_are_set_as_they_are_written(self, house: House, at: int) -> None:
        response = responses()[at]
        response.set_cookie("theme", "dark")
        gate = house.gate(cookies=Cookies(partitioned=True, same_site="None"))
        answer = gate.welcome(house.login(), via="cookie")
        answer.apply(response)
        written = [value for key, value in answer.headers if key == "Set-Cookie"]
        assert cookies_on(response)[1:] == written
        assert cookies_on(response)[0].startswith("theme=dark")
        assert response.headers["Cache-Control"] == "no-store"
        assert "json" not in response.headers.get("Content-Type", "")

    def test_what_a_refusal_says_is_copied(self, house: House, at: int) -> None:
        response = responses()[at]
        house.gate().refusal(StorageUnavailable("x")).apply(response)
        assert response.headers["Retry-After"] == "1"
        house.gate().refusal(CredentialsMissing("x")).apply(response)
        assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("response", [None, "x", 1, object(), {}])
def test_what_is_no_response_is_refused(response: Any) -> None:
    with pytest.raises(InvalidArgument, match="response must be"):
        Answer(204, (("Cache-Control", "no-store"), ("Set-Cookie", "a=b"))).apply(response)
