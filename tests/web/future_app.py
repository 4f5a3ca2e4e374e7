"""An application of FastAPI as a user writes it, whose annotations are all texts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response, Security, WebSocket

from tests.web.support import Service
from tokenwheel import Claims
from tokenwheel.web.fastapi import FastAPIAuth

service = Service()
auth = FastAPIAuth(service.gate)
app = FastAPI()
auth.install(app)
app.include_router(auth.router(), prefix="/session")

SignedIn = Annotated[Claims, Depends(auth)]
Admin = Annotated[Claims, Security(auth, scopes=["admin"])]


@app.post("/login")
def login(request: Request) -> Response:
    tokens = service.manager.create(subject="ann", context=auth.context(request))
    return auth.signed_in(request, tokens)


@app.get("/me")
async def me(claims: SignedIn) -> Claims:
    return claims


@app.get("/blocking")
def blocking(claims: Annotated[Claims, Depends(auth)]) -> str:
    return claims.subject


@app.get("/optional")
async def optional(claims: Annotated[Claims | None, Depends(auth.optional)]) -> Claims | None:
    return claims


@app.get("/fresh")
async def fresh(claims: Annotated[Claims, Depends(auth.fresh(300))]) -> str:
    return claims.subject


async def name_of(claims: SignedIn) -> AsyncIterator[str]:
    yield f"async {claims.subject}"


def name_of_admin(claims: Admin, name: Annotated[str, Depends(name_of)]) -> Iterator[str]:
    yield f"admin {name}"


@app.get("/nested")
async def nested(name: Annotated[str, Depends(name_of_admin)]) -> str:
    return name


@app.websocket("/ws")
async def socket(websocket: WebSocket, claims: SignedIn) -> None:
    await websocket.accept()
    await websocket.close()
