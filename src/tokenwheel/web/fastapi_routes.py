"""The routes for sessions as FastAPI has them, with what the OpenAPI document says of each."""

from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.openapi.models import APIKey, HTTPBearer, OAuth2
from fastapi.openapi.models import SecurityBase as SecurityModel
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, ValidationError

from ..errors import ConfigurationError
from .asgi_answers import answer_of
from .endpoints import Endpoints
from .gate import Gate
from .starlette import response_of

__all__ = ["Lock", "add_routes", "model_of"]


class Problem(BaseModel):
    """What was wrong with a request (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class Welcome(BaseModel):
    """What a refresh returns. The tokens are in it unless they are in cookies."""

    session_id: str
    expires_in: int
    session_expires_in: int
    access_token: str | None = None
    refresh_token: str | None = None
    token_type: Literal["Bearer"] | None = None


class ShownDevice(BaseModel):
    """What a session was opened on."""

    name: str
    type: str


class ShownSession(BaseModel):
    """A session of the user's. Times are Unix seconds."""

    id: str
    current: bool
    created_at: float
    last_used_at: float
    expires_at: float
    ip: str | None
    device: ShownDevice | None
    location: str | None


class Lock(SecurityBase):
    """Show a lock in the docs, for routes that look for tokens by themselves."""

    def __init__(self, scheme: SecurityBase) -> None:
        self.model = scheme.model
        self.scheme_name = scheme.scheme_name

    async def __call__(self) -> None:
        """Ask for nothing."""


def model_of(gate: Gate, token_url: object, scopes: object, description: object) -> SecurityModel:
    """Return how the OpenAPI document describes the way in which a token is sent.

    Raises:
        ConfigurationError: an option makes no sense.
    """
    if token_url is not None and not gate.takes_bearer:
        raise ConfigurationError("token_url is for gates that take bearers")
    given: dict[str, Any] = {"description": description}
    try:
        if token_url is not None:
            flow = {"tokenUrl": token_url, "scopes": {} if scopes is None else scopes}
            return OAuth2.model_validate({**given, "flows": {"password": flow}})
        if gate.cookies is not None and not gate.takes_bearer:
            return APIKey.model_validate({**given, "in": "cookie", "name": gate.cookies.access})
        return HTTPBearer.model_validate({**given, "bearerFormat": "JWT"})
    except ValidationError:
        raise ConfigurationError(
            "token_url and description must be texts, and scopes a dict of names and descriptions"
        ) from None


_TOKEN_SCHEMA = {
    "type": "object",
    "properties": {"refresh_token": {"type": "string", "minLength": 1}},
}
_KEYS_SCHEMA = {
    "type": "object",
    "properties": {"keys": {"type": "array", "items": {"type": "object"}}},
    "required": ["keys"],
}
_BODY = {
    "requestBody": {
        "description": "The refresh token, unless it is in a cookie.",
        "required": False,
        "content": {
            "application/json": {"schema": _TOKEN_SCHEMA},
            "application/x-www-form-urlencoded": {"schema": _TOKEN_SCHEMA},
        },
    }
}
_WHY = {
    400: "The request can't be read, or its credentials can be read in two ways.",
    401: "There is no token, or it is not good (any more).",
    403: "Another site's page, or another device, may have sent the request.",
    404: "The user has no such session.",
    503: "The sessions cannot be reached at the moment.",
}


def add_routes(router: APIRouter, endpoints: Endpoints, shows_lock: Lock) -> None:
    """Add the routes for sessions to a router.

    Args:
        router: the router.
        endpoints: what each route does.
        shows_lock: what stands beside a route for those who are signed in.
    """
    lock = Depends(shows_lock)

    async def answer(
        request: Request, endpoint: Callable[..., Any], *arguments: str, body: bool = False
    ) -> Response:
        given = await answer_of(
            endpoint, endpoints.gate, request.scope, request.receive, *arguments, body=body
        )
        return response_of(given)

    @router.post(
        "/refresh",
        response_model=Welcome,
        response_model_exclude_none=True,
        responses=_problems(400, 401, 403, 503),
        openapi_extra=_BODY,
    )
    async def refresh(request: Request) -> Response:
        """Return a fresh access token, and the next refresh token, the way the last one came."""
        return await answer(request, endpoints.refresh, body=True)

    @router.post(
        "/logout", status_code=204, responses=_problems(400, 403, 503), openapi_extra=_BODY
    )
    async def logout(request: Request) -> Response:
        """End the session, if there is one, and make the browser forget its cookies."""
        return await answer(request, endpoints.logout, body=True)

    @router.post(
        "/logout/others",
        status_code=204,
        responses=_problems(400, 401, 403, 503),
        dependencies=[lock],
    )
    async def logout_others(request: Request) -> Response:
        """End all of the user's sessions but this one."""
        return await answer(request, endpoints.logout_others)

    @router.post(
        "/logout/everywhere",
        status_code=204,
        responses=_problems(400, 401, 403, 503),
        dependencies=[lock],
    )
    async def logout_everywhere(request: Request) -> Response:
        """End all of the user's sessions."""
        return await answer(request, endpoints.logout_everywhere)

    @router.get(
        "/sessions",
        response_model=list[ShownSession],
        responses=_problems(400, 401, 503),
        dependencies=[lock],
    )
    async def sessions(request: Request) -> Response:
        """Return the user's sessions, the last used one first."""
        return await answer(request, endpoints.sessions)

    @router.delete(
        "/sessions/{session_id}",
        status_code=204,
        responses=_problems(400, 401, 403, 404, 503),
        dependencies=[lock],
    )
    async def end_session(request: Request, session_id: str) -> Response:
        """End this session of the user's."""
        return await answer(request, endpoints.end_session, session_id)

    @router.get(
        "/jwks",
        response_class=_KeysResponse,
        response_model=None,
        responses={
            200: {"content": {_KeysResponse.media_type: {"schema": _KEYS_SCHEMA}}},
            304: {"description": "The client has the keys already."},
            **_problems(503),
        },
    )
    async def jwks(request: Request) -> Response:
        """Return the public keys that verify access tokens (RFC 7517)."""
        return await answer(request, endpoints.jwks)

    # Whoever may GET may HEAD (RFC 9110, section 9.3.2). The document needs no word of it.
    for path, endpoint in (("/sessions", sessions), ("/jwks", jwks)):
        router.add_api_route(
            path, endpoint, methods=["HEAD"], response_model=None, include_in_schema=False
        )


class _KeysResponse(Response):
    media_type = "application/jwk-set+json"


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": _WHY[status], "content": content} for status in statuses}
