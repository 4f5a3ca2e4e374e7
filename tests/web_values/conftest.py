"""One login, and all the values that an application is given of it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.support import SECRET, FakeClock
from tokenwheel import Claims, Device, Session, SessionContext, SessionManager, SessionTokens


@dataclass(frozen=True)
class Login:
    tokens: SessionTokens
    claims: Claims
    session: Session
    context: SessionContext


@pytest.fixture
def login() -> Login:
    context = SessionContext("203.0.113.7", Device("Firefox", "desktop", {"os": ["Linux", 2**70]}))
    claims = {"roles": ["admin", {"of": [1]}], "balance": 2**80, "rate": -0.5, "team": None}
    with SessionManager(
        SECRET, issuer="i", audience="a", clock=FakeClock(1_700_000_000)
    ) as manager:
        tokens = manager.create(claims, subject="ann", context=context)
        return Login(
            tokens,
            manager.read(tokens.access_token),
            manager.read_all("ann")[tokens.session_id],
            context,
        )
