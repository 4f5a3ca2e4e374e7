"""A service that reads tokens under attack, over each twin, and the keys it goes by."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import KEY, secret_of
from tests.twins.conftest import TWINS
from tokenwheel import Key

HMAC = KEY
NAMED = Key.from_secret(secret_of("named"), kid="named")
RSA = Key.generate("RS256", kid="rsa")
EC = Key.generate("ES256", kid="ec")
ED = Key.generate("EdDSA", kid="ed")


class Service:
    """What reads the tokens.

    It has a key of every kind, all known to the attacker but for their private parts.
    """

    def __init__(self, implementation: str, *keys: Key) -> None:
        verifier, table = (
            importlib.import_module(f"tokenwheel._{implementation}.{name}")
            for name in ("verifier", "revocations")
        )
        self.revocations = table.RevocationTable()
        self.read = verifier.Verifier(
            keys or [HMAC, NAMED, RSA.public(), EC.public(), ED.public()],
            issuer="i", audience=("a",), leeway=0, largest_leeway=60,
            cache_size=100, clock=time.time, revocations=self.revocations,
        ).verify  # fmt: skip


@pytest.fixture(params=TWINS)
def serve(request: pytest.FixtureRequest) -> Callable[..., Service]:
    return lambda *keys: Service(request.param, *keys)


@pytest.fixture
def read(serve: Callable[..., Service]) -> Callable[..., Any]:
    reader: Callable[..., Any] = serve().read
    return reader
