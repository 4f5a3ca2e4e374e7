"""The module under test comes as a fixture, so that no test knows which twin it runs.

A missing extension fails the tests and never skips them.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType

import pytest

TWINS = ["pure"] if os.environ.get("TOKENWHEEL_IMPL") == "pure" else ["native", "pure"]


@pytest.fixture(params=TWINS)
def implementation(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def load(implementation: str) -> Callable[[str], ModuleType]:
    """Return what imports a module of the implementation under test."""
    return lambda name: importlib.import_module(f"tokenwheel._{implementation}.{name}")
