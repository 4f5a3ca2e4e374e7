"""Claims, sessions and tokens as what FastAPI's endpoints return and take.

Annotations are no texts here: FastAPI looks those up in the module, and these name what is local.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel

from tests.web_values.conftest import Login
from tokenwheel import Claims, Device, Session, SessionContext, SessionTokens

Ask = Callable[..., tuple[int, Any]]


class Page(BaseModel):
    claims: Claims


@pytest.fixture
def app(login: Login) -> FastAPI:
    app = FastAPI()

    def returns(path: str, kind: Any, value: Any) -> None:
        def endpoint() -> Any:
            return value

        endpoint.__annotations__["return"] = kind
        app.get(path)(endpoint)

    returns("/claims", Claims, login.claims)
    returns("/claims-or-none", Claims | None, login.claims)
    returns("/none", Claims | None, None)
    returns("/sessions", list[Session], [login.session])
    returns("/sessions-by-id", dict[str, Session], {login.session.id: login.session})
    returns("/tokens", SessionTokens, login.tokens)
    returns("/context", SessionContext, login.context)
    returns("/page", Page, Page(claims=login.claims))
    returns("/dict", dict[str, Any], {"claims": login.claims, "tokens": login.tokens})
    returns("/any", Any, {"claims": login.claims, "session": login.session})

    @app.get("/response-model", response_model=Claims)
    async def response_model() -> Any:
        return login.claims

    @app.get("/without-balance", response_model=Claims, response_model_exclude={"balance"})
    async def without_balance() -> Any:
        return login.claims

    @app.post("/device")
    async def take_device(device: Device) -> SessionContext:
        return SessionContext(device=device)

    def current() -> Claims:
        return login.claims

    @app.get("/dependency")
    async def dependency(claims: Annotated[Claims, Depends(current)]) -> Claims:
        return claims

    @app.post("/forged-claims")
    async def take_claims(claims: Claims) -> Claims:
        raise AssertionError("claims from a request were taken for verified")

    @app.post("/tokens")
    async def take_tokens(tokens: SessionTokens) -> str:
        return tokens.session_id

    return app


@pytest.fixture
def ask(app: FastAPI) -> Ask:
    """Return what asks the application, without a server."""

    def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode()}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        asyncio.run(app(scope, receive, send))
        return sent[0]["status"], json.loads(b"".join(part["body"] for part in sent[1:]))

    return ask


def test_an_endpoint_returns_the_claims_of_a_token(ask: Ask, login: Login) -> None:
    for path in ("/claims", "/claims-or-none", "/response-model", "/dependency"):
        assert ask("GET", path) == (200, dict(login.claims))
    assert ask("GET", "/page") == (200, {"claims": dict(login.claims)})
    assert ask("GET", "/none") == (200, None)


def test_a_claim_that_an_endpoint_excludes_is_not_sent(ask: Ask, login: Login) -> None:
    sent = {name: login.claims[name] for name in login.claims if name != "balance"}
    assert ask("GET", "/without-balance") == (200, sent)


def test_a_client_may_post_its_device(ask: Ask, login: Login) -> None:
    status, context = ask("POST", "/device", asdict(login.context)["device"])
    assert (status, context["device"]) == (200, asdict(login.context)["device"])
    assert ask("POST", "/device", {"name": "Firefox"})[0] == 422


def test_an_endpoint_returns_sessions_and_tokens(ask: Ask, login: Login) -> None:
    session = asdict(login.session)
    assert ask("GET", "/sessions") == (200, [session])
    assert ask("GET", "/sessions-by-id") == (200, {login.session.id: session})
    assert ask("GET", "/tokens") == (200, asdict(login.tokens))
    assert ask("GET", "/context") == (200, asdict(login.context))


def test_an_endpoint_returns_them_within_what_has_no_type_of_its_own(
    ask: Ask, login: Login
) -> None:
    claims = dict(login.claims)
    assert ask("GET", "/dict") == (200, {"claims": claims, "tokens": asdict(login.tokens)})
    assert ask("GET", "/any") == (200, {"claims": claims, "session": asdict(login.session)})
    assert jsonable_encoder([login.claims, login.session, login.tokens]) == [
        claims,
        asdict(login.session),
        asdict(login.tokens),
    ]


def test_the_openapi_schema_of_claims_is_an_object(ask: Ask) -> None:
    status, schema = ask("GET", "/openapi.json")
    assert status == 200
    claims = schema["components"]["schemas"]["Claims"]
    assert (claims["type"], claims["additionalProperties"]) == ("object", True)
    assert claims["properties"]["sub"]["type"] == claims["properties"]["sid"]["type"] == "string"
    answer = schema["paths"]["/claims"]["get"]["responses"]["200"]["content"]["application/json"]
    assert answer["schema"] == {"$ref": "#/components/schemas/Claims"}
    assert {"Session", "SessionTokens", "SessionContext", "Device"} <= set(
        schema["components"]["schemas"]
    )


def test_a_client_cannot_post_claims(ask: Ask, login: Login) -> None:
    for forged in (dict(login.claims), {"claims": dict(login.claims)}, None, "x", []):
        status, answer = ask("POST", "/forged-claims", forged)
        assert status == 422
        assert "must be what read returned" in answer["detail"][0]["msg"] or forged is None


def test_the_refusal_of_posted_tokens_repeats_none_of_them(ask: Ask, login: Login) -> None:
    members = asdict(login.tokens)
    assert ask("POST", "/tokens", members) == (200, login.tokens.session_id)
    del members["session_id"]
    status, answer = ask("POST", "/tokens", members)
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "session_id"])
    assert login.tokens.access_token not in str(answer)
    assert login.tokens.refresh_token not in str(answer)
