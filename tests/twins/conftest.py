"""The module under test comes as a fixture, so that no test knows which twin it runs.

A missing extension fails the tests and never skips them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.support import FakeClock
from tests.twins.differential import TWINS

__all__ = ["TWINS"]


@pytest.fixture(params=TWINS)
def implementation(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def load(implementation: str) -> Callable[[str], ModuleType]:
    """Return what imports a module of the implementation under test."""
    return lambda name: importlib.import_module(f"tokenwheel._{implementation}.{name}")


@pytest.fixture
def made(load: Callable[[str], ModuleType]) -> Any:
    """Return the classes of the implementation under test, and the options of a verifier."""
    cache, table, verifier, signer = (
        load(module).__dict__[name]
        for module, name in (
            ("cache", "ExpiringCache"),
            ("revocations", "RevocationTable"),
            ("verifier", "Verifier"),
            ("signer", "Signer"),
        )
    )

    def options(**changes: Any) -> dict[str, Any]:
        clock = FakeClock(1_800_000_000.0)
        return {
            "issuer": "i",
            "audience": ("a",),
            "leeway": 0,
            "largest_leeway": 60,
            "cache_size": 9,
            "clock": clock,
            "revocations": table(clock=clock),
            **changes,
        }

    return SimpleNamespace(
        Cache=cache, Table=table, Verifier=verifier, Signer=signer, options=options
    )
